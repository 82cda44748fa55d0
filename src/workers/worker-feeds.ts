import { canGrow, copyMore, copySlice, joined } from './feed-copy.js';
import type { CopySlice, FeedState, FeedTask, SlotsRemoval } from './feed-protocol.js';
import { feedState, readLog, stageLogging } from './feed-source.js';
import { FeedTarget, type Step } from './feed-target.js';
import type { Shard } from './shard.js';
import type { ShardSteps, TaskSteps } from './shard-steps.js';
import { removeSlots } from './slot-removal.js';

/** The worker's side of ShardFeeds. */
export class WorkerFeeds {
  /**
   * Shards whose log has begun, and would perhaps be forgotten with the machine: nobody hears of it. A follower that did
   * would find another log afterwards, whose owner does not know that it lost something, and remove what it had got.
   */
  private readonly unsafe = new WeakSet<Shard>();
  /** By shard the log that survives the machine, so that whatever may be lost of it from now on is noticed. */
  private readonly safe = new WeakMap<Shard, string>();

  constructor(private readonly steps: ShardSteps) {}

  /** @returns what FeedReplies says */
  run(task: FeedTask): Promise<unknown> {
    const { steps } = this;
    const shard = steps.shard(task.shard);
    const taskSteps = steps.forTask(shard);
    const { read, step, pacedStep, measured } = taskSteps;
    switch (task.kind) {
      case 'setLogging':
        return this.setLogging(shard, task.on, step).then(() => read(() => this.stateOf(shard).log));
      case 'feedState':
        return read(() => this.stateOf(shard));
      case 'readLog':
        return read(() => readLog(shard, task.after, task.bytesMax, task.slots));
      case 'trimLog':
        return step(() => shard.replication.log.trim(shard.source(), task.through));
      case 'copySlice':
        return measured(copySteps(shard, taskSteps, task));
      case 'beginCopy':
        return new FeedTarget(shard, task.feed, step).begin(task.begin, task.slots);
      case 'resumeFeed':
        return new FeedTarget(shard, task.feed, step).resume(task.slots);
      case 'applyCopy':
        return measured(new FeedTarget(shard, task.feed, pacedStep).applyCopy(task.slice));
      case 'applyRecords':
        return new FeedTarget(shard, task.feed, step).applyRecords(task.chunk);
      case 'forgetFeed':
        return new FeedTarget(shard, task.feed, step).end();
      case 'show':
        return read(() => {
          shard.show(task.shown);
          shard.replication.setOwn(task.own);
        });
      case 'removeSlots':
        return measured(removalSteps(shard, taskSteps, task));
    }
  }

  private async setLogging(shard: Shard, on: boolean, step: Step): Promise<void> {
    const { unsafe, safe } = this;
    const { log } = shard.replication;
    await step(() => {
      if (on && !log.isOn) unsafe.add(shard);
      stageLogging(shard, on);
    });
    // It may end, and another one begin, while this one is brought to the disk.
    while (on && log.isOn && safe.get(shard) !== log.id) {
      const { id } = log;
      await shard.syncLog();
      safe.set(shard, id);
      if (log.id === id) unsafe.delete(shard);
    }
  }

  private stateOf(shard: Shard): FeedState {
    const state = feedState(shard);
    return this.unsafe.has(shard) ? { ...state, log: undefined } : state;
  }
}

type TaskOf<Kind extends FeedTask['kind']> = Extract<FeedTask, { kind: Kind }>;

/** A slice in as many steps as there is time for. */
async function copySteps(
  shard: Shard,
  { read, goesOn }: TaskSteps,
  { after, slots, bytesMax }: TaskOf<'copySlice'>,
): Promise<CopySlice> {
  const slices = [await read(() => copySlice(shard, after, slots, bytesMax))];
  for (let bytes = 0; ; ) {
    const slice = slices.at(-1)!;
    bytes += slice.rows.length;
    if (bytes >= bytesMax || !canGrow(slice) || !(await goesOn())) break;
    const more = await read(() => copyMore(shard, slice, slots, bytesMax - bytes));
    if (more === undefined) break;
    slices.push(more);
  }
  return joined(slices);
}

/** Removes in as many steps as there is time for. */
async function removalSteps(
  shard: Shard,
  { step, goesOn }: TaskSteps,
  { slots, after }: TaskOf<'removeSlots'>,
): Promise<SlotsRemoval> {
  let removal = await removeSlots(shard, step, slots, after);
  while (!removal.isDone && (await goesOn())) {
    const { removed, ...next } = await removeSlots(shard, step, slots, removal.last);
    removal = { ...next, removed: removal.removed + removed };
  }
  return removal;
}
