import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { StorageError } from '../../../src/workers/rocksdb.js';
import { pause, temporaryDir } from '../../support/environment.js';
import { auditDisk, keysOf, openShard, START_MS } from './shard-harness.js';

const fault = vi.hoisted(() => ({ syncsUntilFailure: Number.POSITIVE_INFINITY }));

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const fsyncSync = (file: number) => {
    if (--fault.syncsUntilFailure === 0)
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
    fs.fsyncSync(file);
  };
  return { ...fs, default: fs, fsyncSync };
});

describe('a flush and event times in one batch', () => {
  it('a deletion behind the flush is not shown as a key', async () => {
    const { shard } = await openShard(temporaryDir());
    shard.setString('a', 'A', 0);
    shard.commit(false);
    await shard.prepareFlush();
    shard.flush();
    shard.remove('k', START_MS);
    shard.commit(false);
    expect(keysOf(shard)).toEqual([]);
    shard.nowMs = START_MS + 1000;
    expect(shard.count()).toBe(0);
    auditDisk(shard);
  });

  it('the shard goes on to remember deletions', async () => {
    const directory = temporaryDir();
    const first = await openShard(directory);
    first.shard.setString('a', 'A', 0, START_MS - 10);
    first.shard.commit(false);
    await first.shard.prepareFlush();
    first.shard.flush();
    first.shard.setString('k', 'v', 0, START_MS - 10);
    first.shard.commit(false);
    first.shard.remove('k');
    first.shard.commit(false);
    await first.shard.close();
    const { shard } = await openShard(directory);
    expect(shard.setString('k', 'older', 0, START_MS - 5)).toBe(false);
  });
});

describe('what a write of an older event time does to a key that is gone', () => {
  it('is the same whether the shard has the key in memory or not', async () => {
    const answers = [1 << 20, 0].map(async (cacheBytes) => {
      const { shard, cache } = await openShard(temporaryDir(), cacheBytes);
      shard.setString('k', 'v', 0);
      shard.remove('k');
      shard.commit(false);
      cache.evict();
      return shard.setString('k', 'older', 0, START_MS - 1000);
    });
    const [cached, evicted] = await Promise.all(answers);
    expect(cached).toBe(evicted);
  });
});

describe('generations', () => {
  it('a shard whose CURRENT is lost is refused, not emptied', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.setString('old', 'v', 0);
    shard.commit(false);
    await shard.prepareFlush();
    shard.flush();
    shard.setString('precious', 'v', 0);
    shard.commit(true);
    await shard.close();
    rmSync(join(directory, 'CURRENT'));
    await openShard(directory).catch(() => undefined);
    expect(existsSync(join(directory, 'g2'))).toBe(true);
  });

  it('nothing of a closed shard is still being removed', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    await shard.prepareFlush();
    await shard.close();
    expect(readdirSync(directory).toSorted()).toEqual(['CURRENT', 'g1']);
  });

  it('a switch that fails behind the rename of CURRENT loses nothing', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.setString('precious', 'v', 0);
    shard.commit(true);
    await shard.prepareFlush();
    shard.flush();
    // The first sync is that of CURRENT.tmp, the second that of the directory, behind the rename.
    fault.syncsUntilFailure = 2;
    expect(() => shard.commit(false)).toThrow(StorageError);
    fault.syncsUntilFailure = Number.POSITIVE_INFINITY;
    shard.rollback();
    shard.setString('acknowledged', 'v', 0);
    shard.commit(true);
    expect(keysOf(shard)).toEqual(['acknowledged', 'precious']);
    await shard.close();
    // The instance that CURRENT names by now is being removed in the background.
    await pause(300);
    const again = await openShard(directory);
    expect(keysOf(again.shard)).toEqual(['acknowledged', 'precious']);
  });
});
