import { Buffer } from 'node:buffer';
import { unixMsOf } from '../base/clock.js';
import { FEED_DELETIONS_MAX, FEED_READ_RECORDS_MAX, FEED_RECORD_BYTES } from '../base/limits.js';
import { ElementsKind, type FeedSlots, FeedWriter, flushTimestamp } from '../types/feed-codec.js';
import { type Row, RowType } from '../types/row.js';
import { elementVersion, readUint64, rowHeader, writeUint64 } from '../types/row-codec.js';
import type { ElementChanges } from './element-changes.js';
import type { FeedPosition } from './feed-protocol.js';
import { type Database, StorageError } from './rocksdb.js';

/*
 * The feed log of a shard, in the `log` family, behind the journal. A record's key is `F` and its number (8 bytes,
 * big-endian), so their order is the order of commits. Numbers have no gaps. Its value:
 *
 *   offset  bytes  field
 *   0       8      bytes of all records before it, since the log began
 *   8       8      the latest timestamp in the shard when it was written
 *   16      …      the record, see types/feed-codec.ts
 */
const KEY_PREFIX = 0x46;
const KEY_BYTES = 9;
const VALUE_HEADER_BYTES = 16;

/** Where the keys of the feed log begin in the `log` family. */
export const FEED_LOG_FROM = Buffer.from([KEY_PREFIX]);
const FEED_LOG_END = Buffer.from([KEY_PREFIX + 1]);

/** What is kept of a log beside its records. */
export interface LogSettings {
  /** '' = the shard does not log. */
  readonly id: string;
  /** Since when its deletions are remembered without a break, Unix milliseconds. */
  readonly sinceMs: number;
  /** When the machine went down with writes that others may have, Unix milliseconds; 0 = never. */
  readonly lostMs: number;
  /** Number of the oldest record that counts, or of the next one. */
  readonly first: number;
  /** Bytes of all records before it. */
  readonly firstOffset: number;
  /** The last record that went though not all followers had it, and the earliest timestamp in those. */
  readonly overrun: { readonly sequence: number; readonly timestamp: number } | undefined;
}

export const NO_LOG: LogSettings = {
  id: '',
  sinceMs: 0,
  lostMs: 0,
  first: 1,
  firstOffset: 0,
  overrun: undefined,
};

/** A place in the log from which on it may be cut off. */
interface Mark {
  readonly sequence: number;
  /** Bytes of all records before it. */
  readonly offset: number;
  /** The earliest timestamp from here to the next mark; 0 = not known. */
  oldest: number;
}

/** Marks of a full log: it is cut off by so many parts of what it may have. */
const MARKS_PER_LOG = 64;

/** How far the log goes, and how far it is deleted. */
interface Extent {
  readonly next: number;
  /** Bytes of all records. */
  readonly offset: number;
  /** Records up to this one are not on disk any more. */
  readonly deletedThrough: number;
}

/**
 * The log of what a shard's clients write, for its followers. What changes is staged into the shard's batch, and counts
 * from {@link committed} on.
 */
export class FeedLog {
  private settings: LogSettings = NO_LOG;
  private extent: Extent = { next: 1, offset: 0, deletedThrough: 0 };
  private marks: Mark[] = [];
  private stagedSettings: LogSettings | undefined;
  private stagedExtent: Extent | undefined;
  /** The earliest timestamp that is staged. */
  private stagedOldest = Number.POSITIVE_INFINITY;
  private readonly writer = new FeedWriter();

  /** Takes up the log of an instance. @returns the latest timestamp that its last record tells of, 0 if there is none */
  open(database: Database, settings: LogSettings): number {
    this.discard();
    this.settings = settings;
    const firstKey = edgeKey(database, false);
    const last = lastRecord(database);
    const isEmpty = last === undefined || last.sequence < settings.first;
    this.extent = {
      next: isEmpty ? settings.first : last.sequence + 1,
      offset: isEmpty ? settings.firstOffset : last.offset + last.bytes,
      deletedThrough: (firstKey ?? settings.first) - 1,
    };
    this.marks = this.isOn ? this.sampleMarks(database) : [];
    return last?.newest ?? 0;
  }

