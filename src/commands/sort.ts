import { CommandError, WRONG_TYPE } from '../base/command-errors.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { Collection } from '../types/collections/collection.js';
import { HashValue } from '../types/collections/hash.js';
import { ListValue } from '../types/collections/list.js';
import { ownText } from '../types/collections/packed-text.js';
import { SetValue } from '../types/collections/set.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import { RowType, type StringValue, stringValue, valueText } from '../types/row.js';
import { parseScore } from '../types/score.js';
import type { ShardView } from '../types/shard-view.js';
import { replace } from './collection-access.js';
import {
  type CommandDefinition,
  type KeySpecification,
  oneKey,
  type ShardContext,
  type ShardHandler,
} from './definition.js';
import { refusalOfElements } from './held-elements.js';
import { parseSortOptions, type SortOptions, type SortPattern } from './sort-options.js';

const NOT_NUMBERS = new CommandError("ERR One or more scores can't be converted into double");

/** What SORT sorts. */
type Sortable = ListValue | SetValue | SortedSetValue;

function isSortable(value: Collection | undefined): value is Sortable {
  return value instanceof ListValue || value instanceof SetValue || value instanceof SortedSetValue;
}

/** An element, as latin1 text, and what it is sorted by. */
interface SortedElement {
  readonly text: string;
  /** Of numeric sorting. */
  readonly weight: number;
  /** Of sorting by the text of other keys; undefined where there is none. */
  readonly label: string | undefined;
}

/** Elements from `start` to before `end`. */
interface Window {
  readonly start: number;
  readonly end: number;
}

function windowOf({ offset, count }: SortOptions, size: number): Window {
  const start = Math.min(Math.max(offset, 0), size);
  return { start, end: count < 0 ? size : Math.min(size, start + count) };
}

/** Elements in the order that the value has them, backwards if asked for. */
function elementsOf(value: Sortable, { start, end }: Window, backwards: boolean): string[] {
  const elements: string[] = [];
  if (value instanceof SetValue) return value.members().slice(start, end);
  const [from, to] = backwards ? [value.size - end, value.size - start] : [start, end];
  if (value instanceof ListValue) {
    const visit = (element: StringValue): boolean => elements.push(valueText(element)) > 0;
    if (backwards) value.eachReverse(from, to, visit);
    else value.each(from, to, visit);
  } else {
    const visit = ({ member }: { readonly member: string }): boolean => elements.push(member) > 0;
    if (backwards) value.eachReverse(from, to, visit);
    else value.each(from, to, visit);
  }
  return elements;
}

/** What a pattern finds for an element. */
function lookUp(view: ShardView, pattern: SortPattern, element: string): StringValue | undefined {
  if (pattern.kind !== 'key') return pattern.kind === 'element' ? element : undefined;
  const row = view.find(pattern.before + element + pattern.behind);
  if (pattern.field === undefined) return row?.type === RowType.String ? row.value : undefined;
  return row?.collection instanceof HashValue ? row.collection.get(pattern.field, view.nowMs) : undefined;
}

/**
 * Text as a number to sort by, as C's strtod reads it: up to a NUL, behind spaces, nothing at all as 0.
 * @returns undefined for anything that is no number
 */
function parseWeight(text: string): number | undefined {
  const nul = text.indexOf('\0');
  const number = nul < 0 ? text : text.slice(0, nul);
  return number === '' ? 0 : parseScore(number.replace(/^[\t-\r ]+/, ''));
}

