import { Buffer } from 'node:buffer';
import { JOURNAL_RECORD_BYTES, JOURNALED_ROW_BYTES_MAX } from '../base/limits.js';
import type { Row } from '../types/row.js';
import { encodeRow, ROW_HEADER_BYTES_MAX, readUint64, writeLatin1, writeUint64 } from '../types/row-codec.js';

/*
 * A record of the journal, in the `log` family. Its key is its number, 8 bytes, big-endian, so the order of records is
 * the order in which they were written. Its value is a list of entries, one behind the other:
 *
 *   offset  bytes  field
 *   0       2      length of the key, big-endian
 *   2       2      length of the row, big-endian; 0 = the row is in the `default` family again, whatever earlier records say
 *   4       …      the key
 *   …       …      the row, as in the `default` family
 */
const ENTRY_HEADER_BYTES = 4;
const RECORD_KEY_BYTES = 8;

/** A record stays below {@link JOURNAL_RECORD_BYTES} until its last entry. */
const SCRATCH_BYTES =
  JOURNAL_RECORD_BYTES + ENTRY_HEADER_BYTES + JOURNALED_ROW_BYTES_MAX + ROW_HEADER_BYTES_MAX;

/** Thrown for bytes that are not a record: the disk or the program is broken. */
export class JournalFormatError extends Error {
  readonly code = 'VASTO_JOURNAL_FORMAT';
}

/** Builds one record after the other, in memory that is used again. */
export class JournalWriter {
  private readonly scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  private end = 0;

  get isEmpty(): boolean {
    return this.end === 0;
  }

  get isFull(): boolean {
    return this.end >= JOURNAL_RECORD_BYTES;
  }

  /** Adds a row, whose key and value have at most {@link JOURNALED_ROW_BYTES_MAX} bytes together. */
  addRow(row: Row): void {
    const rowAt = this.addKey(row.key);
    const end = encodeRow(row, this.scratch, rowAt);
    this.setRowLength(rowAt - row.key.length, end - rowAt);
    this.end = end;
  }

  /** Says that what the journal has of a key no longer counts. */
  addRevocation(key: string): void {
    const end = this.addKey(key);
    this.setRowLength(end - key.length, 0);
    this.end = end;
  }

  private addKey(key: string): number {
    const { scratch, end } = this;
    scratch[end] = key.length >>> 8;
    scratch[end + 1] = key.length;
    writeLatin1(scratch, end + ENTRY_HEADER_BYTES, key);
    return end + ENTRY_HEADER_BYTES + key.length;
  }

  private setRowLength(keyAt: number, length: number): void {
    this.scratch[keyAt - 2] = length >>> 8;
    this.scratch[keyAt - 1] = length;
  }

  /** The record, in memory that the next one overwrites; the next entry begins a new one. */
  take(): Buffer {
    const record = this.scratch.subarray(0, this.end);
    this.end = 0;
    return record;
  }

  discard(): void {
    this.end = 0;
  }
}

/** Visits the entries of a record in order; `row` is undefined for a revocation. @throws JournalFormatError */
export function eachJournalEntry(
  record: Buffer,
  visit: (key: string, row: Buffer | undefined) => void,
): void {
  let at = 0;
  while (at < record.length) {
    if (at + ENTRY_HEADER_BYTES > record.length) throw new JournalFormatError('an entry is cut short');
    const keyAt = at + ENTRY_HEADER_BYTES;
    const rowAt = keyAt + record.readUInt16BE(at);
    const end = rowAt + record.readUInt16BE(at + 2);
    if (end > record.length) throw new JournalFormatError('an entry is cut short');
    visit(record.latin1Slice(keyAt, rowAt), end === rowAt ? undefined : record.subarray(rowAt, end));
    at = end;
  }
}

/** The key of a record. */
export function journalKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(RECORD_KEY_BYTES);
  writeUint64(key, 0, number);
  return key;
}

/** The number in the key of a record. @throws JournalFormatError */
export function journalNumber(key: Buffer): number {
  if (key.length !== RECORD_KEY_BYTES) throw new JournalFormatError(`a key of ${key.length} bytes`);
  const number = readUint64(key, 0);
  if (!Number.isSafeInteger(number) || number === 0) throw new JournalFormatError(`a number of ${number}`);
  return number;
}
