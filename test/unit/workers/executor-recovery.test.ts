import { expect, it } from 'vitest';
import { REPLY_PART_BYTES } from '../../../src/base/limits.js';
import { failReads, openExecutor, TRANSACTION, useShard, useTarget } from './executor-harness.js';
import { failCommit } from './shard-harness.js';

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

it('a segment that touches several shards goes on at the right one when it runs again from its middle', async () => {
  const rig = await openExecutor(2);
  const large = 'x'.repeat(REPLY_PART_BYTES);
  rig.text(['SET', 'large', large]);
  failCommit(rig.shard(2));
  const items = [
    'SET k 1',
    useShard(2),
    ['SET', 'large', large],
    useShard(1),
    'GET large',
    'GET k',
    useShard(2),
  ];
  const [first] = rig.run({ items: [...items, 'GET k', 'SET k 2', 'GET k'] });
  // Those before the failure, and the write behind it.
  expect(first!.text.match(/-MISCONF/g)).toHaveLength(4);
  expect(first!.text.match(/\$1\r\n1\r\n/g)).toHaveLength(1);
  expect(first!.text.endsWith('$-1\r\n')).toBe(true);
});

it('each command of a segment has its reply when one of its shards was written and another was not', async () => {
  const rig = await openExecutor(2);
  failCommit(rig.shard(2));
  const [reply] = rig.run({ items: ['SET k 1', useShard(2), 'SET k 1', 'GET k', useShard(1), 'GET k'] });
  expect(reply!.text).toMatch(/^(-MISCONF .*was written, another one was not\r\n){4}$/);
  expect(rig.text('GET k', useShard(2), 'GET k')).toBe('$1\r\n1\r\n$-1\r\n');
});
