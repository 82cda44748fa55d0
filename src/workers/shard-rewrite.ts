import { Buffer } from 'node:buffer';
import { statfs } from 'node:fs/promises';
import { REWRITE_ROOM_BYTES, REWRITE_SLICE_BYTES, REWRITE_SLICE_ROWS } from '../base/limits.js';
import { FAMILIES, type Family } from './column-families.js';
import type { Generations } from './generations.js';
import type { RewriteProgress } from './protocol.js';
import { type Database, StorageError } from './rocksdb.js';

/**
 * Copies all that a shard's instance holds into a fresh one while it is written to, so that the fresh one takes no more
 * space than what is alive. RocksDB would do so by a manual compaction, which the binding has not.
 *
 * From the beginning every commit goes to both (see Database.beginMirror), and slices are copied in key order, each
 * between two commits and by an iterator of its own. So a row is copied as it is committed at that moment, which is
 * what the target has of it already if it has been written meanwhile; and a deletion happens in both.
 */
export class ShardRewrite {
  private family = 0;
  private after: Buffer | undefined;
  private copiedBytes = 0;

  private constructor(
    private readonly source: Database,
    readonly target: Database,
    /** An estimate. */
    private readonly liveBytes: number,
  ) {
    source.beginMirror(target);
  }

  /** @throws StorageError when there is no room for a second copy, or no instance can be opened */
  static async begin(source: Database, generations: Generations): Promise<ShardRewrite> {
    await source.tables.measure();
    const { liveBytes } = source;
    const { bavail, bsize } = await statfs(source.path);
    if (bavail * bsize < liveBytes + REWRITE_ROOM_BYTES)
      throw new StorageError(
        'NO_SPACE',
        `rewriting ${source.path} takes about ${megabytes(liveBytes + REWRITE_ROOM_BYTES)} MB until it is done, and the disk has ${megabytes(bavail * bsize)} MB`,
      );
    return new ShardRewrite(source, await generations.prepare(), liveBytes);
  }

  /** Whether nothing is left to be copied. */
  get isCopied(): boolean {
    return this.family === FAMILIES.length;
  }

  /** @throws StorageError when either instance fails */
  copySlice(): void {
    this.source.checkMirror();
    const family = FAMILIES[this.family];
    if (family === undefined || !this.copySliceOf(family)) return;
    this.family++;
    this.after = undefined;
  }

  /** @returns whether nothing is left of the family */
  private copySliceOf(family: Family): boolean {
    const { source, target } = this;
    let rows = 0;
    let bytes = 0;
    let last: Buffer | undefined;
    let isEnd = true;
    const from = this.after === undefined ? {} : { after: this.after };
    source.iterate({ family, values: true, ...from }, (key, value) => {
      target.put(family, key, value!);
      last = key;
      rows++;
      bytes += key.length + value!.length;
      isEnd = rows < REWRITE_SLICE_ROWS && bytes < REWRITE_SLICE_BYTES;
      return isEnd;
    });
    if (target.staged !== 0) target.commit(false);
    this.copiedBytes += bytes;
    this.after = last && Buffer.from(last);
    return isEnd;
  }

  progress(isDone: boolean): RewriteProgress {
    const { copiedBytes, liveBytes } = this;
    // What is alive is an estimate: progress is not to go beyond it, nor to look done before it is.
    return { copiedBytes, totalBytes: isDone ? copiedBytes : Math.max(liveBytes, copiedBytes + 1), isDone };
  }

  /** Makes what was copied survive the death of the machine, off this thread. Commits may go on meanwhile. */
  async sync(): Promise<void> {
    await this.target.syncLog();
  }

  /**
   * Nothing is copied or mirrored any more, and all that the source has the target has, as durably.
   * @throws StorageError when the target cannot take the source's place
   */
  finish(): void {
    this.source.checkMirror();
    this.source.endMirror();
    // A commit that syncs takes along all before it.
    for (const [key, value] of this.metaRows()) this.target.put('meta', key, value);
    this.target.commit(true);
  }

  private metaRows(): [Buffer, Buffer][] {
    const rows: [Buffer, Buffer][] = [];
    this.source.iterate({ family: 'meta', values: true }, (key, value) => {
      rows.push([key, value!]);
      return true;
    });
    return rows;
  }

  /** Ends it; the target is of no use. */
  abandon(): void {
    this.source.endMirror();
  }
}

/** The rewriting of a shard from the shard's side: at most one at a time, and an error in it ends it. */
export class Rewriting {
  private current: ShardRewrite | undefined;

  constructor(private readonly generations: Generations) {}

  isUnderWay(rewrite: ShardRewrite): boolean {
    return this.current === rewrite;
  }

  /**
   * Copies the next slice into the instance that is to take this one's place, begun if need be. To be called between
   * batches.
   * @returns what is left to be done
   * @throws StorageError, and then nothing has changed
   */
  async slice(database: Database): Promise<ShardRewrite> {
    this.current ??= await ShardRewrite.begin(database, this.generations);
    const { current } = this;
    this.orAbandon(() => current.copySlice());
    return current;
  }

  /**
   * Makes the copy the generation that counts; the old one is removed.
   * @throws StorageError, and then nothing has changed
   */
  finish(database: Database): void {
    const rewrite = this.current!;
    // A generation that was prepared before would come after this one in time, but not in number.
    this.generations.dropSpare();
    this.orAbandon(() => {
      rewrite.finish();
      this.generations.switchTo(rewrite.target, database);
    });
    this.current = undefined;
  }

  /** Gives up what is under way, if anything is. */
  abandon(): void {
    if (this.current === undefined) return;
    this.current.abandon();
    this.generations.dispose(this.current.target);
    this.current = undefined;
  }

  private orAbandon(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.abandon();
      throw error;
    }
  }
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
