import type { Buffer } from 'node:buffer';
import { FEED_SCAN_BYTES, FEED_SCAN_ROWS } from '../base/limits.js';
import { type FeedSlots, hasSlot } from '../types/feed-codec.js';
import { rowHeader } from '../types/row-codec.js';
import { readRows } from './row-reads.js';
import { keyBytes, rowBytes } from './row-scratch.js';
import type { Shard } from './shard.js';

/** The range of keys that a step has looked at, latin1: behind `after`, up to and with `last`. */
export interface ScannedRange {
  /** undefined = to the last key. */
  readonly last: string | undefined;
  readonly isDone: boolean;
}

/**
 * Looks at rows of a shard in key order, as they are committed: to be called between batches. It ends by itself after so
 * much that commands should have their turn.
 * @param until the last key; undefined = to the end
 * @param visit gets the rows that are in the slots; the bytes are valid during the call. It returns whether to go on
 */
export function scanRows(
  shard: Shard,
  after: string | undefined,
  until: string | undefined,
  slots: FeedSlots | undefined,
  visit: (key: Buffer, bytes: Buffer, timestamp: number, name: string) => boolean,
): ScannedRange {
  let bytes = 0;
  let last: string | undefined;
  let isDone = true;
  const tallies = shard.hidden.countedBy(after, shard.nowMs);
  const takes = (slot: number) => slots === undefined || hasSlot(slots, slot);
  const isAll = slots === undefined && tallies === undefined;
  const wants = isAll ? undefined : (slot: number) => takes(slot) || tallies?.counts(slot) === true;
  const range = { after, until, rowsMax: FEED_SCAN_ROWS, wants };
  const hasMore = readRows(shard.source(), range, (name, slot, stored, key) => {
    if (bytes >= FEED_SCAN_BYTES) {
      isDone = false;
      return false;
    }
    bytes += name.length + (stored?.length ?? 0);
    tallies?.look(name, slot, stored);
    if (takes(slot)) {
      const current = committedBytes(shard, name, stored!);
      isDone = visit(key ?? keyBytes(name), current, rowHeader(current).timestamp, name);
    }
    last = name;
    return isDone;
  });
  if (hasMore) isDone = false;
  if (isDone && until === undefined) tallies?.end();
  return isDone ? { last: until, isDone } : { last, isDone };
}

/** The bytes of a row as it is committed: of what only the journal has, those in memory, which the next call overwrites. */
export function committedBytes(shard: Shard, name: string, stored: Buffer): Buffer {
  // Looking for each row in memory would cost as much as reading it.
  if (!shard.hasJournaledRows) return stored;
  const cached = shard.rows.table.get(name);
  return cached !== undefined && cached.journaledIn !== 0 ? rowBytes(cached) : stored;
}
