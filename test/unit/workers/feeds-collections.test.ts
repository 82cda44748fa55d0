import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { COLLECTION_COPY_IDLE_MAX_MS } from '../../../src/base/limits.js';
import { HashValue } from '../../../src/types/collections/hash.js';
import { ListValue } from '../../../src/types/collections/list.js';
import { SetValue } from '../../../src/types/collections/set.js';
import {
  ElementsKind,
  eachFeedEntry,
  eachRecord,
  eachRecordEntry,
  slotSet,
} from '../../../src/types/feed-codec.js';
import { keySlot } from '../../../src/types/slots.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import type { CopySlice } from '../../../src/workers/feed-protocol.js';
import { logState, readLog } from '../../../src/workers/feed-source.js';
import { FeedTarget } from '../../../src/workers/feed-target.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { auditElements, contentsOf, followToEnd, startLogging, stepOf } from './feed-harness.js';
import { afterCrash, auditDisk, databaseOf, keysOf, openShard, START_MS } from './shard-harness.js';

const RETENTION_MS = 1000;
/** Bytes of a slice: of the sets here a small part. */
const SLICE_BYTES = 4000;

async function openCopy(directory = temporaryDir()): Promise<Shard> {
  const { shard, knobs } = await openShard(directory);
  knobs.tombstoneRetentionMs = RETENTION_MS;
  return shard;
}

async function pair(): Promise<[Shard, Shard]> {
  const shards: [Shard, Shard] = [await openCopy(), await openCopy()];
  await startLogging(shards[0]);
  return shards;
}

const member = (index: number) => `member ${String(index).padStart(6, '0')}`;

/** A set of so many members. */
function makeSet(shard: Shard, key: string, size: number, expiresAtMs = 0): void {
  const set = new SetValue(shard.collections);
  for (let index = 0; index < size; index++) set.add(member(index));
  shard.setCollection(key, set, expiresAtMs);
  shard.commit(false);
}

function change(shard: Shard, key: string, work: (set: SetValue) => void): void {
  const row = shard.find(key)!;
  work(row.collection as SetValue);
  shard.changed(row);
  shard.commit(false);
}

const targetOf = (shard: Shard) => new FeedTarget(shard, 'f', stepOf(shard));

/** What the log has of element rows, record by record. */
function loggedKinds(shard: Shard, after = 0): { kind: ElementsKind | undefined; bytes: number }[] {
  const chunk = readLog(shard, { log: logState(shard)!.log, sequence: after }, 1 << 30, undefined);
  if ('gone' in chunk) throw new Error('gone');
  const kinds: { kind: ElementsKind | undefined; bytes: number }[] = [];
  eachRecord(Buffer.from(chunk.records), (record) =>
    eachRecordEntry(record, ({ elements }) =>
      kinds.push({ kind: elements?.kind, bytes: elements?.rows.length ?? 0 }),
    ),
  );
  return kinds;
}

function kindsIn({ rows }: CopySlice): (ElementsKind | undefined)[] {
  const kinds: (ElementsKind | undefined)[] = [];
  eachFeedEntry(Buffer.from(rows), 0, ({ elements }) => kinds.push(elements?.kind));
  return kinds;
}

function audit(source: Shard, target: Shard): void {
  expect(contentsOf(target)).toEqual(contentsOf(source));
  for (const shard of [source, target]) {
    auditDisk(shard);
    auditElements(shard);
  }
}

/** Removes what collections that have gone have left, and sees that nothing else is there. */
function expectElementsOf(shard: Shard, versions: number): void {
  while (shard.hasDeadElements) {
    shard.sweepDeadElements(1000);
    shard.commit(false, false);
  }
  const found = new Set<string>();
  databaseOf(shard).iterate({ family: 'elem', values: false }, (key) => {
    found.add(key.toString('hex', 0, 8));
    return true;
  });
  expect(found.size).toBe(versions);
}

