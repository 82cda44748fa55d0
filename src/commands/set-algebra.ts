import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { ownText } from '../types/collections/packed-text.js';
import { SetValue } from '../types/collections/set.js';
import { RowType } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import { findRow, replace, setOf } from './collection-access.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { HeldElements } from './held-elements.js';

/** Intersections, unions and differences of sets. */

const NO_KEYS = new CommandError('ERR numkeys should be greater than 0');
const TOO_MANY_KEYS = new CommandError("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT = new CommandError("ERR LIMIT can't be negative");

/** Members that are looked up in another set with one read. */
const LOOKED_UP_AT_ONCE = 256;

type Sets = readonly (SetValue | undefined)[];

/** The sets of the arguments from `first` to before `end`; undefined for a key that is not there. */
function readSets(view: ShardView, args: Arguments, first: number, end: number): Sets | CommandError {
  const sets: (SetValue | undefined)[] = [];
  for (let index = first; index < end; index++) {
    const row = findRow(view, args.text(index), RowType.Set);
    if (row instanceof CommandError) return row;
    sets.push(row && setOf(row));
  }
  return sets;
}

/** Visits those of a set's members for which all other sets say the same, until `visit` returns false. */
function eachFiltered(
  set: SetValue,
  others: readonly SetValue[],
  areIn: boolean,
  visit: (member: string) => boolean,
): void {
  let stopped = false;
  let batch: string[] = [];
  const flush = (): boolean => {
    let left = batch;
    batch = [];
    for (const other of others) {
      const found = other.hasMany(left);
      left = left.filter((_member, index) => found[index] === areIn);
    }
    for (const member of left) if (!stopped && !visit(member)) stopped = true;
    return !stopped;
  };
  set.each((member) => batch.push(member) < LOOKED_UP_AT_ONCE || flush());
  if (!stopped) flush();
}

/** Visits what all sets have. */
function eachCommon(sets: Sets, visit: (member: string) => boolean): void {
  if (sets.includes(undefined)) return;
  const [smallest, ...others] = [...(sets as readonly SetValue[])].sort((a, b) => a.size - b.size);
  eachFiltered(smallest!, [...new Set(others)], true, visit);
}

/** Combines sets, until there is no room for more members. */
type Combination = (sets: Sets, held: HeldElements) => string[];

const intersection: Combination = (sets, held) => {
  const members: string[] = [];
  eachCommon(sets, (member) => members.push(member) > 0 && held.add(member));
  return members;
};

const union: Combination = (sets, held) => {
  const members = new Set<string>();
  for (const set of sets) {
    if (held.isOver) break;
    set?.each((member) => {
      const { size } = members;
      return members.add(member).size === size || held.add(member);
    });
  }
  return [...members];
};

const difference: Combination = ([first, ...others], held) => {
  const members: string[] = [];
  const taken = others.filter((set) => set !== undefined);
  if (first !== undefined && !taken.includes(first))
    eachFiltered(first, taken, false, (member) => members.push(member) > 0 && held.add(member));
  return members;
};

/** What is made of the sets of the arguments from `first` on. */
function combined(
  combine: Combination,
  { view, settings }: ShardContext,
  args: Arguments,
  first: number,
): string[] | CommandError {
  const sets = readSets(view, args, first, args.count);
  if (sets instanceof CommandError) return sets;
  const held = new HeldElements(settings, 'plain');
  const members = combine(sets, held);
  return held.isOver ? held.refusal : members;
}

/** A command that replies what is made of its sets. */
function replying(combine: Combination): ShardHandler {
  return (context, args) => {
    const { reply } = context;
    const members = combined(combine, context, args, 1);
    if (members instanceof CommandError) return reply.error(members);
    reply.set(members.length);
    for (const member of members) reply.bulk(member);
  };
}

/** A command that stores it under its first key. */
function storing(combine: Combination): ShardHandler {
  return (context, args) => {
    const { view, reply } = context;
    const members = combined(combine, context, args, 2);
    if (members instanceof CommandError) return reply.error(members);
    const result = new SetValue(view.collections);
    for (const member of members) result.add(ownText(member));
    replace(view, args.text(1), result);
    reply.integer(members.length);
  };
}

export const intersect: ShardHandler = replying(intersection);
export const unite: ShardHandler = replying(union);
export const subtract: ShardHandler = replying(difference);
export const storeIntersection: ShardHandler = storing(intersection);
export const storeUnion: ShardHandler = storing(union);
export const storeDifference: ShardHandler = storing(difference);

/** SINTERCARD numkeys key [key ...] [LIMIT limit]; a limit of 0 is none. */
export const countIntersection: ShardHandler = ({ view, reply }, args) => {
  const keys = parseInteger(args.text(1));
  if (keys === undefined || keys < 1) return reply.error(NO_KEYS);
  if (keys > args.count - 2) return reply.error(TOO_MANY_KEYS);
  let limit = 0;
  for (let index = keys + 2; index < args.count; index += 2) {
    if (args.token(index) !== 'LIMIT' || index + 1 >= args.count) return reply.error(SYNTAX_ERROR);
    const parsed = parseInteger(args.text(index + 1));
    if (parsed === undefined || parsed < 0) return reply.error(NEGATIVE_LIMIT);
    limit = parsed;
  }
  const sets = readSets(view, args, 2, keys + 2);
  if (sets instanceof CommandError) return reply.error(sets);
  let count = 0;
  eachCommon(sets, () => ++count !== limit);
  reply.integer(count);
};
