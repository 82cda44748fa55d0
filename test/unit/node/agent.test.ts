import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../../src/base/logger.js';
import type { TaskProgress } from '../../../src/cluster/manager.js';
import type { MasterMessage, MasterStream, StoreMessage } from '../../../src/cluster/messages.js';
import { EMPTY_TOPOLOGY, type StoreEntry, type Topology, withStore } from '../../../src/cluster/topology.js';
import { REPORT_EVERY_MS, StoreAgent } from '../../../src/node/agent.js';
import type { FeedStatus } from '../../../src/node/feeds/follower.js';
import { Membership } from '../../../src/node/membership.js';
import type { Store } from '../../../src/node/store.js';

class FakeStream implements MasterStream {
  readonly sent: StoreMessage[] = [];
  ended = false;
  onMessage: (message: MasterMessage) => void = () => undefined;
  onEnd: (error: Error | undefined) => void = () => undefined;

  send(message: StoreMessage): void {
    if (!this.ended) this.sent.push(message);
  }

  end(): void {
    this.ended = true;
  }

  /** What was sent, reports left out. */
  get said(): StoreMessage[] {
    return this.sent.filter(({ kind }) => kind !== 'report');
  }
}

class FakeStore {
  readonly membership = new Membership();
  readonly keyspaces = { topology: EMPTY_TOPOLOGY };
  readonly config = { values: { dir: '/data' } };
  readonly applied: Topology[] = [];
  readonly feeds = { followers: { all: () => this.follows } };
  follows: readonly FeedStatus[] = [];
  failure: Error | undefined;
  shards = [{ keyspace: 'k', shard: 1, route: { shard: 7 } }];
  reports: unknown = [{ shards: [{ shard: 7, keys: 3, tableBytes: 10, memtableBytes: 5, failure: '' }] }];

  async applyTopology(topology: Topology): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.applied.push(topology);
    this.keyspaces.topology = topology;
  }

  keyspaceNews(): unknown {
    return [];
  }

  localShards(): unknown {
    return this.shards;
  }

  async report(): Promise<unknown> {
    return this.reports;
  }

  compactShard = async (_keyspace: string, _shard: number, onProgress: (progress: TaskProgress) => void) => {
    onProgress({ done: 1, total: 2, phase: 'copying' });
    if (this.failure !== undefined) throw this.failure;
  };
}

const self: StoreEntry = {
  id: 'a'.repeat(40),
  epoch: 0,
  host: '127.0.0.1',
  port: 6379,
  tlsPort: 0,
  peerPort: 0,
  zone: '',
  tags: [],
  doors: [],
};

const lines: string[] = [];
const note = (text: string) => void lines.push(text);
const logger = { notice: note, warning: note, verbose: note } as unknown as Logger;

/** Lets promises that are settled already have their effects. */
const settle = () => vi.advanceTimersByTimeAsync(0);

