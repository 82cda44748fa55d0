import { Buffer } from 'node:buffer';
import type { Row } from './row.js';
import { encodeRow, readUint64, rowRoom, writeLatin1, writeUint64 } from './row-codec.js';
import { SLOTS } from './slots.js';

/*
 * What a feed carries. Integers are unsigned and big-endian.
 *
 * Rows, one entry behind the other:
 *
 *   offset  bytes  field
 *   0       4      length of the key
 *   4       4      length of the row; bit 31 is 0 (1 will say that element rows of the key follow)
 *   8       …      the key
 *   …       …      the row, as in the `default` family
 *
 * A record of the log:
 *
 *   0       1      kind: 1 = rows, 2 = flush
 *   1       …      rows; or, 8 bytes, the timestamp of the flush, which supersedes every record before it
 *
 * Records on their way: the length of each (4 bytes), then its bytes.
 */
const ENTRY_HEADER_BYTES = 8;
const LENGTH_BYTES = 4;
const KIND_BYTES = 1;
const FLUSH_RECORD_BYTES = 9;
const ROW_BYTES_MAX = 0x7fff_ffff;

const RecordKind = { Rows: 1, Flush: 2 } as const;

/** A set of slots: a bit for each, slot `n` is bit `n & 7` of byte `n >> 3`. */
export type FeedSlots = Uint8Array;

export const FEED_SLOTS_BYTES = SLOTS / 8;

export function hasSlot(slots: FeedSlots, slot: number): boolean {
  return (slots[slot >> 3]! & (1 << (slot & 7))) !== 0;
}

/** The set of these slots. */
export function slotSet(slots: Iterable<number>): FeedSlots {
  const set = new Uint8Array(FEED_SLOTS_BYTES);
  for (const slot of slots) set[slot >> 3]! |= 1 << (slot & 7);
  return set;
}

/** Thrown for bytes that are not what a feed carries: the other end or the disk is broken. */
export class FeedFormatError extends Error {
  readonly code = 'VASTO_FEED_FORMAT';
}

const SCRATCH_BYTES = 1 << 16;
/** Memory that is kept between uses; what large rows needed beyond is given back. */
const SCRATCH_KEPT_MAX = 1 << 20;

/** Builds rows for feeds one after the other, in memory that is used again. */
export class FeedWriter {
  private scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  private end = 0;
  private rows = 0;

  get byteLength(): number {
    return this.end;
  }

  get rowCount(): number {
    return this.rows;
  }

  /** Leaves room for what {@link take} gets in front: to be called first. */
  skip(bytes: number): void {
    this.reserve(bytes);
    this.end += bytes;
  }

  /** Begins a record of rows. */
  beginRows(): void {
    this.reserve(KIND_BYTES);
    this.scratch[this.end++] = RecordKind.Rows;
  }

  flush(timestamp: number): void {
    this.reserve(FLUSH_RECORD_BYTES);
    this.scratch[this.end] = RecordKind.Flush;
    writeUint64(this.scratch, this.end + KIND_BYTES, timestamp);
    this.end += FLUSH_RECORD_BYTES;
  }

  /** Adds a row as it is in memory. */
  addRow(row: Row): void {
    const { key } = row;
    this.reserve(ENTRY_HEADER_BYTES + key.length + rowRoom(row));
    const { scratch, end } = this;
    const rowAt = end + ENTRY_HEADER_BYTES + key.length;
    writeLatin1(scratch, end + ENTRY_HEADER_BYTES, key);
    const rowEnd = encodeRow(row, scratch, rowAt);
    this.setLengths(end, key.length, rowEnd - rowAt);
    this.end = rowEnd;
    this.rows++;
  }

  /** Adds a row as it is stored. */
  addStored(key: Buffer, row: Buffer): void {
    this.reserve(ENTRY_HEADER_BYTES + key.length + row.length);
    const { scratch, end } = this;
    this.setLengths(end, key.length, row.length);
    scratch.set(key, end + ENTRY_HEADER_BYTES);
    scratch.set(row, end + ENTRY_HEADER_BYTES + key.length);
    this.end = end + ENTRY_HEADER_BYTES + key.length + row.length;
    this.rows++;
  }

  private setLengths(at: number, key: number, row: number): void {
    this.scratch.writeUInt32BE(key, at);
    this.scratch.writeUInt32BE(row, at + LENGTH_BYTES);
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.scratch.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.scratch.length * 2));
    this.scratch.copy(grown, 0, 0, this.end);
    this.scratch = grown;
  }

  /** What was built, in memory that the next use overwrites. */
  take(): Buffer {
    const taken = this.scratch.subarray(0, this.end);
    this.discard();
    return taken;
  }

  discard(): void {
    this.end = 0;
    this.rows = 0;
    if (this.scratch.length > SCRATCH_KEPT_MAX) this.scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  }
}

type VisitRow = (key: Buffer, row: Buffer) => void;

/** Visits rows from `at` on; both buffers are views. @throws FeedFormatError */
export function eachFeedRow(bytes: Buffer, at: number, visit: VisitRow): void {
  while (at < bytes.length) {
    if (at + ENTRY_HEADER_BYTES > bytes.length) throw new FeedFormatError('a row is cut short');
    const keyAt = at + ENTRY_HEADER_BYTES;
    const rowLength = bytes.readUInt32BE(at + LENGTH_BYTES);
    if (rowLength > ROW_BYTES_MAX)
      throw new FeedFormatError('element rows, which this version does not know: update this store first');
    const rowAt = keyAt + bytes.readUInt32BE(at);
    const end = rowAt + rowLength;
    if (end > bytes.length) throw new FeedFormatError('a row is cut short');
    visit(bytes.subarray(keyAt, rowAt), bytes.subarray(rowAt, end));
    at = end;
  }
}

/** The timestamp of a record that is a flush; undefined for one of rows. @throws FeedFormatError */
export function flushTimestamp(record: Buffer): number | undefined {
  const kind = record[0];
  if (kind === RecordKind.Rows) return undefined;
  if (kind !== RecordKind.Flush || record.length !== FLUSH_RECORD_BYTES)
    throw new FeedFormatError(`a record of ${record.length} bytes and kind ${kind}`);
  return readUint64(record, KIND_BYTES);
}

/** Visits the rows of a record that is none of a flush. @throws FeedFormatError */
export function eachRecordRow(record: Buffer, visit: VisitRow): void {
  eachFeedRow(record, KIND_BYTES, visit);
}

/** Puts records together for their way. */
export function joinRecords(records: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(records.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0));
  const view = new DataView(joined.buffer);
  let at = 0;
  for (const record of records) {
    view.setUint32(at, record.length);
    joined.set(record, at + LENGTH_BYTES);
    at += LENGTH_BYTES + record.length;
  }
  return joined;
}

/** Visits the records that {@link joinRecords} put together. @throws FeedFormatError */
export function eachRecord(joined: Buffer, visit: (record: Buffer) => void): void {
  for (let at = 0; at < joined.length; ) {
    if (at + LENGTH_BYTES > joined.length) throw new FeedFormatError('a record is cut short');
    const end = at + LENGTH_BYTES + joined.readUInt32BE(at);
    if (end > joined.length) throw new FeedFormatError('a record is cut short');
    visit(joined.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
}
