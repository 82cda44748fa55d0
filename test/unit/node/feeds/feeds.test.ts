import { describe, expect, test, vi } from 'vitest';
import type {
  FollowerMessage,
  FollowerStream,
  SourceMessage,
} from '../../../../src/cluster/feed-messages.js';
import { streamPair } from '../../../../src/cluster/stream-pair.js';
import {
  type ShardEntry,
  type StoreEntry,
  type Topology,
  withKeyspace,
} from '../../../../src/cluster/topology.js';
import { dutiesOf } from '../../../../src/node/feeds/duties.js';
import { TAIL_EVERY_MS, TRIM_EVERY_MS, tailEveryMs } from '../../../../src/node/feeds/timing.js';
import { ManualTimers, quiet } from '../../../support/fake-cluster.js';
import { copies, FeedNodes, KEYSPACE } from '../../../support/fake-stores.js';

/** Lets what is on its way arrive, without time passing. */
async function settle(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isDone(); turn++) await quiet();
  expect(isDone()).toBe(true);
}

function pair() {
  const timers = new ManualTimers();
  const stores = new FeedNodes(2, timers);
  const [owner, replica] = stores.nodes as [(typeof stores.nodes)[0], (typeof stores.nodes)[0]];
  return { timers, stores, owner, replica };
}

/** The topology with other shards of its keyspace. */
function withShards(
  topology: Topology,
  change: (shards: readonly ShardEntry[]) => readonly ShardEntry[],
): Topology {
  const entry = topology.keyspaces.get(KEYSPACE)!;
  return withKeyspace(topology, { ...entry, shards: change(entry.shards) });
}

/** Both sides follow each other, and nothing is left to be done. */
async function level({ timers, owner, replica }: ReturnType<typeof pair>): Promise<void> {
  for (let round = 0; round < 40; round++) {
    await timers.advance(500);
    if (owner.status?.isLevel && replica.status?.isLevel) return;
  }
  throw new Error(`not level: ${JSON.stringify([owner.status, replica.status])}`);
}

