import type { ShardEntry } from './topology.js';

/** A living store, as far as it matters for choosing. */
export interface PlacementStore {
  readonly id: string;
  /** What people call it: its address. */
  readonly address: string;
  /** '' = none named, which counts as a zone of its own. */
  readonly zone: string;
  readonly tags: readonly string[];
  /** Shards that it holds already, of any keyspace. */
  readonly shards: number;
  readonly freeBytes: number;
  /** 0 = it has not said yet. */
  readonly totalBytes: number;
  /** It has no port for other stores: nothing that it holds can have other copies. */
  readonly isAlone?: boolean;
  /** It was drained: it gets nothing. */
  readonly isDrained?: boolean;
}

export interface PlacementRequest {
  readonly shards: number;
  readonly replicas: number;
  /** Only stores with all of these. */
  readonly tags: readonly string[];
  /** Id of the store that is chosen where all else is equal. */
  readonly near?: string;
  /** Whether `near` holds the first copies whatever its load: for what is made by being used. */
  readonly nearFirst?: boolean;
  /** Shards that have holders already, which they keep; those with too few of them get more. */
  readonly begun?: readonly ShardEntry[];
  /** By id, zones of holders that cannot be chosen. */
  readonly zones?: ReadonlyMap<string, string>;
}

/** Who is to hold what, and why; or why nobody can. */
export type Placement =
  | { readonly shards: readonly ShardEntry[]; readonly explanation: readonly string[] }
  | { readonly reason: string };

/** The share of its disk below which a store gets new shards only if there is no other. */
export const FREE_SHARE_MIN = 0.1;

/** A store with what it has of the keyspace. */
interface Candidate {
  readonly store: PlacementStore;
  copies: number;
  owned: number;
  /** Those of `copies` that are not among the `shards` of the store. */
  added: number;
}

/** A holder of the shard in question. */
interface Holder {
  readonly id: string;
  readonly zone: string;
}

/**
 * Chooses stores for the copies of each shard. A pure function: the same stores and request give the same plan.
 *
 * Copies of one shard are on different stores and spread over as many zones as there are. Then come, in this order:
 * room on the disk, few shards of this keyspace, few shards at all, much free space (in powers of two, so that small
 * differences do not count), the store that was asked, the lower id. Shards are placed one after the other: all count
 * alike, so no later choice makes an earlier one wrong.
 */
export function place(stores: readonly PlacementStore[], request: PlacementRequest): Placement {
  const fitting = fittingOf(stores, request);
  const reason = refusal(stores, fitting, request);
  if (reason !== undefined) return { reason };
  const { begun = [] } = request;
  const candidates = candidatesOf(fitting, begun);
  const shards: ShardEntry[] = [];
  const explanation: string[] = [];
  for (let shard = 0; shard < request.shards; shard++) {
    const { chosen, whys } = complete(candidates, begun[shard]?.stores ?? [], request);
    shards.push({ stores: chosen });
    if (whys.length > 0) explanation.push(`shard ${shard} on ${whys.join('; ')}`);
  }
  return { shards, explanation };
}

/**
 * Chooses a store for one more copy of a shard, as {@link place} would.
 * @param holders those that it has
 * @param request `begun` are all other shards
 */
export function placeCopy(
  stores: readonly PlacementStore[],
  holders: readonly string[],
  request: PlacementRequest,
): { readonly store: string; readonly why: string } | undefined {
  const candidates = candidatesOf(fittingOf(stores, request), request.begun ?? []);
  const found = choose(candidates, chosenOf(candidates, holders, request), request);
  return found && { store: found.best.store.id, why: found.why };
}

