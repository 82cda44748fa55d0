import type { Arguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { ScoredMember } from '../types/collections/packed-scores.js';
import type { SortedSetValue } from '../types/collections/sorted-set.js';
import { RowType } from '../types/row.js';
import { formatScore } from '../types/score.js';
import { findRow, sortedSetOf } from './collection-access.js';
import type { ShardContext } from './definition.js';

/** The sorted set of the first argument; undefined where there is no key, and after an error, which is then replied. */
export function readSortedSet(
  { view, reply }: ShardContext,
  args: Arguments,
): SortedSetValue | undefined | 'replied' {
  const row = findRow(view, args.text(1), RowType.SortedSet);
  if (row instanceof CommandError) {
    reply.error(row);
    return 'replied';
  }
  return row && sortedSetOf(row);
}

/** A score: a double with 17 digits, in RESP2 a bulk string. */
export function writeScore(reply: ReplyWriter, score: number): void {
  if (reply.version === 3) reply.raw(`,${formatScore(score)}\r\n`);
  else reply.bulk(formatScore(score));
}

export function writeScoreOrNil(reply: ReplyWriter, score: number | undefined): void {
  if (score === undefined) reply.nil();
  else writeScore(reply, score);
}

/** Announces an array of so many members, which {@link writeMember} writes then. */
export function beginMembers(reply: ReplyWriter, count: number, withScores: boolean): void {
  reply.array(withScores && reply.version === 2 ? count * 2 : count);
}

/** A member; with its score they are two elements in RESP2, and a pair in RESP3. */
export function writeMember(reply: ReplyWriter, { member, score }: ScoredMember, withScores: boolean): void {
  if (withScores && reply.version === 3) reply.array(2);
  reply.bulk(member);
  if (withScores) writeScore(reply, score);
}
