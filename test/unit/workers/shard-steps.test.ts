import { expect, it } from 'vitest';
import { CommandError } from '../../../src/base/command-errors.js';
import { FeedTarget } from '../../../src/workers/feed-target.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { ShardSteps, type StepsHost } from '../../../src/workers/shard-steps.js';

it('steps are each in a turn of the event loop of their own, so that batches come between them', async () => {
  const shard = { id: 1, nowMs: 0 } as Shard;
  const host = {
    shards: new Map([[1, shard]]),
    exclusive: (work: () => Promise<unknown>) => work(),
  } as unknown as StepsHost;
  const steps = new ShardSteps(host);
  const seen: string[] = [];
  const task = async (name: string) => {
    for (let step = 0; step < 3; step++) await steps.between(shard, async () => seen.push(name));
  };
  const tick = () => {
    seen.push('turn');
    if (seen.length < 12) setImmediate(tick);
  };
  setImmediate(tick);
  await Promise.all([task('a'), task('b')]);
  // Whichever comes first, no two of them are in one turn.
  for (const [index, name] of seen.entries())
    if (index > 0 && name !== 'turn') expect(seen[index - 1], seen.join(' ')).toBe('turn');
  expect(seen.filter((name) => name === 'a')).toHaveLength(3);
});

it('steps are done in the order in which they were asked for, however many wait', async () => {
  const shard = { id: 1, nowMs: 0 } as Shard;
  const host = {
    shards: new Map([[1, shard]]),
    // As the executor has it: not before whoever asked for it goes on.
    exclusive: (work: () => Promise<unknown>) => Promise.resolve().then(work),
  } as unknown as StepsHost;
  const steps = new ShardSteps(host);
  const seen: number[] = [];
  const asked: Promise<unknown>[] = [];
  const ask = (number: number) =>
    asked.push(
      steps.between(shard, async () => {
        seen.push(number);
        // Asked for while others wait already.
        if (number < 4) ask(number + 8);
      }),
    );
  for (let number = 0; number < 8; number++) ask(number);
  for (let done = 0; done < asked.length; done++) await asked[done];
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

it('what a full disk does not take is refused to who asked for it, when it happens and as long as it lasts', async () => {
  let refusal: CommandError | undefined;
  const shard = { id: 1, nowMs: 0, rollback: () => undefined } as unknown as Shard;
  const host = {
    shards: new Map([[1, shard]]),
    exclusive: (work: () => Promise<unknown>) => work(),
    refusal: () => refusal,
    commitFailed: () => {
      refusal = new CommandError('MISCONF Errors writing to disk: No space left on device.');
      return refusal;
    },
  } as unknown as StepsHost;
  const steps = new ShardSteps(host);
  const full = new StorageError('NO_SPACE', '/data/g1: No space left on device');
  const ask = (work: () => never) => {
    const target = new FeedTarget(shard, 'f', () => steps.step(shard, work));
    return target.resume(undefined);
  };
  const said = { refused: 'disk', message: 'Errors writing to disk: No space left on device.' };
  const fail = () => {
    throw full;
  };
  expect(await ask(fail)).toEqual(said);
  expect(await ask(() => expect.unreachable())).toEqual(said);
  await expect(steps.step(shard, fail)).rejects.toThrow('shard 1: MISCONF Errors writing to disk');
  refusal = undefined;
  const fault = new Error('a fault of the program');
  await expect(
    ask(() => {
      throw fault;
    }),
  ).rejects.toBe(fault);
});
