import { afterEach, describe, expect, test } from 'vitest';
import { holdShard } from '../../../src/node/holding.js';
import { readyRoute } from '../../../src/node/segments.js';
import type { FeedState } from '../../../src/workers/feed-protocol.js';
import { Owner } from '../../../src/workers/owner.js';
import { ShardRoute } from '../../../src/workers/pool.js';
import { quiet } from '../../support/fake-cluster.js';

const LOG = {
  log: 'L',
  sequence: 7,
  firstSequence: 1,
  bytes: 0,
  lostMs: 0,
  rememberedSince: 0,
  flushes: new Uint8Array(),
};
const released: (() => void)[] = [];

/** A route to a worker that answers nothing until it is told to. */
function fixture(facts: { readonly log: FeedState['log'] } = { log: LOG }) {
  const nobody = () => undefined;
  const owner = new Owner(0, 1 << 20, nobody, nobody);
  const route = new ShardRoute(1, '', { blockCacheBytes: 0, memtableBytes: 0 }, owner);
  /** The worker has done all that it was sent. */
  const answer = () => {
    for (const receiver of owner.batch.receivers) receiver.deliver(Buffer.from(':0\r\n'), 0);
    owner.batch.receivers = [];
  };
  const engine = {
    state: async () => {
      await route.opened();
      return { ...facts, feeds: {} };
    },
  };
  return { route, answer, hold: (maxMs = 60_000) => holdShard(engine, route, maxMs) };
}

async function held(two: ReturnType<typeof fixture>, maxMs?: number) {
  const holding = two.hold(maxMs);
  await quiet();
  two.answer();
  const hold = await holding;
  released.push(() => hold.release());
  return hold;
}

describe('holding a shard', () => {
  afterEach(() => {
    for (const release of released.splice(0)) release();
  });

  test('has commands wait, tells where the log ends once those before are done, and lets them go on', async () => {
    const one = fixture();
    let position: unknown;
    const holding = one.hold().then((hold) => {
      position = hold.position;
      return hold;
    });
    await quiet();
    expect(one.route.ready).toBeDefined();
    expect(position).toBeUndefined();
    one.answer();
    const hold = await holding;
    expect(position).toEqual({ log: 'L', sequence: 7 });
    let mayGoOn = false;
    const waiting = readyRoute(one.route).then(() => {
      mayGoOn = true;
    });
    await quiet();
    expect([mayGoOn, hold.isInForce]).toEqual([false, true]);
    hold.release();
    await waiting;
    expect([one.route.ready, hold.isInForce]).toEqual([undefined, false]);
  });

  test('ends when its time is over', async () => {
    const one = fixture();
    const hold = await held(one, 20);
    await readyRoute(one.route);
    expect(hold.isInForce).toBe(false);
  });

  test('is not in force any more when the worker died, and then leaves the shard as it is', async () => {
    const one = fixture();
    const hold = await held(one);
    const opening = new Promise<void>(() => undefined);
    one.route.lost(opening);
    expect(hold.isInForce).toBe(false);
    hold.release();
    expect(one.route.ready).toBe(opening);
  });

  test('is refused where nobody follows the shard, or it has gone', async () => {
    const one = fixture({ log: undefined });
    const holding = one.hold();
    await quiet();
    one.answer();
    await expect(holding).rejects.toThrow(/does not log its changes/);
    expect(one.route.ready).toBeUndefined();
    const gone = fixture();
    gone.route.closed = true;
    await expect(gone.hold()).rejects.toThrow(/not on this store any more/);
  });
});
