import { expect, it } from 'vitest';
import { REPLY_PART_BYTES } from '../../../src/base/limits.js';
import { failReads, openExecutor, TRANSACTION, useTarget } from './executor-harness.js';

it('EXEC ends when the watched key cannot be read', async () => {
  const rig = await openExecutor();
  rig.run({ client: 1, items: ['WATCH k'] });
  // The row of the watched key leaves memory, and the disk fails.
  rig.host.cache.setLimit(0);
  failReads(rig.shard(1));
  Reflect.set(rig.executor, 'prefetching', false);
  const { commitFailed } = rig.host;
  let attempts = 0;
  rig.host.commitFailed = (shard, error) => {
    if (++attempts > 10) throw new Error('tries again for ever');
    return commitFailed.call(rig.host, shard, error);
  };
  const [reply] = rig.run({ client: 1, flags: TRANSACTION, items: ['GET k'] });
  expect(reply!.complete).toBe(true);
});

it('an early part says how many commands it answers, not how many instructions stand among them', async () => {
  const rig = await openExecutor(2);
  rig.text(['SET', 'large', 'x'.repeat(REPLY_PART_BYTES)]);
  rig.run({ items: [useTarget(2), 'COPY large copy DB 1', 'GET large', 'GET large'] });
  const { buffer, tableOffset } = rig.host.posts[0]!;
  expect(new Int32Array(buffer, tableOffset, 3)[2]).toBe(2);
});
