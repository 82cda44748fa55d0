import type { Buffer } from 'node:buffer';
import type { ElementHost } from '../types/collections/elements.js';
import { Row } from '../types/row.js';
import { decodeRow } from '../types/row-codec.js';
import { RowTable } from '../types/row-table.js';
import type { Database } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import { keyBytes, keyScratch } from './row-scratch.js';

/** The rows of one shard that are in memory; how long they stay is for the worker's row cache to say. */
export class CachedRows {
  readonly table = new RowTable();

  constructor(
    private readonly cache: RowCache,
    private readonly elements: ElementHost,
  ) {}

  /** The row of a key, from memory or from `source`. */
  load(key: string, source: Database, nowMs: number): Row {
    const row = this.table.get(key);
    if (row !== undefined) {
      row.visited = true;
      return row;
    }
    return this.admit(key, source.get('default', keyScratch(key)), nowMs);
  }

  /** Brings rows into memory with one call. */
  prefetch(keys: readonly string[], source: Database, nowMs: number): void {
    const stored = source.getMany('default', keys.map(keyBytes));
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]!;
      if (!this.table.has(key)) this.admit(key, stored[index], nowMs);
    }
  }

  /** Takes a stored row in. A key without a row is remembered as absent, so that asking again is as cheap. */
  private admit(key: string, stored: Buffer | undefined, nowMs: number): Row {
    const row = new Row(key, this.table);
    if (stored !== undefined) decodeRow(row, stored, this.elements);
    row.accessedMs = nowMs;
    this.keep(row);
    this.cache.loads++;
    return row;
  }

  /** Takes a row in, whose key is not there. */
  keep(row: Row): void {
    this.table.add(row);
    this.cache.add(row);
  }

  /** Lets a row go. */
  drop(row: Row): void {
    this.cache.remove(row);
  }

  /** Lets all collections go but those that only the journal has: what they are in memory may be changed halfway. */
  dropCollections(): void {
    for (const row of [...this.table.values()])
      if (row.collection !== undefined && row.journaledIn === 0) this.cache.remove(row);
  }

  /** Lets all rows go. */
  clear(): void {
    for (const row of [...this.table.values()]) this.cache.remove(row);
  }

  /** Takes note that a row was changed. */
  resized(row: Row): void {
    this.cache.resized(row);
  }
}
