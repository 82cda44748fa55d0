import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { timestampOf } from '../../../src/base/clock.js';
import { SNAPSHOT_IDLE_MAX_MS, SNAPSHOTS_PER_SHARD_MAX } from '../../../src/base/limits.js';
import { SetValue } from '../../../src/types/collections/set.js';
import { ElementsKind, eachFeedEntry, FeedWriter, slotSet } from '../../../src/types/feed-codec.js';
import { stringValue } from '../../../src/types/row.js';
import { rowHeader } from '../../../src/types/row-codec.js';
import { keySlot } from '../../../src/types/slots.js';
import { RestoreTarget } from '../../../src/workers/restore-target.js';
import type { Shard } from '../../../src/workers/shard.js';
import { SnapshotGoneError } from '../../../src/workers/shard-snapshots.js';
import type { Restored, RestoreRefusal } from '../../../src/workers/snapshot-protocol.js';
import { readUnfinished } from '../../../src/workers/unfinished-versions.js';
import { temporaryDir } from '../../support/environment.js';
import { envNumber, type Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import { auditElements, contentsOf, startLogging, stepOf, write } from './feed-harness.js';
import { afterCrash, auditDisk, openShard, START_MS } from './shard-harness.js';

const PART_BYTES = 4000;
const HOUR_MS = 3_600_000;

async function open(): Promise<Shard> {
  return (await openShard(temporaryDir())).shard;
}

function makeSet(shard: Shard, key: string, size: number): void {
  const set = new SetValue(shard.collections);
  for (let index = 0; index < size; index++) set.add(`member ${String(index).padStart(6, '0')}`);
  shard.setCollection(key, set, 0);
  shard.commit(false);
}

function addTo(shard: Shard, key: string, member: string): void {
  const row = shard.find(key)!;
  (row.collection as SetValue).add(member);
  shard.changed(row);
  shard.commit(false);
}

/** The parts of a snapshot that have rows. @param between is done before each part */
function readAll(
  shard: Shard,
  snapshot: number,
  bytesMax = PART_BYTES,
  between: () => void = () => undefined,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (;;) {
    between();
    const { rows, isDone } = shard.snapshots.read(snapshot, bytesMax, shard.nowMs);
    if (rows.length > 0) parts.push(rows);
    if (isDone) return parts;
  }
}

function take(shard: Shard, rows: Uint8Array, name = 'r'): Promise<Restored | RestoreRefusal> {
  return new RestoreTarget(shard, stepOf(shard)).take(name, rows);
}

async function restoreAll(shard: Shard, parts: readonly Uint8Array[]): Promise<Restored> {
  const sum = { applied: 0, skipped: 0, ended: 0 };
  for (const part of parts) {
    const taken = await take(shard, part);
    if ('refused' in taken) throw new Error(taken.message);
    sum.applied += taken.applied;
    sum.skipped += taken.skipped;
    sum.ended += taken.ended;
  }
  return sum;
}

function audit(shard: Shard): void {
  auditDisk(shard);
  auditElements(shard);
}

function sweepDead(shard: Shard): void {
  while (shard.hasDeadElements) {
    shard.sweepDeadElements(1000);
    shard.commit(false, false);
  }
}

function elementsOf(shard: Shard): number {
  let count = 0;
  shard.source().iterate({ family: 'elem', values: false }, () => ++count > 0);
  return count;
}

describe('a snapshot of a shard', () => {
  it('is of one moment, whatever is written while it is read', async () => {
    const [source, target] = [await open(), await open()];
    for (let index = 0; index < 500; index++) write(source, [`row ${index}`, `value ${index}`]);
    // What is overwritten is in the journal only.
    for (let index = 0; index < 500; index += 2) write(source, [`row ${index}`, `again ${index}`]);
    makeSet(source, 'large', 2000);
    makeSet(source, 'middle', 300);
    makeSet(source, 'small', 20);
    const before = contentsOf(source);
    const { snapshot, keys } = source.snapshots.begin(source);
    expect(keys).toBe(503);
    let step = 0;
    const parts = readAll(source, snapshot, PART_BYTES, () => {
      step++;
      for (let index = step % 5; index < 500; index += 5) write(source, [`row ${index}`, `later ${step}`]);
      addTo(source, 'large', `later ${step}`);
      if (step === 2) source.remove('middle');
      if (step === 3) source.remove('row 77');
      write(source, [`new ${step}`, 'x']);
    });
    expect(step).toBeGreaterThan(20);
    expect(await restoreAll(target, parts)).toEqual({ applied: 503, skipped: 0, ended: 0 });
    expect(contentsOf(target)).toEqual(before);
    audit(target);
    // Once more it changes nothing, and what is left of the pieces goes.
    expect(await restoreAll(target, parts)).toEqual({ applied: 0, skipped: 503, ended: 0 });
    expect(contentsOf(target)).toEqual(before);
    sweepDead(target);
    audit(target);
  });

  async function runRandomly(random: Random): Promise<void> {
    const [source, target] = [await open(), await open()];
    const writeRandomly = () => {
      const key = `key ${random.int(0, 60)}`;
      switch (random.int(0, 4)) {
        case 0:
          source.remove(key);
          source.commit(false);
          break;
        case 1:
          makeSet(source, key, random.pick([3, 200, 1000]));
          break;
        case 2:
          if (source.find(key)?.collection instanceof SetValue) addTo(source, key, `m ${random.int(0, 99)}`);
          break;
        default:
          write(source, [key, random.bytes(random.int(0, 300))]);
      }
    };
    for (let index = 0; index < envNumber('VASTO_SNAPSHOT_STEPS', 150); index++) writeRandomly();
    const before = contentsOf(source);
    const { snapshot } = source.snapshots.begin(source);
    const parts = readAll(source, snapshot, 1000, writeRandomly);
    await restoreAll(target, parts);
    expect(contentsOf(target)).toEqual(before);
    audit(target);
    audit(source);
  }

  it('of random writes is what the shard was', { timeout: 60_000 }, () => seeded(2, runRandomly));

  it('has a value and a key that are larger than a part', async () => {
    const [source, target] = [await open(), await open()];
    const long = 'k'.repeat(20_000);
    write(source, [long, 'v'], ['value', 'v'.repeat(20_000)]);
    makeSet(source, `${long}set`, 500);
    const before = contentsOf(source);
    await restoreAll(target, readAll(source, source.snapshots.begin(source).snapshot, 1000));
    expect(contentsOf(target)).toEqual(before);
  });

  it('leaves out what has ended, what was deleted, and what clients do not see', async () => {
    const source = await open();
    source.keepTombstones();
    write(source, ['here', '1'], ['deleted', '1'], ['hidden', '1']);
    source.setString('ended', stringValue('1'), START_MS + 10);
    source.setString('ends', stringValue('1'), START_MS + 1000);
    source.remove('deleted');
    source.commit(false);
    source.nowMs = START_MS + 10;
    source.hidden.show({
      keepsOthers: false,
      slots: slotSet(['here', 'deleted', 'ended', 'ends'].map((key) => keySlot(Buffer.from(key)))),
    });
    const keys: string[] = [];
    for (const part of readAll(source, source.snapshots.begin(source).snapshot))
      eachFeedEntry(Buffer.from(part), 0, ({ key }) => keys.push(key.toString()));
    expect(keys).toEqual(['ends', 'here']);
  });

  it('ends when the shard is emptied, when nobody reads it, and when it is closed', async () => {
    const source = await open();
    write(source, ['a', '1']);
    const [first, second] = [source.snapshots.begin(source), source.snapshots.begin(source)];
    source.snapshots.expire(source.nowMs + SNAPSHOT_IDLE_MAX_MS);
    await source.prepareFlush();
    source.flush();
    source.commit(false);
    expect(() => readAll(source, first.snapshot)).toThrow(SnapshotGoneError);
    source.snapshots.expire(source.nowMs + SNAPSHOT_IDLE_MAX_MS + 1);
    expect(() => readAll(source, second.snapshot)).toThrow(/nobody has read it/);
    source.snapshots.begin(source);
    await source.close();
  });

  it('ends when nobody reads it though the clock was set back', async () => {
    const source = await open();
    write(source, ['a', '1']);
    const { snapshot } = source.snapshots.begin(source);
    const setBackMs = source.nowMs - HOUR_MS;
    source.snapshots.expire(setBackMs);
    source.snapshots.expire(setBackMs + SNAPSHOT_IDLE_MAX_MS + 1);
    expect(() => readAll(source, snapshot)).toThrow(/nobody has read it/);
    await source.close();
  });

  it('is one of few', async () => {
    const source = await open();
    for (let index = 0; index < SNAPSHOTS_PER_SHARD_MAX; index++) source.snapshots.begin(source);
    expect(() => source.snapshots.begin(source)).toThrow(/4 backups of this shard are going on/);
    source.snapshots.end(1);
    expect(source.snapshots.begin(source).snapshot).toBe(SNAPSHOTS_PER_SHARD_MAX + 1);
  });
});

describe('a shard that takes a backup', () => {
  /** The parts of a set that goes in pieces. */
  async function pieces(size = 1000): Promise<{ source: Shard; parts: Uint8Array[] }> {
    const source = await open();
    makeSet(source, 'set', size);
    const parts = readAll(source, source.snapshots.begin(source).snapshot);
    expect(parts.length).toBeGreaterThan(3);
    return { source, parts };
  }

  it('keeps what is later, and remembers deletions where it does', async () => {
    const [source, target] = [await open(), await open()];
    write(source, ['a', 'old'], ['b', 'old'], ['c', 'old']);
    const parts = readAll(source, source.snapshots.begin(source).snapshot);
    target.nowMs = START_MS + 1000;
    write(target, ['a', 'new']);
    target.keepTombstones();
    const state = () => new RestoreTarget(target, stepOf(target)).state();
    write(target, ['b', 'new']);
    target.remove('b');
    target.commit(false);
    expect(state()).toMatchObject({ keys: 1, remembers: true });
    expect(await restoreAll(target, parts)).toEqual({ applied: 1, skipped: 2, ended: 0 });
    expect(Object.keys(contentsOf(target))).toEqual(['a', 'b', 'c']);
    expect(contentsOf(target).a).toContain('new');
    expect(contentsOf(target).b).toContain('gone');
    // What is written from now on beats what has come.
    write(target, ['c', 'later']);
    expect(await restoreAll(target, parts)).toEqual({ applied: 0, skipped: 3, ended: 0 });
  });

  it('remembers nothing before anything was deleted, though it would', async () => {
    const shard = await open();
    const state = () => new RestoreTarget(shard, stepOf(shard)).state();
    shard.keepTombstones();
    expect(state()).toMatchObject({ keys: 0, remembers: false });
    write(shard, ['a', '1']);
    shard.remove('a');
    shard.commit(false);
    expect(state()).toMatchObject({ keys: 0, remembers: true });
    const other = await open();
    await startLogging(other);
    write(other, ['a', '1']);
    await other.prepareFlush();
    other.flush();
    other.commit(false);
    expect(new RestoreTarget(other, stepOf(other)).state()).toMatchObject({ keys: 0, remembers: true });
  });

  it('lets go of keys that have ended meanwhile', async () => {
    const [source, target] = [await open(), await open()];
    source.setString('a', stringValue('1'), START_MS + 10);
    source.setString('b', stringValue('1'), START_MS + 20);
    source.commit(false);
    const parts = readAll(source, source.snapshots.begin(source).snapshot);
    target.nowMs = START_MS + 10;
    expect(await restoreAll(target, parts)).toEqual({ applied: 1, skipped: 0, ended: 1 });
    audit(target);
  });

  it('refuses pieces that do not follow on each other, and what is from the future', async () => {
    const { parts } = await pieces();
    const target = await open();
    expect(await take(target, parts[1]!)).toMatchObject({ refused: 'order' });
    await take(target, parts[0]!);
    expect(await take(target, parts[1]!, 'another')).toMatchObject({ refused: 'order' });
    expect(await take(target, Buffer.from([1, 2, 3]))).toMatchObject({ refused: 'format' });
    target.nowMs = START_MS - 61_000;
    expect(await take(target, parts[0]!)).toMatchObject({ refused: 'clock' });
    target.nowMs = START_MS;
    // From its beginning it goes well; what was there before is removed.
    expect(await restoreAll(target, parts)).toEqual({ applied: 1, skipped: 0, ended: 0 });
    sweepDead(target);
    audit(target);
  });

  it('has nothing left of a collection that did not come to its end', async () => {
    const { parts } = await pieces();
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    await take(shard, parts[0]!);
    await take(shard, parts[1]!);
    expect(elementsOf(shard)).toBeGreaterThan(0);
    const again = (await afterCrash(shard, directory)).shard;
    expect(await take(again, parts[2]!)).toMatchObject({ refused: 'order' });
    sweepDead(again);
    expect(elementsOf(again)).toBe(0);
    expect(await restoreAll(again, parts)).toMatchObject({ applied: 1 });
    audit(again);
  });

  it('lets go of a collection whose last piece could not be written, when nobody comes with it again', async () => {
    const { parts } = await pieces();
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    for (const part of parts.slice(0, -1)) await take(shard, part);
    const fails = new RestoreTarget(shard, async (work) => {
      await work();
      shard.rollback();
      throw new Error('not written');
    });
    await expect(fails.take('r', parts.at(-1)!)).rejects.toThrow('not written');
    const brought = elementsOf(shard);
    expect(brought).toBeGreaterThan(0);
    const idle = (byMs: number) => {
      shard.nowMs = START_MS + SNAPSHOT_IDLE_MAX_MS + byMs;
      const isOverdue = shard.restores.areOverdue(shard.nowMs);
      shard.endOverdueRestores();
      shard.commit(false, false);
      sweepDead(shard);
      return isOverdue;
    };
    expect(idle(0)).toBe(false);
    expect(elementsOf(shard)).toBe(brought);
    expect(idle(1)).toBe(true);
    expect(elementsOf(shard)).toBe(0);
    expect(idle(2)).toBe(false);
    expect(await take(shard, parts.at(-1)!)).toMatchObject({ refused: 'order' });
    audit(shard);
    // Nothing is left of it on the disk either.
    expect(readUnfinished(shard.source())).toEqual([]);
  });

  it('lets go of a collection that nobody goes on with though the clock was set back', async () => {
    const { parts } = await pieces();
    const shard = await open();
    await take(shard, parts[0]!);
    const setBackMs = START_MS - HOUR_MS;
    expect(shard.restores.areOverdue(setBackMs)).toBe(false);
    shard.nowMs = setBackMs + SNAPSHOT_IDLE_MAX_MS + 1;
    expect(shard.restores.areOverdue(shard.nowMs)).toBe(true);
    shard.endOverdueRestores();
    shard.commit(false, false);
    sweepDead(shard);
    expect(elementsOf(shard)).toBe(0);
  });

  it('forgets a piece that was refused, whose version may be that of another collection by now', async () => {
    const [source, target] = [await open(), await open()];
    makeSet(source, 'large', 2000);
    const { snapshot } = source.snapshots.begin(source);
    const parts = readAll(source, snapshot);
    const broken = Buffer.from(parts[0]!);
    // The length of the last element row's value, before its kind and the hash of its name: more than there is.
    broken.writeUInt32BE(1000, broken.lastIndexOf('member') - 4 - 1 - 4);
    expect(await take(target, broken)).toMatchObject({ refused: 'format' });
    makeSet(target, 'mine', 300);
    expect(await take(target, parts[1]!)).toMatchObject({ refused: 'order' });
    await restoreAll(target, parts);
    sweepDead(target);
    expect((target.find('mine')!.collection as SetValue).members().length).toBe(300);
    expect(elementsOf(target)).toBe(elementsOf(source) + 300);
    audit(target);
    await Promise.all([source.close(), target.close()]);
  });

  it('refuses rows and element rows that do not belong together', async () => {
    const [source, target] = [await open(), await open()];
    write(source, ['plain', 'a value that is not to be written over']);
    makeSet(source, 'large', 600);
    const stored = (key: string) => source.source().get('default', Buffer.from(key))!;
    const piece = (kind: ElementsKind, key: string, name: string) => {
      const writer = new FeedWriter();
      writer.beginElements(Buffer.from('k'), stored(key), kind);
      writer.addElement(Buffer.from(name), Buffer.from('1'));
      writer.endElements();
      return Uint8Array.from(writer.take());
    };
    const alone = new FeedWriter();
    alone.addStored(Buffer.from('k'), stored('large'));
    const MEMBER = '\x01hashmember';
    for (const parts of [
      [piece(ElementsKind.First, 'plain', MEMBER), piece(ElementsKind.Last, 'plain', MEMBER)],
      [piece(ElementsKind.All, 'large', '')],
      [Uint8Array.from(alone.take())],
    ]) {
      let taken: Restored | RestoreRefusal | undefined;
      for (const part of parts) taken = await take(target, part);
      expect(taken).toMatchObject({ refused: 'format' });
      expect(target.count()).toBe(0);
    }
    // What is here of the first is never finished.
    target.nowMs += SNAPSHOT_IDLE_MAX_MS + 1;
    target.endOverdueRestores();
    target.commit(false, false);
    sweepDead(target);
    expect(elementsOf(target)).toBe(0);
    audit(target);
    await Promise.all([source.close(), target.close()]);
  });

  it('takes up nothing behind a flush, which the pieces before it did not survive', async () => {
    const { parts } = await pieces();
    const target = await open();
    await take(target, parts[0]!);
    await target.prepareFlush();
    write(target, ['x', '1']);
    target.flush();
    target.commit(false);
    expect(await take(target, parts[1]!)).toMatchObject({ refused: 'order' });
    expect(elementsOf(target)).toBe(0);
  });

  it('keeps account of what is the latest, also across a crash, where feeds are', async () => {
    const { source, parts } = await pieces();
    let newest = 0;
    for (const part of parts)
      eachFeedEntry(Buffer.from(part), 0, ({ bytes }) => {
        newest = Math.max(newest, rowHeader(bytes).timestamp);
      });
    expect(newest).toBeGreaterThanOrEqual(timestampOf(START_MS));
    const directory = temporaryDir();
    const { shard } = await openShard(directory);
    shard.nowMs = START_MS - 1000;
    await startLogging(shard);
    await restoreAll(shard, parts);
    const again = (await afterCrash(shard, directory)).shard;
    expect(again.replication.newest).toBeGreaterThanOrEqual(newest);
    await source.close();
  });
});
