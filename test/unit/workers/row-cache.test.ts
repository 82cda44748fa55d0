import { describe, expect, it } from 'vitest';
import { Row } from '../../../src/types/row.js';
import { RowTable } from '../../../src/types/row-table.js';
import { RowCache } from '../../../src/workers/row-cache.js';
import type { Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';

const OVERHEAD_BYTES = 300;

class Table {
  readonly rows = new RowTable();
  readonly cache: RowCache;

  constructor(bytesMax: number) {
    this.cache = new RowCache(bytesMax);
  }

  add(key: string, valueBytes = 0): Row {
    const row = new Row(key, this.rows);
    row.value = 'v'.repeat(valueBytes);
    this.rows.add(row);
    this.cache.add(row);
    return row;
  }

  get keys(): string[] {
    return [...this.rows.values()].map((row) => row.key);
  }
}

interface ModelRow {
  readonly key: string;
  bytes: number;
  visited: boolean;
  dirty: boolean;
}

/** SIEVE over an array, oldest row first; the hand is an index. */
class Sieve {
  rows: ModelRow[] = [];
  private hand = 0;

  constructor(public bytesMax: number) {}

  get bytes(): number {
    return this.rows.reduce((sum, row) => sum + row.bytes, 0);
  }

  remove(key: string): void {
    const at = this.rows.findIndex((row) => row.key === key);
    this.rows.splice(at, 1);
    if (at < this.hand) this.hand--;
    else if (this.hand >= this.rows.length) this.hand = 0;
  }

  evict(): void {
    let bytes = this.bytes;
    for (let spared = 0; bytes > this.bytesMax && this.rows.length > 0; ) {
      const row = this.rows[this.hand]!;
      if (row.dirty || row.visited) {
        row.visited = false;
        this.hand++;
        // Off the end, the hand begins anew, whatever rows come in meanwhile.
        if (this.hand >= this.rows.length) this.hand = 0;
        if (++spared > 2 * this.rows.length) return;
        continue;
      }
      this.rows.splice(this.hand, 1);
      if (this.hand >= this.rows.length) this.hand = 0;
      bytes -= row.bytes;
      spared = 0;
    }
  }
}

describe('the row cache', () => {
  it('keeps its budget where batches bring more rows than one eviction may spare, and have hit them all', () => {
    const table = new Table(1000 * OVERHEAD_BYTES);
    const rowsOfBatch = 150_000;
    let most = 0;
    for (let batch = 0; batch < 5; batch++) {
      const rows = Array.from({ length: rowsOfBatch }, (_, index) => table.add(`${batch}:${index}`));
      for (const row of rows) {
        row.dirty = true;
        row.visited = true;
      }
      table.cache.evict();
      for (const row of rows) row.dirty = false;
      table.cache.evictCommitted();
      most = Math.max(most, table.keys.length);
    }
    expect(most).toBeLessThanOrEqual(rowsOfBatch);
  });

  it('keeps its budget, and gives all bytes back', () => {
    const table = new Table(100 * (OVERHEAD_BYTES + 10));
    for (let index = 0; index < 1000; index++) {
      table.add(`key${String(index).padStart(7, '0')}`);
      table.cache.evict();
      expect(table.cache.bytes).toBeLessThanOrEqual(table.cache.bytesLimit);
    }
    expect(table.rows.size).toBe(100);
    expect(table.cache.evictions).toBe(900);
    table.cache.setLimit(50 * (OVERHEAD_BYTES + 10));
    expect(table.rows.size).toBe(50);
    for (const row of [...table.rows.values()]) table.cache.remove(row);
    expect([table.cache.bytes, table.rows.size]).toEqual([0, 0]);
  });

  it('accounts for rows that grow and shrink', () => {
    const table = new Table(1 << 20);
    const row = table.add('key', 10);
    expect(table.cache.bytes).toBe(OVERHEAD_BYTES + 13);
    row.value = Buffer.alloc(5000);
    table.cache.resized(row);
    expect(table.cache.bytes).toBe(OVERHEAD_BYTES + 5003);
    row.value = '';
    table.cache.resized(row);
    table.cache.remove(row);
    expect(table.cache.bytes).toBe(0);
  });

  it('keeps rows that are hit through a scan over many others', () => {
    const table = new Table(100 * (OVERHEAD_BYTES + 8));
    const hot = Array.from({ length: 40 }, (_, index) => `hot${String(index).padStart(5, '0')}`);
    for (const key of hot) table.add(key).visited = true;
    for (let index = 0; index < 20_000; index++) {
      // One hit of a hot row for each row that is looked at once.
      table.rows.get(hot[index % hot.length]!)!.visited = true;
      table.add(`s${String(index).padStart(7, '0')}`);
      table.cache.evict();
    }
    expect(hot.filter((key) => table.rows.has(key))).toEqual(hot);
  });

  it('never evicts rows that wait for a commit, and gives up when there are no others', () => {
    const table = new Table(10 * (OVERHEAD_BYTES + 2));
    for (let index = 0; index < 50; index++) table.add(`d${index}`).dirty = true;
    const dirty = table.keys;
    table.cache.evict();
    expect(table.keys.toSorted()).toEqual(dirty.toSorted());
    for (let index = 0; index < 50; index++) table.add(`clean${index}`);
    table.cache.evict();
    expect(table.keys.toSorted()).toEqual(dirty.toSorted());
    for (const row of table.rows.values()) row.dirty = false;
    table.cache.evict();
    expect(table.cache.isOver).toBe(false);
  });

  it('takes a budget of nothing, and an empty cache', () => {
    const table = new Table(0);
    table.cache.evict();
    table.add('a').visited = true;
    table.cache.evict();
    expect([table.cache.bytes, table.rows.size]).toEqual([0, 0]);
    table.add('b');
    table.cache.setLimit(1000);
    expect(table.keys).toEqual(['b']);
  });
});

function step(random: Random, table: Table, model: Sieve, at: number): void {
  const key = table.rows.size === 0 ? undefined : random.pick(table.keys);
  const choice = random.int(0, 9);
  if (key === undefined || choice < 4) {
    const valueBytes = random.int(0, 500);
    const row = table.add(`k${at}`, valueBytes);
    row.dirty = random.chance(0.1);
    model.rows.push({
      key: row.key,
      bytes: OVERHEAD_BYTES + row.key.length + valueBytes,
      visited: false,
      dirty: row.dirty,
    });
    return;
  }
  const row = table.rows.get(key)!;
  const twin = model.rows.find((each) => each.key === key)!;
  if (choice < 6) row.visited = twin.visited = true;
  else if (choice === 6) row.dirty = twin.dirty = random.chance(0.3);
  else if (choice === 7) {
    row.value = 'v'.repeat(random.int(0, 900));
    twin.bytes = OVERHEAD_BYTES + key.length + row.value.length;
    table.cache.resized(row);
  } else if (choice === 8) {
    table.cache.remove(row);
    model.remove(key);
  } else {
    model.bytesMax = random.int(2000, 12_000);
    table.cache.setLimit(model.bytesMax);
    model.evict();
  }
}

it('the row cache evicts the rows that SIEVE says, wherever rows are removed', () =>
  seeded(20, (random) => {
    const table = new Table(8000);
    const model = new Sieve(8000);
    for (let at = 0; at < 300; at++) {
      step(random, table, model, at);
      if (random.chance(0.7)) {
        table.cache.evict();
        model.evict();
      }
      expect(table.keys.toSorted()).toEqual(model.rows.map((row) => row.key).toSorted());
      expect(table.cache.bytes).toBe(model.bytes);
    }
    for (const row of [...table.rows.values()]) table.cache.remove(row);
    expect(table.cache.bytes).toBe(0);
  }));
