import { describe, expect, it, vi } from 'vitest';
import { timestampOf } from '../../../src/base/clock.js';
import { FEED_APPLY_ROWS } from '../../../src/base/limits.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import { logState } from '../../../src/workers/feed-source.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import {
  chunkOf,
  contentsOf,
  followToEnd,
  openCopy,
  pair,
  RETENTION_MS,
  startLogging,
  stepOf,
  targetOf,
  textOf,
  write,
} from './feed-harness.js';
import { afterCrash, auditDisk, databaseOf, failCommit, keysOf, START_MS } from './shard-harness.js';

describe('a follower', () => {
  it('copies what was there, and follows what comes', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1'], ['b', '2'], ['', 'empty']);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual(['', 'a', 'b']);
    source.remove('a');
    source.setExpiry(source.find('b')!, START_MS + 50);
    write(source, ['c', '3']);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    expect(auditDisk(target)).toEqual({ live: 3, expiring: 1, tombstones: 1, ttl: 2 });
    // What came by a feed is not logged again.
    expect(logState(target)).toBeUndefined();
    await Promise.all([source.close(), target.close()]);
  });

  it('has in memory what came, and breaks watches', async () => {
    const { source, target } = await pair();
    write(target, ['a', 'old']);
    target.watches.watch(1, 'a', true);
    target.watches.watch(2, 'new', false);
    target.watches.watch(3, 'other', false);
    source.nowMs += 5;
    write(source, ['a', 'x'.repeat(2000)], ['new', '1']);
    await followToEnd(source, target, 'f');
    expect(textOf(target, 'a')).toBe('x'.repeat(2000));
    const exists = (key: string) => target.peek(key) !== undefined;
    expect([1, 2, 3].map((client) => target.watches.isBroken(client, exists))).toEqual([true, true, false]);
    await Promise.all([source.close(), target.close()]);
  });

  it('keeps what comes by a log in memory, and has its journal take it from the second change on', async () => {
    const { source, target } = await pair();
    write(source, ['copied', '1']);
    await followToEnd(source, target, 'f');
    expect(target.isCached('copied')).toBe(false);
    for (const value of ['2', '3', '4']) {
      source.nowMs += 5;
      write(source, ['copied', value]);
      await followToEnd(source, target, 'f');
      expect(target.isCached('copied')).toBe(true);
    }
    expect(target.hasJournaledRows).toBe(true);
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });

  it.each(['k000', 'k050', 'k099', 'j', 'l'])(
    'sees, in a copy of many rows, that one is there already: %s',
    async (key) => {
      const { source, target } = await pair();
      for (let index = 0; index < 100; index++)
        write(source, [`k${String(index).padStart(3, '0')}`, 'source']);
      target.nowMs += 5;
      write(target, [key, 'later']);
      // Not in memory: it must be found on the disk.
      target.rows.clear();
      await followToEnd(source, target, 'f', undefined, 100_000);
      expect(textOf(target, key)).toBe('later');
      expect(keysOf(target)).toHaveLength(key.length === 1 ? 101 : 100);
      expect(auditDisk(target)).toMatchObject({ live: key.length === 1 ? 101 : 100 });
      await Promise.all([source.close(), target.close()]);
    },
  );

  it('takes nothing twice, nothing out of order, and nothing before a copy', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1']);
    const end = targetOf(target);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    await end.begin({ ...logState(source)!, sequence: 0 }, undefined);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    const slice = copySlice(source, undefined, undefined, 1000);
    expect(await end.applyCopy({ ...slice, after: 'elsewhere' })).toMatchObject({ refused: 'position' });
    expect(await end.applyCopy(slice)).toEqual({ applied: 1, skipped: 0, removed: 0 });
    expect(await end.applyCopy(slice)).toEqual({ applied: 0, skipped: 0, removed: 0 });
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({ applied: 0, skipped: 1, removed: 0 });
    write(source, ['b', '1']);
    write(source, ['c', '1']);
    expect(await end.applyRecords(chunkOf(source, 2))).toMatchObject({ refused: 'position' });
    expect(await end.applyRecords(chunkOf(source, 1))).toEqual({ applied: 2, skipped: 0, removed: 0 });
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({ applied: 0, skipped: 0, removed: 0 });
    const other = { log: 'other', sequence: 9 };
    expect(await end.applyRecords({ ...chunkOf(source, 1), last: other })).toMatchObject({
      refused: 'position',
    });
    await stepOf(target)(() => target.replication.endFeed('f'));
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    expect(textOf(target, 'c')).toBe('1');
    await Promise.all([source.close(), target.close()]);
  });

  it('refuses writes from the future, and says from which feed and how far', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'from store-2');
    write(source, ['good', '1']);
    source.nowMs += 70_000;
    write(source, ['bad', '1']);
    const end = targetOf(target, 'from store-2');
    const before = target.replication.progress();
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({
      refused: 'clock',
      message: expect.stringMatching(
        /from store-2 .* 70000 ms in the future.*feed-clock-drift-max-ms \(60000\)/,
      ),
    });
    expect(target.peek('good')).toBeUndefined();
    expect(target.replication.progress()).toEqual(before);
    await source.prepareFlush();
    source.flush();
    source.commit(false);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'clock' });
    target.nowMs += 10_000;
    expect(await end.applyRecords(chunkOf(source, 0))).not.toHaveProperty('refused');
    await Promise.all([source.close(), target.close()]);
  });

  it('refuses what it cannot read, with nothing applied', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    write(source, ['a', '1']);
    const chunk = chunkOf(source, 0);
    const end = targetOf(target);
    const cut = { ...chunk, records: chunk.records.subarray(0, chunk.records.length - 1) };
    expect(await end.applyRecords(cut)).toMatchObject({ refused: 'format' });
    const unknown = Uint8Array.from(chunk.records);
    // The type of the row.
    unknown[4 + 1 + 8 + 1] = 9;
    expect(await end.applyRecords({ ...chunk, records: unknown })).toMatchObject({ refused: 'format' });
    expect(target.count()).toBe(0);
    expect(await end.applyRecords(chunk)).toMatchObject({ applied: 1 });
    await Promise.all([source.close(), target.close()]);
  });

  it('has nothing of what could not be written', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    write(target, ['cached', 'old']);
    source.nowMs += 5;
    write(source, ['a', '1'], ['cached', 'new']);
    const before = target.replication.progress();
    const commit = vi.spyOn(databaseOf(target), 'commit').mockImplementationOnce(() => {
      databaseOf(target).discard();
      throw new StorageError('NO_SPACE', 'full');
    });
    await expect(targetOf(target).applyRecords(chunkOf(source, 0))).rejects.toThrow('full');
    commit.mockRestore();
    expect(textOf(target, 'cached')).toBe('old');
    expect(target.count()).toBe(1);
    expect(target.replication.progress()).toEqual(before);
    auditDisk(target);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });
});

