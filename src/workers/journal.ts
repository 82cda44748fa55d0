import { Buffer } from 'node:buffer';
import { unixMsOf } from '../base/clock.js';
import { JOURNALED_ROW_BYTES_MAX, WRITE_BACK_ROWS_MAX } from '../base/limits.js';
import type { ElementHost } from '../types/collections/elements.js';
import { Row, RowType } from '../types/row.js';
import { decodeRow, RowFormatError } from '../types/row-codec.js';
import type { RowTable } from '../types/row-table.js';
import { FEED_LOG_FROM } from './feed-log.js';
import { eachJournalEntry, JournalFormatError, journalKey, journalNumber } from './journal-codec.js';
import { JournalQueue, type JournalRecord } from './journal-queue.js';
import { type Database, StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';

/** What the `log` family of an instance holds of the journal. */
export interface JournalContents {
  /** In ascending order. */
  readonly records: readonly JournalRecord[];
}

/**
 * The write-behind journal of a shard. Rows that are overwritten again and again go into it at each commit, all of a
 * batch in one record, instead of each to its place in the `default` family; to that they are written when their last
 * record has become the oldest one. So what is overwritten meanwhile is written once.
 *
 * Such a row is *journaled*: its bytes are in the record `journaledIn`, and it stays in memory until it is written
 * back, so whoever reads finds it there. The last record that names a key tells what counts, so a journaled row that is
 * written to `default` after all is revoked in the same batch.
 *
 * Strings and collections have records of their own, which do not wait for each other: rows of collections are longer, and where it
 * does not pay for them it may for strings. A row is revoked in a record of the kind that has it, and those of a kind go in the
 * order in which they came: a revocation never goes before what it revokes.
 */
export class Journal {
  private readonly strings: JournalQueue;
  private readonly collections: JournalQueue;
  private batches = 0;
  /** Number of the last record; with those that wait for the commit. */
  private last = 0;
  private lastStaged = 0;
  /**
   * Records up to this one were there at the start. They are of either kind, go before all others, and are with those of
   * strings, as is what revokes them.
   */
  private takenUpTo = 0;
  /** What the batch at hand revokes. */
  private revoked: Row[] = [];

  constructor(private readonly cache: RowCache) {
    this.strings = new JournalQueue(cache);
    this.collections = new JournalQueue(cache);
  }

  /** Whether the commit should write the row here: not where more than its value has changed. To be asked once. */
  accepts(row: Row): boolean {
    if (!row.written || row.type !== row.storedType || row.expiresAtMs !== row.storedExpiresAtMs)
      return false;
    const bytes = journaledBytes(row);
    return bytes !== 0 && this.queueFor(row).accepts(bytes, this.batches);
  }

  private queueFor(row: Row): JournalQueue {
    return row.collection === undefined ? this.strings : this.collections;
  }

  /** Stages a row that is accepted. */
  add(target: Database, row: Row, nowMs: number): void {
    const queue = this.queueFor(row);
    if (queue.add(row)) this.close(queue, target, nowMs);
  }

  /** Stages that a journaled row is in `default` again, or deleted. */
  revoke(target: Database, row: Row, nowMs: number): void {
    const isWithStrings = row.journaledIn <= this.takenUpTo || row.storedType === RowType.String;
    const queue = isWithStrings ? this.strings : this.collections;
    this.revoked.push(row);
    if (queue.revoke(row.key)) this.close(queue, target, nowMs);
  }

  private close(queue: JournalQueue, target: Database, nowMs: number): void {
    queue.close(target, ++this.lastStaged, nowMs);
  }

  /** Ends the staging of a batch: the last records, and the write-back of what is due. */
  finish(target: Database, nowMs: number): void {
    const { strings, collections } = this;
    if (strings.isOpen) this.close(strings, target, nowMs);
    if (collections.isOpen) this.close(collections, target, nowMs);
    const rowsMax = Math.max(WRITE_BACK_ROWS_MAX, 2 * (strings.addedCount + collections.addedCount));
    this.stageWriteBack(target, rowsMax, nowMs);
    this.batches++;
  }

  private get isStringsLongest(): boolean {
    return this.strings.length >= this.collections.length;
  }

  /** Whether rows should be written back though there is no batch to commit. */
  isDue(target: Database, nowMs: number): boolean {
    const { strings, collections, isStringsLongest } = this;
    return (
      strings.isDue(target, nowMs, isStringsLongest) || collections.isDue(target, nowMs, !isStringsLongest)
    );
  }

  private stageWriteBack(target: Database, rowsMax: number, nowMs: number): void {
    const { strings, collections, isStringsLongest } = this;
    const left = strings.stageWriteBack(target, rowsMax, nowMs, isStringsLongest);
    // What was written since the start may have taken the place of what was there at the start.
    if (strings.oldest === undefined || strings.oldest.number > this.takenUpTo)
      collections.stageWriteBack(target, left, nowMs, !isStringsLongest);
  }

  /**
   * Writes all rows back. Where the disk takes no writes the journal stays what it is, and the next opening takes it up.
   */
  writeAllBack(database: Database): void {
    try {
      while (!this.isEmpty) {
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
    const { strings, collections } = this;
    strings.committedTaken();
    collections.committedTaken();
    for (const row of this.revoked) strings.release(row);
    strings.committedAdded();
    collections.committedAdded();
    this.last = this.lastStaged;
    this.discard();
  }

  /** Forgets what was staged. */
  discard(): void {
    this.strings.discard();
    this.collections.discard();
    if (this.revoked.length > 0) this.revoked = [];
    this.lastStaged = this.last;
  }

  /** Whether no row is journaled. */
  get isEmpty(): boolean {
    return this.strings.isEmpty && this.collections.isEmpty;
  }

  /** The journaled rows. */
  *rows(): Generator<Row> {
    yield* this.strings.rows();
    yield* this.collections.rows();
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
    this.strings.reset(records);
    this.collections.reset([]);
    this.last = records.at(-1)?.number ?? 0;
    this.takenUpTo = this.last;
    this.discard();
  }
}

/** Bytes that a row has in a record, about, if its value is one that a record may have; otherwise 0. */
function journaledBytes(row: Row): number {
  const { collection, key } = row;
  let bytes = key.length;
  if (collection === undefined) {
    if (row.type !== RowType.String) return 0;
    bytes += row.value.length;
  } else {
    if (collection.version !== 0 || collection.nextExpiryMs !== row.storedElementExpiryMs) return 0;
    bytes += collection.encodedBytesMax;
  }
  return bytes > JOURNALED_ROW_BYTES_MAX ? 0 : bytes + ROW_OVERHEAD_BYTES;
}

export const NO_JOURNAL: JournalContents = { records: [] };
const NOTHING = Buffer.alloc(0);

/** What a row has in a record beside its key and value, bytes. */
const ROW_OVERHEAD_BYTES = 14;

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
