import type { Buffer } from 'node:buffer';
import type { FeedSlots } from '../types/feed-codec.js';
import type { SlotsRemoval } from './feed-protocol.js';
import { scanRows } from './feed-scan.js';
import type { Step } from './feed-target.js';
import { RowApplier, type StoredRow } from './row-applier.js';
import type { Shard } from './shard.js';

/** Removes a step's worth of rows that are in the slots, or those of them that are over. */
export function removeSlice(
  shard: Shard,
  after: string | undefined,
  until: string | undefined,
  slots: FeedSlots | undefined,
  isOver: (key: Buffer, timestamp: number) => boolean,
): { last: string | undefined; isDone: boolean; count: number } {
  const applier = new RowApplier(shard);
  const doomed: StoredRow[] = [];
  const range = scanRows(shard, after, until, slots, (key, bytes, timestamp) => {
    if (isOver(key, timestamp)) doomed.push({ key, bytes });
    return true;
  });
  for (const { key, bytes } of doomed) applier.remove(key, bytes);
  return { ...range, count: applier.removed };
}

/** Removes rows of slots that are another shard's, see ShardFeeds. */
export async function removeSlots(
  shard: Shard,
  step: Step,
  slots: FeedSlots,
  after: string | undefined,
): Promise<SlotsRemoval> {
  const { last, isDone, count } = await step(() => removeSlice(shard, after, undefined, slots, () => true));
  return { removed: count, last, isDone };
}
