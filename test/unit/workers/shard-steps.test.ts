import { expect, it } from 'vitest';
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
