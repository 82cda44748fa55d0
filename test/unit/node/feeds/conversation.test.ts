import { expect, test } from 'vitest';
import { FEED_WINDOW_BYTES } from '../../../../src/base/limits.js';
import type { SourceMessage, SourceStream } from '../../../../src/cluster/feed-messages.js';
import { FeedConversation } from '../../../../src/node/feeds/conversation.js';
import type { FeedDuty } from '../../../../src/node/feeds/duties.js';
import type { FeedEngine } from '../../../../src/node/feeds/engine.js';
import { FeedMeter } from '../../../../src/node/feeds/feed-meter.js';
import type { FeedStart } from '../../../../src/types/feed.js';
import type { Applied } from '../../../../src/workers/feed-protocol.js';
import type { ShardRoute } from '../../../../src/workers/pool.js';
import { ManualTimers, quiet } from '../../../support/fake-cluster.js';

const NOTHING = { log: 'a', sequence: 7 };

/** A conversation whose source has said how it begins, and then says no more. */
async function silentAfter(
  from: FeedStart,
  applied = new Promise<Applied>(() => undefined),
  ended: string[] = [],
) {
  const timers = new ManualTimers();
  let hear: (message: SourceMessage) => void = () => undefined;
  const stream = {
    send: () => undefined,
    end: () => ended.push('stream'),
    set onMessage(listener: (message: SourceMessage) => void) {
      hear = listener;
    },
  } as unknown as SourceStream;
  const engine = {
    beginCopy: () => Promise.resolve(),
    resumeFeed: () => Promise.resolve(),
    applyRecords: () => applied,
    applyCopy: () => applied,
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
  return { timers, hear, conversation, reason: () => reason };
}

test('a source that says nothing is dropped soon', async () => {
  const { timers, reason } = await silentAfter({ phase: 'tailing', position: NOTHING });
  await timers.advance(2500);
  expect(reason()).toBeUndefined();
  await timers.advance(1500);
  expect(reason()).toBe('nothing was heard for 3 s');
});

test('one is dropped though the clock was set back when it had just said something', async () => {
  const { timers, reason } = await silentAfter({ phase: 'tailing', position: NOTHING });
  await timers.advance(250);
  timers.setBack(3_600_000);
  await timers.advance(4500);
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

test('a source may have as much on its way as the window has, and one message more', async () => {
  let done: (applied: Applied) => void = () => undefined;
  const applied = new Promise<Applied>((resolve) => {
    done = resolve;
  });
  const ended: string[] = [];
  const { hear, reason } = await silentAfter({ phase: 'tailing', position: NOTHING }, applied, ended);
  const send = (number: number, bytes: number) => {
    const [after, last] = [
      { log: 'a', sequence: 7 + number },
      { log: 'a', sequence: 8 + number },
    ];
    hear({ kind: 'records', chunk: { after: after!, records: new Uint8Array(bytes), last: last! } });
  };
  send(0, FEED_WINDOW_BYTES - 1);
  send(1, 10 * FEED_WINDOW_BYTES);
  hear({ kind: 'beat', position: NOTHING, nowMs: 0, marks: [] });
  expect(ended).toEqual([]);
  send(2, 1);
  expect(ended).toEqual(['stream']);
  done({ applied: 1, skipped: 0, removed: 0 });
  await quiet();
  expect(reason()).toBe(`the source sends more than the ${FEED_WINDOW_BYTES} bytes that may be on their way`);
});

test('one that is ended while it gives way to clients is over at once: what follows it waits for that', async () => {
  const begin = { ...NOTHING, rememberedSince: 0, flushedAt: 0 };
  const resting = { applied: 1, skipped: 0, removed: 0, restMs: 1000 };
  const from = { phase: 'copying', begin, after: undefined } as const;
  const { hear, conversation } = await silentAfter(from, Promise.resolve(resting));
  const slice = { after: undefined, last: 'k', rows: new Uint8Array(1), rowCount: 1, isDone: false };
  hear({ kind: 'slice', slice });
  await quiet();
  let isOver = false;
  void conversation.over.then(() => {
    isOver = true;
  });
  conversation.end(undefined);
  await quiet();
  expect(isOver).toBe(true);
});
