import type { Arguments } from '../base/arguments.js';
import {
  CommandError,
  INDEX_OUT_OF_RANGE,
  NO_SUCH_KEY,
  NOT_AN_INTEGER,
  SYNTAX_ERROR,
  wrongArity,
} from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { ListValue } from '../types/collections/list.js';
import { RowType, type StringValue, sameValue } from '../types/row.js';
import { findRow, listOf, listToWrite, save } from './collection-access.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { argumentValue } from './string-access.js';

/** The commands of lists but for LPOS, see list-search.ts, and those that take from one and give to another, see list-moves.ts. */

/** An end of a list, in the words of LMOVE. */
export type End = 'LEFT' | 'RIGHT';

const NOT_POSITIVE = new CommandError('ERR value is out of range, must be positive');

/** The list of the first argument; undefined where there is no key, and after an error, which is then replied. */
function readList({ view, reply }: ShardContext, args: Arguments): ListValue | undefined | 'replied' {
  const row = findRow(view, args.text(1), RowType.List);
  if (row instanceof CommandError) {
    reply.error(row);
    return 'replied';
  }
  return row && listOf(row);
}

/** Puts a value at an end. */
export function pushAt(list: ListValue, end: End, value: StringValue): void {
  list.insertAt(end === 'LEFT' ? 0 : list.size, value);
}

/** Takes the value at an end of a list that is not empty. */
export function popAt(list: ListValue, end: End): StringValue {
  return list.removeAt(end === 'LEFT' ? 0 : list.size - 1);
}

function pushing(end: End, needsKey: boolean): ShardHandler {
  return ({ view, reply }, args) => {
    const key = args.text(1);
    const row = findRow(view, key, RowType.List);
    if (row instanceof CommandError) return reply.error(row);
    if (needsKey && row === undefined) return reply.integer(0);
    const list = listToWrite(view, row);
    for (let index = 2; index < args.count; index++) pushAt(list, end, argumentValue(args, index));
    save(view, key, row, list);
    reply.integer(list.size);
  };
}

export const pushLeft = pushing('LEFT', false);
export const pushRight = pushing('RIGHT', false);
export const pushLeftIfThere = pushing('LEFT', true);
export const pushRightIfThere = pushing('RIGHT', true);

/** Replies up to `count` values from an end of a list, in the order in which they are taken, and removes them. */
export function replyPopped(reply: ShardContext['reply'], list: ListValue, end: End, count: number): void {
  const taken = Math.min(count, list.size);
  reply.array(taken);
  const write = (value: StringValue) => {
    reply.bulk(value);
    return true;
  };
  if (end === 'LEFT') {
    list.each(0, taken, write);
    list.removeRange(0, taken);
  } else {
    list.eachReverse(list.size - taken, list.size, write);
    list.removeRange(list.size - taken, taken);
  }
}

/** LPOP and RPOP: key [count] */
function popping(end: End, name: string): ShardHandler {
  return ({ view, reply }, args) => {
    if (args.count > 3) return reply.error(wrongArity(name));
    const hasCount = args.count === 3;
    const count = hasCount ? parseInteger(args.text(2)) : 1;
    if (count === undefined || count < 0) return reply.error(NOT_POSITIVE);
    const row = findRow(view, args.text(1), RowType.List);
    if (row instanceof CommandError) return reply.error(row);
    if (row === undefined) return hasCount ? reply.nilArray() : reply.nil();
    if (!hasCount) reply.bulk(popAt(listOf(row), end));
    else if (count === 0) return reply.array(0);
    else replyPopped(reply, listOf(row), end, count);
    view.changed(row);
  };
}

export const popLeft = popping('LEFT', 'lpop');
export const popRight = popping('RIGHT', 'rpop');

export const listLength: ShardHandler = (context, args) => {
  const list = readList(context, args);
  if (list !== 'replied') context.reply.integer(list?.size ?? 0);
};

/** Indexes of a range as LRANGE takes them, the end inclusive: `from` … before `to`. */
function rangeOf(start: number, stop: number, size: number): { from: number; to: number } {
  const from = Math.max(0, start < 0 ? start + size : start);
  const last = Math.min(size - 1, stop < 0 ? stop + size : stop);
  return from > last ? { from: 0, to: 0 } : { from, to: last + 1 };
}

