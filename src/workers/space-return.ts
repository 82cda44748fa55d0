import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SPACE_RETURN_EVERY_MS, SPACE_RETURN_ROW_BYTES, SPACE_RETURN_SLICE_ROWS } from '../base/limits.js';
import { type Family, MEMTABLES_MERGED } from './column-families.js';
import type { Database } from './rocksdb.js';
import { toStorageError } from './storage-error.js';

/** No row has it, and nobody can guess it. */
const KEY = randomBytes(32);
const FILLING = Buffer.alloc(SPACE_RETURN_ROW_BYTES);
/** A memtable that is full is noticed by the next write. */
const SLICE_BYTES = SPACE_RETURN_SLICE_ROWS * SPACE_RETURN_ROW_BYTES;
/** RocksDB takes memory for a memtable in eighths of its size, and most of a further one before it is full. */
const MEMTABLE_OVERRUN = 1 / 8;
/**
 * In this order: RocksDB keeps the write-ahead log from the oldest row on that is in memory alone, of any family. What a
 * family gets here is such a row for as long as the later ones are being filled, so the largest come first.
 */
const ALL_FAMILIES = ['log', 'default', 'elem', 'ttl', 'meta'] as const satisfies readonly Family[];

/**
 * Has RocksDB give back the space of what was deleted. It sees to that by itself once a deletion is in a file, but that may
 * be as far off as the next many megabytes of writes, and the binding cannot ask for it. So as much is written: rows that
 * fill the memtables and that are deleted by the same write. Where the write-ahead log is longer than what that takes, as
 * after a collection that was large, those of all families are filled, and the log goes as well.
 */
export class SpaceReturn {
  /** Bytes that are to be written to a family. */
  private readonly missing = new Map<Family, number>();
  private isWanted = false;
  /** When it was done last, Unix milliseconds: it is not to be done too often. */
  private doneAtMs = 0;

  /** Something large was deleted from `elem`. */
  want(): void {
    this.isWanted = true;
  }

  /** Nothing is to be given back any more: the instance is another one. */
  clear(): void {
    this.isWanted = false;
    this.missing.clear();
  }

  /** Whether {@link step} would do something now. */
  isDue(nowMs: number): boolean {
    if (!this.isWanted) return false;
    const sinceMs = nowMs - this.doneAtMs;
    // A clock that was set back must not hold anything up.
    return sinceMs < 0 || sinceMs >= SPACE_RETURN_EVERY_MS;
  }

  /** Stages a slice of what is to be written. To be called when {@link isDue} says so. */
  step(target: Database, nowMs: number): void {
    if (this.missing.size === 0) this.begin(target);
    let rows = SPACE_RETURN_SLICE_ROWS;
    for (let [family, bytes] of this.missing) {
      for (; rows > 0 && bytes > 0; rows--) {
        target.put(family, KEY, FILLING);
        target.delete(family, KEY);
        bytes -= FILLING.length;
      }
      if (bytes > 0) {
        this.missing.set(family, bytes);
        return;
      }
      this.missing.delete(family);
    }
    this.isWanted = false;
    this.doneAtMs = nowMs;
  }

  private begin(target: Database): void {
    const all = ALL_FAMILIES.map((family) => [family, memtablesBytes(target, family)] as const);
    const allBytes = all.reduce((sum, [, bytes]) => sum + bytes, 0);
    const includesLog = logBytes(target.path) > allBytes;
    for (const [family, bytes] of all) if (includesLog || family === 'elem') this.missing.set(family, bytes);
  }
}

/** With so many bytes written to it, what the family had in memory is on its way to a file. */
function memtablesBytes(target: Database, family: Family): number {
  const bytesMax = target.memtableBytes[family] * (1 + MEMTABLE_OVERRUN) + SLICE_BYTES;
  return MEMTABLES_MERGED * bytesMax + SLICE_BYTES;
}

/** What the files of the write-ahead log have, bytes. @throws StorageError */
function logBytes(path: string): number {
  let bytes = 0;
  try {
    for (const name of readdirSync(path)) {
      // RocksDB removes files at any time.
      if (name.endsWith('.log')) bytes += statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0;
    }
  } catch (cause) {
    throw toStorageError(cause, path);
  }
  return bytes;
}
