import { expect } from 'vitest';
import { HybridClock } from '../../../src/base/clock.js';
import { Row, RowType } from '../../../src/types/row.js';
import { decodeRow, isElementTtlKey, ttlKeyExpiry, ttlKeyUserKey } from '../../../src/types/row-codec.js';
import { Generations } from '../../../src/workers/generations.js';
import { type Database, StorageError } from '../../../src/workers/rocksdb.js';
import { RowCache } from '../../../src/workers/row-cache.js';
import { Shard } from '../../../src/workers/shard.js';
import type { ShardKnobs } from '../../../src/workers/shard-environment.js';
import { readShardMeta } from '../../../src/workers/shard-meta.js';
import { REDIS_LIMITS } from '../../support/memory-elements.js';

export const START_MS = 1_700_000_000_000;
export const STORAGE = { blockCacheBytes: 1 << 20, memtableBytes: 1 << 20 };

/** Every start is another origin; in order, so that a seed tells what happens. */
let origins = 0;

/** A real shard, and what it was made from. */
export interface Rig {
  readonly shard: Shard;
  readonly cache: RowCache;
  readonly generations: Generations;
  /** Errors while old generations were removed. */
  readonly cleanupErrors: unknown[];
  readonly knobs: ShardKnobs;
}

export async function openShard(
  directory: string,
  cacheBytes = 1 << 20,
  id = 1,
  cache?: RowCache,
  machine = 'this one',
): Promise<Rig> {
  const cleanupErrors: unknown[] = [];
  const { generations, database } = await Generations.open(directory, STORAGE, (error) =>
    cleanupErrors.push(error),
  );
  const knobs: ShardKnobs = {
    tombstoneRetentionMs: 60,
    scanIdleMaxMs: 60_000,
    collections: REDIS_LIMITS,
    feedLogBytesMax: 1 << 20,
    feedDriftMaxMs: 60_000,
  };
  const rows = cache ?? new RowCache(cacheBytes);
  const shard = await Shard.open(id, database, generations, {
    clock: new HybridClock(),
    origin: ++origins,
    cache: rows,
    knobs,
    machine,
  });
  shard.nowMs = START_MS;
  return { shard, cache: rows, generations, cleanupErrors, knobs };
}

/** The shard as a start finds it after the process has died at this moment. */
export async function afterCrash(shard: Shard, directory: string, cacheBytes?: number): Promise<Rig> {
  await databaseOf(shard).close();
  return openShard(directory, cacheBytes);
}

/** The instance that a shard reads and writes at present. */
export function databaseOf(shard: Shard): Database {
  return Reflect.get(shard, 'database') as Database;
}

/**
 * Has the next commit of a shard fail, once.
 * @param lands whether it is on disk all the same, as it may be in a log that is read again
 */
export function failCommit(shard: Shard, lands = false): void {
  const database = databaseOf(shard);
  const { commit } = database;
  database.commit = (sync) => {
    database.commit = commit;
    if (lands) database.commit(sync);
    else database.discard();
    throw new StorageError('NO_SPACE', 'no space left on the test');
  };
}

/** Everything stored, checked against itself: counts, `ttl` entries and rows must agree. */
export function auditDisk(shard: Shard): { live: number; expiring: number; tombstones: number; ttl: number } {
  const database = databaseOf(shard);
  const expected: string[] = [];
  let [live, expiring, tombstones] = [0, 0, 0];
  database.iterate({ family: 'default', values: true }, (key, value) => {
    const row = new Row(key.latin1Slice());
    decodeRow(row, value!, shard.collections);
    if (row.type === RowType.Tombstone) {
      tombstones++;
      expect(row.expiresAtMs).not.toBe(0);
    } else {
      live++;
      if (row.expiresAtMs !== 0) expiring++;
    }
    if (row.expiresAtMs !== 0) expected.push(`${row.expiresAtMs} ${row.key}`);
    return true;
  });
  const entries: string[] = [];
  database.iterate({ family: 'ttl', values: false }, (entry) => {
    if (!isElementTtlKey(entry)) entries.push(`${ttlKeyExpiry(entry)} ${ttlKeyUserKey(entry)}`);
    return true;
  });
  expect(entries.toSorted()).toEqual(expected.toSorted());
  const meta = readShardMeta(database);
  expect({ live: meta.live, expiring: meta.expiring }).toEqual({ live, expiring });
  if (tombstones > 0) expect(meta.keepsTombstones).toBe(true);
  return { live, expiring, tombstones, ttl: entries.length };
}

/** Keys of a shard in the order of a visit. */
export function keysOf(shard: Shard, prefix = ''): string[] {
  const keys: string[] = [];
  shard.visit({ prefix }, false, (key) => {
    keys.push(key);
    return true;
  });
  return keys;
}
