import { expect, test } from 'vitest';
import type { SourceMessage, SourceStream } from '../../../../src/cluster/feed-messages.js';
import { FeedConversation } from '../../../../src/node/feeds/conversation.js';
import type { FeedDuty } from '../../../../src/node/feeds/duties.js';
import type { FeedEngine } from '../../../../src/node/feeds/engine.js';
import { FeedMeter } from '../../../../src/node/feeds/feed-meter.js';
import type { FeedStart } from '../../../../src/types/feed.js';
import type { ShardRoute } from '../../../../src/workers/pool.js';
import { ManualTimers } from '../../../support/fake-cluster.js';

const NOTHING = { log: 'a', sequence: 7 };

/** A conversation whose source has said how it begins, and then says no more. */
async function silentAfter(from: FeedStart) {
  const timers = new ManualTimers();
  let hear: (message: SourceMessage) => void = () => undefined;
  const stream = {
    send: () => undefined,
    end: () => undefined,
    set onMessage(listener: (message: SourceMessage) => void) {
      hear = listener;
    },
  } as unknown as SourceStream;
  const engine = {
    beginCopy: () => Promise.resolve(),
    resumeFeed: () => Promise.resolve(),
  } as unknown as FeedEngine;
  const events = { progress: () => undefined, begun: () => undefined, reachedMark: () => undefined };
  const parts = { engine, timers, meter: new FeedMeter(), events };
  const duty = { feed: 'f' } as FeedDuty;
  const conversation = new FeedConversation(duty, {} as ShardRoute, stream, parts);
  let reason: string | undefined;
  void conversation.over.then((error) => {
    reason = error?.message;
  });
  hear({ kind: 'begin', from });
  return { timers, reason: () => reason };
}

test('a source that says nothing is dropped soon', async () => {
  const { timers, reason } = await silentAfter({ phase: 'tailing', position: NOTHING });
  await timers.advance(2500);
  expect(reason()).toBeUndefined();
  await timers.advance(1500);
  expect(reason()).toBe('nothing was heard for 3 s');
});

test('one that copies has time to get a large piece through', async () => {
  const begin = { ...NOTHING, rememberedSince: 0, flushedAt: 0 };
  const { timers, reason } = await silentAfter({ phase: 'copying', begin, after: undefined });
  await timers.advance(29_000);
  expect(reason()).toBeUndefined();
  await timers.advance(2000);
  expect(reason()).toBe('nothing was heard for 30 s');
});
