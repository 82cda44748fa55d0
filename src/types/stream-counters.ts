import { STREAM_ID_MIN, type StreamId } from './stream-id.js';

/** What a stream knows of itself without a look at its entries. */
export interface StreamTotals {
  readonly length: number;
  /** Of the first entry; the least of all ids where there is none. */
  readonly firstId: StreamId;
  /** The greatest id that any entry ever had. */
  readonly lastId: StreamId;
  /** The greatest id of all deleted entries, the least of all ids where there is none. */
  readonly maxDeletedId: StreamId;
  /** Entries ever added. */
  readonly entriesAdded: number;
}

/**
 * How many entries had ever been added when this id was the last one read, as far as that can be told without counting.
 * @returns undefined where it cannot: within the stream, or where deletions may have left gaps
 */
export function estimateEntriesRead(totals: StreamTotals, id: StreamId): number | undefined {
  const { length, firstId, lastId, maxDeletedId, entriesAdded } = totals;
  if (entriesAdded === 0) return 0;
  if (length === 0 && id <= lastId) return entriesAdded;
  if (id === lastId) return entriesAdded;
  if (id > lastId) return undefined;
  if (maxDeletedId !== STREAM_ID_MIN && maxDeletedId >= firstId) return undefined;
  if (id < firstId) return entriesAdded - length;
  return id === firstId ? entriesAdded - length + 1 : undefined;
}
