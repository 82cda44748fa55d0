import { Buffer } from 'node:buffer';
import { readUint64, writeUint64 } from '../types/binary.js';
import { elementBound } from './element-keys.js';
import type { Database } from './rocksdb.js';

/*
 * A row of the `meta` family for each large collection that has gone and whose element rows have not:
 *   key    `dead`, version (8 bytes)
 *   value  empty
 */
const PREFIX = Buffer.from('dead');
const KEY_BYTES = PREFIX.length + 8;
const EMPTY = Buffer.alloc(0);

/**
 * Large collections that have gone. That costs one row, whatever they held; their element rows are removed bit by bit.
 */
export class DeadVersions {
  /** Those of the batch at hand. */
  private readonly dying = new Set<number>();
  /** Those on disk, and where the removal of the first one goes on. */
  private dead: number[] = [];
  private after: Buffer | undefined;
  /** Those of which the removal of the last row is staged. */
  private removed: number[] = [];

  /** Whether anything is left to be removed. */
  get isEmpty(): boolean {
    return this.dead.length === 0;
  }

  /** A collection has gone with the batch. */
  add(version: number): void {
    this.dying.add(version);
  }

  /** Whether a collection goes with the batch: what the batch has changed of it need not be written. */
  isDying(version: number): boolean {
    return this.dying.size > 0 && this.dying.has(version);
  }

  /** Whether a collection has gone, or goes with the batch. */
  has(version: number): boolean {
    return this.isDying(version) || this.dead.includes(version) || this.removed.includes(version);
  }

  /** The collections that go with the batch. */
  get ofBatch(): Iterable<number> {
    return this.dying;
  }

  /** Those that have gone, as far as they have rows. */
  get all(): readonly number[] {
    return this.dead;
  }

  stage(target: Database): void {
    for (const version of this.dying) target.put('meta', deadKey(version), EMPTY);
  }

  committed(): void {
    if (this.removed.length > 0) this.removed = [];
    if (this.dying.size === 0) return;
    this.dead.push(...this.dying);
    this.dying.clear();
  }

  /** Forgets those of the batch. */
  forget(): void {
    this.dying.clear();
  }

  /** A removal that was staged may not have happened. */
  restart(): void {
    this.dead = [...this.removed, ...this.dead];
    this.removed = [];
    this.after = undefined;
  }

  /** Reads those that an instance has. */
  read(source: Database): void {
    this.dead = [];
    this.removed = [];
    this.after = undefined;
    source.iterate({ family: 'meta', from: PREFIX, values: false }, (key) => {
      if (key.length !== KEY_BYTES || !key.subarray(0, PREFIX.length).equals(PREFIX)) return false;
      this.dead.push(readUint64(key, PREFIX.length));
      return true;
    });
  }

  /** There are none: the shard was emptied. */
  clear(): void {
    this.dead = [];
    this.removed = [];
    this.after = undefined;
  }

  /** Stages the removal of at most `limit` rows. When its commit fails, {@link restart} is to be called. */
  sweep(target: Database, limit: number): void {
    let left = limit;
    while (left > 0 && this.dead.length > 0) {
      const version = this.dead[0]!;
      const start = this.after === undefined ? { from: elementBound(version) } : { after: this.after };
      let last: Buffer | undefined;
      target.iterate(
        { family: 'elem', before: elementBound(version + 1), values: false, ...start },
        (key) => {
          target.delete('elem', key);
          last = key;
          return --left > 0;
        },
      );
      this.after = last && Buffer.from(last);
      if (left === 0) return;
      target.delete('meta', deadKey(version));
      this.dead.shift();
      this.removed.push(version);
      this.after = undefined;
    }
  }
}

function deadKey(version: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  PREFIX.copy(key);
  writeUint64(key, PREFIX.length, version);
  return key;
}
