import type { ChangeRequest } from '../cluster/manager.js';
import { wholeNumber } from './keyspace-words.js';

/** What a word behind the name of a change is: what completion offers for it. */
export type OperandKind = 'keyspace' | 'store' | 'number' | 'directory';

interface Operand {
  readonly name: string;
  readonly is: OperandKind;
  readonly isOptional?: true;
}

type ChangeKind = ChangeRequest['kind'];

interface ChangeWord {
  readonly summary: string;
  readonly operands: readonly Operand[];
  /** @param words one for each operand, '' for one that is not there @throws RequestError */
  request(words: readonly string[]): ChangeRequest;
}

/** More than there can be of anything. */
const COUNT_MAX = 1_000_000;

const KEYSPACE: Operand = { name: 'name', is: 'keyspace' };
const STORE: Operand = { name: 'store', is: 'store' };

function countOf(text: string, what: string): number {
  return wholeNumber(text, what, 0, COUNT_MAX);
}

/** The changes of where keyspaces are, as `vasto admin` and `vasto shell` ask for them; in the order of the help. */
export const CHANGE_WORDS: Readonly<Record<ChangeKind, ChangeWord>> = {
  resize: {
    summary: 'give a keyspace another number of shards',
    operands: [KEYSPACE, { name: 'shards', is: 'number' }],
    request: ([keyspace = '', shards = '']) => ({
      kind: 'resize',
      keyspace,
      shards: countOf(shards, 'the number of shards'),
    }),
  },
  replicas: {
    summary: 'give a keyspace more or fewer copies',
    operands: [KEYSPACE, { name: 'count', is: 'number' }],
    request: ([keyspace = '', replicas = '']) => ({
      kind: 'replicas',
      keyspace,
      replicas: countOf(replicas, 'the number of copies'),
    }),
  },
  move: {
    summary: 'move a copy of a shard from one store to another',
    operands: [
      KEYSPACE,
      { name: 'shard', is: 'number' },
      { name: 'from', is: 'store' },
      { name: 'to', is: 'store' },
    ],
    request: ([keyspace = '', shard = '', from = '', to = '']) => ({
      kind: 'move',
      keyspace,
      shard: countOf(shard, 'the number of the shard'),
      from,
      to,
    }),
  },
  abort: {
    summary: "give a keyspace's change up, before others have taken over",
    operands: [KEYSPACE],
    request: ([keyspace = '']) => ({ kind: 'abort', keyspace }),
  },
  replace: {
    summary: 'give all that a store has to another one; it may be dead where there are copies',
    operands: [STORE, { name: 'by', is: 'store', isOptional: true }],
    request: ([store = '', by = '']) => ({ kind: 'replace', store, by }),
  },
  drain: {
    summary: 'give all that a store has to others; it gets nothing more',
    operands: [STORE],
    request: ([store = '']) => ({ kind: 'drain', store }),
  },
  undrain: {
    summary: 'let a store that was drained get something again',
    operands: [STORE],
    request: ([store = '']) => ({ kind: 'undrain', store }),
  },
  rebalance: {
    summary: 'spread the shards evenly over the stores',
    operands: [],
    request: () => ({ kind: 'rebalance' }),
  },
};

export function isChangeWord(word: string): word is ChangeKind {
  return Object.hasOwn(CHANGE_WORDS, word);
}

/** Whether so many words can be the operands of a change. */
export function fitsOperands(kind: ChangeKind, count: number): boolean {
  const { operands } = CHANGE_WORDS[kind];
  return count <= operands.length && count >= operands.filter(({ isOptional }) => !isOptional).length;
}

/** As `<name> <shards> [by]`. */
export function operandsText(kind: ChangeKind): string {
  const { operands } = CHANGE_WORDS[kind];
  return operands.map(({ name, isOptional }) => (isOptional ? `[${name}]` : `<${name}>`)).join(' ');
}
