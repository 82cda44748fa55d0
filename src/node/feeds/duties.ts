import { type CopyPlace, type Feed, feedsOf } from '../../cluster/plan/feeds.js';
import type { KeyspaceEntry, Topology } from '../../cluster/topology.js';
import type { FeedSlots } from '../../types/feed-codec.js';

/** A feed between two stores, or two shards of one. */
export interface FeedDuty {
  /** By what the target knows it: the same for as long as it is the same feed. */
  readonly feed: string;
  /** Id of the keyspace. */
  readonly keyspace: string;
  readonly sourceStore: string;
  readonly sourceShard: number;
  readonly targetStore: string;
  readonly targetShard: number;
  /** Those that the target knows it to be of, which is what its flushes are about; undefined = all of its shard. */
  readonly slots: FeedSlots | undefined;
  /** Those of which rows are asked for; undefined = all that there are. */
  readonly asked: FeedSlots | undefined;
  /** Those of them of which a copy has to be whole; undefined = all of them. */
  readonly whole: FeedSlots | undefined;
  readonly start: Feed['start'];
  /** Whether both are copies of the same shard. */
  readonly isReplica: boolean;
}

/** By entry, which never change. */
const known = new WeakMap<KeyspaceEntry, readonly FeedDuty[]>();

/** All feeds that there are to be, by the topology alone. */
function feedsIn(topology: Topology): FeedDuty[] {
  const duties: FeedDuty[] = [];
  for (const entry of topology.keyspaces.values()) {
    if (entry.deleted) continue;
    let own = known.get(entry);
    if (own === undefined) {
      own = feedsOf(entry).map((feed) => dutyOf(entry, feed));
      known.set(entry, own);
    }
    duties.push(...own);
  }
  return duties;
}

/** By what a shard knows the feed that it gets from another copy. */
export function feedId(from: CopyPlace, toShard: number, change = ''): string {
  // What shards give each other is for one change: a position of an earlier one says nothing of what is here.
  return `${from.store}/${from.shard}/${toShard}${from.shard === toShard ? '' : `@${change}`}`;
}

/** Whether who asks for some slots is sent all rows of others. @param needed undefined = all, as with `asked` */
export function covers(asked: FeedSlots | undefined, needed: FeedSlots | undefined): boolean {
  if (asked === undefined) return true;
  if (needed === undefined) return asked.every((bits) => bits === 0xff);
  return needed.every((bits, index) => (bits & ~(asked[index] ?? 0)) === 0);
}

function dutyOf(
  { id, change, shards }: KeyspaceEntry,
  { from, to, slots, passed, purpose, start }: Feed,
): FeedDuty {
  const set = shards.length === 1 && change === undefined ? undefined : slots.toBytes();
  return {
    feed: feedId(from, to.shard, change?.id),
    start,
    keyspace: id,
    sourceStore: from.store,
    sourceShard: from.shard,
    targetStore: to.store,
    targetShard: to.shard,
    slots: change === undefined ? undefined : set,
    // Where nothing changes any more, the source's log may still tell of slots that have gone to other shards.
    asked: passed === undefined ? set : slots.with(passed).toBytes(),
    whole: passed && set,
    isReplica: purpose === 'peer',
  };
}

/** The feeds that a store is to follow, and those of which it is the source. */
export function dutiesOf(
  store: string,
  topology: Topology,
): { readonly follows: readonly FeedDuty[]; readonly followers: readonly FeedDuty[] } {
  const all = feedsIn(topology);
  return {
    follows: all.filter(({ targetStore }) => targetStore === store),
    followers: all.filter(({ sourceStore }) => sourceStore === store),
  };
}
