import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import {
  JOURNAL_AGE_MAX_MS,
  JOURNALED_ROW_BYTES_MAX,
  WRITE_BACK_ROWS_MAX,
} from '../../../src/base/limits.js';
import { Row, stringValue, valueText } from '../../../src/types/row.js';
import { decodeRow } from '../../../src/types/row-codec.js';
import { journalKey } from '../../../src/workers/journal-codec.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { FORMAT_VERSION } from '../../../src/workers/shard-meta.js';
import { temporaryDir } from '../../support/environment.js';
import {
  afterCrash,
  auditDisk,
  databaseOf,
  keysOf,
  openShard,
  type Rig,
  START_MS,
  STORAGE,
} from './shard-harness.js';

function write(shard: Shard, values: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(values)) {
    const row = shard.find(key);
    if (row === undefined) shard.setString(key, stringValue(value), 0);
    else shard.updateString(row, stringValue(value));
  }
  shard.commit(false);
}

/** Writes keys until the journal has them. */
function journal(shard: Shard, values: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(values)) write(shard, { [key]: `${values[key]}, at first` });
  write(shard, values);
}

const read = (shard: Shard, key: string) => {
  const row = shard.peek(key);
  return row && valueText(row.value);
};

/** The value in the `default` family, whatever the journal says. */
function stored(shard: Shard, key: string): string | undefined {
  const bytes = databaseOf(shard).get('default', Buffer.from(key, 'latin1'));
  if (bytes === undefined) return undefined;
  const row = new Row(key);
  decodeRow(row, bytes);
  return valueText(row.value);
}

function records(database: Database): number[] {
  const sizes: number[] = [];
  database.iterate({ family: 'log', values: true }, (_key, record) => sizes.push(record!.length) > 0);
  return sizes;
}

async function withShard(
  test: (rig: Rig, directory: string) => void | Promise<void>,
  cacheBytes?: number,
): Promise<void> {
  const directory = temporaryDir();
  const rig = await openShard(directory, cacheBytes);
  await test(rig, directory);
  await rig.shard.close();
  expect([rig.cache.bytes, rig.cache.heldBytes]).toEqual([0, 0]);
}

function failNextCommit(database: Database): void {
  vi.spyOn(database, 'commit').mockImplementationOnce(() => {
    database.discard();
    throw new StorageError('NO_SPACE', 'no space left on the test');
  });
}

describe('what goes to the journal', () => {
  it('is a value that changes while its row is in memory, and not for the first time', () =>
    withShard(({ shard, cache }) => {
      write(shard, { a: '1', b: '1' });
      expect(records(databaseOf(shard))).toEqual([]);
      write(shard, { a: '2', b: '2' });
      expect(records(databaseOf(shard))).toHaveLength(1);
      expect([stored(shard, 'a'), read(shard, 'a')]).toEqual(['1', '2']);
      expect(cache.heldBytes).toBe(cache.bytes);
    }));

  it('is nothing of a row that was just read from disk', () =>
    withShard(({ shard, cache }) => {
      write(shard, { a: '1' });
      cache.setLimit(0);
      cache.setLimit(1 << 20);
      write(shard, { a: '2' });
      expect([stored(shard, 'a'), records(databaseOf(shard))]).toEqual(['2', []]);
      write(shard, { a: '3' });
      expect([stored(shard, 'a'), records(databaseOf(shard)).length]).toEqual(['2', 1]);
    }));

  it('is not an expiry, a deletion, or a long value', () =>
    withShard(({ shard }) => {
      const long = 'x'.repeat(JOURNALED_ROW_BYTES_MAX);
      journal(shard, { expires: '1', goes: '1', long: '1' });
      const before = records(databaseOf(shard)).length;
      shard.setExpiry(shard.find('expires')!, START_MS + 1000);
      shard.remove('goes');
      write(shard, { long });
      expect([stored(shard, 'expires'), stored(shard, 'goes'), stored(shard, 'long')]).toEqual([
        '1',
        undefined,
        long,
      ]);
      // The record that revokes what the journal had.
      expect(records(databaseOf(shard))).toHaveLength(before + 1);
      expect(auditDisk(shard)).toEqual({ live: 2, expiring: 1, tombstones: 0, ttl: 1 });
    }));
});

