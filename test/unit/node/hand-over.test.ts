import { afterEach, describe, expect, test } from 'vitest';
import { placeKey } from '../../../src/cluster/plan/duties.js';
import { flowsBetween } from '../../../src/cluster/slot-set.js';
import { EMPTY_TOPOLOGY, type KeyspaceEntry, type Topology } from '../../../src/cluster/topology.js';
import { Copies } from '../../../src/node/copies.js';
import { type FeedDuty, feedId } from '../../../src/node/feeds/duties.js';
import type { FeedStatus } from '../../../src/node/feeds/follower.js';
import type { CopiesHost } from '../../../src/node/marking.js';
import { PAUSE_BOUNDS_MS, Pauses } from '../../../src/node/pauses.js';
import type { FeedPosition } from '../../../src/types/feed.js';
import { ManualTimers } from '../../support/fake-cluster.js';
import { FakeEngine } from '../../support/fake-feeds.js';

const FACTS = { id: 'c1', kind: 'resize', startedAtMs: 0, sinceMs: 0, replicas: 1, attempts: 0 } as const;
const TARGET = [{ stores: ['a'] }, { stores: ['b'] }];
const SETTLED: KeyspaceEntry = {
  id: 'feed0000feed0000',
  epoch: 10,
  name: 'k',
  db: undefined,
  replicas: 1,
  tags: [],
  shards: [{ stores: ['a'] }],
  deleted: false,
};
const phase = (epoch: number, name: 'prepare' | 'handover'): KeyspaceEntry => ({
  ...SETTLED,
  epoch,
  change: { ...FACTS, since: epoch, phase: name, target: TARGET },
});
const PREPARE = phase(11, 'prepare');
const HANDOVER = phase(12, 'handover');
const TAKEOVER: KeyspaceEntry = {
  ...SETTLED,
  epoch: 13,
  shards: TARGET.map((held) => ({ ...held, since: 13 })),
  change: { ...FACTS, since: 13, phase: 'takeover', former: SETTLED.shards },
};
const SOURCE = { store: 'a', shard: 0 };
const MOVING = flowsBetween(1, 2).find(({ to }) => to === 1)!.slots;

/** The feed of what moves. */
const MOVING_DUTY: FeedDuty = {
  feed: feedId(SOURCE, 1, 'c1'),
  keyspace: SETTLED.id,
  sourceStore: 'a',
  sourceShard: 0,
  targetStore: 'b',
  targetShard: 1,
  slots: MOVING.toBytes(),
  asked: MOVING.toBytes(),
  whole: undefined,
  start: 'copy',
  isReplica: false,
};

/** A feed that has its copy. */
const LEVEL: Omit<FeedStatus, 'duty'> = {
  state: 'tailing',
  problem: '',
  isLevel: true,
  isNearlyLevel: true,
  hasBegun: true,
  refusal: '',
  position: { log: 'a-1', sequence: 1 },
  lagRecords: 0,
  lagMs: 0,
  copiedRows: 1,
  copiedBytes: 1,
};

const topologyOf = (entry: KeyspaceEntry): Topology => ({
  ...EMPTY_TOPOLOGY,
  keyspaces: new Map([[entry.id, entry]]),
});

/** The copies of one store, which has one shard, and all that they ask of it. */
class Node {
  readonly timers = new ManualTimers();
  readonly engine: FakeEngine;
  readonly pauses = new Pauses();
  readonly told: FeedPosition[] = [];
  readonly log: string[] = [];
  persisted = 0;
  /** Why nothing can be written down. */
  diskFailure: Error | undefined;
  feeds: FeedStatus[] = [];
  /** Resolves when the disk has everything. */
  sync: () => Promise<void> = async () => undefined;
  readonly copies: Copies;
  readonly shard;
  private known: Topology = EMPTY_TOPOLOGY;

