import { placeCopy } from '../placement.js';
import type { ChangeKind, KeyspaceEntry, ShardEntry } from '../topology.js';
import {
  addressIn,
  busyReason,
  type Goal,
  living,
  lostReason,
  type Plan,
  type PlanContext,
  type PlanStore,
  planOf,
  storeWith,
  zonesOf,
} from './plan.js';

/** Who gets what a store had: an id, or whoever is best for each shard. */
export type Successor = string | 'auto';

/**
 * Has everything that a store holds, in all keyspaces, held by another one: or by several. The store may be dead, if
 * there are other copies of all it holds.
 * @param entries all keyspaces
 */
export function planReplace(
  entries: readonly KeyspaceEntry[],
  from: string,
  to: Successor,
  context: PlanContext,
): Plan {
  return leave('replace', entries, from, to, context);
}

/** Has a store hold nothing any more, so that it can be shut down; nor get anything by a change that is under way. */
export function planDrain(entries: readonly KeyspaceEntry[], store: string, context: PlanContext): Plan {
  const coming = entries.find((entry) => isToGet(entry, store));
  if (coming !== undefined) return { reason: busyReason(coming, context)! };
  return leave('drain', entries, store, 'auto', context);
}

/** Whether a change that is under way will have a store hold something. */
function isToGet({ deleted, change }: KeyspaceEntry, store: string): boolean {
  if (deleted || change === undefined || change.phase === 'undo' || !('target' in change)) return false;
  return change.target.some(({ stores }) => stores.includes(store));
}

function leave(
  kind: ChangeKind,
  entries: readonly KeyspaceEntry[],
  from: string,
  to: Successor,
  context: PlanContext,
): Plan {
  if (storeWith(context, from) === undefined) return { reason: unknownText(from) };
  const goals: Goal[] = [];
  // What has been planned counts for what comes next.
  let planned = context;
  for (const entry of entries) {
    const held = entry.shards.flatMap(({ stores }, shard) => (stores.includes(from) ? [shard] : []));
    if (entry.deleted || held.length === 0) continue;
    const goal = withoutStore(entry, held, from, to, planned);
    if ('reason' in goal) return goal;
    goals.push(goal);
    planned = withShards(planned, entry.shards, goal.target);
  }
  return planOf(kind, goals, context);
}

/** Moves one copy of a shard from a store to another. */
export function planMove(
  entry: KeyspaceEntry,
  shard: number,
  from: string,
  to: Successor,
  context: PlanContext,
): Plan {
  const { name, shards } = entry;
  const held = shards[shard];
  if (held === undefined)
    return { reason: `keyspace ${name} has the shards 0 to ${shards.length - 1}, and no shard ${shard}` };
  if (storeWith(context, from) === undefined) return { reason: unknownText(from) };
  if (!held.stores.includes(from))
    return { reason: `keyspace ${name}: shard ${shard} is not on ${addressIn(context, from)}` };
  const goal = withoutStore(entry, [shard], from, to, context);
  return 'reason' in goal ? goal : planOf('move', [goal], context);
}

/** A keyspace of which some shards are not on a store any more. */
function withoutStore(
  entry: KeyspaceEntry,
  shards: readonly number[],
  from: string,
  to: Successor,
  context: PlanContext,
): Goal | { readonly reason: string } {
  const { name } = entry;
  for (const shard of shards) {
    const reason = lostReason(entry, shard, context);
    if (reason !== undefined) return { reason };
  }
  const left = entry.shards.map(
    ({ stores }, shard): ShardEntry => ({
      stores: shards.includes(shard) ? stores.filter((id) => id !== from) : stores,
    }),
  );
  const chosen = to === 'auto' ? choose(entry, left, from, context) : given(entry, shards, to, context);
  if ('reason' in chosen) return { reason: `keyspace ${name}: ${chosen.reason}` };
  const target = entry.shards.map((held, shard): ShardEntry => {
    const successor = chosen.successors.get(shard);
    return successor === undefined ? held : substituted(held, from, successor);
  });
  const explanation = [...chosen.successors].map(([shard, successor]) => {
    const why = chosen.whys.get(shard);
    const way = `from ${addressIn(context, from)} to ${addressIn(context, successor)}`;
    return `keyspace ${name}: shard ${shard} goes ${way}${why === undefined ? '' : `: ${why}`}`;
  });
  return { entry, target, explanation };
}

