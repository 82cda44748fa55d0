import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { SetValue } from '../../../src/types/collections/set.js';
import { eachRecord, eachRecordEntry } from '../../../src/types/feed-codec.js';
import { stringValue } from '../../../src/types/row.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import { logState, readLog, stageLogging } from '../../../src/workers/feed-source.js';
import { readReplication } from '../../../src/workers/replication-meta.js';
import { copyOfDatabase, temporaryDir } from '../../support/environment.js';
import {
  chunkOf,
  contentsOf,
  followToEnd,
  openCopy,
  pair,
  startLogging,
  stepOf,
  targetOf,
  textOf,
  write,
} from './feed-harness.js';
import { afterCrash, databaseOf, keysOf } from './shard-harness.js';

describe('a log', () => {
  it('begins when it is switched on, and has what clients write from then on', async () => {
    const { shard } = await openCopy();
    write(shard, ['before', '1']);
    expect(logState(shard)).toBeUndefined();
    await startLogging(shard);
    const begin = logState(shard)!;
    expect(begin).toMatchObject({ sequence: 0, firstSequence: 1, bytes: 0 });
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
    await stepOf(shard)(() => shard.replication.log.trim(shard.source(), 2));
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
    await stepOf(shard)(() => stageLogging(shard, false));
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
  const saved = copyOfDatabase(directory);
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

it('what a loss of power took comes back to all copies, in whatever order they copy each other', async () => {
  const directory = temporaryDir();
  const [{ source: second }, { target: third }] = [await pair(), await pair()];
  let { shard } = await openCopy(directory);
  await startLogging(shard);
  write(shard, ['kept', '1']);
  await followToEnd(shard, third, 'from the first');
  await followToEnd(second, shard, 'from the second');
  await followToEnd(shard, second, 'from the first');
  await shard.syncLog();
  const saved = copyOfDatabase(directory);
  write(shard, ['lost here', '1']);
  const set = new SetValue(shard.collections);
  for (let index = 0; index < 3000; index++) set.add(`member ${index}`);
  shard.setCollection('lost set', set, 0);
  shard.commit(false);
  await followToEnd(shard, second, 'from the first');
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  // The third has all that the first has by now, and does not copy it again.
  await followToEnd(shard, third, 'from the first');
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  const loggedBefore = logState(shard)!.sequence;
  await followToEnd(second, shard, 'from the second');
  await followToEnd(shard, third, 'from the first');
  expect(keysOf(third)).toEqual(['kept', 'lost here', 'lost set']);
  expect(contentsOf(third)).toEqual(contentsOf(second));
  expect(contentsOf(shard)).toEqual(contentsOf(second));
  // What comes after that is logged by the second alone.
  const logged = logState(shard)!.sequence;
  expect(logged).toBeGreaterThan(loggedBefore);
  write(second, ['later', '1']);
  await followToEnd(second, shard, 'from the second');
  expect(logState(shard)!.sequence).toBe(logged);
  await Promise.all([shard.close(), second.close(), third.close()]);
});

it.each([
  ['a key was being copied by itself', true],
  ['all was being copied once more', false],
])('what a loss of power took comes back to all copies though %s', async (_, isOnly) => {
  const directory = temporaryDir();
  const [{ source: second }, { target: third }] = [await pair(), await pair()];
  let { shard } = await openCopy(directory);
  await startLogging(shard);
  const set = new SetValue(second.collections);
  for (let index = 0; index < 3000; index++) set.add(`member ${index}`);
  second.setCollection('set', set, 0);
  second.commit(false);
  await followToEnd(second, shard, 'from the second');
  await followToEnd(shard, second, 'from the first');
  const feed = targetOf(shard, 'from the second');
  if (isOnly) {
    second.rename(second.find('set')!, 'moved set');
    second.commit(false);
    const { position } = readReplication(databaseOf(shard)).feeds.get('from the second')!.record;
    expect(await feed.applyRecords(chunkOf(second, position!.sequence))).toMatchObject({ refused: 'copy' });
  } else await feed.begin(logState(second)!, undefined);
  await shard.syncLog();
  const saved = copyOfDatabase(directory);
  write(shard, ['lost here', '1']);
  await followToEnd(shard, second, 'from the first');
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  await followToEnd(shard, third, 'from the first');
  await followToEnd(second, shard, 'from the second');
  await followToEnd(shard, third, 'from the first');
  expect(keysOf(third)).toEqual(['lost here', isOnly ? 'moved set' : 'set']);
  expect(contentsOf(third)).toEqual(contentsOf(second));
  await Promise.all([shard.close(), second.close(), third.close()]);
});

it.each([
  ['at once', 1000],
  ['a row at a time, with a crash in between', 1],
])('what a machine lost comes to all from the one that had read it, which copies %s', async (_, bytesMax) => {
  const directory = temporaryDir();
  const firstDirectory = temporaryDir();
  const { source: second } = await pair();
  let { shard } = await openCopy(directory);
  let { shard: first } = await openCopy(firstDirectory);
  await startLogging(shard);
  await startLogging(first);
  write(shard, ['changed', '1'], ['deleted', '1'], ['kept', '1']);
  const lostSet = new SetValue(shard.collections);
  for (let index = 0; index < 3000; index++) lostSet.add(`member ${index}`);
  await followToEnd(shard, first, 'from the source');
  await followToEnd(first, second, 'from the first');
  await shard.syncLog();
  const saved = copyOfDatabase(directory);
  write(shard, ['changed', '2'], ['lost', '1']);
  shard.remove('deleted');
  shard.setCollection('lost set', lostSet, 0);
  shard.commit(false);
  await followToEnd(shard, first, 'from the source');
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  // What comes later was not lost: it is in the log already.
  write(first, ['later', '1']);
  const loggedBefore = logState(first)!.sequence;
  if (bytesMax === 1) {
    const copy = targetOf(first, 'from the source');
    await copy.begin(logState(shard)!, undefined);
    await copy.applyCopy(copySlice(shard, undefined, undefined, bytesMax));
    await databaseOf(first).close();
    ({ shard: first } = await openCopy(firstDirectory));
  }
  await followToEnd(shard, second, 'from the source');
  await followToEnd(shard, first, 'from the source', undefined, bytesMax);
  const passedOn: string[] = [];
  eachRecord(Buffer.from(chunkOf(first, loggedBefore).records), (record) =>
    eachRecordEntry(record, ({ key }) => passedOn.push(key.latin1Slice())),
  );
  expect(passedOn).toEqual(['changed', 'deleted', 'lost', 'lost set']);
  await followToEnd(first, second, 'from the first');
  expect(keysOf(second)).toEqual(['changed', 'kept', 'later', 'lost', 'lost set']);
  expect(contentsOf(second)).toEqual(contentsOf(first));
  // Only once.
  const logged = logState(first)!.sequence;
  await targetOf(first, 'from the source').begin(logState(shard)!, undefined);
  await followToEnd(shard, first, 'from the source');
  expect(logState(first)!.sequence).toBe(logged);
  await Promise.all([shard.close(), first.close(), second.close()]);
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
