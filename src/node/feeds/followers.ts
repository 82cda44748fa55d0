import { Buffer } from 'node:buffer';
import type { FeedSlots } from '../../types/feed-codec.js';
import type { ShardRoute } from '../../workers/pool.js';
import { type FeedDuty, feedId } from './duties.js';
import { FeedFollower, type FeedStatus, type FollowerHost } from './follower.js';

/** A shard that is open here. */
export interface FedShard {
  /** Id of its keyspace. */
  readonly keyspace: string;
  readonly shard: number;
  readonly route: ShardRoute;
}

const keyOf = ({ feed, keyspace, targetShard }: Pick<FeedDuty, 'feed' | 'keyspace' | 'targetShard'>) =>
  `${keyspace}/${targetShard} ${feed}`;

function areSame(one: FeedSlots | undefined, other: FeedSlots | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return Buffer.compare(one, other) === 0;
}

function isSame(one: FeedDuty, other: FeedDuty): boolean {
  return areSame(one.slots, other.slots) && areSame(one.asked, other.asked);
}

/** The feeds that this store follows: those that the topology says. */
export class FeedFollowers {
  private readonly feeds = new Map<string, FeedFollower>();
  private readonly stopping = new Set<Promise<void>>();
  private wanted: ReadonlyMap<string, FeedDuty> = new Map();

  constructor(private readonly host: FollowerHost) {}

  /** What to follow from now on. What is not followed any more is forgotten, where its shard is still here. */
  follow(duties: readonly FeedDuty[]): void {
    const { mayBegin, mustEnd } = this.host;
    const wanted = new Map(duties.map((duty) => [keyOf(duty), duty]));
    this.wanted = wanted;
    for (const [key, feed] of this.feeds) {
      const duty = wanted.get(key);
      if (duty !== undefined && isSame(duty, feed.duty) && !mustEnd(duty)) continue;
      this.feeds.delete(key);
      this.stop(feed, duty === undefined);
    }
    for (const [key, duty] of wanted) {
      const feed = this.feeds.get(key);
      if (feed !== undefined) feed.retry(duty);
      else if (mayBegin(duty)) this.feeds.set(key, new FeedFollower(duty, this.host));
    }
  }

  /** Whether a shard here has a copy of the same shard of another store, however old. */
  hasCopyOf(keyspace: string, shard: number, store: string): boolean {
    const feed = feedId({ store, shard }, shard);
    return this.feeds.get(keyOf({ feed, keyspace, targetShard: shard }))?.hasCopy === true;
  }

  all(): FeedStatus[] {
    return [...this.feeds.values()].map(({ status }) => status);
  }

  /** Resolves when nothing of feeds that have ended is being applied any more. */
  async settled(): Promise<void> {
    await Promise.all(this.stopping);
  }

  /** Ends all feeds: done when nothing is being applied any more. */
  async close(): Promise<void> {
    for (const feed of this.feeds.values()) this.stop(feed, false);
    this.feeds.clear();
    await Promise.all(this.stopping);
  }

  /**
   * Forgets what shards still know of feeds that ended when that could not be written down, because the process or its disk
   * failed: a shard that takes itself for one that is being copied does not tell others of deletions.
   */
  forgetLeftOver(shards: readonly FedShard[]): void {
    for (const shard of shards) this.await(this.forgetOthers(shard));
  }

  private async forgetOthers({ keyspace, shard, route }: FedShard): Promise<void> {
    try {
      const { feeds } = await this.host.engine.state(route);
      for (const feed of Object.keys(feeds)) await this.forget({ feed, keyspace, targetShard: shard });
    } catch (error) {
      this.host.logger.verbose(`feeds that have ended were not looked for: ${(error as Error).message}`);
    }
  }

  private stop(feed: FeedFollower, forget: boolean): void {
    feed.close();
    this.await(feed.stopped.then(() => (forget ? this.forget(feed.duty) : undefined)));
  }

  private await(what: Promise<void>): void {
    const done = what.finally(() => this.stopping.delete(done));
    this.stopping.add(done);
  }

  private async forget(duty: Pick<FeedDuty, 'feed' | 'keyspace' | 'targetShard'>): Promise<void> {
    const route = this.host.route(duty.keyspace, duty.targetShard);
    if (route === undefined || route.closed || this.wanted.has(keyOf(duty))) return;
    try {
      await this.host.engine.forgetFeed(route, duty.feed);
    } catch (error) {
      // It is tried again after the next start.
      this.host.logger.verbose(`a feed was not forgotten: ${(error as Error).message}`);
    }
  }
}
