import type { ShardRoute } from './pool.js';
import { type Paced, ShardTasks } from './shard-tasks.js';
import type {
  Restored,
  RestoreRefusal,
  RestoreState,
  SnapshotOpened,
  SnapshotPart,
  SnapshotReplies,
  SnapshotTask,
} from './snapshot-protocol.js';

/**
 * Backups as the node sees them: each method asks the owner of a shard, between two batches of commands. All reject
 * when the shard is not open any more or its worker died, and when the disk fails.
 */
export class ShardBackups extends ShardTasks<SnapshotTask, SnapshotReplies> {
  /** Keeps the shard readable as it is now, until the last part is read, or nobody asks for a part for a minute. */
  open(route: ShardRoute): Promise<SnapshotOpened> {
    return this.ask('openSnapshot', route, {});
  }

  /** The next part of a snapshot, in about so many bytes; a row is read whole. */
  read(route: ShardRoute, snapshot: number, bytesMax: number): Promise<SnapshotPart & Paced> {
    return this.askPaced('readSnapshot', route, { snapshot, bytesMax });
  }

  /** Nobody wants the rest of a snapshot. */
  async close(route: ShardRoute, snapshot: number): Promise<void> {
    await this.ask('closeSnapshot', route, { snapshot });
  }

  state(route: ShardRoute): Promise<RestoreState> {
    return this.ask('restoreState', route, {});
  }

  /**
   * Merges rows of a backup into a shard, those that are later than what it has: to be sent to each of its copies.
   * @param restore tells restores apart that go on at the same time
   * @param rows of one part, or some of it: large collections that come piece by piece one piece at a time, in order
   */
  restore(route: ShardRoute, restore: string, rows: Uint8Array): Promise<Restored | RestoreRefusal> {
    return this.ask('restoreRows', route, { restore, rows });
  }
}
