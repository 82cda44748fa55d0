import { describe, expect, it } from 'vitest';
import { ByteReader } from '../../../../src/types/binary.js';
import { SortedTable } from '../../../../src/types/collections/sorted-table.js';
import { ENTRY_CODEC, type StoredEntry } from '../../../../src/types/collections/stream-entries.js';
import { stringValue, valueText } from '../../../../src/types/row.js';
import type { Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';

const idOf = (number: number) => String(number).padStart(16, '0');

function entryOf(number: number, random: Random): StoredEntry {
  const length = random.chance(0.02) ? random.int(10_000, 20_000) : random.int(0, 200);
  return { id: idOf(number), fields: ['field', stringValue(Buffer.from(random.bytes(length), 'latin1'))] };
}

function shown({ id, fields }: StoredEntry): unknown {
  return [id, typeof fields === 'number' ? fields : fields.map(valueText)];
}

/** Everything that a table tells of its entries, read from a copy so that the table stays as it is. */
function contents(table: SortedTable<StoredEntry>): unknown[] {
  const copy = new SortedTable(ENTRY_CODEC);
  copy.copyFrom(table, undefined);
  const entries: unknown[] = [];
  copy.each(0, copy.size, (entry) => entries.push(shown(entry)) > 0);
  return entries;
}

function encoded(table: SortedTable<StoredEntry>): Buffer {
  const target = Buffer.alloc(table.encodedBytesMax + 3, 0xee);
  return target.subarray(3, table.encode(target, 3));
}

describe('a table of few entries', () => {
  it('has what was put in it, in whichever form it is', () =>
    seeded(20, (random) => {
      const table = new SortedTable(ENTRY_CODEC);
      const model: StoredEntry[] = [];
      let next = 1;
      for (let step = 0; step < 300; step++) {
        const index = random.int(0, Math.max(0, model.length - 1));
        // Long stretches of nothing but appending, as a stream has them.
        if (step % 50 < 25 || model.length === 0 || random.chance(0.5)) {
          const entry = entryOf(next++, random);
          table.append(entry);
          model.push(entry);
        } else if (random.chance(0.3)) {
          const entry = { ...entryOf(0, random), id: model[index]!.id };
          table.put(entry);
          model[index] = entry;
        } else if (random.chance(0.4)) {
          table.removeRange(index, index + 1);
          model.splice(index, 1);
        } else if (random.chance(0.35)) {
          expect(shown(table.get(model[index]!.id)!)).toEqual(shown(model[index]!));
          expect(table.rank(`${model[index]!.id}\0`)).toBe(index + 1);
        }
        if (random.chance(0.4)) {
          const bytes = encoded(table);
          const read = new SortedTable(ENTRY_CODEC);
          read.decode(new ByteReader(bytes), undefined);
          expect(contents(read)).toEqual(model.map(shown));
          expect([read.size, read.bytes, read.footprintBytes]).toEqual([
            table.size,
            table.bytes,
            table.footprintBytes,
          ]);
        }
        expect(table.size).toBe(model.length);
      }
      expect(contents(table)).toEqual(model.map(shown));
    }));

  it('is one text when entries were only added to it from one encoding to the next', () => {
    const table = new SortedTable(ENTRY_CODEC);
    const objects = () => Reflect.get(table, 'entries') as unknown;
    table.append({ id: idOf(1), fields: ['f', 'v'] });
    expect(objects()).toBeUndefined();
    expect(table.at(0).id).toBe(idOf(1));
    expect(objects()).toHaveLength(1);
    for (const [number, length] of [
      [2, 2],
      [3, undefined],
      [4, undefined],
    ] as const) {
      table.append({ id: idOf(number), fields: ['f', 'v'] });
      encoded(table);
      if (length === undefined) expect(objects()).toBeUndefined();
      else expect(objects()).toHaveLength(length);
    }
    expect(contents(table)).toHaveLength(4);
  });
});
