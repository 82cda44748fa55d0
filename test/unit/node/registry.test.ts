import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Registry } from '../../../src/node/registry.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import { temporaryDir } from '../../support/environment.js';
import { seeded } from '../../support/replay.js';

const RECORD_KEY = Buffer.from('registry');

async function storeRecord(directory: string, record: string): Promise<void> {
  await (await Registry.open(directory)).close();
  const database = await Database.open(join(directory, 'node'));
  database.put('default', RECORD_KEY, Buffer.from(record));
  database.commit(true);
  await database.close();
}

describe('the registry', () => {
  it('remembers keyspaces, with numbers that are never used twice', async () => {
    const directory = temporaryDir();
    const registry = await Registry.open(directory);
    expect(registry.keyspaces).toEqual([]);
    expect(registry.keyspaceOf(0)).toBeUndefined();
    const first = registry.create(0);
    const second = registry.create(5);
    expect([first.shards, second.shards]).toEqual([[1], [2]]);
    expect(registry.directoryOf(2)).toBe(join(directory, 'shards', '00000002'));
    await registry.close();
    const again = await Registry.open(directory);
    expect(again.keyspaces).toEqual([first, second]);
    expect(again.create(1)).toMatchObject({ id: 3, shards: [3] });
    await again.close();
    expect(readdirSync(directory).toSorted()).toEqual(['node', 'shards']);
  });

  it('owns its directory', async () => {
    const directory = temporaryDir();
    const registry = await Registry.open(directory);
    await expect(Registry.open(directory)).rejects.toMatchObject({ code: 'LOCKED' });
    registry.create(0);
    await registry.close();
    await (await Registry.open(directory)).close();
  });

  it('refuses data of a later version, and lets go of it', async () => {
    const directory = temporaryDir();
    await storeRecord(directory, JSON.stringify({ format: 2, future: true }));
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await Registry.open(directory).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(StorageError);
      expect((error as StorageError).message).toContain(
        'registry format 2; this program knows formats up to 1',
      );
    }
  });

  it('says that a record is damaged, and lets go of the directory', async () => {
    const directory = temporaryDir();
    await storeRecord(directory, '{"format":1,"next');
    for (let attempt = 0; attempt < 2; attempt++)
      await expect(Registry.open(directory)).rejects.toMatchObject({ name: 'StorageError', code: 'CORRUPT' });
  });

  it('exchanges databases, and remembers that too', () =>
    seeded(3, async (random) => {
      const directory = temporaryDir();
      let registry = await Registry.open(directory);
      const shardOf = new Map<number, number>();
      for (let db = 0; db < 5; db++) shardOf.set(db, registry.create(db).shards[0]!);
      for (let step = 0; step < 15; step++) {
        const [first, second] = [random.int(0, 4), random.int(0, 4)];
        registry.swap(first, second);
        const was = shardOf.get(first)!;
        shardOf.set(first, shardOf.get(second)!);
        shardOf.set(second, was);
        if (random.chance(0.2)) {
          await registry.close();
          registry = await Registry.open(directory);
        }
        for (const [db, shard] of shardOf) expect(registry.keyspaceOf(db)!.shards).toEqual([shard]);
      }
      await registry.close();
    }));
});