  constructor(
    readonly self: string,
    private readonly number: number,
  ) {
    this.engine = new FakeEngine(self);
    this.shard = this.engine.open(number);
    const host: CopiesHost = {
      engine: this.engine,
      timers: this.timers,
      logger: {
        verbose: () => undefined,
        notice: (text) => this.log.push(text),
        warning: (text) => this.log.push(`WARNING ${text}`),
      },
      self,
      alone: (run) => run(),
      persist: async () => {
        if (this.diskFailure !== undefined) throw this.diskFailure;
        this.persisted++;
      },
      sync: () => this.sync(),
      feeds: () => this.feeds,
      follow: () => undefined,
      settled: async () => undefined,
      marked: (_, position) => this.told.push(position),
      headOf: () => this.shard.log && { log: this.shard.log.id, sequence: this.shard.sequence },
      paused: (ms) => this.pauses.note(ms),
      report: () => undefined,
      waitMaxMs: () => 60_000,
      storeText: (id) => id,
    };
    this.copies = new Copies(host);
  }

  get route() {
    return this.shard.route;
  }

  /** Puts an entry into force, as a store does. */
  async enter(entry: KeyspaceEntry): Promise<void> {
    const topology = topologyOf(entry);
    const open = [{ keyspace: entry.id, shard: this.number, local: 1, route: this.route }];
    const { memories } = this.copies.after(this.known, topology, open);
    this.copies.apply(topology, open, memories);
    this.known = topology;
    this.copies.look();
    await this.works();
  }

  /** The worker does all that it was sent. */
  async works(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await this.timers.advance(0);
      const { batch } = this.route.owner;
      for (const receiver of batch.receivers) receiver.deliver(Buffer.from('+OK\r\n'), 0);
      batch.receivers = [];
    }
    await this.timers.advance(0);
  }

  report(entry: KeyspaceEntry) {
    const open = [{ keyspace: entry.id, shard: this.number, local: 1 }];
    return this.copies.reportOf(entry, open).copies[0]!;
  }
}

