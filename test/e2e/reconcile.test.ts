import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Config } from '../../src/base/config.js';
import type { Logger } from '../../src/base/logger.js';
import { type ClusterManager, type KeyspaceRequest, ManagerError } from '../../src/cluster/manager.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceEntry,
  type Topology,
  withKeyspace,
} from '../../src/cluster/topology.js';
import type { Store } from '../../src/node/store.js';
import type { ShardRoute } from '../../src/workers/pool.js';
import { temporaryDir } from '../support/environment.js';
import { VASTO_MAIN } from '../support/server.js';

/** The module as it was built: threads run compiled files only. */
const built = (await import(
  pathToFileURL(join(dirname(VASTO_MAIN), 'node', 'store.js')).href
)) as typeof import('../../src/node/store.js');

const silent = {
  notice: () => undefined,
  warning: () => undefined,
  verbose: () => undefined,
} as unknown as Logger;
const stores: Store[] = [];

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

interface Opened {
  readonly store: Store;
  readonly lost: ShardRoute[];
  readonly swapped: ShardRoute[];
}

async function openStore(dir: string): Promise<Opened> {
  const config = Config.load({ flags: ['--dir', dir, '--workers', '2', '--maxmemory', '64mb'] });
  const lost: ShardRoute[] = [];
  const swapped: ShardRoute[] = [];
  const store = await built.Store.open(config, silent, {
    slowCommand: () => undefined,
    watchesLost: (routes) => void lost.push(...routes),
    watchesSwapped: (routes) => void swapped.push(...routes),
    failed: (error) => {
      throw error;
    },
  });
  stores.push(store);
  return { store, lost, swapped };
}

async function closeStore(store: Store): Promise<void> {
  stores.splice(stores.indexOf(store), 1);
  await store.close();
}

function entry(
  id: string,
  self: string,
  shards: number,
  changes: Partial<KeyspaceEntry> = {},
): KeyspaceEntry {
  return {
    id,
    epoch: 1,
    name: id,
    db: undefined,
    replicas: 1,
    tags: [],
    shards: Array.from({ length: shards }, () => ({ stores: [self] })),
    deleted: false,
    ...changes,
  };
}

const topologyOf = (...entries: KeyspaceEntry[]): Topology => entries.reduce(withKeyspace, EMPTY_TOPOLOGY);
const directories = (dir: string) => readdirSync(join(dir, 'shards')).toSorted();
const held = (store: Store) =>
  store.localShards().map(({ keyspace, shard, local }) => [keyspace, shard, local]);

