import type { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInt64, parseInteger } from '../base/numbers.js';
import { type Bit, type BitOperation, bitAt, combineBits, countBits, findBit } from '../types/bits.js';
import { RowFlag, stringValue, valueBytes } from '../types/row.js';
import { parseBitOffset, widened } from './bit-access.js';
import { bitField } from './bit-fields.js';
import { type CommandDefinition, oneKey, type ShardHandler } from './definition.js';
import { findString } from './string-access.js';

const NOT_A_BIT = new CommandError('ERR bit is not an integer or out of range');
const NOT_ONE_OR_ZERO = new CommandError('ERR The bit argument must be 1 or 0.');
const NOT_TAKES_ONE = new CommandError('ERR BITOP NOT must be called with a single source key.');

const setBit: ShardHandler = ({ view, reply, settings }, args) => {
  const offset = parseBitOffset(args.text(2), settings.protoMaxBulkBytes);
  if (offset instanceof CommandError) return reply.error(offset);
  const bit = parseInteger(args.text(3));
  if (bit !== 0 && bit !== 1) return reply.error(NOT_A_BIT);
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const value = row === undefined ? '' : row.value;
  const before = bitAt(value, offset);
  const index = Math.floor(offset / 8);
  if (row !== undefined && before === bit && index < value.length) {
    // Nothing changes, also to those who watch the key, but that the string is raw from now on.
    view.setFlags(row, RowFlag.Raw);
    return reply.integer(before);
  }
  const bytes = widened(value, index + 1);
  const mask = 0x80 >> (offset % 8);
  bytes[index] = bit === 1 ? bytes[index]! | mask : bytes[index]! & ~mask;
  const written = stringValue(bytes);
  if (row === undefined) view.setString(key, written, 0, undefined, RowFlag.Raw);
  else view.updateString(row, written, RowFlag.Raw);
  reply.integer(before);
};

const getBit: ShardHandler = ({ view, reply, settings }, args) => {
  const offset = parseBitOffset(args.text(2), settings.protoMaxBulkBytes);
  if (offset instanceof CommandError) return reply.error(offset);
  const row = findString(view, args.text(1));
  if (row instanceof CommandError) return reply.error(row);
  reply.integer(row === undefined ? 0 : bitAt(row.value, offset));
};

interface BitRange {
  /** Both inclusive and inside the string. */
  readonly first: number;
  readonly last: number;
}

/** Whether the argument says BIT, the unit of a range; without it a range is in bytes. */
function parseUnit(args: Arguments, index: number): boolean | CommandError {
  if (index >= args.count) return false;
  const token = args.token(index);
  if (token === 'BIT') return true;
  return token === 'BYTE' ? false : SYNTAX_ERROR;
}

/**
 * A range in the terms of GETRANGE as bits of a string.
 * @returns undefined if it is empty
 */
function bitRange(start: number, end: number, inBits: boolean, lengthBytes: number): BitRange | undefined {
  const length = inBits ? lengthBytes * 8 : lengthBytes;
  const first = start < 0 ? Math.max(length + start, 0) : start;
  const last = end < 0 ? Math.max(length + end, 0) : Math.min(end, length - 1);
  if (first > last || length === 0) return undefined;
  return inBits ? { first, last } : { first: first * 8, last: last * 8 + 7 };
}

/** As in Redis, an absent key is answered before the range is looked at. */
const bitCount: ShardHandler = ({ view, reply }, args) => {
  const row = findString(view, args.text(1));
  if (row === undefined) return reply.integer(0);
  if (row instanceof CommandError) return reply.error(row);
  let start = 0;
  let end = -1;
  let inBits = false;
  if (args.count !== 2) {
    if (args.count !== 4 && args.count !== 5) return reply.error(SYNTAX_ERROR);
    const givenStart = parseInt64(args.text(2));
    const givenEnd = parseInt64(args.text(3));
    if (givenStart === undefined || givenEnd === undefined) return reply.error(NOT_AN_INTEGER);
    // Negative ends are compared before they are cut off at the beginning, and before the unit is looked at.
    if (givenStart < 0 && givenEnd < 0 && givenStart > givenEnd) return reply.integer(0);
    start = Number(givenStart);
    end = Number(givenEnd);
    const unit = parseUnit(args, 4);
    if (unit instanceof CommandError) return reply.error(unit);
    inBits = unit;
  }
  const bytes = valueBytes(row.value);
  const range = bitRange(start, end, inBits, bytes.length);
  reply.integer(range === undefined ? 0 : countBits(bytes, range.first, range.last));
};

interface PositionOptions {
  readonly start: number;
  readonly end: number;
  readonly endGiven: boolean;
  readonly inBits: boolean;
}

function parsePositionOptions(args: Arguments): PositionOptions | CommandError {
  if (args.count > 6) return SYNTAX_ERROR;
  const start = args.count > 3 ? parseInteger(args.text(3)) : 0;
  if (start === undefined) return NOT_AN_INTEGER;
  const inBits = parseUnit(args, 5);
  if (inBits instanceof CommandError) return inBits;
  const endGiven = args.count > 4;
  const end = endGiven ? parseInteger(args.text(4)) : -1;
  if (end === undefined) return NOT_AN_INTEGER;
  return { start, end, endGiven, inBits };
}

