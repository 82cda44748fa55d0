import { expect, it } from 'vitest';
import { REPLY_PART_BYTES } from '../../../src/base/limits.js';
import { failCommit, failReads, openExecutor, TRANSACTION, useTarget } from './executor-harness.js';

it('EXEC ends when the watched key cannot be read', async () => {
  const rig = await openExecutor();
  rig.run({ client: 1, items: ['SET k 1', 'WATCH k'] });
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

it('a watch of a segment that holds survives the failure of another shard', async () => {
  const rig = await openExecutor(2);
  rig.run({ client: 1, items: ['WATCH old'] });
  failCommit(rig.shard(2));
  const replies = rig.run(
    { client: 1, flags: TRANSACTION, items: ['SET x 1'] },
    { client: 1, items: ['SET y 1', 'WATCH k'] },
    { client: 2, shard: 2, items: ['SET z 1'] },
  );
  expect(replies.slice(0, 2).map((reply) => reply.text)).toEqual(['*1\r\n+OK\r\n', '+OK\r\n+OK\r\n']);
  const exec = { client: 1, flags: TRANSACTION, items: ['SET k mine'] };
  expect(rig.run({ client: 2, items: ['SET k theirs'] }, exec)[1]!.text).toBe('*-1\r\n');
});

it('a watch that EXEC has ended stays ended when another shard fails', async () => {
  const rig = await openExecutor(2);
  rig.run({ client: 1, items: ['WATCH old'] });
  failCommit(rig.shard(2));
  rig.run({ client: 1, flags: TRANSACTION, items: ['SET x 1'] }, { client: 2, shard: 2, items: ['SET z 1'] });
  rig.run({ client: 2, items: ['SET old 1'] });
  expect(rig.run({ client: 1, flags: TRANSACTION, items: ['SET x 2'] })[0]!.text).toBe('*1\r\n+OK\r\n');
});
