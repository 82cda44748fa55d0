import { Buffer } from 'node:buffer';
import { describe, expect, it, vi } from 'vitest';
import { FEED_APPLY_ROWS, FEED_SCAN_ROWS } from '../../../src/base/limits.js';
import { slotSet } from '../../../src/types/feed-codec.js';
import { keySlot } from '../../../src/types/slots.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import type { SlotsRemoval } from '../../../src/workers/feed-protocol.js';
import { logState } from '../../../src/workers/feed-source.js';
import { FeedTarget } from '../../../src/workers/feed-target.js';
import type { Shard } from '../../../src/workers/shard.js';
import { removeSlots } from '../../../src/workers/slot-removal.js';
import { temporaryDir } from '../../support/environment.js';
import {
  chunkOf,
  contentsOf,
  followToEnd,
  openCopy,
  pair,
  RETENTION_MS,
  startLogging,
  stepOf,
  targetOf,
  textOf,
  write,
} from './feed-harness.js';
import { afterCrash, auditDisk, keysOf, START_MS } from './shard-harness.js';

describe('copying again', () => {
  it('removes what the source has deleted and forgotten', async () => {
    const { source, target } = await pair();
    write(source, ['deleted', '1'], ['kept', '1']);
    await followToEnd(source, target, 'f');
    source.remove('deleted');
    source.commit(false);
    source.nowMs += RETENTION_MS + 100_000;
    source.sweep(source.nowMs, 100);
    source.commit(false, false);
    expect(auditDisk(source)).toMatchObject({ live: 1, tombstones: 0 });
    target.nowMs = source.nowMs;
    const end = targetOf(target);
    await end.begin(logState(source)!, undefined);
    expect(await end.applyCopy(copySlice(source, undefined, undefined, 1000))).toEqual({
      applied: 0,
      skipped: 1,
      removed: 1,
    });
    expect(keysOf(target)).toEqual(['kept']);
    auditDisk(target);
    await Promise.all([source.close(), target.close()]);
  });

  it('keeps what the source may never have had', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    write(target, ['unsent', '1']);
    for (const shard of [source, target]) shard.nowMs += RETENTION_MS + 100_000;
    await targetOf(target).begin(logState(source)!, undefined);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual(['unsent']);
    // Once all followers have it, a source that lacks it must have deleted it.
    await stepOf(target)(() => target.replication.log.trim(target.source(), target.replication.log.last));
    await targetOf(target).begin(logState(source)!, undefined);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual([]);
    await Promise.all([source.close(), target.close()]);
  });

  it('keeps what its own log has lost before others had it', async () => {
    const { source, target, rigs } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    rigs[1]!.knobs.feedLogBytesMax = 1000;
    write(target, ['lost', '1']);
    target.nowMs += RETENTION_MS + 100_000;
    source.nowMs = target.nowMs;
    for (let index = 0; index < 100; index++) write(target, ['busy', 'x'.repeat(50)]);
    expect(logState(target)!.firstSequence).toBeGreaterThan(10);
    await targetOf(target).begin(logState(source)!, undefined);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual(['busy', 'lost']);
    await Promise.all([source.close(), target.close()]);
  });

  it('removes nothing for a source that is itself being filled', async () => {
    const { source, target } = await pair();
    write(source, ['k', '1']);
    await followToEnd(source, target, 'f');
    source.nowMs += RETENTION_MS + 100_000;
    await targetOf(source, 'other').begin(logState(target) ?? { ...logState(source)!, log: 'x' }, undefined);
    expect(logState(source)!.rememberedSince).toBe(0);
    await Promise.all([source.close(), target.close()]);
  });

  it('goes on where it was after a crash', async () => {
    const { source } = await pair();
    const directory = temporaryDir();
    let { shard } = await openCopy(directory);
    for (let index = 0; index < 30; index++) write(source, [`k${index}`, 'v'.repeat(50)]);
    await targetOf(shard).begin(logState(source)!, undefined);
    await targetOf(shard).applyCopy(copySlice(source, undefined, undefined, 500));
    const before = shard.replication.progress();
    expect(before.f).toMatchObject({ phase: 'copying', after: expect.stringMatching(/^kk\d/) });
    ({ shard } = await afterCrash(shard, directory));
    expect(shard.replication.progress()).toEqual(before);
    await followToEnd(source, shard, 'f');
    expect(contentsOf(shard)).toEqual(contentsOf(source));
    await Promise.all([source.close(), shard.close()]);
  });
});