describe('a hand-over', () => {
  const nodes: Node[] = [];
  afterEach(() => {
    for (const node of nodes.splice(0)) node.copies.close();
  });

  function node(self: string, shard: number): Node {
    const made = new Node(self, shard);
    nodes.push(made);
    return made;
  }

  async function holding(): Promise<Node> {
    const one = node('a', 0);
    await one.engine.setLogging(one.route, true);
    for (const entry of [SETTLED, PREPARE]) await one.enter(entry);
    one.engine.write(one.shard, 'k', 'v', 1);
    await one.enter(HANDOVER);
    return one;
  }

  test('has commands wait, and is told of without anything written down', async () => {
    const one = node('a', 0);
    one.sync = () => new Promise(() => undefined);
    await one.engine.setLogging(one.route, true);
    for (const entry of [SETTLED, PREPARE]) await one.enter(entry);
    one.engine.write(one.shard, 'k', 'v', 1);
    const { persisted } = one;
    await one.enter(HANDOVER);
    expect(one.route.ready).toBeDefined();
    expect(one.persisted).toBe(persisted);
    const mark = { epoch: 12, log: one.shard.log!.id, sequence: 1 };
    expect(one.copies.marksIn(one.route, mark.log)).toEqual([mark]);
    expect(one.told).toEqual([{ log: mark.log, sequence: 1 }]);
    expect(one.report(HANDOVER).holding).toBe(12);
  });

  test('that becomes a takeover has its mark in what is written with the topology', async () => {
    const one = await holding();
    await one.timers.advance(30);
    const open = [{ keyspace: SETTLED.id, shard: 0, local: 1, route: one.route }];
    const { memories, isUrgent } = one.copies.after(topologyOf(HANDOVER), topologyOf(TAKEOVER), open);
    const mark = { epoch: 13, log: one.shard.log!.id, sequence: 1 };
    expect(memories.get(`${SETTLED.id}/0`)!.marks).toEqual([mark]);
    expect(isUrgent).toBe(true);
    await one.enter(TAKEOVER);
    expect(one.route.ready).toBeUndefined();
    expect(one.told.at(-1)).toMatchObject({ log: mark.log, sequence: 1 });
    expect(one.pauses.summary).toMatchObject({ count: 1, maxMs: 30 });
  });

  test('does not count for less than nothing where the clock is set back meanwhile', async () => {
    const one = await holding();
    one.timers.setBack(3_600_000);
    await one.enter(TAKEOVER);
    expect(one.pauses.counts).toMatchObject({ all: 1, sumMs: 0 });
  });

  test.each([
    ['whose log has grown all the same', (one: Node) => one.engine.write(one.shard, 'k', 'w', 2)],
    ['that is over', (one: Node) => one.timers.advance(60_000)],
  ])('%s gets its mark when the log is known', async (_, happen) => {
    const one = await holding();
    await happen(one);
    const open = [{ keyspace: SETTLED.id, shard: 0, local: 1, route: one.route }];
    const { memories, isUrgent } = one.copies.after(topologyOf(HANDOVER), topologyOf(TAKEOVER), open);
    expect(memories.get(`${SETTLED.id}/0`)!.marks).toEqual([]);
    expect(isUrgent).toBe(false);
    await one.enter(TAKEOVER);
    const { sequence } = one.shard;
    expect(one.copies.memoryOf(SETTLED.id, 0)!.marks).toMatchObject([{ epoch: 13, sequence }]);
    expect(one.told.at(-1)).toMatchObject({ sequence });
  });

  test('whose rows are not on the disk yet gets its mark when they are', async () => {
    const one = node('a', 0);
    let synced: () => void = () => undefined;
    one.sync = () =>
      new Promise((resolve) => {
        synced = resolve;
      });
    await one.engine.setLogging(one.route, true);
    for (const entry of [SETTLED, PREPARE, HANDOVER, TAKEOVER]) await one.enter(entry);
    expect(one.copies.memoryOf(SETTLED.id, 0)!.marks).toEqual([]);
    synced();
    await one.works();
    expect(one.copies.memoryOf(SETTLED.id, 0)!.marks).toMatchObject([{ epoch: 13 }]);
  });

  test('the new owner answers when it has everything, and says so when that survives the machine', async () => {
    const two = node('b', 1);
    const duty = MOVING_DUTY;
    two.feeds = [{ ...LEVEL, duty }];
    for (const entry of [PREPARE, HANDOVER]) await two.enter(entry);
    const synced: (() => void)[] = [];
    two.sync = () => new Promise((resolve) => synced.push(resolve));
    two.copies.reachedMark(duty, 12);
    expect(two.report(HANDOVER).feeds[0]!.mark).toBe(12);
    expect(two.copies.memoryOf(SETTLED.id, 1)!.read.size).toBe(0);
    await two.enter(TAKEOVER);
    expect(two.route.ready).toBeDefined();
    two.copies.reachedMark(duty, 13);
    expect(two.route.ready).toBeUndefined();
    expect(two.report(TAKEOVER).feeds.find(({ from }) => placeKey(from) === placeKey(SOURCE))!.mark).toBe(0);
    for (const resolve of synced) resolve();
    await two.works();
    expect(two.report(TAKEOVER).feeds.find(({ from }) => placeKey(from) === placeKey(SOURCE))!.mark).toBe(13);
  });
});

