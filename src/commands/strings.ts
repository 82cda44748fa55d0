import type { Arguments } from '../base/arguments.js';
import { CommandError, WRONG_TYPE, wrongArity } from '../base/command-errors.js';
import { RowType } from '../types/row.js';
import {
  allKeys,
  type CommandDefinition,
  oneKey,
  type ShardContext,
  type ShardHandler,
} from './definition.js';
import { argumentValue, findString } from './string-access.js';
import { counterCommands } from './string-counters.js';
import {
  type ExpiryUnit,
  parseEventTime,
  parseExpiry,
  parseStringOptions,
  type StringOptions,
} from './string-options.js';
import { rangeCommands } from './string-ranges.js';

/** Replies the string at `key`, or nil. */
const get: ShardHandler = ({ view, reply }, args) => {
  const row = view.find(args.text(1));
  if (row === undefined) reply.nil();
  else if (row.type === RowType.String) reply.bulk(row.value);
  else reply.error(WRONG_TYPE);
};

const set: ShardHandler = (context, args) => {
  if (args.count === 3) {
    context.view.setString(args.text(1), argumentValue(args, 2), 0);
    context.reply.ok();
    return;
  }
  const options = parseStringOptions(args, 3, 'set');
  if (options instanceof CommandError) context.reply.error(options);
  else setWithOptions(context, args, options);
};

/**
 * Checks in Redis's order: expiry, type of the old value if asked for, condition. With GET the reply is the value
 * that was there before, whether or not the key was set; without, nil tells that it was not.
 */
function setWithOptions({ view, reply, settings }: ShardContext, args: Arguments, options: StringOptions) {
  let expiresAtMs = 0;
  if (options.expiryUnit !== undefined) {
    const parsed = parseExpiry(args.text(options.expiryIndex), options.expiryUnit, view.nowMs, 'set');
    if (parsed instanceof CommandError) return reply.error(parsed);
    expiresAtMs = parsed;
  }
  let eventTimeMs: number | undefined;
  if (options.eventTimeIndex !== 0) {
    const text = args.text(options.eventTimeIndex);
    const parsed = parseEventTime(text, view.nowMs, settings.eventTimeDriftMaxMs, 'set');
    if (parsed instanceof CommandError) return reply.error(parsed);
    eventTimeMs = parsed;
  }
  const key = args.text(1);
  const row = view.find(key);
  if (options.get) {
    if (row !== undefined && row.type !== RowType.String) return reply.error(WRONG_TYPE);
    reply.bulkOrNil(row?.value);
  }
  let written = false;
  if (row === undefined ? !options.ifPresent : !options.ifAbsent) {
    if (options.keepExpiry) expiresAtMs = row?.expiresAtMs ?? 0;
    written = view.setString(key, argumentValue(args, 2), expiresAtMs, eventTimeMs);
  }
  if (options.get) return;
  if (written) reply.ok();
  else reply.nil();
}

const setIfAbsent: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const absent = view.find(key) === undefined;
  if (absent) view.setString(key, argumentValue(args, 2), 0);
  reply.integer(absent ? 1 : 0);
};

/** SETEX and PSETEX: key, expiry, value. */
function setWithExpiry({ view, reply }: ShardContext, args: Arguments, unit: ExpiryUnit, name: string) {
  const expiresAtMs = parseExpiry(args.text(2), unit, view.nowMs, name);
  if (expiresAtMs instanceof CommandError) return reply.error(expiresAtMs);
  view.setString(args.text(1), argumentValue(args, 3), expiresAtMs);
  reply.ok();
}

const getSet: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  reply.bulkOrNil(row?.value);
  view.setString(key, argumentValue(args, 2), 0);
};

const getDelete: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  reply.bulkOrNil(row?.value);
  if (row !== undefined) view.remove(key);
};

/** The expiry's own validity is checked only where there is a string to apply it to, as in Redis. */
const getWithExpiry: ShardHandler = ({ view, reply }, args) => {
  const options = parseStringOptions(args, 2, 'getex');
  if (options instanceof CommandError) return reply.error(options);
  const row = findString(view, args.text(1));
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.nil();
  let expiresAtMs = 0;
  if (options.expiryUnit !== undefined) {
    const parsed = parseExpiry(args.text(options.expiryIndex), options.expiryUnit, view.nowMs, 'getex');
    if (parsed instanceof CommandError) return reply.error(parsed);
    expiresAtMs = parsed;
  }
  reply.bulk(row.value);
  if (expiresAtMs !== 0) view.setExpiry(row, expiresAtMs);
  else if (options.persist && row.expiresAtMs !== 0) view.setExpiry(row, 0);
};