describe('writing back', () => {
  it('empties the journal when the shard is closed', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    journal(shard, { a: '1', b: '2' });
    await shard.close();
    const again = await openShard(directory);
    expect(records(databaseOf(again.shard))).toEqual([]);
    expect([stored(again.shard, 'a'), stored(again.shard, 'b')]).toEqual(['1', '2']);
    await again.shard.close();
  });

  it('comes with a commit when rows are old, in the order in which they were written', () =>
    withShard(({ shard, cache }) => {
      journal(shard, { first: '1' });
      shard.nowMs += 10;
      journal(shard, { second: '1' });
      shard.nowMs = START_MS + JOURNAL_AGE_MAX_MS - 1;
      expect(shard.isTidyDue(shard.nowMs)).toBe(false);
      shard.nowMs++;
      expect(shard.isTidyDue(shard.nowMs)).toBe(true);
      shard.commit(false);
      expect([stored(shard, 'first'), stored(shard, 'second')]).toEqual(['1', '1, at first']);
      expect(records(databaseOf(shard))).toHaveLength(1);
      shard.nowMs += 10;
      shard.commit(false);
      expect([stored(shard, 'second'), records(databaseOf(shard)).length, cache.heldBytes]).toEqual([
        '1',
        0,
        0,
      ]);
    }));

  it('leaves out what was overwritten meanwhile', () =>
    withShard(({ shard }) => {
      journal(shard, { hot: '1', cold: '1' });
      shard.nowMs += JOURNAL_AGE_MAX_MS - 1;
      write(shard, { hot: '2' });
      shard.nowMs++;
      const put = vi.spyOn(databaseOf(shard), 'put');
      shard.commit(false);
      expect(put.mock.calls.map(([family, key]) => `${family} ${key.latin1Slice()}`)).toEqual([
        'default cold',
      ]);
      expect([stored(shard, 'hot'), read(shard, 'hot')]).toEqual(['1, at first', '2']);
      put.mockRestore();
    }));

  it('takes the row as it is when the commit overwrites it', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { a: '1' });
      shard.nowMs += JOURNAL_AGE_MAX_MS;
      write(shard, { a: '2' });
      expect([read(shard, 'a'), records(databaseOf(shard)).length]).toEqual(['2', 1]);
      const { shard: restarted } = await afterCrash(shard, directory);
      expect(read(restarted, 'a')).toBe('2');
    }));

  it('keeps the journal within its bound, a slice at a time', () =>
    withShard(({ shard, cache }) => {
      cache.setLimit(1 << 30);
      const keys = Array.from({ length: 10_000 }, (_, index) => `key:${index}`);
      let most = 0;
      const put = vi.spyOn(databaseOf(shard), 'put');
      for (let round = 0; round < 8; round++) {
        for (let from = 0; from < keys.length; from += 250) {
          const values = Object.fromEntries(
            keys.slice(from, from + 250).map((key) => [key, `${round}`.repeat(400)]),
          );
          put.mockClear();
          write(shard, values);
          const written = put.mock.calls.filter(([family]) => family === 'default').length;
          if (round > 1) expect(written).toBeLessThanOrEqual(WRITE_BACK_ROWS_MAX + 500);
        }
        most = Math.max(
          most,
          records(databaseOf(shard)).reduce((sum, bytes) => sum + bytes, 0),
        );
      }
      put.mockRestore();
      expect(most).toBeGreaterThan(2 * STORAGE.memtableBytes);
      // And a batch.
      expect(most).toBeLessThanOrEqual(4 * STORAGE.memtableBytes + 250 * 500);
      for (const key of keys) expect(read(shard, key)).toBe('7'.repeat(400));
    }));

  it(
    'is left to a sample of the batches where most rows would be written twice, until that changes',
    () =>
      withShard(({ shard, cache }) => {
        cache.setLimit(1 << 30);
        const put = vi.spyOn(databaseOf(shard), 'put');
        /** Overwrites keys in turn, and returns the share of the writes that went to their place. */
        const share = (keys: number, rounds: number): number => {
          put.mockClear();
          for (let round = 0; round < rounds; round++)
            for (let from = 0; from < keys; from += 100)
              write(
                shard,
                Object.fromEntries(
                  Array.from({ length: Math.min(100, keys - from) }, (_, at) => [
                    `k${from + at}`,
                    'x'.repeat(500),
                  ]),
                ),
              );
          const placed = put.mock.calls.filter(([family]) => family === 'default').length;
          return placed / (keys * rounds);
        };
        share(20_000, 3);
        expect(share(20_000, 2)).toBeGreaterThan(0.9);
        expect(share(20_000, 2)).toBeLessThan(1.1);
        share(1000, 60);
        expect(share(1000, 20)).toBeLessThan(0.1);
        put.mockRestore();
      }),
    60_000,
  );

  it('keeps the rows that must stay in memory a part of it', () =>
    withShard(({ shard, cache }) => {
      for (let round = 0; round < 30; round++) {
        write(shard, Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`k${at}`, `${round}`])));
        cache.evictCommitted();
        shard.commit(false);
        expect(cache.heldBytes).toBeLessThanOrEqual(cache.bytesLimit / 4);
      }
      for (let at = 0; at < 20; at++) expect(read(shard, `k${at}`)).toBe('29');
    }, 10_000));
});

