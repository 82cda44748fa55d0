import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { RowType, type StringValue } from '../types/row.js';
import { findRow, listOf, listToWrite, save } from './collection-access.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { type End, popAt, pushAt, replyPopped } from './lists.js';

const NO_KEYS = new CommandError('ERR numkeys should be greater than 0');
const NO_COUNT = new CommandError('ERR count should be greater than 0');

export function parseEnd(word: string): End | undefined {
  return word === 'LEFT' || word === 'RIGHT' ? word : undefined;
}

/** Takes the value at an end of one list and puts it at an end of another, or of the same. Both keys are checked first. */
function moveValue(
  { view }: ShardContext,
  args: Arguments,
  from: End,
  to: End,
): StringValue | undefined | CommandError {
  const source = findRow(view, args.text(1), RowType.List);
  if (source === undefined || source instanceof CommandError) return source;
  const key = args.text(2);
  const target = findRow(view, key, RowType.List);
  if (target instanceof CommandError) return target;
  const value = popAt(listOf(source), from);
  const list = listToWrite(view, target);
  pushAt(list, to, value);
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
  answer(context, moveValue(context, args, 'RIGHT', 'LEFT'));

/** LMOVE source destination LEFT | RIGHT LEFT | RIGHT */
export const move: ShardHandler = (context, args) => {
  const from = parseEnd(args.token(3));
  const to = parseEnd(args.token(4));
  const isWrong = from === undefined || to === undefined;
  answer(context, isWrong ? SYNTAX_ERROR : moveValue(context, args, from, to));
};

/** What LMPOP and BLMPOP ask for. */
export interface ManyPop {
  /** Place of the first key among the arguments. */
  readonly firstKey: number;
  readonly keyCount: number;
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
  return { firstKey: at + 1, keyCount, end, count: count ?? 1 };
}

/** Pops from the first list that there is, and replies it with its key. @returns whether there was one, or an error replied */
export function popFirstOf({ view, reply }: ShardContext, args: Arguments, pop: ManyPop): boolean {
  for (let index = 0; index < pop.keyCount; index++) {
    const key = args.text(pop.firstKey + index);
    const row = findRow(view, key, RowType.List);
    if (row === undefined) continue;
    if (row instanceof CommandError) {
      reply.error(row);
      return true;
    }
    reply.array(2);
    reply.bulk(key);
    replyPopped(reply, listOf(row), pop.end, pop.count);
    view.changed(row);
    return true;
  }
  return false;
}

/** LMPOP numkeys key [key …] LEFT | RIGHT [COUNT count] */
export const popMany: ShardHandler = (context, args) => {
  const pop = parseManyPop(args, 1);
  if (pop instanceof CommandError) return context.reply.error(pop);
  if (!popFirstOf(context, args, pop)) context.reply.nilArray();
};
