import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ALL_SLOTS,
  ElementsKind,
  eachElement,
  eachFeedEntry,
  eachRecord,
  eachRecordEntry,
  type FeedEntry,
  FeedFormatError,
  FeedWriter,
  flushSlots,
  flushTimestamp,
  hasSlot,
  joinRecords,
  slotSet,
} from '../../../src/types/feed-codec.js';
import { Row, RowType } from '../../../src/types/row.js';
import { decodeContents, rowHeader } from '../../../src/types/row-codec.js';

const text = fc.string({ unit: 'binary-ascii', maxLength: 60 });
const entries = fc.array(fc.tuple(text, text), { maxLength: 20 });

function stringRow(key: string, value: string, expiresAtMs = 0): Row {
  const row = new Row(key);
  Object.assign(row, { type: RowType.String, value, expiresAtMs, timestamp: 12_345_678 });
  return row;
}

function rowsOf(bytes: Buffer, at = 0): [string, string][] {
  const found: [string, string][] = [];
  eachFeedEntry(bytes, at, ({ key, bytes: stored }) => {
    const row = new Row(key.latin1Slice());
    decodeContents(row, stored);
    found.push([row.key, String(row.value)]);
  });
  return found;
}

describe('rows of a feed', () => {
  it('are read as they were written, from memory or as stored', () =>
    fc.assert(
      fc.property(entries, fc.boolean(), (wanted, asStored) => {
        const writer = new FeedWriter();
        for (const [key, value] of wanted) writer.addRow(stringRow(key, value));
        let bytes = Buffer.from(writer.take());
        if (asStored) {
          eachFeedEntry(bytes, 0, ({ key, bytes: row }) => writer.addStored(key, row));
          expect(writer.rowCount).toBe(wanted.length);
          expect(writer.byteLength).toBe(bytes.length);
          bytes = Buffer.from(writer.take());
        }
        expect(rowsOf(bytes)).toEqual(wanted);
        expect(writer.byteLength).toBe(0);
      }),
    ));

  it('may be large', () => {
    const writer = new FeedWriter();
    writer.addRow(stringRow('k', 'v'.repeat(3 << 20)));
    writer.addRow(stringRow('l', 'small'));
    expect(rowsOf(writer.take()).map(([key, { length }]) => [key, length])).toEqual([
      ['k', 3 << 20],
      ['l', 5],
    ]);
  });

  it('that are cut short anywhere are refused', () => {
    const writer = new FeedWriter();
    writer.addRow(stringRow('key', 'value', 99));
    const bytes = Buffer.from(writer.take());
    for (let length = 1; length < bytes.length; length++)
      expect(() => rowsOf(bytes.subarray(0, length))).toThrow(FeedFormatError);
  });

  it('may have element rows, which are read as they were written', () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(text, fc.option(text))), fc.boolean(), (wanted, changes) => {
        const writer = new FeedWriter();
        const kind = changes ? ElementsKind.Changes : ElementsKind.All;
        writer.addRow(stringRow('before', '1'));
        writer.beginElements(Buffer.from('key'), Buffer.from('a row'), kind, 77, 88);
        for (const [name, value] of wanted)
          writer.addElement(
            Buffer.from(name, 'latin1'),
            value === null ? undefined : Buffer.from(value, 'latin1'),
          );
        writer.endElements();
        writer.addRow(stringRow('behind', '2'));
        const bytes = Buffer.from(writer.take());
        const found: FeedEntry[] = [];
        eachFeedEntry(bytes, 0, (entry) => found.push(entry));
        expect(found.map(({ key }) => key.toString())).toEqual(['before', 'key', 'behind']);
        expect(found[1]!.elements).toMatchObject({ kind, base: 77, origin: changes ? 88 : 0 });
        const elements: [string, string | null][] = [];
        eachElement(found[1]!.elements!.rows, (name, value) =>
          elements.push([name.latin1Slice(), value?.latin1Slice() ?? null]),
        );
        expect(elements).toEqual(wanted);
        for (const { entry } of found) writer.addEntry(entry);
        expect(Buffer.from(writer.take())).toEqual(bytes);
      }),
    ));

  it('may have changes without an origin, as before format 5', () => {
    const writer = new FeedWriter();
    writer.beginElements(Buffer.from('k'), Buffer.from('a row'), ElementsKind.OriginlessChanges, 77);
    writer.addElement(Buffer.from('name'), undefined);
    writer.endElements();
    const names: string[] = [];
    eachFeedEntry(writer.take(), 0, ({ elements }) => {
      expect(elements).toMatchObject({ kind: ElementsKind.Changes, base: 77, origin: 0 });
      eachElement(elements!.rows, (name) => names.push(name.latin1Slice()));
    });
    expect(names).toEqual(['name']);
  });

  it('whose element rows are cut short anywhere, or of unknown kinds, are refused', () => {
    const writer = new FeedWriter();
    writer.beginElements(Buffer.from('key'), Buffer.from('a row'), ElementsKind.All);
    writer.addElement(Buffer.from('name'), Buffer.from('value'));
    writer.endElements();
    const bytes = Buffer.from(writer.take());
    const readAll = (cut: Buffer) =>
      eachFeedEntry(cut, 0, ({ elements }) => eachElement(elements!.rows, () => undefined));
    readAll(bytes);
    for (let length = 1; length < bytes.length; length++)
      expect(() => readAll(bytes.subarray(0, length))).toThrow(FeedFormatError);
    const rows = bytes.subarray(bytes.length - 17);
    for (let length = 1; length < rows.length; length++)
      expect(() => eachElement(rows.subarray(0, length), () => undefined)).toThrow(FeedFormatError);
    bytes[8 + 3 + 5] = 9;
    expect(() => readAll(bytes)).toThrow('kind 9');
  });
});

