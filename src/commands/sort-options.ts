import type { Arguments } from '../base/arguments.js';
import { type CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';

/** Options of SORT, and the patterns by which it finds other keys. */

export interface SortOptions {
  readonly descending: boolean;
  readonly alpha: boolean;
  /** Elements before the first that is wanted; may be negative. */
  readonly offset: number;
  /** Negative for all. */
  readonly count: number;
  /** What to sort by; undefined for the elements themselves. */
  readonly by: SortPattern | undefined;
  /** Whether a pattern names no keys, so that the elements stay in their order. */
  readonly keepsOrder: boolean;
  /** What to reply of each element; none for the element itself. */
  readonly get: readonly SortPattern[];
  readonly destination: string | undefined;
}

/** @param stores whether STORE is an option */
export function parseSortOptions(args: Arguments, stores: boolean): SortOptions | CommandError {
  let [descending, alpha, keepsOrder] = [false, false, false];
  let [offset, count] = [0, -1];
  let by: SortPattern | undefined;
  let destination: string | undefined;
  const get: SortPattern[] = [];
  for (let index = 2; index < args.count; index++) {
    const token = args.token(index);
    const left = args.count - index - 1;
    if (token === 'ASC') descending = false;
    else if (token === 'DESC') descending = true;
    else if (token === 'ALPHA') alpha = true;
    else if (token === 'LIMIT' && left >= 2) {
      const [first, most] = [parseInteger(args.text(++index)), parseInteger(args.text(++index))];
      if (first === undefined || most === undefined) return NOT_AN_INTEGER;
      [offset, count] = [first, most];
    } else if (stores && token === 'STORE' && left >= 1) destination = args.text(++index);
    else if (token === 'BY' && left >= 1) {
      by = parseSortPattern(args.text(++index));
      keepsOrder ||= by.kind === 'nothing';
    } else if (token === 'GET' && left >= 1) get.push(parseSortPattern(args.text(++index)));
    else return SYNTAX_ERROR;
  }
  return { descending, alpha, offset, count, by, keepsOrder, get, destination };
}

/** What a pattern makes of an element: the element itself, nothing, or the value of a key that has the element in its name. */
export type SortPattern =
  | { readonly kind: 'element' | 'nothing' }
  | {
      readonly kind: 'key';
      readonly before: string;
      readonly behind: string;
      /** Of a key that holds a hash. */
      readonly field: string | undefined;
    };

/** Reads `#`, or text in which the first `*` stands for an element; a field follows behind `->`. */
export function parseSortPattern(text: string): SortPattern {
  if (text === '#') return { kind: 'element' };
  const star = text.indexOf('*');
  if (star < 0) return { kind: 'nothing' };
  const arrow = text.indexOf('->', star + 1);
  const hasField = arrow >= 0 && arrow + 2 < text.length;
  return {
    kind: 'key',
    before: text.slice(0, star),
    behind: text.slice(star + 1, hasField ? arrow : undefined),
    field: hasField ? text.slice(arrow + 2) : undefined,
  };
}

/**
 * Beginnings of keys that a SORT may read, up to where the element stands in them.
 * @param text gives an argument
 */
export function sortedKeyPrefixes(count: number, text: (index: number) => string): string[] {
  const prefixes: string[] = [];
  for (let index = 2; index + 1 < count; index++) {
    const token = text(index).toUpperCase();
    if (token !== 'BY' && token !== 'GET') continue;
    const pattern = parseSortPattern(text(index + 1));
    if (pattern.kind === 'key') prefixes.push(pattern.before);
  }
  return prefixes;
}