export const listRange: ShardHandler = (context, args) => {
  const { reply } = context;
  const start = parseInteger(args.text(2));
  const stop = parseInteger(args.text(3));
  if (start === undefined || stop === undefined) return reply.error(NOT_AN_INTEGER);
  const list = readList(context, args);
  if (list === 'replied') return;
  const { from, to } = rangeOf(start, stop, list?.size ?? 0);
  reply.array(to - from);
  list?.each(from, to, (value) => {
    reply.bulk(value);
    return true;
  });
};

/** The index that a number means, negative from the end; undefined where the list has none such. */
function indexIn(list: ListValue, written: number): number | undefined {
  const index = written < 0 ? written + list.size : written;
  return index >= 0 && index < list.size ? index : undefined;
}

export const valueAt: ShardHandler = (context, args) => {
  const { reply } = context;
  const list = readList(context, args);
  if (list === 'replied') return;
  if (list === undefined) return reply.nil();
  const written = parseInteger(args.text(2));
  if (written === undefined) return reply.error(NOT_AN_INTEGER);
  const index = indexIn(list, written);
  if (index === undefined) reply.nil();
  else reply.bulk(list.at(index));
};

export const replaceAt: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.List);
  if (row === undefined) return reply.error(NO_SUCH_KEY);
  if (row instanceof CommandError) return reply.error(row);
  const written = parseInteger(args.text(2));
  if (written === undefined) return reply.error(NOT_AN_INTEGER);
  const index = indexIn(listOf(row), written);
  if (index === undefined) return reply.error(INDEX_OUT_OF_RANGE);
  listOf(row).replaceAt(index, argumentValue(args, 3));
  view.changed(row);
  reply.ok();
};

/** LINSERT key BEFORE | AFTER pivot element */
export const insertBeside: ShardHandler = ({ view, reply }, args) => {
  const side = args.token(2);
  if (side !== 'BEFORE' && side !== 'AFTER') return reply.error(SYNTAX_ERROR);
  const row = findRow(view, args.text(1), RowType.List);
  if (row === undefined) return reply.integer(0);
  if (row instanceof CommandError) return reply.error(row);
  const list = listOf(row);
  const pivot = argumentValue(args, 3);
  let found: number | undefined;
  list.each(0, list.size, (value, index) => {
    if (!sameValue(value, pivot)) return true;
    found = index;
    return false;
  });
  if (found === undefined) return reply.integer(-1);
  list.insertAt(side === 'BEFORE' ? found : found + 1, argumentValue(args, 4));
  view.changed(row);
  reply.integer(list.size);
};

/** LREM key count element: the first `count` ones, the last ones where it is negative, all where it is 0. */
export const removeEqual: ShardHandler = ({ view, reply }, args) => {
  const count = parseInteger(args.text(2));
  if (count === undefined) return reply.error(NOT_AN_INTEGER);
  const row = findRow(view, args.text(1), RowType.List);
  if (row === undefined) return reply.integer(0);
  if (row instanceof CommandError) return reply.error(row);
  const removed = removeMatches(listOf(row), argumentValue(args, 3), count);
  if (removed > 0) view.changed(row);
  reply.integer(removed);
};

function removeMatches(list: ListValue, element: StringValue, count: number): number {
  const matches: number[] = [];
  const limit = count === 0 ? Number.POSITIVE_INFINITY : Math.abs(count);
  const gather = (value: StringValue, index: number) => {
    if (sameValue(value, element)) matches.push(index);
    return matches.length < limit;
  };
  if (count < 0) {
    list.eachReverse(0, list.size, gather);
    matches.reverse();
  } else list.each(0, list.size, gather);
  // From the last one down, so that indexes before stay what they are; neighbours go together.
  for (let end = matches.length; end > 0; ) {
    let begin = end - 1;
    while (begin > 0 && matches[begin - 1] === matches[begin]! - 1) begin--;
    list.removeRange(matches[begin]!, end - begin);
    end = begin;
  }
  return matches.length;
}

export const trim: ShardHandler = ({ view, reply }, args) => {
  const start = parseInteger(args.text(2));
  const stop = parseInteger(args.text(3));
  if (start === undefined || stop === undefined) return reply.error(NOT_AN_INTEGER);
  const row = findRow(view, args.text(1), RowType.List);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.ok();
  const list = listOf(row);
  const { from, to } = rangeOf(start, stop, list.size);
  list.removeRange(to, list.size - to);
  list.removeRange(0, from);
  view.changed(row);
  reply.ok();
};
