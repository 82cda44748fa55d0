import {
  CommandError,
  NAN_OR_INFINITY,
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  OVERFLOW,
} from '../base/command-errors.js';
import { INT64_MIN, type Int64, parseInt64, sumInt64, toInt64 } from '../base/numbers.js';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../types/long-double.js';
import { RowFlag, stringValue, valueText } from '../types/row.js';
import { type CommandDefinition, oneKey, type ShardContext, type ShardHandler } from './definition.js';
import { findString } from './string-access.js';

const DECREMENT_OVERFLOW = new CommandError('ERR decrement would overflow');

/** Adds in 64 bits; the key's expiry stays. */
function add({ view, reply }: ShardContext, key: string, increment: Int64) {
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  // Long values are Buffers and no integers: an integer has 20 characters at most.
  const before = row === undefined ? 0 : typeof row.value === 'string' ? parseInt64(row.value) : undefined;
  if (before === undefined) return reply.error(NOT_AN_INTEGER);
  const after = sumInt64(before, increment);
  if (after === undefined) return reply.error(OVERFLOW);
  if (row === undefined) view.setString(key, String(after), 0);
  else view.updateString(row, String(after), 0);
  reply.integer(after);
}

const incrementBy: ShardHandler = (context, args) => {
  const increment = parseInt64(args.text(2));
  if (increment === undefined) context.reply.error(NOT_AN_INTEGER);
  else add(context, args.text(1), increment);
};

/** The smallest 64-bit integer has no negative, and is refused before the key is looked at. */
const decrementBy: ShardHandler = (context, args) => {
  const decrement = parseInt64(args.text(2));
  if (decrement === undefined) context.reply.error(NOT_AN_INTEGER);
  else if (decrement === INT64_MIN) context.reply.error(DECREMENT_OVERFLOW);
  else add(context, args.text(1), typeof decrement === 'number' ? 0 - decrement : toInt64(-decrement));
};

const incrementByFloat: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const before = parseLongDouble(row === undefined ? '0' : valueText(row.value));
  const increment = parseLongDouble(args.text(2));
  if (before === undefined || increment === undefined) return reply.error(NOT_A_FLOAT);
  const after = addLongDoubles(before, increment);
  if (!after.finite) return reply.error(NAN_OR_INFINITY);
  const value = stringValue(formatLongDouble(after));
  if (row === undefined) view.setString(key, value, 0, undefined, RowFlag.Text);
  else view.updateString(row, value, RowFlag.Text);
  reply.bulk(value);
};

export const counterCommands: readonly CommandDefinition[] = [
  {
    name: 'incr',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '1.0.0',
    summary: 'Adds 1 to the integer at a key; an absent key counts as 0.',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: (context, args) => add(context, args.text(1), 1),
  },
  {
    name: 'decr',
    arity: 2,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '1.0.0',
    summary: 'Subtracts 1 from the integer at a key; an absent key counts as 0.',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: (context, args) => add(context, args.text(1), -1),
  },
  {
    name: 'incrby',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '1.0.0',
    summary: 'Adds a signed 64-bit integer to the one at a key.',
    complexity: 'O(1)',
    syntax: 'key increment',
    runs: 'shard',
    run: incrementBy,
  },
  {
    name: 'decrby',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '1.0.0',
    summary: 'Subtracts a signed 64-bit integer from the one at a key.',
    complexity: 'O(1)',
    syntax: 'key decrement',
    runs: 'shard',
    run: decrementBy,
  },
  {
    name: 'incrbyfloat',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '2.6.0',
    summary: 'Adds a decimal number to the one at a key, and keeps up to 17 digits behind the point.',
    complexity: 'O(1)',
    syntax: 'key increment',
    runs: 'shard',
    run: incrementByFloat,
  },
];
