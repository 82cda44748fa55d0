import { cpSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { FeedState, FeedTask, LogState } from '../../../src/workers/feed-protocol.js';
import { logState } from '../../../src/workers/feed-source.js';
import type { Shard } from '../../../src/workers/shard.js';
import type { ShardSteps } from '../../../src/workers/shard-steps.js';
import { WorkerFeeds } from '../../../src/workers/worker-feeds.js';
import { temporaryDir } from '../../support/environment.js';
import { openCopy, startLogging, stepOf, textOf, write } from './feed-harness.js';
import { databaseOf } from './shard-harness.js';

/** The feeds of a worker with one shard. */
function feedsOf(shard: Shard) {
  const steps = {
    shard: () => shard,
    forTask: () => ({ read: async (work: () => unknown) => work(), step: stepOf(shard) }),
  };
  const feeds = new WorkerFeeds(steps as unknown as ShardSteps);
  const ask = (task: object) => feeds.run({ owner: 0, shard: shard.id, ...task } as FeedTask);
  const setLogging = (on: boolean) => ask({ kind: 'setLogging', on }) as Promise<LogState | undefined>;
  const log = async () => ((await ask({ kind: 'feedState' })) as FeedState).log;
  return { setLogging, log };
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
  const saved = temporaryDir();
  cpSync(directory, saved, { recursive: true });
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
    saved = temporaryDir();
    cpSync(directory, saved, { recursive: true });
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
