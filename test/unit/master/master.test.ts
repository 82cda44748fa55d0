import { describe, expect, it } from 'vitest';
import type { KeyspaceRequest, TaskProgress } from '../../../src/cluster/manager.js';
import { keyspaceByName, liveKeyspaces } from '../../../src/cluster/topology.js';
import type { Master } from '../../../src/master/master.js';
import { type FakeStore, quiet } from '../../support/fake-cluster.js';
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

describe('creating', () => {
  it('tells the stores concerned first, and all when these have it', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    const heard: string[] = [];
    for (const [name, store] of [['one', one] as const, ['two', two] as const])
      store.onTopology = (topology) => {
        heard.push(`${name}: ${keyspaces(topology)}`);
        return '';
      };
    const entry = await master.createKeyspace(request('orders', { near: two.id, db: 3 }));
    await quiet();
    expect(entry).toMatchObject({ name: 'orders', db: 3, shards: [{ stores: [two.id] }], deleted: false });
    expect(heard).toEqual(['two: orders=3', 'one: orders=3', 'two: orders=3']);
    expect(one.topology).toEqual(master.topology);
    expect(two.topology).toEqual(master.topology);
    expect(log.at(-1)).toBe('keyspace orders created: 1 shard on 1 store');
  });

  it('spreads shards over the stores, counting what is under way', async () => {
    const [master, stores] = await cluster(4);
    const made = await Promise.all([
      master.createKeyspace(request('a', { shards: 4 })),
      master.createKeyspace(request('b', { shards: 2 })),
      master.createKeyspace(request('c', { shards: 2 })),
    ]);
    const count = (id: string) =>
      made.flatMap(({ shards }) => shards).filter(({ stores: [owner] }) => owner === id).length;
    expect(stores.map(({ id }) => count(id))).toEqual([2, 2, 2, 2]);
    expect(new Set(made.map(({ epoch }) => epoch)).size).toBe(3);
  });

  it.each<[string, Partial<KeyspaceRequest>]>([
    ['INVALID a name is 1 to 64 letters, digits, _, - or ., not "a b"', { name: 'a b' }],
    ['INVALID a name is 1 to 64 letters, digits, _, - or ., not ""', { name: '' }],
    ['INVALID the name 12 has only digits: SELECT would take it for a number', { name: '12' }],
    ['INVALID the name db7 belongs to database 7: choose another name', { name: 'db7' }],
    ['INVALID the name db7 belongs to database 7: choose another name', { name: 'db7', db: 8 }],
    ['INVALID a database number is 0 to 2147483647, not -1', { db: -1 }],
    ['INVALID a keyspace has 1 to 1024 shards, not 0', { shards: 0 }],
    ['INVALID a keyspace has 1 to 1024 shards, not 1025', { shards: 1025 }],
    ['INVALID a keyspace has at least 1 copy of each shard, not 0', { replicas: 0 }],
    ['INVALID a tag is 1 to 64 letters, digits, _, - or ., not "\\n"', { tags: ['\n'] }],
    [
      'IMPOSSIBLE cannot create keyspace x: 3 copies of each shard need as many stores, and there are only 2 living stores',
      { replicas: 3 },
    ],
    ['IMPOSSIBLE cannot create keyspace x: none of the 2 living stores has the tag ssd', { tags: ['ssd'] }],
    ['EXISTS there is a keyspace there already', { name: 'there' }],
    ['EXISTS database 5 is the keyspace there already', { db: 5 }],
  ])('refuses: %s', async (text, facts) => {
    const [master] = await cluster(2);
    await master.createKeyspace(request('there', { db: 5 }));
    expect(await failure(master.createKeyspace(request('x', facts)))).toBe(text);
    expect(keyspaces(master.topology)).toEqual(['there=5']);
  });

  it('needs a store', async () => {
    const master = makeMaster();
    expect(await failure(master.createKeyspace(request('x')))).toBe(
      'IMPOSSIBLE cannot create keyspace x: no store is connected to the master',
    );
  });

  it('takes back what a store cannot do, and says who and why', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    two.onTopology = (topology) => (liveKeyspaces(topology).length > 0 ? 'the disk is full' : '');
    expect(await failure(master.createKeyspace(request('x', { shards: 2 })))).toBe(
      'FAILED keyspace x was not created: store 00000002 (127.0.0.1:7002) could not do it: the disk is full',
    );
    await quiet();
    expect(keyspaces(master.topology)).toEqual([]);
    expect(keyspaces(one.topology)).toEqual([]);
    expect([...one.topology.keyspaces.values()]).toMatchObject([{ name: 'x', deleted: true, shards: [] }]);
    two.onTopology = () => '';
    await master.createKeyspace(request('x', { shards: 2 }));
  });

  it('does not wait for ever, and not for the dead', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    two.onTopology = () => undefined;
    const late = failure(master.createKeyspace(request('x', { shards: 2 })));
    for (let passed = 0; passed < 11_000; passed += 1000) {
      await timers.advance(1000);
      one.report();
      two.report();
    }
    expect(await late).toBe(
      'FAILED keyspace x was not created: store 00000002 (127.0.0.1:7002) did not answer within 10 seconds',
    );
    const dead = failure(master.createKeyspace(request('x', { shards: 2 })));
    await quiet();
    two.leave();
    await quiet();
    expect(await dead).toBe(
      'FAILED keyspace x was not created: store 00000002 (127.0.0.1:7002) was lost: it left',
    );
  });
});

