import type { Arguments } from '../base/arguments.js';
import { type CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { encodePayload } from '../types/rdb/payload.js';
import type { Row } from '../types/row.js';
import type { CommandDefinition, ShardHandler } from './definition.js';
import { memoryCommand } from './front-server.js';
import { encodingOf, referenceCountOf } from './object.js';
import { dataOf } from './value-data.js';

/** MEMORY USAGE key [SAMPLES count]: rows are whole, so there is nothing to sample, but the option is checked. */
function usageError(args: Arguments): CommandError | undefined {
  for (let index = 3; index < args.count; index++) {
    if (args.token(index) !== 'SAMPLES' || index + 1 >= args.count) return SYNTAX_ERROR;
    const samples = parseInteger(args.text(++index));
    if (samples === undefined) return NOT_AN_INTEGER;
    if (samples < 0) return SYNTAX_ERROR;
  }
  return undefined;
}

/**
 * Replies what the row takes in memory, where it is once it has been asked for: what the row cache accounts for it. Of a
 * large collection the element rows are estimated from a sample.
 */
const usage: ShardHandler = ({ view, reply }, args) => {
  const error = usageError(args);
  if (error !== undefined) return reply.error(error);
  const row = view.peek(args.text(2));
  if (row === undefined) reply.nil();
  else reply.integer(row.cachedBytes + (row.collection?.elementBytes() ?? 0));
};

/** Bytes of DUMP's payload that are not the value: the type in front, version and checksum behind. */
const PAYLOAD_FRAME_BYTES = 11;
/** Bits of the clock, in seconds, that Redis keeps with each key. */
const LRU_CLOCK_MASK = 0xffffff;

/**
 * What DEBUG OBJECT says of a key, in the format of Redis. Where Redis tells the address of the value, which is
 * nowhere for long here, this tells the shard that has it.
 */
export function describeObject(row: Row, shard: number, nowMs: number): string {
  const serializedBytes = encodePayload(dataOf(row, nowMs)).length - PAYLOAD_FRAME_BYTES;
  const accessedSeconds = Math.floor(row.accessedMs / 1000);
  return [
    `Value at:shard-${shard}`,
    `refcount:${referenceCountOf(row)}`,
    `encoding:${encodingOf(row)}`,
    `serializedlength:${serializedBytes}`,
    `lru:${accessedSeconds & LRU_CLOCK_MASK}`,
    `lru_seconds_idle:${Math.max(0, Math.floor(nowMs / 1000) - accessedSeconds)}`,
  ].join(' ');
}

/** Commands that look at how a key is kept. */
export const inspectionCommands: readonly CommandDefinition[] = [
  memoryCommand({
    name: 'memory|usage',
    arity: -3,
    flags: ['readonly'],
    keys: [{ first: 2, last: 2, step: 1, flags: ['RO'] }],
    group: 'server',
    since: '4.0.0',
    summary: 'Tells the bytes that a key and its value take in memory',
    complexity: 'O(N) with N samples',
    syntax: 'key [SAMPLES count]',
    runs: 'shard',
    run: usage,
  }),
];
