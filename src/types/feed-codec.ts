import { Buffer } from 'node:buffer';
import type { Row } from './row.js';
import {
  encodeRow,
  type RowHeader,
  readUint64,
  rowHeader,
  rowRoom,
  rowTimestamp,
  writeLatin1,
  writeUint64,
} from './row-codec.js';
import { SLOTS } from './slots.js';

/*
 * What a feed carries. Integers are unsigned and big-endian.
 *
 * Rows, one entry behind the other:
 *
 *   offset  bytes  field
 *   0       4      length of the key
 *   4       4      length of the row; bit 31: a large collection, of which the following is there too
 *   8       …      the key
 *   …       …      the row, as in the `default` family
 *   0       1      what comes of its element rows, see ElementsKind
 *   1       8      of changes: the timestamp that the row had before them
 *   9       4      length of what follows
 *   13      4      only of kind 6: the origin of the write that gave that timestamp
 *   …       …      element rows, one behind the other: length of the name (4 bytes), length of the value (4 bytes,
 *                  0xffffffff = the row has gone), the name: the key in the `elem` family without the version, the value
 *
 * A record of the log:
 *
 *   0       1      kind: 1 = rows, 2 = flush of slots that are not told (of format 6), 3 = flush of some slots
 *   1       …      rows; or, 8 bytes, the timestamp of the flush, which supersedes every record before it
 *   9       2048   of kind 3: the slots, see FeedSlots
 *
 * Records on their way: the length of each (4 bytes), then its bytes.
 */
const ENTRY_HEADER_BYTES = 8;
const LENGTH_BYTES = 4;
const KIND_BYTES = 1;
const FLUSH_RECORD_BYTES = 9;
const HAS_ELEMENTS = 0x8000_0000;
const ELEMENTS_HEADER_BYTES = 13;
const ORIGIN_BYTES = 4;
const GONE = 0xffff_ffff;

const RecordKind = { Rows: 1, Flush: 2, SlotsFlush: 3 } as const;

/** What an entry has of the element rows of a large collection. The numbers are on disk: never renumber. */
export const ElementsKind = {
  /** None: whoever needs them must copy the key. */
  None: 0,
  /** As {@link Changes}, without an origin: before format 5. Read, and taken for changes of an origin that is not known. */
  OriginlessChanges: 1,
  /** All. */
  All: 2,
  /** A part of all that are copied: the first, one in the middle, the last. */
  First: 3,
  Middle: 4,
  Last: 5,
  /** Those that have changed. */
  Changes: 6,
} as const;
export type ElementsKind = (typeof ElementsKind)[keyof typeof ElementsKind];

/** What an entry has of a large collection beside the row. */
export interface FeedElements {
  readonly kind: ElementsKind;
  /** Of changes: the timestamp of the row before them. */
  readonly base: number;
  /** Of changes: the origin of the row before them, see Row.origin. */
  readonly origin: number;
  /** The element rows, for {@link eachElement}. */
  readonly rows: Buffer;
}

/** A set of slots: a bit for each, slot `n` is bit `n & 7` of byte `n >> 3`. */
export type FeedSlots = Uint8Array;

export const FEED_SLOTS_BYTES = SLOTS / 8;

