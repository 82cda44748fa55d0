import type { FollowStatus, ShardStatus, StoreStatus } from './manager.js';

/** A copy that is behind for less long, milliseconds, is level as far as people are concerned. */
const LEVEL_MS = 1000;
const LEVEL = 'level';

export const STORE_DOWN = 'store is down';

/**
 * What there is to say of a copy of a shard that does not own it, for people.
 * @param store what the master knows of its store; undefined where it knows nothing
 * @param owner the store whose copy it is
 */
export function copyState(
  store: Pick<StoreStatus, 'alive' | 'shards'> | undefined,
  keyspace: string,
  shard: number,
  owner: string,
): string | undefined {
  const status = store?.shards.find((each) => each.keyspace === keyspace && each.shard === shard);
  if (status === undefined) return undefined;
  // What it said last is not true any more.
  if (store?.alive === false) return STORE_DOWN;
  if (status.state !== 'open') return status.state;
  const follow = status.follows.find(({ store, shard }) => store === owner && shard === status.shard);
  return follow === undefined ? 'does not follow yet' : followState(follow);
}

function followState({ state, problem, isLevel, lagRecords, lagMs, copiedRows }: FollowStatus): string {
  if (state === 'connecting') return problem === '' ? 'connecting' : `not connected: ${problem}`;
  if (state === 'copying') return `copying, ${copiedRows} rows so far`;
  if (isLevel || lagMs < LEVEL_MS) return LEVEL;
  return `${lagRecords} records, ${(lagMs / 1000).toFixed(1)} s behind`;
}

/** How a store is doing with all that it follows. */
export interface StoreLag {
  /** Copies elsewhere that its shards follow. */
  readonly feeds: number;
  /** Of those, the ones of which it has everything. */
  readonly feedsLevel: number;
  /** The longest for which one of them has had something that the store has not, milliseconds. */
  readonly lagMs: number;
}

export function storeLag(shards: readonly ShardStatus[]): StoreLag {
  const follows = shards.flatMap((shard) => shard.follows);
  return {
    feeds: follows.length,
    feedsLevel: follows.filter((follow) => followState(follow) === LEVEL).length,
    lagMs: follows.reduce((most, { lagMs }) => Math.max(most, lagMs), 0),
  };
}
