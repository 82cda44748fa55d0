import type { Logger } from '../../base/logger.js';
import type { Timers } from '../../base/timers.js';
import type { FollowerStream, LogMark } from '../../cluster/feed-messages.js';
import type { FeedPosition } from '../../types/feed.js';
import type { ShardRoute } from '../../workers/pool.js';
import type { CopyRate } from './copy-rate.js';
import { covers, type FeedDuty } from './duties.js';
import type { FeedEngine } from './engine.js';
import { type Copyable, FeedSource, type NotAdmitted, type OpenMessage, type SourceHost } from './source.js';
import { BEAT_EVERY_MS, TRIM_EVERY_MS } from './timing.js';

/** What the sources need to know of their store. */
export interface SourcesOptions {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly rate: CopyRate;
  readonly logger: Pick<Logger, 'warning' | 'verbose'>;
  readonly self: string;
  clusterId(): string;
  /** A shard that is open here. */
  route(keyspace: string, shard: number): ShardRoute | undefined;
  /** See SourceHost. */
  marksIn(route: ShardRoute, log: string): readonly LogMark[];
  copyable(open: OpenMessage): Copyable;
}

/** A store that follows shards of this one. */
export interface FollowerStatus {
  /** Its id. */
  readonly store: string;
  /** How many of the feeds that it should follow it has open, of how many. */
  readonly open: number;
  readonly feeds: number;
  /** Some feed of it makes a copy. */
  readonly isCopying: boolean;
  /** Sum of the records that it has safely, over its feeds. */
  readonly acknowledged: number;
  /** Sum of the records here that it has not safely, over the feeds of which it has said what it has. */
  readonly behind: number;
  /** Since it was last heard, milliseconds; undefined = not since this store was started. */
  readonly silentMs: number | undefined;
}

/** Who follows a shard, and how far he is. */
interface Follower {
  /** As the topology in force has it: what fills a copy goes on as that of a replica. */
  duty: FeedDuty;
  /** What it has safely; undefined while it copies, or has not been heard of. */
  acked: FeedPosition | undefined;
  /** Records up to this one it does not need; undefined = not known. */
  needed: FeedPosition | undefined;
  heardAtMs: number | undefined;
  feed: FeedSource | undefined;
}

/** The log of a shard that somebody follows. */
interface ShardLog {
  readonly route: ShardRoute;
  readonly followers: Map<string, Follower>;
  /** Its end; undefined until the worker has said so. */
  head: FeedPosition | undefined;
  trimmedTo: number;
  /** When that was, Unix milliseconds. */
  trimmedAtMs: number;
  isSwitching: boolean;
}

/**
 * A follower that has not heard yet which slots the shard has now would be sent the log without what is written there
 * from now on, and its position would be behind that for good.
 */
const ASKS_FOR_LESS =
  'by the topology here this store is to ask for more slots of the shard: it goes on when both know the same';

function asksForLess({ slots }: OpenMessage, { asked, whole = asked }: FeedDuty): boolean {
  return !covers(slots, whole);
}

const never = (reason: string): NotAdmitted => ({ reason, isEarly: false });
const early = (reason: string): NotAdmitted => ({ reason, isEarly: true });

const followerKey = ({ targetStore, feed }: FeedDuty) => `${targetStore} ${feed}`;

/**
 * The feeds of which this store is the source. A shard logs its changes as long as, by the topology, somebody follows
 * it; records that all of them have are dropped.
 */
export class FeedSources implements SourceHost {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly rate: CopyRate;
  private readonly logs = new Map<ShardRoute, ShardLog>();
  private readonly feeds = new Set<FeedSource>();
  private readonly listeners = new Set<() => void>();
  private stopBeating: () => void;
  private isClosed = false;

  constructor(private readonly options: SourcesOptions) {
    ({ engine: this.engine, timers: this.timers, rate: this.rate } = options);
    this.stopBeating = this.timers.after(BEAT_EVERY_MS, () => this.beat());
  }

  /** Takes up the conversation with a follower. */
  accept(stream: FollowerStream): void {
    const feed = new FeedSource(stream, this);
    if (this.isClosed) feed.refuse('this store is shutting down');
    else this.feeds.add(feed);
  }

  /**
   * Who follows what from now on. Shards that nobody follows any more cease to log.
   * @param routes of all shards that are open here
   */
  follow(duties: readonly FeedDuty[], routes: readonly ShardRoute[]): void {
    const wanted = new Map<ShardRoute, Map<string, FeedDuty>>();
    for (const duty of duties) {
      const route = this.options.route(duty.keyspace, duty.sourceShard);
      if (route === undefined) continue;
      const followers = wanted.get(route) ?? new Map<string, FeedDuty>();
      followers.set(followerKey(duty), duty);
      wanted.set(route, followers);
    }
    for (const [route, log] of this.logs) if (!wanted.has(route)) this.unfollow(log, routes.includes(route));
    for (const [route, followers] of wanted) this.keepFollowers(route, followers);
    for (const feed of [...this.feeds]) {
      const follower = this.followerOf(feed);
      if (follower !== undefined && asksForLess(feed.open!, follower.duty)) feed.refuse(ASKS_FOR_LESS);
    }
    this.admissionChanged();
    this.tellListeners();
  }