describe('a store and its topology', () => {
  it('opens what it is given, spread over its workers, and has it again after a restart', async () => {
    const dir = temporaryDir();
    const { store } = await openStore(dir);
    const elsewhere = entry('b', 'another', 2);
    await store.applyTopology(topologyOf(entry('a', store.id, 4), elsewhere));
    expect(held(store)).toEqual([0, 1, 2, 3].map((shard) => ['a', shard, shard + 1]));
    const owners = store.localShards().map(({ route }) => route.owner.index);
    expect(owners.filter((owner) => owner === 0)).toHaveLength(2);
    expect(store.keyspaces.named('a')!.places.every(({ local }) => local !== undefined)).toBe(true);
    expect(store.keyspaces.named('b')!.places.every(({ local }) => local === undefined)).toBe(true);
    const route = store.keyspaces.named('a')!.places[2]!.local!;
    await store.call(route, 'SET', 'key', 'value');
    await closeStore(store);
    const again = (await openStore(dir)).store;
    expect(again.id).toBe(store.id);
    expect(held(again).toSorted()).toEqual([0, 1, 2, 3].map((shard) => ['a', shard, shard + 1]));
    const place = again.keyspaces.named('a')!.places[2]!;
    expect((await again.call(place.local!, 'GET', 'key')).toString()).toBe('$5\r\nvalue\r\n');
  });

  it('changes nothing when it hears the same again, or something older', async () => {
    const { store } = await openStore(temporaryDir());
    const topology = topologyOf(entry('a', store.id, 2, { epoch: 5 }));
    await store.applyTopology(topology);
    let changes = 0;
    store.keyspaces.onChange(() => changes++);
    await store.applyTopology(topology);
    await store.applyTopology(topologyOf(entry('a', store.id, 2, { epoch: 4, deleted: true })));
    expect(changes).toBe(0);
    expect(held(store)).toHaveLength(2);
    // What is not mentioned stays.
    await store.applyTopology(topologyOf(entry('b', store.id, 1)));
    expect(held(store)).toHaveLength(3);
  });

  it('lets go of what was deleted, and of what went to another store', async () => {
    const dir = temporaryDir();
    const { store, lost } = await openStore(dir);
    await store.applyTopology(topologyOf(entry('a', store.id, 2), entry('b', store.id, 2)));
    const gone = store.keyspaces.named('a')!.places.map(({ local }) => local!);
    const moved = store.keyspaces.named('b')!.places[1]!.local!;
    const kept = store.keyspaces.named('b')!.places[0]!.local!;
    const sent = store.call(gone[0]!, 'SET', 'key', 'value');
    const shards = [{ stores: [store.id] }, { stores: ['another'] }];
    await store.applyTopology(
      topologyOf(
        entry('a', store.id, 2, { epoch: 2, deleted: true }),
        entry('b', store.id, 2, { epoch: 3, shards }),
      ),
    );
    // What was on its way is answered.
    expect((await sent).toString()).toBe('+OK\r\n');
    expect(held(store)).toEqual([['b', 0, 3]]);
    expect(lost).toEqual([...gone, moved]);
    await expect(store.call(gone[0]!, 'GET', 'key')).rejects.toThrow('deleted');
    expect((await store.call(kept, 'DBSIZE')).toString()).toBe(':0\r\n');
    await closeStore(store);
    expect(directories(dir)).toEqual(['00000003']);
    expect(held((await openStore(dir)).store)).toEqual([['b', 0, 3]]);
  });

  it('is as before when a shard cannot be opened, and can be asked again', async () => {
    const dir = temporaryDir();
    const { store } = await openStore(dir);
    await store.applyTopology(topologyOf(entry('a', store.id, 1)));
    // The third shard from now on finds a file in its place.
    const obstacle = join(dir, 'shards', '00000004');
    writeFileSync(obstacle, '');
    const topology = topologyOf(entry('b', store.id, 4));
    await expect(store.applyTopology(topology)).rejects.toThrow();
    expect(held(store)).toEqual([['a', 0, 1]]);
    expect(store.keyspaces.named('b')).toBeUndefined();
    rmSync(obstacle, { force: true });
    await store.applyTopology(topology);
    expect(held(store)).toHaveLength(5);
    await closeStore(store);
    expect(directories(dir)).toHaveLength(5);
    expect((await openStore(dir)).store.keyspaces.named('b')!.places).toHaveLength(4);
  });

  it('removes at its start what a crash left behind', async () => {
    const dir = temporaryDir();
    const first = await openStore(dir);
    await first.store.applyTopology(topologyOf(entry('a', first.store.id, 1)));
    await closeStore(first.store);
    // Made for a topology that was never stored, or of a keyspace whose removal was not finished.
    mkdirSync(join(dir, 'shards', '00000002', 'g1'), { recursive: true });
    writeFileSync(join(dir, 'shards', '00000002', 'CURRENT'), '1\n');
    const { store } = await openStore(dir);
    expect(directories(dir)).toEqual(['00000001']);
    await store.applyTopology(topologyOf(entry('b', store.id, 1)));
    expect(held(store)).toEqual([
      ['a', 0, 1],
      ['b', 0, 2],
    ]);
    expect(existsSync(join(dir, 'shards', '00000002', 'CURRENT'))).toBe(true);
  });

  it('belongs to one cluster', async () => {
    const { store } = await openStore(temporaryDir());
    await store.applyTopology({ ...EMPTY_TOPOLOGY, clusterId: 'c1' });
    await expect(store.applyTopology({ ...EMPTY_TOPOLOGY, clusterId: 'c2' })).rejects.toThrow('cluster c1');
    expect(store.keyspaces.topology.clusterId).toBe('c1');
  });

  it('has the watches of two databases change places with them', async () => {
    const { store, lost, swapped } = await openStore(temporaryDir());
    await store.applyTopology(
      topologyOf(entry('a', store.id, 1, { db: 0 }), entry('b', store.id, 1, { db: 1 })),
    );
    const routes = [0, 1].map((db) => store.keyspaces.numbered(db)!.onlyShard!);
    const swap = (epoch: number, one: number) =>
      topologyOf(
        entry('a', store.id, 1, { db: one, epoch }),
        entry('b', store.id, 1, { db: 1 - one, epoch: epoch + 1 }),
      );
    // On two workers nobody can exchange them: they are lost, and whoever watches is told.
    await store.applyTopology(swap(2, 1));
    expect([lost, swapped]).toEqual([routes, []]);
    await store.colocate(routes);
    await store.applyTopology(swap(4, 0));
    expect(swapped).toEqual([store.keyspaces.numbered(1)!.onlyShard, store.keyspaces.numbered(0)!.onlyShard]);
  });
});

describe('a database that is used for the first time', () => {
  const manager = (store: Store, requests: KeyspaceRequest[]) =>
    ({
      createKeyspace: async (request: KeyspaceRequest) => {
        requests.push(request);
        const made = entry(request.name, store.id, 1, { db: request.db });
        await store.applyTopology(topologyOf(made));
        return made;
      },
    }) as unknown as ClusterManager;

  it('is made once, however many ask for it', async () => {
    const { store } = await openStore(temporaryDir());
    const requests: KeyspaceRequest[] = [];
    store.manager = manager(store, requests);
    const [one, other] = await Promise.all([store.database(3), store.database(3)]);
    expect(one).toBe(other);
    expect(one.onlyShard).toBeDefined();
    expect(store.database(3)).toBe(one);
    expect(requests).toEqual([
      { name: 'db3', db: 3, shards: 1, replicas: 1, tags: [], near: store.id, mayExist: true },
    ]);
  });

  it('gives an error while there is no master, and is made when there is one', async () => {
    const { store } = await openStore(temporaryDir());
    await expect(store.database(0)).rejects.toMatchObject({
      reply: { text: 'CLUSTERDOWN database 0 cannot be made: no master has been reached yet' },
    });
    store.manager = {
      createKeyspace: () => Promise.reject(new ManagerError('IMPOSSIBLE', 'no store has room')),
    } as unknown as ClusterManager;
    await expect(store.database(0)).rejects.toMatchObject({
      reply: { text: 'ERR database 0 cannot be made: no store has room' },
    });
    store.manager = manager(store, []);
    expect((await store.database(0)).db).toBe(0);
  });
});
