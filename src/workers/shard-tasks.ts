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
  /** How long the worker was busy with it, milliseconds. */
  readonly workMs: number;
}

/** What a task gives that is one step of long work. */
export interface Paced {
  /** How long to wait before the next step, milliseconds, so that clients hardly notice the work. */
  readonly restMs: number;
}

/** Rest, milliseconds, for each that the worker was busy with a step, and for each that the step had to wait. */
const REST_PER_WORK = 3;
const REST_PER_WAIT = 10;

/** A step waits so long for threads to wake each other though nobody else wants anything, milliseconds. */
const USUAL_WAIT_MS = 1;

const REST_MAX_MS = 1000;

/**
 * Clients have the worker at least three quarters of the time. A step that had to wait, for them or for a processor, is a sign
 * that there is not enough for all: so work gives way the more, the longer whatever else there is would have to wait.
 */
function restAfter(tookMs: number, workMs: number): number {
  return Math.min(
    REST_PER_WORK * workMs + REST_PER_WAIT * Math.max(0, tookMs - workMs - USUAL_WAIT_MS),
    REST_MAX_MS,
  );
}

/** Has shards' owners do tasks, between two batches of commands. `Replies` tells by kind what they answer. */
export abstract class ShardTasks<Task extends ShardTask, Replies extends Record<Task['kind'], unknown>> {
  /** @param now milliseconds, from whenever */
  constructor(
    private readonly run: (task: Task) => Promise<unknown>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Rejects when the shard is not open any more or its worker died, and with what the task throws. */
  protected async ask<Kind extends Task['kind']>(
    kind: Kind,
    route: ShardRoute,
    parameters: Parameters<Task, Kind>,
  ): Promise<Replies[Kind]> {
    await route.opened();
    if (route.closed) throw new Error(`shard ${route.shard} is not on this store any more`);
    const task = { kind, owner: route.owner.index, shard: route.shard, ...parameters } as unknown;
    return (await this.run(task as Task)) as Replies[Kind];
  }

  /** As {@link ask}, of a step of long work. */
  protected async askPaced<Kind extends Task['kind']>(
    kind: Replies[Kind] extends Worked ? Kind : never,
    route: ShardRoute,
    parameters: Parameters<Task, Kind>,
  ): Promise<Replies[Kind] & Paced> {
    const startMs = this.now();
    const reply = (await this.ask<Kind>(kind, route, parameters)) as Replies[Kind] & Worked;
    return { ...reply, restMs: restAfter(this.now() - startMs, reply.workMs) };
  }
}
