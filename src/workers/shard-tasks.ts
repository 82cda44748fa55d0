import { REST_MAX_MS, restForWait } from './pacing.js';
import type { ShardRoute } from './pool.js';

/** A task that the owner of a shard does for it. */
interface ShardTask {
  readonly kind: string;
  readonly owner: number;
  readonly shard: number;
}

/** What tells what a task of this kind is to do. */
type Parameters<Task extends ShardTask, Kind extends Task['kind']> = Omit<
  Extract<Task, { kind: Kind }>,
  keyof ShardTask
>;

/** What a task gives that commands may have had to wait for. */
export interface Worked {
  /** How long the worker still has to rest for it, milliseconds. */
  readonly owedMs: number;
  /** How long the worker had the task, its rests included, milliseconds. */
  readonly tookMs: number;
}

/** What a task gives that is a part of long work. */
export interface Paced {
  /** How long to wait before the next one, milliseconds, so that clients hardly notice the work. */
  readonly restMs: number;
}

/** Has shards' owners do tasks, between two batches of commands. `Replies` tells by kind what they answer. */
export abstract class ShardTasks<Task extends ShardTask, Replies extends Record<Task['kind'], unknown>> {
  /** @param now milliseconds, from whenever */
  constructor(
    private readonly run: (task: Task, moved: ArrayBuffer[]) => Promise<unknown>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /**
   * Rejects when the shard is not open any more or its worker died, and with what the task throws.
   * @param moved memory that goes to the worker with the task, instead of a copy: it is not the caller's any more
   */
  protected async ask<Kind extends Task['kind']>(
    kind: Kind,
    route: ShardRoute,
    parameters: Parameters<Task, Kind>,
    moved: ArrayBuffer[] = [],
  ): Promise<Replies[Kind]> {
    await route.opened();
    if (route.closed) throw new Error(`shard ${route.shard} is not on this store any more`);
    const task = { kind, owner: route.owner.index, shard: route.shard, ...parameters } as unknown;
    return (await this.run(task as Task, moved)) as Replies[Kind];
  }

  /** As {@link ask}, of a part of long work. */
  protected async askPaced<Kind extends Task['kind']>(
    kind: Replies[Kind] extends Worked ? Kind : never,
    route: ShardRoute,
    parameters: Parameters<Task, Kind>,
    moved: ArrayBuffer[] = [],
  ): Promise<Replies[Kind] & Paced> {
    const startMs = this.now();
    const reply = (await this.ask<Kind>(kind, route, parameters, moved)) as Replies[Kind] & Worked;
    const waitMs = this.now() - startMs - reply.tookMs;
    return { ...reply, restMs: Math.min(reply.owedMs + restForWait(waitMs), REST_MAX_MS) };
  }
}
