import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import { dutiesIn } from './duties.js';
import { beginChange, type PlanContext } from './plan.js';
import { copyIn, feedIn, type KeyspaceReport, type KeyspaceReports } from './reports.js';
import { inPhase, type StepContext, unheardIn } from './steps.js';

/** What becomes of a keyspace when stores are away. */
export interface Failover {
  /** To be published; undefined where nothing is to be done, or can be. */
  readonly entry: KeyspaceEntry | undefined;
  readonly explanation: readonly string[];
  /** Shards that nobody can take over, and why. */
  readonly stuck: readonly string[];
}

/**
 * Has shards whose owner is away owned by another copy, the one that has read furthest in the owner's log. It has to have everything as
 * of some time: one that is still being filled is never chosen.
 * @param reports of the stores that are alive: all others are taken to be dead
 */
export function planFailover(entry: KeyspaceEntry, reports: KeyspaceReports, context: StepContext): Failover {
  const isDead = (store: string | undefined) => store !== undefined && !reports.has(store);
  const explanation: string[] = [];
  const stuck: string[] = [];
  if (entry.deleted) return { entry: undefined, explanation, stuck };
  const owned = new Map<string, number>();
  for (const { stores } of entry.shards) owned.set(stores[0]!, (owned.get(stores[0]!) ?? 0) + 1);
  const shards = entry.shards.map((held, shard): ShardEntry => {
    const [owner] = held.stores;
    if (!isDead(owner)) return held;
    const successor = successorOf(entry, shard, reports, owned);
    if (successor === undefined) {
      stuck.push(stuckText(held, shard, context));
      return held;
    }
    owned.set(successor, (owned.get(successor) ?? 0) + 1);
    explanation.push(
      `shard ${shard}: ${context.storeText(successor)} is the owner while ${context.storeText(owner!)} is away`,
    );
    return withOwner(held, successor);
  });
  const former = formerOwners(entry, reports, context, explanation);
  const target = targetOwners(entry, shards, reports);
  const isNews = explanation.length > 0 || target !== undefined;
  const unheard = isNews ? unheardIn(entry, context) : [];
  if (!isNews || unheard.length > 0)
    return { entry: undefined, explanation: [], stuck: [...stuck, ...unheard] };
  return { entry: changed({ ...entry, shards }, former, target, context), explanation, stuck };
}

function stuckText({ stores }: ShardEntry, shard: number, { storeText }: StepContext): string {
  const owner = storeText(stores[0]!);
  if (stores.length === 1) return `shard ${shard}: ${owner} has the only copy, and is away`;
  return `shard ${shard}: ${owner} is away, and no other copy that is there has everything`;
}

function successorOf(
  { shards, epoch }: KeyspaceEntry,
  shard: number,
  reports: KeyspaceReports,
  owned: ReadonlyMap<string, number>,
): string | undefined {
  const { stores } = shards[shard]!;
  const from = { store: stores[0]!, shard };
  const candidates = stores.flatMap((store, place) => {
    const report = reports.get(store);
    const copy = copyIn(report, shard);
    if (!hasAll(report, shard, epoch) || copy?.failure !== '') return [];
    return [{ store, place, position: feedIn(copy, from)?.position ?? 0, owned: owned.get(store) ?? 0 }];
  });
  candidates.sort((a, b) => b.position - a.position || a.owned - b.owned || a.place - b.place);
  return candidates[0]?.store;
}

/**
 * Whether a store says that it has everything of a shard. One that has not heard of the entry may have everything of what
 * the shard was before, and says so; it will have heard in a moment.
 */
function hasAll(report: KeyspaceReport | undefined, shard: number, epoch: number): boolean {
  return report !== undefined && report.epoch >= epoch && copyIn(report, shard)?.isComplete === true;
}

