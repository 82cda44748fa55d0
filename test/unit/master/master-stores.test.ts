import { describe, expect, it } from 'vitest';
import type { MasterMessage, StoreMessage } from '../../../src/cluster/messages.js';
import { streamPair } from '../../../src/cluster/stream-pair.js';
import { EMPTY_TOPOLOGY, keyspaceByName, type Topology } from '../../../src/cluster/topology.js';
import type { Master } from '../../../src/master/master.js';
import { FakeStore, quiet, storeEntry } from '../../support/fake-cluster.js';
import {
  cluster,
  failure,
  join,
  keyspaces,
  log,
  makeMaster,
  request,
  timers,
} from '../../support/masters.js';
import { copyReport } from '../../support/reports.js';

describe('stores', () => {
  it('die of silence, and come back', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    const alive = async () => (await master.stores()).map((status) => status.alive);
    two.report(7, 10);
    for (let passed = 0; passed < 8; passed++) {
      one.report();
      await timers.advance(500);
    }
    expect(await alive()).toEqual([true, false]);
    expect((await master.stores())[1]).toMatchObject({ freeBytes: 7, totalBytes: 10 });
    expect(two.ended).toBe('');
    expect(log.at(-1)).toBe('store 00000002 (127.0.0.1:7002) is gone: it was silent for 3500 ms');
    join(master, two);
    await quiet();
    expect(await alive()).toEqual([true, true]);
    expect(log.at(-1)).toBe('store 00000002 (127.0.0.1:7002) is back');
  });

  it.each([
    [1000, ''],
    [3000, ''],
    [20_000, ''],
    [3000, ', though the clock was set back meanwhile'],
  ])('give way to copies when they were away for %i ms%s', async (failoverAfterMs, isSetBack) => {
    const [master, [one, two]] = (await cluster(2, { failoverAfterMs: () => failoverAfterMs })) as [
      Master,
      [FakeStore, FakeStore],
    ];
    const made = await master.createKeyspace(request('orders', { replicas: 2 }));
    const [owner, other] = made.shards[0]!.stores[0] === one.id ? [one, two] : [two, one];
    const owns = () => keyspaceByName(master.topology, 'orders')!.shards[0]!.stores[0];
    const keyspace = { keyspace: made.id, epoch: made.epoch, copies: [copyReport(0)] };
    const beat = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 250) {
        other.stream?.send({
          kind: 'report',
          freeBytes: 0,
          totalBytes: 0,
          shards: [],
          keyspaces: [keyspace],
        });
        await timers.advance(250);
      }
    };
    for (let passed = 0; passed < 10_000; passed += 500) {
      owner.report();
      await beat(500);
    }
    owner.report();
    await quiet();
    owner.leave();
    await beat(failoverAfterMs - 250);
    expect(owns()).toBe(owner.id);
    if (isSetBack) {
      // Nobody can tell for how long it has been away; the master has acted for longer than the clock is set back.
      timers.setBack(5000);
      await beat(failoverAfterMs);
      expect(owns()).toBe(owner.id);
      await beat(500);
    }
    await beat(500);
    expect(owns()).toBe(other.id);
  });

  it('die of silence though the clock was set back meanwhile', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    two.report();
    await timers.advance(250);
    timers.setBack(3_600_000);
    for (let passed = 0; passed < 9; passed++) {
      one.report();
      await timers.advance(500);
    }
    expect((await master.stores()).map(({ alive }) => alive)).toEqual([true, false]);
  });

  it('die earlier of silence where they are to give way earlier', async () => {
    const [master, [one, two]] = (await cluster(2, { failoverAfterMs: () => 1000 })) as [
      Master,
      [FakeStore, FakeStore],
    ];
    two.report();
    for (let passed = 0; passed < 3; passed++) {
      one.report();
      await timers.advance(500);
    }
    expect((await master.stores()).map(({ alive }) => alive)).toEqual([true, false]);
  });

  it('do not die because the master stood still', async () => {
    const [master, [one]] = (await cluster(1)) as [Master, [FakeStore]];
    await timers.freeze(60_000);
    await timers.advance(1000);
    expect((await master.stores())[0]?.alive).toBe(true);
    expect(one.ended).toBeUndefined();
  });

  it('that hang up on a master which stood still are away from then on, not from when they were heard last', async () => {
    const [master, stores] = await cluster(2);
    await master.createKeyspace(request('orders', { replicas: 2 }));
    await timers.freeze(60_000);
    for (const store of stores) store.leave();
    await timers.advance(2500);
    const isMissed = () => log.some((line) => line.includes('is away'));
    expect(isMissed()).toBe(false);
    await timers.advance(1000);
    expect(isMissed()).toBe(true);
  });

  it('must register soon, and once', async () => {
    const master = makeMaster();
    const [storeEnd, masterEnd] = streamPair<MasterMessage, StoreMessage>();
    let ended = false;
    storeEnd.onEnd = () => {
      ended = true;
    };
    master.accept(masterEnd);
    await timers.advance(4000);
    expect(ended).toBe(true);
    const store = new FakeStore(storeEntry(1));
    join(master, store);
    store.stream?.send({ kind: 'register', store: store.entry, topology: EMPTY_TOPOLOGY });
    await quiet();
    expect(store.ended).toBe('');
  });

  it('in this process may be silent', async () => {
    const master = makeMaster();
    const store = new FakeStore(storeEntry(1));
    store.connect(master.connectStore());
    await timers.advance(60_000);
    expect((await master.stores())[0]?.alive).toBe(true);
  });

  it('of another cluster are refused', async () => {
    const [master, [one]] = (await cluster(1, { clusterId: 'mine' })) as [Master, [FakeStore]];
    expect(one.clusterId).toBe('mine');
    const stranger = new FakeStore(storeEntry(2));
    stranger.topology = { ...EMPTY_TOPOLOGY, clusterId: 'other' };
    join(master, stranger);
    await quiet();
    expect(stranger.refusal).toBe('it belongs to the cluster other, and this master serves the cluster mine');
    expect(await master.stores()).toHaveLength(1);
  });

  it('that connect anew replace themselves, also at another address once the old one is silent', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    const again = new FakeStore(storeEntry(1));
    join(master, again);
    await quiet();
    expect([store.ended, again.clusterId]).toEqual(['', '0000000000000001']);
    const moved = new FakeStore(storeEntry(1, { port: 9000 }));
    join(master, moved);
    await quiet();
    expect(moved.clusterId).toBe('');
    await timers.advance(4000);
    expect(moved.clusterId).toBe('0000000000000001');
    expect(await master.stores()).toMatchObject([{ alive: true, entry: { port: 9000 } }]);
  });

  it('with the id of one that is alive elsewhere are refused', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    const copy = new FakeStore(storeEntry(1, { port: 9000 }));
    join(master, copy);
    await quiet();
    store.report();
    await quiet();
    expect(copy.refusal).toContain('its id is that of store 00000001 (127.0.0.1:7001), which is alive');
    expect(store.ended).toBeUndefined();
  });
});

