import { Buffer } from 'node:buffer';
import { describe, expect, it, vi } from 'vitest';
import { slotSet } from '../../../src/types/feed-codec.js';
import { stringValue } from '../../../src/types/row.js';
import { keySlot, SLOTS } from '../../../src/types/slots.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { readShardMeta, writeShardMeta } from '../../../src/workers/shard-meta.js';
import { removeSlots } from '../../../src/workers/slot-removal.js';
import { seeded } from '../../support/replay.js';
import { followToEnd, openCopy, pair, startLogging, stepOf, write } from './feed-harness.js';
import { databaseOf, failCommit, keysOf } from './shard-harness.js';

const slotOf = (key: string) => keySlot(Buffer.from(key));
const NONE = slotSet([]);

/** Every second slot, or all others. */
const half = (rest: number) =>
  slotSet(Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => slot % 2 === rest));

/** A commit fails, and is on disk all the same if it `lands`. */
function commitInVain(shard: Shard, lands: boolean): void {
  failCommit(shard, lands);
  expect(() => shard.commit(false)).toThrow(StorageError);
  shard.rollback();
}

function expectCounts(shard: Shard): void {
  const keys = keysOf(shard);
  expect(shard.count()).toBe(keys.length);
  expect(shard.countExpiring()).toBe(keys.filter((key) => shard.peek(key)!.expiresAtMs !== 0).length);
}

