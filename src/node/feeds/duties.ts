import { liveKeyspaces, type Topology } from '../../cluster/topology.js';

/** A feed that a store is to follow. */
export interface FeedDuty {
  /** By what the target knows it: the same for as long as it is the same feed. */
  readonly feed: string;
  /** Id of the keyspace. */
  readonly keyspace: string;
  readonly sourceStore: string;
  readonly sourceShard: number;
  readonly targetShard: number;
  /** One bit for each slot, from the lowest bit of the first byte; undefined = all. */
  readonly slots?: Uint8Array;
}

/** The feeds that a store is to follow: each holder of a shard follows each other one. */
export function feedsOf(store: string, topology: Topology): FeedDuty[] {
  const duties: FeedDuty[] = [];
  for (const { id: keyspace, shards } of liveKeyspaces(topology))
    for (const [shard, { stores }] of shards.entries()) {
      if (!stores.includes(store)) continue;
      for (const sourceStore of stores)
        if (sourceStore !== store)
          duties.push({
            feed: `${sourceStore}/${shard}`,
            keyspace,
            sourceStore,
            sourceShard: shard,
            targetShard: shard,
          });
    }
  return duties;
}

/** One who follows a shard. */
export interface FollowerDuty extends FeedDuty {
  /** The store that follows. */
  readonly follower: string;
}

/** The feeds of which a store is the source. */
export function followersOf(store: string, topology: Topology): FollowerDuty[] {
  const others = [...topology.stores.keys()].filter((id) => id !== store);
  return others.flatMap((follower) =>
    feedsOf(follower, topology)
      .filter(({ sourceStore }) => sourceStore === store)
      .map((duty) => ({ ...duty, follower })),
  );
}
