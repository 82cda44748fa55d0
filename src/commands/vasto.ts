import { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { type LongDouble, parseLongDouble } from '../types/long-double.js';
import { type Row, RowType, type StringValue, stringValue, valueText } from '../types/row.js';
import { type CommandDefinition, oneKey, type ShardHandler } from './definition.js';
import { findString } from './string-access.js';
import { parseEventTime } from './string-options.js';

/** How many keys VASTO.PREFIX gives when LIMIT does not say. */
const PREFIX_LIMIT_DEFAULT = 10_000;
const LIMIT_NOT_POSITIVE = new CommandError('ERR LIMIT must be a positive integer');

export interface PrefixOptions {
  readonly after: string | undefined;
  readonly limit: number;
  readonly withValues: boolean;
}

export function parsePrefixOptions(args: Arguments): PrefixOptions | CommandError {
  let after: string | undefined;
  let limit = PREFIX_LIMIT_DEFAULT;
  let withValues = false;
  for (let index = 2; index < args.count; index++) {
    const token = args.token(index);
    const hasValue = index + 1 < args.count;
    if (token === 'VALUES') withValues = true;
    else if (token === 'AFTER' && hasValue) after = args.text(++index);
    else if (token === 'LIMIT' && hasValue) {
      const parsed = parseInteger(args.text(++index));
      if (parsed === undefined) return NOT_AN_INTEGER;
      if (parsed < 1) return LIMIT_NOT_POSITIVE;
      limit = parsed;
    } else return SYNTAX_ERROR;
  }
  return { after, limit, withValues };
}

/** A row's value that outlives the visit; undefined for types whose value is not one string. */
function keepValue(row: Row): StringValue | undefined {
  if (row.type !== RowType.String) return undefined;
  return typeof row.value === 'string' ? row.value : Buffer.from(row.value);
}

const prefix: ShardHandler = ({ view, reply }, args) => {
  const options = parsePrefixOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const { after, limit, withValues } = options;
  const start = args.text(1);
  const keys: string[] = [];
  const values: (StringValue | undefined)[] = [];
  const range = after === undefined ? { prefix: start } : { prefix: start, after };
  view.visit(range, withValues, (key, row) => {
    keys.push(key);
    if (withValues) values.push(keepValue(row!));
    return keys.length < limit;
  });
  reply.array(withValues ? keys.length * 2 : keys.length);
  for (const [index, key] of keys.entries()) {
    reply.bulk(key);
    if (withValues) reply.bulkOrNil(values[index]);
  }
};

/** A number as INCRBYFLOAT reads it, exact to 64 binary digits; infinities are not numbers here. */
function parseNumber(text: string): LongDouble | undefined {
  const value = parseLongDouble(text);
  return value?.finite ? value : undefined;
}

/** Longer values are no number, and need not be made a text to see that. */
const NUMBER_BYTES_MAX = 5 * 1024;

function storedNumber(row: Row): LongDouble | undefined {
  return row.value.length > NUMBER_BYTES_MAX ? undefined : parseNumber(valueText(row.value));
}

/** Negative, zero or positive as `left` is less than, equal to or greater than `right`. */
function compare(left: LongDouble, right: LongDouble): number {
  const unit = Math.min(left.exponent, right.exponent);
  const scaled = (number: LongDouble) => number.mantissa << BigInt(number.exponent - unit);
  const difference = scaled(left) - scaled(right);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/**
 * VASTO.MAX and VASTO.MIN. Numbers are stored as they were written; on a tie the stored text stays.
 * @param sign 1 keeps the greater number, −1 the lesser
 */
function keepWinner(sign: 1 | -1): ShardHandler {
  return ({ view, reply }, args) => {
    const key = args.text(1);
    const row = findString(view, key);
    if (row instanceof CommandError) return reply.error(row);
    const challenger = parseNumber(args.text(2));
    const holder = row === undefined ? undefined : storedNumber(row);
    if (challenger === undefined || (row !== undefined && holder === undefined))
      return reply.error(NOT_A_FLOAT);
    if (holder !== undefined && compare(challenger, holder) * sign <= 0) return reply.bulk(row!.value);
    const winner = stringValue(args.text(2));
    if (row === undefined) view.setString(key, winner, 0);
    else view.updateString(row, winner, 0);
    reply.bulk(winner);
  };
}

const deleteAtEventTime: ShardHandler = ({ view, reply, settings }, args) => {
  if (args.token(2) !== 'EVENTTIME') return reply.error(SYNTAX_ERROR);
  const eventTimeMs = parseEventTime(args.text(3), view.nowMs, settings.eventTimeDriftMaxMs, 'vasto.del');
  if (eventTimeMs instanceof CommandError) return reply.error(eventTimeMs);
  reply.integer(view.remove(args.text(1), eventTimeMs) ? 1 : 0);
};

export const vastoCommands: readonly CommandDefinition[] = [
  {
    name: 'vasto.prefix',
    arity: -2,
    flags: ['readonly'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Lists the keys that begin with a prefix, in byte order, at most LIMIT (10000 unless given); ' +
      'with VALUES each is followed by its value. To go on, pass the last key as AFTER',
    complexity: 'O(log N + M) for M keys listed, of N',
    syntax: 'prefix [AFTER key] [LIMIT count] [VALUES]',
    categories: ['keyspace'],
    tips: ['request_policy:all_shards'],
    runs: 'split',
    run: prefix,
  },
  {
    name: 'vasto.max',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Stores a number if the key has none or a lesser one, keeping its expiry; replies the number then stored',
    complexity: 'O(1)',
    syntax: 'key number',
    categories: ['string'],
    runs: 'shard',
    run: keepWinner(1),
  },
  {
    name: 'vasto.min',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Stores a number if the key has none or a greater one, keeping its expiry; replies the number then stored',
    complexity: 'O(1)',
    syntax: 'key number',
    categories: ['string'],
    runs: 'shard',
    run: keepWinner(-1),
  },
  {
    name: 'vasto.del',
    arity: 4,
    flags: ['write', 'fast'],
    keys: oneKey('RM', 'delete'),
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Removes a key unless a write of a later event time holds; writes of earlier event times cannot bring it back. ' +
      'Replies 1 if there was a key to remove, else 0',
    complexity: 'O(1)',
    syntax: 'key EVENTTIME unix-time-milliseconds',
    categories: ['keyspace'],
    runs: 'shard',
    run: deleteAtEventTime,
  },
];