describe('a copy that begins anew while something of before is being applied', () => {
  /** A feed's target that is overtaken by a new copy after its first step that has brought rows. */
  function overtaken(source: Shard, target: Shard): FeedTarget {
    let isBegun = false;
    return new FeedTarget(target, 'f', async (work) => {
      const result = await stepOf(target)(work);
      if (!isBegun && target.count() > 0) {
        isBegun = true;
        await targetOf(target).begin(logState(source)!, undefined);
      }
      return result;
    });
  }

  const rows = Array.from({ length: 2 * FEED_APPLY_ROWS }, (_, row): [string, string] => [`k${row}`, '1']);

  it('is copied from its beginning behind a slice', async () => {
    const { source, target } = await pair();
    write(source, ...rows, ['z', '1']);
    await targetOf(target).begin(logState(source)!, undefined);
    const slice = copySlice(source, undefined, undefined, 1 << 20);
    expect(slice).toMatchObject({ isDone: false, rowCount: rows.length });
    write(source, ['k0', 'later']);
    expect(await overtaken(source, target).applyCopy(slice)).toMatchObject({ refused: 'position' });
    expect(target.replication.progress()).toMatchObject({ f: { phase: 'copying', after: undefined } });
    await followToEnd(source, target, 'f');
    expect(textOf(target, 'k0')).toBe('later');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });

  it('is copied from its beginning behind records', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    write(source, ...rows);
    const chunk = chunkOf(source, 0);
    // A slow machine: the time of a step is over when the first rows are applied.
    let nowMs = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => ++nowMs);
    expect(await overtaken(source, target).applyRecords(chunk)).toMatchObject({ refused: 'position' });
    clock.mockRestore();
    expect(target.replication.progress()).toMatchObject({ f: { phase: 'copying', after: undefined } });
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });
});

describe('slots', () => {
  const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`);
  const slotOf = (key: string) => keySlot(Buffer.from(key));
  const even = slotSet(Array.from({ length: 8192 }, (_, index) => 2 * index));
  const evenKeys = keys.filter((key) => slotOf(key) % 2 === 0).toSorted();

  it('that move take their rows along, and their writes, and no others', async () => {
    const { source, target } = await pair();
    write(source, ...keys.map((key): [string, string] => [key, '1']));
    await followToEnd(source, target, 'f', even);
    expect(keysOf(target)).toEqual(evenKeys);
    write(source, ...keys.map((key): [string, string] => [key, '2']));
    for (const key of keys.slice(0, 50)) source.remove(key);
    source.commit(false);
    await followToEnd(source, target, 'f', even);
    expect(keysOf(target)).toEqual(evenKeys.filter((key) => keys.indexOf(key) >= 50));
    for (const key of keysOf(target)) expect(textOf(target, key)).toBe('2');
    expect(logState(source)!.sequence).toBe(target.replication.progress().f!.phase === 'tailing' ? 3 : -1);
    await Promise.all([source.close(), target.close()]);
  });

  it('that have moved are removed, slice by slice', async () => {
    const { shard } = await openCopy();
    await startLogging(shard);
    write(shard, ...keys.map((key): [string, string] => [key, '1']));
    shard.setExpiry(shard.find(evenKeys[0]!)!, START_MS + 50);
    shard.rows.drop(shard.rows.load(evenKeys[1]!, shard.source(), START_MS));
    shard.commit(false);
    const { sequence } = logState(shard)!;
    const slices: SlotsRemoval[] = [];
    do slices.push(await removeSlots(shard, stepOf(shard), even, slices.at(-1)?.last));
    while (!slices.at(-1)!.isDone);
    expect(slices).toHaveLength(Math.ceil(keys.length / FEED_SCAN_ROWS));
    expect(slices.reduce((sum, { removed }) => sum + removed, 0)).toBe(evenKeys.length);
    expect(keysOf(shard)).toEqual(keys.filter((key) => !evenKeys.includes(key)).toSorted());
    expect(auditDisk(shard)).toMatchObject({ tombstones: 0, ttl: 0 });
    expect(logState(shard)!.sequence).toBe(sequence);
    await shard.close();
  });
});
