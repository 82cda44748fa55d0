import type { Logger } from '../../src/base/logger.js';
import type { Timers } from '../../src/base/timers.js';
import type {
  FollowerMessage,
  FollowerStream,
  LogMark,
  SourceMessage,
  SourceStream,
} from '../../src/cluster/feed-messages.js';
import { streamPair } from '../../src/cluster/stream-pair.js';
import {
  EMPTY_TOPOLOGY,
  type StoreEntry,
  type Topology,
  withKeyspace,
  withStore,
} from '../../src/cluster/topology.js';
import { Feeds } from '../../src/node/feeds/feeds.js';
import type { Copyable } from '../../src/node/feeds/source.js';
import { storeEntry } from './fake-cluster.js';
import { FakeEngine, type FakeShard } from './fake-feeds.js';

const nothing = () => undefined;
const SILENT = { notice: nothing, warning: nothing, verbose: nothing } as unknown as Logger;

export const KEYSPACE = 'feed0000feed0000';

/** A store that has nothing but feeds, and one shard of one keyspace. */
export class FeedNode {
  readonly engine: FakeEngine;
  readonly shard: FakeShard;
  readonly feeds: Feeds;
  topology: Topology = EMPTY_TOPOLOGY;
  bytesPerSecond = 0;
  /** What others are told who want to copy. */
  copyable: Copyable = 'whole';
  /** In its own log. */
  readonly ownMarks: (LogMark & { readonly log: string })[] = [];
  /** Epochs of those up to which it has the other one's log. */
  readonly marks: number[] = [];

  constructor(
    readonly entry: StoreEntry,
    timers: Timers,
  ) {
    this.engine = new FakeEngine(entry.id.slice(0, 8));
    this.shard = this.engine.open(1);
    const { route } = this.shard;
    this.feeds = new Feeds({
      engine: this.engine,
      logger: SILENT,
      self: entry.id,
      timers,
      bytesPerSecond: () => this.bytesPerSecond,
      topology: () => this.topology,
      route: (keyspace, shard) => (keyspace === KEYSPACE && shard === 0 ? route : undefined),
      shards: () => [{ keyspace: KEYSPACE, shard: 0, route }],
      copies: {
        mayBegin: () => true,
        mustEnd: () => false,
        changed: nothing,
        reachedMark: (_, epoch) => {
          this.marks.push(epoch);
        },
        marksIn: (_, log) => this.ownMarks.filter((mark) => mark.log === log),
        copyable: () => this.copyable,
      },
    });
    this.engine.onLogged = (one, sequence) => this.feeds.sources.logged(one, sequence);
  }

  write(key: string, value: string, at: number): void {
    this.engine.write(this.shard, key, value, at);
  }

  apply(topology: Topology): void {
    this.topology = topology;
    this.feeds.topologyChanged();
  }

  get status() {
    return this.feeds.followers.all()[0];
  }
}

/** Stores that hold copies of the one shard, the first being its owner. */
export function copies(entries: readonly StoreEntry[], epoch = 1): Topology {
  let topology: Topology = { ...EMPTY_TOPOLOGY, clusterId: 'test' };
  for (const entry of entries) topology = withStore(topology, { ...entry, epoch });
  return withKeyspace(topology, {
    id: KEYSPACE,
    epoch,
    name: 'copied',
    db: undefined,
    replicas: entries.length,
    tags: [],
    shards: [{ stores: entries.map(({ id }) => id) }],
    deleted: false,
  });
}

/** Stores within this process, whose conversations can be cut. */
export class FeedNodes {
  readonly nodes: FeedNode[];
  private cut = false;
  private streams: { end(): void }[] = [];

  constructor(count: number, timers: Timers) {
    this.nodes = Array.from({ length: count }, (_, index) => new FeedNode(storeEntry(index + 1), timers));
    for (const node of this.nodes) node.feeds.start((store) => this.connect(store));
  }

  private connect({ id }: StoreEntry): SourceStream {
    if (this.cut) throw new Error('the network is cut');
    const target = this.nodes.find(({ entry }) => entry.id === id)!;
    const [near, far] = streamPair<SourceMessage, FollowerMessage>();
    target.feeds.accept(far as FollowerStream);
    this.streams.push(near, far);
    return near;
  }

  /** Ends all conversations; no other can be begun until {@link mend}. */
  sever(): void {
    this.cut = true;
    for (const stream of this.streams.splice(0)) stream.end();
  }

  mend(): void {
    this.cut = false;
  }

  /** All hold copies of the shard. */
  join(): void {
    const topology = copies(this.nodes.map(({ entry }) => entry));
    for (const node of this.nodes) node.apply(topology);
  }
}