/**
 * A string is thought to go on with zeros: where no end is given, the first zero of a string of ones alone is
 * the bit behind its last; with an end there is none.
 */
const bitPosition: ShardHandler = ({ view, reply }, args) => {
  const bit = parseInteger(args.text(2));
  if (bit === undefined) return reply.error(NOT_AN_INTEGER);
  if (bit !== 0 && bit !== 1) return reply.error(NOT_ONE_OR_ZERO);
  const row = findString(view, args.text(1));
  if (row === undefined) return reply.integer(bit === 1 ? -1 : 0);
  if (row instanceof CommandError) return reply.error(row);
  const options = parsePositionOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const bytes = valueBytes(row.value);
  const range = bitRange(options.start, options.end, options.inBits, bytes.length);
  if (range === undefined) return reply.integer(-1);
  const position = findBit(bytes, bit as Bit, range.first, range.last);
  reply.integer(position < 0 && bit === 0 && !options.endGiven ? bytes.length * 8 : position);
};

/** The destination gets a new string without expiry, or is deleted if all sources are empty. */
const bitOperation: ShardHandler = ({ view, reply }, args) => {
  const operation = args.token(1);
  if (operation !== 'AND' && operation !== 'OR' && operation !== 'XOR' && operation !== 'NOT') {
    return reply.error(SYNTAX_ERROR);
  }
  if (operation === 'NOT' && args.count !== 4) return reply.error(NOT_TAKES_ONE);
  const sources: Buffer[] = [];
  for (let index = 3; index < args.count; index++) {
    const row = findString(view, args.text(index));
    if (row instanceof CommandError) return reply.error(row);
    sources.push(valueBytes(row === undefined ? '' : row.value));
  }
  const result = combineBits(operation satisfies BitOperation, sources);
  const key = args.text(2);
  if (result.length === 0) view.remove(key);
  else view.setString(key, stringValue(result), 0, undefined, RowFlag.Raw);
  reply.integer(result.length);
};

export const bitmapCommands: readonly CommandDefinition[] = [
  {
    name: 'setbit',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'bitmap',
    since: '2.2.0',
    summary: 'Sets or clears one bit of a string, lengthened where needed, and replies what it was.',
    complexity: 'O(N) for a string of N bytes',
    syntax: 'key offset value',
    runs: 'shard',
    run: setBit,
  },
  {
    name: 'getbit',
    arity: 3,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO', 'access'),
    group: 'bitmap',
    since: '2.2.0',
    summary: 'Replies one bit of a string.',
    complexity: 'O(1)',
    syntax: 'key offset',
    runs: 'shard',
    run: getBit,
  },
  {
    name: 'bitcount',
    arity: -2,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    group: 'bitmap',
    since: '2.6.0',
    summary: 'Counts the ones in a string, or in a range of its bytes or bits.',
    complexity: 'O(N) for a range of N bytes',
    syntax: 'key [start end [BYTE | BIT]]',
    runs: 'shard',
    run: bitCount,
  },
  {
    name: 'bitpos',
    arity: -3,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    group: 'bitmap',
    since: '2.8.7',
    summary: 'Finds the first bit that is 1, or 0, in a string or in a range of its bytes or bits.',
    complexity: 'O(N) for a range of N bytes',
    syntax: 'key bit [start [end [BYTE | BIT]]]',
    runs: 'shard',
    run: bitPosition,
  },
  {
    name: 'bitop',
    arity: -4,
    flags: ['write', 'denyoom'],
    keys: [
      { first: 2, last: 2, step: 1, flags: ['OW', 'update'] },
      { first: 3, last: -1, step: 1, flags: ['RO', 'access'] },
    ],
    group: 'bitmap',
    since: '2.6.0',
    summary: 'Combines strings bit by bit, stores the result, and replies its length in bytes.',
    complexity: 'O(N) for N bytes in all',
    syntax: '(AND | OR | XOR | NOT) destkey key [key ...]',
    runs: 'shard',
    run: bitOperation,
  },
  {
    name: 'bitfield',
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'access', 'update', 'variable_flags'),
    group: 'bitmap',
    since: '3.2.0',
    summary: 'Reads, writes and adds to integers of any width inside a string.',
    complexity: 'O(1) an operation, and O(N) for a string of N bytes if one of them writes',
    syntax:
      'key [GET type offset | [OVERFLOW (WRAP | SAT | FAIL)] (SET type offset value | ' +
      'INCRBY type offset increment) ...]',
    runs: 'shard',
    run: (context, args) => bitField(context, args, false),
  },
  {
    name: 'bitfield_ro',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO', 'access'),
    group: 'bitmap',
    since: '6.0.0',
    summary: 'Reads integers of any width inside a string.',
    complexity: 'O(1) an operation',
    syntax: 'key [GET type offset [GET type offset ...]]',
    runs: 'shard',
    run: (context, args) => bitField(context, args, true),
  },
];
