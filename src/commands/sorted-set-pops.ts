import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import { type Row, RowType } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import { findRow, sortedSetOf, takeFromFirst } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import { writeScore } from './sorted-set-access.js';
import { textsOf } from './waiting.js';

/** Commands that take members with the lowest or the highest scores. */

const NOT_POSITIVE = new CommandError('ERR value is out of range, must be positive');
const NO_KEYS = new CommandError('ERR numkeys should be greater than 0');
const NO_COUNT = new CommandError('ERR count should be greater than 0');

/** Which end of a sorted set members are taken from. */
export type PopEnd = 'lowest' | 'highest';

/**
 * Takes members from a set, and writes each with its score.
 * @param count at least 1, at most the size of the set
 * @param inPairs each as an array of two, not flat
 */
export function popMembers(
  view: ShardView,
  reply: ReplyWriter,
  row: Row,
  { end, count, inPairs }: { readonly end: PopEnd; readonly count: number; readonly inPairs: boolean },
): void {
  const set = sortedSetOf(row);
  const write = ({ member, score }: { member: string; score: number }): boolean => {
    if (inPairs) reply.array(2);
    reply.bulk(member);
    writeScore(reply, score);
    return true;
  };
  const from = end === 'lowest' ? 0 : set.size - count;
  if (count === set.size) {
    if (end === 'lowest') set.each(0, count, write);
    else set.eachReverse(0, count, write);
    view.remove(row.key);
    return;
  }
  if (count === 1 || end === 'lowest') set.removeRange(from, count, write);
  else {
    set.eachReverse(from, set.size, write);
    set.removeRange(from, count);
  }
  view.changed(row);
}

/** ZPOPMIN and ZPOPMAX key [count] */
export function popFrom(end: PopEnd): ShardHandler {
  return ({ view, reply }, args) => {
    if (args.count > 3) return reply.error(SYNTAX_ERROR);
    const wanted = args.count === 3 ? parseInteger(args.text(2)) : 1;
    if (wanted === undefined || wanted < 0) return reply.error(NOT_POSITIVE);
    const row = findRow(view, args.text(1), RowType.SortedSet);
    if (row instanceof CommandError) return reply.error(row);
    if (row === undefined || wanted === 0) return reply.array(0);
    const inPairs = reply.version === 3 && args.count === 3;
    const count = Math.min(wanted, sortedSetOf(row).size);
    reply.array(inPairs ? count : count * 2);
    popMembers(view, reply, row, { end, count, inPairs });
  };
}

export interface MultiplePop {
  /** How many keys there are. */
  readonly keys: number;
  readonly end: PopEnd;
  readonly count: number;
}

/** Reads numkeys key [key ...] MIN | MAX [COUNT count], of which numkeys is at `at`. */
export function parseMultiplePop(args: Arguments, at: number): MultiplePop | CommandError {
  const keys = parseInteger(args.text(at));
  if (keys === undefined || keys < 1) return NO_KEYS;
  const where = at + keys + 1;
  if (where >= args.count) return SYNTAX_ERROR;
  const token = args.token(where);
  if (token !== 'MIN' && token !== 'MAX') return SYNTAX_ERROR;
  let count: number | undefined;
  for (let index = where + 1; index < args.count; index += 2) {
    if (count !== undefined || args.token(index) !== 'COUNT' || index + 1 >= args.count) return SYNTAX_ERROR;
    count = parseInteger(args.text(index + 1));
    if (count === undefined || count < 1) return NO_COUNT;
  }
  return { keys, end: token === 'MIN' ? 'lowest' : 'highest', count: count ?? 1 };
}

/** Takes members from a set, and replies its key and the members with their scores in pairs. */
export function replyMultiplePop(view: ShardView, reply: ReplyWriter, row: Row, pop: MultiplePop): void {
  const count = Math.min(pop.count, sortedSetOf(row).size);
  reply.array(2);
  reply.bulk(row.key);
  reply.array(count);
  popMembers(view, reply, row, { end: pop.end, count, inPairs: true });
}

/** ZMPOP numkeys key [key ...] MIN | MAX [COUNT count] */
export const popFromFirst: ShardHandler = (context, args) => {
  const { view, reply } = context;
  const pop = parseMultiplePop(args, 1);
  if (pop instanceof CommandError) return reply.error(pop);
  const keys = textsOf(args, 2, 2 + pop.keys);
  const take = (row: Row) => replyMultiplePop(view, reply, row, pop);
  if (!takeFromFirst(context, keys, RowType.SortedSet, take)) reply.nilArray();
};
