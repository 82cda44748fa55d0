import type { ShardFeeds } from '../../workers/shard-feeds.js';

/** What the workers do for feeds. All of it rejects while the shard's worker is away, and may be asked for again. */
export type FeedEngine = Pick<
  ShardFeeds,
  | 'setLogging'
  | 'state'
  | 'readLog'
  | 'trimLog'
  | 'copySlice'
  | 'beginCopy'
  | 'resumeFeed'
  | 'applyCopy'
  | 'applyRecords'
  | 'forgetFeed'
  | 'removeSlots'
  | 'show'
>;
