import { addressOf } from '../cluster/topology.js';
import type { FeedStatus } from '../node/feeds/follower.js';
import type { FollowerStatus } from '../node/feeds/sources.js';
import { PAUSE_BOUNDS_MS } from '../node/pauses.js';
import type { Store } from '../node/store.js';
import { type Family, gauge, gauges, type Row } from './family.js';

/** What a node says of feeds: those that it follows, by which its copies come to be and stay, and who follows it. */
export interface FeedFigures {
  readonly store: Store;
  /** Furthest behind first. */
  readonly feeds: readonly FeedStatus[];
  readonly followers: readonly FollowerStatus[];
}

export function feedFigures(store: Store): FeedFigures {
  const { followers, sources } = store.feeds;
  const feeds = followers.all().sort((one, other) => other.lagMs - one.lagMs);
  return { store, feeds, followers: sources.followers() };
}

/** As host:port. */
function nameOf({ keyspaces }: Store, id: string): string {
  const entry = keyspaces.topology.stores.get(id);
  return entry === undefined ? id : addressOf(entry);
}

function ofFeeds(of: (feed: FeedStatus) => number): (figures: FeedFigures) => Row[] {
  return ({ store, feeds }) => feeds.map((feed) => [of(feed), ...feedLabels(store, feed)]);
}

function feedLabels(store: Store, { duty }: FeedStatus): string[] {
  const keyspace = store.keyspaces.topology.keyspaces.get(duty.keyspace)?.name ?? duty.keyspace;
  return [keyspace, String(duty.targetShard), nameOf(store, duty.sourceStore), String(duty.sourceShard)];
}

function ofFollowers(of: (follower: FollowerStatus) => number | undefined): (figures: FeedFigures) => Row[] {
  return ({ store, followers }) =>
    followers.flatMap((follower): Row[] => {
      const value = of(follower);
      return value === undefined ? [] : [[value, nameOf(store, follower.store)]];
    });
}

const FEED = ['keyspace', 'shard', 'source', 'source_shard'];

export const FEED_FAMILIES: readonly Family<FeedFigures>[] = [
  gauges(
    'vasto_feed_lag_seconds',
    'For how long the source has had something that the shard here lacks.',
    FEED,
    ofFeeds(({ lagMs }) => lagMs / 1000),
  ),
  gauges(
    'vasto_feed_lag_records',
    "Records of the source's log that the shard here lacks.",
    FEED,
    ofFeeds(({ lagRecords }) => lagRecords),
  ),
  gauges(
    'vasto_feed_level',
    'Whether the shard here had all that the source had when that was last heard of.',
    FEED,
    ofFeeds(({ isLevel }) => Number(isLevel)),
  ),
  gauges(
    'vasto_feed_state',
    'How the feed goes: connecting, copying or tailing; always 1.',
    [...FEED, 'state'],
    ({ store, feeds }) => feeds.map((feed) => [1, ...feedLabels(store, feed), feed.state]),
  ),
  gauges(
    'vasto_feed_copied_rows',
    'Rows of the copy that was made last, or is being made.',
    FEED,
    ofFeeds(({ copiedRows }) => copiedRows),
  ),
  gauges(
    'vasto_feed_copied_bytes',
    'Bytes of the copy that was made last, or is being made.',
    FEED,
    ofFeeds(({ copiedBytes }) => copiedBytes),
  ),
  gauge(
    'vasto_logged_records',
    'Records in the logs of the shards here that are followed.',
    ({ store }) => store.feeds.sources.loggedRecords,
  ),
  gauges(
    'vasto_follower_feeds',
    'Feeds by which a store should follow this one.',
    ['store'],
    ofFollowers(({ feeds }) => feeds),
  ),
  gauges(
    'vasto_follower_open_feeds',
    'Feeds of the store that are under way.',
    ['store'],
    ofFollowers(({ open }) => open),
  ),
  gauges(
    'vasto_follower_lag_records',
    'Records here that the store has not safely, over the feeds of which it has said what it has.',
    ['store'],
    ofFollowers(({ behind }) => behind),
  ),
  gauges(
    'vasto_follower_silence_seconds',
    'Since the store was last heard.',
    ['store'],
    ofFollowers(({ silentMs }) => (silentMs === undefined ? undefined : silentMs / 1000)),
  ),
  {
    kind: 'histogram',
    name: 'vasto_handover_pause_seconds',
    help: 'For how long a shard took no commands because it was handed over.',
    labels: [],
    bounds: PAUSE_BOUNDS_MS.map((ms) => ms / 1000),
    distributions: ({ store }) => {
      const { within, all, sumMs } = store.pauses.counts;
      return [{ labels: [], counts: within, count: all, sumSeconds: sumMs / 1000 }];
    },
  },
];