  private unfollow(log: ShardLog, isHere: boolean): void {
    this.logs.delete(log.route);
    for (const { feed } of log.followers.values()) feed?.refuse('the shard is not followed any more');
    if (!isHere) return;
    this.engine.setLogging(log.route, false).catch((error: Error) => {
      // It is tried again by the next start at the latest; until then the log is bounded.
      this.options.logger.verbose(`a shard goes on logging though nobody follows it: ${error.message}`);
    });
  }

  private keepFollowers(route: ShardRoute, wanted: ReadonlyMap<string, FeedDuty>): void {
    let log = this.logs.get(route);
    if (log === undefined) {
      const none = { head: undefined, trimmedTo: 0, trimmedAtMs: 0, isSwitching: false };
      log = { route, followers: new Map(), ...none };
      this.logs.set(route, log);
    }
    for (const [key, { feed }] of log.followers)
      if (!wanted.has(key)) {
        feed?.refuse('the shard is not followed by this store any more');
        log.followers.delete(key);
      }
    for (const [key, duty] of wanted) {
      const known = log.followers.get(key);
      if (known !== undefined) known.duty = duty;
      else
        log.followers.set(key, {
          duty,
          acked: undefined,
          needed: undefined,
          heardAtMs: undefined,
          feed: undefined,
        });
    }
    if (log.head === undefined) void this.switchOn(log);
  }

  /** Has the shard log; tried again with each beat until it does. */
  private async switchOn(log: ShardLog): Promise<void> {
    if (log.isSwitching) return;
    log.isSwitching = true;
    try {
      const head = await this.engine.setLogging(log.route, true);
      if (head !== undefined) this.headFound(log.route, head);
      this.admissionChanged();
    } catch (error) {
      this.options.logger.verbose(`a shard cannot log its changes yet: ${(error as Error).message}`);
    } finally {
      log.isSwitching = false;
    }
  }

  // ---------------------------------------------------------------- what the pool says

  /** A shard has logged up to this record. */
  logged(route: ShardRoute, sequence: number): void {
    const log = this.logs.get(route);
    if (log?.head === undefined) return;
    // What commands have logged and what was copied is told on two ways, of which either may be the faster.
    log.head = { log: log.head.log, sequence: Math.max(log.head.sequence, sequence) };
    for (const { feed } of log.followers.values()) feed?.logged();
  }

  // ---------------------------------------------------------------- what the feeds say

  admit(open: OpenMessage): ShardRoute | NotAdmitted {
    const { self, clusterId, route: find } = this.options;
    if (open.clusterId !== clusterId())
      return never(`this store belongs to cluster ${clusterId() || '(none yet)'}`);
    if (open.source !== self) return never(`this is store ${self}, not ${open.source}`);
    const route = find(open.keyspace, open.shard);
    if (route === undefined)
      return early(`shard ${open.shard} of keyspace ${open.keyspace} is not here (yet)`);
    const known = this.followerOf({ route, open });
    if (known === undefined)
      return early('the topology here does not say (yet) that this store follows the shard');
    if (asksForLess(open, known.duty)) return never(ASKS_FOR_LESS);
    return this.headOf(route) === undefined ? early('the shard does not log its changes yet') : route;
  }

  /** Feeds that wait to be admitted may be now. */
  private admissionChanged(): void {
    for (const feed of this.feeds) feed.admissionChanged();
  }

  marksIn(route: ShardRoute, log: string): readonly LogMark[] {
    return this.options.marksIn(route, log);
  }

  copyable(open: OpenMessage): Copyable {
    return this.options.copyable(open);
  }

  /** A mark has been put into the log of a shard: its followers hear of it at once. */
  marked(route: ShardRoute, position: FeedPosition): void {
    this.headFound(route, position);
    const nowMs = this.timers.now();
    for (const { feed } of this.logs.get(route)?.followers.values() ?? []) {
      feed?.tell(nowMs);
      feed?.hurry();
    }
  }

  headOf(route: ShardRoute): FeedPosition | undefined {
    return this.logs.get(route)?.head;
  }

  headFound(route: ShardRoute, { log: id, sequence }: FeedPosition): void {
    const log = this.logs.get(route);
    if (log === undefined) return;
    const isNew = log.head?.log !== id;
    if (isNew) log.trimmedTo = 0;
    if (isNew || sequence > log.head!.sequence) log.head = { log: id, sequence };
  }

  acknowledged(feed: FeedSource): void {
    const follower = this.followerOf(feed);
    if (follower === undefined) return;
    if (follower.feed !== feed) follower.feed?.refuse('the follower has opened the feed anew');
    follower.feed = feed;
    follower.acked = feed.acked;
    follower.needed = feed.needed;
    follower.heardAtMs = feed.heardAtMs;
    this.trimOften(feed.route!);
    this.tellListeners();
  }

