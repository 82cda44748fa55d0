import { flowsBetween, SlotSet, slotsOfShard } from '../slot-set.js';
import type { KeyspaceEntry, ShardEntry, Topology } from '../topology.js';
import { type CopyPlace, type Feed, feedsOf } from './feeds.js';

/**
 * What a store has to do for its part in a copy of a shard, as the topology alone tells; the same whatever it did
 * before, so that a store that missed some topologies does what the last one says.
 *
 * A copy remembers durably which slots it has *complete*, and of which there may be rows at all. It then
 *
 * - answers for those of `slots` that are complete and not `awaited` any more,
 * - gets those of `wanted` that are not complete, by the feeds; what is left there from earlier goes away first, for a
 *   row that was deleted elsewhere meanwhile must not come back,
 * - removes rows of slots that are not `kept`.
 */
export interface ShardDuty {
  /** Id of the keyspace. */
  readonly keyspace: string;
  readonly shard: number;
  readonly epoch: number;
  /**
   * - `owner`: takes commands.
   * - `copy`: answers reads of those who ask for that.
   * - `filling`: is to be one of these.
   * - `leaving`: is still asked for what it alone has; then it goes.
   */
  readonly role: 'owner' | 'copy' | 'filling' | 'leaving';
  /** Slots that it answers for: rows of others are seen by no command. */
  readonly slots: SlotSet;
  /** Those of `slots` whose writes wait, for HOLD_MAX_MS at most. */
  readonly held: SlotSet;
  /** Slots that it has answered for, and does not any more. */
  readonly given: SlotSet;
  /**
   * When no write of the slots that are `held` or `given` is under way any more, a mark of this epoch, which is that of
   * the phase, goes into its log, once. 0 = no mark.
   */
  readonly mark: number;
  /** Of `slots`, those for which it waits until it has read the log of a former owner up to the mark of this phase. */
  readonly awaited: readonly Awaited[];
  /** Slots of which it is to have everything. */
  readonly wanted: SlotSet;
  /** Slots whose rows stay. */
  readonly kept: SlotSet;
  /** Copies that follow this one: for their sake there is a log, and there are tombstones. */
  readonly followers: readonly CopyPlace[];
}

export interface Awaited extends CopyPlace {
  readonly slots: SlotSet;
  /** The mark that is awaited. */
  readonly mark: number;
}

/** What a store has to do in a keyspace. */
export interface Duties {
  /** In order of the shards. What it holds besides is to go away. */
  readonly shards: readonly ShardDuty[];
  /** Those whose `to` is here. */
  readonly feeds: readonly Feed[];
}

const NO_DUTIES: Duties = { shards: [], feeds: [] };

/** By entry, which never change. */
const known = new WeakMap<KeyspaceEntry, ReadonlyMap<string, Duties>>();

/** What a store has to do, by id of the keyspace. */
export function dutiesOf(store: string, topology: Topology): Map<string, Duties> {
  const duties = new Map<string, Duties>();
  for (const entry of topology.keyspaces.values()) {
    const here = dutiesIn(entry, store);
    if (here !== NO_DUTIES) duties.set(entry.id, here);
  }
  return duties;
}

/** What a store has to do in one keyspace. */
export function dutiesIn(entry: KeyspaceEntry, store: string): Duties {
  if (entry.deleted) return NO_DUTIES;
  let all = known.get(entry);
  if (all === undefined) {
    all = distribute(entry);
    known.set(entry, all);
  }
  return all.get(store) ?? NO_DUTIES;
}

/** Ids of all stores that have to do something in a keyspace. */
export function storesConcerned({ shards, change }: KeyspaceEntry): string[] {
  const others = change === undefined ? [] : 'target' in change ? change.target : change.former;
  return [...new Set([...shards, ...others].flatMap(({ stores }) => stores))];
}

function distribute(entry: KeyspaceEntry): Map<string, Duties> {
  const feeds = feedsOf(entry);
  const followers = new Map<string, CopyPlace[]>();
  const followed = new Map<string, Feed[]>();
  for (const feed of feeds) {
    gather(followers, placeKey(feed.from), feed.to);
    gather(followed, feed.to.store, feed);
  }
  const awaited = awaitedOwners(entry);
  const duties = new Map<string, Duties>();
  for (const store of storesConcerned(entry)) {
    const shards = duty(entry, store, awaited).map(
      (part): ShardDuty => ({
        keyspace: entry.id,
        epoch: entry.epoch,
        ...NOTHING,
        ...part,
        followers: followers.get(placeKey({ store, shard: part.shard })) ?? [],
      }),
    );
    if (shards.length > 0) duties.set(store, { shards, feeds: followed.get(store) ?? [] });
  }
  return duties;
}

export function placeKey({ store, shard }: CopyPlace): string {
  return `${store}/${shard}`;
}

function gather<Key, Value>(groups: Map<Key, Value[]>, key: Key, value: Value): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [value]);
  else group.push(value);
}