function compareTexts(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** What has no label comes first. */
function compareLabels(left: string | undefined, right: string | undefined): number {
  if (left === undefined || right === undefined)
    return Number(right === undefined) - Number(left === undefined);
  return compareTexts(left, right);
}

function sorted(view: ShardView, texts: readonly string[], options: SortOptions): string[] | CommandError {
  const { alpha, descending, by } = options;
  const elements: SortedElement[] = [];
  for (const text of texts) {
    const value = by === undefined ? text : lookUp(view, by, text);
    const label = value === undefined ? undefined : valueText(value);
    const weight = alpha || label === undefined ? 0 : parseWeight(label);
    if (weight === undefined) return NOT_NUMBERS;
    elements.push({ text, weight, label });
  }
  const compare = alpha
    ? (a: SortedElement, b: SortedElement) => compareLabels(a.label, b.label)
    : (a: SortedElement, b: SortedElement) => a.weight - b.weight || compareTexts(a.text, b.text);
  elements.sort(descending ? (a, b) => compare(b, a) : compare);
  return elements.map(({ text }) => text);
}

/** The elements that are asked for, in order. */
function selectElements(
  { view, settings }: ShardContext,
  value: Sortable,
  options: SortOptions,
): string[] | CommandError {
  const window = windowOf(options, value.size);
  // Sets have no order of their own, and what is stored shall not depend on chance.
  const set = value instanceof SetValue && options.destination !== undefined ? value : undefined;
  const count = options.keepsOrder && set === undefined ? window.end - window.start : value.size;
  const refusal = refusalOfElements(count, settings);
  if (refusal !== undefined) return refusal;
  if (options.keepsOrder) {
    if (set === undefined) return elementsOf(value, window, options.descending);
    return inWindow(sorted(view, set.members(), { ...options, alpha: true, by: undefined }), window);
  }
  const all = elementsOf(value, { start: 0, end: value.size }, false);
  return inWindow(sorted(view, all, options), window);
}

function inWindow(elements: string[] | CommandError, { start, end }: Window): string[] | CommandError {
  return elements instanceof CommandError ? elements : elements.slice(start, end);
}

/** What is replied or stored of the elements: undefined for what is not there. */
function* resultsOf(
  view: ShardView,
  elements: readonly string[],
  get: readonly SortPattern[],
): Generator<StringValue | undefined> {
  for (const element of elements) {
    if (get.length === 0) yield element;
    for (const pattern of get) yield lookUp(view, pattern, element);
  }
}

function store(
  view: ShardView,
  reply: ReplyWriter,
  destination: string,
  results: Iterable<StringValue | undefined>,
): void {
  const list = new ListValue(view.collections);
  for (const value of results)
    list.insertAt(list.size, typeof value === 'string' ? stringValue(ownText(value)) : (value ?? ''));
  replace(view, destination, list);
  reply.integer(list.size);
}

/** SORT and SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination] */
function sort(stores: boolean): ShardHandler {
  return (context, args) => {
    const { view, reply } = context;
    const options = parseSortOptions(args, stores);
    if (options instanceof CommandError) return reply.error(options);
    const row = view.find(args.text(1));
    const value = row === undefined ? new ListValue(view.collections) : row.collection;
    if (!isSortable(value)) return reply.error(WRONG_TYPE);
    const elements = selectElements(context, value, options);
    if (elements instanceof CommandError) return reply.error(elements);
    const { get, destination } = options;
    const results = resultsOf(view, elements, get);
    if (destination !== undefined) return store(view, reply, destination, results);
    reply.array(elements.length * Math.max(1, get.length));
    for (const result of results) reply.bulkOrNil(result);
  };
}

/** Keys that patterns make of elements; see `sortedKeyPrefixes`. */
const BY_PATTERNS: KeySpecification = { first: 1, last: 0, step: 1, flags: ['RO', 'access'], untold: true };
const DESTINATION: KeySpecification = {
  first: 2,
  last: 2,
  step: 1,
  flags: ['OW', 'update'],
  keyword: 'STORE',
  untold: true,
};

export const sortCommands: readonly CommandDefinition[] = [
  {
    name: 'sort',
    arity: -2,
    flags: ['write', 'denyoom'],
    keys: [...oneKey('RO', 'access'), BY_PATTERNS, DESTINATION],
    group: 'generic',
    since: '1.0.0',
    summary:
      'Gets, or stores, the elements of a list, set or sorted set in order, or what other keys have for them',
    complexity: 'O(N*log(N)) for N elements, O(N) where they are not to be sorted',
    syntax:
      'key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]',
    categories: ['set', 'sortedset', 'list', 'dangerous'],
    runs: 'shard',
    run: sort(true),
  },
  {
    name: 'sort_ro',
    arity: -2,
    flags: ['readonly'],
    keys: [...oneKey('RO', 'access'), BY_PATTERNS],
    group: 'generic',
    since: '7.0.0',
    summary: 'Gets the elements of a list, set or sorted set in order, or what other keys have for them',
    complexity: 'O(N*log(N)) for N elements, O(N) where they are not to be sorted',
    syntax: 'key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]',
    categories: ['set', 'sortedset', 'list', 'dangerous'],
    runs: 'shard',
    run: sort(false),
  },
];
