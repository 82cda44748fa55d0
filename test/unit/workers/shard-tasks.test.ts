import { describe, expect, it } from 'vitest';
import { Owner } from '../../../src/workers/owner.js';
import { ShardRoute } from '../../../src/workers/pool.js';
import { ShardFeeds } from '../../../src/workers/shard-feeds.js';

describe('a step of long work', () => {
  it.each([
    { name: 'that did not have to wait', tookMs: 5, workMs: 4, restMs: 12 },
    { name: 'that waited for clients, or a processor', tookMs: 9, workMs: 4, restMs: 52 },
    { name: 'of which two were under way at once', tookMs: 3, workMs: 4, restMs: 12 },
    { name: 'on a machine that does nothing else any more', tookMs: 2000, workMs: 4, restMs: 1000 },
  ])('$name has the next one rest', async ({ tookMs, workMs, restMs }) => {
    let nowMs = 1000;
    const run = async () => {
      nowMs += tookMs;
      return { removed: 1, last: undefined, isDone: true, workMs };
    };
    const feeds = new ShardFeeds(run, () => nowMs);
    expect(await feeds.removeSlots(route(), new Uint8Array(0))).toMatchObject({ removed: 1, restMs });
  });
});

function route(): ShardRoute {
  const nothing = () => undefined;
  return new ShardRoute(0, '', { blockCacheBytes: 0, memtableBytes: 0 }, new Owner(0, 0, nothing, nothing));
}
