import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { SetValue } from '../../../src/types/collections/set.js';
import { hasSlot, slotSet } from '../../../src/types/feed-codec.js';
import { stringValue } from '../../../src/types/row.js';
import { keySlot, SLOTS } from '../../../src/types/slots.js';
import type {
  CopySlice,
  FeedState,
  FeedTask,
  LogState,
  SlotsRemoval,
} from '../../../src/workers/feed-protocol.js';
import { logState } from '../../../src/workers/feed-source.js';
import type { Shard } from '../../../src/workers/shard.js';
import type { ShardSteps } from '../../../src/workers/shard-steps.js';
import { WorkerFeeds } from '../../../src/workers/worker-feeds.js';
import { copyOfDatabase, temporaryDir } from '../../support/environment.js';
import {
  auditElements,
  contentsOf,
  openCopy,
  startLogging,
  stepOf,
  targetOf,
  textOf,
  write,
} from './feed-harness.js';
import { databaseOf, keysOf } from './shard-harness.js';

/** Every second slot. */
const half = slotSet(Array.from({ length: SLOTS / 2 }, (_, slot) => 2 * slot));

/** Puts a large set at a key in one of them that begins so. */
function putSet(shard: Shard, prefix: string, size: number): void {
  let key = prefix;
  while (!hasSlot(half, keySlot(Buffer.from(key)))) key += '.';
  const set = new SetValue(shard.collections);
  for (let member = 0; member < size; member++) set.add(`member ${member}`);
  shard.setCollection(key, set, 0);
}

/** The feeds of a worker with one shard, whose tasks have time for so many steps. */
function feedsOf(shard: Shard, stepsMax = 1) {
  const steps = {
    shard: () => shard,
    forTask: () => {
      let done = 1;
      return {
        read: async (work: () => unknown) => work(),
        step: stepOf(shard),
        pacedStep: stepOf(shard),
        goesOn: async () => done++ < stepsMax,
        measured: (task: Promise<object>) => task,
      };
    },
  };
  const feeds = new WorkerFeeds(steps as unknown as ShardSteps);
  const ask = (task: object) => feeds.run({ owner: 0, shard: shard.id, ...task } as FeedTask);
  const setLogging = (on: boolean) => ask({ kind: 'setLogging', on }) as Promise<LogState | undefined>;
  const log = async () => ((await ask({ kind: 'feedState' })) as FeedState).log;
  return { setLogging, log, ask };
}

it('nobody hears of a log before that would survive the death of the machine', async () => {
  const { shard } = await openCopy();
  const { setLogging, log } = feedsOf(shard);

  const syncLog = shard.syncLog.bind(shard);
  shard.syncLog = () => Promise.reject(new Error('the disk fails'));
  await expect(setLogging(true)).rejects.toThrow('the disk fails');
  expect(await log()).toBeUndefined();
  // It logs by now, but is as unsafe as before.
  shard.syncLog = () => Promise.reject(new Error('and fails again'));
  await expect(setLogging(true)).rejects.toThrow('and fails again');
  expect(await log()).toBeUndefined();
  shard.syncLog = syncLog;
  const begun = await setLogging(true);
  expect(await log()).toEqual(begun);
  await shard.close();
});

it('nobody hears of a log that begins while the one before it is brought to the disk', async () => {
  const { shard } = await openCopy();
  const { setLogging, log } = feedsOf(shard);
  const syncs: { done: () => void; fail: (error: Error) => void }[] = [];
  shard.syncLog = () => new Promise((done, fail) => syncs.push({ done, fail }));
  const first = setLogging(true);
  await expect.poll(() => syncs.length).toBe(1);
  await setLogging(false);
  const second = setLogging(true);
  await expect.poll(() => syncs.length).toBe(2);
  syncs[0]!.done();
  // What the first has waited for says nothing of the log that there is now.
  await expect.poll(() => syncs.length).toBe(3);
  expect(await log()).toBeUndefined();
  syncs[1]!.fail(new Error('the disk fails'));
  await expect(second).rejects.toThrow('the disk fails');
  expect(await log()).toBeUndefined();
  syncs[2]!.done();
  expect(await first).toEqual(logState(shard));
  expect(await log()).toEqual(logState(shard));
  await shard.close();
});

