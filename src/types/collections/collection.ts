import type { Buffer } from 'node:buffer';
import type { RowType } from '../row.js';
import type { ElementHost, ElementKind, ElementStore } from './elements.js';

/**
 * Up to where collections are small, in Redis's terms: kept current by CONFIG SET. They rule the names that OBJECT
 * ENCODING tells; a collection of more entries than here is kept as element rows.
 */
export interface CollectionLimits {
  readonly hashEntriesMax: number;
  readonly hashValueBytesMax: number;
  readonly setIntegersMax: number;
  readonly setEntriesMax: number;
  readonly sortedSetEntriesMax: number;
  readonly sortedSetValueBytesMax: number;
  /** Positive: entries; −1 to −5: 4 to 64 KB. */
  readonly listNodeSize: number;
  /** 0: no bound. */
  readonly streamNodeEntries: number;
  readonly streamNodeBytes: number;
}

/**
 * Bounds of what is kept in one row, whatever the limits: a write of one element writes the whole row, and reading a
 * key reads it.
 */
export const INLINE_ENTRIES_MAX = 512;
export const INLINE_BYTES_MAX = 8192;

/**
 * The value of a key that is not a string: one class for each type, which commands use without knowing whether it is
 * one row, or has become element rows. It is changed in place; whoever changes it has noted its row before, and tells
 * the view afterwards.
 */
export interface Collection {
  readonly type: RowType;
  /** Number of elements. */
  readonly size: number;
  /** A collection without elements is no key, unless this is true. */
  readonly staysEmpty?: boolean;
  /** Version of its element rows; 0 while it has none. */
  readonly version: number;
  /** Redis's name for how it would keep it. */
  readonly encoding: string;
  /** Bytes it takes in memory, element rows left out. */
  readonly footprintBytes: number;
  /** Bytes of all its element rows: an estimate from a sample; 0 while it has none. */
  elementBytes(): number;
  /** Bytes that {@link encode} may write at most. */
  readonly encodedBytesMax: number;
  /** When the next of its elements ends, Unix milliseconds: a lower bound; 0 = none does. */
  readonly nextExpiryMs: number;
  /**
   * Removes elements that have ended, at most `limit`. To be there where {@link nextExpiryMs} may be other than 0.
   * @returns how many
   */
  removeEnded?(nowMs: number, limit: number): number;
  /** Writes the payload of its row. Returns where it ends. */
  encode(target: Buffer, at: number): number;
  /** The same value once more, with element rows of its own. */
  copy(host: ElementHost): Collection;
}

/** Whether a collection is what a key may have. */
export function isValue(collection: Collection): boolean {
  return collection.size > 0 || collection.staysEmpty === true;
}

/** Bits of the first byte of a payload. */
export const FormFlag = {
  /** It has element rows. */
  Large: 1,
  /** Redis would have turned it into its larger form, and Redis does not turn back. */
  Converted: 2,
  /** Some elements have an expiry. */
  Expires: 4,
} as const;

/** What an element of a small collection costs in memory beside its text; measured with `--expose-gc`, 100 in each. */
export const INLINE_ENTRY_OVERHEAD_BYTES = { hash: 70, list: 30, set: 45, sortedSet: 140 } as const;
/** What the object of a collection costs in memory; measured likewise. */
export const COLLECTION_OVERHEAD_BYTES = 250;

/** Element rows that are looked at for an estimate of what all take. */
const SAMPLED_ROWS = 100;

/**
 * Bytes of the element rows of a collection, of which the first of a kind stand for all.
 * @param rows how many of the kind there are
 */
export function sampledBytes(store: ElementStore | undefined, kind: ElementKind, rows: number): number {
  if (store === undefined) return 0;
  let seen = 0;
  let bytes = 0;
  store.iterate(kind, '', true, (name, value) => {
    bytes += name.length + value.length + ELEMENT_KEY_BYTES;
    return ++seen < SAMPLED_ROWS;
  });
  return seen === 0 ? 0 : Math.round((bytes / seen) * Math.max(seen, rows));
}

/**
 * Bytes of the entries of a tree, by those of the first of them.
 * @param bytesOf the bytes of so many entries from the first one on
 */
export function sampledEntryBytes(entries: number, bytesOf: (count: number) => number): number {
  const count = Math.min(entries, SAMPLED_ROWS);
  return count === 0 ? 0 : Math.round((bytesOf(count) / count + TREE_BYTES_AN_ENTRY) * entries);
}

/** What a tree takes of an entry beside its bytes: its share of the keys and heads of nodes. */
const TREE_BYTES_AN_ENTRY = 4;

/** What the key of an element row has beside the name. */
const ELEMENT_KEY_BYTES = 13;