/** A shard with another owner, who is only that until the one at home is back. */
function withOwner({ home, ...held }: ShardEntry, owner: string): ShardEntry {
  const before = held.stores[0]!;
  const stores = [owner, ...held.stores.filter((store) => store !== owner)];
  const place = home ?? before;
  return place === owner ? { ...held, stores } : { ...held, stores, home: place };
}

/** In a takeover the next one whose mark is awaited. @returns undefined where nothing is different */
function formerOwners(
  { change, epoch }: KeyspaceEntry,
  reports: KeyspaceReports,
  { storeText }: StepContext,
  explanation: string[],
): readonly ShardEntry[] | undefined {
  if (change?.phase !== 'takeover') return undefined;
  return change.former.map((held, shard) => {
    const [owner] = held.stores;
    if (owner === undefined || reports.has(owner)) return held;
    const next = held.stores.find((store) => hasAll(reports.get(store), shard, epoch));
    if (next === undefined) return held;
    explanation.push(`shard ${shard} is taken over from ${storeText(next)}, for ${storeText(owner)} is away`);
    return { ...held, stores: [next, ...held.stores.filter((store) => store !== next)] };
  });
}

/** The target with owners that are there, where there are such. @returns undefined where nothing is different */
function targetOwners(
  { change }: KeyspaceEntry,
  shards: readonly ShardEntry[],
  reports: KeyspaceReports,
): readonly ShardEntry[] | undefined {
  if (change === undefined || !('target' in change) || change.phase === 'undo') return undefined;
  let isNews = false;
  const target = change.target.map((held, shard) => {
    const [owner] = held.stores;
    if (owner === undefined || reports.has(owner)) return held;
    const now = shards[shard]?.stores[0];
    const isThere = now !== undefined && held.stores.includes(now) && reports.has(now);
    const next = isThere ? now : held.stores.find((store) => reports.has(store));
    if (next === undefined) return held;
    isNews = true;
    return withOwner(held, next);
  });
  return isNews ? target : undefined;
}

function changed(
  entry: KeyspaceEntry,
  former: readonly ShardEntry[] | undefined,
  target: readonly ShardEntry[] | undefined,
  context: StepContext,
): KeyspaceEntry {
  const { change } = entry;
  if (change !== undefined && 'target' in change && change.phase !== 'undo') {
    const attempts = change.attempts + (change.phase === 'handover' ? 1 : 0);
    return inPhase(entry, { ...change, target: target ?? change.target }, 'prepare', context, attempts);
  }
  const epoch = context.newEpoch();
  if (former === undefined || change === undefined || !('former' in change)) return { ...entry, epoch };
  return { ...entry, epoch, change: { ...change, former } };
}

/**
 * Gives shards back to the stores that owned them before a failover, those that are level again.
 * @returns the entry with which that begins; undefined where there is nothing to give back now
 */
export function planFailback(
  entry: KeyspaceEntry,
  reports: KeyspaceReports,
  context: Pick<PlanContext, 'newEpoch' | 'nowMs' | 'id'>,
): KeyspaceEntry | undefined {
  if (entry.deleted || entry.change !== undefined) return undefined;
  let isNews = false;
  const target = entry.shards.map((held, shard): ShardEntry => {
    const { home, ...rest } = held;
    if (home === undefined || !isLevel(entry, home, shard, reports)) return held;
    isNews = true;
    return { ...rest, stores: [home, ...held.stores.filter((store) => store !== home)] };
  });
  return isNews ? beginChange(entry, 'failback', target, context) : undefined;
}

function isLevel(entry: KeyspaceEntry, store: string, shard: number, reports: KeyspaceReports): boolean {
  const report = reports.get(store);
  const copy = copyIn(report, shard);
  if (report === undefined || report.epoch < entry.epoch) return false;
  if (copy === undefined || !copy.isComplete || copy.failure !== '') return false;
  const feeds = dutiesIn(entry, store).feeds.filter(({ to }) => to.shard === shard);
  return feeds.every(({ from }) => !reports.has(from.store) || feedIn(copy, from)?.isLevel === true);
}
