import { SNAPSHOT_IDLE_MAX_MS, SNAPSHOTS_PER_SHARD_MAX } from '../base/limits.js';
import { StorageError } from './rocksdb.js';
import { ShardSnapshot } from './shard-snapshot.js';
import type { SnapshotOpened, SnapshotPart } from './snapshot-protocol.js';

/** A snapshot is not there any more: what was read of it is of no use, another one may be taken. */
export class SnapshotGoneError extends Error {
  constructor(reason: string) {
    super(`the snapshot has ended: ${reason}. Begin anew`);
    this.name = 'SnapshotGoneError';
  }
}

type Shard = ConstructorParameters<typeof ShardSnapshot>[0];

/**
 * The snapshots of a shard that are being read. The disk cannot give back what they see, so they are few and not for
 * ever. They end with the shard's instance: when it is emptied, rewritten, opened anew, or goes to another worker.
 */
export class ShardSnapshots {
  private readonly open = new Map<number, ShardSnapshot>();
  private last = 0;

  /** Takes one; to be called between batches. @throws Error where there are too many */
  begin(shard: Shard): SnapshotOpened {
    this.expire(shard.nowMs);
    if (this.open.size >= SNAPSHOTS_PER_SHARD_MAX)
      throw new Error(
        `${SNAPSHOTS_PER_SHARD_MAX} backups of this shard are going on: wait until one of them is done`,
      );
    const snapshot = new ShardSnapshot(shard);
    this.open.set(++this.last, snapshot);
    const { takenAtMs, keys, bytes } = snapshot;
    return { snapshot: this.last, takenAtMs, keys, bytes };
  }

  /**
   * The next part of one; with the last part it ends. To be called between batches.
   * @throws SnapshotGoneError
   */
  read(number: number, bytesMax: number, nowMs: number): SnapshotPart {
    const snapshot = this.open.get(number);
    if (snapshot === undefined)
      throw new SnapshotGoneError('nobody has read it for long, or the shard was opened anew');
    snapshot.usedMs = nowMs;
    try {
      const part = snapshot.read(bytesMax);
      if (part.isDone) this.end(number);
      return part;
    } catch (error) {
      this.end(number);
      if (!(error instanceof StorageError) || error.code !== 'CLOSED') throw error;
      throw new SnapshotGoneError('the shard was emptied, or rewritten, meanwhile');
    }
  }

  end(number: number): void {
    this.open.get(number)?.close();
    this.open.delete(number);
  }

  /** Ends those that nobody has read for long. */
  expire(nowMs: number): void {
    for (const [number, snapshot] of this.open) {
      // A clock that was set back must not hold anything up.
      snapshot.usedMs = Math.min(snapshot.usedMs, nowMs);
      if (nowMs - snapshot.usedMs > SNAPSHOT_IDLE_MAX_MS) this.end(number);
    }
  }

  endAll(): void {
    for (const number of [...this.open.keys()]) this.end(number);
  }
}
