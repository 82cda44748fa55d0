import type { Buffer } from 'node:buffer';
import type { StringValue } from '../row.js';
import type { CollectionLimits } from './collection.js';

/**
 * What an element row of a large collection is. The numbers are stored on disk: never renumber.
 * Within a collection rows lie in order of their kind, then as said here.
 */
export const ElementKind = {
  /** A node of a tree, by its id. */
  Node: 0,
  /** A field of a hash, or a member of a set or sorted set, in order of {@link memberHash}, then of the name. */
  Member: 1,
  /** A list's value that is too long to stand in a leaf, by its id. */
  Value: 2,
  /** When a hash field ends, by the field. */
  FieldExpiry: 3,
  /** Hash fields that end, in order of time: 8 bytes, then the field. */
  FieldDeadline: 4,
} as const;
export type ElementKind = (typeof ElementKind)[keyof typeof ElementKind];

/** Something kept decoded in memory and encoded when the batch commits. */
export interface Encodable {
  /** Bytes it takes in memory: for the cache's budget. */
  readonly footprintBytes: number;
  /** Its bytes, which may be in memory that its next change, or the next call, overwrites. */
  encode(): Buffer;
  /** Bytes that {@link encode} gives. */
  readonly encodedBytes: number;
  /** Whether it waits for the commit: then it need not be staged again. */
  isStaged: boolean;
  /** Whether it is to be written whole, and not what has changed since the last commit. */
  isWhole: boolean;
  /** Bytes that {@link writePatches} writes at most. */
  readonly patchBytesMax: number;
  /** Writes what has changed since the last commit, see node-patches.ts. Returns where it ends. */
  writePatches(target: Buffer, at: number): number;
  /** All that has changed is written. */
  settled(): void;
  /**
   * The row in memory that has it; undefined when none has. Whoever comes to it by a link, and not by
   * {@link ElementStore.node}, follows the link only while there is one, and says there that it is in use.
   */
  row: { visited: boolean } | undefined;
  /** Its row has left memory, or has another value: nothing may lead to it any more. */
  left(): void;
}

/**
 * The element rows of one large collection, with the changes of the running batch. Names are latin1 text.
 * A read may throw a StorageError; the batch is then undone, and whatever was changed in memory is forgotten.
 */
export interface ElementStore {
  /** Unique in the shard, for ever: two collections never share rows. */
  readonly version: number;
  get(kind: ElementKind, name: string): StringValue | undefined;
  /** Values in the order of `names`, with one read for all that are not in memory. */
  getMany(kind: ElementKind, names: readonly string[]): (StringValue | undefined)[];
  set(kind: ElementKind, name: string, value: StringValue): void;
  /** As {@link set}, and tells what was there. */
  exchange(kind: ElementKind, name: string, value: StringValue): StringValue | undefined;
  /** As {@link set} where nothing is there. @returns whether nothing was */
  insert(kind: ElementKind, name: string, value: StringValue): boolean;
  delete(kind: ElementKind, name: string): void;
  /** A row that lives decoded; undefined when there is none. */
  node<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined;
  /** As {@link node}, for who only reads, and reads many: one that is not in memory does not come to be there. */
  peekNode<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined;
  /** Stages a node that is new, or was or will be changed in place by the command that runs. */
  setNode(id: string, node: Encodable): void;
  deleteNode(id: string): void;
  /**
   * Visits rows of a kind in their order until `visit` returns false.
   * @param from only rows whose key within the kind begins with this or comes later: for members, 4 bytes of hash
   * @param withValues without, which is three times as fast, values are ''
   */
  iterate(
    kind: ElementKind,
    from: string,
    withValues: boolean,
    visit: (name: string, value: StringValue) => boolean,
  ): void;
  /** Visits all rows as they would be stored, in no order. None must change meanwhile. */
  eachRow(visit: (kind: ElementKind, name: string, value: StringValue) => void): void;
}

/** Where collections get the rows that they become when they grow. */
export interface ElementHost {
  /** Up to where collections are small. */
  readonly limits: CollectionLimits;
  /** The rows of a collection that is stored. */
  elements(version: number): ElementStore;
  /** Rows for a collection that becomes large. */
  newElements(): ElementStore;
}

/** On disk: never change. */
const MEMBER_SEED = 0x76a5_7001;

/** Where a member stands among the others, 32 bits: FNV-1a over its bytes, finished as MurmurHash3 does. */
export function memberHash(name: string): number {
  let hash = MEMBER_SEED;
  const { length } = name;
  for (let index = 0; index < length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** 32 bits as 4 characters, in the order of numbers. */
export function hashText(hash: number): string {
  return String.fromCharCode(hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255);
}

const TWO_32 = 0x1_0000_0000;

/** An exact unsigned integer below 2^53 as 8 characters, in the order of numbers. */
export function uint64Text(value: number): string {
  return hashText(Math.floor(value / TWO_32)) + hashText(value >>> 0);
}

/** Reads what {@link uint64Text} wrote, at the beginning of a text. */
export function textUint64(text: string): number {
  let value = 0;
  for (let index = 0; index < 8; index++) value = value * 256 + text.charCodeAt(index);
  return value;
}

/** What stands in an element row's key behind version and kind. */
export function orderedName(kind: ElementKind, name: string): string {
  return kind === ElementKind.Member ? hashText(memberHash(name)) + name : name;
}

/** The name in what {@link orderedName} gave. */
export function nameOf(kind: ElementKind, ordered: string): string {
  return kind === ElementKind.Member ? ordered.slice(4) : ordered;
}