describe('one change at a time', () => {
  it('of a name or a number; a database made by being used is shared', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    store.onTopology = () => undefined;
    const lazily = () => master.createKeyspace(request('db3', { db: 3, near: store.id, mayExist: true }));
    const first = lazily();
    const second = lazily();
    const refusals = await Promise.all([
      failure(master.createKeyspace(request('db3', { db: 3 }))),
      failure(master.createKeyspace(request('other', { db: 3 }))),
      failure(master.deleteKeyspace('db3')),
    ]);
    expect(refusals).toEqual([
      'BUSY keyspace db3 is being created: try again when that is done',
      'BUSY keyspace other is being created: try again when that is done',
      'BUSY keyspace db3 is being created: try again when that is done',
    ]);
    await quiet();
    store.onTopology = () => '';
    store.stream?.send({ kind: 'applied', epoch: timers.now() + 1 });
    expect(await second).toBe(await first);
    expect(await lazily()).toBe(await first);
  });

  it('and what may exist waits for a deletion', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    const old = await master.createKeyspace(request('db0', { db: 0 }));
    const deletion = master.deleteKeyspace('db0');
    const made = await master.createKeyspace(request('db0', { db: 0, mayExist: true, near: store.id }));
    await deletion;
    expect(made.id).not.toBe(old.id);
    expect(keyspaces(master.topology)).toEqual(['db0=0']);
  });
});

describe('deleting', () => {
  it('waits for living stores only, and leaves a marker', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    await master.createKeyspace(request('x', { shards: 2 }));
    await quiet();
    two.leave();
    await quiet();
    await master.deleteKeyspace('x');
    await quiet();
    expect(keyspaces(one.topology)).toEqual([]);
    expect(keyspaces(two.topology)).toEqual(['x']);
    join(master, two);
    await quiet();
    expect(two.topology).toEqual(master.topology);
    expect(keyspaces(two.topology)).toEqual([]);
  });

  it('says what it does not find, and where it is not done yet', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    expect(await failure(master.deleteKeyspace('x'))).toBe('NOT_FOUND there is no keyspace "x"');
    await master.createKeyspace(request('x'));
    store.onTopology = () => 'no';
    expect(await failure(master.deleteKeyspace('x'))).toBe(
      'FAILED keyspace x is deleted, but not everywhere yet: store 00000001 (127.0.0.1:7001) could not do it: no',
    );
    expect(keyspaces(master.topology)).toEqual([]);
  });
});