describe('feeds between two stores', () => {
  test('copy what there is, and then follow each write at once', async () => {
    const two = pair();
    const { stores, owner, replica } = two;
    for (let index = 0; index < 9; index++) owner.write(`k${index}`, 'old', index + 1);
    replica.write('k3', 'newer', 100);
    stores.join();
    await level(two);
    expect(replica.shard.values).toEqual(owner.shard.values);
    expect(owner.shard.values.k3).toBe('newer');
    expect(replica.shard.copies).toBe(1);
    owner.write('k0', 'new', 200);
    await settle(() => replica.shard.values.k0 === 'new');
    replica.write('k1', 'from the other side', 201);
    await settle(() => owner.shard.values.k1 === 'from the other side');
    // What came by a feed is not fed back.
    expect(owner.shard.log!.records.length + replica.shard.log!.records.length).toBeLessThanOrEqual(2);
  });

  test('go on where they were after both sides wrote while nothing went through', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    stores.sever();
    owner.write('a', 'owner', 10);
    owner.write('b', 'owner', 30);
    replica.write('a', 'replica', 20);
    replica.write('b', 'replica', 25);
    await timers.advance(5000);
    expect(replica.status).toMatchObject({ state: 'connecting', problem: 'the network is cut' });
    expect(replica.status!.lagMs).toBeGreaterThan(1000);
    stores.mend();
    await level(two);
    expect(owner.shard.values).toEqual({ a: 'replica', b: 'owner' });
    expect(replica.shard.values).toEqual(owner.shard.values);
    expect([owner.shard.copies, replica.shard.copies]).toEqual([1, 1]);
  });

  test('are forgotten at the next start where their end could not be written down', async () => {
    const { timers, owner, replica } = pair();
    const begin = { log: 'gone', sequence: 0, flushedAt: 0, rememberedSince: 0 };
    await owner.engine.beginCopy(owner.shard.route, 'left/0/0', begin);
    owner.topology = copies([owner.entry, replica.entry]);
    const { feed } = dutiesOf(owner.entry.id, owner.topology).follows[0]!;
    await owner.engine.beginCopy(owner.shard.route, feed, begin);
    owner.feeds.start(() => {
      throw new Error('the network is cut');
    });
    await timers.advance(250);
    expect(Object.keys(owner.shard.progress)).toEqual([feed]);
    await owner.feeds.close();
  });

  test('tell for how long they have not been under way, though the clock was set back meanwhile', async () => {
    const two = pair();
    const { timers, stores, replica } = two;
    stores.join();
    await level(two);
    stores.sever();
    await timers.advance(250);
    timers.setBack(3_600_000);
    await timers.advance(6000);
    expect(replica.status!.lagMs).toBeGreaterThan(1000);
  });

  test('end when the follower says nothing, though the clock was set back meanwhile', async () => {
    const { timers, owner } = pair();
    const [near, far] = streamPair<SourceMessage, FollowerMessage>();
    const heard: SourceMessage[] = [];
    near.onMessage = (message) => heard.push(message);
    owner.feeds.accept(far as FollowerStream);
    await timers.advance(250);
    timers.setBack(3_600_000);
    await timers.advance(4500);
    expect(heard).toEqual([{ kind: 'refused', reason: 'nothing was heard of the follower for 3 s' }]);
  });

  test('copy again, without the follower being emptied, when the log has lost what was needed', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    replica.write('mine', 'kept', 5);
    stores.sever();
    for (let index = 0; index < 5; index++) owner.write(`k${index}`, 'v', index + 1);
    owner.engine.overrun(owner.shard);
    await timers.advance(5000);
    stores.mend();
    await level(two);
    expect(replica.shard.copies).toBe(2);
    expect(replica.shard.values).toMatchObject({ mine: 'kept', k4: 'v' });
    expect(owner.shard.values).toEqual(replica.shard.values);
  });

  test('what is not all of a shard is copied by whoever does not take it for all, and by nobody else', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    owner.copyable = 'part';
    replica.copyable = 'part';
    owner.write('a', '1', 1);
    replica.write('b', '2', 2);
    stores.join();
    for (let round = 0; round < 10; round++) await timers.advance(500);
    expect(owner.status).toMatchObject({ state: 'tailing' });
    expect(owner.shard.values).toEqual({ a: '1', b: '2' });
    expect(replica.status).toMatchObject({ problem: 'the shard has not all of it' });
    expect(replica.shard.values).toEqual({ b: '2' });
    owner.copyable = 'whole';
    await level(two);
    expect(replica.shard.values).toEqual(owner.shard.values);
  });

  /** A second copy is being made: who is the only one so far has everything, but for what will be written there. */
  function becomingTwo(owner: StoreEntry, other: StoreEntry): Topology {
    const entry = copies([owner]).keyspaces.get(KEYSPACE)!;
    const facts = {
      id: 'c1',
      kind: 'replicas',
      startedAtMs: 0,
      since: 1,
      sinceMs: 0,
      replicas: 2,
      attempts: 0,
    } as const;
    const target = [{ stores: [owner.id, other.id] }];
    return withKeyspace(copies([owner, other]), { ...entry, change: { ...facts, phase: 'prepare', target } });
  }

  test('copy nothing back from a copy that is made: its log has all that others lack', async () => {
    const { timers, owner, replica } = pair();
    const topology = becomingTwo(owner.entry, replica.entry);
    for (let index = 0; index < 9; index++) owner.write(`k${index}`, 'old', index + 1);
    const readBack = vi.spyOn(replica.engine, 'copySlice');
    // Also while the copy itself has not everything.
    replica.copyable = { reason: 'not yet' };
    for (const node of [owner, replica]) node.apply(topology);
    for (let round = 0; round < 10; round++) await timers.advance(500);
    expect(replica.shard.values).toEqual(owner.shard.values);
    expect(owner.status).toMatchObject({ state: 'tailing', isLevel: true, copiedRows: 0 });
    replica.write('k0', 'written there', 100);
    await timers.advance(500);
    expect(owner.shard.values.k0).toBe('written there');
    expect(readBack).not.toHaveBeenCalled();
  });

  test.each([
    [
      'the machine of who follows has lost something',
      (two: ReturnType<typeof pair>) => (two.owner.engine.lostMs = 1),
    ],
    [
      'its own machine has lost something: others may have lost what it had of them, too',
      (two: ReturnType<typeof pair>) => (two.replica.engine.lostMs = 1),
    ],
    [
      'the log has not got its first record any more',
      ({ replica }: ReturnType<typeof pair>) => {
        replica.write('early', 'v', 1);
        replica.engine.overrun(replica.shard);
      },
    ],
  ])('copy from a copy that is made where %s', async (_, happen) => {
    const two = pair();
    const { timers, owner, replica } = two;
    await replica.engine.setLogging(replica.shard.route, true);
    replica.shard.rows.set('k', { key: 'k', value: 'came by a feed, and was lost', at: 5 });
    happen(two);
    const topology = becomingTwo(owner.entry, replica.entry);
    for (const node of [owner, replica]) node.apply(topology);
    for (let round = 0; round < 10; round++) await timers.advance(500);
    expect(owner.shard.values.k).toBe('came by a feed, and was lost');
  });

  test('drop what all followers have, and nothing that one of them may need', async () => {
    const timers = new ManualTimers();
    const stores = new FeedNodes(3, timers);
    const [owner, first, second] = stores.nodes as [
      (typeof stores.nodes)[0],
      (typeof stores.nodes)[0],
      (typeof stores.nodes)[0],
    ];
    stores.join();
    for (let round = 0; round < 10; round++) await timers.advance(500);
    owner.write('a', '1', 1);
    await timers.advance(2000);
    expect(owner.shard.log!.records).toEqual([]);
    second.feeds.followers.follow([]);
    owner.write('b', '1', 1);
    await timers.advance(4000);
    expect(first.shard.values.b).toBe('1');
    expect(owner.shard.log!.records.length).toBe(1);
  });

  test('count the replicas that have what was written so far', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    owner.write('a', '1', 1);
    const count = owner.feeds.sources.replicasSince([owner.shard.route]);
    expect(count()).toBe(0);
    let told = 0;
    owner.feeds.sources.onAcknowledged(() => {
      told++;
    });
    await settle(() => count() === 1);
    expect(told).toBeGreaterThan(0);
    stores.sever();
    owner.write('b', '1', 2);
    const later = owner.feeds.sources.replicasSince([owner.shard.route]);
    await timers.advance(10_000);
    expect([count(), later()]).toEqual([1, 0]);
    stores.mend();
    await level(two);
    expect(later()).toBe(1);
    expect(owner.feeds.sources.followers()).toMatchObject([
      { store: replica.entry.id, open: 1, feeds: 1, isCopying: false, acknowledged: 2 },
    ]);
  });

  test('count a store that was filled among the replicas as soon as it is one', async () => {
    const two = pair();
    const { stores, owner } = two;
    stores.join();
    await level(two);
    const { sources } = owner.feeds;
    const { route } = owner.shard;
    const { followers } = dutiesOf(owner.entry.id, owner.topology);
    const followAs = (isReplica: boolean) =>
      sources.follow(
        followers.map((duty) => ({ ...duty, isReplica })),
        [route],
      );
    const count = sources.replicasSince([route]);
    followAs(false);
    expect(count()).toBe(0);
    followAs(true);
    expect(count()).toBe(1);
  });

  test('read a log when there is something in it, together what comes at about the same time, and at once for who waits', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    const read = vi.spyOn(owner.engine, 'readLog');
    await timers.advance(2000);
    expect(read).not.toHaveBeenCalled();
    owner.write('a', '1', 1);
    await settle(() => replica.shard.values.a === '1');
    owner.write('b', '1', 2);
    owner.write('c', '1', 3);
    for (let turn = 0; turn < 50; turn++) await quiet();
    expect(replica.shard.values.b).toBeUndefined();
    await timers.advance(TAIL_EVERY_MS);
    await settle(() => replica.shard.values.c === '1');
    expect(read).toHaveBeenCalledTimes(2);
    owner.write('d', '1', 4);
    owner.feeds.sources.replicasSince([owner.shard.route]);
    await settle(() => replica.shard.values.d === '1');
  });

  test('read the log less often where that takes its time', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    const readLog = owner.engine.readLog.bind(owner.engine);
    const tookMs = 2;
    const read = vi.spyOn(owner.engine, 'readLog').mockImplementation(async (...words) => {
      await new Promise<void>((done) => timers.after(tookMs, done));
      return readLog(...words);
    });
    await timers.advance(2000);
    owner.write('a', '1', 1);
    await timers.advance(tookMs);
    await settle(() => replica.shard.values.a === '1');
    owner.write('b', '1', 2);
    await timers.advance(tailEveryMs(tookMs) - tookMs - 1);
    for (let turn = 0; turn < 50; turn++) await quiet();
    expect(read).toHaveBeenCalledTimes(1);
    await timers.advance(1);
    await settle(() => read.mock.calls.length === 2);
    await timers.advance(tookMs);
    await settle(() => replica.shard.values.b === '1');
    expect([0, 1, 2, 3, 4, 1000].map(tailEveryMs)).toEqual([20, 20, 30, 45, 50, 50]);
  });

  test('drop from the log what the follower has, soon after it says so', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    const trimmed = vi.spyOn(owner.engine, 'trimLog');
    owner.write('a', '1', 1);
    await settle(() => owner.shard.log!.records.length === 0);
    // Not with each acknowledgement.
    owner.write('b', '1', 2);
    await timers.advance(TAIL_EVERY_MS);
    await settle(() => replica.shard.values.b === '1');
    expect(trimmed).toHaveBeenCalledTimes(1);
    await timers.advance(TRIM_EVERY_MS);
    owner.write('c', '1', 3);
    await settle(() => owner.shard.log!.records.length === 0);
    expect(trimmed).toHaveBeenCalledTimes(2);
  });

  test('read at once what a read of the log has left, and then rest', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    const read = vi.spyOn(owner.engine, 'readLog');
    for (let index = 0; index < 5; index++) owner.write(`k${index}`, '1', index + 1);
    await settle(() => replica.shard.values.k4 === '1');
    const before = read.mock.calls.length;
    owner.write('last', '1', 6);
    await quiet();
    expect(read).toHaveBeenCalledTimes(before);
    await timers.advance(TAIL_EVERY_MS);
    await settle(() => replica.shard.values.last === '1');
  });

  test('try again after something could not be applied', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    replica.engine.failure = new Error('the disk is full');
    owner.write('a', '1', 1);
    await settle(() => replica.status?.problem === 'the disk is full');
    await timers.advance(2000);
    expect(replica.shard.values).toEqual({ a: '1' });
  });

  test('end when the topology does not want them any more, and are forgotten', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    const alone = copies([owner.entry], 2);
    owner.apply(alone);
    replica.apply(alone);
    await timers.advance(1000);
    expect(owner.shard.log).toBeUndefined();
    expect(replica.shard.progress).toEqual({});
    expect(replica.status).toBeUndefined();
  });

  test('are refused to stores of other clusters and to those that mean another store', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    replica.apply({ ...replica.topology, clusterId: 'other' });
    await timers.advance(1000);
    expect(replica.status!.problem).toBe('this store belongs to cluster test');
    replica.apply({ ...replica.topology, clusterId: 'test' });
    await level(two);
    expect(owner.status!.isLevel).toBe(true);
  });

  test('begin as soon as the source has heard of them, too, and say what is wrong when it does not', async () => {
    const { timers, stores, owner, replica } = pair();
    owner.write('a', '1', 1);
    const joined = copies(stores.nodes.map(({ entry }) => entry));
    const alone = copies([owner.entry]);
    owner.apply(alone);
    replica.apply(joined);
    await timers.advance(1500);
    expect(replica.status).toMatchObject({ state: 'connecting', problem: '' });
    owner.apply(joined);
    // Without any time passing.
    await settle(() => replica.shard.values.a === '1');
    owner.apply(alone);
    await timers.advance(3000);
    expect(replica.status).toMatchObject({
      state: 'connecting',
      problem: 'the topology here does not say (yet) that this store follows the shard',
    });
    expect(owner.feeds.sources.followers()).toEqual([]);
  });

  test('are refused in time though the clock was set back while the source waited to hear of them', async () => {
    const { timers, stores, owner, replica } = pair();
    owner.apply(copies([owner.entry]));
    const admit = vi.spyOn(owner.feeds.sources, 'admit');
    replica.apply(copies(stores.nodes.map(({ entry }) => entry)));
    await timers.advance(500);
    timers.setBack(3_600_000);
    await timers.advance(2000);
    expect(admit).toHaveBeenCalled();
    expect(replica.status!.problem).toMatch(/does not say \(yet\)/);
  });

  test('wait for a follower that has not heard that the shard has more slots now, and it misses nothing of them', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    const joined = copies(stores.nodes.map(({ entry }) => entry));
    const other = { stores: ['elsewhere'] };
    const oneOfTwo = withShards(joined, ([shard]) => [shard!, other]);
    for (const node of stores.nodes) node.apply(oneOfTwo);
    await level(two);
    const read = vi.spyOn(owner.engine, 'readLog');
    owner.apply(joined);
    owner.write('a', '1', 1);
    await timers.advance(2000);
    expect(read).not.toHaveBeenCalled();
    expect(replica.status).toMatchObject({ state: 'connecting' });
    expect(replica.status!.problem).toMatch('ask for more slots');
    replica.apply(joined);
    await level(two);
    expect(replica.shard.values.a).toBe('1');
    expect(replica.shard.copies).toBe(1);
    // Whoever asks for more than the source knows of gets it.
    owner.apply(oneOfTwo);
    owner.write('b', '1', 2);
    await settle(() => replica.shard.values.b === '1');
  });

  test('keep to the rate that is set for copies', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    for (let index = 10; index < 40; index++) owner.write(`k${index}`, 'v'.repeat(50), 1);
    owner.bytesPerSecond = 200;
    stores.join();
    await timers.advance(3000);
    const half = replica.shard.rows.size;
    expect(half).toBeGreaterThan(2);
    expect(half).toBeLessThan(20);
    expect(replica.status).toMatchObject({ state: 'copying', copiedRows: half });
    await timers.advance(20_000);
    expect(replica.shard.rows.size).toBe(30);
  });

  test('copy on though the clock was set back while a copy gave way to clients', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    for (let index = 10; index < 40; index++) owner.write(`k${index}`, 'v', 1);
    const { copySlice } = owner.engine;
    owner.engine.copySlice = async (...args) => ({
      ...(await copySlice.apply(owner.engine, args)),
      restMs: 300,
    });
    stores.join();
    await timers.advance(900);
    expect(replica.status).toMatchObject({ state: 'copying' });
    timers.setBack(3_600_000);
    await timers.advance(10_000);
    expect(replica.shard.rows.size).toBe(30);
  });

  test('end with the store, after what is being applied', async () => {
    const two = pair();
    const { timers, stores, owner, replica } = two;
    stores.join();
    await level(two);
    owner.write('a', '1', 1);
    await Promise.all([owner.feeds.close(), replica.feeds.close()]);
    await timers.advance(5000);
    expect(replica.feeds.followers.all()).toEqual([]);
  });
});
