import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_A_FLOAT, SYNTAX_ERROR, wrongArity } from '../base/command-errors.js';
import { INT64_MAX } from '../base/numbers.js';
import type { ScoredMember } from '../types/collections/packed-scores.js';
import type { SortedSetValue } from '../types/collections/sorted-set.js';
import { RowType } from '../types/row.js';
import { formatScore, parseScore } from '../types/score.js';
import { findRow, save, sortedSetOf, sortedSetToWrite } from './collection-access.js';
import { scanHandler } from './collection-scan.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { parsePickCount, pickNames } from './random-picks.js';
import {
  beginMembers,
  readSortedSet,
  writeMember,
  writeScore,
  writeScoreOrNil,
} from './sorted-set-access.js';

/** The commands of members of one sorted set. Ranges, pops, and several sets are in files beside this one. */

const NX_AND_XX = new CommandError('ERR XX and NX options at the same time are not compatible');
const GT_LT_NX = new CommandError('ERR GT, LT, and/or NX options at the same time are not compatible');
const SEVERAL_INCREMENTS = new CommandError('ERR INCR option supports a single increment-element pair');
const NOT_A_NUMBER = new CommandError('ERR resulting score is not a number (NaN)');

/** Options of ZADD, and of GEOADD as far as it has them. */
export interface AddOptions {
  nx: boolean;
  xx: boolean;
  gt: boolean;
  lt: boolean;
  ch: boolean;
  incr: boolean;
}

/** @returns the options, and the place of the first score behind them */
function parseAddOptions(args: Arguments): { options: AddOptions; first: number } | CommandError {
  const options = { nx: false, xx: false, gt: false, lt: false, ch: false, incr: false };
  let first = 2;
  for (; first < args.count; first++) {
    const token = args.token(first);
    if (token === 'NX') options.nx = true;
    else if (token === 'XX') options.xx = true;
    else if (token === 'GT') options.gt = true;
    else if (token === 'LT') options.lt = true;
    else if (token === 'CH') options.ch = true;
    else if (token === 'INCR') options.incr = true;
    else break;
  }
  const { nx, xx, gt, lt, incr } = options;
  const words = args.count - first;
  if (words === 0 || words % 2 !== 0) return SYNTAX_ERROR;
  if (nx && xx) return NX_AND_XX;
  if ((gt && nx) || (lt && nx) || (gt && lt)) return GT_LT_NX;
  return incr && words > 2 ? SEVERAL_INCREMENTS : { options, first };
}

/** Reads scores, each with its member behind it. */
function parseEntries(args: Arguments, first: number): ScoredMember[] | CommandError {
  const entries: ScoredMember[] = [];
  for (let index = first; index < args.count; index += 2) {
    const score = parseScore(args.text(index));
    if (score === undefined) return NOT_A_FLOAT;
    entries.push({ score, member: args.text(index + 1) });
  }
  return entries;
}

/** The score that a member is to get; undefined where the options have it keep what it has, or lacks. */
function scoreToPut(
  options: AddOptions,
  current: number | undefined,
  given: number,
): number | undefined | CommandError {
  if (current === undefined) return options.xx ? undefined : given;
  if (options.nx) return undefined;
  const score = options.incr ? current + given : given;
  if (Number.isNaN(score)) return NOT_A_NUMBER;
  return (options.lt && score >= current) || (options.gt && score <= current) ? undefined : score;
}

/** Gives members of a key scores, and replies as the options say. */
export function addScores(
  { view, reply }: ShardContext,
  key: string,
  entries: readonly ScoredMember[],
  options: AddOptions,
): void {
  const row = findRow(view, key, RowType.SortedSet);
  if (row instanceof CommandError) {
    reply.error(row);
    return;
  }
  const set = sortedSetToWrite(view, row);
  if (set.version !== 0) set.prefetch(entries.map(({ member }) => member));
  let added = 0;
  let updated = 0;
  let last: number | undefined;
  for (const { member, score: given } of entries) {
    const current = set.score(member);
    const score = scoreToPut(options, current, given);
    if (score instanceof CommandError) {
      // Only of an increment, which comes alone: nothing has been changed.
      reply.error(score);
      return;
    }
    last = score;
    if (score === undefined || score === current) continue;
    set.put(member, current, score);
    if (current === undefined) added++;
    else updated++;
  }
  if (added + updated > 0) save(view, key, row, set);
  if (options.incr) writeScoreOrNil(reply, last);
  else reply.integer(options.ch ? added + updated : added);
}

/** ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...] */
export const addMembers: ShardHandler = (context, args) => {
  const parsed = parseAddOptions(args);
  if (parsed instanceof CommandError) return context.reply.error(parsed);
  const entries = parseEntries(args, parsed.first);
  if (entries instanceof CommandError) return context.reply.error(entries);
  addScores(context, args.text(1), entries, parsed.options);
};

const INCREMENT: AddOptions = { nx: false, xx: false, gt: false, lt: false, ch: false, incr: true };

export const incrementMember: ShardHandler = (context, args) => {
  const entries = parseEntries(args, 2);
  if (entries instanceof CommandError) return context.reply.error(entries);
  addScores(context, args.text(1), entries, INCREMENT);
};

export const removeMembers: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.SortedSet);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.integer(0);
  const set = sortedSetOf(row);
  let removed = 0;
  for (let index = 2; index < args.count; index++) if (set.delete(args.text(index)) !== undefined) removed++;
  if (removed > 0) view.changed(row);
  reply.integer(removed);
};

export const countMembers: ShardHandler = (context, args) => {
  const set = readSortedSet(context, args);
  if (set !== 'replied') context.reply.integer(set?.size ?? 0);
};

export const getScore: ShardHandler = (context, args) => {
  const set = readSortedSet(context, args);
  if (set !== 'replied') writeScoreOrNil(context.reply, set?.score(args.text(2)));
};

export const getScores: ShardHandler = (context, args) => {
  const set = readSortedSet(context, args);
  if (set === 'replied') return;
  const members: string[] = [];
  for (let index = 2; index < args.count; index++) members.push(args.text(index));
  const scores = set?.scoresOf(members);
  context.reply.array(members.length);
  for (let index = 0; index < members.length; index++) writeScoreOrNil(context.reply, scores?.[index]);
};

/** ZRANK and ZREVRANK key member [WITHSCORE]; the option is of Redis 7.2. */
export function rankOfMember(name: string, fromHighest: boolean): ShardHandler {
  return (context, args) => {
    const { reply } = context;
    if (args.count > 4) return reply.error(wrongArity(name));
    const withScore = args.count === 4;
    if (withScore && args.token(3) !== 'WITHSCORE') return reply.error(SYNTAX_ERROR);
    const set = readSortedSet(context, args);
    if (set === 'replied') return;
    const member = args.text(2);
    const score = set?.score(member);
    if (set === undefined || score === undefined) return withScore ? reply.nilArray() : reply.nil();
    const rank = set.rankOf({ member, score });
    if (withScore) reply.array(2);
    reply.integer(fromHighest ? set.size - 1 - rank : rank);
    if (withScore) writeScore(reply, score);
  };
}

const WITH_SCORES_MAX = Number(INT64_MAX / 2n);
const OUT_OF_RANGE = new CommandError('ERR value is out of range');

/** ZRANDMEMBER key [count [WITHSCORES]] */
export const randomMembers: ShardHandler = (context, args) => {
  const { reply } = context;
  if (args.count === 2) {
    const set = readSortedSet(context, args);
    if (set !== 'replied') reply.bulkOrNil(set?.pick(Math.random).member);
    return;
  }
  const count = parsePickCount(args.text(2));
  if (count instanceof CommandError) return reply.error(count);
  const withScores = args.count === 4;
  if (args.count > 4 || (withScores && args.token(3) !== 'WITHSCORES')) return reply.error(SYNTAX_ERROR);
  if (withScores && Math.abs(count) > WITH_SCORES_MAX) return reply.error(OUT_OF_RANGE);
  const set = readSortedSet(context, args);
  if (set === 'replied') return;
  if (set === undefined || count === 0) return reply.array(0);
  const picked = pickEntries(set, count);
  if (picked instanceof CommandError) return reply.error(picked);
  beginMembers(reply, picked.length, withScores);
  for (const entry of picked) writeMember(reply, entry, withScores);
};

function pickEntries(set: SortedSetValue, count: number): readonly ScoredMember[] | CommandError {
  const scores = new Map<string, number>();
  const noted = ({ member, score }: ScoredMember): string => {
    scores.set(member, score);
    return member;
  };
  const all = (): string[] => {
    const members: string[] = [];
    set.each(0, set.size, (entry) => members.push(noted(entry)) > 0);
    return members;
  };
  const names = pickNames({ size: set.size, pick: () => noted(set.pick(Math.random)), all }, count);
  if (names instanceof CommandError) return names;
  return names.map((member) => ({ member, score: scores.get(member)! }));
}

export const scanMembers: ShardHandler = scanHandler(RowType.SortedSet, (row, { cursor, count }, visit) =>
  sortedSetOf(row).scan(cursor, count, ({ member, score }) => visit(member, formatScore(score))),
);