describe('what a copy cannot write down', () => {
  const markFrom = (two: Node) =>
    two.report(TAKEOVER).feeds.find(({ from }) => placeKey(from) === placeKey(SOURCE))!.mark;

  test('the master does not hear, until it is written', async () => {
    const two = new Node('b', 1);
    two.feeds = [{ ...LEVEL, duty: MOVING_DUTY }];
    two.diskFailure = new Error('the disk is full');
    for (const entry of [PREPARE, HANDOVER, TAKEOVER]) await two.enter(entry);
    two.copies.reachedMark(MOVING_DUTY, 13);
    await two.works();
    expect(two.report(TAKEOVER).isComplete).toBe(false);
    expect(markFrom(two)).toBe(0);
    two.diskFailure = undefined;
    for (let round = 0; round < 3; round++) {
      await two.timers.advance(100);
      await two.works();
    }
    expect(two.report(TAKEOVER).isComplete).toBe(true);
    expect(markFrom(two)).toBe(13);
    two.copies.close();
  });

  test('is a mark that others are not told of, until it is written', async () => {
    const one = new Node('a', 0);
    await one.engine.setLogging(one.route, true);
    for (const entry of [SETTLED, PREPARE]) await one.enter(entry);
    one.diskFailure = new Error('the disk is full');
    await one.enter(TAKEOVER);
    expect(one.copies.memoryOf(SETTLED.id, 0)!.marks).toEqual([]);
    expect(one.told).toEqual([]);
    one.diskFailure = undefined;
    for (let round = 0; round < 3; round++) {
      await one.timers.advance(100);
      await one.works();
    }
    expect(one.copies.memoryOf(SETTLED.id, 0)!.marks).toMatchObject([{ epoch: 13 }]);
    expect(one.told).toHaveLength(1);
    one.copies.close();
  });
});

describe('a copy that is being filled', () => {
  test('answers no reads though all has come: they would find nothing before it is one of the holders', async () => {
    const target = [{ stores: ['a', 'b'] }];
    const filling: KeyspaceEntry = {
      ...SETTLED,
      epoch: 11,
      change: { ...FACTS, kind: 'replicas', replicas: 2, since: 11, phase: 'prepare', target },
    };
    const two = new Node('b', 0);
    const feed = feedId(SOURCE, 0);
    two.feeds = [{ ...LEVEL, duty: { ...MOVING_DUTY, feed, targetShard: 0 } }];
    await two.enter(filling);
    two.copies.look();
    await two.works();
    expect(two.report(filling).isComplete).toBe(true);
    expect(two.copies.isReadable(SETTLED.id, 0)).toBe(false);
    const held: KeyspaceEntry = {
      ...SETTLED,
      epoch: 12,
      shards: target.map((each) => ({ ...each, since: 12 })),
      change: {
        ...FACTS,
        kind: 'replicas',
        replicas: 2,
        since: 12,
        phase: 'takeover',
        former: SETTLED.shards,
      },
    };
    await two.enter(held);
    expect(two.copies.isReadable(SETTLED.id, 0)).toBe(true);
    two.copies.close();
  });
});

describe('what fails for long', () => {
  test('people are told of once, and when it is over', async () => {
    const two = new Node('b', 1);
    two.feeds = [{ ...LEVEL, duty: MOVING_DUTY }];
    two.diskFailure = new Error('the disk is full');
    await two.enter(PREPARE);
    two.copies.look();
    await two.timers.advance(4000);
    expect(two.log).toEqual([]);
    await two.timers.advance(6000);
    const text = 'shard 1 of keyspace k does not go on';
    expect(two.log).toEqual([`WARNING ${text}: the disk is full; tried again and again for 5 s by now`]);
    two.diskFailure = new Error('the disk cannot be read');
    await two.timers.advance(1000);
    expect(two.log).toHaveLength(2);
    two.diskFailure = undefined;
    await two.timers.advance(1000);
    expect(two.log.slice(2)).toEqual([`${text}: no longer so`]);
    two.copies.close();
  });
});