describe('a master that others join', () => {
  it('learns everything before it changes anything', async () => {
    const [first, stores] = await cluster(3);
    await first.createKeyspace(request('a', { shards: 3 }));
    await first.createKeyspace(request('b'));
    await first.deleteKeyspace('b');
    await quiet();
    first.close();
    const second = makeMaster({ settleMs: 2500 });
    const topologies: Topology[] = [];
    second.follow({
      topology: (topology) => topologies.push(topology),
      event: () => undefined,
      connected: () => undefined,
    });
    const late = stores[2]!;
    for (const store of stores.slice(0, 2)) join(second, store);
    const creation = failure(second.createKeyspace(request('a')));
    await timers.advance(2000);
    for (const store of stores) store.report();
    join(second, late);
    await timers.advance(400);
    expect(topologies).toEqual([]);
    await timers.advance(200);
    expect(await creation).toBe('EXISTS there is a keyspace a already');
    expect(second.topology).toEqual(first.topology);
    expect(topologies).toEqual([first.topology]);
    expect(stores.map(({ clusterId }) => clusterId)).toEqual(Array(3).fill(first.topology.clusterId));
  });

  it('completes what another one left unfinished', async () => {
    const [first, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    two.onTopology = () => undefined;
    void failure(first.createKeyspace(request('x', { shards: 2 })));
    await quiet();
    expect(keyspaces(first.topology)).toEqual([]);
    first.close();
    two.onTopology = () => '';
    const second = makeMaster({ settleMs: 2500 });
    join(second, one);
    join(second, two);
    await timers.advance(2600);
    expect(keyspaces(two.topology)).toEqual(['x']);
    expect(two.topology).toEqual(second.topology);
  });

  it('says that nobody is there instead of waiting for ever', async () => {
    const master = makeMaster({ settleMs: 2500 });
    const creation = failure(master.createKeyspace(request('x')));
    await timers.advance(2600);
    expect(await creation).toBe('IMPOSSIBLE no store has registered since the master was started');
    // What is going on is not known, which is not that nothing is.
    expect(await failure(master.changeStatuses())).toBe(
      'IMPOSSIBLE no store has registered since the master was started',
    );
    join(master, new FakeStore(storeEntry(1)));
    await quiet();
    const next = master.createKeyspace(request('x'));
    await timers.advance(2600);
    expect((await next).name).toBe('x');
  });

  it('sides with the majority when stores of two clusters come', async () => {
    const stores = [1, 2, 3].map((number) => new FakeStore(storeEntry(number)));
    stores[0]!.topology = { ...EMPTY_TOPOLOGY, clusterId: 'stray' };
    for (const store of stores.slice(1)) store.topology = { ...EMPTY_TOPOLOGY, clusterId: 'main' };
    const master = makeMaster({ settleMs: 2500 });
    for (const store of stores) join(master, store);
    await timers.advance(2600);
    expect(stores.map(({ clusterId }) => clusterId)).toEqual(['', 'main', 'main']);
    expect(stores[0]!.refusal).toContain('it belongs to the cluster stray');
  });

  it('that ends says so to those who wait', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    store.onTopology = () => undefined;
    const creation = failure(master.createKeyspace(request('x')));
    await quiet();
    master.close();
    expect(await creation).toBe(
      'FAILED keyspace x was not created: store 00000001 (127.0.0.1:7001) could not be asked: the master is ending',
    );
    expect(await failure(master.createKeyspace(request('x')))).toBe('UNAVAILABLE the master is ending');
  });
});

describe('followers', () => {
  it('hear of what happens', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    const heard: string[] = [];
    const unfollow = master.follow({
      topology: (topology) => heard.push(`topology ${keyspaces(topology)}`),
      event: ({ text }) => heard.push(text),
      connected: (isConnected) => heard.push(`connected ${isConnected}`),
    });
    await master.createKeyspace(request('x'));
    store.leave();
    await quiet();
    join(master, new FakeStore(storeEntry(2)));
    await quiet();
    unfollow();
    await master.createKeyspace(request('y'));
    expect(heard).toEqual([
      'connected true',
      'topology ',
      'topology x',
      'keyspace x created: 1 shard on 1 store',
      'store 00000001 (127.0.0.1:7001) is gone: it left',
      'topology x',
      'store 00000002 (127.0.0.1:7002) joined',
    ]);
  });
});
