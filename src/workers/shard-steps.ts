import type { CommandError } from '../base/command-errors.js';
import { TaskPace } from './pacing.js';
import type { WorkerSettings } from './protocol.js';
import { StorageError } from './rocksdb.js';
import { KeyWantedError } from './row-applier.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';
import type { Worked } from './shard-tasks.js';

/** What work on shards that does not come from commands needs of their worker. */
export interface StepsHost {
  readonly shards: ReadonlyMap<number, Shard>;
  readonly cache: RowCache;
  settings: WorkerSettings;
  /** Of commands, that have been run. */
  readonly batches: number;
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
  /** As {@link TaskSteps.step}, after a rest for the steps before. */
  pacedStep<T>(work: () => T | Promise<T>): Promise<T>;
  /** Rests for the steps before. @returns whether there is time for another one; else it has not rested */
  goesOn(): Promise<boolean>;
  /** What the task gives, and how it went. */
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
  private batchesBefore = 0;

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
        shard.rollback(error instanceof KeyWantedError);
        if (!(error instanceof StorageError)) throw error;
        throw new WritesRefusedError(shard, host.commitFailed(shard, error), { cause: error });
      }
    };
    return this.between(shard, stepped, worked);
  }

  /** Both, for one task. */
  forTask(shard: Shard): TaskSteps {
    const pace = new TaskPace();
    const timed = <T>(begin: (worked: (ms: number) => void) => Promise<T>): Promise<T> => {
      const sinceMs = performance.now();
      return begin((workMs) => {
        const { batches } = this.host;
        const hasClients = batches !== this.batchesBefore;
        this.batchesBefore = batches;
        pace.worked({ workMs, waitMs: performance.now() - sinceMs - workMs, hasClients });
      });
    };
    const step = <T>(work: () => T | Promise<T>) => timed((worked) => this.step(shard, work, worked));
    return {
      read: (work) => timed((worked) => this.between(shard, async () => work(), worked)),
      step,
      pacedStep: async (work) => {
        await pace.rest();
        return step(work);
      },
      goesOn: async () => {
        if (!pace.mayGoOn) return false;
        await pace.rest();
        return this.host.shards.get(shard.id) === shard;
      },
      measured: async (task) => ({ ...(await task), owedMs: pace.owedMs, tookMs: pace.tookMs }),
    };
  }
}