  get isOn(): boolean {
    return this.settings.id !== '';
  }

  get id(): string {
    return this.settings.id;
  }

  get sinceMs(): number {
    return this.settings.sinceMs;
  }

  get lostMs(): number {
    return this.settings.lostMs;
  }

  /** Number of the last record, 0 before the first. */
  get last(): number {
    return this.extent.next - 1;
  }

  get first(): number {
    return this.settings.first;
  }

  get bytes(): number {
    return this.extent.offset - this.settings.firstOffset;
  }

  /** What is to be kept of it, as far as it is staged. */
  get kept(): LogSettings {
    return this.stagedSettings ?? this.settings;
  }

  /** Whether {@link kept} is to be written with the batch. */
  get keptHasChanged(): boolean {
    return this.stagedSettings !== undefined;
  }

  /** Whether records wait for their deletion. */
  get hasLeftovers(): boolean {
    return this.extent.deletedThrough < this.settings.first - 1;
  }

  /** The earliest timestamp in the log, or in what it lost: 0 where that is not known. */
  get oldestTimestamp(): number {
    let oldest = this.settings.overrun?.timestamp ?? Number.POSITIVE_INFINITY;
    if (this.last >= this.first) for (const mark of this.marks) oldest = Math.min(oldest, mark.oldest);
    return oldest;
  }

  // ---------------------------------------------------------------- writing

  /**
   * Stages that the log begins anew under another name. Records of the old one go.
   * @param lostMs when writes were lost, 0 = none were
   */
  begin(id: string, sinceMs: number, lostMs = 0): void {
    this.stageSettings({ ...this.emptied(), id, sinceMs, lostMs, overrun: undefined });
  }

  /**
   * Stages that what was deleted up to a timestamp is not remembered: who copies this shard anew is not to take what is
   * missing here for what was never here.
   */
  forget(timestamp: number): void {
    const sinceMs = unixMsOf(timestamp) + 1;
    if (this.isOn && sinceMs > this.kept.sinceMs) this.stageSettings({ ...this.kept, sinceMs });
  }

  /** Stages that nothing is logged any more. */
  end(): void {
    this.stageSettings({ ...this.emptied(), id: '', sinceMs: 0, lostMs: 0, overrun: undefined });
  }

  private emptied(): LogSettings {
    const { next, offset } = this.stagedExtent ?? this.extent;
    return { ...this.kept, first: next, firstOffset: offset };
  }

  private stageSettings(settings: LogSettings): void {
    this.stagedSettings = settings;
  }

  /** Stages the rows of a commit. @returns the latest timestamp now */
  append(
    target: Database,
    rows: readonly Row[],
    changes: ElementChanges,
    newest: number,
    bytesMax: number,
  ): number {
    for (const row of rows) {
      // What is forgotten here is forgotten elsewhere without being told.
      if (row.type === RowType.Absent) continue;
      this.beginRow();
      if (row.collection === undefined || row.collection.version === 0) this.writer.addRow(row);
      else changes.write(this.writer, row);
      if (row.timestamp > newest) newest = row.timestamp;
      this.endRow(target, row.timestamp, newest);
    }
    this.closeLast(target, newest, bytesMax);
    return newest;
  }

  /**
   * Stages rows as they are stored. Elements do not go with them: whoever lacks those copies the key.
   * @param newest the latest timestamp in the shard, theirs included
   */
  appendStored(
    target: Database,
    rows: readonly { readonly key: Buffer; readonly bytes: Buffer }[],
    newest: number,
    bytesMax: number,
  ): void {
    for (const { key, bytes } of rows) {
      this.beginRow();
      if (elementVersion(bytes) === 0) this.writer.addStored(key, bytes);
      else {
        this.writer.beginElements(key, bytes, ElementsKind.None);
        this.writer.endElements();
      }
      this.endRow(target, rowHeader(bytes).timestamp, newest);
    }
    this.closeLast(target, newest, bytesMax);
  }

  private beginRow(): void {
    if (this.writer.rowCount > 0) return;
    this.writer.skip(VALUE_HEADER_BYTES);
    this.writer.beginRows();
  }

