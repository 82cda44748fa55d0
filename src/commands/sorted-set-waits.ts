import { CommandError } from '../base/command-errors.js';
import { RowType } from '../types/row.js';
import { takeFromFirst } from './collection-access.js';
import type { CommandDefinition, ShardHandler, Wait } from './definition.js';
import { countedKeys } from './definition.js';
import { type PopEnd, parseMultiplePop, popMembers, replyMultiplePop } from './sorted-set-pops.js';
import { attemptOrWait, parseTimeout, textsOf } from './waiting.js';

/** Commands that take members of sorted sets, and wait until there are some. */

/** BZPOPMIN and BZPOPMAX key [key ...] timeout */
function popOrWait(end: PopEnd): ShardHandler {
  return (context, args) => {
    const timeoutMs = parseTimeout(args, args.count - 1);
    if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
    const keys = textsOf(args, 1, args.count - 1);
    const attempt: Wait['attempt'] = (each, ready) =>
      takeFromFirst(each, ready, RowType.SortedSet, (row) => {
        const { view, reply } = each;
        reply.array(3);
        reply.bulk(row.key);
        popMembers(view, reply, row, { end, count: 1, inPairs: false });
      });
    attemptOrWait(context, { keys, type: RowType.SortedSet, timeoutMs, attempt });
  };
}

/** BZMPOP timeout numkeys key [key ...] MIN | MAX [COUNT count] */
const popManyOrWait: ShardHandler = (context, args) => {
  const pop = parseMultiplePop(args, 2);
  if (pop instanceof CommandError) return context.reply.error(pop);
  const timeoutMs = parseTimeout(args, 1);
  if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
  const keys = textsOf(args, 3, 3 + pop.keys);
  const attempt: Wait['attempt'] = (each, ready) =>
    takeFromFirst(each, ready, RowType.SortedSet, (row) => replyMultiplePop(each.view, each.reply, row, pop));
  attemptOrWait(context, { keys, type: RowType.SortedSet, timeoutMs, attempt });
};

function single(name: string, which: string, end: PopEnd): Omit<CommandDefinition, 'group' | 'runs'> {
  return {
    name,
    arity: -3,
    flags: ['write', 'noscript', 'blocking', 'fast'],
    keys: [{ first: 1, last: -2, step: 1, flags: ['RW', 'access', 'delete'] }],
    since: '5.0.0',
    summary: `Removes the member with the ${which} score from the first sorted set that is there; waits for one`,
    complexity: 'O(K)+O(log(M)) for K keys and a set of M members',
    syntax: 'key [key ...] timeout',
    waits: { timeout: -1, instead: 'nilArray' },
    run: popOrWait(end),
  };
}

/** What the definitions of sorted sets have in common is added to these. */
export const WAITING_POP_COMMANDS: readonly Omit<CommandDefinition, 'group' | 'runs'>[] = [
  single('bzpopmin', 'lowest', 'lowest'),
  single('bzpopmax', 'highest', 'highest'),
  {
    name: 'bzmpop',
    arity: -5,
    flags: ['write', 'blocking'],
    keys: [countedKeys(2, 'RW', 'access', 'delete')],
    since: '7.0.0',
    summary:
      'Removes members with the lowest or highest scores of the first of the sorted sets that is there; waits for one',
    complexity: 'O(K)+O(N*log(M)) for K keys and N members of a set of M',
    syntax: 'timeout numkeys key [key ...] <MIN | MAX> [COUNT count]',
    waits: { timeout: 1, instead: 'nilArray' },
    run: popManyOrWait,
  },
];