type Part = Pick<ShardDuty, 'shard' | 'role' | 'wanted' | 'kept'> & Partial<ShardDuty>;

const NOTHING = {
  slots: SlotSet.EMPTY,
  held: SlotSet.EMPTY,
  given: SlotSet.EMPTY,
  mark: 0,
  awaited: [],
} as const satisfies Partial<ShardDuty>;

/** By shard, whose marks its holders wait for. */
type AwaitedOwners = ReadonlyMap<number, readonly Awaited[]>;

function duty(entry: KeyspaceEntry, store: string, awaited: AwaitedOwners): Part[] {
  const { change, shards } = entry;
  switch (change?.phase) {
    case 'prepare':
    case 'handover':
      return before(entry, store, change.target, change.phase === 'handover' ? change.since : 0);
    case 'takeover':
    case 'cleanup':
      return after(shards, store, change.former, change.since, awaited);
    default:
      return holdings(shards, store);
  }
}

/** Of a keyspace that does not change. */
function holdings(shards: readonly ShardEntry[], store: string): Part[] {
  const parts: Part[] = [];
  for (const [shard, { stores }] of shards.entries()) {
    if (!stores.includes(store)) continue;
    const slots = slotsOfShard(shards.length, shard);
    parts.push({
      shard,
      role: store === stores[0] ? 'owner' : 'copy',
      slots,
      wanted: slots,
      kept: slots,
    });
  }
  return parts;
}

/** While the target is filled, and at the hand-over, whose mark is not 0 then. */
function before(
  { shards }: KeyspaceEntry,
  store: string,
  target: readonly ShardEntry[],
  mark: number,
): Part[] {
  const held = holdings(shards, store).map((part): Part => {
    const isToStay = target[part.shard]?.stores.includes(store) === true;
    const kept = isToStay ? part.kept.with(slotsOfShard(target.length, part.shard)) : part.kept;
    const moving =
      mark !== 0 && part.role === 'owner' ? movingSlots(shards, target, part.shard) : SlotSet.EMPTY;
    if (moving.isEmpty) return { ...part, wanted: kept, kept };
    return { ...part, wanted: kept, kept, held: moving, mark };
  });
  const filling = holdings(target, store)
    .filter(({ shard }) => shards[shard]?.stores.includes(store) !== true)
    .map((part): Part => ({ ...part, role: 'filling', slots: SlotSet.EMPTY }));
  return [...held, ...filling].sort((a, b) => a.shard - b.shard);
}

/** Slots of a shard that will be another shard's, or another owner's. */
export function movingSlots(
  shards: readonly ShardEntry[],
  target: readonly ShardEntry[],
  shard: number,
): SlotSet {
  if (shards.length === target.length)
    return shards[shard]!.stores[0] === target[shard]!.stores[0]
      ? SlotSet.EMPTY
      : slotsOfShard(shards.length, shard);
  const stays = target[shard]?.stores[0] === shards[shard]!.stores[0];
  const slots = slotsOfShard(shards.length, shard);
  return stays ? slots.without(slotsOfShard(target.length, shard)) : slots;
}

/** Once the target is in force. */
function after(
  shards: readonly ShardEntry[],
  store: string,
  former: readonly ShardEntry[],
  mark: number,
  awaited: AwaitedOwners,
): Part[] {
  const isFormer = (shard: number) => former[shard]?.stores.includes(store) === true;
  const held = holdings(shards, store).map((part): Part => {
    const { shard, role, kept } = part;
    const owners = awaited.get(shard) ?? [];
    const waits = owners.filter((each) => each.shard !== shard || each.store !== store);
    if (!isFormer(shard)) return { ...part, awaited: waits };
    const had = slotsOfShard(former.length, shard);
    return {
      ...part,
      kept: kept.with(had),
      given: role === 'owner' ? had.without(kept) : had,
      mark,
      awaited: waits,
    };
  });
  const leaving = holdings(former, store)
    .filter(({ shard }) => shards[shard]?.stores.includes(store) !== true)
    .map(
      ({ shard, kept }): Part => ({
        shard,
        role: 'leaving',
        wanted: SlotSet.EMPTY,
        kept,
        given: kept,
        mark,
      }),
    );
  return [...held, ...leaving].sort((a, b) => a.shard - b.shard);
}

/** In a takeover, for each shard the former owners of slots that have another one now. */
function awaitedOwners({ shards, change }: KeyspaceEntry): AwaitedOwners {
  const awaited = new Map<number, Awaited[]>();
  if (change?.phase !== 'takeover') return awaited;
  const { former, since } = change;
  for (const { from, to, slots } of flowsBetween(former.length, shards.length)) {
    const [owner] = former[from]!.stores;
    if (owner === undefined || (from === to && owner === shards[to]!.stores[0])) continue;
    gather(awaited, to, { store: owner, shard: from, slots, mark: since });
  }
  return awaited;
}
