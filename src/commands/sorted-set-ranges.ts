import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { ScoredMember } from '../types/collections/packed-scores.js';
import { ownText } from '../types/collections/packed-text.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import { RowType } from '../types/row.js';
import {
  isMemberAbove,
  isMemberBelow,
  isScoreAbove,
  isScoreBelow,
  parseLexBound,
  parseScoreBound,
} from '../types/score.js';
import { findRow, replace, sortedSetOf } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import { refusalOfElements } from './held-elements.js';
import { beginMembers, readSortedSet, writeMember } from './sorted-set-access.js';

/** The commands of ranges of one sorted set: by rank, by score, or by member where all have the same score. */

const NOT_SCORES = new CommandError('ERR min or max is not a float');
const NOT_MEMBERS = new CommandError('ERR min or max not valid string range item');
const LIMIT_OF_RANKS = new CommandError(
  'ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX',
);
const SCORES_OF_MEMBERS = new CommandError(
  'ERR syntax error, WITHSCORES not supported in combination with BYLEX',
);

export type RangeKind = 'rank' | 'score' | 'lex';

/** Entries of a sorted set by their ranks: from `from` to before `to`; none unless `from < to`. */
interface Span {
  readonly from: number;
  readonly to: number;
}

const NOTHING: Span = { from: 0, to: 0 };

/** Where a range lies in a sorted set. */
type Locate = (set: SortedSetValue) => Span;

/**
 * Reads the two ends of a range.
 * @param min the lower end; the first one, of ranks
 * @param fromHighest ranks count from the highest score
 */
function parseRange(kind: RangeKind, min: string, max: string, fromHighest: boolean): Locate | CommandError {
  switch (kind) {
    case 'rank':
      return parseRanks(min, max, fromHighest);
    case 'score': {
      const [low, high] = [parseScoreBound(min), parseScoreBound(max)];
      if (low === undefined || high === undefined) return NOT_SCORES;
      return (set) => ({
        from: set.rank(({ score }) => !isScoreAbove(score, low)),
        to: set.rank(({ score }) => isScoreBelow(score, high)),
      });
    }
    case 'lex': {
      const [low, high] = [parseLexBound(min), parseLexBound(max)];
      if (low === undefined || high === undefined) return NOT_MEMBERS;
      return (set) => ({
        from: set.rank(({ member }) => !isMemberAbove(member, low)),
        to: set.rank(({ member }) => isMemberBelow(member, high)),
      });
    }
  }
}

function parseRanks(first: string, last: string, fromHighest: boolean): Locate | CommandError {
  const [start, stop] = [parseInteger(first), parseInteger(last)];
  if (start === undefined || stop === undefined) return NOT_AN_INTEGER;
  return ({ size }) => {
    const from = Math.max(0, start < 0 ? start + size : start);
    const to = Math.min(size, (stop < 0 ? stop + size : stop) + 1);
    if (from >= to) return NOTHING;
    return fromHighest ? { from: size - to, to: size - from } : { from, to };
  };
}

/** What a command of ranges is by its name; options tell the rest where it is left open. */
interface RangeForm {
  readonly kind?: RangeKind;
  readonly reverse?: boolean;
}

interface RangeRequest {
  readonly locate: Locate;
  readonly reverse: boolean;
  readonly withScores: boolean;
}

/** @param source place of the key */
function parseRequest(
  args: Arguments,
  source: number,
  form: RangeForm,
  stores: boolean,
): RangeRequest | CommandError {
  let { kind, reverse } = form;
  let withScores = false;
  let offset = 0;
  let limit = -1;
  for (let index = source + 3; index < args.count; index++) {
    const token = args.token(index);
    if (token === 'WITHSCORES' && !stores) withScores = true;
    else if (token === 'LIMIT' && index + 2 < args.count) {
      const [first, count] = [parseInteger(args.text(++index)), parseInteger(args.text(++index))];
      if (first === undefined || count === undefined) return NOT_AN_INTEGER;
      [offset, limit] = [first, count];
    } else if (token === 'REV' && reverse === undefined) reverse = true;
    else if (token === 'BYLEX' && kind === undefined) kind = 'lex';
    else if (token === 'BYSCORE' && kind === undefined) kind = 'score';
    else return SYNTAX_ERROR;
  }
  kind ??= 'rank';
  reverse ??= false;
  if (limit !== -1 && kind === 'rank') return LIMIT_OF_RANKS;
  if (withScores && kind === 'lex') return SCORES_OF_MEMBERS;
  const [first, second] = [args.text(source + 1), args.text(source + 2)];
  const isSwapped = reverse && kind !== 'rank';
  const whole = parseRange(kind, isSwapped ? second : first, isSwapped ? first : second, reverse);
  if (whole instanceof CommandError) return whole;
  const locate: Locate = kind === 'rank' ? whole : (set) => limited(whole(set), reverse, offset, limit);
  return { locate, reverse, withScores };
}

