import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { SetValue } from '../types/collections/set.js';
import { RowType } from '../types/row.js';
import { findRow, save, setOf, setToWrite } from './collection-access.js';
import { scanHandler } from './collection-scan.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { parsePickCount, pickNames } from './random-picks.js';
import { textsOf } from './waiting.js';

/** The commands of single sets; those of several are in set-algebra.ts. */

const NOT_POSITIVE = new CommandError('ERR value is out of range, must be positive');

/** The set of the first argument; undefined where there is no key, and after an error, which is then replied. */
function readSet({ view, reply }: ShardContext, args: Arguments): SetValue | undefined | 'replied' {
  const row = findRow(view, args.text(1), RowType.Set);
  if (row instanceof CommandError) {
    reply.error(row);
    return 'replied';
  }
  return row && setOf(row);
}

export const addMembers: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findRow(view, key, RowType.Set);
  if (row instanceof CommandError) return reply.error(row);
  const set = setToWrite(view, row);
  if (set.version !== 0) set.prefetch(textsOf(args, 2, args.count));
  let added = 0;
  for (let index = 2; index < args.count; index++) if (set.add(args.text(index))) added++;
  if (added > 0) save(view, key, row, set);
  reply.integer(added);
};

export const removeMembers: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.Set);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.integer(0);
  const set = setOf(row);
  let removed = 0;
  for (let index = 2; index < args.count; index++) if (set.delete(args.text(index))) removed++;
  if (removed > 0) view.changed(row);
  reply.integer(removed);
};

export const getMembers: ShardHandler = (context, args) => {
  const set = readSet(context, args);
  if (set === 'replied') return;
  const { reply } = context;
  reply.set(set?.size ?? 0);
  set?.each((member) => {
    reply.bulk(member);
    return true;
  });
};

export const isMember: ShardHandler = (context, args) => {
  const set = readSet(context, args);
  if (set !== 'replied') context.reply.integer(set?.has(args.text(2)) ? 1 : 0);
};

export const areMembers: ShardHandler = (context, args) => {
  const set = readSet(context, args);
  if (set === 'replied') return;
  const members: string[] = [];
  for (let index = 2; index < args.count; index++) members.push(args.text(index));
  const found = set?.hasMany(members);
  context.reply.array(members.length);
  for (let index = 0; index < members.length; index++) context.reply.integer(found?.[index] ? 1 : 0);
};

export const countMembers: ShardHandler = (context, args) => {
  const set = readSet(context, args);
  if (set !== 'replied') context.reply.integer(set?.size ?? 0);
};

/** SPOP key [count] */
export const popMembers: ShardHandler = ({ view, reply }, args) => {
  if (args.count > 3) return reply.error(SYNTAX_ERROR);
  const count = args.count === 3 ? parseInteger(args.text(2)) : 1;
  if (count === undefined || count < 0) return reply.error(NOT_POSITIVE);
  const key = args.text(1);
  const row = findRow(view, key, RowType.Set);
  if (row instanceof CommandError) return reply.error(row);
  if (args.count === 2) {
    if (row === undefined) return reply.nil();
    reply.bulk(setOf(row).take(Math.random));
    return view.changed(row);
  }
  if (row === undefined || count === 0) return reply.set(0);
  const set = setOf(row);
  if (count >= set.size) {
    reply.set(set.size);
    for (const member of set.members()) reply.bulk(member);
    view.remove(key);
    return;
  }
  reply.set(count);
  for (let left = count; left > 0; left--) reply.bulk(set.take(Math.random));
  view.changed(row);
};

/** SRANDMEMBER key [count] */
export const randomMembers: ShardHandler = (context, args) => {
  const { reply } = context;
  if (args.count === 2) {
    const set = readSet(context, args);
    if (set !== 'replied') reply.bulkOrNil(set?.pick(Math.random));
    return;
  }
  if (args.count > 3) return reply.error(SYNTAX_ERROR);
  const count = parsePickCount(args.text(2));
  if (count instanceof CommandError) return reply.error(count);
  const set = readSet(context, args);
  if (set === 'replied') return;
  if (set === undefined || count === 0) return reply.array(0);
  const source = { size: set.size, pick: () => set.pick(Math.random), all: () => set.members() };
  const members = pickNames(source, count);
  if (members instanceof CommandError) return reply.error(members);
  reply.array(members.length);
  for (const member of members) reply.bulk(member);
};

/** Both keys are checked before anything is changed. */
export const moveMember: ShardHandler = ({ view, reply }, args) => {
  const [from, to, member] = [args.text(1), args.text(2), args.text(3)];
  const source = findRow(view, from, RowType.Set);
  if (source === undefined) return reply.integer(0);
  if (source instanceof CommandError) return reply.error(source);
  const target = findRow(view, to, RowType.Set);
  if (target instanceof CommandError) return reply.error(target);
  const has = setOf(source).has(member);
  if (!has || from === to) return reply.integer(has ? 1 : 0);
  setOf(source).delete(member);
  view.changed(source);
  const set = setToWrite(view, target);
  if (set.add(member)) save(view, to, target, set);
  reply.integer(1);
};

export const scanMembers: ShardHandler = scanHandler(RowType.Set, (row, { cursor, count }, visit) =>
  setOf(row).scan(cursor, count, visit),
);
