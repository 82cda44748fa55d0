import { LISTING_PAGE_KEYS } from '../base/limits.js';
import type { ChangeRequest, KeyspaceRequest } from '../cluster/manager.js';
import { CHANGE_WORDS, fitsOperands, isChangeWord, type OperandKind, operandsText } from './change-words.js';
import { keyspaceRequest, RequestError, wholeNumber } from './keyspace-words.js';

/** What the shell understands besides the server's commands. */
export type ShellWord =
  | { readonly kind: 'quit' | 'clear' | 'keyspaces' | 'stores' | 'topology' | 'tasks' | 'dump' }
  | { readonly kind: 'help'; readonly words: readonly string[] }
  | { readonly kind: 'events'; readonly isOn: boolean | undefined }
  | { readonly kind: 'use' | 'describe' | 'compact'; readonly name: string }
  | { readonly kind: 'backup' | 'restore'; readonly name: string; readonly directory: string }
  | { readonly kind: 'delete'; readonly name: string; readonly isSure: boolean }
  | { readonly kind: 'create'; readonly request: KeyspaceRequest }
  | { readonly kind: 'change'; readonly request: ChangeRequest; readonly isWaiting: boolean }
  | { readonly kind: 'prefix'; readonly limit: number };

interface WordHelp {
  readonly usage: string;
  readonly summary: string;
  /** What the words behind it are, as far as completion knows them. */
  readonly operands?: readonly OperandKind[];
  /** Whether the server has a command of that name, which differs in what is behind it. */
  readonly isCommandToo?: boolean;
}

function changeHelp(kind: ChangeRequest['kind']): WordHelp {
  const { summary, operands } = CHANGE_WORDS[kind];
  const usage =
    `${kind} ${operandsText(kind).replace(/<(\w+)>/g, (_, name: string) => name.toUpperCase())}`.trim();
  return {
    usage: kind === 'abort' ? usage : `${usage} [detach]`,
    summary,
    operands: operands.map(({ is }) => is),
    isCommandToo: kind === 'move',
  };
}

/** In the order of the help. */
export const SHELL_WORDS = {
  use: { usage: 'use NAME|number', summary: 'go to a keyspace (SELECT)', operands: ['keyspace'] },
  keyspaces: { usage: 'keyspaces', summary: 'list the keyspaces' },
  describe: {
    usage: 'describe NAME',
    summary: 'tell where a keyspace is, how large, and why there',
    operands: ['keyspace'],
  },
  create: {
    usage: 'create NAME [shards S] [replicas R] [tags a,b] [db N]',
    summary: 'make a keyspace',
  },
  delete: {
    usage: 'delete NAME [yes]',
    summary: 'delete a keyspace and all that is in it',
    operands: ['keyspace'],
  },
  compact: {
    usage: 'compact NAME',
    summary: 'rewrite a keyspace, so that what was deleted takes no space',
    operands: ['keyspace'],
  },
  backup: {
    usage: 'backup NAME DIRECTORY',
    summary: 'write all that a keyspace has to a directory of this machine',
    operands: ['keyspace'],
  },
  restore: {
    usage: 'restore DIRECTORY NAME',
    summary: 'bring a backup into a keyspace, new or empty',
    operands: ['directory', 'keyspace'],
    isCommandToo: true,
  },
  resize: changeHelp('resize'),
  replicas: changeHelp('replicas'),
  move: changeHelp('move'),
  abort: changeHelp('abort'),
  stores: { usage: 'stores', summary: 'list the stores' },
  replace: changeHelp('replace'),
  drain: changeHelp('drain'),
  undrain: changeHelp('undrain'),
  rebalance: changeHelp('rebalance'),
  tasks: { usage: 'tasks', summary: 'show changes that are going on' },
  topology: { usage: 'topology', summary: 'show stores and what they hold' },
  prefix: { usage: 'prefix TEXT [limit]', summary: 'keys that begin so, with their values' },
  dump: { usage: 'dump', summary: 'all keys of this keyspace, with their values', isCommandToo: true },
  put: { usage: 'put KEY VALUE', summary: 'another word for SET' },
  events: { usage: 'events on|off', summary: 'whether to tell what happens in the cluster' },
  help: { usage: 'help [command|@group]', summary: 'this, or what the server says of a command' },
  clear: { usage: 'clear', summary: 'clear the screen' },
  quit: { usage: 'quit', summary: 'leave, as Ctrl-D does' },
} as const satisfies Record<string, WordHelp>;