describe('pauses', () => {
  test('are told by how long they were', () => {
    const pauses = new Pauses();
    expect(pauses.summary).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
    pauses.note(5000);
    for (let ms = 1; ms <= 1024; ms++) pauses.note(ms);
    expect(pauses.summary).toEqual({ count: 1025, p50Ms: 512, p99Ms: 1014, maxMs: 5000 });
    const { within, all, sumMs } = pauses.counts;
    const withinMs = (bound: (typeof PAUSE_BOUNDS_MS)[number]) => within[PAUSE_BOUNDS_MS.indexOf(bound)];
    expect([withinMs(1), withinMs(2), withinMs(1024), withinMs(4096), withinMs(8192)]).toEqual([
      1, 2, 1024, 1024, 1025,
    ]);
    expect([all, sumMs]).toEqual([1025, 5000 + (1024 * 1025) / 2]);
  });
});

describe('a copy that stays', () => {
  const stores = ['c', 'a', 'b'];
  const three: KeyspaceEntry = { ...SETTLED, replicas: 3, shards: [{ stores }] };
  const fewer: KeyspaceEntry = {
    ...SETTLED,
    epoch: 13,
    replicas: 2,
    shards: [{ stores: ['c', 'b'], since: 13 }],
    change: {
      ...FACTS,
      kind: 'replicas',
      replicas: 2,
      since: 13,
      phase: 'takeover',
      former: three.shards,
    },
  };
  const dutyFrom = (store: string): FeedDuty => ({
    ...MOVING_DUTY,
    feed: feedId({ store, shard: 0 }, 0),
    sourceStore: store,
    targetShard: 0,
  });
  const LEAVING = { ...LEVEL, duty: dutyFrom('a') };
  const OWNER = { ...LEVEL, duty: dutyFrom('c') };
  const AWAY = { ...OWNER, state: 'connecting', lagMs: 3001 } as const;

  /** It has read to the mark of the copy that leaves. */
  async function staying(owner: FeedStatus): Promise<Node> {
    const two = new Node('b', 0);
    two.feeds = [LEAVING, owner];
    for (const entry of [three, fewer]) await two.enter(entry);
    two.copies.reachedMark(LEAVING.duty, 13);
    await two.works();
    return two;
  }

  async function time(two: Node): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await two.timers.advance(100);
      await two.works();
    }
  }

  const markOf = (two: Node) => two.report(fewer).feeds.find(({ from }) => from.store === 'a')!.mark;

  test('has the last of one that leaves once it has the last of the others, whose rows that one had', async () => {
    const two = await staying({ ...AWAY, lagMs: 100 });
    await time(two);
    expect(markOf(two)).toBe(0);
    two.copies.reachedMark(OWNER.duty, 13);
    await time(two);
    expect(markOf(two)).toBe(13);
    expect(two.log).toEqual([]);
    two.copies.close();
  });

  test('copies it once more where another one is away, whose machine may have lost what that one has', async () => {
    const two = await staying(AWAY);
    expect(two.log).toEqual([
      'shard 0 of keyspace k copies shard 0 on a once more: another former holder is away, and that one may have read more of it',
    ]);
    // The feed has begun anew.
    two.feeds = [{ ...LEAVING, state: 'copying', position: undefined }, AWAY];
    await time(two);
    expect(markOf(two)).toBe(0);
    two.feeds = [LEAVING, AWAY];
    await time(two);
    expect(markOf(two)).toBe(13);
    expect(two.log).toHaveLength(1);
    two.copies.close();
  });

  test('believes no mark of a takeover of which it has not heard', async () => {
    const two = new Node('b', 0);
    two.feeds = [LEAVING, AWAY];
    await two.enter(three);
    two.copies.reachedMark(LEAVING.duty, 13);
    await time(two);
    await two.enter(fewer);
    expect(markOf(two)).toBe(0);
    await time(two);
    expect(two.log).toHaveLength(1);
    two.copies.close();
  });

  test('copies nothing for one that never gave it anything', async () => {
    const two = await staying({ ...AWAY, hasBegun: false, position: undefined });
    expect(markOf(two)).toBe(13);
    expect(two.log).toEqual([]);
    two.copies.close();
  });
});
