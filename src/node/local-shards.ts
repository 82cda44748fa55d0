import { totalmem } from 'node:os';
import { type Config, memoryBudgetBytes } from '../base/config.js';
import { SHARDS_OPENING_MAX } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import { dutiesIn } from '../cluster/plan/duties.js';
import type { Topology } from '../cluster/topology.js';
import type { Owner } from '../workers/owner.js';
import type { ShardRoute, WorkerPool } from '../workers/pool.js';
import { shardStorage } from './budget.js';
import type { HeldShard, Registry } from './registry.js';
import { drained } from './segments.js';

/** A shard of this store that is open. */
export interface OpenShard extends HeldShard {
  readonly route: ShardRoute;
}

/** A shard that a topology gives to this store. */
export interface Assignment {
  readonly keyspace: string;
  readonly shard: number;
}

/** The shards that a store is to hold, those too that it fills, or that it is to hand over before they go. */
export function assignments(topology: Topology, store: string): Assignment[] {
  const assigned: Assignment[] = [];
  for (const entry of topology.keyspaces.values())
    for (const { shard } of dutiesIn(entry, store).shards) assigned.push({ keyspace: entry.id, shard });
  return assigned;
}

const keyOf = ({ keyspace, shard }: Assignment) => `${keyspace}/${shard}`;

/** The shards of one store that are open, and on which workers. */
export class LocalShards {
  private readonly open = new Map<string, OpenShard>();
  /** For each keyspace its place in the division of memory: see shardStorage. */
  private readonly positions = new Map<string, number>();
  private readonly removals = new Set<Promise<void>>();

  constructor(
    private readonly config: Config,
    private readonly logger: Logger,
    private readonly registry: Registry,
    private readonly pool: WorkerPool,
  ) {}

  all(): OpenShard[] {
    return [...this.open.values()];
  }

  route(keyspace: string, shard: number): ShardRoute | undefined {
    return this.open.get(keyOf({ keyspace, shard }))?.route;
  }

  /** Opens the shards that the registry names. */
  async openHeld(): Promise<void> {
    const { keyspaces } = this.registry.topology;
    const number = ({ keyspace }: HeldShard) => keyspaces.get(keyspace)?.db ?? Number.POSITIVE_INFINITY;
    const name = ({ keyspace }: HeldShard) => keyspaces.get(keyspace)?.name ?? '';
    const held = this.registry.shards.toSorted((a, b) =>
      number(a) === number(b) ? name(a).localeCompare(name(b)) || a.shard - b.shard : number(a) - number(b),
    );
    await this.openAll(held);
  }

  /**
   * Opens new shards, those that are there already left out. The registry does not know of them yet.
   * @returns the new ones; when one cannot be opened all are gone again
   */
  async openNew(assigned: readonly Assignment[]): Promise<OpenShard[]> {
    const missing = assigned.filter((each) => !this.open.has(keyOf(each)));
    const fresh = missing.map(({ keyspace, shard }) => ({
      keyspace,
      shard,
      local: this.registry.allocate(),
    }));
    try {
      await this.openAll(fresh);
    } catch (error) {
      await Promise.all(fresh.map((each) => this.remove(each)));
      throw error;
    }
    return fresh.map((each) => this.open.get(keyOf(each))!);
  }

  private async openAll(shards: readonly HeldShard[]): Promise<void> {
    const waiting = [...shards];
    const openSome = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const siblings = shards.filter(({ keyspace }) => keyspace === next!.keyspace).length;
        await this.openOne(next, siblings);
      }
    };
    const lanes = Array.from({ length: Math.min(SHARDS_OPENING_MAX, shards.length) }, openSome);
    const failures = (await Promise.allSettled(lanes)).filter((lane) => lane.status === 'rejected');
    if (failures[0] !== undefined) throw failures[0].reason;
  }

  private async openOne(held: HeldShard, siblings: number): Promise<void> {
    const totalBytes = memoryBudgetBytes(this.config.values, totalmem());
    const storage = shardStorage(totalBytes, this.positionOf(held.keyspace), siblings);
    const owner = this.leastLoaded(held.keyspace);
    const route = this.pool.openShard(held.local, this.registry.directoryOf(held.local), storage, owner);
    this.open.set(keyOf(held), { ...held, route });
    await route.opened();
  }

  private positionOf(keyspace: string): number {
    const known = this.positions.get(keyspace);
    if (known !== undefined) return known;
    const taken = new Set(this.positions.values());
    let position = 0;
    while (taken.has(position)) position++;
    this.positions.set(keyspace, position);
    return position;
  }

  /** The worker with the fewest shards of a keyspace and, among those, of all. */
  private leastLoaded(keyspace: string): Owner {
    const load = new Map(this.pool.owners.map((owner) => [owner, { own: 0, all: 0 }]));
    for (const each of this.open.values()) {
      const counts = load.get(each.route.owner)!;
      counts.all++;
      if (each.keyspace === keyspace) counts.own++;
    }
    const [[owner] = []] = [...load].sort(([, a], [, b]) => a.own - b.own || a.all - b.all);
    if (owner === undefined) throw new Error('a node without workers holds no shards');
    return owner;
  }

  /** Lets go of shards of which the registry does not know any more: done when they are closed. */
  async discard(shards: readonly OpenShard[]): Promise<void> {
    for (const { route } of shards) route.closed = true;
    await Promise.all(shards.map((each) => this.close(each)));
  }

  private async close(held: OpenShard): Promise<void> {
    const { route } = held;
    try {
      await route.opened();
      await drained(route);
      await route.opened();
    } catch (error) {
      // A worker that died has nothing on its way any more.
      this.logger.verbose(`shard ${route.shard} is closed unanswered: ${(error as Error).message}`);
    }
    await this.remove(held);
  }

  private async remove(held: HeldShard): Promise<void> {
    const key = keyOf(held);
    const route = this.open.get(key)?.route;
    this.open.delete(key);
    if (!this.all().some(({ keyspace }) => keyspace === held.keyspace)) this.positions.delete(held.keyspace);
    if (route !== undefined) await this.pool.closeShard(route);
    const removal: Promise<void> = this.registry
      .discard(held.local)
      .catch((error: Error) =>
        this.logger.warning(
          `cannot remove ${this.registry.directoryOf(held.local)}, the next start will try again: ${error.message}`,
        ),
      )
      .finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  /** Resolves when nothing is on its way and nothing is being removed any more. */
  async settled(): Promise<void> {
    const routes = this.all().map(({ route }) => route);
    await Promise.all(routes.map((route) => route.opened()));
    // A worker that dies meanwhile has nothing on its way any more.
    await Promise.allSettled(routes.map((route) => drained(route)));
    await Promise.all(this.removals);
  }
}