  private endRow(target: Database, timestamp: number, newest: number): void {
    if (timestamp < this.stagedOldest) this.stagedOldest = timestamp;
    if (this.writer.byteLength >= FEED_RECORD_BYTES) this.closeRecord(target, newest);
  }

  private closeLast(target: Database, newest: number, bytesMax: number): void {
    if (this.writer.rowCount > 0) this.closeRecord(target, newest);
    this.cutOff(bytesMax);
  }

  /** Stages a flush of some slots: what follows goes into an empty instance, and a log there begins with it. */
  flush(target: Database, timestamp: number, slots: FeedSlots): void {
    this.stageSettings({ ...this.emptied(), overrun: undefined });
    this.stagedExtent = { ...(this.stagedExtent ?? this.extent), deletedThrough: this.kept.first - 1 };
    if (!this.isOn) return;
    this.writer.skip(VALUE_HEADER_BYTES);
    this.writer.flush(timestamp, slots);
    this.stagedOldest = Math.min(this.stagedOldest, timestamp);
    this.closeRecord(target, timestamp);
  }

  private closeRecord(target: Database, newest: number): void {
    const value = this.writer.take();
    const { next, offset, deletedThrough } = this.stagedExtent ?? this.extent;
    writeUint64(value, 0, offset);
    writeUint64(value, 8, newest);
    target.put('log', logKey(next), value);
    const bytes = value.length - VALUE_HEADER_BYTES;
    this.stagedExtent = { next: next + 1, offset: offset + bytes, deletedThrough };
  }

  /** Stages the end of the oldest records when there are too many, whoever may still need them. */
  private cutOff(bytesMax: number): void {
    const { offset } = this.stagedExtent ?? this.extent;
    let { first, firstOffset, overrun } = this.kept;
    if (offset - firstOffset <= bytesMax) return;
    let timestamp = overrun?.timestamp ?? Number.POSITIVE_INFINITY;
    for (let index = 0; index + 1 < this.marks.length && offset - firstOffset > bytesMax; index++) {
      const next = this.marks[index + 1]!;
      timestamp = Math.min(timestamp, this.marks[index]!.oldest);
      if (next.sequence <= first) continue;
      ({ sequence: first, offset: firstOffset } = next);
    }
    if (first === this.kept.first) return;
    overrun = { sequence: first - 1, timestamp };
    this.stageSettings({ ...this.kept, first, firstOffset, overrun });
  }

  /** Stages the end of records that all followers have. */
  trim(database: Database, through: number): void {
    const { next, offset } = this.extent;
    const first = Math.min(through + 1, next);
    if (!this.isOn || first <= this.kept.first) return;
    const firstOffset = first === next ? offset : offsetOf(database, first);
    // Who is beyond what was lost has it, or has copied since.
    const overrun = (this.kept.overrun?.sequence ?? 0) <= through ? undefined : this.kept.overrun;
    this.stageSettings({ ...this.kept, first, firstOffset, overrun });
  }

  /** Stages the deletion of some of the records that do not count any more. */
  stageDeletions(target: Database): void {
    const { next, offset, deletedThrough } = this.stagedExtent ?? this.extent;
    const until = Math.min(
      this.kept.first - 1,
      deletedThrough + FEED_DELETIONS_MAX + 2 * (next - this.extent.next),
    );
    if (until <= deletedThrough) return;
    for (let sequence = deletedThrough + 1; sequence <= until; sequence++)
      target.delete('log', logKey(sequence));
    this.stagedExtent = { next, offset, deletedThrough: until };
  }

  /** What was staged is on disk. */
  committed(bytesMax: number): void {
    if (this.stagedSettings !== undefined) {
      const began = this.settings.id !== this.stagedSettings.id;
      this.settings = this.stagedSettings;
      if (began) this.marks = [];
    }
    if (this.stagedExtent !== undefined) this.extent = this.stagedExtent;
    if (this.isOn) this.keepMarks(bytesMax);
    this.discard();
  }

