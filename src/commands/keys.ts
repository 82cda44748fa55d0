import type { Arguments } from '../base/arguments.js';
import { CommandError, NO_SUCH_KEY, NOT_FLUSHED, SYNTAX_ERROR } from '../base/command-errors.js';
import { type Row, typeName } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import {
  allKeys,
  type CommandDefinition,
  oneKey,
  type ShardHandler,
  type ShardSettings,
} from './definition.js';
import { refusalOfCopy } from './held-elements.js';

const SAME_OBJECT = new CommandError('ERR source and destination objects are the same');

/** DEL and UNLINK are the same here: rows are removed by a staged write, nothing is freed in place. */
const deleteKeys: ShardHandler = (context, args) => {
  let removed = 0;
  for (let index = 1; index < args.count; index++) if (context.view.remove(args.text(index))) removed++;
  context.reply.integer(removed);
};

/** Counts a key as often as it is named. */
const exists: ShardHandler = (context, args) => {
  let found = 0;
  for (let index = 1; index < args.count; index++) if (context.view.peek(args.text(index))) found++;
  context.reply.integer(found);
};

const touch: ShardHandler = (context, args) => {
  let found = 0;
  for (let index = 1; index < args.count; index++) if (context.view.find(args.text(index))) found++;
  context.reply.integer(found);
};

const type: ShardHandler = (context, args) => {
  const row = context.view.peek(args.text(1));
  context.reply.simple(row === undefined ? 'none' : typeName(row.type));
};

/**
 * Stages what `row` holds under another key too, with its expiry. A collection is copied: no two rows share one.
 * @returns an error if it is too large
 */
function stageCopy(
  row: Row,
  target: ShardView,
  key: string,
  settings: ShardSettings,
): CommandError | undefined {
  const { collection } = row;
  if (collection === undefined) target.setString(key, row.value, row.expiresAtMs, undefined, row.flags);
  else {
    const refusal = refusalOfCopy(collection, settings);
    if (refusal !== undefined) return refusal;
    target.setCollection(key, collection.copy(target.collections), row.expiresAtMs);
  }
  return undefined;
}

/** @returns whether the key was renamed; undefined if there is none */
function moveWithin(view: ShardView, from: string, to: string, overwrite: boolean): boolean | undefined {
  const row = view.find(from);
  if (row === undefined) return undefined;
  if (from === to) return overwrite;
  if (!overwrite && view.peek(to) !== undefined) return false;
  view.rename(row, to);
  return true;
}

const rename: ShardHandler = (context, args) => {
  const renamed = moveWithin(context.view, args.text(1), args.text(2), true);
  if (renamed === undefined) context.reply.error(NO_SUCH_KEY);
  else context.reply.ok();
};

const renameIfNew: ShardHandler = (context, args) => {
  const renamed = moveWithin(context.view, args.text(1), args.text(2), false);
  if (renamed === undefined) context.reply.error(NO_SUCH_KEY);
  else context.reply.integer(renamed ? 1 : 0);
};

interface CopyOptions {
  readonly replace: boolean;
  readonly namesDatabase: boolean;
}

/** The number behind DB has been checked by the front. */
function parseCopyOptions(args: Arguments): CopyOptions | CommandError {
  let replace = false;
  let namesDatabase = false;
  for (let index = 3; index < args.count; index++) {
    const token = args.token(index);
    if (token === 'REPLACE') replace = true;
    else if (token === 'DB' && index + 1 < args.count) {
      namesDatabase = true;
      index++;
    } else return SYNTAX_ERROR;
  }
  return { replace, namesDatabase };
}

const copy: ShardHandler = (context, args) => {
  const { view, reply, settings } = context;
  const options = parseCopyOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const target = options.namesDatabase ? (context.target ?? view) : view;
  const from = args.text(1);
  const to = args.text(2);
  if (target === view && from === to) return reply.error(SAME_OBJECT);
  const row = view.find(from);
  if (row === undefined) return reply.integer(0);
  if (!options.replace && target.peek(to) !== undefined) return reply.integer(0);
  const refusal = stageCopy(row, target, to, settings);
  if (refusal !== undefined) return reply.error(refusal);
  reply.integer(1);
};

const move: ShardHandler = (context, args) => {
  const { view, reply, settings } = context;
  const target = context.target ?? view;
  if (target === view) return reply.error(SAME_OBJECT);
  const key = args.text(1);
  const row = view.find(key);
  if (row === undefined || target.peek(key) !== undefined) return reply.integer(0);
  const refusal = stageCopy(row, target, key, settings);
  if (refusal !== undefined) return reply.error(refusal);
  view.remove(key);
  reply.integer(1);
};

const randomKey: ShardHandler = (context) => {
  context.reply.bulkOrNil(context.view.randomKey());
};

const databaseSize: ShardHandler = (context) => {
  context.reply.integer(context.view.count());
};

/** ASYNC and SYNC are the same here: a flush takes constant time. */
const flushDatabase: ShardHandler = (context, args) => {
  if (args.count > 1 && !(args.count === 2 && /^A?SYNC$/.test(args.token(1))))
    return context.reply.error(SYNTAX_ERROR);
  if (!context.view.canFlush) return context.reply.error(NOT_FLUSHED);
  context.view.flush();
  context.reply.ok();
};