describe('swapping databases', () => {
  it('exchanges numbers; names of databases follow', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    await master.createKeyspace(request('db0', { db: 0 }));
    await master.createKeyspace(request('orders', { db: 7 }));
    await master.swapDatabases(0, 7);
    expect(keyspaces(master.topology)).toEqual(['db7=7', 'orders=0']);
    await master.swapDatabases(7, 9);
    await master.swapDatabases(4, 5);
    await master.swapDatabases(0, 0);
    await quiet();
    expect(keyspaces(store.topology)).toEqual(['db9=9', 'orders=0']);
  });

  it('waits for a database that is being made, and for one that is being swapped', async () => {
    const [master, [store]] = (await cluster(1)) as [Master, [FakeStore]];
    const made = master.createKeyspace(request('db3', { db: 3, near: store.id, mayExist: true }));
    await Promise.all([made, master.swapDatabases(3, 4)]);
    await Promise.all([master.swapDatabases(4, 5), master.swapDatabases(5, 6)]);
    expect(keyspaces(master.topology)).toEqual(['db6=6']);
  });

  it('is taken back when a store fails', async () => {
    const [master, [, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    await master.createKeyspace(request('db0', { db: 0 }));
    await quiet();
    two.onTopology = (topology) => (keyspaceByName(topology, 'db1') === undefined ? '' : 'no');
    expect(await failure(master.swapDatabases(0, 1))).toBe(
      'FAILED databases 0 and 1 were not swapped: store 00000002 (127.0.0.1:7002) could not do it: no',
    );
    await quiet();
    expect(keyspaces(two.topology)).toEqual(['db0=0']);
    expect(two.topology).toEqual(master.topology);
  });
});

describe('compacting', () => {
  it('goes over all shards, one at a time on each store, and tells how far it is', async () => {
    const [master, stores] = await cluster(2);
    await master.createKeyspace(request('x', { shards: 4 }));
    const running = new Set<string>();
    for (const store of stores)
      store.onCompact = ({ task, shard }) => {
        expect(running.has(store.id)).toBe(false);
        running.add(store.id);
        store.stream?.send({ kind: 'progress', task, progress: { done: 5, total: 10, phase: '' } });
        setImmediate(() => {
          running.delete(store.id);
          store.stream?.send({ kind: 'finished', task });
        });
        expect(shard).toBeLessThan(4);
      };
    const heard: TaskProgress[] = [];
    const done = master.compactKeyspace('x', (progress) => heard.push(progress));
    expect(await failure(master.deleteKeyspace('x'))).toBe(
      'BUSY keyspace x is being compacted: try again when that is done',
    );
    await done;
    expect(heard[0]).toEqual({ done: 5, total: 10, phase: '0 of 4 shards compacted' });
    expect(heard.at(-1)).toEqual({ done: 40, total: 40, phase: '4 of 4 shards compacted' });
  });

  it('fails with the store that fails, dies or says nothing', async () => {
    const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
    await master.createKeyspace(request('x', { shards: 2 }));
    const compact = () => failure(master.compactKeyspace('x', () => undefined));
    two.onCompact = ({ task }) => two.stream?.send({ kind: 'finished', task, error: 'no space' });
    expect(await compact()).toBe(
      'FAILED keyspace x was not compacted everywhere: store 00000002 (127.0.0.1:7002) could not do it: no space',
    );
    two.onCompact = () => undefined;
    const silent = compact();
    for (let passed = 0; passed < 62; passed++) {
      one.report();
      two.report();
      await timers.advance(1000);
    }
    expect(await silent).toContain('has said nothing of it for 60 seconds');
    two.onCompact = () => two.leave();
    expect(await compact()).toContain('store 00000002 (127.0.0.1:7002) was lost: it left');
    expect(await compact()).toBe(
      'FAILED cannot compact keyspace x: store 00000002 (127.0.0.1:7002) is not connected',
    );
  });
});
