import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { valueText } from '../../../src/types/row.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import { Shard } from '../../../src/workers/shard.js';
import { FORMAT_VERSION, readShardMeta, writeShardMeta } from '../../../src/workers/shard-meta.js';
import { temporaryDir, waitUntil } from '../../support/environment.js';
import { auditDisk, databaseOf, keysOf, openShard, START_MS, STORAGE } from './shard-harness.js';

const NOTHING = { live: 0, expiring: 0, tombstones: 0, ttl: 0 };

/** Has the next commit of an instance fail, once. */
function failNextCommit(database: Database): void {
  vi.spyOn(database, 'commit').mockImplementationOnce(() => {
    database.discard();
    throw new StorageError('NO_SPACE', 'no space left on the test');
  });
}

describe('a commit that fails', () => {
  it('leaves nothing, on disk or in memory, once it is rolled back', async () => {
    const { shard } = await openShard(temporaryDir());
    shard.setString('kept', 'old', START_MS + 1000);
    shard.setString('gone', 'old', 0);
    shard.commit(false);
    shard.setString('kept', 'new', 0);
    shard.setString('more', 'new', START_MS + 500);
    shard.remove('gone');
    shard.remove('tomb', START_MS);
    failNextCommit(databaseOf(shard));
    expect(() => shard.commit(false)).toThrow(StorageError);
    shard.rollback();
    expect(shard.hasChanges).toBe(false);
    expect(keysOf(shard)).toEqual(['gone', 'kept']);
    expect(valueText(shard.find('kept')!.value)).toBe('old');
    expect(shard.find('kept')!.expiresAtMs).toBe(START_MS + 1000);
    expect(auditDisk(shard)).toEqual({ live: 2, expiring: 1, tombstones: 0, ttl: 1 });
    expect(readShardMeta(databaseOf(shard)).keepsTombstones).toBe(false);
    shard.setString('after', 'v', 0);
    shard.commit(false);
    expect(auditDisk(shard)).toEqual({ live: 3, expiring: 1, tombstones: 0, ttl: 1 });
    await shard.close();
  });

  it('leaves the keys of a flush where they were', async () => {
    const directory = temporaryDir();
    const { shard, cleanupErrors } = await openShard(directory);
    shard.setString('a', 'A', 0);
    shard.commit(false);
    await shard.prepareFlush();
    shard.flush();
    shard.setString('b', 'B', 0);
    failNextCommit(Reflect.get(shard, 'flushedTo') as Database);
    expect(() => shard.commit(false)).toThrow(StorageError);
    shard.rollback();
    expect(keysOf(shard)).toEqual(['a']);
    await waitUntil('the unused generation is gone', () => !existsSync(join(directory, 'g2')));
    await shard.prepareFlush();
    shard.flush();
    shard.commit(false);
    expect(auditDisk(shard)).toEqual(NOTHING);
    expect(readFileSync(join(directory, 'CURRENT'), 'utf8')).toBe('3\n');
    expect(cleanupErrors).toEqual([]);
    await shard.close();
  });

  it('can be followed by a reopening', async () => {
    const { shard } = await openShard(temporaryDir());
    shard.setString('a', 'A', 0);
    shard.commit(true);
    await shard.reopen();
    expect(keysOf(shard)).toEqual(['a']);
    shard.setString('b', 'B', 0);
    shard.commit(false);
    await shard.reopen();
    expect(auditDisk(shard)).toEqual({ live: 2, expiring: 0, tombstones: 0, ttl: 0 });
    await shard.close();
  });

  describe('is over', () => {
    const FULL = new StorageError('NO_SPACE', 'no space left on the test');
    const refuse = (database: Database, times = Number.POSITIVE_INFINITY) => {
      const { commit } = database;
      let left = times;
      database.commit = (sync) => {
        if (left-- <= 0) return commit.call(database, sync);
        database.discard();
        throw FULL;
      };
    };

    it('when the instance takes writes again; what had come to the disk is there then', async () => {
      const { shard } = await openShard(temporaryDir());
      shard.setString('a', 'A', 0);
      shard.commit(false);
      const database = databaseOf(shard);
      const { commit } = database;
      database.commit = (sync) => {
        database.commit = commit;
        database.commit(sync);
        throw FULL;
      };
      shard.setString('b', 'B', 0);
      expect(() => shard.commit(false)).toThrow(FULL);
      shard.rollback();
      expect(shard.count()).toBe(1);
      await shard.recover();
      expect(databaseOf(shard)).toBe(database);
      expect(shard.count()).toBe(2);
      expect(auditDisk(shard).live).toBe(2);
      await shard.close();
    });

    it('when a new instance does', async () => {
      const { shard } = await openShard(temporaryDir());
      shard.setString('a', 'A', 0);
      shard.commit(false);
      const failed = databaseOf(shard);
      refuse(failed);
      await shard.recover();
      expect(databaseOf(shard)).not.toBe(failed);
      expect(keysOf(shard)).toEqual(['a']);
      await shard.close();
    });

    it('not while there is no room to open one; until then the old one is read', async () => {
      const { shard } = await openShard(temporaryDir());
      shard.setString('a', 'A', 0);
      shard.commit(false);
      const failed = databaseOf(shard);
      refuse(failed, 2);
      const room = vi.spyOn(failed, 'checkRoom').mockRejectedValue(FULL);
      await expect(shard.recover()).rejects.toBe(FULL);
      expect(databaseOf(shard)).toBe(failed);
      expect(keysOf(shard)).toEqual(['a']);
      room.mockRestore();
      await shard.recover();
      expect(databaseOf(shard)).not.toBe(failed);
      shard.setString('b', 'B', 0);
      shard.commit(false);
      await shard.close();
    });
  });
});

