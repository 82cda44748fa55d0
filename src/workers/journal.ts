import { Buffer } from 'node:buffer';
import { unixMsOf } from '../base/clock.js';
import {
  JOURNAL_AGE_MAX_MS,
  JOURNAL_MEMTABLES_MAX,
  JOURNALED_COLLECTION_BYTES_MAX,
  JOURNALED_ROW_BYTES_MAX,
  WRITE_BACK_ROWS_MAX,
} from '../base/limits.js';
import type { ElementHost } from '../types/collections/elements.js';
import { Row, RowType } from '../types/row.js';
import { decodeRow, RowFormatError } from '../types/row-codec.js';
import type { RowTable } from '../types/row-table.js';
import { FEED_LOG_FROM } from './feed-log.js';
import {
  eachJournalEntry,
  JournalFormatError,
  JournalWriter,
  journalKey,
  journalNumber,
} from './journal-codec.js';
import { type Database, StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import { keyScratch, rowBytes } from './row-scratch.js';

/** A record that is on disk, or will be with the next commit. */
interface JournalRecord {
  readonly number: number;
  /** Where in the stream of rows that the journal could have taken it was written, bytes. */
  readonly position: number;
  /** When it was written, Unix milliseconds. */
  readonly writtenMs: number;
  /** The rows it was written for; those of them whose `journaledIn` is its number have their bytes nowhere else. */
  readonly rows: readonly Row[];
}

/** What the `log` family of an instance holds of the journal. */
export interface JournalContents {
  /** In ascending order. */
  readonly records: readonly JournalRecord[];
}

/** Share of the row cache that rows may have which cannot be evicted because the journal has them. */
const HELD_SHARE_MAX = 0.25;
/** Share of a record's rows that may still count when it goes; beyond it the journal costs more than it saves. */
const RESTING_SHARE_MAX = 0.6;
/** Rows over which that share is averaged. */
const RESTING_ROWS_AVERAGED = 4096;
/** Of so many batches one goes to a journal that does not pay, to see whether it would. */
const SAMPLED_EVERY = 16;

/**
 * The write-behind journal of a shard. Rows that are overwritten again and again go into it at each commit, all of a
 * batch in one record, instead of each to its place in the `default` family; to that they are written when their last
 * record has become the oldest one. So what is overwritten meanwhile is written once.
 *
 * Such a row is *journaled*: its bytes are in the record `journaledIn`, and it stays in memory until it is written
 * back, so whoever reads finds it there. The last record that names a key tells what counts, so a journaled row that is
 * written to `default` after all is revoked in the same batch. Records go in the order in which they came: a
 * revocation never goes before what it revokes.
 *
 * Where most rows of a record still count when it must go, since more keys are overwritten than the journal is long, it
 * only adds to the work. Then rows go to their place at once, but for a sample that tells when this changes.
 */
export class Journal {
  private records: JournalRecord[] = [];
  /** Place of the oldest record in `records`: taking it off the front would move all others. */
  private first = 0;
  /** Bytes of the rows that it has taken, or could have taken. */
  private position = 0;
  private restingShare = 0;
  private batches = 0;
  private nextNumber = 1;
  private readonly writer = new JournalWriter();

  // What the batch at hand changes; it counts from its commit on.
  private added: JournalRecord[] = [];
  private addedRows: Row[] = [];
  private addedCount = 0;
  private revoked: Row[] = [];
  /** How many of the oldest records are written back. */
  private taken = 0;

  constructor(private readonly cache: RowCache) {}

  /** Whether the commit should write the row here: not where more than its value has changed. To be asked once. */
  accepts(row: Row): boolean {
    if (!row.written || row.type !== row.storedType || row.expiresAtMs !== row.storedExpiresAtMs)
      return false;
    const bytes = journaledBytes(row);
    if (bytes === 0) return false;
    this.position += bytes;
    return this.restingShare <= RESTING_SHARE_MAX || this.batches % SAMPLED_EVERY === 0;
  }

  /** Stages a row that is accepted. */
  add(target: Database, row: Row, nowMs: number): void {
    this.writer.addRow(row);
    this.addedRows.push(row);
    if (this.writer.isFull) this.closeRecord(target, nowMs);
  }

  /** Stages that a journaled row is in `default` again, or deleted. */
  revoke(target: Database, row: Row, nowMs: number): void {
    this.writer.addRevocation(row.key);
    this.revoked.push(row);
    if (this.writer.isFull) this.closeRecord(target, nowMs);
  }

  private closeRecord(target: Database, nowMs: number): void {
    const record = this.writer.take();
    const number = this.nextNumber + this.added.length;
    target.put('log', journalKey(number), record);
    this.added.push({ number, position: this.position, writtenMs: nowMs, rows: this.addedRows });
    this.addedCount += this.addedRows.length;
    this.addedRows = [];
  }

  /** Ends the staging of a batch: the last record, and the write-back of what is due. */
  finish(target: Database, nowMs: number): void {
    if (!this.writer.isEmpty) this.closeRecord(target, nowMs);
    this.stageWriteBack(target, Math.max(WRITE_BACK_ROWS_MAX, 2 * this.addedCount), nowMs);
    this.batches++;
  }

  /** Whether rows should be written back though there is no batch to commit. */
  isDue(target: Database, nowMs: number): boolean {
    const oldest = this.records[this.first];
    if (oldest === undefined) return false;
    return isOld(oldest, nowMs) || this.isCrowded(target, this.cache.heldBytes, oldest);
  }

  private isCrowded(target: Database, heldBytes: number, oldest: JournalRecord): boolean {
    return (
      this.position - oldest.position > JOURNAL_MEMTABLES_MAX * target.memtableBytes ||
      heldBytes > HELD_SHARE_MAX * this.cache.bytesLimit
    );
  }

  /** Stages the rows of the oldest records that must go for `default`, about `rowsMax` of them, and the end of the records. */
  private stageWriteBack(target: Database, rowsMax: number, nowMs: number): void {
    let left = rowsMax;
    let { heldBytes } = this.cache;
    for (; left > 0; this.taken++) {
      const record = this.records[this.first + this.taken];
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
  }

  private learn(resting: number, rows: number): void {
    if (rows === 0) return;
    this.restingShare += (resting / rows - this.restingShare) * Math.min(1, rows / RESTING_ROWS_AVERAGED);
  }

  /**
   * Writes all rows back. Where the disk takes no writes the journal stays what it is, and the next opening takes it up.
   */
  writeAllBack(database: Database): void {
    try {
      while (this.records.length > this.first) {
        this.stageWriteBack(database, WRITE_BACK_ROWS_MAX, Number.POSITIVE_INFINITY);
        database.commit(false);
        this.committed();
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.discard();
    }
  }

  /** What was staged is on disk. */
  committed(): void {
    for (let index = 0; index < this.taken; index++) {
      const record = this.records[this.first + index]!;
      for (const row of record.rows) if (row.journaledIn === record.number) this.release(row);
    }
    this.dropOldest(this.taken);
    for (const row of this.revoked) this.release(row);
    for (const record of this.added) {
      for (const row of record.rows) {
        if (row.journaledIn === 0) this.cache.heldBytes += row.cachedBytes;
        row.journaledIn = record.number;
      }
      this.records.push(record);
      this.nextNumber = record.number + 1;
    }
    this.discard();
  }

  private release(row: Row): void {
    if (row.journaledIn === 0) return;
    row.journaledIn = 0;
    this.cache.heldBytes -= row.cachedBytes;
  }

  private dropOldest(count: number): void {
    this.first += count;
    if (this.first < RECORDS_MOVED_MIN || this.first * 2 < this.records.length) return;
    this.records = this.records.slice(this.first);
    this.first = 0;
  }

  /** Forgets what was staged. */
  discard(): void {
    if (this.added.length > 0) this.added = [];
    if (this.addedRows.length > 0) this.addedRows = [];
    if (this.revoked.length > 0) this.revoked = [];
    this.addedCount = 0;
    this.taken = 0;
    this.writer.discard();
  }

  /** Whether no row is journaled. */
  get isEmpty(): boolean {
    return this.first === this.records.length;
  }

  /** The journaled rows. */
  *rows(): Generator<Row> {
    for (let index = this.first; index < this.records.length; index++) {
      const { number, rows } = this.records[index]!;
      for (const row of rows) if (row.journaledIn === number) yield row;
    }
  }

  /**
   * Makes journaled rows, whatever has become of them in memory, what is committed of them.
   * @param host where collections would have their elements
   * @throws StorageError what reading throws; OTHER where the disk has other records than it should
   */
  restore(database: Database, rows: Iterable<Row>, host: ElementHost): void {
    const wanted = new Map<number, Map<string, Row>>();
    for (const row of rows) {
      const ofRecord = wanted.get(row.journaledIn);
      if (ofRecord === undefined) wanted.set(row.journaledIn, new Map([[row.key, row]]));
      else ofRecord.set(row.key, row);
    }
    for (const [number, ofRecord] of wanted) {
      const record = database.get('log', journalKey(number)) ?? NOTHING;
      orCorrupt(database, number, () =>
        eachJournalEntry(record, (key, bytes) => {
          const row = ofRecord.get(key);
          if (row === undefined || bytes === undefined) return;
          decodeJournaled(row, bytes, host);
          this.cache.resized(row);
          ofRecord.delete(key);
        }),
      );
      if (ofRecord.size > 0)
        throw new StorageError(
          'OTHER',
          `${database.path}: record ${number} of the journal is not what it was`,
        );
    }
  }

  /** Takes other contents, those of an instance that was opened or of an empty one. The old rows must be out of memory. */
  reset({ records }: JournalContents): void {
    this.discard();
    this.records = [...records];
    this.first = 0;
    this.position = 0;
    this.nextNumber = (records.at(-1)?.number ?? 0) + 1;
  }
}

/** Bytes that a row has in a record, about, if its value is one that a record may have; otherwise 0. */
function journaledBytes(row: Row): number {
  const { collection, key } = row;
  let bytes: number;
  if (collection === undefined) {
    bytes = key.length + row.value.length;
    if (row.type !== RowType.String || bytes > JOURNALED_ROW_BYTES_MAX) return 0;
  } else {
    if (collection.version !== 0 || collection.nextExpiryMs !== row.storedElementExpiryMs) return 0;
    bytes = key.length + collection.encodedBytesMax;
    if (bytes > JOURNALED_COLLECTION_BYTES_MAX) return 0;
  }
  return bytes + ROW_OVERHEAD_BYTES;
}

function isOld(record: JournalRecord, nowMs: number): boolean {
  return record.writtenMs + JOURNAL_AGE_MAX_MS <= nowMs;
}

export const NO_JOURNAL: JournalContents = { records: [] };
const NOTHING = Buffer.alloc(0);

/** What a row has in a record beside its key and value, bytes. */
const ROW_OVERHEAD_BYTES = 14;

/** Records done with from which on their places are given back. */
const RECORDS_MOVED_MIN = 256;

/**
 * Reads the journal of an instance.
 * @param home the table that the rows will be in
 * @param host where collections would have their elements
 * @throws StorageError CORRUPT for what is not a journal, and what reading throws
 */
export function readJournal(database: Database, home: RowTable, host: ElementHost): JournalContents {
  const records: JournalRecord[] = [];
  /** Keys that a later record has named. */
  const known = new Set<string>();
  let last = 0;
  const range = { family: 'log', before: FEED_LOG_FROM, reverse: true, values: true } as const;
  database.iterate(range, (key, record) => {
    const number = orCorrupt(database, last, () => journalNumber(key));
    last = number;
    const rows = orCorrupt(database, number, () => lastRows(record!, number, known, home, host));
    // As old as can be, so that they are written back soon.
    records.push({ number, position: 0, writtenMs: 0, rows });
    return true;
  });
  return { records: records.reverse() };
}

/** @throws StorageError CORRUPT for what is not a journal */
function orCorrupt<T>(database: Database, number: number, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof JournalFormatError || cause instanceof RowFormatError)) throw cause;
    throw new StorageError(
      'CORRUPT',
      `${database.path}: record ${number} of the journal cannot be read: ${cause.message}. Restore the shard from a copy.`,
      { cause },
    );
  }
}

/** The rows of a record that no later one has. A record names a key once: a batch writes a row once. */
function lastRows(
  record: Buffer,
  number: number,
  known: Set<string>,
  home: RowTable,
  host: ElementHost,
): Row[] {
  const rows: Row[] = [];
  eachJournalEntry(record, (key, bytes) => {
    if (known.has(key)) return;
    known.add(key);
    if (bytes === undefined) return;
    const row = new Row(key, home);
    decodeJournaled(row, bytes, host);
    row.accessedMs = unixMsOf(row.timestamp);
    row.written = true;
    row.journaledIn = number;
    rows.push(row);
  });
  return rows;
}

/** @throws RowFormatError also for what does not go to a journal */
function decodeJournaled(row: Row, bytes: Buffer, host: ElementHost): void {
  decodeRow(row, bytes, host);
  if ((row.collection?.version ?? 0) !== 0) throw new RowFormatError('a row with element rows in a journal');
}