/** What LIMIT leaves of a range. A negative offset leaves nothing, a negative limit is none. */
function limited({ from, to }: Span, reverse: boolean, offset: number, limit: number): Span {
  if (offset < 0 || from >= to) return NOTHING;
  const count = Math.min(limit < 0 ? Number.POSITIVE_INFINITY : limit, to - from - offset);
  if (count <= 0) return NOTHING;
  return reverse
    ? { from: to - offset - count, to: to - offset }
    : { from: from + offset, to: from + offset + count };
}

/** Visits the entries of a span in the order asked for. */
function eachIn(
  set: SortedSetValue,
  { from, to }: Span,
  reverse: boolean,
  visit: (entry: ScoredMember) => void,
): void {
  const visitAll = (entry: ScoredMember): boolean => {
    visit(entry);
    return true;
  };
  if (from >= to) return;
  if (reverse) set.eachReverse(from, to, visitAll);
  else set.each(from, to, visitAll);
}

/** A command that replies a range. */
export function replyRange(form: RangeForm): ShardHandler {
  return (context, args) => {
    const { reply } = context;
    const request = parseRequest(args, 1, form, false);
    if (request instanceof CommandError) return reply.error(request);
    const set = readSortedSet(context, args);
    if (set === 'replied') return;
    if (set === undefined) return reply.array(0);
    const { locate, reverse, withScores } = request;
    const span = locate(set);
    beginMembers(reply, Math.max(0, span.to - span.from), withScores);
    eachIn(set, span, reverse, (entry) => writeMember(reply, entry, withScores));
  };
}

/** ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count] */
export const storeRange: ShardHandler = ({ view, reply, settings }, args) => {
  const request = parseRequest(args, 2, {}, true);
  if (request instanceof CommandError) return reply.error(request);
  const row = findRow(view, args.text(2), RowType.SortedSet);
  if (row instanceof CommandError) return reply.error(row);
  const result = new SortedSetValue(view.collections);
  if (row !== undefined) {
    const set = sortedSetOf(row);
    const range = request.locate(set);
    const refusal = refusalOfElements(range.to - range.from, settings);
    if (refusal !== undefined) return reply.error(refusal);
    eachIn(set, range, request.reverse, ({ member, score }) => result.set(ownText(member), score));
  }
  replace(view, args.text(1), result);
  reply.integer(result.size);
};

/** ZCOUNT and ZLEXCOUNT key min max */
export function countRange(kind: RangeKind): ShardHandler {
  return (context, args) => {
    const locate = parseRange(kind, args.text(2), args.text(3), false);
    if (locate instanceof CommandError) return context.reply.error(locate);
    const set = readSortedSet(context, args);
    if (set === 'replied') return;
    const { from, to } = set === undefined ? NOTHING : locate(set);
    context.reply.integer(Math.max(0, to - from));
  };
}

/** ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX key min max */
export function removeRange(kind: RangeKind): ShardHandler {
  return ({ view, reply }, args) => {
    const locate = parseRange(kind, args.text(2), args.text(3), false);
    if (locate instanceof CommandError) return reply.error(locate);
    const row = findRow(view, args.text(1), RowType.SortedSet);
    if (row instanceof CommandError) return reply.error(row);
    if (row === undefined) return reply.integer(0);
    const set = sortedSetOf(row);
    const { from, to } = locate(set);
    if (from >= to) return reply.integer(0);
    if (to - from === set.size) view.remove(row.key);
    else {
      set.removeRange(from, to - from);
      view.changed(row);
    }
    reply.integer(to - from);
  };
}
