import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { INT64_MIN, parseInteger } from '../base/numbers.js';
import type { ListValue } from '../types/collections/list.js';
import { RowType, type StringValue, sameValue } from '../types/row.js';
import { findRow, listOf } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import { argumentValue } from './string-access.js';

const INT64_MIN_TEXT = String(INT64_MIN);

const RANK_ZERO = new CommandError(
  "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
);
const COUNT_NEGATIVE = new CommandError("ERR COUNT can't be negative");
const MAXLEN_NEGATIVE = new CommandError("ERR MAXLEN can't be negative");

interface Search {
  /** Which match is the first that counts; negative: from the end of the list. */
  readonly rank: number;
  /** undefined: one match, replied alone. 0: all. */
  readonly count: number | undefined;
  /** Values that are compared; 0 = all. */
  readonly comparisonsMax: number;
}

function parseSearch(args: Arguments): Search | CommandError {
  let rank = 1;
  let count: number | undefined;
  let comparisonsMax = 0;
  for (let index = 3; index < args.count; index += 2) {
    const option = args.token(index);
    if (index + 1 === args.count) return SYNTAX_ERROR;
    const text = args.text(index + 1);
    if (option === 'RANK') {
      const parsed = parseInteger(text);
      if (parsed === undefined) return NOT_AN_INTEGER;
      if (parsed === 0) return RANK_ZERO;
      // The smallest integer has no opposite, so that Redis 7.0 skips no match for it.
      rank = text === INT64_MIN_TEXT ? -1 : parsed;
    } else if (option === 'COUNT') {
      count = parseInteger(text);
      if (count === undefined || count < 0) return COUNT_NEGATIVE;
    } else if (option === 'MAXLEN') {
      const parsed = parseInteger(text);
      if (parsed === undefined || parsed < 0) return MAXLEN_NEGATIVE;
      comparisonsMax = parsed;
    } else return SYNTAX_ERROR;
  }
  return { rank, count, comparisonsMax };
}

/** Indexes of the matches that count, in the order in which they are met. */
function matchesOf(
  list: ListValue,
  element: StringValue,
  { rank, count = 1, comparisonsMax }: Search,
): number[] {
  const found: number[] = [];
  const matchesMax = count === 0 ? Number.POSITIVE_INFINITY : count;
  let skip = Math.abs(rank) - 1;
  const visit = (value: StringValue, index: number) => {
    if (!sameValue(value, element)) return true;
    if (skip > 0) skip--;
    else found.push(index);
    return found.length < matchesMax;
  };
  const reach = comparisonsMax === 0 ? list.size : Math.min(list.size, comparisonsMax);
  if (rank > 0) list.each(0, reach, visit);
  else list.eachReverse(list.size - reach, list.size, visit);
  return found;
}

/** LPOS key element [RANK rank] [COUNT count] [MAXLEN length] */
export const positionOf: ShardHandler = ({ view, reply }, args) => {
  const search = parseSearch(args);
  if (search instanceof CommandError) return reply.error(search);
  const row = findRow(view, args.text(1), RowType.List);
  if (row instanceof CommandError) return reply.error(row);
  const found = row === undefined ? [] : matchesOf(listOf(row), argumentValue(args, 2), search);
  if (search.count !== undefined) {
    reply.array(found.length);
    for (const index of found) reply.integer(index);
  } else if (found.length > 0) reply.integer(found[0]!);
  else reply.nil();
};
