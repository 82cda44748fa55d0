import { Buffer } from 'node:buffer';
import { isKey, type Row, RowType, type StringValue } from '../types/row.js';
import type { Database } from './rocksdb.js';
import { keyScratch, rowBytes, ttlKey } from './row-scratch.js';
import type { ShardMeta } from './shard-meta.js';

/**
 * The rows that wait for the commit of the batch, in the order of their first change. Of strings that only the journal
 * has, also what they were: reading their rows again, as those of others are when the commit fails, would not find it. Collections
 * are changed in place, before they are noted: what they were is in the journal alone.
 */
export class StagedRows {
  readonly rows: Row[] = [];
  private readonly journaled: Row[] = [];
  private readonly values: StringValue[] = [];
  private readonly flags: number[] = [];
  private readonly timestamps: number[] = [];

  /** Takes note of a row that is about to change. */
  add(row: Row): void {
    if (row.dirty) return;
    row.dirty = true;
    this.rows.push(row);
    if (row.journaledIn === 0 || row.storedType !== RowType.String) return;
    this.journaled.push(row);
    this.values.push(row.value);
    this.flags.push(row.flags);
    this.timestamps.push(row.timestamp);
  }

  /** Makes journaled strings what they were when they were added. */
  restoreStrings(): void {
    for (const [index, row] of this.journaled.entries()) {
      row.value = this.values[index]!;
      row.collection = undefined;
      row.flags = this.flags[index]!;
      row.timestamp = this.timestamps[index]!;
      row.type = row.storedType;
      row.expiresAtMs = row.storedExpiresAtMs;
    }
  }

  /** The rows are on disk. */
  committed(): void {
    for (const row of this.rows) {
      row.dirty = false;
      row.written = row.type !== RowType.Absent && (row.collection?.version ?? 0) === 0;
      row.storedType = row.type;
      row.storedExpiresAtMs = row.expiresAtMs;
      row.storedElementExpiryMs = row.collection?.nextExpiryMs ?? 0;
    }
    this.clear();
  }

  /** Takes no row for changed any more. */
  forget(): void {
    for (const row of this.rows) row.dirty = false;
    this.clear();
  }

  private clear(): void {
    for (const list of [this.rows, this.journaled, this.values, this.flags, this.timestamps]) list.length = 0;
  }
}

/** Stages what a row's change is on disk: its bytes, its entries in the `ttl` family, and the numbers of keys in `meta`. */
export function stageRow(target: Database, row: Row, meta: ShardMeta): void {
  const key = keyScratch(row.key);
  if (row.type === RowType.Absent) {
    if (row.storedType !== RowType.Absent) target.delete('default', key);
  } else {
    target.put('default', key, rowBytes(row));
  }
  if (row.expiresAtMs !== row.storedExpiresAtMs) {
    if (row.storedExpiresAtMs !== 0) target.delete('ttl', ttlKey(row.storedExpiresAtMs, row.key));
    if (row.expiresAtMs !== 0) target.put('ttl', ttlKey(row.expiresAtMs, row.key), EMPTY);
  }
  const elementExpiryMs = row.collection?.nextExpiryMs ?? 0;
  if (elementExpiryMs !== row.storedElementExpiryMs) {
    if (row.storedElementExpiryMs !== 0)
      target.delete('ttl', ttlKey(row.storedElementExpiryMs, row.key, true));
    if (elementExpiryMs !== 0) target.put('ttl', ttlKey(elementExpiryMs, row.key, true), EMPTY);
  }
  if (isKey(row.storedType)) {
    meta.live--;
    if (row.storedExpiresAtMs !== 0) meta.expiring--;
  }
  if (isKey(row.type)) {
    meta.live++;
    if (row.expiresAtMs !== 0) meta.expiring++;
  }
}

const EMPTY = Buffer.alloc(0);