const SOME_SLOTS = slotSet([0, 7, 16_383]);

describe('records', () => {
  it('are put together and taken apart', () =>
    fc.assert(
      fc.property(fc.array(fc.oneof(entries, fc.integer({ min: 0, max: 2 ** 50 }))), (wanted) => {
        const writer = new FeedWriter();
        const records = wanted.map((record) => {
          writer.skip(16);
          if (typeof record === 'number') writer.flush(record, record % 2 === 0 ? ALL_SLOTS : SOME_SLOTS);
          else {
            writer.beginRows();
            for (const [key, value] of record) writer.addRow(stringRow(key, value));
          }
          return Buffer.from(writer.take().subarray(16));
        });
        const found: unknown[] = [];
        eachRecord(Buffer.from(joinRecords(records)), (record) => {
          const flush = flushTimestamp(record);
          const rows: unknown[] = [];
          if (flush === undefined)
            eachRecordEntry(record, ({ key, bytes: row }) =>
              rows.push([key.latin1Slice(), rowHeader(row).timestamp === 12_345_678 && rowsOf(record, 1)]),
            );
          if (flush !== undefined)
            expect(flushSlots(record)).toEqual(flush % 2 === 0 ? ALL_SLOTS : SOME_SLOTS);
          found.push(flush ?? rows.map((each) => (each as [string])[0]));
        });
        expect(found).toEqual(
          wanted.map((record) => (typeof record === 'number' ? record : record.map(([key]) => key))),
        );
      }),
    ));

  it('of a flush of format 6 do not tell its slots', () => {
    const record = Buffer.from([2, 0, 0, 0, 0, 0, 0, 1, 2]);
    expect([flushTimestamp(record), flushSlots(record)]).toEqual([258, undefined]);
  });

  it('of unknown kinds and cut ones are refused', () => {
    expect(() => flushTimestamp(Buffer.from([9, 0]))).toThrow(FeedFormatError);
    expect(() => flushTimestamp(Buffer.from([2, 0]))).toThrow(FeedFormatError);
    expect(() => flushTimestamp(Buffer.from([3, ...Array(9).fill(0)]))).toThrow(FeedFormatError);
    expect(() => flushTimestamp(Buffer.alloc(0))).toThrow(FeedFormatError);
    const joined = Buffer.from(joinRecords([Buffer.from([1])]));
    for (let length = 1; length < joined.length; length++)
      expect(() => eachRecord(joined.subarray(0, length), () => undefined)).toThrow(FeedFormatError);
  });
});

it('a set of slots has those and no others', () =>
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 16383 })), (slots) => {
      const set = slotSet(slots);
      const found = Array.from({ length: 16384 }, (_, slot) => slot).filter((slot) => hasSlot(set, slot));
      expect(found).toEqual(slots.toSorted((a, b) => a - b));
    }),
    { numRuns: 20 },
  ));
