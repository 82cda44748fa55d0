import type { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, STRING_TOO_LONG, SYNTAX_ERROR } from '../base/command-errors.js';
import { RESTORED_BYTES_MAX } from '../base/limits.js';
import { parseInteger } from '../base/numbers.js';
import { decodePayload, encodePayload, verifyPayload } from '../types/rdb/payload.js';
import type { ValueData } from '../types/rdb/values.js';
import { type CommandDefinition, oneKey, type ShardHandler } from './definition.js';
import { dataOf, packingLimits, stageData } from './value-data.js';

const BUSY_KEY = new CommandError('BUSYKEY Target key name already exists.');
const INVALID_TTL = new CommandError('ERR Invalid TTL value, must be >= 0');
const INVALID_IDLE_TIME = new CommandError('ERR Invalid IDLETIME value, must be >= 0');
const INVALID_FREQUENCY = new CommandError('ERR Invalid FREQ value, must be >= 0 and <= 255');
const WRONG_CHECKSUM = new CommandError('ERR DUMP payload version or checksum are wrong');
const TOO_LARGE = new CommandError(
  'ERR The value would take more memory than RESTORE may use at once (1 GB)',
);
const BAD_FORMAT = new CommandError('ERR Bad data format');

const dump: ShardHandler = ({ view, reply }, args) => {
  const row = view.find(args.text(1));
  if (row === undefined) return reply.nil();
  reply.bulk(encodePayload(dataOf(row, view.nowMs), packingLimits(view.collections.limits)));
};

interface RestoreOptions {
  readonly replace: boolean;
  readonly absoluteTtl: boolean;
  readonly idleTimeS: number | undefined;
}

function parseRestoreOptions(args: Arguments): RestoreOptions | CommandError {
  let replace = false;
  let absoluteTtl = false;
  let idleTimeS: number | undefined;
  let frequency: number | undefined;
  for (let index = 4; index < args.count; index++) {
    const token = args.token(index);
    const hasValue = index + 1 < args.count;
    if (token === 'REPLACE') replace = true;
    else if (token === 'ABSTTL') absoluteTtl = true;
    else if (token === 'IDLETIME' && hasValue && frequency === undefined) {
      idleTimeS = parseInteger(args.text(++index));
      if (idleTimeS === undefined) return NOT_AN_INTEGER;
      if (idleTimeS < 0) return INVALID_IDLE_TIME;
    } else if (token === 'FREQ' && hasValue && idleTimeS === undefined) {
      frequency = parseInteger(args.text(++index));
      if (frequency === undefined) return NOT_AN_INTEGER;
      if (frequency < 0 || frequency > 255) return INVALID_FREQUENCY;
    } else return SYNTAX_ERROR;
  }
  return { replace, absoluteTtl, idleTimeS };
}

/** The value in a payload, or why there is none. */
function parsePayload(payload: Buffer, stringBytesMax: number): ValueData | CommandError {
  if (!verifyPayload(payload)) return WRONG_CHECKSUM;
  const content = decodePayload(payload, stringBytesMax, RESTORED_BYTES_MAX);
  switch (content.kind) {
    case 'malformed':
      return BAD_FORMAT;
    case 'too-long':
      return STRING_TOO_LONG;
    case 'too-large':
      return TOO_LARGE;
    case 'unsupported':
      return new CommandError(`ERR RESTORE of values of type '${content.type}' is not supported`);
    default:
      return content;
  }
}

/** FREQ is checked and then ignored: frequencies are not kept. */
const restore: ShardHandler = ({ view, reply, settings }, args) => {
  const options = parseRestoreOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const key = args.text(1);
  if (!options.replace && view.peek(key) !== undefined) return reply.error(BUSY_KEY);
  const ttlMs = parseInteger(args.text(2));
  if (ttlMs === undefined) return reply.error(NOT_AN_INTEGER);
  if (ttlMs < 0) return reply.error(INVALID_TTL);
  const value = parsePayload(args.bytes(3), settings.protoMaxBulkBytes);
  if (value instanceof CommandError) return reply.error(value);
  const expiresAtMs = ttlMs === 0 || options.absoluteTtl ? ttlMs : view.nowMs + ttlMs;
  if (expiresAtMs !== 0 && expiresAtMs <= view.nowMs) view.remove(key);
  else {
    stageData(view, key, value, expiresAtMs);
    const row = options.idleTimeS === undefined ? undefined : view.peek(key);
    if (row !== undefined) row.accessedMs = Math.max(0, view.nowMs - options.idleTimeS! * 1000);
  }
  reply.ok();
};

export const dumpCommands: readonly CommandDefinition[] = [
  {
    name: 'dump',
    arity: 2,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    group: 'generic',
    since: '2.6.0',
    summary: 'Gives the value of a key in a portable form, which RESTORE takes, that of Redis too',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'key',
    tips: ['nondeterministic_output'],
    runs: 'shard',
    run: dump,
  },
  {
    name: 'restore',
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: oneKey('OW', 'update'),
    group: 'generic',
    since: '2.6.0',
    summary: 'Stores under a key what DUMP gave, here or in Redis; a ttl of 0 means no expiry',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds | FREQ frequency]',
    categories: ['dangerous'],
    runs: 'shard',
    run: restore,
  },
];
