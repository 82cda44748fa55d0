import { Buffer } from 'node:buffer';
import { timestampOf, unixMsOf } from '../base/clock.js';
import { RowType } from './row.js';
import type { RowHeader } from './row-codec.js';

/*
 * The rules by which copies of a shard come to hold the same rows, whatever arrives in whatever order: the row with the
 * later timestamp counts; of two with the same timestamp the one whose bytes are greater, so that both sides decide
 * alike. docs/design/0011-feeds.md has the reasons.
 */

/**
 * What a stored row holds against others: its timestamp; 0 = nothing, it is as good as gone. A row that has ended counts
 * as the tombstone that the sweep will make of it, so it makes no difference when that comes by.
 */
export function heldTimestamp(row: RowHeader, nowMs: number, tombstoneRetentionMs: number): number {
  if (row.type === RowType.Absent) return 0;
  if (row.expiresAtMs === 0) return row.timestamp;
  const forgottenMs = row.expiresAtMs + (row.type === RowType.Tombstone ? 0 : tombstoneRetentionMs);
  return forgottenMs <= nowMs ? 0 : row.timestamp;
}

/** Whether a row that has arrived takes the place of the one that is held. `heldBytes` is asked for only in a draw. */
export function takesPlace(timestamp: number, bytes: Buffer, held: number, heldBytes: () => Buffer): boolean {
  if (timestamp !== held) return timestamp > held;
  return Buffer.compare(bytes, heldBytes()) > 0;
}

/**
 * From which timestamp on a shard remembers every deletion: what it lacks of later rows it never had. 0 = what it lacks
 * tells nothing.
 * @param sinceMs since when its deletions have left tombstones without a break, Unix milliseconds
 * @param driftMs how far a timestamp may be ahead of the clock when its write comes
 */
export function rememberedSince(
  sinceMs: number,
  nowMs: number,
  tombstoneRetentionMs: number,
  driftMs: number,
): number {
  // Where deletions are forgotten sooner than clocks agree, what was written just now could be taken for one of them.
  if (tombstoneRetentionMs <= 2 * driftMs) return 0;
  // A tombstone that is forgotten now came a retention ago, with a timestamp at most so much later.
  return timestampOf(Math.max(sinceMs, nowMs - tombstoneRetentionMs + driftMs));
}

/**
 * When a target copies again: rows that it has, the source lacks, and that are older than this timestamp, were deleted
 * at the source, and nobody remembers when.
 * @param remembered from when on the source remembers: later rows are none that it has forgotten, it never had them
 * @param unsent the oldest timestamp of what the target's own log holds, or lost, and the source may not have
 */
export function removalHorizon(remembered: number, unsent: number): number {
  return Math.min(remembered, unsent);
}

/** How far a timestamp is ahead of the clock beyond what may be, milliseconds; 0 = it may be. */
export function excessDriftMs(timestamp: number, nowMs: number, driftMaxMs: number): number {
  return Math.max(0, unixMsOf(timestamp) - nowMs - driftMaxMs);
}