it('a log from before a clean stop is told of when a loss of what follows would be noticed', async () => {
  const directory = temporaryDir();
  let { shard } = await openCopy(directory);
  await startLogging(shard);
  write(shard, ['kept', '1']);
  await shard.close();
  ({ shard } = await openCopy(directory));
  const before = logState(shard)!.log;
  const { setLogging } = feedsOf(shard);
  const syncLog = shard.syncLog.bind(shard);
  shard.syncLog = () => Promise.reject(new Error('the disk fails'));
  await expect(setLogging(true)).rejects.toThrow('the disk fails');
  shard.syncLog = syncLog;
  expect(await setLogging(true)).toMatchObject({ log: before });
  const saved = copyOfDatabase(directory);
  write(shard, ['lost here', '1']);
  await databaseOf(shard).close();
  ({ shard } = await openCopy(saved, 'another start'));
  // Its numbers are given again, to other writes.
  expect(logState(shard)!.log).not.toBe(before);
  await shard.close();
});

it('the first of the writes behind a clean stop is on the disk with what tells that later ones were lost', async () => {
  const directory = temporaryDir();
  let { shard } = await openCopy(directory);
  await startLogging(shard);
  await shard.close();
  // As when it goes to another worker: nobody has it log once more.
  ({ shard } = await openCopy(directory));
  const before = logState(shard)!.log;
  const database = databaseOf(shard);
  let saved = '';
  // What survives the machine is what was there at the last commit with sync.
  const save = () => {
    saved = copyOfDatabase(directory);
  };
  save();
  const { commit } = database;
  database.commit = (sync) => {
    commit.call(database, sync);
    if (sync) save();
  };
  write(shard, ['kept', '1']);
  write(shard, ['lost here', '1']);
  await database.close();
  ({ shard } = await openCopy(saved, 'another start'));
  expect(logState(shard)!.log).not.toBe(before);
  expect([textOf(shard, 'kept'), textOf(shard, 'lost here')]).toEqual(['1', undefined]);
  await shard.close();
});

it.each([1, 2, 1000])('a copy is the same whether a slice has one step or up to %i', async (stepsMax) => {
  const [{ shard: source }, { shard: target }] = [await openCopy(), await openCopy()];
  await startLogging(source);
  for (let key = 0; key < 1200; key++) source.setString(`k${key}`, stringValue(`${key}`), 0);
  for (const key of ['a', 'k200 large', 'k700 large', 'z']) putSet(source, key, 1400);
  source.commit(false);
  const feeds = feedsOf(source, stepsMax);
  const end = targetOf(target);
  await end.begin(logState(source)!, undefined);
  let after: string | undefined;
  let slices = 0;
  for (let isDone = false; !isDone; slices++) {
    const slice = (await feeds.ask({ kind: 'copySlice', after, slots: half, bytesMax: 20_000 })) as CopySlice;
    expect(slice.rows.length).toBeLessThan(30_000);
    expect(await end.applyCopy(slice)).not.toHaveProperty('refused');
    ({ last: after, isDone } = slice);
  }
  expect(slices).toBeGreaterThan(4);
  const contents = contentsOf(source);
  const wanted = Object.keys(contents).filter((key) => hasSlot(half, keySlot(Buffer.from(key))));
  expect(contentsOf(target)).toEqual(Object.fromEntries(wanted.map((key) => [key, contents[key]])));
  auditElements(target);
  await Promise.all([source.close(), target.close()]);
});

it('what is not to be here is removed in as many steps as there is time for', async () => {
  const { shard } = await openCopy();
  write(shard, ...Array.from({ length: 1000 }, (_, key): [string, string] => [`k${key}`, '1']));
  const remove = async (stepsMax: number, after?: string) =>
    (await feedsOf(shard, stepsMax).ask({ kind: 'removeSlots', slots: half, after })) as SlotsRemoval;
  const first = await remove(2);
  expect(first.isDone).toBe(false);
  const { removed, isDone } = await remove(9, first.last);
  expect(isDone).toBe(true);
  const kept = keysOf(shard);
  expect(kept.length + first.removed + removed).toBe(1000);
  expect(kept.some((key) => hasSlot(half, keySlot(Buffer.from(key))))).toBe(false);
  await shard.close();
});
