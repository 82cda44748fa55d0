import { place } from '../../../../src/cluster/placement.js';
import type { PlanContext, PlanStore } from '../../../../src/cluster/plan/plan.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import type { Simulation } from './simulation.js';

const GB = 2 ** 30;

/** Living stores with nothing in them. @param facts what is not as usual, by id */
export function planStores(
  ids: readonly string[],
  facts: Readonly<Record<string, Partial<PlanStore>>> = {},
): PlanStore[] {
  return ids.map((id, index) => ({
    id,
    address: `host-${id}:${7001 + index}`,
    zone: '',
    tags: [],
    shards: 0,
    freeBytes: 50 * GB,
    totalBytes: 100 * GB,
    alive: true,
    ...facts[id],
  }));
}

/** A keyspace as it would be made on stores. */
export function entryOf({
  shards,
  replicas = 1,
  stores,
  name = 'orders',
}: {
  readonly shards: number;
  readonly replicas?: number;
  readonly stores: readonly string[] | readonly PlanStore[];
  readonly name?: string;
}): KeyspaceEntry {
  const all = stores.map((store) => (typeof store === 'string' ? planStores([store])[0]! : store));
  const placement = place(all, { shards, replicas, tags: [] });
  if ('reason' in placement) throw new Error(placement.reason);
  return {
    id: `id of ${name}`,
    epoch: 1,
    name,
    db: undefined,
    replicas,
    tags: [],
    shards: placement.shards,
    deleted: false,
  };
}

/** What planners know of a simulation. @param facts of its stores, by id */
export function planContext(
  simulation: Simulation,
  facts: Readonly<Record<string, Partial<PlanStore>>> = {},
): PlanContext {
  const { newEpoch } = simulation.context;
  return {
    stores: planStores([...simulation.stores.keys()], facts).map((store) => ({
      ...store,
      alive: simulation.living.has(store.id),
      shards: simulation.stores.get(store.id)!.copies.size,
    })),
    bytesOf: () => 0,
    newEpoch,
    nowMs: simulation.nowMs,
    id: `change ${newEpoch()}`,
  };
}