/** In order of their ids. */
function fittingOf(
  stores: readonly PlacementStore[],
  { tags: wanted, replicas }: PlacementRequest,
): PlacementStore[] {
  return stores
    .filter(
      ({ tags, isAlone, isDrained }) =>
        isDrained !== true && wanted.every((tag) => tags.includes(tag)) && !(replicas > 1 && isAlone),
    )
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function candidatesOf(stores: readonly PlacementStore[], begun: readonly ShardEntry[]): Candidate[] {
  return stores.map((store) => {
    const copies = begun.filter(({ stores: holders }) => holders.includes(store.id)).length;
    const owned = begun.filter(({ stores: [owner] }) => owner === store.id).length;
    return { store, copies, owned, added: 0 };
  });
}

function chosenOf(
  candidates: readonly Candidate[],
  holders: readonly string[],
  { zones }: PlacementRequest,
): Holder[] {
  return holders.map((id) => {
    const candidate = candidates.find(({ store }) => store.id === id);
    return candidate?.store ?? { id, zone: zones?.get(id) ?? '' };
  });
}

/** Chooses what a shard lacks; there are enough candidates. */
function complete(
  candidates: readonly Candidate[],
  holders: readonly string[],
  request: PlacementRequest,
): { chosen: readonly string[]; whys: readonly string[] } {
  const chosen = chosenOf(candidates, holders, request);
  const added: Candidate[] = [];
  const whys: string[] = [];
  while (chosen.length < request.replicas) {
    const { best, why } = choose(candidates, chosen, request)!;
    best.copies++;
    best.added++;
    added.push(best);
    chosen.push(best.store);
    whys.push(`${best.store.address}${zoneText(best.store)}: ${why}`);
  }
  // One that has an owner keeps it.
  if (holders.length === 0) {
    const owner = lightest(added, request);
    added[owner]!.owned++;
    moveToFront(chosen, owner);
    moveToFront(whys, owner);
  }
  return { chosen: chosen.map(({ id }) => id), whys };
}

function refusal(
  stores: readonly PlacementStore[],
  fitting: readonly PlacementStore[],
  { shards, replicas, tags, begun = [] }: PlacementRequest,
): string | undefined {
  if (stores.length === 0) return 'no store is connected to the master';
  const drained = stores.filter(({ isDrained }) => isDrained === true);
  if (drained.length === stores.length)
    return `all living stores are drained: let ${drained[0]!.address} have something again first ('vasto admin store undrain ${drained[0]!.address}')`;
  const wanted = `the ${tags.length === 1 ? 'tag' : 'tags'} ${tags.join(', ')}`;
  const alone = replicas > 1 ? stores.filter(({ isAlone }) => isAlone).length : 0;
  const notes = [
    ...(alone === 0 ? [] : [`${alone} that other stores cannot copy from: set peer-port there`]),
    ...(drained.length === 0 ? [] : [`${drained.length} that are drained: undrain them`]),
  ];
  const others = notes.length === 0 ? '' : ` (not counting ${notes.join('; ')})`;
  if (fitting.length === 0 && alone === 0)
    return `none of the ${count(stores.length, 'living store')} has ${wanted}${others}`;
  // A shard that has copies gets others beside them.
  const lacks = (holders: readonly string[]) =>
    holders.length + fitting.filter(({ id }) => !holders.includes(id)).length < replicas;
  if (!lacks([]) || (shards <= begun.length && !begun.some(({ stores: holders }) => lacks(holders))))
    return undefined;
  const which = tags.length === 0 ? 'living stores' : `living stores with ${wanted}`;
  return `${replicas} copies of each shard need as many stores, and there are only ${fitting.length} ${which}${others}`;
}

/**
 * What speaks for a candidate, the most important first: the least number wins. Each is told as a reason where it
 * leaves only some of the candidates.
 */
interface Criterion {
  penalty(candidate: Candidate, chosen: readonly Holder[], request: PlacementRequest): number;
  reason(candidate: Candidate): string;
}

const CRITERIA: readonly Criterion[] = [
  {
    penalty: ({ store }, chosen, { near, nearFirst }) =>
      nearFirst === true && chosen.length === 0 && store.id === near ? 0 : 1,
    reason: () => 'it was asked',
  },
  {
    penalty: ({ store }, chosen) => chosen.filter((other) => other.zone === store.zone).length,
    reason: () => 'a zone with the fewest copies',
  },
  {
    penalty: ({ store: { freeBytes, totalBytes } }) => (freeBytes < totalBytes * FREE_SHARE_MIN ? 1 : 0),
    reason: () => 'it has room',
  },
  { penalty: ({ copies }) => copies, reason: ({ copies }) => `only ${copies} of this keyspace` },
  {
    penalty: ({ store, added }) => store.shards + added,
    reason: ({ store, added }) => `only ${store.shards + added} in all`,
  },
  {
    penalty: ({ store: { freeBytes, totalBytes } }) =>
      totalBytes > 0 ? -Math.floor(Math.log2(Math.max(1, freeBytes))) : 0,
    reason: () => 'the most free space',
  },
  { penalty: ({ store }, _chosen, { near }) => (store.id === near ? 0 : 1), reason: () => 'it was asked' },
];

/** The best store for one more copy of a shard, and what decided; undefined when there is none. */
function choose(
  candidates: readonly Candidate[],
  chosen: readonly Holder[],
  request: PlacementRequest,
): { best: Candidate; why: string } | undefined {
  let left = candidates.filter(({ store }) => !chosen.some(({ id }) => id === store.id));
  if (left.length === 0) return undefined;
  const reasons: string[] = left.length === 1 ? ['the only one'] : [];
  for (const { penalty, reason } of CRITERIA) {
    if (left.length === 1) break;
    const penalties = left.map((candidate) => penalty(candidate, chosen, request));
    const least = Math.min(...penalties);
    const better = left.filter((_, index) => penalties[index] === least);
    if (better.length < left.length) reasons.push(reason(better[0]!));
    left = better;
  }
  // Candidates are in order of their ids.
  if (left.length > 1) reasons.push(`first of ${left.length} alike`);
  return { best: left[0]!, why: reasons.join(', ') };
}

/** Index of the one that owns the fewest shards of the plan: all copies are alike, but owners have the work. */
function lightest(chosen: readonly Candidate[], { near, nearFirst }: PlacementRequest): number {
  if (nearFirst === true && chosen[0]!.store.id === near) return 0;
  let best = 0;
  chosen.forEach(({ owned }, index) => {
    if (owned < chosen[best]!.owned) best = index;
  });
  return best;
}

function moveToFront<T>(items: T[], index: number): void {
  items.unshift(...items.splice(index, 1));
}

function zoneText({ zone }: PlacementStore): string {
  return zone === '' ? '' : ` (zone ${zone})`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
