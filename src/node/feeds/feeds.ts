import type { Logger } from '../../base/logger.js';
import { SYSTEM_TIMERS, type Timers } from '../../base/timers.js';
import type {
  FollowerMessage,
  FollowerStream,
  SourceMessage,
  SourceStream,
} from '../../cluster/feed-messages.js';
import { streamPair } from '../../cluster/stream-pair.js';
import type { StoreEntry, Topology } from '../../cluster/topology.js';
import type { ShardRoute } from '../../workers/pool.js';
import { CopyRate } from './copy-rate.js';
import { dutiesOf } from './duties.js';
import type { FeedEngine } from './engine.js';
import type { FollowerHost } from './follower.js';
import { type FedShard, FeedFollowers } from './followers.js';
import { FeedSources, type SourcesOptions } from './sources.js';

/** What feeds need of their store. */
export interface FeedsOptions {
  readonly engine: FeedEngine;
  readonly logger: Logger;
  /** Id of this store. */
  readonly self: string;
  readonly timers?: Timers;
  /** Bytes a second that copies may take from this store; 0 = no limit. */
  bytesPerSecond(): number;
  topology(): Topology;
  /** A shard that is open here. */
  route(keyspace: string, shard: number): ShardRoute | undefined;
  /** What is known of copies, and who wants to know of feeds. */
  readonly copies: Pick<FollowerHost, 'mayBegin' | 'mustEnd' | 'changed' | 'reachedMark'> &
    Pick<SourcesOptions, 'marksIn' | 'copyable'>;
  /** All of those. */
  shards(): readonly FedShard[];
}

/** The feeds of a store, in both directions: those that the topology says, for as long as it says so. */
export class Feeds {
  readonly sources: FeedSources;
  readonly followers: FeedFollowers;
  private isClosed = false;
  private isStarted = false;
  private connect: ((store: StoreEntry) => SourceStream) | undefined;

  constructor(private readonly options: FeedsOptions) {
    const { engine, logger, self, timers = SYSTEM_TIMERS, topology, route } = options;
    const clusterId = () => topology().clusterId;
    const common = { engine, timers, logger, self, clusterId, route, ...options.copies };
    this.sources = new FeedSources({ ...common, rate: new CopyRate(options.bytesPerSecond) });
    this.followers = new FeedFollowers({
      ...common,
      store: (id) => topology().stores.get(id),
      nameOf: (id) => topology().keyspaces.get(id)?.name ?? id,
      connect: (store) => this.open(store),
    });
  }

  /**
   * Begins to follow what the topology says, and lets others follow.
   * @param connect begins a conversation with another store; throws where that cannot be. Without it, shards of this
   *   store follow each other
   */
  start(connect?: (store: StoreEntry) => SourceStream): void {
    this.isStarted = true;
    this.connect = connect;
    this.topologyChanged();
    this.followers.forgetLeftOver(this.options.shards());
  }

  /** Another topology is in force. Before the start of feeds it changes nothing. */
  topologyChanged(): void {
    if (!this.isStarted || this.isClosed) return;
    const { self, topology, shards } = this.options;
    const { follows, followers } = dutiesOf(self, topology());
    this.sources.follow(
      followers,
      shards().map(({ route }) => route),
    );
    this.followers.follow(follows);
  }

  private open(store: StoreEntry): SourceStream {
    if (store.id !== this.options.self) {
      if (this.connect === undefined) throw new Error('this store does not speak to others (yet)');
      return this.connect(store);
    }
    const [target, source] = streamPair<SourceMessage, FollowerMessage>();
    this.accept(source);
    return target;
  }

  /** Takes up the conversation with a store that follows this one. */
  accept(stream: FollowerStream): void {
    this.sources.accept(stream);
  }

  /** Ends all feeds: done when nothing is being applied any more. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.sources.close();
    await this.followers.close();
  }
}
