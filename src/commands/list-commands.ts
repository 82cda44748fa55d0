import { type CommandDefinition, countedKeys, oneKey } from './definition.js';
import { move, popMany, rotate } from './list-moves.js';
import { positionOf } from './list-search.js';
import { MOVED_KEYS, WAITING_LIST_COMMANDS } from './list-waits.js';
import {
  insertBeside,
  listLength,
  listRange,
  popLeft,
  popRight,
  pushLeft,
  pushLeftIfThere,
  pushRight,
  pushRightIfThere,
  removeEqual,
  replaceAt,
  trim,
  valueAt,
} from './lists.js';

/** What the definitions of list commands have in common is added below. */
type ListDefinition = Omit<CommandDefinition, 'group' | 'runs'>;

const READS = oneKey('RO', 'access');
const TAKES = oneKey('RW', 'access', 'delete');

function push(name: string, since: string, summary: string, run: ListDefinition['run']): ListDefinition {
  return {
    name,
    arity: -3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'insert'),
    since,
    summary,
    complexity: 'O(N) for N elements',
    syntax: 'key element [element ...]',
    ...(run && { run }),
  };
}

function pop(name: string, end: string, run: ListDefinition['run']): ListDefinition {
  return {
    name,
    arity: -2,
    flags: ['write', 'fast'],
    keys: TAKES,
    since: '1.0.0',
    summary: `Takes elements from the ${end} of a list, and removes the key with the last one`,
    complexity: 'O(N) for N elements taken',
    syntax: 'key [count]',
    ...(run && { run }),
  };
}

const END_COMMANDS: readonly ListDefinition[] = [
  push(
    'lpush',
    '1.0.0',
    'Puts elements at the beginning of a list, one after the other; replies its length',
    pushLeft,
  ),
  push('rpush', '1.0.0', 'Puts elements at the end of a list; replies its length', pushRight),
  push('lpushx', '2.2.0', 'Puts elements at the beginning of a list that there is already', pushLeftIfThere),
  push('rpushx', '2.2.0', 'Puts elements at the end of a list that there is already', pushRightIfThere),
  pop('lpop', 'beginning', popLeft),
  pop('rpop', 'end', popRight),
  {
    name: 'lmpop',
    arity: -4,
    flags: ['write'],
    keys: [countedKeys(1, 'RW', 'access', 'delete')],
    since: '7.0.0',
    summary: 'Takes elements from the first of several lists that there is; replies its key with them',
    complexity: 'O(K+N) for K keys and N elements taken',
    syntax: 'numkeys key [key ...] <LEFT | RIGHT> [COUNT count]',
    run: popMany,
  },
  {
    name: 'lmove',
    arity: 5,
    flags: ['write', 'denyoom'],
    keys: MOVED_KEYS,
    since: '6.2.0',
    summary: 'Takes the element at an end of one list and puts it at an end of another, or of the same one',
    complexity: 'O(1)',
    syntax: 'source destination <LEFT | RIGHT> <LEFT | RIGHT>',
    run: move,
  },
  {
    name: 'rpoplpush',
    arity: 3,
    flags: ['write', 'denyoom'],
    keys: MOVED_KEYS,
    since: '1.2.0',
    summary: 'Takes the last element of a list and puts it at the beginning of another, or of the same one',
    complexity: 'O(1)',
    syntax: 'source destination',
    run: rotate,
  },
];

const INDEX_COMMANDS: readonly ListDefinition[] = [
  {
    name: 'llen',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO'),
    since: '1.0.0',
    summary: 'Counts the elements of a list',
    complexity: 'O(1)',
    syntax: 'key',
    run: listLength,
  },
  {
    name: 'lrange',
    arity: 4,
    flags: ['readonly'],
    keys: READS,
    since: '1.0.0',
    summary: 'Gets the elements from one index to another, both included; negative ones count from the end',
    complexity: 'O(log L + N) for N elements of a list of L',
    syntax: 'key start stop',
    run: listRange,
  },
  {
    name: 'lindex',
    arity: 3,
    flags: ['readonly'],
    keys: READS,
    since: '1.0.0',
    summary: 'Gets the element at an index, which counts from the end if negative',
    complexity: 'O(log L) for a list of L elements',
    syntax: 'key index',
    run: valueAt,
  },
  {
    name: 'lset',
    arity: 4,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'update'),
    since: '1.0.0',
    summary: 'Puts another element in the place of the one at an index',
    complexity: 'O(log L) for a list of L elements',
    syntax: 'key index element',
    run: replaceAt,
  },
  {
    name: 'ltrim',
    arity: 4,
    flags: ['write'],
    keys: oneKey('RW', 'delete'),
    since: '1.0.0',
    summary: 'Keeps the elements from one index to another, both included, and removes all others',
    complexity: 'O(N) for N elements removed',
    syntax: 'key start stop',
    run: trim,
  },
];

const ELEMENT_COMMANDS: readonly ListDefinition[] = [
  {
    name: 'linsert',
    arity: 5,
    flags: ['write', 'denyoom'],
    keys: oneKey('RW', 'insert'),
    since: '2.2.0',
    summary: 'Puts an element before or after the first one that equals the pivot; replies the length, or -1',
    complexity: 'O(N) for N elements before the pivot',
    syntax: 'key <BEFORE | AFTER> pivot element',
    run: insertBeside,
  },
  {
    name: 'lrem',
    arity: 4,
    flags: ['write'],
    keys: oneKey('RW', 'delete'),
    since: '1.0.0',
    summary: 'Removes elements that equal one: the first count ones, the last ones if negative, or all for 0',
    complexity: 'O(N) for a list of N elements',
    syntax: 'key count element',
    run: removeEqual,
  },
  {
    name: 'lpos',
    arity: -3,
    flags: ['readonly'],
    keys: READS,
    since: '6.0.6',
    summary: 'Gets the indexes of elements that equal one',
    complexity: 'O(N) for a list of N elements',
    syntax: 'key element [RANK rank] [COUNT num-matches] [MAXLEN len]',
    run: positionOf,
  },
];

export const listCommands: readonly CommandDefinition[] = [
  ...END_COMMANDS,
  ...WAITING_LIST_COMMANDS,
  ...INDEX_COMMANDS,
  ...ELEMENT_COMMANDS,
].map((definition) => ({ ...definition, group: 'list', runs: 'shard' }));
