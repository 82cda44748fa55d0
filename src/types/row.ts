import { Buffer } from 'node:buffer';
import type { Collection } from './collections/collection.js';
import type { RowTable } from './row-table.js';

/** What a row holds. The numbers are stored on disk: never renumber. */
export const RowType = {
  /** No such key. In memory only: it remembers that the disk has no row. */
  Absent: 0,
  String: 1,
  Hash: 2,
  List: 3,
  Set: 4,
  SortedSet: 5,
  Stream: 6,
  /** A deletion that must be remembered, so that an older write cannot bring the key back. */
  Tombstone: 15,
} as const;
export type RowType = (typeof RowType)[keyof typeof RowType];

/**
 * The bytes of a string value: latin1 text up to {@link TEXT_BYTES_MAX}, a Buffer beyond.
 * Short text is V8's most compact form and is written and read without a copy of its own; long values stay
 * outside the JavaScript heap. Make one with {@link stringValue}, so that the form follows from the length.
 */
export type StringValue = string | Buffer;

export const TEXT_BYTES_MAX = 1024;

/** The value of these bytes. A Buffer that is kept must not share memory with a batch: pass a copy. */
export function stringValue(bytes: Buffer | string): StringValue {
  if (typeof bytes === 'string') return bytes.length <= TEXT_BYTES_MAX ? bytes : Buffer.from(bytes, 'latin1');
  return bytes.length <= TEXT_BYTES_MAX ? bytes.latin1Slice() : bytes;
}

/** The bytes of a value; shares memory with a long value: do not write to it. */
export function valueBytes(value: StringValue): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
}

/** Whether two values have the same bytes. */
export function sameValue(one: StringValue, other: StringValue): boolean {
  if (one.length !== other.length) return false;
  return typeof one === 'string' ? one === valueText(other) : one.equals(valueBytes(other));
}

/** The latin1 text of a value. */
export function valueText(value: StringValue): string {
  return typeof value === 'string' ? value : value.latin1Slice();
}

/** Order of two values by their bytes: negative, 0 or positive. */
export function compareValues(a: StringValue, b: StringValue): number {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  return valueBytes(a).compare(valueBytes(b));
}

/** Something that the row cache accounts for, and lets go when it has too much. */
export interface CacheEntry {
  /** Bytes it takes in memory. */
  readonly footprintBytes: number;
  /** Whether it waits for the commit of the batch, and so must stay. */
  readonly dirty: boolean;
  /** Number of the journal record that has its bytes, so that it must stay; 0 = none. */
  readonly journaledIn: number;
  /** Bytes the row cache accounts for it. */
  cachedBytes: number;
  /** Set on a hit, cleared when the eviction hand passes (SIEVE). */
  visited: boolean;
  newer: CacheEntry | undefined;
  older: CacheEntry | undefined;
  /** Leaves the table in which it is looked up. */
  leave(): void;
}

/**
 * What a cached row costs beside the bytes of its key and value: the object with its boxed doubles, two string
 * headers, and its place in the table. Measured with 100,000 rows and `--expose-gc`.
 */
const ROW_OVERHEAD_BYTES = 300;

/**
 * One key of a shard as it lives in memory: its value, and what the row cache and the commit need to know of it.
 * Commands change `value`, `flags` and `expiresAtMs` through the shard's view only, which notes the row for the commit.
 */
export class Row implements CacheEntry {
  type: RowType = RowType.Absent;
  /** Bits of {@link RowFlag}. */
  flags = 0;
  /** Hybrid logical clock of the last write, see base/clock.ts; 0 for an absent row that was never written. */
  timestamp = 0;
  /**
   * Of a large collection: the origin of the clock that gave the timestamp, see ShardEnvironment; 0 = not known. Its row does not
   * tell its elements, so two writes that have the same timestamp differ by this alone.
   */
  origin = 0;
  /** Unix time in milliseconds at which the key ends; 0 = never. */
  expiresAtMs = 0;
  /** The value of a string; '' for what is none. */
  value: StringValue = '';
  /** The value of any other type: a live object, which no other row has. Beside `value`, so that strings stay as fast. */
  collection: Collection | undefined = undefined;
  /** Unix time in milliseconds of the last read or write (resolution: one batch). */
  accessedMs = 0;

  /** Type of the row on disk; Absent when the disk has none. */
  storedType: RowType = RowType.Absent;
  /** Expiry of the row on disk, whose entry in the `ttl` family must go when it changes. */
  storedExpiresAtMs = 0;
  /** When the first element ends by what the `ttl` family has, Unix milliseconds; 0 = no entry. */
  storedElementExpiryMs = 0;
  dirty = false;
  /** Whether it was written since it came into memory, and so may well be written again; and as one row, without element rows. */
  written = false;
  /** Number of the journal record that has its bytes; 0 = they are in the `default` family. */
  journaledIn = 0;
  cachedBytes = 0;
  visited = false;
  newer: CacheEntry | undefined = undefined;
  older: CacheEntry | undefined = undefined;

  /** @param home the table of cached rows it stands in: its shard's */
  constructor(
    readonly key: string,
    readonly home: RowTable | undefined = undefined,
  ) {}

  get footprintBytes(): number {
    const bytes = ROW_OVERHEAD_BYTES + this.key.length + this.value.length;
    return this.collection === undefined ? bytes : bytes + this.collection.footprintBytes;
  }

  leave(): void {
    this.home?.delete(this);
  }
}

/** Whether a type is a key to its users. */
export function isKey(type: RowType): boolean {
  return type !== RowType.Absent && type !== RowType.Tombstone;
}

/** Whether a row is a key whose time has not come. */
export function isLive(row: Row, nowMs: number): boolean {
  return isKey(row.type) && (row.expiresAtMs === 0 || row.expiresAtMs > nowMs);
}

/** Makes a row one that is no key any more: a tombstone that may be forgotten then, Unix milliseconds, or with 0 nothing. */
export function endRow(row: Row, tombstoneUntilMs: number): void {
  row.type = tombstoneUntilMs === 0 ? RowType.Absent : RowType.Tombstone;
  row.value = '';
  row.flags = 0;
  row.expiresAtMs = tombstoneUntilMs;
}

/** Bits stored with a row. */
export const RowFlag = {
  /** The string was built by APPEND, SETRANGE or the like, and reports the encoding `raw` whatever its length. */
  Raw: 1,
  /** The string was built as text, and does not report the encoding `int` though it may read as an integer. */
  Text: 2,
} as const;

/** Redis's name for a type, as TYPE replies. */
export function typeName(type: RowType): string {
  switch (type) {
    case RowType.String:
      return 'string';
    case RowType.Hash:
      return 'hash';
    case RowType.List:
      return 'list';
    case RowType.Set:
      return 'set';
    case RowType.SortedSet:
      return 'zset';
    case RowType.Stream:
      return 'stream';
    default:
      return 'none';
  }
}