/** The new one takes the place of the old one; it is the owner at once if the old one is that when it is there. */
function substituted({ home, ...held }: ShardEntry, from: string, to: string): ShardEntry {
  if (home === from) return { ...held, stores: [to, ...held.stores.filter((id) => id !== from)] };
  const stores = held.stores.map((id) => (id === from ? to : id));
  return home === undefined ? { ...held, stores } : { ...held, stores, home };
}

interface Chosen {
  readonly successors: ReadonlyMap<number, string>;
  /** What speaks for them, by shard. */
  readonly whys: ReadonlyMap<number, string>;
}

function choose(
  { tags, shards }: KeyspaceEntry,
  left: readonly ShardEntry[],
  from: string,
  context: PlanContext,
): Chosen | { readonly reason: string } {
  const candidates = living(context).filter(({ id }) => id !== from);
  const zones = zonesOf(context);
  const successors = new Map<number, string>();
  const whys = new Map<number, string>();
  const planned = left.map(({ stores }) => stores);
  for (const [shard, stores] of planned.entries()) {
    if (stores.length === shards[shard]!.stores.length) continue;
    const others = planned.filter((_, other) => other !== shard).map((held) => ({ stores: held }));
    const request = { shards: 1, replicas: stores.length + 1, tags, begun: others, zones };
    const found = placeCopy(candidates, stores, request);
    if (found === undefined) {
      const wanted = tags.length === 0 ? '' : ` with the tags ${tags.join(', ')}`;
      return { reason: `there is no other living store${wanted} for a copy of shard ${shard}` };
    }
    successors.set(shard, found.store);
    whys.set(shard, found.why);
    planned[shard] = [...stores, found.store];
  }
  return { successors, whys };
}

function given(
  { tags, shards: all }: KeyspaceEntry,
  shards: readonly number[],
  to: string,
  context: PlanContext,
): Chosen | { readonly reason: string } {
  const store = storeWith(context, to);
  if (store === undefined) return { reason: unknownText(to) };
  const reason = unfitReason(store, tags);
  if (reason !== undefined) return { reason };
  const holding = shards.find((shard) => all[shard]!.stores.includes(to));
  if (holding !== undefined) return { reason: `${store.address} holds a copy of shard ${holding} already` };
  return { successors: new Map(shards.map((shard) => [shard, to])), whys: new Map() };
}

/** Why a store cannot hold something of a keyspace. */
function unfitReason(store: PlanStore, wanted: readonly string[]): string | undefined {
  const { address, alive, tags, isDrained } = store;
  if (isDrained === true) return `${address} is drained: undrain it, or choose another store`;
  if (!alive) return `${address} is away: start it, or choose another store`;
  const missing = wanted.find((tag) => !tags.includes(tag));
  return missing === undefined ? undefined : `${address} has not the tag ${missing}`;
}

function unknownText(store: string): string {
  return `there is no store ${store}`;
}

/** The stores as they will be. */
function withShards(
  context: PlanContext,
  before: readonly ShardEntry[],
  after: readonly ShardEntry[],
): PlanContext {
  const held = (shards: readonly ShardEntry[], id: string) =>
    shards.filter(({ stores }) => stores.includes(id)).length;
  const stores = context.stores.map((store) => ({
    ...store,
    shards: store.shards + held(after, store.id) - held(before, store.id),
  }));
  return { ...context, stores };
}