describe('the agent of a store', () => {
  let store: FakeStore;
  let stream: FakeStream;
  let agent: StoreAgent;

  beforeEach(() => {
    vi.useFakeTimers();
    lines.length = 0;
    store = new FakeStore();
    stream = new FakeStream();
    agent = new StoreAgent(store as unknown as Store, self, logger, {
      diskSpace: async () => ({ freeBytes: 40, totalBytes: 100 }),
    });
    agent.converse(stream);
  });

  afterEach(() => {
    agent.stop();
    vi.useRealTimers();
  });

  it('registers with all that it remembers, and keeps the id of the cluster', async () => {
    expect(stream.sent).toEqual([{ kind: 'register', store: self, topology: EMPTY_TOPOLOGY }]);
    expect(store.membership.masterLink).toBe('down');
    stream.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    expect(store.keyspaces.topology.clusterId).toBe('c1');
    expect(store.membership.masterLink).toBe('up');
    await expect(agent.answered).resolves.toBeUndefined();
  });

  it('gives signs of life with what the workers last said, however long they take', async () => {
    stream.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    await vi.advanceTimersByTimeAsync(REPORT_EVERY_MS);
    const shards = [{ keyspace: 'k', shard: 1, keys: 3, bytes: 15, state: 'open', follows: [] }];
    expect(stream.sent.at(-1)).toEqual({
      kind: 'report',
      freeBytes: 40,
      totalBytes: 100,
      shards,
      keyspaces: [],
    });
    store.report = () => new Promise(() => undefined);
    const before = stream.sent.length;
    await vi.advanceTimersByTimeAsync(10 * REPORT_EVERY_MS);
    expect(stream.sent.length).toBe(before + 10);
  });

  it('tells what is wrong with a shard, or that it is not open yet', async () => {
    store.shards = [...store.shards, { keyspace: 'k', shard: 2, route: { shard: 8 } }];
    store.reports = [
      { shards: [{ shard: 7, keys: 0, tableBytes: 0, memtableBytes: 0, failure: 'MISCONF' }] },
    ];
    stream.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    await vi.advanceTimersByTimeAsync(REPORT_EVERY_MS);
    expect(stream.sent.at(-1)).toMatchObject({
      shards: [
        { shard: 1, state: 'MISCONF' },
        { shard: 2, state: 'opening' },
      ],
    });
  });

  it('puts topologies into effect and says so, or why not', async () => {
    const topology = withStore(EMPTY_TOPOLOGY, { ...self, epoch: 9 });
    stream.onMessage({ kind: 'topology', topology });
    await settle();
    expect(store.applied).toEqual([topology]);
    expect(stream.said.at(-1)).toEqual({ kind: 'applied', epoch: 9 });
    store.failure = new Error('no space');
    stream.onMessage({ kind: 'topology', topology });
    await settle();
    expect(stream.said.at(-1)).toEqual({ kind: 'applied', epoch: 9, error: 'no space' });
  });

  it('rewrites shards on request, and tells how far it is', async () => {
    const task = { kind: 'compact', task: 4, keyspace: 'k', shard: 1 } as const;
    const progress = { kind: 'progress', task: 4, progress: { done: 1, total: 2, phase: 'copying' } };
    stream.onMessage(task);
    await settle();
    expect(stream.said.slice(1)).toEqual([progress, { kind: 'finished', task: 4 }]);
    store.failure = new Error('not now');
    stream.onMessage(task);
    await settle();
    expect(stream.said.slice(3)).toEqual([progress, { kind: 'finished', task: 4, error: 'not now' }]);
  });

  it('goes on without a master that will not have it', async () => {
    stream.onMessage({ kind: 'refused', reason: 'it belongs to cluster c2' });
    expect(stream.ended).toBe(true);
    expect(store.membership).toMatchObject({ masterLink: 'refused', refusal: 'it belongs to cluster c2' });
    expect(lines.join()).toContain('it belongs to cluster c2');
    await expect(agent.answered).resolves.toBeUndefined();
    await vi.advanceTimersByTimeAsync(10 * REPORT_EVERY_MS);
    expect(stream.said).toHaveLength(1);
  });

  it('leaves a master whose cluster is another one than its own', async () => {
    store.failure = new Error('this store belongs to cluster c1, not to c2');
    stream.onMessage({ kind: 'welcome', clusterId: 'c2' });
    await settle();
    expect(stream.ended).toBe(true);
    expect(store.membership.connected).toBe(false);
    expect(lines.join()).toContain('belongs to cluster c1');
  });

  it('reports no more when the stream ends, and takes up the next one', async () => {
    stream.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    stream.onEnd(new Error('gone'));
    expect(store.membership.masterLink).toBe('down');
    const said = stream.sent.length;
    await vi.advanceTimersByTimeAsync(5 * REPORT_EVERY_MS);
    expect(stream.sent.length).toBe(said);
    const next = new FakeStream();
    agent.converse(next);
    expect(next.sent).toEqual([{ kind: 'register', store: self, topology: store.keyspaces.topology }]);
    next.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    expect(store.membership.masterLink).toBe('up');
  });

  it('hears no more of a stream that another one has replaced', async () => {
    const next = new FakeStream();
    agent.converse(next);
    expect(stream.ended).toBe(true);
    stream.onMessage({ kind: 'welcome', clusterId: 'c1' });
    stream.onEnd(undefined);
    await settle();
    expect(store.applied).toEqual([]);
    next.onMessage({ kind: 'welcome', clusterId: 'c1' });
    await settle();
    expect(store.membership.connected).toBe(true);
  });
});
