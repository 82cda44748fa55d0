import { JOURNAL_AGE_MAX_MS, JOURNAL_MEMTABLES_MAX } from '../base/limits.js';
import type { Row } from '../types/row.js';
import { JournalWriter, journalKey } from './journal-codec.js';
import type { Database } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import { keyScratch, rowBytes } from './row-scratch.js';

/** A record that is on disk, or will be with the next commit. */
export interface JournalRecord {
  readonly number: number;
  /** Where in the stream of rows that the queue could have taken it was written, bytes. */
  readonly position: number;
  /** When it was written, Unix milliseconds. */
  readonly writtenMs: number;
  /** The rows it was written for; those of them whose `journaledIn` is its number have their bytes nowhere else. */
  readonly rows: readonly Row[];
}

/** Share of the row cache that rows may have which cannot be evicted because the journal has them. */
const HELD_SHARE_MAX = 0.25;
/** Share of a record's rows that may still count when it goes; beyond it the journal costs more than it saves. */
const RESTING_SHARE_MAX = 0.6;
/** Rows over which that share is averaged. */
const RESTING_ROWS_AVERAGED = 4096;
/** Of so many batches one goes to a journal that does not pay, to see whether it would. */
const SAMPLED_EVERY = 16;
/** Records done with from which on their places are given back. */
const RECORDS_MOVED_MIN = 256;

/**
 * The records of a journal that are of one kind of rows. They go in the order in which they came; how long they stay, and
 * whether they pay, does not depend on what there is of the other kind.
 *
 * Where most rows of a record still count when it must go, since more keys are overwritten than the queue is long, it
 * only adds to the work. Then rows go to their place at once, but for a sample that tells when this changes.
 */
export class JournalQueue {
  private records: JournalRecord[] = [];
  /** Place of the oldest record in `records`: taking it off the front would move all others. */
  private first = 0;
  /** Bytes of the rows that it has taken, or could have taken. */
  private position = 0;
  private restingShare = 0;
  private readonly writer = new JournalWriter();

  // What the batch at hand changes; it counts from its commit on.
  private added: JournalRecord[] = [];
  private addedRows: Row[] = [];
  /** How many of the oldest records are written back. */
  private taken = 0;

  constructor(private readonly cache: RowCache) {}

  /** Whether it takes a row of so many bytes, which it could take. To be asked once. @param batch its number */
  accepts(bytes: number, batch: number): boolean {
    this.position += bytes;
    return this.restingShare <= RESTING_SHARE_MAX || batch % SAMPLED_EVERY === 0;
  }

  /** @returns whether the record is to be closed */
  add(row: Row): boolean {
    this.writer.addRow(row);
    this.addedRows.push(row);
    return this.writer.isFull;
  }

  /** As {@link add}, that a row is in its place again, or deleted. */
  revoke(key: string): boolean {
    this.writer.addRevocation(key);
    return this.writer.isFull;
  }

  /** Whether there is something that is in no record yet. */
  get isOpen(): boolean {
    return !this.writer.isEmpty;
  }

  /** Stages the record of what was added since the one before. */
  close(target: Database, number: number, nowMs: number): void {
    target.put('log', journalKey(number), this.writer.take());
    this.added.push({ number, position: this.position, writtenMs: nowMs, rows: this.addedRows });
    this.addedRows = [];
  }

  /** Rows that the batch has added. */
  get addedCount(): number {
    let rows = 0;
    for (const record of this.added) rows += record.rows.length;
    return rows;
  }

  /** The oldest record that the batch leaves. */
  get oldest(): JournalRecord | undefined {
    return this.records[this.first + this.taken];
  }

  /** How long it is, in bytes of rows that it has taken or could have taken. */
  get length(): number {
    const { oldest } = this;
    return oldest === undefined ? 0 : this.position - oldest.position;
  }

  /** Whether rows should be written back. @param isLongest whether it is for this queue to give memory back */
  isDue(target: Database, nowMs: number, isLongest: boolean): boolean {
    const { oldest } = this;
    if (oldest === undefined) return false;
    return isOld(oldest, nowMs) || this.isCrowded(target, isLongest ? this.cache.heldBytes : 0, oldest);
  }

  private isCrowded(target: Database, heldBytes: number, oldest: JournalRecord): boolean {
    return (
      this.position - oldest.position > JOURNAL_MEMTABLES_MAX * target.memtableBytes.default ||
      heldBytes > HELD_SHARE_MAX * this.cache.bytesLimit
    );
  }

  /**
   * Stages the rows of the oldest records that must go for `default`, about `rowsMax` of them, and the end of the records.
   * @param isLongest see {@link isDue}
   * @returns how many more rows may be staged
   */
  stageWriteBack(target: Database, rowsMax: number, nowMs: number, isLongest: boolean): number {
    let left = rowsMax;
    let heldBytes = isLongest ? this.cache.heldBytes : 0;
    for (; left > 0; this.taken++) {
      const record = this.oldest;
      if (record === undefined) break;
      const crowded = this.isCrowded(target, heldBytes, record);
      if (!crowded && !isOld(record, nowMs)) break;
      let resting = 0;
      for (const row of record.rows) {
        // A row that the batch has changed is written by it, here or there.
        if (row.journaledIn !== record.number || row.dirty) continue;
        target.put('default', keyScratch(row.key), rowBytes(row));
        heldBytes -= row.cachedBytes;
        resting++;
      }
      target.delete('log', journalKey(record.number));
      left -= resting;
      if (crowded) this.learn(resting, record.rows.length);
    }
    return left;
  }

  private learn(resting: number, rows: number): void {
    if (rows === 0) return;
    this.restingShare += (resting / rows - this.restingShare) * Math.min(1, rows / RESTING_ROWS_AVERAGED);
  }

  /** The records that were taken off are gone. */
  committedTaken(): void {
    for (let index = 0; index < this.taken; index++) {
      const record = this.records[this.first + index]!;
      for (const row of record.rows) if (row.journaledIn === record.number) this.release(row);
    }
    this.first += this.taken;
    this.taken = 0;
    if (this.first < RECORDS_MOVED_MIN || this.first * 2 < this.records.length) return;
    this.records = this.records.slice(this.first);
    this.first = 0;
  }

  /** The bytes of a row are in `default` from now on. */
  release(row: Row): void {
    if (row.journaledIn === 0) return;
    row.journaledIn = 0;
    this.cache.heldBytes -= row.cachedBytes;
  }

  /** The records that were added are on disk. */
  committedAdded(): void {
    for (const record of this.added) {
      for (const row of record.rows) {
        if (row.journaledIn === 0) this.cache.heldBytes += row.cachedBytes;
        row.journaledIn = record.number;
      }
      this.records.push(record);
    }
    this.discard();
  }

  /** Forgets what was staged. */
  discard(): void {
    if (this.added.length > 0) this.added = [];
    if (this.addedRows.length > 0) this.addedRows = [];
    this.taken = 0;
    this.writer.discard();
  }

  get isEmpty(): boolean {
    return this.first === this.records.length;
  }

  /** The rows whose bytes are here only. */
  *rows(): Generator<Row> {
    for (let index = this.first; index < this.records.length; index++) {
      const { number, rows } = this.records[index]!;
      for (const row of rows) if (row.journaledIn === number) yield row;
    }
  }

  /** Takes other records. The old rows must be out of memory. */
  reset(records: readonly JournalRecord[]): void {
    this.discard();
    this.records = [...records];
    this.first = 0;
    this.position = 0;
  }
}

function isOld(record: JournalRecord, nowMs: number): boolean {
  return record.writtenMs + JOURNAL_AGE_MAX_MS <= nowMs;
}
