import { Buffer } from 'node:buffer';
import { cpSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { timestampOf } from '../../../src/base/clock.js';
import { slotSet } from '../../../src/types/feed-codec.js';
import { stringValue, valueText } from '../../../src/types/row.js';
import { keySlot } from '../../../src/types/slots.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import type { LogChunk } from '../../../src/workers/feed-protocol.js';
import { logState, readLog, stageLogging } from '../../../src/workers/feed-source.js';
import { FeedTarget, removeSlots } from '../../../src/workers/feed-target.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { contentsOf, followToEnd, startLogging, stepOf } from './feed-harness.js';
import { afterCrash, auditDisk, databaseOf, keysOf, openShard, type Rig, START_MS } from './shard-harness.js';

const RETENTION_MS = 200_000;

async function openCopy(directory = temporaryDir(), machine?: string): Promise<Rig> {
  const rig = await openShard(directory, 1 << 20, 1, undefined, machine);
  rig.knobs.tombstoneRetentionMs = RETENTION_MS;
  return rig;
}

/** A shard that logs, and one that follows it. */
async function pair(): Promise<{ source: Shard; target: Shard; rigs: Rig[] }> {
  const rigs = [await openCopy(), await openCopy()];
  const [source, target] = rigs.map(({ shard }) => shard) as [Shard, Shard];
  await startLogging(source);
  return { source, target, rigs };
}

function write(shard: Shard, ...rows: [string, string][]): void {
  for (const [key, value] of rows) shard.setString(key, stringValue(value), 0);
  shard.commit(false);
}

function textOf(shard: Shard, key: string): string | undefined {
  const row = shard.peek(key);
  return row && valueText(row.value);
}

const targetOf = (shard: Shard, feed = 'f') => new FeedTarget(shard, feed, stepOf(shard));

async function step<T>(shard: Shard, work: () => T): Promise<T> {
  return stepOf(shard)(work);
}

function chunkOf(source: Shard, sequence: number, bytesMax = 1 << 20): LogChunk {
  const chunk = readLog(source, { log: logState(source)!.log, sequence }, bytesMax, undefined);
  if ('gone' in chunk) throw new Error(`${sequence} is gone`);
  return chunk;
}

describe('a log', () => {
  it('begins when it is switched on, and has what clients write from then on', async () => {
    const { shard } = await openCopy();
    write(shard, ['before', '1']);
    expect(logState(shard)).toBeUndefined();
    await startLogging(shard);
    const begin = logState(shard)!;
    expect(begin).toMatchObject({ sequence: 0, firstSequence: 1, bytes: 0, flushedAt: 0 });
    write(shard, ['a', '1'], ['b', '2']);
    write(shard, ['a', '3']);
    expect(logState(shard)).toMatchObject({ log: begin.log, sequence: 2, firstSequence: 1 });
    expect(logState(shard)!.bytes).toBeGreaterThan(0);
    await startLogging(shard);
    expect(logState(shard)).toMatchObject({ log: begin.log, sequence: 2 });
    await shard.close();
  });

  it('keeps its place over restarts and crashes', async () => {
    const directory = temporaryDir();
    let { shard } = await openCopy(directory);
    await startLogging(shard);
    write(shard, ['a', '1']);
    const before = logState(shard)!;
    shard.setString('lost', 'x', 0);
    ({ shard } = await afterCrash(shard, directory));
    expect(logState(shard)).toMatchObject({ log: before.log, sequence: 1, bytes: before.bytes });
    write(shard, ['b', '1']);
    await step(shard, () => shard.replication.log.trim(shard.source(), 2));
    await shard.close();
    ({ shard } = await openCopy(directory));
    expect(logState(shard)).toMatchObject({ log: before.log, sequence: 2, firstSequence: 3, bytes: 0 });
    write(shard, ['c', '1']);
    expect(logState(shard)).toMatchObject({ sequence: 3, firstSequence: 3 });
    await shard.close();
  });

  it('begins anew when it is switched off and on; its records go', async () => {
    const { shard } = await openCopy();
    await startLogging(shard);
    write(shard, ['a', '1']);
    const before = logState(shard)!;
    await step(shard, () => stageLogging(shard, false));
    expect(logState(shard)).toBeUndefined();
    write(shard, ['b', '1']);
    expect(shard.replication.log.hasLeftovers).toBe(false);
    await startLogging(shard);
    const after = logState(shard)!;
    expect(after.log).not.toBe(before.log);
    expect(readLog(shard, { log: before.log, sequence: 0 }, 1000, undefined)).toEqual({ gone: true });
    expect(chunkOf(shard, after.sequence)).toMatchObject({ last: { sequence: after.sequence } });
    await shard.close();
  });

  it('does not have what was rolled back', async () => {
    const { shard } = await openCopy();
    await startLogging(shard);
    shard.setString('a', '1', 0);
    shard.rollback();
    write(shard, ['b', '1']);
    expect(logState(shard)!.sequence).toBe(1);
    await shard.close();
  });

  it('loses its oldest records when it is too long, and says so to those who need them', async () => {
    const { shard, knobs } = await openCopy();
    knobs.feedLogBytesMax = 4000;
    await startLogging(shard);
    for (let index = 0; index < 200; index++) write(shard, [`k${index % 7}`, 'x'.repeat(100)]);
    const state = logState(shard)!;
    expect(state.sequence).toBe(200);
    expect(state.bytes).toBeLessThanOrEqual(4000);
    expect(state.firstSequence).toBeGreaterThan(150);
    expect(readLog(shard, { log: state.log, sequence: 10 }, 1000, undefined)).toEqual({ gone: true });
    expect(chunkOf(shard, state.firstSequence - 1).last.sequence).toBe(200);
    expect(readLog(shard, { log: state.log, sequence: 201 }, 1000, undefined)).toEqual({ gone: true });
    await shard.close();
  });

  it('tells of what the last commit was, flags too, and splits what is large', async () => {
    const { source, target } = await pair();
    source.setString('big', stringValue('v'.repeat(400_000)), 0);
    source.setString('small', '1', 0, undefined, 0);
    source.commit(false);
    expect(logState(source)!.sequence).toBe(2);
    await followToEnd(source, target, 'f');
    source.setFlags(source.find('small')!, 1);
    source.commit(false);
    source.setFlags(source.find('small')!, 0);
    source.commit(false);
    await followToEnd(source, target, 'f');
    expect(target.peek('small')!.flags).toBe(0);
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });

  it('begins anew after the machine went down, and the shard copies from the others', async () => {
    const directory = temporaryDir();
    const { source } = await pair();
    let { shard } = await openCopy(directory);
    await startLogging(shard);
    write(shard, ['a', '1']);
    await followToEnd(source, shard, 'f');
    const { log } = logState(shard)!;
    await databaseOf(shard).close();
    ({ shard } = await openCopy(directory, 'another start'));
    expect(logState(shard)!.log).not.toBe(log);
    expect(shard.replication.progress()).toEqual({});
    await followToEnd(source, shard, 'f');
    // Closed before the machine went down, nothing can have been lost.
    const kept = logState(shard)!.log;
    await shard.close();
    ({ shard } = await openCopy(directory, 'a third start'));
    expect(logState(shard)!.log).toBe(kept);
    expect(shard.replication.progress()).toHaveProperty('f');
    await Promise.all([shard.close(), source.close()]);
  });
});

it('after a loss of power all copies come to hold the same again', async () => {
  const directory = temporaryDir();
  const { target } = await pair();
  await startLogging(target);
  let { shard } = await openCopy(directory);
  await startLogging(shard);
  write(shard, ['kept', '1'], ['changed', '1']);
  await shard.syncLog();
  const saved = temporaryDir();
  cpSync(directory, saved, { recursive: true });
  write(shard, ['lost here', '1'], ['changed', '2']);
  await followToEnd(shard, target, 'f');
  await followToEnd(target, shard, 'g');
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  expect(keysOf(shard)).toEqual(['changed', 'kept']);
  // The numbers of what was lost are given again, to other writes.
  write(shard, ['later', '1']);
  write(target, ['there', '1']);
  await followToEnd(shard, target, 'f');
  await followToEnd(target, shard, 'g');
  expect(keysOf(shard)).toEqual(['changed', 'kept', 'later', 'lost here', 'there']);
  expect(textOf(shard, 'changed')).toBe('2');
  expect(contentsOf(shard)).toEqual(contentsOf(target));
  await Promise.all([shard.close(), target.close()]);
});

it('opening a shard after a clean stop writes nothing', async () => {
  const directory = temporaryDir();
  let { shard } = await openCopy(directory);
  const machine = () =>
    JSON.parse(databaseOf(shard).get('meta', Buffer.from('replication'))!.toString()).machine;
  await startLogging(shard);
  expect(machine()).toBe('this one');
  await shard.close();
  ({ shard } = await openCopy(directory));
  expect(machine()).toBe('');
  write(shard, ['a', '1']);
  expect(machine()).toBe('this one');
  await shard.close();
});

describe('a follower', () => {
  it('copies what was there, and follows what comes', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1'], ['b', '2'], ['', 'empty']);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual(['', 'a', 'b']);
    source.remove('a');
    source.setExpiry(source.find('b')!, START_MS + 50);
    write(source, ['c', '3']);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    expect(auditDisk(target)).toEqual({ live: 3, expiring: 1, tombstones: 1, ttl: 2 });
    // What came by a feed is not logged again.
    expect(logState(target)).toBeUndefined();
    await Promise.all([source.close(), target.close()]);
  });

  it('has in memory what came, and breaks watches', async () => {
    const { source, target } = await pair();
    write(target, ['a', 'old']);
    target.watches.watch(1, 'a', true);
    target.watches.watch(2, 'new', false);
    target.watches.watch(3, 'other', false);
    source.nowMs += 5;
    write(source, ['a', 'x'.repeat(2000)], ['new', '1']);
    await followToEnd(source, target, 'f');
    expect(textOf(target, 'a')).toBe('x'.repeat(2000));
    const exists = (key: string) => target.peek(key) !== undefined;
    expect([1, 2, 3].map((client) => target.watches.isBroken(client, exists))).toEqual([true, true, false]);
    await Promise.all([source.close(), target.close()]);
  });

  it('takes nothing twice, nothing out of order, and nothing before a copy', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1']);
    const end = targetOf(target);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    await end.begin({ ...logState(source)!, sequence: 0 }, undefined);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    const slice = copySlice(source, undefined, undefined, 1000);
    expect(await end.applyCopy({ ...slice, after: 'elsewhere' })).toMatchObject({ refused: 'position' });
    expect(await end.applyCopy(slice)).toEqual({ applied: 1, skipped: 0, removed: 0 });
    expect(await end.applyCopy(slice)).toEqual({ applied: 0, skipped: 0, removed: 0 });
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({ applied: 0, skipped: 1, removed: 0 });
    write(source, ['b', '1']);
    write(source, ['c', '1']);
    expect(await end.applyRecords(chunkOf(source, 2))).toMatchObject({ refused: 'position' });
    expect(await end.applyRecords(chunkOf(source, 1))).toEqual({ applied: 2, skipped: 0, removed: 0 });
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({ applied: 0, skipped: 0, removed: 0 });
    const other = { log: 'other', sequence: 9 };
    expect(await end.applyRecords({ ...chunkOf(source, 1), last: other })).toMatchObject({
      refused: 'position',
    });
    await step(target, () => target.replication.endFeed('f'));
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'position' });
    expect(textOf(target, 'c')).toBe('1');
    await Promise.all([source.close(), target.close()]);
  });

  it('refuses writes from the future, and says from which feed and how far', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'from store-2');
    write(source, ['good', '1']);
    source.nowMs += 70_000;
    write(source, ['bad', '1']);
    const end = targetOf(target, 'from store-2');
    const before = target.replication.progress();
    expect(await end.applyRecords(chunkOf(source, 0))).toEqual({
      refused: 'clock',
      message: expect.stringMatching(
        /from store-2 .* 70000 ms in the future.*feed-clock-drift-max-ms \(60000\)/,
      ),
    });
    expect(target.peek('good')).toBeUndefined();
    expect(target.replication.progress()).toEqual(before);
    await source.prepareFlush();
    source.flush();
    source.commit(false);
    expect(await end.applyRecords(chunkOf(source, 0))).toMatchObject({ refused: 'clock' });
    target.nowMs += 10_000;
    expect(await end.applyRecords(chunkOf(source, 0))).not.toHaveProperty('refused');
    await Promise.all([source.close(), target.close()]);
  });

  it('refuses what it cannot read, with nothing applied', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    write(source, ['a', '1']);
    const chunk = chunkOf(source, 0);
    const end = targetOf(target);
    const cut = { ...chunk, records: chunk.records.subarray(0, chunk.records.length - 1) };
    expect(await end.applyRecords(cut)).toMatchObject({ refused: 'format' });
    const unknown = Uint8Array.from(chunk.records);
    // The type of the row.
    unknown[4 + 1 + 8 + 1] = 9;
    expect(await end.applyRecords({ ...chunk, records: unknown })).toMatchObject({ refused: 'format' });
    expect(target.count()).toBe(0);
    expect(await end.applyRecords(chunk)).toMatchObject({ applied: 1 });
    await Promise.all([source.close(), target.close()]);
  });

  it('has nothing of what could not be written', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    write(target, ['cached', 'old']);
    source.nowMs += 5;
    write(source, ['a', '1'], ['cached', 'new']);
    const before = target.replication.progress();
    const commit = vi.spyOn(databaseOf(target), 'commit').mockImplementationOnce(() => {
      databaseOf(target).discard();
      throw new StorageError('NO_SPACE', 'full');
    });
    await expect(targetOf(target).applyRecords(chunkOf(source, 0))).rejects.toThrow('full');
    commit.mockRestore();
    expect(textOf(target, 'cached')).toBe('old');
    expect(target.count()).toBe(1);
    expect(target.replication.progress()).toEqual(before);
    auditDisk(target);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });
});

