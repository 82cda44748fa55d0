import { CHANGE_WORDS, isChangeWord, type OperandKind } from './change-words.js';
import type { CommandDocs } from './command-docs.js';
import { SHELL_WORDS, wordHelp } from './shell-words.js';

/** What can be completed. */
export interface Completable {
  readonly docs: readonly CommandDocs[];
  readonly keyspaces: readonly string[];
  /** Their addresses. */
  readonly stores: readonly string[];
}

/** Words that may follow the beginning of a line, and how much of the line they replace: what readline wants. */
export function complete(line: string, known: Completable): [string[], string] {
  const words = line.trimStart().split(/\s+/);
  const last = words.at(-1) ?? '';
  const before = words.slice(0, -1).map((word) => word.toLowerCase());
  const found = candidates(before, last, known);
  // Nothing else can come: on to the next word.
  return [found.length === 1 ? [`${found[0]} `] : found, last];
}

function candidates(before: readonly string[], last: string, known: Completable): string[] {
  const { docs } = known;
  const [first] = before;
  if (first === undefined)
    return starting(last, [...Object.keys(SHELL_WORDS), ...docs.map(({ name }) => name)]);
  if (first === 'help' || first === '?')
    return candidates(before.slice(1), last, { ...known, keyspaces: [], stores: [] });
  if (first === 'vasto' && before.length > 1) return ofVasto(before.slice(1), last, known);
  if (before.length === 1 && first === 'events') return starting(last, ['on', 'off']);
  if (first === 'create' && before.length > 1 && before.length % 2 === 0)
    return starting(
      last,
      ['shards', 'replicas', 'tags', 'db'].filter((option) => !before.includes(option)),
    );
  const operands = first === 'select' ? KEYSPACE : wordHelp(first)?.operands;
  if (operands !== undefined) return ofOperands(operands[before.length - 1], last, known);
  if (before.length > 1) return [];
  const command = docs.find(({ name }) => name.toLowerCase() === first);
  return starting(last, command?.subcommands.map(({ name }) => name.split(' ')[1] ?? '') ?? []);
}

const KEYSPACE: readonly OperandKind[] = ['keyspace'];
const KEYSPACE_ACTIONS = ['CREATE', 'DELETE', 'LIST', 'DESCRIBE', 'COMPACT'];
const KEYSPACE_CHANGES = ['RESIZE', 'REPLICAS', 'MOVE', 'ABORT'];
const STORE_CHANGES = ['REPLACE', 'DRAIN', 'UNDRAIN'];

/** Behind VASTO KEYSPACE and VASTO STORE. */
function ofVasto(
  [subject, action, ...before]: readonly string[],
  last: string,
  known: Completable,
): string[] {
  if (subject !== 'keyspace' && subject !== 'store') return [];
  if (action === undefined)
    return starting(last, subject === 'store' ? STORE_CHANGES : [...KEYSPACE_ACTIONS, ...KEYSPACE_CHANGES]);
  const operands = isChangeWord(action)
    ? CHANGE_WORDS[action].operands.map(({ is }) => is)
    : /^(delete|describe|compact)$/.test(action)
      ? KEYSPACE
      : [];
  return ofOperands(operands[before.length], last, known);
}

function ofOperands(
  kind: OperandKind | undefined,
  last: string,
  { keyspaces, stores }: Completable,
): string[] {
  if (kind === 'keyspace') return starting(last, keyspaces, true);
  return kind === 'store' ? starting(last, stores, true) : [];
}

/** Those that begin so, in whatever case: commands in the case in which they were begun. */
function starting(beginning: string, words: readonly string[], asTheyAre = false): string[] {
  const isLower = beginning !== '' && beginning === beginning.toLowerCase();
  const found = new Set<string>();
  for (const word of words) {
    if (asTheyAre ? !word.startsWith(beginning) : !word.toLowerCase().startsWith(beginning.toLowerCase()))
      continue;
    found.add(asTheyAre || !isLower ? word : word.toLowerCase());
  }
  return [...found].sort();
}
