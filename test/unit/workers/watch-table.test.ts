import { describe, expect, it } from 'vitest';
import { WatchTable } from '../../../src/workers/watch-table.js';
import { seeded } from '../../support/replay.js';

const there = () => true;
const gone = () => false;

describe('a watch', () => {
  it('is broken by a change of its key, for all who watch it and nobody else', () => {
    const table = new WatchTable();
    table.watch(1, 'a', true);
    table.watch(1, 'b', true);
    table.watch(2, 'b', true);
    table.watch(3, 'c', true);
    table.changed('b');
    table.changed('other');
    expect([1, 2, 3, 4].map((client) => table.isBroken(client, there))).toEqual([true, true, false, false]);
  });

  it('is broken by the disappearance of a key that was there, not of one that was not', () => {
    const table = new WatchTable();
    table.watch(1, 'a', true);
    table.watch(2, 'a', false);
    expect([1, 2].map((client) => table.isBroken(client, gone))).toEqual([true, false]);
    expect([1, 2].map((client) => table.isBroken(client, there))).toEqual([false, false]);
  });

  it('counts from the first WATCH of a key', () => {
    const table = new WatchTable();
    table.watch(1, 'a', false);
    table.changed('a');
    table.watch(1, 'a', true);
    expect(table.isBroken(1, there)).toBe(true);
  });

  it('ends with UNWATCH, and leaves nothing', () => {
    const table = new WatchTable();
    for (const client of [1, 2]) for (const key of ['a', 'b']) table.watch(client, key, true);
    expect(table.size).toBe(2);
    table.changed('a');
    table.unwatch(1);
    table.unwatch(1);
    expect([1, 2].map((client) => table.isBroken(client, there))).toEqual([false, true]);
    table.unwatch(2);
    expect(table.size).toBe(0);
    expect(table.export()).toEqual([]);
    table.watch(2, 'a', true);
    expect(table.isBroken(2, there)).toBe(false);
  });

  it('is broken when everything goes, if its key is or was there', () => {
    const table = new WatchTable();
    table.watch(1, 'is', false);
    table.watch(2, 'was', true);
    table.watch(3, 'never', false);
    table.allChanged((key) => key === 'is');
    expect([1, 2, 3].map((client) => table.isBroken(client, gone))).toEqual([true, true, false]);
  });
});

it('watches move with their shard, and answer as a list of them does', () =>
  seeded(30, (random) => {
    let table = new WatchTable();
    let watches: { client: number; key: string; live: boolean; changed: boolean }[] = [];
    const live = new Set<string>();
    for (let step = 0; step < 200; step++) {
      const key = `k${random.int(0, 5)}`;
      const client = random.int(1, 4);
      const choice = random.int(0, 5);
      if (choice < 2) {
        table.watch(client, key, live.has(key));
        if (!watches.some((watch) => watch.client === client && watch.key === key))
          watches.push({ client, key, live: live.has(key), changed: false });
      } else if (choice === 2) {
        if (random.chance(0.5)) live.add(key);
        else live.delete(key);
        table.changed(key);
        for (const watch of watches) if (watch.key === key) watch.changed = true;
      } else if (choice === 3) live.delete(key);
      else if (choice === 4) {
        table.unwatch(client);
        watches = watches.filter((watch) => watch.client !== client);
      } else {
        const moved = new WatchTable();
        moved.import(structuredClone(table.export()));
        table = moved;
      }
      const broken = watches.some(
        (watch) => watch.client === client && (watch.changed || (watch.live && !live.has(watch.key))),
      );
      expect(table.isBroken(client, (each) => live.has(each))).toBe(broken);
      expect(table.size).toBe(new Set(watches.map((watch) => watch.key)).size);
    }
  }));
