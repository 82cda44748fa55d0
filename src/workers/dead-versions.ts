import { Buffer } from 'node:buffer';
import { DEAD_ROWS_SINGLE_MAX } from '../base/limits.js';
import { readUint64, writeUint64 } from '../types/binary.js';
import { elementBound } from './element-keys.js';
import type { Database } from './rocksdb.js';
import { SpaceReturn } from './space-return.js';

/*
 * A row of the `meta` family for each large collection that has gone and whose element rows have not:
 *   key    `dead`, version (8 bytes)
 *   value  empty
 */
const PREFIX = Buffer.from('dead');
const KEY_BYTES = PREFIX.length + 8;
const EMPTY = Buffer.alloc(0);

/**
 * Large collections that have gone. That costs one row, whatever they held; their element rows are removed in the
 * background: of each collection the first ones one by one, and where there are many all others by one deletion of the
 * range, which costs the same for any number. The disk gets its space back when such a deletion has gone down to the
 * files with the rows, which {@link SpaceReturn} sees to.
 */
export class DeadVersions {
  /** Those of the batch at hand. */
  private readonly dying = new Set<number>();
  /** Those on disk, in the order in which they are removed, and which of them are left. */
  private dead: number[] = [];
  private first = 0;
  /** Those that are left, and those of which the removal is staged. */
  private readonly known = new Set<number>();
  /** Where the removal of the first one goes on. */
  private after: Buffer | undefined;
  /** Rows of the first one that were removed one by one. */
  private single = 0;
  /** Those of which the removal of the last row is staged. */
  private removed: number[] = [];
  private readonly space = new SpaceReturn();

  /** Whether nothing is left to be removed. */
  get isEmpty(): boolean {
    return this.first === this.dead.length;
  }

  /** Whether {@link sweep} would do something now. */
  isDue(nowMs: number): boolean {
    return !this.isEmpty || this.space.isDue(nowMs);
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
    return this.isDying(version) || this.known.has(version);
  }

  /** The collections that go with the batch. */
  get ofBatch(): Iterable<number> {
    return this.dying;
  }

  /** Those that have gone, as far as they have rows. */
  get all(): readonly number[] {
    return this.dead.slice(this.first);
  }

  stage(target: Database): void {
    for (const version of this.dying) target.put('meta', deadKey(version), EMPTY);
  }

  committed(): void {
    if (this.removed.length > 0) {
      for (const version of this.removed) this.known.delete(version);
      this.removed = [];
    }
    for (const version of this.dying) this.append(version);
    this.dying.clear();
  }

  private append(version: number): void {
    this.dead.push(version);
    this.known.add(version);
  }

  /** Forgets those of the batch. */
  forget(): void {
    this.dying.clear();
  }

  /** A removal that was staged may not have happened. */
  restart(): void {
    this.dead = [...this.removed, ...this.all];
    this.first = 0;
    this.removed = [];
    this.beginFirst();
  }

  private beginFirst(): void {
    this.after = undefined;
    this.single = 0;
  }

  /** Reads those that an instance has. */
  read(source: Database): void {
    this.clear();
    source.iterate({ family: 'meta', from: PREFIX, values: false }, (key) => {
      if (key.length !== KEY_BYTES || !key.subarray(0, PREFIX.length).equals(PREFIX)) return false;
      this.append(readUint64(key, PREFIX.length));
      return true;
    });
  }

  /** There are none: the shard was emptied. */
  clear(): void {
    this.dead = [];
    this.first = 0;
    this.known.clear();
    this.removed = [];
    this.space.clear();
    this.beginFirst();
  }

  /**
   * Stages the removal of at most `limit` rows, or deletes a range, or does something for the space of such.
   * When its commit fails, {@link restart} is to be called.
   */
  sweep(target: Database, limit: number, nowMs: number): void {
    if (this.isEmpty) {
      if (this.space.isDue(nowMs)) this.space.step(target, nowMs);
      return;
    }
    let left = limit;
    while (left > 0 && !this.isEmpty) {
      const version = this.dead[this.first]!;
      if (this.single < DEAD_ROWS_SINGLE_MAX) {
        const count = this.removeRows(target, version, left);
        left -= count;
        this.single += count;
        if (left === 0) return;
      } else {
        target.deleteRange('elem', elementBound(version), elementBound(version + 1));
        this.space.want();
        left = 0;
      }
      target.delete('meta', deadKey(version));
      this.first++;
      this.removed.push(version);
      this.beginFirst();
    }
    if (this.first * 2 < this.dead.length) return;
    this.dead = this.dead.slice(this.first);
    this.first = 0;
  }

  /** @returns how many rows there were: fewer than `limit` if those were the last */
  private removeRows(target: Database, version: number, limit: number): number {
    const start = this.after === undefined ? { from: elementBound(version) } : { after: this.after };
    let count = 0;
    let last: Buffer | undefined;
    target.iterate({ family: 'elem', before: elementBound(version + 1), values: false, ...start }, (key) => {
      target.delete('elem', key);
      last = key;
      return ++count < limit;
    });
    this.after = last && Buffer.from(last);
    return count;
  }
}

function deadKey(version: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  PREFIX.copy(key);
  writeUint64(key, PREFIX.length, version);
  return key;
}