describe('flushing', () => {
  it('switches to a fresh generation and removes the old one', async () => {
    const directory = temporaryDir();
    const { shard, cleanupErrors } = await openShard(directory);
    for (let key = 0; key < 100; key++) shard.setString(`k${key}`, 'v', key % 2 === 0 ? START_MS + 100 : 0);
    shard.commit(false);
    await shard.prepareFlush();
    shard.flush();
    expect(shard.count()).toBe(0);
    shard.setString('after', 'v', 0);
    shard.commit(false);
    expect(auditDisk(shard)).toEqual({ live: 1, expiring: 0, tombstones: 0, ttl: 0 });
    await waitUntil('the old generation is gone', () => !existsSync(join(directory, 'g1')));
    expect(readdirSync(directory).toSorted()).toEqual(['CURRENT', 'g2']);
    expect(cleanupErrors).toEqual([]);
    await shard.close();
    const again = await openShard(directory);
    expect(keysOf(again.shard)).toEqual(['after']);
    await again.shard.close();
  });

  it('goes on where it was when the crash came before the switch, and is done when it came after', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.setString('old', 'v', 0);
    shard.commit(true);
    await shard.close();
    // What a crash between the commit of the new generation and its switch leaves behind.
    const next = await Database.open(join(directory, 'g2'), STORAGE);
    writeShardMeta(next, { live: 0, expiring: 0, keepsTombstones: false, nextVersion: 1 });
    next.commit(true);
    await next.close();
    mkdirSync(join(directory, 'g7'));
    writeFileSync(join(directory, 'CURRENT.tmp'), '2');
    const before = await openShard(directory);
    expect(keysOf(before.shard)).toEqual(['old']);
    expect(readdirSync(directory).toSorted()).toEqual(['CURRENT', 'g1']);
    await before.shard.close();
    const switched = await Database.open(join(directory, 'g2'), STORAGE);
    await switched.close();
    writeFileSync(join(directory, 'CURRENT'), '2\n');
    const after = await openShard(directory);
    expect(keysOf(after.shard)).toEqual([]);
    expect(readdirSync(directory).toSorted()).toEqual(['CURRENT', 'g2']);
    await after.shard.close();
  });

  it('needs no preparation when there is nothing, and one when there is', async () => {
    const { shard } = await openShard(temporaryDir());
    shard.flush();
    expect(shard.hasChanges).toBe(false);
    shard.setString('a', 'A', 0);
    shard.commit(false);
    expect(() => shard.flush()).toThrow('not prepared');
    await shard.prepareFlush();
    await shard.prepareFlush();
    shard.flush();
    shard.setString('b', 'B', 0);
    shard.flush();
    shard.setString('c', 'C', 0);
    shard.commit(false);
    expect(keysOf(shard)).toEqual(['c']);
    await shard.close();
  });

  it('makes scans unknown and breaks watches of keys that were there', async () => {
    const { shard } = await openShard(temporaryDir());
    for (const key of ['a', 'b']) shard.setString(key, 'v', 0);
    shard.commit(false);
    const { session } = shard.openCursor('0')!;
    const cursor = shard.saveCursor(session, 'a');
    shard.watches.watch(1, 'a', true);
    shard.watches.watch(2, 'missing', false);
    await shard.prepareFlush();
    shard.flush();
    const exists = (key: string) => shard.peek(key) !== undefined;
    expect([shard.watches.isBroken(1, exists), shard.watches.isBroken(2, exists)]).toEqual([true, false]);
    expect(shard.openCursor(cursor)).toBeUndefined();
    shard.commit(false);
    await shard.close();
  });
});

