import { Buffer } from 'node:buffer';
import { SNAPSHOT_SCAN_ROWS } from '../base/limits.js';
import { ElementsKind, type FeedSlots, FeedWriter, hasSlot } from '../types/feed-codec.js';
import type { FlushSet } from '../types/flush-set.js';
import { RowType } from '../types/row.js';
import { elementVersion, rowHeader } from '../types/row-codec.js';
import { keySlot } from '../types/slots.js';
import { elementNameOf } from './element-changes.js';
import { elementBound } from './element-keys.js';
import { FEED_LOG_FROM } from './feed-log.js';
import { eachJournalEntry } from './journal-codec.js';
import type { NodeOverlay } from './node-journal.js';
import type { RangeReader } from './rocksdb.js';
import type { Shard } from './shard.js';
import type { SnapshotPart } from './snapshot-protocol.js';

/** Rows, and element rows, that are read at once. */
const ROWS_READ = 128;
/** Records of the journal that are read at once, each of at most 64 KB. */
const RECORDS_READ = 8;

const writer = new FeedWriter();

interface StoredRow {
  readonly key: Buffer;
  readonly bytes: Buffer;
}

/** A large collection of which a part has been read. */
interface Begun extends StoredRow {
  readonly version: number;
}

/**
 * A shard as it was at one moment, whatever is written afterwards: its rows, what the journal had of them, and the
 * elements of large collections, by iterators that were all made between the same two commits.
 *
 * What is read comes in key order, in parts: rows that have ended, tombstones, and what clients do not see are left out.
 * A large collection is whole if it fits into a part, or else comes piece by piece, each piece a part of its own.
 */
export class ShardSnapshot {
  readonly takenAtMs: number;
  /** See SnapshotOpened. */
  readonly keys: number;
  readonly bytes: number;
  /** When it was last read, Unix milliseconds. */
  usedMs: number;
  private readonly journalReader: RangeReader;
  private readonly rowReader: RangeReader;
  private readonly elementReader: RangeReader;
  /** What the journal of nodes had. */
  private readonly nodes: NodeOverlay;
  private readonly shown: FeedSlots | undefined;
  private readonly flushes: FlushSet;
  /** What the journal has of keys, instead of what their rows are; undefined: these count. */
  private readonly journal = new Map<string, Buffer | undefined>();
  private isJournalRead = false;
  /** Rows that have been read and not looked at. */
  private ahead: (Buffer | undefined)[] = [];
  private aheadAt = 0;
  private isAtEnd = false;
  /** A row that did not fit into the last part. */
  private leftOver: StoredRow | undefined;
  private begun: Begun | undefined;

  /** To be called between batches. */
  constructor(shard: Shard) {
    const { nowMs, replication, hidden } = shard;
    const source = shard.source();
    this.takenAtMs = nowMs;
    this.usedMs = nowMs;
    this.keys = shard.count();
    this.bytes = source.numericProperty('rocksdb.estimate-live-data-size');
    this.shown = hidden.slots && Uint8Array.from(hidden.slots);
    this.flushes = replication.flushes;
    // The later record counts.
    const journal = { before: FEED_LOG_FROM, reverse: true, values: true } as const;
    this.journalReader = source.openReader({ family: 'log', ...journal });
    this.rowReader = source.openReader({ family: 'default', values: true });
    this.elementReader = source.openReader({ family: 'elem', values: true });
    this.nodes = shard.collections.nodes.overlayNow();
  }

  close(): void {
    for (const reader of [this.journalReader, this.rowReader, this.elementReader]) reader.close();
  }

  /**
   * The next part: after so many bytes, or rows looked at, commands should have their turn.
   * @throws StorageError CLOSED when the instance was
   */
  read(bytesMax: number): SnapshotPart {
    writer.discard();
    if (!this.isJournalRead) {
      this.readJournal();
      return this.part(0, false);
    }
    if (this.begun !== undefined) return this.readPiece(this.begun, bytesMax, false);
    let keys = 0;
    for (let looked = 0; looked < SNAPSHOT_SCAN_ROWS && writer.byteLength < bytesMax; looked++) {
      const row = this.nextRow();
      if (row === undefined) return this.part(keys, true);
      if (!this.counts(row)) continue;
      const version = elementVersion(row.bytes);
      if (version === 0) writer.addStored(row.key, row.bytes);
      else if (!this.addWhole(row, version, bytesMax)) {
        // What comes before it goes first.
        if (keys === 0) return this.beginPieces({ ...row, version }, bytesMax);
        this.leftOver = row;
        break;
      }
      keys++;
    }
    return this.part(keys, false);
  }