describe('a collection of many elements', () => {
  it('that grows goes as what has changed of it', async () => {
    const [source, target] = await pair();
    await followToEnd(source, target, 'f');
    makeSet(source, 's', 5000);
    change(source, 's', (set) => set.add('one more'));
    change(source, 's', (set) => set.delete(member(7)));
    const kinds = loggedKinds(source);
    expect(kinds.map(({ kind }) => kind)).toEqual([
      ElementsKind.All,
      ElementsKind.Changes,
      ElementsKind.Changes,
    ]);
    expect(kinds[1]!.bytes).toBeLessThan(100);
    const chunks = await followToEnd(source, target, 'f');
    expect(chunks.at(-1)!.last.sequence).toBe(3);
    audit(source, target);
    // In memory it is not what it was.
    expect((target.find('s')!.collection as SetValue).has('one more')).toBe(true);
    change(source, 's', (set) => set.add('and another'));
    await followToEnd(source, target, 'f');
    expect((target.find('s')!.collection as SetValue).has('and another')).toBe(true);
    expectElementsOf(target, 1);
    await Promise.all([source.close(), target.close()]);
  });

  it('is the same everywhere after two writes that only their elements tell apart', async () => {
    const copies = [await openCopy(), await openCopy()] as const;
    for (const copy of copies) await startLogging(copy);
    const [one, other] = copies;
    const settle = async (): Promise<void> => {
      for (let round = 0; round < 2; round++) {
        await followToEnd(one, other, 'f');
        await followToEnd(other, one, 'f');
      }
      audit(one, other);
    };
    makeSet(one, 's', 3000);
    await settle();
    // The same clock, the same size: the same timestamp, and rows alike.
    const writeBoth = (what: string): void => {
      for (const [index, copy] of copies.entries()) {
        copy.nowMs += 10;
        change(copy, 's', (set) => set.add(`${what} of ${index}`));
      }
      expect(one.find('s')!.timestamp).toBe(other.find('s')!.timestamp);
    };
    writeBoth('first');
    await settle();
    expect((one.find('s')!.collection as SetValue).size).toBe(3001);
    // Whichever of the two loses: what follows on it is no change of the other.
    for (const copy of copies) {
      writeBoth(`before ${copies.indexOf(copy)}`);
      change(copy, 's', (set) => set.add(`behind ${copies.indexOf(copy)}`));
      await settle();
    }
    expect((one.find('s')!.collection as SetValue).size).toBe(3005);
    await Promise.all(copies.map((copy) => copy.close()));
  });

  it('is copied in pieces, as it was at one moment', async () => {
    const [source, target] = await pair();
    source.setString('before', '1', 0);
    source.setString('z', '1', 0);
    makeSet(source, 's', 3000);
    const end = targetOf(target);
    await end.begin(logState(source)!, undefined);
    const kinds: (ElementsKind | undefined)[] = [];
    for (let after: string | undefined, isDone = false; !isDone; ) {
      const slice = copySlice(source, after, undefined, SLICE_BYTES);
      kinds.push(...kindsIn(slice));
      expect(await end.applyCopy(slice)).not.toHaveProperty('refused');
      ({ last: after, isDone } = slice);
      // Between the pieces it changes, which the log tells of.
      const row = source.find('s')!;
      const set = row.collection as SetValue;
      for (let removed = 0; removed < 20; removed++) set.delete(set.pick(Math.random));
      set.add(`new ${kinds.length}`);
      source.changed(row);
      source.commit(false);
      auditElements(target);
      // Nobody sees it before it is all there.
      if (!kinds.includes(ElementsKind.Last)) expect(target.peek('s')).toBeUndefined();
    }
    expect(kinds[0]).toBeUndefined();
    expect(kinds.slice(1, 4)).toEqual([ElementsKind.First, ElementsKind.Middle, ElementsKind.Middle]);
    expect(kinds.slice(-2)).toEqual([ElementsKind.Last, undefined]);
    const chunks = await followToEnd(source, target, 'f');
    audit(source, target);
    // What the log has of before the copy's moment is skipped, and everything after follows on it.
    expect(chunks.length).toBeGreaterThan(0);
    expectElementsOf(target, 1);
    await Promise.all([source.close(), target.close()]);
  });

  it('of which the copy was interrupted is copied from its beginning', async () => {
    const directory = temporaryDir();
    const [source] = await pair();
    let target = await openCopy(directory);
    makeSet(source, 's', 3000);
    await targetOf(target).begin(logState(source)!, undefined);
    let after: string | undefined;
    for (let pieces = 0; pieces < 3; pieces++) {
      const slice = copySlice(source, after, undefined, SLICE_BYTES);
      await targetOf(target).applyCopy(slice);
      after = slice.last;
    }
    target = (await afterCrash(target, directory)).shard;
    // The reading has ended: whoever asks for the next piece gets the first one.
    source.replication.copies.endAll();
    change(source, 's', (set) => set.add('meanwhile'));
    expect(kindsIn(copySlice(source, after, undefined, SLICE_BYTES))).toEqual([ElementsKind.First]);
    await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
    audit(source, target);
    expectElementsOf(target, 1);
    await Promise.all([source.close(), target.close()]);
  });

  it('of which the copy is given up leaves nothing', async () => {
    const [source, target] = await pair();
    makeSet(source, 's', 3000);
    for (const giveUp of ['end', 'begin', 'flush'] as const) {
      await targetOf(target).begin(logState(source)!, undefined);
      const first = copySlice(source, undefined, undefined, SLICE_BYTES);
      await targetOf(target).applyCopy(first);
      expect(await targetOf(target).applyCopy(copySlice(source, first.last, undefined, SLICE_BYTES))).toEqual(
        {
          applied: 0,
          skipped: 0,
          removed: 0,
        },
      );
      if (giveUp === 'end') await targetOf(target).end();
      if (giveUp === 'begin') await targetOf(target).begin(logState(source)!, undefined);
      if (giveUp === 'flush') {
        await target.prepareFlush();
        target.flush(START_MS);
        target.commit(false);
        // Pieces that are under way do not belong here any more.
        expect(
          await targetOf(target).applyCopy(copySlice(source, first.last, undefined, SLICE_BYTES)),
        ).toMatchObject({ refused: 'position' });
      }
      auditElements(target);
      expectElementsOf(target, 0);
    }
    await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
    audit(source, target);
    await Promise.all([source.close(), target.close()]);
  });

  it('that has got another key is copied by itself, and so is one that is not what the changes were made of', async () => {
    const [source, target] = await pair();
    await followToEnd(source, target, 'f');
    makeSet(source, 's', 3000);
    source.setString('other', '1', 0);
    source.commit(false);
    await followToEnd(source, target, 'f');
    source.rename(source.find('s')!, 't');
    source.commit(false);
    const { position } = target.replication.progress().f as unknown as { position: { sequence: number } };
    const chunk = readLog(
      source,
      { log: logState(source)!.log, sequence: position.sequence },
      1000,
      undefined,
    );
    if ('gone' in chunk) throw new Error('gone');
    expect(await targetOf(target).applyRecords(chunk)).toEqual({
      refused: 'copy',
      message: 'the key "t" must be copied',
    });
    expect(target.replication.progress().f).toMatchObject({ phase: 'copying', after: 'ot' });
    await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
    audit(source, target);
    // The target changes its own, and then the source changes what it has.
    change(target, 't', (set) => set.add('here'));
    source.nowMs += 5;
    change(source, 't', (set) => set.add('there'));
    await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
    audit(source, target);
    expectElementsOf(target, 1);
    await Promise.all([source.close(), target.close()]);
  });

  it('that went before it could be copied is no matter', async () => {
    const [source, target] = await pair();
    await followToEnd(source, target, 'f');
    makeSet(source, 's', 3000);
    source.rename(source.find('s')!, 't');
    source.commit(false);
    source.remove('t');
    source.commit(false);
    source.nowMs += RETENTION_MS + 1;
    source.sweep(source.nowMs, 100);
    source.commit(false, false);
    expect(keysOf(source)).toEqual([]);
    expect(auditDisk(source).tombstones).toBe(0);
    target.nowMs = source.nowMs;
    await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
    audit(source, target);
    expectElementsOf(target, 0);
    await Promise.all([source.close(), target.close()]);
  });

  it('of which a commit has changed too much is copied by itself', async () => {
    const [source, target] = await pair();
    await followToEnd(source, target, 'f');
    const hash = new HashValue(source.collections);
    for (let field = 0; field < 40; field++) hash.set(`f${field}`, 'v'.repeat(40_000), 0);
    source.setCollection('h', hash, 0);
    source.commit(false);
    expect(loggedKinds(source)).toEqual([{ kind: ElementsKind.None, bytes: 0 }]);
    await followToEnd(source, target, 'f', undefined, 100_000);
    audit(source, target);
    await Promise.all([source.close(), target.close()]);
  });

  it('may be a list, with values that have rows of their own', async () => {
    const [source, target] = await pair();
    await followToEnd(source, target, 'f');
    const list = new ListValue(source.collections);
    for (let index = 0; index < 2000; index++)
      list.insertAt(index, index % 50 === 0 ? 'x'.repeat(5000) : `v${index}`);
    source.setCollection('l', list, 0);
    source.commit(false);
    const row = source.find('l')!;
    (row.collection as ListValue).removeRange(100, 300);
    (row.collection as ListValue).insertAt(50, 'y'.repeat(6000));
    source.changed(row);
    source.commit(false);
    await followToEnd(source, target, 'f');
    audit(source, target);
    await Promise.all([source.close(), target.close()]);
  });

  it('whose fields end by themselves stays the same on both sides', async () => {
    const [source, target] = await pair();
    await startLogging(target);
    const hash = new HashValue(source.collections);
    for (let field = 0; field < 2000; field++) {
      hash.set(`f${field}`, 'v', START_MS);
      if (field % 4 === 0) hash.setExpiry(`f${field}`, START_MS + 10);
    }
    source.setCollection('h', hash, 0);
    source.commit(false);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    for (const shard of [source, target]) {
      shard.nowMs = START_MS + 20;
      while (shard.sweep(shard.nowMs, 100)) shard.commit(false, false);
      shard.commit(false, false);
    }
    change(source, 'h', (value) => (value as unknown as HashValue).set('new', 'v', source.nowMs));
    for (let rounds = 0; rounds < 3; rounds++) {
      await followToEnd(source, target, 'f', undefined, SLICE_BYTES);
      await followToEnd(target, source, 'g', undefined, SLICE_BYTES);
    }
    audit(source, target);
    expect((target.find('h')!.collection as HashValue).liveSize(target.nowMs)).toBe(1501);
    await Promise.all([source.close(), target.close()]);
  });

  it('moves with its slot, and leaves nothing where a string takes its place', async () => {
    const [source, target] = await pair();
    makeSet(source, 'moving', 3000);
    makeSet(source, 'staying', 3000);
    const slots = slotSet([keySlot(Buffer.from('moving'))]);
    await followToEnd(source, target, 'f', slots, SLICE_BYTES);
    change(source, 'moving', (set) => set.add('x'));
    change(source, 'staying', (set) => set.add('x'));
    await followToEnd(source, target, 'f', slots, SLICE_BYTES);
    expect(contentsOf(target)).toEqual({ moving: contentsOf(source).moving });
    source.setString('moving', 'a string', 0);
    source.commit(false);
    await followToEnd(source, target, 'f', slots, SLICE_BYTES);
    expectElementsOf(target, 0);
    auditDisk(target);
    await Promise.all([source.close(), target.close()]);
  });
});

