import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { Row } from '../../../src/types/row.js';
import { RowTable } from '../../../src/types/row-table.js';
import { seeded } from '../../support/replay.js';

describe('the table of rows', () => {
  it('does what a Map does, while rows come and go', () =>
    seeded(5, (random) => {
      const table = new RowTable();
      const model = new Map<string, Row>();
      for (let step = 0; step < 20_000; step++) {
        // Phases of growth and of shrinking, so that the table is made larger and smaller.
        const growing = Math.floor(step / 4000) % 2 === 0;
        const key = `key:${random.int(0, 3000)}`;
        const known = model.get(key);
        expect(table.get(key)).toBe(known);
        const bytes = Buffer.from(`<${key}>`);
        expect(table.find(bytes, 1, bytes.length - 1)).toBe(known);
        if (known === undefined && random.chance(growing ? 0.8 : 0.2)) {
          const row = new Row(key, table);
          table.add(row);
          model.set(key, row);
        } else if (known !== undefined && random.chance(growing ? 0.2 : 0.8)) {
          table.delete(known);
          model.delete(key);
        }
        expect(table.size).toBe(model.size);
      }
      expect(new Set(table.values())).toEqual(new Set(model.values()));
      for (const [key, row] of model) expect(table.get(key)).toBe(row);
    }));

  it('takes the empty key, and keys that differ in one byte', () => {
    const table = new RowTable();
    const rows = ['', '\0', '\0\0', 'a', 'b', '\xff'].map((key) => new Row(key, table));
    for (const row of rows) table.add(row);
    for (const row of rows) expect(table.get(row.key)).toBe(row);
    expect(table.has('c')).toBe(false);
    for (const row of rows) {
      const bytes = Buffer.from(row.key, 'latin1');
      expect(table.find(bytes, 0, bytes.length)).toBe(row);
    }
    expect(table.find(Buffer.from('abc'), 2, 3)).toBeUndefined();
  });

  it('deleting what is not there changes nothing', () => {
    const table = new RowTable();
    table.add(new Row('a', table));
    table.delete(new Row('a', table));
    table.delete(new Row('b', table));
    expect(table.size).toBe(1);
  });
});
