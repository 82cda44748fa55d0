import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { comesBefore, type ScoredMember } from '../types/collections/packed-scores.js';
import { ownText } from '../types/collections/packed-text.js';
import { SetValue } from '../types/collections/set.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import { parseScore } from '../types/score.js';
import type { ShardView } from '../types/shard-view.js';
import { replace } from './collection-access.js';
import type { ShardHandler, ShardSettings } from './definition.js';
import { HeldElements } from './held-elements.js';
import { beginMembers, writeMember } from './sorted-set-access.js';

/** Intersections, unions and differences of sorted sets, and of sets, whose members count as if all had the score 1. */

const NOT_A_WEIGHT = new CommandError('ERR weight value is not a float');
const NEGATIVE_LIMIT = new CommandError("ERR LIMIT can't be negative");

/** Members that are looked up in another set with one read. */
const LOOKED_UP_AT_ONCE = 256;
const SCORE_IN_SET = 1;

type Operand = SortedSetValue | SetValue;

interface Source {
  readonly set: Operand | undefined;
  weight: number;
}

type Aggregate = (left: number, right: number) => number;

const AGGREGATES: Readonly<Record<string, Aggregate>> = {
  SUM: (left, right) => zeroForNan(left + right),
  MIN: (left, right) => (right < left ? right : left),
  MAX: (left, right) => (right > left ? right : left),
};

/** What infinities make that are of both signs, or weighed with 0. */
function zeroForNan(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}

/** What a command does with its sources. */
type Operation = 'union' | 'intersection' | 'difference';

interface Combination {
  readonly sources: readonly Source[];
  readonly aggregate: Aggregate;
  readonly withScores: boolean;
  /** Of a count: where to stop; 0 = nowhere. */
  readonly limit: number;
}

/** What the result of a command is for: what options it takes. */
type Purpose = 'reply' | 'store' | 'count';

/** Reads numkeys key [key ...] and options, of which numkeys is at `at`. */
function parseCombination(
  view: ShardView,
  args: Arguments,
  at: number,
  form: { readonly name: string; readonly operation: Operation; readonly purpose: Purpose },
): Combination | CommandError {
  const keys = parseInteger(args.text(at));
  if (keys === undefined) return NOT_AN_INTEGER;
  if (keys < 1) return new CommandError(`ERR at least 1 input key is needed for '${form.name}' command`);
  const end = at + 1 + keys;
  if (end > args.count) return SYNTAX_ERROR;
  const sources = readSources(view, args, at + 1, end);
  if (sources instanceof CommandError) return sources;
  const weighs = form.operation !== 'difference' && form.purpose !== 'count';
  let aggregate = AGGREGATES.SUM!;
  let withScores = false;
  let limit = 0;
  for (let index = end; index < args.count; index++) {
    const token = args.token(index);
    const left = args.count - index - 1;
    if (weighs && token === 'WEIGHTS' && left >= keys) {
      for (const source of sources) {
        const weight = parseScore(args.text(++index));
        if (weight === undefined) return NOT_A_WEIGHT;
        source.weight = weight;
      }
    } else if (weighs && token === 'AGGREGATE' && left >= 1) {
      const chosen = AGGREGATES[args.token(++index)];
      if (chosen === undefined) return SYNTAX_ERROR;
      aggregate = chosen;
    } else if (form.purpose === 'reply' && token === 'WITHSCORES') withScores = true;
    else if (form.purpose === 'count' && token === 'LIMIT' && left >= 1) {
      const parsed = parseInteger(args.text(++index));
      if (parsed === undefined || parsed < 0) return NEGATIVE_LIMIT;
      limit = parsed;
    } else return SYNTAX_ERROR;
  }
  return { sources, aggregate, withScores, limit };
}

function readSources(view: ShardView, args: Arguments, first: number, end: number): Source[] | CommandError {
  const sources: Source[] = [];
  for (let index = first; index < end; index++) {
    const row = view.find(args.text(index));
    const set = row?.collection;
    if (row !== undefined && !(set instanceof SortedSetValue || set instanceof SetValue)) return WRONG_TYPE;
    sources.push({ set: set as Operand | undefined, weight: 1 });
  }
  return sources;
}

function eachEntry(set: Operand, visit: (entry: ScoredMember) => boolean): void {
  if (set instanceof SortedSetValue) set.each(0, set.size, visit);
  else set.each((member) => visit({ member, score: SCORE_IN_SET }));
}

/** The scores of members in a set; undefined for those that are not in it. */
function scoresIn(set: Operand, members: readonly string[]): (number | undefined)[] {
  if (set instanceof SortedSetValue) return set.scoresOf(members);
  return set.hasMany(members).map((isIn) => (isIn ? SCORE_IN_SET : undefined));
}

/** As Redis, which aggregates in this order, so that sums are the same in the last bit. */
function bySize(sources: readonly Source[]): Source[] {
  return [...sources].sort((a, b) => (a.set?.size ?? 0) - (b.set?.size ?? 0));
}