describe('what has ended', () => {
  it('is remembered, so that an older write from elsewhere does not bring it back', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    source.setString('k', '1', START_MS + 10, START_MS + 5);
    source.commit(false);
    // Written here earlier, and on its way when the other copy has ended.
    target.setString('k', 'older', 0, START_MS + 1);
    target.commit(false);
    for (const shard of [source, target]) shard.nowMs = START_MS + 20;
    source.sweep(source.nowMs, 100);
    source.commit(false, false);
    expect(auditDisk(source)).toMatchObject({ live: 0, tombstones: 1 });
    await followToEnd(target, source, 'g');
    await followToEnd(source, target, 'f');
    expect(source.peek('k')).toBeUndefined();
    expect(target.peek('k')).toBeUndefined();
    expect(contentsOf(target)).toEqual(contentsOf(source));
    // Nor does one that comes here: it makes no difference whether it was swept.
    for (const shard of [source, target]) expect(shard.setString('k', 'x', 0, START_MS + 4)).toBe(false);
    for (const shard of [source, target]) {
      shard.nowMs = START_MS + 10 + RETENTION_MS;
      shard.sweep(shard.nowMs, 100);
      shard.commit(false, false);
      expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
      await shard.close();
    }
  });

  it('leaves nothing in a shard that nobody follows', async () => {
    const { shard } = await openCopy();
    shard.setString('k', '1', START_MS + 10);
    shard.commit(false);
    shard.nowMs += 20;
    shard.sweep(shard.nowMs, 100);
    shard.commit(false, false);
    expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
    await shard.close();
  });
});

