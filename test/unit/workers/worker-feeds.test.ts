import { expect, it } from 'vitest';
import type { FeedState, FeedTask } from '../../../src/workers/feed-protocol.js';
import type { ShardSteps } from '../../../src/workers/shard-steps.js';
import { WorkerFeeds } from '../../../src/workers/worker-feeds.js';
import { openCopy, stepOf } from './feed-harness.js';

it('nobody hears of a log before that would survive the death of the machine', async () => {
  const { shard } = await openCopy();
  const steps = {
    shard: () => shard,
    forTask: () => ({ read: async (work: () => unknown) => work(), step: stepOf(shard) }),
  };
  const feeds = new WorkerFeeds(steps as unknown as ShardSteps);
  const ask = (task: object) => feeds.run({ owner: 0, shard: shard.id, ...task } as FeedTask);
  const log = async () => ((await ask({ kind: 'feedState' })) as FeedState).log;

  const syncLog = shard.syncLog.bind(shard);
  shard.syncLog = () => Promise.reject(new Error('the disk fails'));
  await expect(ask({ kind: 'setLogging', on: true })).rejects.toThrow('the disk fails');
  expect(await log()).toBeUndefined();
  // It logs by now, but is as unsafe as before.
  shard.syncLog = () => Promise.reject(new Error('and fails again'));
  await expect(ask({ kind: 'setLogging', on: true })).rejects.toThrow('and fails again');
  expect(await log()).toBeUndefined();
  shard.syncLog = syncLog;
  const begun = await ask({ kind: 'setLogging', on: true });
  expect(await log()).toEqual(begun);
  await shard.close();
});