const DELETE_TIPS = ['request_policy:multi_shard', 'response_policy:agg_sum'] as const;

const COUNTING_COMMANDS: readonly CommandDefinition[] = [
  {
    name: 'del',
    arity: -2,
    flags: ['write'],
    keys: allKeys(1, 'RM', 'delete'),
    group: 'generic',
    since: '1.0.0',
    summary: 'Removes keys; replies how many there were',
    complexity: 'O(N) for N keys',
    syntax: 'key [key ...]',
    tips: DELETE_TIPS,
    runs: 'split',
    run: deleteKeys,
  },
  {
    name: 'unlink',
    arity: -2,
    flags: ['write', 'fast'],
    keys: allKeys(1, 'RM', 'delete'),
    group: 'generic',
    since: '4.0.0',
    summary: 'Removes keys, as DEL does',
    complexity: 'O(N) for N keys',
    syntax: 'key [key ...]',
    tips: DELETE_TIPS,
    runs: 'split',
    run: deleteKeys,
  },
  {
    name: 'exists',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: allKeys(1, 'RO'),
    group: 'generic',
    since: '1.0.0',
    summary: 'Counts how many of the named keys there are; a key named twice counts twice',
    complexity: 'O(N) for N keys',
    syntax: 'key [key ...]',
    tips: DELETE_TIPS,
    runs: 'split',
    run: exists,
  },
  {
    name: 'touch',
    arity: -2,
    flags: ['readonly', 'fast'],
    keys: allKeys(1, 'RO'),
    group: 'generic',
    since: '3.2.1',
    summary: 'Marks keys as accessed now; replies how many there are',
    complexity: 'O(N) for N keys',
    syntax: 'key [key ...]',
    tips: DELETE_TIPS,
    runs: 'split',
    run: touch,
  },
  {
    name: 'type',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO'),
    group: 'generic',
    since: '1.0.0',
    summary: 'Names the type of the value a key holds',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: type,
  },
];

const MOVING_COMMANDS: readonly CommandDefinition[] = [
  {
    name: 'rename',
    arity: 3,
    flags: ['write'],
    keys: [
      { first: 1, last: 1, step: 1, flags: ['RW', 'access', 'delete'] },
      { first: 2, last: 2, step: 1, flags: ['OW', 'update'] },
    ],
    group: 'generic',
    since: '1.0.0',
    summary: 'Gives a key another name, replacing what had it; the expiry goes along',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'key newkey',
    runs: 'shard',
    run: rename,
  },
  {
    name: 'renamenx',
    arity: 3,
    flags: ['write', 'fast'],
    keys: [
      { first: 1, last: 1, step: 1, flags: ['RW', 'access', 'delete'] },
      { first: 2, last: 2, step: 1, flags: ['OW', 'insert'] },
    ],
    group: 'generic',
    since: '1.0.0',
    summary: 'Gives a key another name unless that is taken',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'key newkey',
    runs: 'shard',
    run: renameIfNew,
  },
  {
    name: 'copy',
    arity: -3,
    flags: ['write', 'denyoom'],
    keys: [
      { first: 1, last: 1, step: 1, flags: ['RO', 'access'] },
      { first: 2, last: 2, step: 1, flags: ['OW', 'update'] },
    ],
    group: 'generic',
    since: '6.2.0',
    summary: 'Stores the value and expiry of a key under another key too, or in another database',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'source destination [DB destination-db] [REPLACE]',
    runs: 'shard',
    run: copy,
  },
  {
    name: 'move',
    arity: 3,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'access', 'update'),
    group: 'generic',
    since: '1.0.0',
    summary: 'Takes a key to another database, unless that has it already',
    complexity: 'O(S) for a value of S bytes',
    syntax: 'key db',
    runs: 'shard',
    run: move,
  },
];

const DATABASE_COMMANDS: readonly CommandDefinition[] = [
  {
    name: 'randomkey',
    arity: 1,
    flags: ['readonly'],
    keys: [],
    group: 'generic',
    since: '1.0.0',
    summary: 'Picks a key at random',
    complexity: 'O(log N) for N keys',
    syntax: '',
    tips: ['request_policy:all_shards', 'nondeterministic_output'],
    runs: 'split',
    run: randomKey,
  },
  {
    name: 'dbsize',
    arity: 1,
    flags: ['readonly', 'fast'],
    keys: [],
    group: 'server',
    since: '1.0.0',
    summary: 'Counts the keys of the selected database',
    complexity: 'O(1)',
    syntax: '',
    categories: ['keyspace'],
    tips: ['request_policy:all_shards', 'response_policy:agg_sum'],
    runs: 'split',
    run: databaseSize,
  },
  {
    name: 'flushdb',
    arity: -1,
    flags: ['write'],
    keys: [],
    group: 'server',
    since: '1.0.0',
    summary: 'Removes every key of the selected database',
    complexity: 'O(1)',
    syntax: '[ASYNC | SYNC]',
    categories: ['keyspace', 'dangerous'],
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    runs: 'split',
    run: flushDatabase,
  },
];

export const keyCommands: readonly CommandDefinition[] = [
  ...COUNTING_COMMANDS,
  ...MOVING_COMMANDS,
  ...DATABASE_COMMANDS,
];
