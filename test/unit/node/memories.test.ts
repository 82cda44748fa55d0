import { describe, expect, test } from 'vitest';
import { SlotSet, slotsOfShard } from '../../../src/cluster/slot-set.js';
import { Copy } from '../../../src/node/copy.js';
import { firstMemory } from '../../../src/node/copy-memory.js';
import { Memories } from '../../../src/node/memories.js';
import type { ShardRoute } from '../../../src/workers/pool.js';
import { ManualTimers } from '../../support/fake-cluster.js';

function notebook(persist: () => void | Promise<void>) {
  const timers = new ManualTimers();
  const logger = { verbose: () => undefined, notice: () => undefined, warning: () => undefined };
  const copies = [0, 1, 2].map(
    (shard) => new Copy('k', shard, {} as ShardRoute, firstMemory(undefined, 'a', shard), { timers, logger }),
  );
  const memories = new Memories(timers, { alone: (run) => run(), persist: async () => persist() });
  const complete = (copy: Copy) =>
    memories.remember(copy, ({ complete }) => ({ complete: complete.with(slotsOfShard(4, copy.shard)) }));
  return { timers, copies, memories, complete };
}

describe('what copies come to know', () => {
  test('in one turn is written down together, each upon what is before it', async () => {
    let written = 0;
    const { timers, copies, memories, complete } = notebook(() => {
      written++;
    });
    const all = copies.map(complete);
    all.push(
      memories.remember(copies[0]!, ({ complete: known }) => ({
        complete: known.with(slotsOfShard(4, 3)),
      })),
    );
    expect(copies.map(({ memory }) => memory.complete.isEmpty)).toEqual([true, true, true]);
    await timers.advance(0);
    expect(await Promise.all(all)).toEqual([true, true, true, true]);
    expect(written).toBe(1);
    expect(copies[0]!.memory.complete.equals(slotsOfShard(4, 0).with(slotsOfShard(4, 3)))).toBe(true);
    const later = complete(copies[1]!);
    await timers.advance(0);
    expect(await later).toBe(true);
    expect(written).toBe(2);
  });

  test('and is nothing any more when its time comes is not written', async () => {
    let written = 0;
    const { timers, copies, memories } = notebook(() => {
      written++;
    });
    const nothing = memories.remember(copies[0]!, () => undefined);
    await timers.advance(0);
    expect(await nothing).toBe(false);
    expect(written).toBe(0);
  });

  test('does not count while it is on its way to the disk, and what comes meanwhile goes with the next write', async () => {
    const writes: (() => void)[] = [];
    const { timers, copies, complete } = notebook(() => new Promise<void>((resolve) => writes.push(resolve)));
    const first = complete(copies[0]!);
    await timers.advance(0);
    expect(copies[0]!.memory.complete.isEmpty).toBe(true);
    writes[0]!();
    expect(await first).toBe(true);
    expect(copies[0]!.memory.complete.equals(slotsOfShard(4, 0))).toBe(true);
    const later = [complete(copies[1]!), complete(copies[2]!)];
    await timers.advance(0);
    expect(writes).toHaveLength(2);
    writes[1]!();
    expect(await Promise.all(later)).toEqual([true, true]);
  });

  test('does not count where the disk refuses it, of no copy', async () => {
    const { timers, copies, complete } = notebook(() => {
      throw new Error('the disk is full');
    });
    const failures = copies.map((copy) => complete(copy).catch((error: Error) => error.message));
    await timers.advance(0);
    expect(await Promise.all(failures)).toEqual(Array(3).fill('the disk is full'));
    for (const { memory } of copies) expect(memory.complete).toBe(SlotSet.EMPTY);
  });
});
