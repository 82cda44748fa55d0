import { Buffer } from 'node:buffer';
import { heldTimestamp, takesPlace } from '../types/feed-rules.js';
import { endRow, isKey, type Row, RowType, TEXT_BYTES_MAX } from '../types/row.js';
import {
  decodeContents,
  decodeRow,
  elementVersion,
  RowFormatError,
  type RowHeader,
  rowHeader,
} from '../types/row-codec.js';
import { keyScratch, rowBytes, ttlKey } from './row-scratch.js';
import type { Shard } from './shard.js';

/** A row as a feed brings it. */
export interface FeedRow {
  readonly key: Buffer;
  readonly bytes: Buffer;
}

const ABSENT: RowHeader = { type: RowType.Absent, timestamp: 0, expiresAtMs: 0 };
const EMPTY = Buffer.alloc(0);

/**
 * Stages rows that do not come from commands into a shard's batch. Those in memory change there, as commands change
 * them, and so do collections; all others are written as they came, and not brought into memory. Counts, `ttl` entries
 * and watches follow.
 */
export class RowApplier {
  applied = 0;
  skipped = 0;
  removed = 0;
  /** What was staged here for rows that are not in memory; empty = removed. */
  private readonly staged = new Map<string, Buffer>();
  private live = 0;
  private expiring = 0;

  constructor(private readonly shard: Shard) {}

  /** Stages those of the rows that win against what is held. */
  apply(rows: readonly FeedRow[]): void {
    const { shard } = this;
    const found = this.read(rows);
    for (const [index, row] of rows.entries()) {
      const name = row.key.latin1Slice();
      const cached = shard.rows.table.get(name);
      const stored = this.staged.get(name) ?? found[index] ?? EMPTY;
      const wins =
        cached === undefined && isPlain(stored) && isPlain(row.bytes)
          ? this.applyStored(name, row, stored)
          : this.applyCached(cached ?? this.load(name), row);
      if (wins) this.applied++;
      else this.skipped++;
    }
    shard.counted(this.live, this.expiring);
    this.live = 0;
    this.expiring = 0;
  }

  /** What is stored of the rows that are not in memory, with one read. */
  private read(rows: readonly FeedRow[]): (Buffer | undefined)[] {
    const { table } = this.shard.rows;
    const isUnknown = rows.map(({ key }) => table.get(key.latin1Slice()) === undefined);
    const keys = rows.filter((_, index) => isUnknown[index]).map(({ key }) => key);
    const found = keys.length === 0 ? [] : this.shard.source().getMany('default', keys);
    let next = 0;
    return isUnknown.map((unknown) => (unknown ? found[next++] : undefined));
  }

  /** Brings a row into memory, as it is stored or staged here to be. */
  private load(name: string): Row {
    const row = this.shard.load(name);
    const staged = this.staged.get(name);
    if (staged === undefined) return row;
    decodeRow(row, Buffer.from(staged), this.shard.collections);
    // Should the commit fail it must not stay.
    this.shard.staged.add(row);
    return row;
  }

  private applyCached(held: Row, { key, bytes }: FeedRow): boolean {
    if (!this.wins(key, bytes, held, () => rowBytes(held))) return false;
    if (elementVersion(bytes) !== 0)
      throw new RowFormatError(
        `the key ${JSON.stringify(held.key.slice(0, 100))} has a collection of many elements, which feeds do not carry in this version`,
      );
    const { shard } = this;
    shard.staged.add(held);
    shard.dropCollection(held);
    // What stays in memory must not hold the message that it came in.
    decodeContents(held, bytes.length > TEXT_BYTES_MAX ? Buffer.from(bytes) : bytes, shard.collections);
    const elementExpiryMs = held.collection?.nextExpiryMs ?? 0;
    if (elementExpiryMs !== 0) shard.elementExpiries.note(elementExpiryMs);
    if (held.expiresAtMs !== 0) shard.expiries.note(held.expiresAtMs);
    shard.note(held);
    shard.replication.saw(held.timestamp);
    return true;
  }

  private applyStored(name: string, { key, bytes }: FeedRow, stored: Buffer): boolean {
    const held = stored.length === 0 ? ABSENT : rowHeader(stored);
    if (!this.wins(key, bytes, held, () => stored)) return false;
    const row = rowHeader(bytes);
    const { shard } = this;
    shard.source().put('default', key, bytes);
    this.replaceStored(name, held, row);
    this.staged.set(name, bytes);
    shard.replication.saw(row.timestamp);
    return true;
  }

  private wins(key: Buffer, bytes: Buffer, held: RowHeader, heldBytes: () => Buffer): boolean {
    const { nowMs, environment, replication } = this.shard;
    const { timestamp } = rowHeader(bytes);
    if (replication.isFlushed(key, timestamp)) return false;
    const heldAt = heldTimestamp(held, nowMs, environment.knobs.tombstoneRetentionMs);
    return heldAt === 0 || takesPlace(timestamp, bytes, heldAt, heldBytes);
  }

  /** Stages what follows from one stored row giving way to another. */
  private replaceStored(name: string, held: RowHeader, row: RowHeader): void {
    const { shard } = this;
    const target = shard.source();
    if (held.expiresAtMs !== row.expiresAtMs) {
      if (held.expiresAtMs !== 0) target.delete('ttl', ttlKey(held.expiresAtMs, name));
      if (row.expiresAtMs !== 0) {
        target.put('ttl', ttlKey(row.expiresAtMs, name), EMPTY);
        shard.expiries.note(row.expiresAtMs);
      }
    }
    this.count(held, -1);
    this.count(row, 1);
    if (shard.watches.size !== 0) shard.watches.changed(name);
  }

  private count({ type, expiresAtMs }: RowHeader, by: number): void {
    if (!isKey(type)) return;
    this.live += by;
    if (expiresAtMs !== 0) this.expiring += by;
  }

  /** Stages the end of a row that is on disk, without a trace. `stored` is what the disk has of it. */
  remove(key: Buffer, stored: Buffer): void {
    const { shard } = this;
    const name = key.latin1Slice();
    const cached = shard.rows.table.get(name) ?? (isPlain(stored) ? undefined : shard.load(name));
    this.removed++;
    if (cached === undefined) {
      shard.source().delete('default', keyScratch(name));
      this.replaceStored(name, rowHeader(stored), ABSENT);
      shard.counted(this.live, this.expiring);
      this.live = 0;
      this.expiring = 0;
      return;
    }
    shard.staged.add(cached);
    shard.dropCollection(cached);
    endRow(cached, 0);
    cached.timestamp = 0;
    shard.note(cached);
  }
}

/** Whether a row, if there is one, is all that there is of a key. */
function isPlain(bytes: Buffer): boolean {
  if (bytes.length === 0) return true;
  const { type } = rowHeader(bytes);
  return type === RowType.String || type === RowType.Tombstone;
}
