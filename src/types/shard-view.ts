import type { Collection } from './collections/collection.js';
import type { ElementHost } from './collections/elements.js';
import type { Row, StringValue } from './row.js';

/** A range of keys, in byte order. Keys are latin1 text. */
export interface KeyRange {
  /** Only keys that begin with it; '' = all. */
  readonly prefix: string;
  /** Only keys behind this one. */
  readonly after?: string;
}

/**
 * What commands see of a shard: its live rows, with the changes of the running batch staged over the disk.
 * Expired rows are never seen. Everything a command changes goes through here; nothing is on disk before
 * the batch's commit, and a failed commit undoes all of it.
 */
export interface ShardView {
  /** Time of the running command, Unix milliseconds: what counts as expired. */
  readonly nowMs: number;

  /** The live row of a key, counted as an access; undefined where there is none. */
  find(key: string): Row | undefined;

  /** As {@link find}, without touching the access time: for TYPE, TTL, OBJECT. */
  peek(key: string): Row | undefined;

  /**
   * Stages a string, whatever was there before.
   * @param expiresAtMs Unix milliseconds, 0 = never
   * @param eventTimeMs the write's own time; without it, now, which is later than every write seen before
   * @param flags see RowFlag
   * @returns false if a write or deletion of a later event time holds, and nothing was changed
   */
  setString(
    key: string,
    value: StringValue,
    expiresAtMs: number,
    eventTimeMs?: number,
    flags?: number,
  ): boolean;

  /** Stages the value and flags of a live string row, expiry kept. */
  updateString(row: Row, value: StringValue, flags?: number): void;

  /** Where collections of this shard have their element rows. */
  readonly collections: ElementHost;

  /**
   * Stages a collection, made for this shard, whatever was there before. One without elements is no key.
   * @param expiresAtMs Unix milliseconds, 0 = never
   */
  setCollection(key: string, value: Collection, expiresAtMs: number): void;

  /**
   * Stages the collection of a live row, which has been changed in place. When it has no elements left, the key ends.
   * To be called once by a command that has changed one, and not by one that has not: who watches the key is told.
   */
  changed(row: Row): void;

  /** Gives what a live row holds another key, with its expiry, replacing what is there. */
  rename(row: Row, to: string): void;

  /** Stages the flags of a live row. What its value is has not changed: nobody who watches it is told. */
  setFlags(row: Row, flags: number): void;

  /** Stages the expiry of a live row; 0 = never. A time not later than now removes the row. */
  setExpiry(row: Row, expiresAtMs: number): void;

  /**
   * Stages a deletion.
   * @returns whether a live row was removed
   */
  remove(key: string, eventTimeMs?: number): boolean;

  /** Number of live keys. */
  count(): number;

  /** Number of live keys that have an expiry. */
  countExpiring(): number;

  /** A live key, picked at random; undefined when there is none. */
  randomKey(): string | undefined;

  /**
   * Visits live keys in byte order until `visit` returns false or the range ends.
   * @param withRows rows are decoded and passed only if asked for; they are not to be kept or changed
   */
  visit(range: KeyRange, withRows: boolean, visit: (key: string, row: Row | undefined) => boolean): void;

  /**
   * Opens or continues a scan session, see SCAN.
   * @param cursor '0' to begin, or what {@link saveCursor} gave
   * @returns the key behind which to go on ('' at the beginning), or undefined for a cursor that is not known
   */
  openCursor(cursor: string): { readonly session: number; readonly after: string | undefined } | undefined;

  /** @returns the cursor that continues the session behind `after`: an unsigned 64-bit decimal, never '0' */
  saveCursor(session: number, after: string): string;

  /** Ends a session whose scan is complete. */
  closeCursor(session: number): void;

  /** Whether every key can be removed: not while rows of others are here that have to stay. */
  readonly canFlush: boolean;

  /** Removes every key, in time that does not depend on their number. */
  flush(): void;
}