describe('what is on disk', () => {
  it('is refused when its format is later than this program', async () => {
    const { shard, generations } = await openShard(temporaryDir());
    const database = databaseOf(shard);
    const record = Buffer.alloc(30);
    record.writeUInt32BE(FORMAT_VERSION + 1, 0);
    database.put('meta', Buffer.from('shard'), record);
    database.commit(false);
    const environment = Reflect.get(shard, 'environment') as ConstructorParameters<typeof Shard>[3];
    const open = () => new Shard(1, database, generations, environment);
    expect(open).toThrow(`format ${FORMAT_VERSION + 1}; this program knows formats up to ${FORMAT_VERSION}`);
    expect(open).toThrow(StorageError);
    for (const length of [0, 3, 20, 22]) {
      const cut = Buffer.alloc(length);
      if (length >= 4) cut.writeUInt32BE(FORMAT_VERSION, 0);
      database.put('meta', Buffer.from('shard'), cut);
      database.commit(false);
      expect(open).toThrow(/cut short|bytes/);
    }
    await shard.close();
  });

  it('is refused when CURRENT names no generation', async () => {
    for (const text of ['', 'x', '0', '-1']) {
      const directory = temporaryDir();
      writeFileSync(join(directory, 'CURRENT'), text);
      await expect(openShard(directory)).rejects.toMatchObject({ code: 'CORRUPT' });
    }
  });

  it('says so when CURRENT cannot be written', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.setString('a', 'A', 0);
    shard.commit(false);
    mkdirSync(join(directory, 'CURRENT.tmp'));
    await shard.prepareFlush();
    shard.flush();
    expect(() => shard.commit(false)).toThrow(StorageError);
    shard.rollback();
    expect(keysOf(shard)).toEqual(['a']);
    await shard.close();
  });
});

describe('expiry', () => {
  it('ends keys at their time, swept or not, and in any number of sweeps', async () => {
    const { shard } = await openShard(temporaryDir(), 5000);
    for (let key = 0; key < 2000; key++) shard.setString(`k${key}`, 'v', START_MS + 100 + (key % 7));
    shard.commit(false);
    shard.nowMs = START_MS + 99;
    expect([shard.count(), shard.countExpiring()]).toEqual([2000, 2000]);
    shard.nowMs = START_MS + 106;
    expect([shard.count(), shard.countExpiring(), keysOf(shard).length]).toEqual([0, 0, 0]);
    let sweeps = 0;
    for (let more = true; more; sweeps++) {
      more = shard.sweep(START_MS + 106, 300);
      shard.commit(false);
    }
    expect(sweeps).toBe(7);
    expect(shard.counters.expired).toBe(2000);
    expect(shard.nextExpiryMs).toBe(0);
    expect(auditDisk(shard)).toEqual(NOTHING);
    await shard.close();
  });

  it('leaves a key that was given another time, or none, or came back', async () => {
    const { shard } = await openShard(temporaryDir());
    for (const key of ['later', 'never', 'again', 'over']) shard.setString(key, 'v', START_MS + 10);
    shard.commit(false);
    shard.setExpiry(shard.find('later')!, START_MS + 50);
    shard.setExpiry(shard.find('never')!, 0);
    shard.remove('again');
    shard.setString('again', 'w', 0);
    shard.commit(false);
    expect(auditDisk(shard).ttl).toBe(2);
    shard.sweep(START_MS + 20, 100);
    shard.commit(false);
    expect(keysOf(shard)).toEqual(['again', 'later', 'never']);
    expect(shard.nextExpiryMs).toBe(START_MS + 50);
    await shard.close();
  });

  it('notices the expiries of before a reopening', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.setString('a', 'A', START_MS + 10);
    shard.commit(false);
    await shard.close();
    const again = await openShard(directory);
    expect(again.shard.nextExpiryMs).toBeGreaterThan(0);
    expect(again.shard.nextExpiryMs).toBeLessThanOrEqual(START_MS + 10);
    again.shard.sweep(START_MS + 10, 10);
    again.shard.commit(false);
    expect(auditDisk(again.shard)).toEqual(NOTHING);
    await again.shard.close();
  });
});

describe('event times', () => {
  it('keep a deletion for as long as its tombstone is kept', async () => {
    const { shard, knobs } = await openShard(temporaryDir());
    knobs.tombstoneRetentionMs = 1000;
    shard.setString('k', 'v', 0, START_MS - 500);
    expect(shard.remove('k', START_MS - 100)).toBe(true);
    shard.commit(false);
    expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 1, ttl: 1 });
    expect([shard.count(), shard.countExpiring(), keysOf(shard)]).toEqual([0, 0, []]);
    expect(shard.setString('k', 'old', 0, START_MS - 200)).toBe(false);
    shard.sweep(START_MS + 999, 10);
    shard.commit(false);
    expect(auditDisk(shard).tombstones).toBe(1);
    shard.sweep(START_MS + 1000, 10);
    shard.commit(false);
    expect(auditDisk(shard)).toEqual(NOTHING);
    expect(shard.counters.expired).toBe(0);
    await shard.close();
  });

  it('make later plain writes win, whatever the clock says', async () => {
    const { shard } = await openShard(temporaryDir());
    shard.setString('k', 'future', 0, START_MS + 5000);
    expect(shard.setString('k', 'now', 0)).toBe(true);
    expect(shard.setString('k', 'between', 0, START_MS + 5000)).toBe(false);
    expect(valueText(shard.find('k')!.value)).toBe('now');
    shard.commit(false);
    await shard.close();
  });
});
