import { place } from '../placement.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import {
  addressIn,
  living,
  lostReason,
  type Plan,
  type PlanContext,
  planOf,
  storeWith,
  zonesOf,
} from './plan.js';

/** Another number of copies. New ones go where they are best; of those there are, the least useful go. */
export function planReplicas(entry: KeyspaceEntry, replicas: number, context: PlanContext): Plan {
  const { name, tags, shards } = entry;
  if (!Number.isInteger(replicas) || replicas < 1)
    return { reason: `a keyspace has at least 1 copy of each shard, not ${replicas}` };
  for (const shard of shards.keys()) {
    const reason = lostReason(entry, shard, context);
    if (reason !== undefined) return { reason };
  }
  const load = new Map<string, number>();
  for (const { stores } of shards) for (const id of stores) load.set(id, (load.get(id) ?? 0) + 1);
  const kept = shards.map((held) => fewer(held, replicas, load, context));
  const placement = place(living(context), {
    shards: shards.length,
    replicas,
    tags,
    begun: kept,
    zones: zonesOf(context),
  });
  if ('reason' in placement) return { reason: `keyspace ${name}: ${placement.reason}` };
  const target = placement.shards.map(({ stores }, shard): ShardEntry => ({ ...kept[shard]!, stores }));
  const explanation = [`keyspace ${name}: ${entry.replicas} to ${replicas} copies of each shard`];
  explanation.push(...placement.explanation);
  for (const [shard, { stores }] of shards.entries()) {
    const gone = stores.filter((id) => !target[shard]!.stores.includes(id));
    if (gone.length > 0)
      explanation.push(`shard ${shard} leaves ${gone.map((id) => addressIn(context, id)).join(', ')}`);
  }
  return planOf('replicas', [{ entry, target, replicas, explanation }], context);
}

/**
 * A shard without the copies that it does not need. Those that are away go first, then those whose zone has others, then
 * those with the most of the keyspace; an owner that is there never goes.
 */
function fewer(
  { home, ...held }: ShardEntry,
  replicas: number,
  load: Map<string, number>,
  context: PlanContext,
): ShardEntry {
  let stores = held.stores;
  while (stores.length > replicas) {
    const rank = (id: string): readonly number[] => {
      const store = storeWith(context, id);
      const together = stores.filter((other) => storeWith(context, other)?.zone === store?.zone).length;
      return [store?.alive === true ? 0 : 1, together, load.get(id) ?? 0];
    };
    const isOwnerThere = storeWith(context, stores[0]!)?.alive === true;
    const goer = stores
      .slice(isOwnerThere ? 1 : 0)
      .reduce((most, id) => (isLess(rank(most), rank(id)) ? id : most));
    load.set(goer, (load.get(goer) ?? 1) - 1);
    stores = stores.filter((id) => id !== goer);
  }
  return home === undefined || !stores.includes(home) ? { ...held, stores } : { ...held, stores, home };
}

/** Whether the first figure that differs is less. */
function isLess(one: readonly number[], other: readonly number[]): boolean {
  const place = one.findIndex((number, index) => number !== other[index]);
  return place >= 0 && one[place]! < other[place]!;
}
