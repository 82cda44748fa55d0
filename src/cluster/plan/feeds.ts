import { flowsBetween, type SlotSet, slotsOfShard } from '../slot-set.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';

/** A copy of a shard: a place where rows are. */
export interface CopyPlace {
  /** Id of the store. */
  readonly store: string;
  readonly shard: number;
}

/**
 * That one copy follows another: it reads the other's log of the writes that clients made *there*, from a durable
 * position, and takes over the rows of some slots. There is one position for each `from` and `to`, whatever the rest.
 */
export interface Feed {
  readonly from: CopyPlace;
  /** May be on the same store as `from`, as another shard. */
  readonly to: CopyPlace;
  readonly slots: SlotSet;
  /**
   * Slots of which `to` takes besides what `from` has, which need not be all; absent = none. Both are to hold them, and
   * what a source of them has lost `from` may have alone.
   */
  readonly passed?: SlotSet;
  /**
   * - `peer`: both hold the shard, or are to hold it: for as long as they do.
   * - `fill`: a copy that is to be follows those that are.
   * - `rest`: a former holder is followed to the end.
   */
  readonly purpose: 'peer' | 'fill' | 'rest';
  /**
   * How it begins where `to` has not all of the slots and there is no position yet:
   *
   * - `copy`: with a scan of the rows. It brings a position in the log of `from`, and the positions that `from` has in
   *   the logs of other holders of its shard.
   * - `follow`: with the position that the scan of another holder brings.
   * - `beginning`: with the first entry of the log, because everything that `from` holds, and `to` does not get from
   *   others, is in it.
   *
   * A copy that has all of the slots, and no position, begins with the first entry. One whose position is no longer in
   * the log scans the rows of `from`, whatever `start` says, and keeps what it has.
   */
  readonly start: 'copy' | 'follow' | 'beginning';
}

/** Who follows whom, in all of a keyspace. */
export function feedsOf(entry: KeyspaceEntry): Feed[] {
  const { change, shards } = entry;
  switch (change?.phase) {
    case 'prepare':
    case 'handover':
      return [...peers(shards), ...siblings(shards, change.target), ...fills(shards, change.target)].map(
        (feed) => withPassed(feed, change.target),
      );
    case 'takeover':
      return [...peers(shards, change.former), ...rests(shards, change.former, true)];
    case 'cleanup':
      return [...peers(shards), ...rests(shards, change.former, false)];
    default:
      return peers(shards);
  }
}

/** @param former where given, who held the shards before: what newer holders have logged is all that is theirs */
function peers(shards: readonly ShardEntry[], former?: readonly ShardEntry[]): Feed[] {
  const feeds: Feed[] = [];
  for (const [shard, { stores }] of shards.entries()) {
    if (stores.length < 2) continue;
    const slots = slotsOfShard(shards.length, shard);
    for (const to of stores)
      for (const from of stores) {
        if (from === to) continue;
        const usual = from === stores[0] ? 'copy' : 'follow';
        const start = former !== undefined && isNewHolder(former, from, shard) ? 'beginning' : usual;
        feeds.push({ from: { store: from, shard }, to: { store: to, shard }, slots, purpose: 'peer', start });
      }
  }
  return feeds;
}

function isNewHolder(former: readonly ShardEntry[], store: string, shard: number): boolean {
  const before = former[shard]?.stores;
  if (before === undefined) return true;
  // One that the change does not touch names nobody.
  return before.length > 0 && !before.includes(store);
}

/** Copies of a shard that are to have more slots tell each other what comes of these only there. */
function withPassed(feed: Feed, target: readonly ShardEntry[]): Feed {
  const { from, to, slots } = feed;
  const stores = target[from.shard]?.stores ?? [];
  if (from.shard !== to.shard || !stores.includes(from.store) || !stores.includes(to.store)) return feed;
  const passed = slotsOfShard(target.length, from.shard);
  return slots.includes(passed) ? feed : { ...feed, passed };
}

/** Copies that are to be follow each other before there is anything to hear, so that they miss nothing. */
function siblings(shards: readonly ShardEntry[], target: readonly ShardEntry[]): Feed[] {
  const feeds: Feed[] = [];
  for (const [shard, { stores }] of target.entries()) {
    const held = shards[shard]?.stores ?? [];
    const slots = slotsOfShard(target.length, shard);
    for (const from of stores) {
      if (held.includes(from)) continue;
      for (const to of stores)
        if (to !== from)
          feeds.push({
            from: { store: from, shard },
            to: { store: to, shard },
            slots,
            purpose: 'peer',
            start: 'beginning',
          });
    }
  }
  return feeds;
}

function fills(shards: readonly ShardEntry[], target: readonly ShardEntry[]): Feed[] {
  const feeds: Feed[] = [];
  for (const { from, to, slots } of flowsBetween(shards.length, target.length)) {
    const sources = shards[from]!.stores;
    for (const store of target[to]!.stores) {
      if (from === to && sources.includes(store)) continue;
      for (const [place, source] of sources.entries())
        feeds.push({
          from: { store: source, shard: from },
          to: { store, shard: to },
          slots,
          purpose: 'fill',
          start: place === 0 ? 'copy' : 'follow',
        });
    }
  }
  return feeds;
}

/** @param withCopies whether the former owners are complete: they are until others have taken over */
function rests(shards: readonly ShardEntry[], former: readonly ShardEntry[], withCopies: boolean): Feed[] {
  const feeds: Feed[] = [];
  for (const { from, to, slots } of flowsBetween(former.length, shards.length)) {
    const holders = shards[to]!.stores;
    for (const [place, source] of former[from]!.stores.entries())
      for (const store of holders) {
        // Those that go on holding the shard are peers.
        if (from === to && holders.includes(source)) continue;
        feeds.push({
          from: { store: source, shard: from },
          to: { store, shard: to },
          slots,
          purpose: 'rest',
          start: withCopies && place === 0 ? 'copy' : 'follow',
        });
      }
  }
  return feeds;
}
