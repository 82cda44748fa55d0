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

/** Has shards' owners do tasks, between two batches of commands. `Replies` tells by kind what they answer. */
export abstract class ShardTasks<Task extends ShardTask, Replies extends Record<Task['kind'], unknown>> {
  constructor(private readonly run: (task: Task) => Promise<unknown>) {}

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
}