describe('rows that commands do not see', () => {
  it('are left out of counts and visits, until they are shown', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1'], ['c', '1']);
    shard.hidden.show({ slots: slotSet(['a', 'c'].map(slotOf)), keepsOthers: false });
    expect(keysOf(shard)).toEqual(['a', 'c']);
    expectCounts(shard);
    // What is written, and waits for its commit, too.
    shard.setString('d', stringValue('1'), 0);
    expectCounts(shard);
    shard.commit(false);
    shard.hidden.show({ slots: NONE, keepsOthers: true });
    expect([keysOf(shard), shard.count(), shard.randomKey()]).toEqual([[], 0, undefined]);
    shard.hidden.show(undefined);
    expect(keysOf(shard)).toEqual(['a', 'b', 'c', 'd']);
    expectCounts(shard);
    await shard.close();
  });

  it('are counted a piece at a time, and then cost nothing to hide', async () => {
    const { shard } = await openCopy();
    write(shard, ...Array.from({ length: 50 }, (_, row): [string, string] => [`k${row}`, '1']));
    shard.hidden.show({ slots: undefined, keepsOthers: false });
    let steps = 0;
    for (; shard.hidden.isCounting; steps++) shard.hidden.countOn(shard.source(), 10);
    expect(steps).toBe(5);
    write(shard, ['later', '1']);
    shard.hidden.show({ slots: half(0), keepsOthers: true });
    expect(shard.hidden.isCounting).toBe(false);
    expectCounts(shard);
    await shard.close();
  });

  it('are counted by the way where all rows are looked at anyway, and for themselves when nobody does that any more', async () => {
    const { shard } = await openCopy();
    write(shard, ...Array.from({ length: 700 }, (_, row): [string, string] => [`k${row}`, '1']));
    const { nowMs } = shard;
    shard.show({ slots: undefined, keepsOthers: false });
    expect([0, 1000, 5000].map((ms) => shard.hidden.isCountDue(nowMs + ms))).toEqual([false, false, true]);
    let slice = copySlice(shard, undefined, half(0), 64 << 10);
    expect(shard.hidden.isCountDue(nowMs + 1000)).toBe(false);
    expect(shard.hidden.isCountDue(nowMs - 1000)).toBe(true);
    write(shard, ['k0', '2'], ['k1', '2'], ['k999', '1'], ['k0 is new', '1']);
    while (!slice.isDone) slice = copySlice(shard, slice.last, half(0), 64 << 10);
    expect(shard.hidden.isCounting).toBe(false);
    shard.hidden.show({ slots: half(0), keepsOthers: true });
    expectCounts(shard);
    await shard.close();
  });

  it('are counted only of slots that will be hidden, where it is known which', async () => {
    const { shard } = await openCopy();
    const key = (row: number) => `k${row}`;
    write(shard, ...Array.from({ length: 700 }, (_, row): [string, string] => [key(row), '1']));
    const rows = databaseOf(shard);
    const [iterate, getFirst] = [vi.spyOn(rows, 'iterate'), vi.spyOn(rows, 'getFirst')];
    const part = (rest: number) =>
      slotSet(
        Array.from({ length: SLOTS }, (_, slot) => slot).filter((slot) => (slot % 5 === 0) === (rest === 0)),
      );
    shard.show({ slots: undefined, staying: part(1), keepsOthers: false });
    let slice = copySlice(shard, undefined, part(0), 64 << 10);
    write(shard, [key(0), '2'], [key(1), '2'], ['k is new', '1'], ['k999', '1']);
    while (!slice.isDone) slice = copySlice(shard, slice.last, part(0), 64 << 10);
    expect(shard.hidden.isCounting).toBe(false);
    shard.show({ slots: part(1), keepsOthers: true });
    expect(shard.hidden.isCounting).toBe(false);
    // From the second step on rows that stay were not read.
    expect(iterate).not.toHaveBeenCalled();
    expect(getFirst.mock.calls.flatMap(([keys]) => keys).length).toBeLessThan(200);
    expectCounts(shard);
    // What was not counted is, when it comes to be hidden all the same.
    shard.show({ slots: part(0), keepsOthers: true });
    expect(shard.hidden.isCounting).toBe(true);
    expectCounts(shard);
    await shard.close();
  });

  it('end scans that are under way when they come into sight', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1']);
    const begin = () => shard.saveCursor(shard.openCursor('0')!.session, 'a');
    const goesOn = (cursor: string) => shard.openCursor(cursor) !== undefined;
    const own = slotSet([slotOf('a')]);
    const first = begin();
    shard.show({ slots: undefined, keepsOthers: false });
    shard.show({ slots: own, keepsOthers: true });
    shard.show({ slots: own, keepsOthers: false });
    expect(goesOn(first)).toBe(true);
    shard.show({ slots: slotSet(['a', 'b'].map(slotOf)), keepsOthers: false });
    expect(goesOn(first)).toBe(false);
    const second = begin();
    shard.count();
    shard.show(undefined);
    expect(goesOn(second)).toBe(true);
    shard.show({ slots: own, keepsOthers: true });
    shard.show(undefined);
    expect(goesOn(second)).toBe(false);
    await shard.close();
  });

  it('that are not counted yet are among the keys of a quick count, and are looked at for an exact one', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1']);
    shard.hidden.show({ slots: slotSet([slotOf('a')]), keepsOthers: true });
    expect(shard.countRoughly().live).toBe(2);
    expect(shard.count()).toBe(1);
    expect(shard.countRoughly().live).toBe(1);
    await shard.close();
  });

  it('are not counted anew for a change that is undone, or fails, unless the disk has something else', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1'], ['c', '1']);
    shard.show({ slots: half(0), keepsOthers: true });
    expectCounts(shard);
    const change = () => {
      shard.remove('a');
      for (const key of ['b', 'd', 'e', 'f']) shard.setString(key, stringValue('2'), shard.nowMs + 1000);
    };
    change();
    shard.rollback();
    expect(shard.hidden.isCounting).toBe(false);
    expectCounts(shard);
    for (const lands of [false, true]) {
      change();
      commitInVain(shard, lands);
      expect(shard.hidden.isCounting).toBe(false);
      await shard.recover();
      expect(shard.hidden.isCounting).toBe(false);
      expectCounts(shard);
      expect(shard.peek('a') === undefined).toBe(lands);
    }
    // Something that nobody knows of.
    const database = databaseOf(shard);
    writeShardMeta(database, { ...readShardMeta(database), live: 4, expiring: 3 });
    database.delete('default', Buffer.from('d'));
    database.commit(false);
    await shard.recover();
    expect(shard.hidden.isCounting).toBe(true);
    expectCounts(shard);
    await shard.close();
  });

  it('are counted on after a read that failed', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1'], ['c', '1'], ['d', '1'], ['e', '1']);
    shard.hidden.show({ slots: slotSet(['a', 'd'].map(slotOf)), keepsOthers: false });
    const database = databaseOf(shard);
    const { iterateAscii } = database;
    database.iterateAscii = (options, visit) => {
      database.iterateAscii = iterateAscii;
      return database.iterateAscii(options, (rows) => {
        visit(rows.slice(0, 4));
        throw new StorageError('IO', 'the disk does not answer');
      });
    };
    expect(() => shard.count()).toThrow(StorageError);
    write(shard, ['b2', '1'], ['d', '2'], ['f', '1']);
    expectCounts(shard);
    await shard.close();
  });

  it('are counted where a row cannot be read, which passes for a key and is told of once', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1'], ['c', '1'], ['d', '1']);
    const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    databaseOf(shard).put('default', Buffer.from('b'), Buffer.from([0xff, 0, 0]));
    databaseOf(shard).put('default', Buffer.from('c'), Buffer.from([0xff, 0, 0]));
    databaseOf(shard).commit(false);
    shard.hidden.show({ slots: undefined, keepsOthers: false });
    shard.hidden.countOn(shard.source());
    expect(shard.hidden.isCounting).toBe(false);
    shard.hidden.show({ slots: slotSet([slotOf('a')]), keepsOthers: false });
    expect(shard.count()).toBe(1);
    // A copy of other slots, which counts by the way, is not concerned.
    shard.hidden.forgetCount();
    expect(copySlice(shard, undefined, slotSet(['a', 'd'].map(slotOf)), 1 << 20).rowCount).toBe(2);
    expect(shard.hidden.isCounting).toBe(false);
    expect(shard.count()).toBe(1);
    expect(told.mock.calls).toEqual([
      [
        `shard ${shard.id}: the key "b" passes for one that does not expire where keys are counted: a row of 3 bytes. Restore the shard from a copy`,
      ],
    ]);
    told.mockRestore();
    await shard.close();
  });

  it('are not counted again and again between batches where the disk cannot be read', async () => {
    const { shard } = await openCopy();
    write(shard, ['a', '1'], ['b', '1']);
    const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const nowMs = 1_000_000;
    shard.hidden.show({ slots: slotSet([slotOf('a')]), keepsOthers: false }, nowMs);
    const database = databaseOf(shard);
    const { iterateAscii } = database;
    database.iterateAscii = () => {
      throw new StorageError('CORRUPT', 'a block is damaged');
    };
    let tries = 0;
    for (let seconds = 0; seconds < 90; seconds++) {
      if (!shard.hidden.isCountDue(nowMs + seconds * 1000)) continue;
      tries++;
      shard.nowMs = nowMs + seconds * 1000;
      shard.hidden.countOn(shard.source(), undefined, shard.nowMs);
    }
    expect([tries, told.mock.calls.length]).toEqual([2, 1]);
    // A command that needs the number says so itself.
    expect(() => shard.count()).toThrow(StorageError);
    database.iterateAscii = iterateAscii;
    expect(shard.count()).toBe(1);
    told.mockRestore();
    await shard.close();
  });

  it('are counted right whatever changes while that goes on', () =>
    seeded(8, async (generator) => {
      const random = () => generator.float();
      const { source, target } = await pair();
      await startLogging(target);
      const shows = [
        undefined,
        ...[undefined, half(0), half(1)].map((staying) => ({
          slots: undefined,
          staying,
          keepsOthers: false,
        })),
      ];
      const all = [
        ...shows,
        ...[half(0), half(1), NONE].map((slots) => ({ slots, keepsOthers: random() < 0.5 })),
      ];
      const name = () => `key ${Math.floor(random() * 200)}`;
      const change = (shard: Shard) => {
        const key = name();
        const dice = random();
        if (dice < 0.5) shard.setString(key, stringValue('v'), dice < 0.2 ? shard.nowMs + 20 : 0);
        else if (dice < 0.7 && shard.peek(key) !== undefined) shard.remove(key);
        else if (dice < 0.75) shard.sweep(shard.nowMs, 5);
      };
      let copied: string | undefined;
      for (let step = 0; step < 300; step++) {
        const dice = random();
        for (const shard of [source, target]) shard.nowMs += Math.floor(random() * 3);
        if (dice < 0.1) target.hidden.show(all[Math.floor(random() * all.length)]);
        else if (dice < 0.4) {
          for (let n = 0; n < 5; n++) change(target);
          const end = random();
          if (end < 0.2) target.rollback();
          else if (end < 0.4 && target.hasChanges) {
            const lands = random() < 0.5;
            commitInVain(target, lands);
            if (!lands && random() < 0.3) expectCounts(target);
            if (!lands && random() < 0.3) target.hidden.countOn(target.source(), 40);
            await target.recover();
          } else target.commit(false);
        } else if (dice < 0.6) {
          for (let n = 0; n < 5; n++) change(source);
          source.commit(false);
        } else if (dice < 0.7) await followToEnd(source, target, 'f', undefined, 300);
        else if (dice < 0.72) await removeSlots(target, stepOf(target), half(0), undefined);
        else if (dice < 0.8)
          copied = copySlice(target, copied, half(1), 20 + Math.floor(random() * 500)).last;
        else target.hidden.countOn(target.source(), Math.floor(random() * 60));
        if (random() < 0.3) expectCounts(target);
      }
      await Promise.all([source.close(), target.close()]);
    }));
});
