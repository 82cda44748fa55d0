import { copySlice } from './feed-copy.js';
import type { FeedState, FeedTask } from './feed-protocol.js';
import { feedState, logState, readLog, stageLogging } from './feed-source.js';
import { FeedTarget, removeSlots, type Step } from './feed-target.js';
import type { Shard } from './shard.js';
import type { ShardSteps } from './shard-steps.js';

/** The worker's side of ShardFeeds. */
export class WorkerFeeds {
  /**
   * Shards whose log has begun, and would perhaps be forgotten with the machine: nobody hears of it. A follower that did
   * would find another log afterwards, whose owner does not know that it lost something, and remove what it had got.
   */
  private readonly unsafe = new WeakSet<Shard>();

  constructor(private readonly steps: ShardSteps) {}

  /** @returns what FeedReplies says */
  run(task: FeedTask): Promise<unknown> {
    const { steps } = this;
    const shard = steps.shard(task.shard);
    const { read, step, measured } = steps.forTask(shard);
    switch (task.kind) {
      case 'setLogging':
        return this.setLogging(shard, task.on, step).then(() => read(() => logState(shard)));
      case 'feedState':
        return read(() => this.stateOf(shard));
      case 'readLog':
        return read(() => readLog(shard, task.after, task.bytesMax, task.slots));
      case 'trimLog':
        return step(() => shard.replication.log.trim(shard.source(), task.through));
      case 'copySlice':
        return measured(read(() => copySlice(shard, task.after, task.slots, task.bytesMax)));
      case 'beginCopy':
        return new FeedTarget(shard, task.feed, step).begin(task.begin, task.slots);
      case 'resumeFeed':
        return new FeedTarget(shard, task.feed, step).resume(task.slots);
      case 'applyCopy':
        return measured(new FeedTarget(shard, task.feed, step).applyCopy(task.slice));
      case 'applyRecords':
        return new FeedTarget(shard, task.feed, step).applyRecords(task.chunk);
      case 'forgetFeed':
        return new FeedTarget(shard, task.feed, step).end();
      case 'show':
        return read(() => shard.show(task.shown)).then(() =>
          task.shown?.keepsOthers ? step(() => shard.replication.forgetFlush()) : undefined,
        );
      case 'removeSlots':
        return measured(removeSlots(shard, step, task.slots, task.after));
    }
  }

  private async setLogging(shard: Shard, on: boolean, step: Step): Promise<void> {
    const { unsafe } = this;
    await step(() => {
      if (on && !shard.replication.log.isOn) unsafe.add(shard);
      stageLogging(shard, on);
    });
    if (on && unsafe.has(shard)) {
      await shard.syncLog();
      unsafe.delete(shard);
    }
  }

  private stateOf(shard: Shard): FeedState {
    const state = feedState(shard);
    return this.unsafe.has(shard) ? { ...state, log: undefined } : state;
  }
}