/** @returns undefined for what is no word of the shell */
export function wordHelp(word: string): WordHelp | undefined {
  return Object.hasOwn(SHELL_WORDS, word) ? SHELL_WORDS[word as keyof typeof SHELL_WORDS] : undefined;
}

const PREFIX_LIMIT = 100;

/**
 * @param words as typed
 * @returns undefined for what is the server's
 * @throws {@link RequestError} for a word of the shell that is used wrongly
 */
export function parseShellWord(words: readonly string[]): ShellWord | undefined {
  const [first = '', second, third] = words;
  const word = first.toLowerCase();
  if (isChangeWord(word)) return parseChange(word, words.slice(1));
  switch (word) {
    case 'quit':
    case 'exit':
      return { kind: 'quit' };
    case 'help':
    case '?':
      return { kind: 'help', words: words.slice(1) };
    case 'clear':
    case 'keyspaces':
    case 'stores':
    case 'topology':
    case 'tasks':
      return exactly(words, 1, word, { kind: word });
    case 'dump':
      // With a key it is Redis's.
      return words.length === 1 ? { kind: 'dump' } : undefined;
    case 'use':
    case 'describe':
    case 'compact':
      return exactly(words, 2, word, { kind: word, name: second ?? '' });
    case 'backup':
      return exactly(words, 3, word, { kind: word, name: second ?? '', directory: third ?? '' });
    case 'restore':
      // With a key, a time and a payload it is Redis's.
      return words.length > 3
        ? undefined
        : exactly(words, 3, word, { kind: word, directory: second ?? '', name: third ?? '' });
    case 'delete':
      return parseDelete(words);
    case 'create':
      return { kind: 'create', request: parseCreate(words) };
    case 'events':
      return parseEvents(words);
    case 'prefix':
      if (words.length === 3) return { kind: 'prefix', limit: wholeNumber(third!, 'limit', 1, 1_000_000) };
      return exactly(words, 2, word, { kind: 'prefix', limit: PREFIX_LIMIT });
    default:
      return undefined;
  }
}

function usage(word: keyof typeof SHELL_WORDS): RequestError {
  return new RequestError(`usage: ${SHELL_WORDS[word].usage}`);
}

function exactly<T>(words: readonly string[], count: number, word: keyof typeof SHELL_WORDS, meaning: T): T {
  if (words.length !== count) throw usage(word);
  return meaning;
}

/** Operands, then `detach` where it is not to be waited for. */
function parseChange(kind: ChangeRequest['kind'], words: readonly string[]): ShellWord | undefined {
  const isDetached = kind !== 'abort' && /^(--)?detach$/i.test(words.at(-1) ?? '');
  const operands = isDetached ? words.slice(0, -1) : words;
  if (!fitsOperands(kind, operands.length)) {
    // With a key and a number it is Redis's.
    if (kind === 'move' && words.length <= 2) return undefined;
    throw usage(kind);
  }
  return { kind: 'change', request: CHANGE_WORDS[kind].request(operands), isWaiting: !isDetached };
}

function parseDelete(words: readonly string[]): ShellWord {
  const sure = words[2]?.toLowerCase();
  if (words.length < 2 || words.length > 3 || (sure !== undefined && sure !== 'yes' && sure !== '--yes'))
    throw usage('delete');
  return { kind: 'delete', name: words[1]!, isSure: sure !== undefined };
}

function parseEvents(words: readonly string[]): ShellWord {
  const setting = words[1]?.toLowerCase();
  if (words.length > 2 || (setting !== undefined && setting !== 'on' && setting !== 'off'))
    throw usage('events');
  return { kind: 'events', isOn: setting === undefined ? undefined : setting === 'on' };
}

/** Options as words, as flags of admin, or as in VASTO KEYSPACE CREATE. */
function parseCreate(words: readonly string[]): KeyspaceRequest {
  const name = words[1];
  if (name === undefined || words.length % 2 !== 0) throw usage('create');
  const options: { shards?: string; replicas?: string; tags?: string; db?: string } = {};
  for (let index = 2; index < words.length; index += 2) {
    const option = words[index]!.toLowerCase().replace(/^--/, '');
    if (option !== 'shards' && option !== 'replicas' && option !== 'tags' && option !== 'db')
      throw usage('create');
    options[option] = words[index + 1]!;
  }
  return keyspaceRequest({ name, ...options });
}

/** Keys that one page of a listing of `limit` keys has, when so many are there already. */
export function pageKeys(limit: number, listed: number): number {
  return Math.min(LISTING_PAGE_KEYS, limit - listed);
}
