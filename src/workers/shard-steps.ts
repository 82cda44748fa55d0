import type { CommandError } from '../base/command-errors.js';
import type { WorkerSettings } from './protocol.js';
import { StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';
import type { Worked } from './shard-tasks.js';

/** What work on shards that does not come from commands needs of their worker. */
export interface StepsHost {
  readonly shards: ReadonlyMap<number, Shard>;
  readonly cache: RowCache;
  settings: WorkerSettings;
  refusal(shard: Shard): CommandError | undefined;
  commitFailed(shard: Shard, error: StorageError): CommandError;
  /** Changes of the shard are committed. */
  changed(shard: Shard): void;
  /** Lets clients go on that wait for what has changed, now that it is committed. */
  serveWaiting(shard: Shard): void;
  /** Does `work` between batches. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** The steps of one task on a shard. */
export interface TaskSteps {
  /** A step that changes nothing. */
  read<T>(work: () => T): Promise<T>;
  /** A step whose changes are committed. */
  step<T>(work: () => T | Promise<T>): Promise<T>;
  /** What the task gives, and how long its steps took. */
  measured<T extends object>(task: Promise<T>): Promise<T & Worked>;
}

/** The shard takes no writes at present: its disk is full, or fails. Nothing of the step was written. */
export class WritesRefusedError extends Error {
  constructor(
    shard: Shard,
    readonly refusal: CommandError,
    options?: ErrorOptions,
  ) {
    super(`shard ${shard.id}: ${refusal.text}`, options);
  }
}

/** Work on shards that does not come from commands: between batches of these, a step at a time. */
export class ShardSteps {
  /** That of the event loop in which a step has been begun. */
  private turn: Promise<void> | undefined;

  constructor(private readonly host: StepsHost) {}

  /** @throws Error where the worker does not own it */
  shard(id: number): Shard {
    const shard = this.host.shards.get(id);
    if (shard === undefined) throw new Error(`this worker does not own shard ${id}`);
    return shard;
  }

  /**
   * Does `work` between two batches. Rejects when the shard has gone meanwhile. No two such steps are in one turn of the
   * event loop, which is what brings batches: or else commands would wait for all steps of a task, not for one.
   * @param worked is told how long that took
   */
  async between<T>(shard: Shard, work: () => Promise<T>, worked?: (ms: number) => void): Promise<T> {
    while (this.turn !== undefined) await this.turn;
    this.turn = new Promise((resolve) => {
      setImmediate(() => {
        this.turn = undefined;
        resolve();
      });
    });
    return this.host.exclusive(async () => {
      if (this.host.shards.get(shard.id) !== shard)
        throw new Error(`shard ${shard.id} has been closed, or is at another worker: ask again`);
      shard.nowMs = Date.now();
      const startMs = performance.now();
      try {
        return await work();
      } finally {
        worked?.(performance.now() - startMs);
      }
    });
  }

  /**
   * The same, and commits what it staged, see Step.
   * @throws WritesRefusedError where the disk takes no writes
   */
  step<T>(shard: Shard, work: () => T | Promise<T>, worked?: (ms: number) => void): Promise<T> {
    const { host } = this;
    const stepped = async () => {
      const refusal = host.refusal(shard);
      if (refusal !== undefined) throw new WritesRefusedError(shard, refusal);
      try {
        const result = await work();
        if (shard.hasChanges || shard.source().staged !== 0) {
          shard.commit(host.settings.appendfsync === 'always', false);
          host.changed(shard);
          host.serveWaiting(shard);
        }
        host.cache.evictCommitted();
        return result;
      } catch (error) {
        shard.rollback();
        if (!(error instanceof StorageError)) throw error;
        throw new WritesRefusedError(shard, host.commitFailed(shard, error), { cause: error });
      }
    };
    return this.between(shard, stepped, worked);
  }

  /** Both, for one task. */
  forTask(shard: Shard): TaskSteps {
    let workMs = 0;
    const worked = (ms: number) => {
      workMs += ms;
    };
    return {
      read: (work) => this.between(shard, async () => work(), worked),
      step: (work) => this.step(shard, work, worked),
      measured: async (task) => ({ ...(await task), workMs }),
    };
  }
}
