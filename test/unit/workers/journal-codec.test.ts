import fc from 'fast-check';
import { expect, it } from 'vitest';
import { JOURNAL_RECORD_BYTES, JOURNALED_ROW_BYTES_MAX } from '../../../src/base/limits.js';
import { Row, RowType } from '../../../src/types/row.js';
import { decodeRow } from '../../../src/types/row-codec.js';
import {
  eachJournalEntry,
  JournalFormatError,
  JournalWriter,
  journalKey,
  journalNumber,
} from '../../../src/workers/journal-codec.js';
import { check } from '../../support/replay.js';

const text = (maxLength: number) =>
  fc.array(fc.integer({ min: 0, max: 255 }), { maxLength }).map((codes) => String.fromCharCode(...codes));

/** A row, or a key that is revoked. */
const entry = fc.record({
  key: text(300),
  value: text(JOURNALED_ROW_BYTES_MAX - 300),
  revoked: fc.boolean(),
  expiresAtMs: fc.constantFrom(0, 1_700_000_000_000),
});

function entriesOf(record: Buffer): unknown[] {
  const entries: unknown[] = [];
  eachJournalEntry(record, (key, bytes) => {
    const row = new Row(key);
    if (bytes !== undefined) decodeRow(row, bytes);
    entries.push({ key, revoked: bytes === undefined, value: row.value, expiresAtMs: row.expiresAtMs });
  });
  return entries;
}

it('records come out as they went in, one after the other from one writer', () => {
  const writer = new JournalWriter();
  return check(
    fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
      for (const { key, value, revoked, expiresAtMs } of entries) {
        if (revoked) writer.addRevocation(key);
        else writer.addRow(Object.assign(new Row(key), { type: RowType.String, value, expiresAtMs }));
      }
      expect(writer.isEmpty).toBe(entries.length === 0);
      expect(entriesOf(writer.take())).toEqual(
        entries.map((each) => (each.revoked ? { ...each, value: '', expiresAtMs: 0 } : each)),
      );
      expect(writer.isEmpty).toBe(true);
    }),
    300,
  );
});

it('a writer is full at its bound, and has room for the entry that makes it so', () => {
  const writer = new JournalWriter();
  const row = Object.assign(new Row('k'.repeat(10)), {
    type: RowType.String,
    value: 'v'.repeat(JOURNALED_ROW_BYTES_MAX - 10),
    expiresAtMs: 1_700_000_000_000,
  });
  let rows = 0;
  for (; !writer.isFull; rows++) writer.addRow(row);
  const record = writer.take();
  expect(record.length).toBeGreaterThanOrEqual(JOURNAL_RECORD_BYTES);
  expect(entriesOf(record)).toHaveLength(rows);
});

it('a record that is cut is refused, or is a shorter one', () => {
  const writer = new JournalWriter();
  for (const key of ['a', 'bc'])
    writer.addRow(Object.assign(new Row(key), { type: RowType.String, value: 'v' }));
  const record = Buffer.from(writer.take());
  const whole = [0, 16, record.length];
  for (let length = 0; length <= record.length; length++) {
    const cut = record.subarray(0, length);
    if (whole.includes(length)) expect(entriesOf(cut)).toHaveLength(whole.indexOf(length));
    else expect(() => entriesOf(cut)).toThrow(JournalFormatError);
  }
});

it('the order of keys is the order of numbers', () => {
  const numbers = [1, 2, 255, 256, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
  expect(numbers.map((number) => journalNumber(journalKey(number)))).toEqual(numbers);
  for (let index = 1; index < numbers.length; index++)
    expect(journalKey(numbers[index - 1]!).compare(journalKey(numbers[index]!))).toBe(-1);
  for (const bad of [Buffer.alloc(7, 1), Buffer.alloc(9, 1), Buffer.alloc(8), Buffer.alloc(8, 255)])
    expect(() => journalNumber(bad)).toThrow(JournalFormatError);
});
