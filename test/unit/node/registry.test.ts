import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EMPTY_TOPOLOGY, type KeyspaceEntry, withKeyspace } from '../../../src/cluster/topology.js';
import { Registry } from '../../../src/node/registry.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import { temporaryDir, waitUntil } from '../../support/environment.js';

const RECORD_KEY = Buffer.from('registry');

const entry: KeyspaceEntry = {
  id: '0123456789abcdef',
  epoch: 5,
  name: 'orders',
  db: undefined,
  replicas: 1,
  tags: ['ssd'],
  shards: [{ stores: ['x'] }, { stores: ['y'] }],
  deleted: false,
};

async function storeRecord(directory: string, record: string): Promise<void> {
  await (await Registry.open(directory)).close();
  const database = await Database.open(join(directory, 'node'));
  database.put('default', RECORD_KEY, Buffer.from(record));
  database.commit(true);
  await database.close();
}

describe('the registry', () => {
  it('remembers who the store is, the topology and the shards', async () => {
    const directory = temporaryDir();
    const registry = await Registry.open(directory);
    expect(registry.storeId).toMatch(/^[0-9a-f]{40}$/);
    expect(registry.topology).toEqual(EMPTY_TOPOLOGY);
    expect(registry.shards).toEqual([]);
    const topology = { ...withKeyspace(EMPTY_TOPOLOGY, entry), clusterId: 'c' };
    const held = [{ keyspace: entry.id, shard: 1, local: registry.allocate() }];
    await registry.commit(topology, held);
    await registry.close();
    const again = await Registry.open(directory);
    expect(again.storeId).toBe(registry.storeId);
    expect(again.topology).toEqual(topology);
    expect(again.shards).toEqual(held);
    expect(again.directoryOf(1)).toBe(join(directory, 'shards', '00000001'));
    await again.close();
    expect(readdirSync(directory).toSorted()).toEqual(['node', 'shards']);
  });

  it('gives numbers that are never used twice, once they were committed', async () => {
    const directory = temporaryDir();
    let registry = await Registry.open(directory);
    expect([registry.allocate(), registry.allocate()]).toEqual([1, 2]);
    await registry.commit(EMPTY_TOPOLOGY, []);
    await registry.close();
    registry = await Registry.open(directory);
    expect(registry.allocate()).toBe(3);
    await registry.close();
  });

  it('goes by what it had while the disk has not got what is new, and for good where that fails', async () => {
    const directory = temporaryDir();
    let written: Buffer | undefined;
    let staged: Buffer | undefined;
    const syncs: { resolve: () => void; reject: (error: Error) => void }[] = [];
    const registry = Registry.over(directory, {
      get: () => written,
      put: (_family, _key, value) => {
        staged = value;
      },
      commit: () => {
        written = staged;
      },
      syncLog: () => new Promise((resolve, reject) => syncs.push({ resolve, reject })),
      close: async () => undefined,
    });
    const topology = { ...EMPTY_TOPOLOGY, clusterId: 'c' };
    const held = [{ keyspace: entry.id, shard: 1, local: 3 }];
    const done: string[] = [];
    const first = registry.alone(async () => {
      await registry.commit(topology, held);
      done.push('first');
    });
    const second = registry.alone(async () => {
      done.push('second');
      await registry.commit(EMPTY_TOPOLOGY, []);
    });
    const closed = registry.close().then(() => done.push('closed'));
    await waitUntil('the first is on its way', () => syncs.length === 1);
    expect([registry.topology, registry.shards, done]).toEqual([EMPTY_TOPOLOGY, [], []]);
    // A process that is killed now leaves what the next one finds.
    expect(Registry.over(directory, { get: () => written } as unknown as Database).shards).toEqual(held);
    syncs[0]!.resolve();
    await first;
    await waitUntil('the second is on its way', () => syncs.length === 2);
    expect([registry.topology, registry.shards, done]).toEqual([topology, held, ['first', 'second']]);
    syncs[1]!.reject(new Error('the disk is broken'));
    await expect(second).rejects.toThrow('the disk is broken');
    await closed;
    expect([registry.topology, registry.shards, done.at(-1)]).toEqual([topology, held, 'closed']);
    expect(Registry.over(directory, { get: () => written } as unknown as Database).shards).toEqual(held);
  });

  it('owns its directory', async () => {
    const directory = temporaryDir();
    const registry = await Registry.open(directory);
    await expect(Registry.open(directory)).rejects.toMatchObject({ code: 'LOCKED' });
    await registry.commit(EMPTY_TOPOLOGY, []);
    await registry.close();
    await (await Registry.open(directory)).close();
  });

  it('removes what it does not name under shards/, and nothing else', async () => {
    const directory = temporaryDir();
    const registry = await Registry.open(directory);
    await registry.commit(EMPTY_TOPOLOGY, [{ keyspace: entry.id, shard: 0, local: 7 }]);
    for (const name of ['00000007', '00000008', '00000009']) {
      mkdirSync(join(directory, 'shards', name));
      writeFileSync(join(directory, 'shards', name, 'CURRENT'), '1\n');
    }
    expect(await registry.sweep()).toBe(2);
    expect(await registry.sweep()).toBe(0);
    expect(readdirSync(join(directory, 'shards'))).toEqual(['00000007']);
    expect(readdirSync(join(directory, 'shards', '00000007'))).toEqual(['CURRENT']);
    await registry.close();
  });

  it('brings format 1 to format 2', async () => {
    const directory = temporaryDir();
    // Databases 0 and 1 had changed places.
    const first = {
      format: 1,
      nextId: 4,
      nextShard: 4,
      keyspaces: [
        { id: 1, name: 'db0', db: 1, shards: [1] },
        { id: 2, name: 'db1', db: 0, shards: [2] },
        { id: 3, name: 'db9', db: 9, shards: [3] },
      ],
    };
    await storeRecord(directory, JSON.stringify(first));
    const registry = await Registry.open(directory);
    const keyspaces = [...registry.topology.keyspaces.values()];
    const { storeId } = registry;
    expect(storeId).toMatch(/^[0-9a-f]{40}$/);
    expect(keyspaces.map(({ name, db }) => [name, db])).toEqual([
      ['db1', 1],
      ['db0', 0],
      ['db9', 9],
    ]);
    expect(new Set(keyspaces.map(({ epoch }) => epoch)).size).toBe(3);
    for (const { shards, id } of keyspaces) {
      expect(shards).toEqual([{ stores: [storeId] }]);
      expect(id).toMatch(/^[0-9a-f]{16}$/);
    }
    const held = keyspaces.map(({ id }, index) => ({ keyspace: id, shard: 0, local: index + 1 }));
    expect(registry.shards).toEqual(held);
    expect(registry.allocate()).toBe(4);
    await registry.close();
    // What it was brought to is on disk: ids are not made anew.
    const again = await Registry.open(directory);
    expect(again.storeId).toBe(storeId);
    expect([...again.topology.keyspaces.keys()]).toEqual(keyspaces.map(({ id }) => id));
    await again.close();
  });

  it('refuses data of a later version, and lets go of it', async () => {
    const directory = temporaryDir();
    await storeRecord(directory, JSON.stringify({ format: 3, future: true }));
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await Registry.open(directory).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StorageError);
      expect((error as StorageError).message).toContain(
        'registry format 3; this program knows formats up to 2',
      );
    }
  });

  it('says that a record is damaged, and lets go of the directory', async () => {
    const directory = temporaryDir();
    await storeRecord(directory, '{"format":1,"next');
    for (let attempt = 0; attempt < 2; attempt++)
      await expect(Registry.open(directory)).rejects.toMatchObject({ name: 'StorageError', code: 'CORRUPT' });
  });
});
