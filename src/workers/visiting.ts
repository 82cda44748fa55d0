import type { ElementHost } from '../types/collections/elements.js';
import { isLive, Row } from '../types/row.js';
import { decodeRow } from '../types/row-codec.js';
import type { RowTable } from '../types/row-table.js';
import type { KeyRange } from '../types/shard-view.js';
import type { HiddenRows } from './hidden-rows.js';
import { bounds, randomBetween } from './key-ranges.js';
import type { Database } from './rocksdb.js';

/** What a visit of a shard's keys looks at. */
export interface VisitedShard {
  readonly nowMs: number;
  readonly source: Database;
  readonly elements: ElementHost;
  /** Rows in memory: newer than what is stored. */
  readonly cached: RowTable;
  /** Those that wait for the commit, and are not hidden; what is stored of them does not count. */
  readonly staged: readonly Row[];
  /** Stored keys that have ended but were not swept yet. */
  readonly ended: ReadonlySet<string> | undefined;
  /** Whether stored rows may be tombstones. */
  readonly keepsTombstones: boolean;
  /** Tells which stored rows are not to be visited. */
  readonly hidden: HiddenRows;
}

type Visit = (key: string, row: Row | undefined) => boolean;

/** Visits live keys in byte order, stored and staged ones merged: see ShardView.visit. */
export function visitRange(shard: VisitedShard, range: KeyRange, withRows: boolean, visit: Visit): void {
  const { nowMs, ended, hidden } = shard;
  const isPartial = hidden.slots !== undefined;
  const staged = stagedIn(shard, range);
  let next = 0;
  let stopped = false;
  /** Visits the noted rows up to `key`; returns whether `key` is one of them. */
  const visitStaged = (key: string | undefined): boolean => {
    while (!stopped && next < staged.length && (key === undefined || staged[next]!.key <= key)) {
      const row = staged[next++]!;
      if (isLive(row, nowMs) && !visit(row.key, row)) stopped = true;
      if (row.key === key) return true;
    }
    return false;
  };
  const values = withRows || shard.keepsTombstones;
  shard.source.iterate({ family: 'default', values, ...bounds(range) }, (keyBytesStored, stored) => {
    const key = keyBytesStored.latin1Slice();
    if (visitStaged(key) || stopped) return !stopped;
    if (isPartial && !hidden.shows(keyBytesStored)) return true;
    if (ended?.has(key)) return true;
    let row: Row | undefined;
    if (stored !== undefined) {
      row = shard.cached.get(key);
      if (row === undefined) {
        row = new Row(key);
        decodeRow(row, stored, shard.elements);
        row.accessedMs = nowMs;
      }
      if (!isLive(row, nowMs)) return true;
    }
    if (!visit(key, row)) stopped = true;
    return !stopped;
  });
  if (!stopped) visitStaged(undefined);
}

function stagedIn({ staged }: VisitedShard, { prefix, after }: KeyRange): Row[] {
  return staged
    .filter((row) => row.key.startsWith(prefix) && (after === undefined || row.key > after))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** A live key, picked by a random place between the first and the last, and a few keys on from there. */
export function pickKey(shard: VisitedShard): string | undefined {
  const first = keyAfterSkip(shard, undefined, 0);
  if (first === undefined) return undefined;
  const skip = Math.floor(Math.random() * RANDOM_SKIP_MAX);
  const target = randomBetween(first, lastStoredKey(shard) ?? first);
  return keyAfterSkip(shard, target, skip) ?? keyAfterSkip(shard, undefined, skip) ?? first;
}

/** The `skip`-th live key behind `after`, or the last one there is before that. */
function keyAfterSkip(shard: VisitedShard, after: string | undefined, skip: number): string | undefined {
  let left = skip;
  let found: string | undefined;
  visitRange(shard, { prefix: '', ...(after === undefined ? {} : { after }) }, false, (key) => {
    found = key;
    return left-- > 0;
  });
  return found;
}

function lastStoredKey({ source }: VisitedShard): string | undefined {
  let last: string | undefined;
  source.iterate({ family: 'default', reverse: true, values: false }, (key) => {
    last = key.latin1Slice();
    return false;
  });
  return last;
}

const RANDOM_SKIP_MAX = 16;