describe('event times', () => {
  it('of one millisecond: the last to come is the later one, on every copy', async () => {
    const { source, target } = await pair();
    await followToEnd(source, target, 'f');
    for (const value of ['z', 'a']) {
      expect(source.setString('k', value, 0, START_MS - 5)).toBe(true);
      source.commit(false);
    }
    expect(source.setString('k', 'older', 0, START_MS - 6)).toBe(false);
    await followToEnd(source, target, 'f');
    expect([textOf(source, 'k'), textOf(target, 'k')]).toEqual(['a', 'a']);
    await Promise.all([source.close(), target.close()]);
  });
});

describe('a flush', () => {
  async function flush(shard: Shard): Promise<void> {
    await shard.prepareFlush();
    shard.flush();
    shard.commit(false);
  }

  it('empties the copies in one step, and keeps what feeds have come to', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1'], ['b', '2']);
    await startLogging(target);
    write(target, ['own', '1']);
    await followToEnd(source, target, 'f');
    const { path } = databaseOf(target);
    const ids = [logState(source)!.log, logState(target)!.log];
    await flush(source);
    write(source, ['c', '3']);
    const chunks = await followToEnd(source, target, 'f');
    expect(databaseOf(target).path).not.toBe(path);
    expect(chunks).toHaveLength(2);
    expect(keysOf(target)).toEqual(['c']);
    expect([logState(source)!.log, logState(target)!.log]).toEqual(ids);
    // Who follows the target begins with the flush.
    expect(chunkOf(target, 0).last.sequence).toBe(logState(target)!.sequence);
    // So does who was far behind at the source.
    const late = (await openCopy()).shard;
    const end = targetOf(late);
    await end.begin({ ...logState(source)!, sequence: 0, flushedAt: 0 }, undefined);
    await end.applyCopy({
      after: undefined,
      last: undefined,
      rows: new Uint8Array(),
      rowCount: 0,
      isDone: true,
    });
    await followToEnd(source, late, 'f');
    expect(contentsOf(late)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close(), late.close()]);
  });

  it('leaves what was written later, and ends what is older and still arrives', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    write(source, ['old', '1']);
    await followToEnd(source, target, 'f');
    write(target, ['older than the flush', '1']);
    source.nowMs += 5;
    await flush(source);
    target.nowMs += 10;
    write(target, ['later', '1']);
    const { path } = databaseOf(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    for (const shard of [source, target]) expect(keysOf(shard)).toEqual(['later']);
    expect(databaseOf(target).path).toBe(path);
    auditDisk(target);
    // A write with an older time than the flush is older than the deletion of its key.
    expect(source.setString('k', '1', 0, START_MS + 1)).toBe(false);
    await Promise.all([source.close(), target.close()]);
  });

  it('of some slots leaves the others', async () => {
    const { source, target } = await pair();
    write(source, ['moving', '1']);
    write(target, ['own', '1']);
    const slots = slotSet([keySlot(Buffer.from('moving'))]);
    await followToEnd(source, target, 'f', slots);
    expect(keysOf(target)).toEqual(['moving', 'own']);
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f', slots);
    expect(keysOf(target)).toEqual(['own']);
    auditDisk(target);
    await Promise.all([source.close(), target.close()]);
  });

  it('that fails leaves everything as it was', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1']);
    await followToEnd(source, target, 'f');
    await source.prepareFlush();
    source.flush();
    const { log } = source.replication;
    source.rollback();
    expect(log.last).toBe(1);
    write(source, ['b', '1']);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });
});

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
    await step(target, () => target.replication.log.trim(target.source(), target.replication.log.last));
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
    expect(await removeSlots(shard, stepOf(shard), even, undefined)).toEqual({
      removed: evenKeys.length,
      last: undefined,
      isDone: true,
    });
    expect(keysOf(shard)).toEqual(keys.filter((key) => !evenKeys.includes(key)).toSorted());
    expect(auditDisk(shard)).toMatchObject({ tombstones: 0, ttl: 0 });
    expect(logState(shard)!.sequence).toBe(sequence);
    await shard.close();
  });
});

it('timestamps stay behind those that came by feeds, also after a restart', async () => {
  const { source, target } = await pair();
  source.nowMs += 50_000;
  write(source, ['k', 'ahead']);
  await followToEnd(source, target, 'f');
  write(target, ['k', 'here']);
  expect(target.peek('k')!.timestamp).toBeGreaterThan(timestampOf(source.nowMs));
  await target.prepareFlush();
  target.flush();
  target.commit(false);
  await followToEnd(source, target, 'f');
  expect(target.count()).toBe(0);
  await Promise.all([source.close(), target.close()]);
});
