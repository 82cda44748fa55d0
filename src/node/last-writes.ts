import { placeKey } from '../cluster/plan/duties.js';
import type { CopyPlace } from '../cluster/plan/feeds.js';
import type { Copy } from './copy.js';
import { feedId } from './feeds/duties.js';
import type { FeedStatus } from './feeds/follower.js';
import { SILENT_MAX_MS } from './feeds/timing.js';

/*
 * A former holder says by its mark that no more comes of what clients wrote there. It has rows besides that it read in
 * the logs of other holders; of these a new holder has all once it has read to the marks of those, too. One that is away
 * may never say the last of it: its machine may have lost what only the first has.
 */

/**
 * Whether a copy has what a former holder had of the others when it put its mark:
 *
 * - `all`: it has read to the marks of all of them, or needs not, or has copied that one's rows since.
 * - `coming`: that has still to come.
 * - `copy`: it may never come: the rows of that holder are to be copied once more.
 */
export type Heard = 'all' | 'coming' | 'copy';

/** @param epoch of the mark in the log of `place` */
export function heardBehind(
  copy: Copy,
  place: CopyPlace,
  epoch: number,
  self: string,
  feeds: readonly FeedStatus[],
): Heard {
  const { entry, keyspace, shard } = copy;
  const change = entry?.change;
  // The former holder has heard of the takeover before this store has.
  if (entry === undefined || entry.epoch < epoch) return 'coming';
  if (change === undefined || !('former' in change) || change.since !== epoch) return 'all';
  const holders = change.former[place.shard]?.stores ?? [];
  if (!holders.includes(place.store)) return 'all';
  const statusOf = (from: CopyPlace) => {
    const feed = feedId(from, shard, change.id);
    return feeds.find(
      ({ duty }) => duty.keyspace === keyspace && duty.targetShard === shard && duty.feed === feed,
    );
  };
  const isRead = ({ store, shard: from }: CopyPlace) =>
    (store === self && from === shard) || copy.markFrom({ store, shard: from }) >= epoch;
  const unread = holders
    .map((store) => ({ store, shard: place.shard }))
    .filter((each) => each.store !== place.store && !isRead(each))
    .map(statusOf)
    // Of one that never said anything this copy is not behind either.
    .filter((status) => status === undefined || status.hasBegun || !isLost(status));
  if (unread.length === 0) return 'all';
  if (copy.copiedAgain.get(placeKey(place)) === epoch) {
    const isPending = copy.memory.anew.includes(feedId(place, shard, change.id));
    return !isPending && statusOf(place)?.position !== undefined ? 'all' : 'coming';
  }
  return unread.some(isLost) ? 'copy' : 'coming';
}

function isLost(status: FeedStatus | undefined): boolean {
  return status?.state === 'connecting' && status.lagMs > SILENT_MAX_MS;
}