/** Keys of other types count as absent here: MGET never fails. */
const getMany: ShardHandler = ({ view, reply }, args) => {
  const { count } = args;
  reply.array(count - 1);
  for (let index = 1; index < count; index++) {
    const row = view.find(args.text(index));
    if (row !== undefined && row.type === RowType.String) reply.bulk(row.value);
    else reply.nil();
  }
};

const writePairs: ShardHandler = ({ view }, args) => {
  for (let index = 1; index < args.count; index += 2) {
    view.setString(args.text(index), argumentValue(args, index + 1), 0);
  }
};

const setMany: ShardHandler = (context, args) => {
  if (args.count % 2 === 0) return context.reply.error(wrongArity('mset'));
  writePairs(context, args);
  context.reply.ok();
};

const setManyIfAbsent: ShardHandler = (context, args) => {
  if (args.count % 2 === 0) return context.reply.error(wrongArity('msetnx'));
  for (let index = 1; index < args.count; index += 2) {
    if (context.view.find(args.text(index)) !== undefined) return context.reply.integer(0);
  }
  writePairs(context, args);
  context.reply.integer(1);
};

export const stringCommands: readonly CommandDefinition[] = [
  {
    name: 'get',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO', 'access'),
    group: 'string',
    since: '1.0.0',
    summary: 'Reads a string.',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: get,
  },
  {
    name: 'set',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'access', 'update', 'variable_flags'),
    group: 'string',
    since: '1.0.0',
    summary:
      'Writes a string over whatever the key held, if the condition allows and no write of a later event time holds.',
    complexity: 'O(1)',
    syntax:
      'key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | ' +
      'PXAT unix-time-milliseconds | KEEPTTL] [EVENTTIME unix-time-milliseconds]',
    runs: 'shard',
    run: set,
  },
  {
    name: 'setnx',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('OW', 'insert'),
    group: 'string',
    since: '1.0.0',
    summary: 'Writes a string only where there is no key; replies 1 if it did.',
    complexity: 'O(1)',
    syntax: 'key value',
    runs: 'shard',
    run: setIfAbsent,
  },
  {
    name: 'setex',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: oneKey('OW', 'update'),
    group: 'string',
    since: '2.0.0',
    summary: 'Writes a string that ends after so many seconds.',
    complexity: 'O(1)',
    syntax: 'key seconds value',
    runs: 'shard',
    run: (context, args) => setWithExpiry(context, args, 'EX', 'setex'),
  },
  {
    name: 'psetex',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: oneKey('OW', 'update'),
    group: 'string',
    since: '2.6.0',
    summary: 'Writes a string that ends after so many milliseconds.',
    complexity: 'O(1)',
    syntax: 'key milliseconds value',
    runs: 'shard',
    run: (context, args) => setWithExpiry(context, args, 'PX', 'psetex'),
  },
  {
    name: 'getset',
    arity: 3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '1.0.0',
    summary: 'Writes a string and replies the one it replaced.',
    complexity: 'O(1)',
    syntax: 'key value',
    runs: 'shard',
    run: getSet,
  },
  {
    name: 'getdel',
    arity: 2,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'access', 'delete'),
    group: 'string',
    since: '6.2.0',
    summary: 'Reads a string and deletes its key.',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: getDelete,
  },
  {
    name: 'getex',
    arity: -2,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'string',
    since: '6.2.0',
    summary: 'Reads a string and sets or takes away the expiry of its key.',
    complexity: 'O(1)',
    syntax:
      'key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]',
    runs: 'shard',
    run: getWithExpiry,
  },
  {
    name: 'mget',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: allKeys(1, 'RO', 'access'),
    group: 'string',
    since: '1.0.0',
    summary: 'Reads several strings; nil for keys that are absent or of another type.',
    complexity: 'O(N) for N keys',
    syntax: 'key [key ...]',
    tips: ['request_policy:multi_shard'],
    runs: 'split',
    run: getMany,
  },
  {
    name: 'mset',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: allKeys(2, 'OW', 'update'),
    group: 'string',
    since: '1.0.1',
    summary: 'Writes several strings.',
    complexity: 'O(N) for N keys',
    syntax: 'key value [key value ...]',
    tips: ['request_policy:multi_shard', 'response_policy:all_succeeded'],
    runs: 'split',
    run: setMany,
  },
  {
    name: 'msetnx',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: allKeys(2, 'OW', 'insert'),
    group: 'string',
    since: '1.0.1',
    summary: 'Writes several strings, or none of them if one of the keys is there already.',
    complexity: 'O(N) for N keys',
    syntax: 'key value [key value ...]',
    tips: ['request_policy:multi_shard', 'response_policy:agg_min'],
    runs: 'shard',
    run: setManyIfAbsent,
  },
  ...counterCommands,
  ...rangeCommands,
];