/** Gives the entries of a set to `visit` in groups, until that returns false. */
function eachGroup(set: Operand, visit: (entries: readonly ScoredMember[]) => boolean): void {
  let group: ScoredMember[] = [];
  let stopped = false;
  eachEntry(set, (entry) => {
    if (group.push(entry) < LOOKED_UP_AT_ONCE) return true;
    stopped = !visit(group);
    group = [];
    return !stopped;
  });
  if (!stopped && group.length > 0) visit(group);
}

/** Visits what all sources have, until `visit` returns false. */
function eachCommon(
  sources: readonly Source[],
  aggregate: Aggregate,
  visit: (entry: ScoredMember) => boolean,
): void {
  const [smallest, ...others] = bySize(sources);
  if (smallest?.set === undefined) return;
  const { weight } = smallest;
  eachGroup(smallest.set, (entries) => {
    let left = entries.map(({ member, score }) => ({ member, score: zeroForNan(score * weight) }));
    for (const other of others) {
      const scores = scoresIn(
        other.set!,
        left.map(({ member }) => member),
      );
      for (const [index, entry] of left.entries()) {
        const score = scores[index];
        // No aggregate gives NaN for a product that is, so it need not be looked at.
        if (score !== undefined) entry.score = aggregate(entry.score, score * other.weight);
      }
      left = left.filter((_entry, index) => scores[index] !== undefined);
    }
    return left.every(visit);
  });
}

/** Carries an operation out, until there is no room for more members. */
type Combine = (combination: Combination, held: HeldElements) => ScoredMember[];

const intersection: Combine = ({ sources, aggregate }, held) => {
  const entries: ScoredMember[] = [];
  eachCommon(sources, aggregate, (entry) => entries.push(entry) > 0 && held.add(entry.member));
  return entries;
};

const union: Combine = ({ sources, aggregate }, held) => {
  const scores = new Map<string, number>();
  for (const { set, weight } of bySize(sources)) {
    if (set === undefined || held.isOver) continue;
    eachEntry(set, ({ member, score }) => {
      const value = zeroForNan(score * weight);
      const before = scores.get(member);
      scores.set(member, before === undefined ? value : aggregate(before, value));
      return before !== undefined || held.add(member);
    });
  }
  return Array.from(scores, ([member, score]) => ({ member, score }));
};

const difference: Combine = ({ sources: [first, ...others] }, held) => {
  const result: ScoredMember[] = [];
  const taken = others.flatMap(({ set }) => (set === undefined ? [] : [set]));
  if (first?.set === undefined || taken.includes(first.set)) return result;
  eachGroup(first.set, (entries) => {
    let left = entries;
    for (const other of taken) {
      const scores = scoresIn(
        other,
        left.map(({ member }) => member),
      );
      left = left.filter((_entry, index) => scores[index] === undefined);
    }
    result.push(...left);
    return left.every(({ member }) => held.add(member));
  });
  return result;
};

const OPERATIONS: Readonly<Record<Operation, Combine>> = {
  union,
  intersection,
  difference,
};

/** What an operation makes, in order. */
function combined(
  operation: Operation,
  combination: Combination,
  settings: ShardSettings,
): ScoredMember[] | CommandError {
  const held = new HeldElements(settings, 'scored');
  const entries = OPERATIONS[operation](combination, held);
  return held.isOver ? held.refusal : entries.sort((a, b) => (comesBefore(a, b) ? -1 : 1));
}

/** A command that replies what is made of its sources. @param name in lower case */
export function replyCombined(name: string, operation: Operation): ShardHandler {
  return ({ view, reply, settings }, args) => {
    const combination = parseCombination(view, args, 1, { name, operation, purpose: 'reply' });
    if (combination instanceof CommandError) return reply.error(combination);
    const entries = combined(operation, combination, settings);
    if (entries instanceof CommandError) return reply.error(entries);
    const { withScores } = combination;
    beginMembers(reply, entries.length, withScores);
    for (const entry of entries) writeMember(reply, entry, withScores);
  };
}

/** A command that stores it under its first key. */
export function storeCombined(name: string, operation: Operation): ShardHandler {
  return ({ view, reply, settings }, args) => {
    const combination = parseCombination(view, args, 2, { name, operation, purpose: 'store' });
    if (combination instanceof CommandError) return reply.error(combination);
    // In order, so that leaves of a large result are filled one after the other.
    const entries = combined(operation, combination, settings);
    if (entries instanceof CommandError) return reply.error(entries);
    const owned = entries.map(({ member, score }) => ({ member: ownText(member), score }));
    const result = SortedSetValue.of(view.collections, owned);
    replace(view, args.text(1), result);
    reply.integer(result.size);
  };
}

/** ZINTERCARD numkeys key [key ...] [LIMIT limit]; a limit of 0 is none. */
export const countIntersection: ShardHandler = ({ view, reply }, args) => {
  const form = { name: 'zintercard', operation: 'intersection', purpose: 'count' } as const;
  const combination = parseCombination(view, args, 1, form);
  if (combination instanceof CommandError) return reply.error(combination);
  const { sources, aggregate, limit } = combination;
  let count = 0;
  eachCommon(sources, aggregate, () => ++count !== limit);
  reply.integer(count);
};
