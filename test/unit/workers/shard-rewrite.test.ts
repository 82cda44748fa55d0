import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { stringValue } from '../../../src/types/row.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir, waitUntil } from '../../support/environment.js';
import { auditDisk, databaseOf, keysOf, openShard, START_MS } from './shard-harness.js';

function fill(shard: Shard, count: number, value = 'v'.repeat(100)): void {
  for (let n = 0; n < count; n++)
    shard.setString(`key:${n}`, stringValue(value), n % 3 ? 0 : START_MS + n + 1);
  shard.commit(false);
}

async function rewriteToEnd(shard: Shard): Promise<void> {
  let rewrite = await shard.rewriteSlice();
  while (!rewrite.isCopied) rewrite = await shard.rewriteSlice();
  await rewrite.sync();
  expect(shard.finishRewrite(rewrite)).toBe(true);
}

const generationsIn = (directory: string) => readdirSync(directory).filter((name) => name !== 'CURRENT');

describe('a shard that is rewritten', () => {
  it('is in another generation, and the old one is gone', async () => {
    const directory = temporaryDir();
    const { shard, cleanupErrors } = await openShard(directory);
    fill(shard, 5000);
    const before = auditDisk(shard);
    await rewriteToEnd(shard);
    expect(readFileSync(join(directory, 'CURRENT'), 'utf8')).toBe('2\n');
    expect(auditDisk(shard)).toEqual(before);
    await waitUntil('the old generation is gone', () => generationsIn(directory).join() === 'g2');
    expect(cleanupErrors).toEqual([]);
    await shard.close();
    const again = await openShard(directory);
    expect(auditDisk(again.shard)).toEqual(before);
    await again.shard.close();
  });

  it('has what was written, overwritten and deleted while it was copied, in front of the copy and behind it', async () => {
    const { shard } = await openShard(temporaryDir());
    fill(shard, 5000);
    let rewrite = await shard.rewriteSlice();
    expect(rewrite.progress(false).copiedBytes).toBeGreaterThan(0);
    let written = 0;
    while (!rewrite.isCopied) {
      for (const end of ['key:0', 'key:9']) {
        shard.setString(`${end}:new${written}`, stringValue('new'), 0);
        shard.setString(`${end}${written}`, stringValue('over'), START_MS + 9999);
        shard.remove(`${end}${written + 500}`);
        shard.commit(false);
      }
      written++;
      rewrite = await shard.rewriteSlice();
    }
    const [keys, before] = [keysOf(shard), auditDisk(shard)];
    expect(shard.finishRewrite(rewrite)).toBe(true);
    expect(keysOf(shard)).toEqual(keys);
    expect(auditDisk(shard)).toEqual(before);
    expect(written).toBeGreaterThan(3);
    await shard.close();
  });

  it('that is emptied meanwhile stays empty, and the copy goes', async () => {
    const directory = temporaryDir();
    const { shard, cleanupErrors } = await openShard(directory);
    fill(shard, 5000);
    const rewrite = await shard.rewriteSlice();
    await shard.prepareFlush();
    shard.flush();
    shard.commit(false);
    expect(shard.finishRewrite(rewrite)).toBe(false);
    expect(keysOf(shard)).toEqual([]);
    await waitUntil('both are gone', () => generationsIn(directory).join() === 'g3');
    await rewriteToEnd(shard);
    shard.setString('a', stringValue('A'), 0);
    shard.commit(false);
    await shard.prepareFlush();
    shard.flush();
    shard.commit(false);
    expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
    expect(cleanupErrors).toEqual([]);
    await shard.close();
  });

  it('is as before when the copy cannot be written, and writes go on', async () => {
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    fill(shard, 5000);
    const { target } = await shard.rewriteSlice();
    const full = new StorageError('NO_SPACE', 'no space left on the test');
    vi.spyOn(target, 'commit').mockImplementation(() => {
      target.discard();
      throw full;
    });
    shard.setString('while', stringValue('it'), 0);
    shard.commit(false);
    await expect(shard.rewriteSlice()).rejects.toBe(full);
    await waitUntil('the copy is gone', () => generationsIn(directory).join() === 'g1');
    expect(keysOf(shard, 'while')).toEqual(['while']);
    await rewriteToEnd(shard);
    expect(auditDisk(shard).live).toBe(5001);
    await shard.close();
  });

  it('a commit that fails leaves nothing in the copy either', async () => {
    const { shard } = await openShard(temporaryDir());
    fill(shard, 10);
    const rewrite = await shard.rewriteSlice();
    shard.setString('never', stringValue('there'), 0);
    // What fails is RocksDB's write, below the module that mirrors.
    const database = databaseOf(shard);
    const handle = Reflect.get(database, 'handle') as object;
    Reflect.set(database, 'handle', {});
    expect(() => shard.commit(false)).toThrow();
    Reflect.set(database, 'handle', handle);
    shard.rollback();
    expect(rewrite.target.staged).toBe(0);
    await rewriteToEnd(shard);
    expect(keysOf(shard, 'never')).toEqual([]);
    await shard.close();
  });

  it('that is closed meanwhile leaves nothing behind', async () => {
    const directory = temporaryDir();
    const { shard, cleanupErrors } = await openShard(directory);
    fill(shard, 5000);
    await shard.rewriteSlice();
    await shard.close();
    expect(generationsIn(directory)).toEqual(['g1']);
    expect(cleanupErrors).toEqual([]);
    expect(existsSync(join(directory, 'CURRENT'))).toBe(true);
  });
});

it('an instance that is mirrored cannot be mirrored again', async () => {
  const [one, two] = await Promise.all([Database.open(temporaryDir()), Database.open(temporaryDir())]);
  one.beginMirror(two);
  expect(() => one.beginMirror(two)).toThrow('cannot be mirrored');
  one.endMirror();
  await Promise.all([one.close(), two.close()]);
});