  /** What is dropped soon RocksDB never writes to a file, nor merges with others. */
  private trimOften(route: ShardRoute): void {
    const log = this.logs.get(route);
    if (log?.head === undefined) return;
    const sinceMs = this.timers.now() - log.trimmedAtMs;
    if (sinceMs < 0 || sinceMs >= TRIM_EVERY_MS) void this.trim(log, log.head);
  }

  ended(feed: FeedSource): void {
    this.feeds.delete(feed);
    const follower = this.followerOf(feed);
    if (follower?.feed === feed) follower.feed = undefined;
  }

  private followerOf({ route, open }: Pick<FeedSource, 'route' | 'open'>): Follower | undefined {
    if (route === undefined || open === undefined) return undefined;
    for (const follower of this.logs.get(route)?.followers.values() ?? [])
      if (follower.duty.targetStore === open.follower && follower.duty.feed === open.feed) return follower;
    return undefined;
  }

  private beat(): void {
    const nowMs = this.timers.now();
    for (const feed of this.feeds) feed.beat(nowMs);
    for (const log of this.logs.values()) {
      if (log.head === undefined) void this.switchOn(log);
      else void this.trim(log, log.head);
    }
    if (!this.isClosed) this.stopBeating = this.timers.after(BEAT_EVERY_MS, () => this.beat());
  }

  /** Drops what all followers have. One that has not been heard of since the start may need anything. */
  private async trim(log: ShardLog, { log: id }: FeedPosition): Promise<void> {
    let through = Number.POSITIVE_INFINITY;
    for (const { needed } of log.followers.values())
      through = needed?.log === id ? Math.min(through, needed.sequence) : 0;
    if (!Number.isFinite(through) || through <= log.trimmedTo) return;
    const before = log.trimmedTo;
    log.trimmedTo = through;
    log.trimmedAtMs = this.timers.now();
    try {
      await this.engine.trimLog(log.route, through);
    } catch (error) {
      log.trimmedTo = before;
      this.options.logger.verbose(`a feed log was not shortened: ${(error as Error).message}`);
    }
  }

  // ---------------------------------------------------------------- for clients and operators

  /**
   * How many replicas have all that these shards have logged so far: of each shard so many, the fewest count. Those that
   * have not are sent it at once.
   * @returns a function that tells
   */
  replicasSince(routes: readonly ShardRoute[]): () => number {
    const marks = routes.map((route) => ({ route, head: this.headOf(route) }));
    for (const route of routes)
      for (const { feed } of this.logs.get(route)?.followers.values() ?? []) feed?.hurry();
    return () => Math.min(...marks.map(({ route, head }) => this.replicasWith(route, head)));
  }

  private replicasWith(route: ShardRoute, head: FeedPosition | undefined): number {
    if (head === undefined) return 0;
    const followers = [...(this.logs.get(route)?.followers.values() ?? [])];
    const stores = followers
      .filter(({ duty }) => duty.isReplica)
      .filter(({ acked }) => acked?.log === head.log && acked.sequence >= head.sequence)
      .map(({ duty }) => duty.targetStore);
    return new Set(stores).size;
  }

  /** Has `listener` called when a follower has more than before. @returns what ends that */
  onAcknowledged(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tellListeners(): void {
    for (const listener of this.listeners) listener();
  }

  /** Sum of the records logged, over the shards that are followed. */
  get loggedRecords(): number {
    let sum = 0;
    for (const { head } of this.logs.values()) sum += head?.sequence ?? 0;
    return sum;
  }

  /** The stores that follow this one. */
  followers(): FollowerStatus[] {
    const byStore = new Map<string, { followers: Follower[]; behind: number }>();
    for (const { followers, head } of this.logs.values())
      for (const follower of followers.values()) {
        const { acked, duty } = follower;
        const known = byStore.get(duty.targetStore) ?? { followers: [], behind: 0 };
        known.followers.push(follower);
        if (acked !== undefined && acked.log === head?.log)
          known.behind += Math.max(0, head.sequence - acked.sequence);
        byStore.set(duty.targetStore, known);
      }
    return [...byStore].map(([store, { followers, behind }]) => this.statusOf(store, followers, behind));
  }

  private statusOf(store: string, followers: readonly Follower[], behind: number): FollowerStatus {
    const nowMs = this.timers.now();
    const silent = followers.map(({ heardAtMs }) => heardAtMs).filter((atMs) => atMs !== undefined);
    return {
      store,
      open: followers.filter(({ feed }) => feed !== undefined).length,
      feeds: followers.length,
      isCopying: followers.some(({ feed }) => feed?.isCopying === true),
      behind,
      acknowledged: followers.reduce((sum, { acked }) => sum + (acked?.sequence ?? 0), 0),
      silentMs: silent.length === 0 ? undefined : Math.max(0, nowMs - Math.max(...silent)),
    };
  }

  /** Ends all feeds, and lets nobody follow any more. */
  close(): void {
    this.isClosed = true;
    this.stopBeating();
    for (const feed of [...this.feeds]) feed.refuse('this store is shutting down');
  }
}
