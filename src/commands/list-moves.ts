import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { RowType, type StringValue } from '../types/row.js';
import { findRow, listOf, listToWrite, save, takeFromFirst } from './collection-access.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { type End, popAt, pushAt, replyPopped } from './lists.js';
import { textsOf } from './waiting.js';

const NO_KEYS = new CommandError('ERR numkeys should be greater than 0');
const NO_COUNT = new CommandError('ERR count should be greater than 0');

export function parseEnd(word: string): End | undefined {
  return word === 'LEFT' || word === 'RIGHT' ? word : undefined;
}

/** What LMOVE and its like ask for. */
export interface ListMove {
  readonly from: string;
  readonly fromEnd: End;
  readonly to: string;
  readonly toEnd: End;
}

/** Parses `source destination LEFT | RIGHT LEFT | RIGHT`, which begin behind the command's name. */
export function parseMove(args: Arguments): ListMove | CommandError {
  const fromEnd = parseEnd(args.token(3));
  const toEnd = parseEnd(args.token(4));
  if (fromEnd === undefined || toEnd === undefined) return SYNTAX_ERROR;
  return { from: args.text(1), fromEnd, to: args.text(2), toEnd };
}

/** What RPOPLPUSH asks for: source destination. */
export function parseRotation(args: Arguments): ListMove {
  return { from: args.text(1), fromEnd: 'RIGHT', to: args.text(2), toEnd: 'LEFT' };
}

/** Takes the value at an end of one list and puts it at an end of another, or of the same. Both keys are checked first. */
export function moveValue(
  { view }: ShardContext,
  { from: sourceKey, fromEnd, to: key, toEnd }: ListMove,
): StringValue | undefined | CommandError {
  const source = findRow(view, sourceKey, RowType.List);
  if (source === undefined || source instanceof CommandError) return source;
  const target = findRow(view, key, RowType.List);
  if (target instanceof CommandError) return target;
  const value = popAt(listOf(source), fromEnd);
  const list = listToWrite(view, target);
  pushAt(list, toEnd, value);
  // Not before: of one list with one value nothing would be left in between.
  view.changed(source);
  if (target !== source) save(view, key, target, list);
  return value;
}

/** Replies a value, nil where there is none, or an error. */
function answer({ reply }: ShardContext, value: StringValue | undefined | CommandError): void {
  if (value instanceof CommandError) reply.error(value);
  else reply.bulkOrNil(value);
}

/** RPOPLPUSH source destination */
export const rotate: ShardHandler = (context, args) =>
  answer(context, moveValue(context, parseRotation(args)));

/** LMOVE source destination LEFT | RIGHT LEFT | RIGHT */
export const move: ShardHandler = (context, args) => {
  const wanted = parseMove(args);
  answer(context, wanted instanceof CommandError ? wanted : moveValue(context, wanted));
};

/** What LMPOP and BLMPOP ask for. */
export interface ManyPop {
  readonly keys: readonly string[];
  readonly end: End;
  readonly count: number;
}

/** Parses `numkeys key [key …] LEFT | RIGHT [COUNT count]`. @param at place of numkeys */
export function parseManyPop(args: Arguments, at: number): ManyPop | CommandError {
  const keyCount = parseInteger(args.text(at));
  if (keyCount === undefined || keyCount < 1) return NO_KEYS;
  const endAt = at + 1 + keyCount;
  if (endAt >= args.count) return SYNTAX_ERROR;
  const end = parseEnd(args.token(endAt));
  if (end === undefined) return SYNTAX_ERROR;
  let count: number | undefined;
  for (let index = endAt + 1; index < args.count; index += 2) {
    if (args.token(index) !== 'COUNT' || index + 1 === args.count || count !== undefined) return SYNTAX_ERROR;
    count = parseInteger(args.text(index + 1));
    if (count === undefined || count < 1) return NO_COUNT;
  }
  return { keys: textsOf(args, at + 1, endAt), end, count: count ?? 1 };
}

/** Pops from the first list that there is, and replies it with its key. @returns whether there was one, or an error replied */
export function popFirstOf(
  context: ShardContext,
  keys: readonly string[],
  { end, count }: Pick<ManyPop, 'end' | 'count'>,
): boolean {
  const { view, reply } = context;
  return takeFromFirst(context, keys, RowType.List, (row) => {
    reply.array(2);
    reply.bulk(row.key);
    replyPopped(reply, listOf(row), end, count);
    view.changed(row);
  });
}

/** LMPOP numkeys key [key …] LEFT | RIGHT [COUNT count] */
export const popMany: ShardHandler = (context, args) => {
  const pop = parseManyPop(args, 1);
  if (pop instanceof CommandError) return context.reply.error(pop);
  if (!popFirstOf(context, pop.keys, pop)) context.reply.nilArray();
};
