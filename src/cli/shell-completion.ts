import type { CommandDocs } from './command-docs.js';
import { SHELL_WORDS } from './shell-words.js';

/** What can be completed. */
export interface Completable {
  readonly docs: readonly CommandDocs[];
  readonly keyspaces: readonly string[];
}

/** Words that may follow the beginning of a line, and how much of the line they replace: what readline wants. */
export function complete(line: string, { docs, keyspaces }: Completable): [string[], string] {
  const words = line.trimStart().split(/\s+/);
  const last = words.at(-1) ?? '';
  const before = words.slice(0, -1).map((word) => word.toLowerCase());
  const found = candidates(before, last, docs, keyspaces);
  // Nothing else can come: on to the next word.
  return [found.length === 1 ? [`${found[0]} `] : found, last];
}

function candidates(
  before: readonly string[],
  last: string,
  docs: readonly CommandDocs[],
  keyspaces: readonly string[],
): string[] {
  const [first, second] = before;
  if (first === undefined)
    return starting(last, [...Object.keys(SHELL_WORDS), ...docs.map(({ name }) => name)]);
  if (first === 'help' || first === '?') return candidates(before.slice(1), last, docs, []);
  if (before.length === 1) {
    if (first === 'events') return starting(last, ['on', 'off']);
    if (first === 'select' || takesKeyspace(first)) return starting(last, keyspaces, true);
    const command = docs.find(({ name }) => name.toLowerCase() === first);
    return starting(last, command?.subcommands.map(({ name }) => name.split(' ')[1] ?? '') ?? []);
  }
  if (first === 'create' && before.length % 2 === 0)
    return starting(
      last,
      ['shards', 'replicas', 'tags', 'db'].filter((option) => !before.includes(option)),
    );
  if (first !== 'vasto' || second !== 'keyspace') return [];
  if (before.length === 2) return starting(last, ['CREATE', 'DELETE', 'LIST', 'DESCRIBE', 'COMPACT']);
  return before.length === 3 && /^(delete|describe|compact)$/.test(before[2]!)
    ? starting(last, keyspaces, true)
    : [];
}

function takesKeyspace(word: string): boolean {
  return Object.hasOwn(SHELL_WORDS, word) && 'takesKeyspace' in SHELL_WORDS[word as keyof typeof SHELL_WORDS];
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
