import type { Arguments } from '../base/arguments.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import {
  type CommandFlag,
  type CommandGroup,
  type KeyFlag,
  type KeySpecification,
  keyBounds,
} from './definition.js';
import type { Command } from './table.js';

/** What COMMAND tells of a command beyond its definition: all derived from it, as Redis 7.0 does. */

/** The order in which flags are told. */
const FLAG_ORDER: readonly CommandFlag[] = [
  'write',
  'readonly',
  'denyoom',
  'admin',
  'pubsub',
  'noscript',
  'blocking',
  'loading',
  'stale',
  'skip_monitor',
  'skip_slowlog',
  'asking',
  'fast',
  'no_auth',
  'may_replicate',
  'no_mandatory_keys',
  'no_async_loading',
  'no_multi',
  'movablekeys',
  'allow_busy',
];

/** All ACL categories, in the order in which they are told. */
const CATEGORIES = [
  'keyspace',
  'read',
  'write',
  'set',
  'sortedset',
  'list',
  'hash',
  'string',
  'bitmap',
  'hyperloglog',
  'geo',
  'stream',
  'pubsub',
  'admin',
  'fast',
  'slow',
  'blocking',
  'dangerous',
  'connection',
  'transaction',
  'scripting',
] as const;

type Category = (typeof CATEGORIES)[number];

const GROUP_CATEGORY: Readonly<Partial<Record<CommandGroup, Category>>> = {
  string: 'string',
  bitmap: 'bitmap',
  hyperloglog: 'hyperloglog',
  hash: 'hash',
  list: 'list',
  set: 'set',
  'sorted-set': 'sortedset',
  geo: 'geo',
  stream: 'stream',
  generic: 'keyspace',
  connection: 'connection',
  transactions: 'transaction',
};

/**
 * What is filed under generic, and yet is not of keys alone: Redis counts WAIT among the commands of connections, and SORT
 * among those of the types that it sorts.
 */
const CATEGORY_OUTSIDE_GROUP: ReadonlyMap<string, Category> = new Map([
  ['wait', 'connection'],
  ['sort', 'list'],
  ['sort_ro', 'list'],
]);

const FLAG_CATEGORIES: readonly (readonly [CommandFlag, readonly Category[]])[] = [
  ['write', ['write']],
  ['readonly', ['read']],
  ['admin', ['admin', 'dangerous']],
  ['pubsub', ['pubsub']],
  ['blocking', ['blocking']],
];

const KEY_FLAG_ORDER: readonly KeyFlag[] = [
  'RO',
  'RW',
  'OW',
  'RM',
  'access',
  'update',
  'insert',
  'delete',
  'not_key',
  'incomplete',
  'variable_flags',
];

function inOrder<T>(order: readonly T[], chosen: ReadonlySet<T>): T[] {
  return order.filter((item) => chosen.has(item));
}

export function flagsOf(command: Command): CommandFlag[] {
  const flags = new Set(command.flags);
  if (keyRange(command.keys).movable) flags.add('movablekeys');
  return inOrder(FLAG_ORDER, flags);
}

/** The ACL categories of a command, without the `@`. */
export function categoriesOf(command: Command): string[] {
  const categories = new Set<string>(command.categories);
  for (const [flag, implied] of FLAG_CATEGORIES)
    if (command.flags.includes(flag)) for (const category of implied) categories.add(category);
  categories.add(command.flags.includes('fast') ? 'fast' : 'slow');
  const isMereContainer = command.children.size > 0 && command.flags.length === 0;
  const ofGroup = CATEGORY_OUTSIDE_GROUP.get(command.name) ?? GROUP_CATEGORY[command.group];
  if (ofGroup !== undefined && !isMereContainer) categories.add(ofGroup);
  return inOrder<string>(CATEGORIES, categories);
}

/** First key, last key and step, as clients without key specifications want them. */
export interface KeyRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  /** Whether some keys lie outside. */
  readonly movable: boolean;
}

/** The one range that a command's key specifications make together. */
export function keyRange(specifications: readonly KeySpecification[]): KeyRange {
  const [only] = specifications;
  if (only === undefined) return { first: 0, last: 0, step: 0, movable: false };
  if (only.counted || only.halved) return { first: 0, last: 0, step: 0, movable: true };
  if (specifications.length === 1) return { ...only, movable: only.flags.includes('incomplete') };
  let range: KeyRange | undefined;
  let movable = false;
  for (const { first, last, step, counted, keyword, untold } of specifications) {
    const isFound = counted || keyword !== undefined || untold;
    // What does not join on to the range so far is left out of it.
    if (isFound || step !== 1 || (range !== undefined && (range.last < 0 || range.last !== first - 1)))
      movable = true;
    else range = { first: range?.first ?? first, last, step: 1, movable: false };
  }
  return { ...(range ?? { first: 0, last: 0, step: 0 }), movable };
}