describe('after a crash', () => {
  it('the last value counts', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { a: '1', b: '1', '': 'empty', '\xff\0': 'bytes' });
      write(shard, { b: '2' });
      const { shard: restarted, cache } = await afterCrash(shard, directory);
      expect(['a', 'b', '', '\xff\0'].map((key) => read(restarted, key))).toEqual([
        '1',
        '2',
        'empty',
        'bytes',
      ]);
      expect(cache.heldBytes).toBeGreaterThan(0);
      expect(restarted.count()).toBe(4);
      // Everything is old now: the first commit writes it back.
      restarted.commit(false);
      expect([stored(restarted, 'b'), records(databaseOf(restarted)), cache.heldBytes]).toEqual(['2', [], 0]);
      await restarted.close();
    }));

  it('what was written behind the journal counts, whatever its time', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { deleted: 'x', back: 'x', flags: 'x', timed: 'x', again: 'x' });
      shard.remove('deleted');
      shard.remove('back');
      shard.commit(false);
      // Nothing is left that an earlier event time could lose against.
      expect(shard.setString('back', 'earlier', 0, START_MS - 5000)).toBe(true);
      shard.setFlags(shard.find('flags')!, 1);
      shard.setExpiry(shard.find('timed')!, START_MS + 500);
      shard.setExpiry(shard.find('again')!, START_MS + 500);
      shard.commit(false);
      write(shard, { again: 'y' });
      const { shard: restarted } = await afterCrash(shard, directory);
      expect(keysOf(restarted)).toEqual(['again', 'back', 'flags', 'timed']);
      expect([read(restarted, 'back'), read(restarted, 'again')]).toEqual(['earlier', 'y']);
      expect(restarted.peek('flags')!.flags).toBe(1);
      expect(restarted.peek('timed')!.expiresAtMs).toBe(START_MS + 500);
      auditDisk(restarted);
      await restarted.close();
    }));

  it('keys that expire do so, though the journal has them', () =>
    withShard(async ({ shard }, directory) => {
      shard.setString('k', 'v', START_MS + 100);
      shard.commit(false);
      write(shard, { k: 'w' });
      const { shard: restarted } = await afterCrash(shard, directory);
      expect([read(restarted, 'k'), restarted.countExpiring()]).toEqual(['w', 1]);
      restarted.sweep(START_MS + 100, 10);
      restarted.commit(false);
      expect(auditDisk(restarted)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
      const again = await afterCrash(restarted, directory);
      again.shard.nowMs = START_MS + 100;
      expect(keysOf(again.shard)).toEqual([]);
    }));

  it('a flush has ended the journal', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { a: '1' });
      await shard.prepareFlush();
      shard.flush();
      shard.setString('b', '1', 0);
      shard.commit(false);
      write(shard, { b: '2' });
      const { shard: restarted } = await afterCrash(shard, directory);
      expect([keysOf(restarted), read(restarted, 'b')]).toEqual([['b'], '2']);
    }));

  it('more than the cache takes is there all the same', () =>
    withShard(async ({ shard }, directory) => {
      const values = Object.fromEntries(Array.from({ length: 3000 }, (_, at) => [`k${at}`, `v${at}`]));
      journal(shard, values);
      const { shard: restarted, cache } = await afterCrash(shard, directory, 10_000);
      expect(cache.heldBytes).toBeGreaterThan(10_000);
      while (restarted.isTidyDue(START_MS)) restarted.commit(false);
      cache.evictCommitted();
      expect(cache.bytes).toBeLessThanOrEqual(10_000);
      for (const key of Object.keys(values)) expect(read(restarted, key)).toBe(values[key]);
      await restarted.close();
    }, 8 << 20));

  it('a record that cannot be read is an error that names the shard', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { a: '1' });
      await databaseOf(shard).close();
      for (const bad of [
        Buffer.from([0]),
        Buffer.from([0, 1, 0, 9, 65, 1, 0]),
        Buffer.from([0, 1, 0, 3, 65, 1, 0, 0]),
        Buffer.from([0, 0, 0, 10, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      ]) {
        const database = await Database.open(join(directory, 'g1'), STORAGE);
        database.put('log', journalKey(1), bad);
        database.commit(false);
        await database.close();
        const error = await openShard(directory).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(StorageError);
        expect(error).toMatchObject({ code: 'CORRUPT' });
        expect(String(error)).toMatch(/\/g1: record 1 of the journal cannot be read: .*Restore the shard/);
      }
    }));
});

