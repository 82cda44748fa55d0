import { describe, expect, it } from 'vitest';
import { Owner } from '../../../src/workers/owner.js';
import { ShardRoute } from '../../../src/workers/pool.js';
import { ShardFeeds } from '../../../src/workers/shard-feeds.js';

describe('a part of long work', () => {
  it.each([
    { name: 'that did not have to wait', askedMs: 5, tookMs: 4, owedMs: 12, restMs: 12 },
    { name: 'that waited for the threads', askedMs: 9, tookMs: 4, owedMs: 12, restMs: 132 },
    { name: 'for which the worker has rested', askedMs: 80, tookMs: 80, owedMs: 0, restMs: 0 },
    {
      name: 'on a machine that does nothing else any more',
      askedMs: 2000,
      tookMs: 4,
      owedMs: 12,
      restMs: 500,
    },
  ])('$name has the next one rest', async ({ askedMs, tookMs, owedMs, restMs }) => {
    let nowMs = 1000;
    const run = async () => {
      nowMs += askedMs;
      return { removed: 1, last: undefined, isDone: true, owedMs, tookMs };
    };
    const feeds = new ShardFeeds(run, () => nowMs);
    expect(await feeds.removeSlots(route(), new Uint8Array(0))).toMatchObject({ removed: 1, restMs });
  });
});

function route(): ShardRoute {
  const nothing = () => undefined;
  return new ShardRoute(0, '', { blockCacheBytes: 0, memtableBytes: 0 }, new Owner(0, 0, nothing, nothing));
}