  private keepMarks(bytesMax: number): void {
    const { marks } = this;
    const { first, firstOffset } = this.settings;
    while (marks.length > 1 && marks[1]!.sequence <= first) marks.shift();
    if (marks.length === 0) marks.push({ sequence: first, offset: firstOffset, oldest: this.stagedOldest });
    // An empty log holds nothing old.
    else if (marks.length === 1 && first === this.extent.next) marks[0]!.oldest = Number.POSITIVE_INFINITY;
    const last = marks.at(-1)!;
    if (this.stagedOldest < last.oldest) last.oldest = this.stagedOldest;
    const { next, offset } = this.extent;
    if (offset - last.offset >= bytesMax / MARKS_PER_LOG)
      marks.push({ sequence: next, offset, oldest: Number.POSITIVE_INFINITY });
  }

  /** Marks of a log that was written before it was opened. */
  private sampleMarks(database: Database): Mark[] {
    const { first, firstOffset } = this.settings;
    const { next } = this.extent;
    if (first === next) return [];
    const step = Math.max(1, Math.ceil((next - first) / MARKS_PER_LOG));
    const marks: Mark[] = [{ sequence: first, offset: firstOffset, oldest: 0 }];
    for (let sequence = first + step; sequence < next; sequence += step)
      marks.push({ sequence, offset: offsetOf(database, sequence), oldest: 0 });
    return marks;
  }

  /** Forgets what was staged. */
  discard(): void {
    this.stagedSettings = undefined;
    this.stagedExtent = undefined;
    this.stagedOldest = Number.POSITIVE_INFINITY;
    if (this.writer.byteLength > 0) this.writer.discard();
  }

  // ---------------------------------------------------------------- reading

  /**
   * Records behind a position, without a gap; a flush is alone.
   * @param bytesMax of the records together; the first is read whatever it has
   * @returns undefined when the log cannot continue the position
   */
  read(
    database: Database,
    after: FeedPosition,
    bytesMax: number,
  ): { records: Buffer[]; last: number } | undefined {
    if (after.log !== this.id || after.sequence > this.last) return undefined;
    const { first } = this.settings;
    let last = after.sequence;
    if (last < first - 1) {
      // What a flush removed nobody needs any more.
      if (first > this.last || flushTimestamp(recordOf(database, first)) === undefined) return undefined;
      last = first - 1;
    }
    const records: Buffer[] = [];
    if (last === this.last) return { records, last };
    let bytes = 0;
    database.iterate(
      { family: 'log', from: logKey(last + 1), before: FEED_LOG_END, values: true },
      (_, value) => {
        const record = value!.subarray(VALUE_HEADER_BYTES);
        const isFlush = flushTimestamp(record) !== undefined;
        bytes += record.length;
        if (records.length > 0 && (isFlush || bytes > bytesMax)) return false;
        records.push(record);
        last++;
        return !isFlush && records.length < FEED_READ_RECORDS_MAX;
      },
    );
    return { records, last };
  }
}

function logKey(sequence: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key[0] = KEY_PREFIX;
  writeUint64(key, 1, sequence);
  return key;
}

/** The number of the first or last record on disk. */
function edgeKey(database: Database, isLast: boolean): number | undefined {
  let sequence: number | undefined;
  const range = { from: FEED_LOG_FROM, before: FEED_LOG_END };
  database.iterate({ family: 'log', ...range, reverse: isLast, values: false }, (key) => {
    sequence = readUint64(key, 1);
    return false;
  });
  return sequence;
}

function valueAt(database: Database, sequence: number): Buffer {
  const value = database.get('log', logKey(sequence));
  if (value === undefined || value.length < VALUE_HEADER_BYTES)
    throw new StorageError('CORRUPT', `${database.path}: record ${sequence} of the feed log is missing`);
  return value;
}

function recordOf(database: Database, sequence: number): Buffer {
  return valueAt(database, sequence).subarray(VALUE_HEADER_BYTES);
}

function offsetOf(database: Database, sequence: number): number {
  return readUint64(valueAt(database, sequence), 0);
}

function lastRecord(
  database: Database,
): { sequence: number; offset: number; newest: number; bytes: number } | undefined {
  const sequence = edgeKey(database, true);
  if (sequence === undefined) return undefined;
  const value = valueAt(database, sequence);
  return {
    sequence,
    offset: readUint64(value, 0),
    newest: readUint64(value, 8),
    bytes: value.length - VALUE_HEADER_BYTES,
  };
}
