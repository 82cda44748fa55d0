import { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, STRING_TOO_LONG, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInt64, parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import { CommonSubsequence } from '../types/lcs.js';
import { RowFlag, RowType, type StringValue, stringValue, TEXT_BYTES_MAX, valueBytes } from '../types/row.js';
import { type CommandDefinition, oneKey, type ShardHandler } from './definition.js';
import { argumentValue, findString } from './string-access.js';

const OFFSET_OUT_OF_RANGE = new CommandError('ERR offset is out of range');
const LCS_WRONG_TYPE = new CommandError('ERR The specified keys must contain string values');
const LCS_LENGTH_AND_INDEXES = new CommandError(
  'ERR If you want both the length and indexes, please just use IDX.',
);
const LCS_TOO_LARGE = new CommandError(
  'ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len',
);
/** Bytes of a cell in Redis's table, from which follows which texts it refuses. */
const LCS_CELL_BYTES = 4;

/** What is appended to an absent key is an ordinary string; only a second write makes it raw. */
const append: ShardHandler = ({ view, reply, settings }, args) => {
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const addedBytes = args.byteLength(2);
  if (row === undefined) {
    view.setString(key, argumentValue(args, 2), 0);
    return reply.integer(addedBytes);
  }
  const totalBytes = row.value.length + addedBytes;
  if (totalBytes > settings.protoMaxBulkBytes) return reply.error(STRING_TOO_LONG);
  view.updateString(row, joined(row.value, args), RowFlag.Raw);
  reply.integer(totalBytes);
};

/** The value with argument 2 behind it: one copy, as the stored bytes may be shared. */
function joined(value: StringValue, args: Arguments): StringValue {
  const addedBytes = args.byteLength(2);
  if (addedBytes === 0) return value;
  const totalBytes = value.length + addedBytes;
  if (typeof value === 'string') {
    if (totalBytes <= TEXT_BYTES_MAX) return value + args.text(2);
    const bytes = Buffer.allocUnsafeSlow(totalBytes);
    bytes.latin1Write(value, 0);
    args.bytes(2).copy(bytes, value.length);
    return bytes;
  }
  const bytes = Buffer.allocUnsafeSlow(totalBytes);
  bytes.set(value, 0);
  args.bytes(2).copy(bytes, value.length);
  return bytes;
}

const stringLength: ShardHandler = ({ view, reply }, args) => {
  const row = findString(view, args.text(1));
  if (row instanceof CommandError) reply.error(row);
  else reply.integer(row === undefined ? 0 : row.value.length);
};

const getRange: ShardHandler = ({ view, reply }, args) => {
  const start = parseInt64(args.text(2));
  const end = parseInt64(args.text(3));
  if (start === undefined || end === undefined) return reply.error(NOT_AN_INTEGER);
  const row = findString(view, args.text(1));
  if (row instanceof CommandError) return reply.error(row);
  // Negative ends are compared as given: cut off at the beginning, both could become 0.
  if (row === undefined || (start < 0 && end < 0 && start > end)) return reply.bulk('');
  const { value } = row;
  const { length } = value;
  const first = start < 0 ? Math.max(length + Number(start), 0) : Number(start);
  const behind = (end < 0 ? Math.max(length + Number(end), 0) : Math.min(Number(end), length - 1)) + 1;
  if (first >= behind) reply.bulk('');
  else reply.bulk(typeof value === 'string' ? value.slice(first, behind) : value.subarray(first, behind));
};

/** Zeros fill the gap between the old end and the offset; nothing written changes nothing. */
const setRange: ShardHandler = ({ view, reply, settings }, args) => {
  const offset = parseInteger(args.text(2));
  if (offset === undefined) return reply.error(NOT_AN_INTEGER);
  if (offset < 0) return reply.error(OFFSET_OUT_OF_RANGE);
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const before = row === undefined ? '' : row.value;
  const written = args.byteLength(3);
  if (written === 0) return reply.integer(before.length);
  if (offset + written > settings.protoMaxBulkBytes) return reply.error(STRING_TOO_LONG);
  const value = overwritten(before, offset, args.bytes(3));
  if (row === undefined) view.setString(key, value, 0, undefined, RowFlag.Raw);
  else view.updateString(row, value, RowFlag.Raw);
  reply.integer(value.length);
};

function overwritten(value: StringValue, offset: number, bytes: Buffer): StringValue {
  const totalBytes = Math.max(value.length, offset + bytes.length);
  const target = Buffer.allocUnsafeSlow(totalBytes);
  if (typeof value === 'string') target.latin1Write(value, 0);
  else target.set(value, 0);
  if (offset > value.length) target.fill(0, value.length, offset);
  bytes.copy(target, offset);
  return stringValue(target);
}

interface LcsOptions {
  lengthOnly: boolean;
  indexes: boolean;
  withMatchLength: boolean;
  matchLengthMin: number;
}

function parseLcsOptions(args: Arguments): LcsOptions | CommandError {
  const options: LcsOptions = {
    lengthOnly: false,
    indexes: false,
    withMatchLength: false,
    matchLengthMin: 0,
  };
  for (let index = 3; index < args.count; index++) {
    const token = args.token(index);
    if (token === 'LEN') options.lengthOnly = true;
    else if (token === 'IDX') options.indexes = true;
    else if (token === 'WITHMATCHLEN') options.withMatchLength = true;
    else if (token === 'MINMATCHLEN' && index + 1 < args.count) {
      const minimum = parseInteger(args.text(++index));
      if (minimum === undefined) return NOT_AN_INTEGER;
      options.matchLengthMin = minimum;
    } else return SYNTAX_ERROR;
  }
  return options.lengthOnly && options.indexes ? LCS_LENGTH_AND_INDEXES : options;
}

/** The table's memory is bounded by proto-max-bulk-len, as in Redis. */
const longestCommonSubsequence: ShardHandler = ({ view, reply, settings }, args) => {
  const leftRow = view.find(args.text(1));
  const rightRow = view.find(args.text(2));
  for (const row of [leftRow, rightRow]) {
    if (row !== undefined && row.type !== RowType.String) return reply.error(LCS_WRONG_TYPE);
  }
  const options = parseLcsOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const left = valueBytes(leftRow?.value ?? '');
  const right = valueBytes(rightRow?.value ?? '');
  const tableBytes = (left.length + 1) * (right.length + 1) * LCS_CELL_BYTES;
  if (tableBytes > settings.protoMaxBulkBytes) return reply.error(LCS_TOO_LARGE);
  const common = new CommonSubsequence(left, right);
  if (options.lengthOnly) return reply.integer(common.length);
  if (options.indexes) return replyRuns(reply, common, options);
  const bytes = Buffer.allocUnsafe(common.length);
  common.write(bytes);
  reply.bulk(bytes);
};

function replyRuns(reply: ReplyWriter, common: CommonSubsequence, options: LcsOptions) {
  const runs = common
    .runs()
    .filter(({ leftStart, leftEnd }) => leftEnd - leftStart + 1 >= options.matchLengthMin);
  reply.map(2);
  reply.bulk('matches');
  reply.array(runs.length);
  for (const { leftStart, leftEnd, rightStart, rightEnd } of runs) {
    reply.array(options.withMatchLength ? 3 : 2);
    reply.array(2);
    reply.integer(leftStart);
    reply.integer(leftEnd);
    reply.array(2);
    reply.integer(rightStart);
    reply.integer(rightEnd);
    if (options.withMatchLength) reply.integer(leftEnd - leftStart + 1);
  }
  reply.bulk('len');
  reply.integer(common.length);
}

export const rangeCommands: readonly CommandDefinition[] = [
  {
    name: 'append',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'insert'),
    group: 'string',
    since: '2.0.0',
    summary: 'Adds bytes to the end of a string, and replies its new length.',
    complexity: 'O(N) for a string of N bytes',
    syntax: 'key value',
    runs: 'shard',
    run: append,
  },
  {
    name: 'strlen',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO'),
    group: 'string',
    since: '2.2.0',
    summary: 'Replies the length of a string in bytes.',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: stringLength,
  },
  {
    name: 'getrange',
    arity: 4,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    group: 'string',
    since: '2.4.0',
    summary: 'Reads a part of a string; negative offsets count from the end, both ends are inclusive.',
    complexity: 'O(N) for N bytes replied',
    syntax: 'key start end',
    runs: 'shard',
    run: getRange,
  },
  {
    name: 'substr',
    arity: 4,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    group: 'string',
    since: '1.0.0',
    summary: 'The old name of GETRANGE.',
    complexity: 'O(N) for N bytes replied',
    syntax: 'key start end',
    runs: 'shard',
    run: getRange,
  },
  {
    name: 'setrange',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'update'),
    group: 'string',
    since: '2.2.0',
    summary: 'Overwrites a part of a string, and lengthens it where needed.',
    complexity: 'O(N) for a string of N bytes',
    syntax: 'key offset value',
    runs: 'shard',
    run: setRange,
  },
  {
    name: 'lcs',
    arity: -3,
    flags: ['readonly'],
    keys: [{ first: 1, last: 2, step: 1, flags: ['RO', 'access'] }],
    group: 'string',
    since: '7.0.0',
    summary: 'Finds the longest common subsequence of two strings.',
    complexity: 'O(N*M) for strings of N and M bytes',
    syntax: 'key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]',
    runs: 'shard',
    run: longestCommonSubsequence,
  },
];