it('readings that nobody goes on with end, and so do those that are too many', async () => {
  const [source, target] = await pair();
  makeSet(source, 's', 3000);
  const { copies } = source.replication;
  const first = copySlice(source, undefined, undefined, SLICE_BYTES);
  expect(kindsIn(copySlice(source, first.last, undefined, SLICE_BYTES))).toEqual([ElementsKind.Middle]);
  source.nowMs += 120_000;
  copies.expire(source.nowMs);
  const later = copySlice(source, undefined, undefined, SLICE_BYTES);
  for (let others = 0; others < 20; others++) {
    source.nowMs++;
    copySlice(source, undefined, undefined, SLICE_BYTES);
  }
  expect(kindsIn(copySlice(source, later.last, undefined, SLICE_BYTES))).toEqual([ElementsKind.First]);
  // Readings that are open do not keep a shard from being emptied or closed.
  await source.prepareFlush();
  source.flush();
  source.commit(false);
  expect(kindsIn(copySlice(source, later.last, undefined, SLICE_BYTES))).toEqual([]);
  await Promise.all([source.close(), target.close()]);
});

it('readings that nobody goes on with end though the clock was set back', async () => {
  const [source, target] = await pair();
  makeSet(source, 's', 3000);
  const { copies } = source.replication;
  const first = copySlice(source, undefined, undefined, SLICE_BYTES);
  source.nowMs -= 3_600_000;
  copies.expire(source.nowMs);
  source.nowMs += COLLECTION_COPY_IDLE_MAX_MS + 1;
  copies.expire(source.nowMs);
  expect(kindsIn(copySlice(source, first.last, undefined, SLICE_BYTES))).toEqual([ElementsKind.First]);
  await Promise.all([source.close(), target.close()]);
});
