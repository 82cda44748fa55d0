import type { FollowStatus } from '../../cluster/manager.js';
import type { FeedStatus } from './follower.js';

/**
 * What the master is told of feeds.
 * @returns what tells it of a shard here, by its keyspace's id and its number
 */
export function followsOf(
  feeds: readonly FeedStatus[],
): (keyspace: string, shard: number) => readonly FollowStatus[] {
  const byShard = new Map<string, FollowStatus[]>();
  for (const feed of feeds) {
    const key = `${feed.duty.keyspace}/${feed.duty.targetShard}`;
    const group = byShard.get(key);
    if (group === undefined) byShard.set(key, [followOf(feed)]);
    else group.push(followOf(feed));
  }
  return (keyspace, shard) => byShard.get(`${keyspace}/${shard}`) ?? [];
}

function followOf({ duty, position, ...status }: FeedStatus): FollowStatus {
  const { state, problem, isLevel, lagRecords, lagMs, copiedRows, copiedBytes } = status;
  return {
    store: duty.sourceStore,
    shard: duty.sourceShard,
    state,
    problem,
    isLevel,
    position: position?.sequence ?? 0,
    lagRecords,
    lagMs,
    copiedRows,
    copiedBytes,
  };
}