/** The set of all slots. */
export const ALL_SLOTS: FeedSlots = new Uint8Array(FEED_SLOTS_BYTES).fill(0xff);

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
  private elementsAt = 0;

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

  flush(timestamp: number, slots: FeedSlots): void {
    this.reserve(FLUSH_RECORD_BYTES + FEED_SLOTS_BYTES);
    this.scratch[this.end] = RecordKind.SlotsFlush;
    writeUint64(this.scratch, this.end + KIND_BYTES, timestamp);
    this.scratch.set(slots, this.end + FLUSH_RECORD_BYTES);
    this.end += FLUSH_RECORD_BYTES + FEED_SLOTS_BYTES;
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

  /** Adds a row with element rows; {@link addElement} adds these, and {@link endElements} ends it. */
  beginElements(key: Buffer, row: Buffer, kind: ElementsKind, base = 0, origin = 0): void {
    const { end } = this;
    this.addStored(key, row);
    this.scratch[end + LENGTH_BYTES]! |= HAS_ELEMENTS >>> 24;
    this.reserve(ELEMENTS_HEADER_BYTES + ORIGIN_BYTES);
    this.elementsAt = this.end;
    this.scratch[this.end] = kind;
    writeUint64(this.scratch, this.end + 1, base);
    this.end += ELEMENTS_HEADER_BYTES;
    if (kind === ElementsKind.Changes) this.end = this.scratch.writeUInt32BE(origin, this.end);
  }

  /** @param value undefined = the row has gone */
  addElement(name: Buffer, value: Buffer | undefined): void {
    this.reserve(2 * LENGTH_BYTES + name.length + (value?.length ?? 0));
    const { scratch } = this;
    scratch.writeUInt32BE(name.length, this.end);
    scratch.writeUInt32BE(value?.length ?? GONE, this.end + LENGTH_BYTES);
    scratch.set(name, this.end + 2 * LENGTH_BYTES);
    this.end += 2 * LENGTH_BYTES + name.length;
    if (value === undefined) return;
    scratch.set(value, this.end);
    this.end += value.length;
  }

  endElements(kind?: ElementsKind): void {
    if (kind !== undefined) this.scratch[this.elementsAt] = kind;
    this.scratch.writeUInt32BE(this.end - this.elementsAt - ELEMENTS_HEADER_BYTES, this.elementsAt + 9);
  }

  /** Takes back everything behind a place: see {@link byteLength}. */
  rewind(byteLength: number): void {
    this.end = byteLength;
    this.rows--;
  }

  /** Adds an entry as it came. */
  addEntry(entry: Buffer): void {
    this.reserve(entry.length);
    this.scratch.set(entry, this.end);
    this.end += entry.length;
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

/**
 * An entry. Of those that come by a log most need no more than what can be read in place: a Buffer costs as much as looking a
 * row up, and is made when it is asked for. All are views.
 */
export class FeedEntry {
  /** @param source the row's bytes are from `rowAt` to `rowEnd` in it, and its key right before them */
  constructor(
    readonly source: Buffer,
    private readonly start: number,
    readonly rowAt: number,
    readonly rowEnd: number,
    private readonly end: number,
    /** Of a large collection. */
    readonly elements: FeedElements | undefined,
  ) {}

  /** Where the key begins in the source; it ends where the row begins. */
  get keyAt(): number {
    return this.start + ENTRY_HEADER_BYTES;
  }

  get key(): Buffer {
    return this.source.subarray(this.keyAt, this.rowAt);
  }

  /** The key as latin1 text. */
  get name(): string {
    return this.source.latin1Slice(this.keyAt, this.rowAt);
  }

  /** The row. */
  get bytes(): Buffer {
    return this.source.subarray(this.rowAt, this.rowEnd);
  }

  /** @throws RowFormatError */
  get header(): RowHeader {
    return rowHeader(this.source, this.rowAt, this.rowEnd);
  }

  /** Of the row. @throws RowFormatError */
  get timestamp(): number {
    return rowTimestamp(this.source, this.rowAt, this.rowEnd);
  }

  /** All of it. */
  get entry(): Buffer {
    return this.source.subarray(this.start, this.end);
  }
}

/** Visits entries from `at` on. @throws FeedFormatError */
export function eachFeedEntry(bytes: Buffer, at: number, visit: (entry: FeedEntry) => void): void {
  while (at < bytes.length) {
    if (at + ENTRY_HEADER_BYTES > bytes.length) throw new FeedFormatError('a row is cut short');
    const keyAt = at + ENTRY_HEADER_BYTES;
    const length = bytes.readUInt32BE(at + LENGTH_BYTES);
    const rowAt = keyAt + bytes.readUInt32BE(at);
    const rowEnd = rowAt + (length >= HAS_ELEMENTS ? length - HAS_ELEMENTS : length);
    if (rowEnd > bytes.length) throw new FeedFormatError('a row is cut short');
    const elements = length >= HAS_ELEMENTS ? elementsAt(bytes, rowEnd) : undefined;
    const end = elements === undefined ? rowEnd : elementsEnd(bytes, rowEnd);
    visit(new FeedEntry(bytes, at, rowAt, rowEnd, end, elements));
    at = end;
  }
}

function elementsEnd(bytes: Buffer, at: number): number {
  return at + ELEMENTS_HEADER_BYTES + bytes.readUInt32BE(at + 9);
}

function elementsAt(bytes: Buffer, at: number): FeedElements {
  const rowsAt = at + ELEMENTS_HEADER_BYTES;
  if (rowsAt > bytes.length) throw new FeedFormatError('element rows are cut short');
  const kind = bytes[at]!;
  if (kind > ElementsKind.Changes) throw new FeedFormatError(`element rows of kind ${kind}`);
  const end = elementsEnd(bytes, at);
  const hasOrigin = kind === ElementsKind.Changes;
  if (end > bytes.length || (hasOrigin && end < rowsAt + ORIGIN_BYTES))
    throw new FeedFormatError('element rows are cut short');
  return {
    kind: kind === ElementsKind.OriginlessChanges ? ElementsKind.Changes : (kind as ElementsKind),
    base: readUint64(bytes, at + 1),
    origin: hasOrigin ? bytes.readUInt32BE(rowsAt) : 0,
    rows: bytes.subarray(hasOrigin ? rowsAt + ORIGIN_BYTES : rowsAt, end),
  };
}

/** Visits element rows; `value` is undefined for one that has gone. @throws FeedFormatError */
export function eachElement(rows: Buffer, visit: (name: Buffer, value: Buffer | undefined) => void): void {
  for (let at = 0; at < rows.length; ) {
    const nameAt = at + 2 * LENGTH_BYTES;
    if (nameAt > rows.length) throw new FeedFormatError('an element row is cut short');
    const valueAt = nameAt + rows.readUInt32BE(at);
    const length = rows.readUInt32BE(at + LENGTH_BYTES);
    const end = valueAt + (length === GONE ? 0 : length);
    if (end > rows.length) throw new FeedFormatError('an element row is cut short');
    visit(rows.subarray(nameAt, valueAt), length === GONE ? undefined : rows.subarray(valueAt, end));
    at = end;
  }
}

/** The timestamp of a record that is a flush; undefined for one of rows. @throws FeedFormatError */
export function flushTimestamp(record: Buffer): number | undefined {
  const kind = record[0];
  if (kind === RecordKind.Rows) return undefined;
  const slotsBytes = kind === RecordKind.SlotsFlush ? FEED_SLOTS_BYTES : 0;
  const isFlush = kind === RecordKind.Flush || kind === RecordKind.SlotsFlush;
  if (!isFlush || record.length !== FLUSH_RECORD_BYTES + slotsBytes)
    throw new FeedFormatError(`a record of ${record.length} bytes and kind ${kind}`);
  return readUint64(record, KIND_BYTES);
}

/** The slots of a record that is a flush, in memory of their own; undefined = it does not tell them. */
export function flushSlots(record: Buffer): FeedSlots | undefined {
  return record[0] === RecordKind.SlotsFlush
    ? new Uint8Array(record.subarray(FLUSH_RECORD_BYTES))
    : undefined;
}

/** Visits the entries of a record that is none of a flush. @throws FeedFormatError */
export function eachRecordEntry(record: Buffer, visit: (entry: FeedEntry) => void): void {
  eachFeedEntry(record, KIND_BYTES, visit);
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
