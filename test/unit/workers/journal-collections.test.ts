import { describe, expect, it, vi } from 'vitest';
import { JOURNAL_AGE_MAX_MS, JOURNALED_ROW_BYTES_MAX } from '../../../src/base/limits.js';
import type { Collection } from '../../../src/types/collections/collection.js';
import { HashValue } from '../../../src/types/collections/hash.js';
import { ListValue } from '../../../src/types/collections/list.js';
import { SetValue } from '../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../src/types/collections/sorted-set.js';
import { StreamValue } from '../../../src/types/collections/stream.js';
import { eachFeedEntry } from '../../../src/types/feed-codec.js';
import { Row, valueText } from '../../../src/types/row.js';
import { decodeContents, decodeRow, isElementTtlKey } from '../../../src/types/row-codec.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import { journalKey } from '../../../src/workers/journal-codec.js';
import { type Database, StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { ShardSnapshot } from '../../../src/workers/shard-snapshot.js';
import { temporaryDir } from '../../support/environment.js';
import { LOW_LIMITS } from '../../support/memory-elements.js';
import {
  afterCrash,
  auditDisk,
  databaseOf,
  failCommit,
  keysOf,
  openShard,
  type Rig,
  START_MS,
} from './shard-harness.js';

// So that few rows make a long journal.
vi.mock('../../../src/base/limits.js', async (original) => ({
  ...(await original<typeof import('../../../src/base/limits.js')>()),
  JOURNALED_ROW_BYTES_MAX: 4096,
}));

/** Adds a name to a collection of any kind. */
function put(value: Collection, name: string): void {
  if (value instanceof SetValue) value.add(name);
  else if (value instanceof HashValue) value.set(name, `of ${name}`, START_MS);
  else if (value instanceof ListValue) value.insertAt(value.size, name);
  else if (value instanceof SortedSetValue) value.set(name, value.size);
  else if (value instanceof StreamValue) value.append(String(value.size + 1).padStart(16, '0'), ['f', name]);
}

const KINDS = [SetValue, HashValue, ListValue, SortedSetValue, StreamValue];
const KEYS = KINDS.map(({ name }) => name);

/** Adds names to the collection of a key, which is made if it is not there. */
function change(shard: Shard, key: string, ...names: string[]): void {
  const row = shard.find(key);
  const Kind = KINDS.find(({ name }) => key.startsWith(name)) ?? SetValue;
  const value = row?.collection ?? new Kind(shard.collections);
  for (const name of names) put(value, name);
  if (row === undefined) shard.setCollection(key, value, 0);
  else shard.changed(row);
}

function write(shard: Shard, keys: readonly string[], ...names: string[]): void {
  for (const key of keys) change(shard, key, ...names);
  shard.commit(false);
}

function namesIn(row: Row | undefined): string[] | undefined {
  const value = row?.collection;
  const names: string[] = [];
  if (value instanceof SetValue) return value.members();
  if (value instanceof HashValue) value.eachName(START_MS, (name) => names.push(name) > 0);
  else if (value instanceof ListValue) value.each(0, value.size, (name) => names.push(valueText(name)) > 0);
  else if (value instanceof SortedSetValue) value.each(0, value.size, ({ member }) => names.push(member) > 0);
  else if (value instanceof StreamValue)
    value.each(0, value.size, false, (_id, [, name]) => names.push(valueText(name!)) > 0);
  else return undefined;
  return names;
}

const read = (shard: Shard, key: string) => namesIn(shard.peek(key));

/** What the `default` family has, whatever the journal says. */
function stored(shard: Shard, key: string): string[] | undefined {
  const bytes = databaseOf(shard).get('default', Buffer.from(key, 'latin1'));
  const row = new Row(key);
  if (bytes !== undefined) decodeRow(row, bytes, shard.collections);
  return namesIn(row);
}

function records(shard: Shard): number {
  let count = 0;
  databaseOf(shard).iterate({ family: 'log', values: false }, () => ++count > 0);
  return count;
}

async function withShard(test: (rig: Rig, directory: string) => void | Promise<void>): Promise<void> {
  const directory = temporaryDir();
  const rig = await openShard(directory, 1 << 24);
  await test(rig, directory);
  await rig.shard.close();
  expect([rig.cache.bytes, rig.cache.heldBytes]).toEqual([0, 0]);
}

describe('what goes to the journal', () => {
  it('is a small collection that changes while it is in memory, and not for the first time', () =>
    withShard(async ({ shard, cache }, directory) => {
      write(shard, KEYS, 'a');
      expect(records(shard)).toBe(0);
      write(shard, KEYS, 'b');
      write(shard, KEYS, 'c');
      expect(records(shard)).toBe(2);
      for (const key of KEYS)
        expect([stored(shard, key), read(shard, key)]).toEqual([['a'], ['a', 'b', 'c']]);
      expect(cache.heldBytes).toBe(cache.bytes);
      const { shard: restarted } = await afterCrash(shard, directory);
      expect(keysOf(restarted)).toEqual(KEYS.toSorted());
      for (const key of KEYS) expect(read(restarted, key)).toEqual(['a', 'b', 'c']);
      restarted.commit(false);
      expect(records(restarted)).toBe(0);
      for (const key of KEYS) expect(stored(restarted, key)).toEqual(['a', 'b', 'c']);
      await restarted.close();
    }));

  it('is none that becomes large, is large, or takes the place of a large one', () =>
    withShard(async ({ shard, knobs }, directory) => {
      knobs.collections = LOW_LIMITS;
      write(shard, KEYS, 'a');
      write(shard, KEYS, 'b');
      expect(records(shard)).toBe(1);
      write(shard, KEYS, 'c', 'd', 'e', 'f', 'g'.repeat(100));
      // What was there is revoked.
      expect(records(shard)).toBe(2);
      for (const key of KEYS) expect(stored(shard, key)).toHaveLength(7);
      for (const key of KEYS) shard.remove(key);
      write(shard, KEYS, 'anew');
      for (const key of KEYS) expect(stored(shard, key)).toEqual(['anew']);
      write(shard, KEYS, 'more');
      for (const key of KEYS)
        expect([stored(shard, key), read(shard, key)]).toEqual([['anew'], ['anew', 'more']]);
      const { shard: restarted } = await afterCrash(shard, directory);
      for (const key of KEYS) expect(read(restarted, key)).toEqual(['anew', 'more']);
      auditDisk(restarted);
      await restarted.close();
    }));

  it('is no long one, and no change of type or expiry', () =>
    withShard(({ shard }) => {
      const keys = ['ListValue', 'SetValue', 'HashValue'];
      write(shard, keys, 'a');
      write(shard, keys, 'b');
      const long = 'x'.repeat(JOURNALED_ROW_BYTES_MAX);
      change(shard, 'ListValue', long);
      shard.setExpiry(shard.find('SetValue')!, START_MS + 1000);
      shard.setString('HashValue', 'text', 0);
      shard.commit(false);
      expect([stored(shard, 'ListValue'), stored(shard, 'SetValue')]).toEqual([
        ['a', 'b', long],
        ['a', 'b'],
      ]);
      expect(shard.peek('HashValue')!.journaledIn).toBe(0);
      expect(auditDisk(shard)).toEqual({ live: 3, expiring: 1, tombstones: 0, ttl: 1 });
    }));

  it('is a hash whose fields end, unless it is another field that ends first', () =>
    withShard(async ({ shard }, directory) => {
      const hash = () => shard.find('HashValue')!.collection as HashValue;
      const deadlines = (of: Shard) => {
        let entries = 0;
        databaseOf(of).iterate(
          { family: 'ttl', values: false },
          (key) => isElementTtlKey(key) && ++entries > 0,
        );
        return entries;
      };
      write(shard, ['HashValue'], 'a');
      hash().setExpiry('a', START_MS + 500);
      shard.changed(shard.find('HashValue')!);
      shard.commit(false);
      expect([records(shard), deadlines(shard)]).toEqual([0, 1]);
      write(shard, ['HashValue'], 'b');
      expect([records(shard), stored(shard, 'HashValue')]).toEqual([1, ['a']]);
      hash().setExpiry('b', START_MS + 200);
      shard.changed(shard.find('HashValue')!);
      shard.commit(false);
      expect([stored(shard, 'HashValue'), deadlines(shard)]).toEqual([['a', 'b'], 1]);
      const { shard: restarted } = await afterCrash(shard, directory);
      restarted.sweep(START_MS + 300, 10);
      restarted.commit(false);
      expect([(restarted.peek('HashValue')!.collection as HashValue).size, deadlines(restarted)]).toEqual([
        1, 1,
      ]);
      await restarted.close();
    }));

  it('does not wait for strings, nor strings for it', () =>
    withShard(({ shard, cache }) => {
      cache.setLimit(1 << 30);
      const lists = Array.from({ length: 1200 }, (_, at) => `ListValue${at}`);
      const text = 'x'.repeat(3900);
      for (let round = 0; round < 6; round++)
        for (let from = 0; from < lists.length; from += 100) {
          for (const key of lists.slice(from, from + 100)) {
            const row = shard.find(key);
            if (row === undefined) change(shard, key, text);
            else {
              (row.collection as ListValue).replaceAt(0, `${round}${text}`);
              shard.changed(row);
            }
          }
          shard.setString('hot', `${round} ${from}`, 0);
          shard.commit(false);
        }
      // Nearly all lists are written in turn before the journal comes round to them: they are not journaled any more.
      expect(lists.filter((key) => shard.peek(key)!.journaledIn !== 0).length).toBeLessThan(lists.length / 4);
      expect(shard.peek('hot')!.journaledIn).not.toBe(0);
      const hot = databaseOf(shard).get('default', Buffer.from('hot'))!;
      expect(hot.latin1Slice(10)).toBe('0 0');
    }));
});

describe('after a crash', () => {
  it('what came behind what was there at the last start counts', () =>
    withShard(async ({ shard }, directory) => {
      const keys = ['ListValue', 'SetValue', 'HashValue', 'SortedSetValue'];
      write(shard, keys, 'a');
      write(shard, keys, 'b');
      let { shard: next } = await afterCrash(shard, directory);
      // So that the first commit does not write all back.
      Reflect.get(next, 'journal').stageWriteBack = () => undefined;
      write(next, ['ListValue', 'SetValue'], 'c');
      next.remove('SetValue');
      next.remove('HashValue');
      next.commit(false);
      write(next, ['HashValue'], 'anew');
      write(next, ['HashValue'], 'again');
      const seen = (of: Shard) => keys.map((key) => read(of, key));
      const expected = [['a', 'b', 'c'], undefined, ['anew', 'again'], ['a', 'b']];
      ({ shard: next } = await afterCrash(next, directory));
      expect(seen(next)).toEqual(expected);
      while (records(next) > 0) {
        next.commit(false);
        ({ shard: next } = await afterCrash(next, directory));
        expect(seen(next)).toEqual(expected);
      }
      expect(keys.map((key) => stored(next, key))).toEqual(expected);
      auditDisk(next);
      await next.close();
    }));
});

describe('a commit that fails', () => {
  it('leaves collections what the journal has of them', () =>
    withShard(({ shard, cache }) => {
      write(shard, [...KEYS, 'SetValue2'], 'a');
      write(shard, [...KEYS, 'SetValue2'], 'b');
      const held = cache.heldBytes;
      for (const key of KEYS) change(shard, key, 'c');
      shard.rename(shard.find('SetValue2')!, 'other');
      shard.remove('ListValue');
      shard.setString('HashValue', 'text', 0);
      failCommit(shard);
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      for (const key of [...KEYS, 'SetValue2']) expect([key, read(shard, key)]).toEqual([key, ['a', 'b']]);
      expect([shard.peek('other'), cache.heldBytes]).toEqual([undefined, held]);
      write(shard, KEYS, 'd');
      for (const key of KEYS) expect(read(shard, key)).toEqual(['a', 'b', 'd']);
    }));

  it('leaves nothing of a change that was not noted', () =>
    withShard(({ shard }) => {
      write(shard, KEYS, 'a');
      write(shard, KEYS, 'b');
      put(shard.peek('SetValue')!.collection!, 'halfway');
      shard.rollback();
      expect(read(shard, 'SetValue')).toEqual(['a', 'b']);
    }));

  it('leaves the journal of a shard that was to be flushed', () =>
    withShard(async ({ shard, cache }) => {
      write(shard, KEYS, 'a');
      write(shard, KEYS, 'b');
      const held = cache.heldBytes;
      await shard.prepareFlush();
      change(shard, 'SetValue', 'uncommitted');
      shard.flush();
      change(shard, 'ListValue', 'new');
      const flushedTo = Reflect.get(shard, 'flushedTo') as Database;
      vi.spyOn(flushedTo, 'commit').mockImplementationOnce(() => {
        throw new StorageError('NO_SPACE', 'no space left on the test');
      });
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      for (const key of KEYS) expect(read(shard, key)).toEqual(['a', 'b']);
      expect(cache.heldBytes).toBe(held);
    }));

  it('where the journal cannot be read leaves nothing to be seen until it can', () =>
    withShard(async ({ shard }) => {
      write(shard, KEYS, 'a');
      write(shard, KEYS, 'b');
      shard.setString('text', 'x', 0);
      shard.commit(false);
      change(shard, 'SetValue', 'c');
      failCommit(shard);
      expect(() => shard.commit(false)).toThrow(StorageError);
      const reading = vi.spyOn(databaseOf(shard), 'getMany').mockImplementation(() => {
        throw new StorageError('IO', 'the disk does not answer');
      });
      shard.rollback();
      reading.mockRestore();
      expect(() => shard.peek('SetValue')).toThrow('the disk does not answer');
      expect(() => keysOf(shard)).toThrow('the disk does not answer');
      expect(() => new ShardSnapshot(shard)).toThrow('the disk does not answer');
      expect(shard.isTidyDue(START_MS + JOURNAL_AGE_MAX_MS)).toBe(false);
      shard.rollback();
      await shard.recover();
      for (const key of KEYS) expect(read(shard, key)).toEqual(['a', 'b']);
      expect(keysOf(shard)).toHaveLength(KEYS.length + 1);
    }));

  it('and came to the disk all the same, with the end of a record, is found out by recovering', () =>
    withShard(async ({ shard }) => {
      write(shard, ['SetValue'], 'a');
      write(shard, ['SetValue'], 'b');
      shard.nowMs += JOURNAL_AGE_MAX_MS;
      change(shard, 'SetValue', 'c');
      failCommit(shard, true);
      expect(() => shard.commit(false)).toThrow(StorageError);
      shard.rollback();
      expect(() => shard.peek('SetValue')).toThrow('record 1 of the journal is not what it was');
      await shard.recover();
      expect(read(shard, 'SetValue')).toEqual(['a', 'b', 'c']);
    }));
});

it('a record with a large collection is an error that names the shard', () =>
  withShard(async ({ shard, knobs }, directory) => {
    knobs.collections = LOW_LIMITS;
    write(shard, ['SetValue'], 'a', 'b', 'c', 'd', 'e', 'f');
    const bytes = databaseOf(shard).get('default', Buffer.from('SetValue'))!;
    const header = Buffer.from([0, 8, 0, bytes.length]);
    databaseOf(shard).put('log', journalKey(1), Buffer.concat([header, Buffer.from('SetValue'), bytes]));
    databaseOf(shard).commit(false);
    await expect(afterCrash(shard, directory)).rejects.toThrow(
      /record 1 of the journal cannot be read: a row with element rows/,
    );
  }));

it('copies and backups have what the journal has', () =>
  withShard(({ shard }) => {
    write(shard, KEYS, 'a');
    write(shard, KEYS, 'b');
    const copied: [string, string[] | undefined][] = [];
    const look = (rows: Uint8Array) =>
      eachFeedEntry(Buffer.from(rows), 0, ({ name, bytes }) => {
        const row = new Row(name);
        decodeContents(row, bytes, shard.collections);
        copied.push([name, namesIn(row)]);
      });
    look(copySlice(shard, undefined, undefined, 1 << 20).rows);
    const snapshot = new ShardSnapshot(shard);
    for (let isDone = false; !isDone; ) {
      const part = snapshot.read(1 << 20);
      look(part.rows);
      isDone = part.isDone;
    }
    snapshot.close();
    const all = KEYS.toSorted().map((key) => [key, ['a', 'b']]);
    expect(copied).toEqual([...all, ...all]);
  }));
