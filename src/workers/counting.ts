import { isKey, isLive, type Row } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import type { ExpiryIndex } from './expiry-index.js';
import type { Database } from './rocksdb.js';

/** Numbers of keys. */
export interface Tally {
  /** Keys that have not ended. */
  live: number;
  /** Those of them that have an expiry. */
  expiring: number;
}

export const NOTHING_COUNTED: Tally = { live: 0, expiring: 0 };

/** What the numbers of stored keys are with the changes of the rows that wait for their commit. */
export function tallyStaged({ live, expiring }: Tally, staged: readonly Row[], nowMs: number): Tally {
  for (const row of staged) {
    if (isKey(row.storedType) && (row.storedExpiresAtMs === 0 || row.storedExpiresAtMs > nowMs)) {
      live--;
      if (row.storedExpiresAtMs !== 0) expiring--;
    }
    if (isLive(row, nowMs)) {
      live++;
      if (row.expiresAtMs !== 0) expiring++;
    }
  }
  return { live, expiring };
}

/**
 * Mean time until the keys that expire do, of a shard that has some: exact for few, from a random sample of keys for
 * many. 0 when the sample has none.
 */
export function averageTtlMs(
  shard: ShardView,
  expiries: ExpiryIndex,
  source: Database,
  keepsTombstones: boolean,
): number {
  const { nowMs } = shard;
  let times: number[] = [];
  expiries.each(source, Number.MAX_SAFE_INTEGER, (key, expiresAtMs) => {
    if (expiresAtMs > nowMs && (!keepsTombstones || shard.peek(key)?.expiresAtMs === expiresAtMs))
      times.push(expiresAtMs);
    return times.length <= EXPIRIES_COUNTED_MAX;
  });
  if (times.length > EXPIRIES_COUNTED_MAX) {
    const rows = Array.from({ length: EXPIRIES_SAMPLED }, () => shard.peek(shard.randomKey() ?? ''));
    times = rows.flatMap((row) => (row !== undefined && row.expiresAtMs !== 0 ? [row.expiresAtMs] : []));
  }
  if (times.length === 0) return 0;
  return Math.round(times.reduce((sum, at) => sum + at - nowMs, 0) / times.length);
}

/** Expiries that are averaged one by one; of more, a sample is. */
const EXPIRIES_COUNTED_MAX = 500;
const EXPIRIES_SAMPLED = 20;
