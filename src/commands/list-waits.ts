import { CommandError } from '../base/command-errors.js';
import { RowType } from '../types/row.js';
import { listOf, takeFromFirst } from './collection-access.js';
import {
  type CommandDefinition,
  countedKeys,
  type KeySpecification,
  type ShardContext,
  type ShardHandler,
} from './definition.js';
import {
  type ListMove,
  moveValue,
  parseManyPop,
  parseMove,
  parseRotation,
  popFirstOf,
} from './list-moves.js';
import { type End, popAt } from './lists.js';
import { attemptOrWait, parseTimeout, textsOf } from './waiting.js';

/** Commands that take from lists, and wait until there is something. */

type ListDefinition = Omit<CommandDefinition, 'group' | 'runs'>;

/** BLPOP and BRPOP key [key …] timeout */
function popOrWait(end: End): ShardHandler {
  const attempt = (context: ShardContext, keys: readonly string[]): boolean =>
    takeFromFirst(context, keys, RowType.List, (row) => {
      const { view, reply } = context;
      reply.array(2);
      reply.bulk(row.key);
      reply.bulk(popAt(listOf(row), end));
      view.changed(row);
    });
  return (context, args) => {
    const timeoutMs = parseTimeout(args, args.count - 1);
    if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
    const keys = textsOf(args, 1, args.count - 1);
    attemptOrWait(context, { keys, type: RowType.List, timeoutMs, attempt });
  };
}

/** BLMPOP timeout numkeys key [key …] LEFT | RIGHT [COUNT count] */
const popManyOrWait: ShardHandler = (context, args) => {
  const pop = parseManyPop(args, 2);
  if (pop instanceof CommandError) return context.reply.error(pop);
  const timeoutMs = parseTimeout(args, 1);
  if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
  const { keys } = pop;
  const attempt = (each: ShardContext, ready: readonly string[]) => popFirstOf(each, ready, pop);
  attemptOrWait(context, { keys, type: RowType.List, timeoutMs, attempt });
};

function moveOrWait(context: ShardContext, wanted: ListMove, timeoutMs: number | CommandError): void {
  if (timeoutMs instanceof CommandError) {
    context.reply.error(timeoutMs);
    return;
  }
  const attempt = (each: ShardContext): boolean => {
    const value = moveValue(each, wanted);
    if (value instanceof CommandError) each.reply.error(value);
    else if (value !== undefined) each.reply.bulk(value);
    return value !== undefined;
  };
  attemptOrWait(context, { keys: [wanted.from], type: RowType.List, timeoutMs, attempt });
}

/** BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout */
const moveOneOrWait: ShardHandler = (context, args) => {
  const wanted = parseMove(args);
  if (wanted instanceof CommandError) return context.reply.error(wanted);
  moveOrWait(context, wanted, parseTimeout(args, 5));
};

/** BRPOPLPUSH source destination timeout */
const rotateOrWait: ShardHandler = (context, args) =>
  moveOrWait(context, parseRotation(args), parseTimeout(args, 3));

/** From one list to another. */
export const MOVED_KEYS: readonly KeySpecification[] = [
  { first: 1, last: 1, step: 1, flags: ['RW', 'access', 'delete'] },
  { first: 2, last: 2, step: 1, flags: ['RW', 'insert'] },
];

function single(name: string, which: string, end: End): ListDefinition {
  return {
    name,
    arity: -3,
    flags: ['write', 'noscript', 'blocking'],
    keys: [{ first: 1, last: -2, step: 1, flags: ['RW', 'access', 'delete'] }],
    since: '2.0.0',
    summary: `Takes the ${which} element of the first of several lists that there is; waits for one`,
    complexity: 'O(K) for K keys',
    syntax: 'key [key ...] timeout',
    waits: { timeout: -1, instead: 'nilArray' },
    run: popOrWait(end),
  };
}

/** What the definitions of lists have in common is added to these. */
export const WAITING_LIST_COMMANDS: readonly ListDefinition[] = [
  single('blpop', 'first', 'LEFT'),
  single('brpop', 'last', 'RIGHT'),
  {
    name: 'blmpop',
    arity: -5,
    flags: ['write', 'blocking'],
    keys: [countedKeys(2, 'RW', 'access', 'delete')],
    since: '7.0.0',
    summary: 'Takes elements from the first of several lists that there is; waits for one',
    complexity: 'O(K+N) for K keys and N elements taken',
    syntax: 'timeout numkeys key [key ...] (LEFT | RIGHT) [COUNT count]',
    waits: { timeout: 1, instead: 'nilArray' },
    run: popManyOrWait,
  },
  {
    name: 'blmove',
    arity: 6,
    flags: ['write', 'denyoom', 'noscript', 'blocking'],
    keys: MOVED_KEYS,
    since: '6.2.0',
    summary: 'Takes the element at an end of one list and puts it at an end of another; waits for one',
    complexity: 'O(1)',
    syntax: 'source destination (LEFT | RIGHT) (LEFT | RIGHT) timeout',
    waits: { timeout: -1, instead: 'nil' },
    run: moveOneOrWait,
  },
  {
    name: 'brpoplpush',
    arity: 4,
    flags: ['write', 'denyoom', 'noscript', 'blocking'],
    keys: MOVED_KEYS,
    since: '2.2.0',
    summary: 'Takes the last element of a list and puts it at the beginning of another; waits for one',
    complexity: 'O(1)',
    syntax: 'source destination timeout',
    waits: { timeout: -1, instead: 'nil' },
    run: rotateOrWait,
  },
];