  private part(keys: number, isDone: boolean): SnapshotPart {
    return { rows: Uint8Array.from(writer.take()), keys, isDone };
  }

  private readJournal(): void {
    const { rows, finished } = this.journalReader.next(RECORDS_READ);
    for (let at = 1; at < rows.length; at += 2)
      eachJournalEntry(rows[at]!, (key, bytes) => {
        if (!this.journal.has(key)) this.journal.set(key, bytes && Buffer.from(bytes));
      });
    if (!finished) return;
    this.isJournalRead = true;
    this.journalReader.close();
  }

  private nextRow(): StoredRow | undefined {
    if (this.leftOver !== undefined) {
      const row = this.leftOver;
      this.leftOver = undefined;
      return row;
    }
    if (this.aheadAt === this.ahead.length) {
      if (this.isAtEnd) return undefined;
      const { rows, finished } = this.rowReader.next(ROWS_READ);
      this.ahead = rows;
      this.aheadAt = 0;
      this.isAtEnd = finished;
      if (rows.length === 0) return undefined;
    }
    const key = this.ahead[this.aheadAt]!;
    const stored = this.ahead[this.aheadAt + 1]!;
    this.aheadAt += 2;
    if (this.journal.size === 0) return { key, bytes: stored };
    return { key, bytes: this.journal.get(key.latin1Slice()) ?? stored };
  }

  /** Whether clients saw a row at that moment. */
  private counts({ key, bytes }: StoredRow): boolean {
    const { type, expiresAtMs, timestamp } = rowHeader(bytes);
    if (type === RowType.Tombstone || (expiresAtMs !== 0 && expiresAtMs <= this.takenAtMs)) return false;
    if (this.shown !== undefined && !hasSlot(this.shown, keySlot(key))) return false;
    return !this.flushes.hasEnded(key, timestamp);
  }

  /** Adds a large collection if the part is not longer than it may be then. */
  private addWhole({ key, bytes }: StoredRow, version: number, bytesMax: number): boolean {
    const start = writer.byteLength;
    writer.beginElements(key, bytes, ElementsKind.All);
    this.elementReader.seek(elementBound(version));
    if (!this.addElements(version, bytesMax)) {
      writer.rewind(start);
      return false;
    }
    writer.endElements();
    return true;
  }

  private beginPieces(row: Begun, bytesMax: number): SnapshotPart {
    this.elementReader.seek(elementBound(row.version));
    this.begun = row;
    return this.readPiece(row, bytesMax, true);
  }

  private readPiece({ key, bytes, version }: Begun, bytesMax: number, isFirst: boolean): SnapshotPart {
    writer.beginElements(key, bytes, isFirst ? ElementsKind.First : ElementsKind.Middle);
    if (!this.addElements(version, bytesMax)) {
      writer.endElements();
      return this.part(0, false);
    }
    this.begun = undefined;
    // What was too large to go whole has more than one piece: a first one that is the last holds all of it.
    writer.endElements(isFirst ? ElementsKind.All : ElementsKind.Last);
    return this.part(1, false);
  }

  /** Adds element rows of a collection up to the bound, some in any case. @returns whether those were the last */
  private addElements(version: number, bytesMax: number): boolean {
    const end = elementBound(version + 1);
    do {
      const { rows, finished } = this.elementReader.next(ROWS_READ);
      for (let at = 0; at < rows.length; at += 2) {
        if (Buffer.compare(rows[at]!, end) >= 0) return true;
        writer.addElement(elementNameOf(rows[at]!), this.nodes.row(rows[at]!, rows[at + 1]!));
      }
      if (finished) return true;
    } while (writer.byteLength < bytesMax);
    return false;
  }
}
