import { RestoreTarget } from './restore-target.js';
import type { ShardSteps } from './shard-steps.js';
import type { SnapshotTask } from './snapshot-protocol.js';

/** The worker's side of ShardBackups. */
export class WorkerBackups {
  constructor(private readonly steps: ShardSteps) {}

  /** @returns what SnapshotReplies says */
  run(task: SnapshotTask): Promise<unknown> {
    const { steps } = this;
    const shard = steps.shard(task.shard);
    const { read, step, measured } = steps.forTask(shard);
    const target = new RestoreTarget(shard, step);
    switch (task.kind) {
      case 'openSnapshot':
        return read(() => shard.snapshots.begin(shard));
      case 'readSnapshot':
        return measured(read(() => shard.snapshots.read(task.snapshot, task.bytesMax, shard.nowMs)));
      case 'closeSnapshot':
        return read(() => shard.snapshots.end(task.snapshot));
      case 'restoreState':
        return read(() => target.state());
      case 'restoreRows':
        return target.take(task.restore, task.rows);
    }
  }
}