/** Writes the element of COMMAND's reply that tells of a command. */
export function writeCommandInfo(reply: ReplyWriter, command: Command): void {
  const range = keyRange(command.keys);
  reply.array(10);
  reply.bulk(command.name);
  reply.integer(command.arity);
  writeStatuses(reply, flagsOf(command));
  reply.integer(range.first);
  reply.integer(range.last);
  reply.integer(range.step);
  writeStatuses(
    reply,
    categoriesOf(command).map((category) => `@${category}`),
  );
  const { tips = [] } = command;
  reply.set(tips.length);
  for (const tip of tips) reply.bulk(tip);
  reply.set(command.keys.length);
  for (const specification of command.keys) writeKeySpecification(reply, specification);
  // In RESP3 a set where there is none, and an array where there are some: so does Redis.
  if (command.children.size === 0) reply.set(0);
  else reply.array(command.children.size);
  for (const child of command.children.values()) writeCommandInfo(reply, child);
}

function writeStatuses(reply: ReplyWriter, texts: readonly string[]): void {
  reply.set(texts.length);
  for (const text of texts) reply.simple(text);
}

function writeKeyFlags(reply: ReplyWriter, flags: readonly KeyFlag[]): void {
  writeStatuses(reply, inOrder(KEY_FLAG_ORDER, new Set(flags)));
}

function writeKeySpecification(reply: ReplyWriter, specification: KeySpecification): void {
  reply.map(3);
  reply.bulk('flags');
  writeKeyFlags(reply, specification.flags);
  reply.bulk('begin_search');
  writeSearch(reply, ...beginSearch(specification));
  reply.bulk('find_keys');
  writeSearch(reply, ...keySearch(specification));
}

type SearchFields = readonly (readonly [string, number | string])[];

/** Where the search for keys begins: its type, and what belongs to that. */
function beginSearch({ first, keyword, untold }: KeySpecification): [string, SearchFields] {
  if (untold) return ['unknown', []];
  if (keyword === undefined) return ['index', [['index', first]]];
  return [
    'keyword',
    [
      ['keyword', keyword],
      ['startfrom', first],
    ],
  ];
}

/** How keys are found from there. */
function keySearch(specification: KeySpecification): [string, SearchFields] {
  const { first, last, step, counted, keyword, halved, untold } = specification;
  if (untold) return ['unknown', []];
  if (counted)
    return [
      'keynum',
      [
        ['keynumidx', 0],
        ['firstkey', 1],
        ['keystep', step],
      ],
    ];
  const lastBehindFirst = last < 0 ? last : keyword !== undefined ? 0 : last - first;
  return [
    'range',
    [
      ['lastkey', lastBehindFirst],
      ['keystep', step],
      ['limit', halved ? 2 : 0],
    ],
  ];
}

function writeSearch(reply: ReplyWriter, type: string, fields: SearchFields): void {
  reply.map(2);
  reply.bulk('type');
  reply.bulk(type);
  reply.bulk('spec');
  reply.map(fields.length);
  for (const [name, value] of fields) {
    reply.bulk(name);
    if (typeof value === 'string') reply.bulk(value);
    else reply.integer(value);
  }
}

/** A key among the arguments of a command. */
export interface FoundKey {
  /** Place of the argument; the command's name is at 0. */
  readonly index: number;
  readonly flags: readonly KeyFlag[];
}

/** Finds the keys among the arguments of a command, of which there are enough for its arity. */
export function findKeys(command: Command, args: Arguments): FoundKey[] {
  const found: FoundKey[] = [];
  for (const specification of command.keys) {
    const { step, flags } = specification;
    const { first, last } = keyBounds(specification, args.count, (index) => args.text(index));
    const actual = flags.includes('variable_flags') ? (ACTUAL_FLAGS[command.name]?.(args) ?? flags) : flags;
    for (let index = first; index <= last; index += step) found.push({ index, flags: actual });
  }
  return found;
}

/** Whether the arguments hold as many keys as they say, which is at least one. */
export function hasCountedKeys(command: Command, args: Arguments): boolean {
  return command.keys.every(({ counted, first }) => {
    if (!counted) return true;
    const keys = parseInteger(args.text(first));
    return keys !== undefined && keys > 0 && keys < args.count - first;
  });
}

/** What commands with `variable_flags` do to their key, which depends on their options. */
const ACTUAL_FLAGS: Readonly<Record<string, (args: Arguments) => readonly KeyFlag[]>> = {
  set: (args) => {
    for (let index = 3; index < args.count; index++)
      if (args.token(index) === 'GET') return ['RW', 'access', 'update'];
    return ['OW', 'update'];
  },
  bitfield: (args) => {
    for (let index = 2; index < args.count; index++) {
      const token = args.token(index);
      if (token === 'SET' || token === 'INCRBY') return ['RW', 'access', 'update'];
    }
    return ['RO', 'access'];
  },
};

/** Writes what COMMAND GETKEYS, or GETKEYSANDFLAGS, tells of the keys. */
export function writeFoundKeys(
  reply: ReplyWriter,
  args: Arguments,
  keys: readonly FoundKey[],
  withFlags: boolean,
): void {
  reply.array(keys.length);
  for (const { index, flags } of keys) {
    if (withFlags) reply.array(2);
    reply.bulk(args.bytes(index));
    if (withFlags) writeKeyFlags(reply, flags);
  }
}