describe('what has ended', () => {
  it('is remembered, so that an older write from elsewhere does not bring it back', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    source.setString('k', '1', START_MS + 10, START_MS + 5);
    source.commit(false);
    // Written here earlier, and on its way when the other copy has ended.
    target.setString('k', 'older', 0, START_MS + 1);
    target.commit(false);
    for (const shard of [source, target]) shard.nowMs = START_MS + 20;
    source.sweep(source.nowMs, 100);
    source.commit(false, false);
    expect(auditDisk(source)).toMatchObject({ live: 0, tombstones: 1 });
    await followToEnd(target, source, 'g');
    await followToEnd(source, target, 'f');
    expect(source.peek('k')).toBeUndefined();
    expect(target.peek('k')).toBeUndefined();
    expect(contentsOf(target)).toEqual(contentsOf(source));
    // Nor does one that comes here: it makes no difference whether it was swept.
    for (const shard of [source, target]) expect(shard.setString('k', 'x', 0, START_MS + 4)).toBe(false);
    for (const shard of [source, target]) {
      shard.nowMs = START_MS + 10 + RETENTION_MS;
      shard.sweep(shard.nowMs, 100);
      shard.commit(false, false);
      expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
      await shard.close();
    }
  });

  it('leaves nothing in a shard that nobody follows', async () => {
    const { shard } = await openCopy();
    shard.setString('k', '1', START_MS + 10);
    shard.commit(false);
    shard.nowMs += 20;
    shard.sweep(shard.nowMs, 100);
    shard.commit(false, false);
    expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
    await shard.close();
  });
});

describe('event times', () => {
  it('of one millisecond: the last to come is the later one, on every copy', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    for (const value of ['z', 'a']) {
      expect(source.setString('k', value, 0, START_MS - 5)).toBe(true);
      source.commit(false);
    }
    expect(source.setString('k', 'older', 0, START_MS - 6)).toBe(false);
    await followToEnd(source, target, 'f');
    expect([textOf(source, 'k'), textOf(target, 'k')]).toEqual(['a', 'a']);
    await Promise.all([source.close(), target.close()]);
  });
});

it('timestamps stay behind those that came by feeds, also after a restart', async () => {
  const { source, target } = await pair();
  source.nowMs += 50_000;
  write(source, ['k', 'ahead']);
  await followToEnd(source, target, 'f');
  write(target, ['k', 'here']);
  expect(target.peek('k')!.timestamp).toBeGreaterThan(timestampOf(source.nowMs));
  await target.prepareFlush();
  target.flush();
  target.commit(false);
  await followToEnd(source, target, 'f');
  expect(target.count()).toBe(0);
  await Promise.all([source.close(), target.close()]);
});

it('a flush is later than rows of which only a part had come when the process died', async () => {
  const { source, rigs } = await pair();
  await rigs[1]!.shard.close();
  const directory = temporaryDir();
  let { shard: target } = await openCopy(directory);
  await followToEnd(source, target, 'f');
  // Its clock is ahead, as it may be.
  source.nowMs += 50_000;
  const names = Array.from({ length: FEED_APPLY_ROWS + 1 }, (_, row) => `k${row}`);
  write(source, ...names.map((name): [string, string] => [name, '1']));
  failCommitAfter(target, 1);
  const chunk = chunkOf(source, 0);
  // A slow machine: the time of a step is over when the first rows are applied.
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => ++nowMs);
  await expect(targetOf(target).applyRecords(chunk)).rejects.toThrow('no space left on the test');
  clock.mockRestore();
  ({ shard: target } = await afterCrash(target, directory));
  expect(target.count()).toBe(FEED_APPLY_ROWS);
  await target.prepareFlush();
  target.flush();
  target.commit(false);
  expect(target.replication.latestFlush).toBeGreaterThan(timestampOf(source.nowMs));
  await Promise.all([source.close(), target.close()]);
});

/** Has a commit of a shard fail after so many that do not. */
function failCommitAfter(shard: Shard, commits: number): void {
  const database = databaseOf(shard);
  const { commit } = database;
  let left = commits;
  database.commit = (sync) => {
    commit.call(database, sync);
    if (--left > 0) return;
    database.commit = commit;
    failCommit(shard);
  };
}