describe('a commit that fails', () => {
  it('leaves journaled rows what they were, without reading', () =>
    withShard(({ shard, cache }) => {
      journal(shard, { a: '1', b: '1', c: '1', d: '1' });
      shard.setFlags(shard.find('a')!, 1);
      shard.commit(false);
      journal(shard, { a: '2' });
      const before = ['a', 'b', 'c', 'd'].map((key) => ({
        ...shard.peek(key)!,
        newer: 0,
        older: 0,
        home: 0,
      }));
      const held = cache.heldBytes;
      shard.updateString(shard.find('a')!, 'long '.repeat(100), 0);
      shard.updateString(shard.find('a')!, 'x');
      shard.setExpiry(shard.find('b')!, START_MS + 10);
      shard.remove('c');
      shard.setString('c', 'anew', 0);
      shard.remove('d');
      failNextCommit(databaseOf(shard));
      expect(() => shard.commit(false)).toThrow(StorageError);
      const reading = vi.spyOn(databaseOf(shard), 'getMany').mockImplementation(() => {
        throw new StorageError('IO', 'the disk does not answer');
      });
      shard.rollback();
      const after = ['a', 'b', 'c', 'd'].map((key) => ({ ...shard.peek(key)!, newer: 0, older: 0, home: 0 }));
      expect(after).toEqual(before.map((row) => ({ ...row, visited: true })));
      expect(cache.heldBytes).toBe(held);
      reading.mockRestore();
      write(shard, { a: '3', b: '3' });
      expect(['a', 'b', 'c', 'd'].map((key) => read(shard, key))).toEqual(['3', '3', '1', '1']);
    }));

  it('that was to write back leaves the rows in the journal', () =>
    withShard(async ({ shard }, directory) => {
      journal(shard, { a: '1' });
      shard.nowMs += JOURNAL_AGE_MAX_MS;
      failNextCommit(databaseOf(shard));
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      expect([read(shard, 'a'), records(databaseOf(shard)).length]).toEqual(['1', 1]);
      await shard.reopen();
      expect([read(shard, 'a'), records(databaseOf(shard)).length]).toEqual(['1', 1]);
      const { shard: restarted } = await afterCrash(shard, directory);
      expect(read(restarted, 'a')).toBe('1');
      restarted.commit(false);
      expect([stored(restarted, 'a'), records(databaseOf(restarted))]).toEqual(['1', []]);
      await restarted.close();
    }));

  it('leaves the journal of a shard that was to be flushed', () =>
    withShard(async ({ shard, cache }) => {
      journal(shard, { a: '1', b: '1' });
      const held = cache.heldBytes;
      await shard.prepareFlush();
      shard.updateString(shard.find('a')!, 'uncommitted');
      shard.flush();
      expect([keysOf(shard), cache.heldBytes]).toEqual([[], 0]);
      shard.setString('a', 'new', 0);
      failNextCommit(Reflect.get(shard, 'flushedTo') as Database);
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      expect([read(shard, 'a'), read(shard, 'b'), cache.heldBytes]).toEqual(['1', '1', held]);
    }));

  it('may have come to the disk: reopening tells', () =>
    withShard(async ({ shard }) => {
      journal(shard, { a: '1' });
      const database = databaseOf(shard);
      const { commit } = database;
      vi.spyOn(database, 'commit').mockImplementationOnce((sync) => {
        commit.call(database, sync);
        throw new StorageError('IO', 'the sync failed');
      });
      shard.updateString(shard.find('a')!, '2');
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      expect(read(shard, 'a')).toBe('1');
      await shard.reopen();
      expect(read(shard, 'a')).toBe('2');
    }));

  it('on closing leaves the journal for the next start', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    journal(shard, { a: '1' });
    failNextCommit(databaseOf(shard));
    await shard.close();
    const again = await openShard(directory);
    expect([read(again.shard, 'a'), stored(again.shard, 'a')]).toEqual(['1', '1, at first']);
    await again.shard.close();
  });
});

it('a shard of format 1 is brought to the format that has a journal', async () => {
  const directory = temporaryDir();
  const { shard } = await openShard(directory);
  write(shard, { a: '1' });
  const key = Buffer.from('shard');
  const record = databaseOf(shard).get('meta', key)!;
  record.writeUInt32BE(1, 0);
  // Formats before 3 have no version of collections in it.
  databaseOf(shard).put('meta', key, record.subarray(0, 21));
  databaseOf(shard).commit(false);
  await shard.close();
  const again = await openShard(directory);
  expect(databaseOf(again.shard).get('meta', key)!.readUInt32BE(0)).toBe(FORMAT_VERSION);
  expect([read(again.shard, 'a'), again.shard.count()]).toEqual(['1', 1]);
  await again.shard.close();
});
