import { Buffer } from 'node:buffer';
import { describe, expect, it, vi } from 'vitest';
import { REPLY_PART_BYTES } from '../../../src/base/limits.js';
import { ElementKind } from '../../../src/types/collections/elements.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import {
  encodeBatch,
  FLUSH,
  failReads,
  openExecutor,
  runFlushing,
  TRANSACTION,
  useShard,
  useTarget,
} from './executor-harness.js';
import { auditDisk, databaseOf, failCommit, keysOf } from './shard-harness.js';

const LARGE = 'x'.repeat(REPLY_PART_BYTES);

describe('behind a part of the replies that was sent early', () => {
  it('writes of the same segment are committed before their replies leave', async () => {
    const rig = await openExecutor();
    rig.text(['SET', 'large', LARGE]);
    rig.text('GET large', 'SET acknowledged 1');
    expect(rig.shard(1).hasChanges).toBe(false);
    expect(auditDisk(rig.shard(1)).live).toBe(2);
  });

  it('commands go on in their own database', async () => {
    const rig = await openExecutor(2);
    rig.text(['SET', 'large', LARGE]);
    rig.run(
      { client: 2, shard: 2, items: ['SET other 1'] },
      { client: 1, shard: 1, items: ['GET large', 'SET mine 1', 'GET mine'] },
    );
    expect(keysOf(rig.shard(1))).toEqual(['large', 'mine']);
    expect(keysOf(rig.shard(2))).toEqual(['other']);
  });
});

it('large replies to many clients do not gather without bound', async () => {
  const rig = await openExecutor();
  rig.text(['SET', 'large', LARGE]);
  rig.run(...Array.from({ length: 16 }, (_, client) => ({ client: client + 1, items: ['GET large'] })));
  const largest = Math.max(...rig.host.posts.map((post) => post.buffer.byteLength));
  expect(largest).toBeLessThan(4 * REPLY_PART_BYTES);
});

it('a mistake of the program in a batch that had to wait surfaces', async () => {
  const rig = await openExecutor();
  const listeners = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  const surfaced = vi.fn();
  process.on('unhandledRejection', surfaced);
  rig.executor.submit(encodeBatch([{ shard: 9, items: ['GET a'] }], true));
  await rig.executor.exclusive(async () => undefined);
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.removeAllListeners('unhandledRejection');
  for (const listener of listeners) process.on('unhandledRejection', listener);
  expect(surfaced).toHaveBeenCalled();
});

describe('a disk that fails', () => {
  it('does not end the worker when FLUSHALL in a MULTI could not be prepared', async () => {
    const rig = await openExecutor();
    rig.text('SET a 1');
    rig.shard(1).prepareFlush = () => Promise.reject(new StorageError('NO_SPACE', 'no space left'));
    const replies = await runFlushing(rig, { flags: TRANSACTION, items: [useShard(1), FLUSH, 'DBSIZE'] });
    expect(replies[0]!.complete).toBe(true);
  });

  it('does not end the worker when rows are prefetched', async () => {
    const rig = await openExecutor(1, 0);
    rig.text('SET a 1', 'SET b 2');
    Reflect.set(rig.executor, 'prefetching', true);
    failReads(rig.shard(1));
    expect(() => rig.text('MGET a b')).not.toThrow();
  });

  it('does not end the worker when what was committed last cannot be read again', async () => {
    const rig = await openExecutor();
    rig.text('SET a 1');
    failReads(rig.shard(1));
    failCommit(rig.shard(1));
    expect(() => rig.text('SET a 2')).not.toThrow();
  });

  it('does not run a transaction whose watch is broken', async () => {
    const rig = await openExecutor();
    rig.run({ client: 1, items: ['WATCH k'] }, { client: 2, items: ['SET k 1'] });
    failCommit(rig.shard(1));
    const replies = rig.run(
      { client: 1, flags: TRANSACTION, items: ['GET k'] },
      { client: 2, items: ['SET other 1'] },
    );
    expect(replies[0]!.text).toBe('*-1\r\n');
  });

  it('does not lose a key that is moved to it', async () => {
    const rig = await openExecutor(2);
    rig.text('SET precious 1');
    failCommit(rig.shard(2));
    rig.run({ items: [useTarget(2), 'MOVE precious 1'] });
    expect([...keysOf(rig.shard(1)), ...keysOf(rig.shard(2))]).toEqual(['precious']);
  });

  it('does not have what was written to another shard called refused', async () => {
    const rig = await openExecutor(2);
    failCommit(rig.shard(2));
    const replies = rig.run({ shard: 1, items: ['SET a 1'] }, { client: 2, shard: 2, items: ['SET b 1'] });
    expect({ reply: replies[0]!.text, keys: keysOf(rig.shard(1)) }).toSatisfy(
      (outcome: { reply: string; keys: string[] }) =>
        outcome.reply.startsWith('+') === (outcome.keys.length === 1),
    );
  });
});

it('a row that cannot be read is damage of its shard, and nothing to the others', async () => {
  const rig = await openExecutor(2);
  const names = Array.from({ length: 600 }, (_, index) => `n${index}`);
  rig.text(
    'SET row 1',
    ['ZADD', 'tree', ...names.flatMap((name, index) => [String(index), name])],
    'SET whole 1',
  );
  rig.run({ shard: 2, items: ['SET other 1'] });
  rig.host.cache.setLimit(0);
  rig.host.cache.evict();
  const database = databaseOf(rig.shard(1));
  database.put('default', Buffer.from('row'), Buffer.from([0xff]));
  database.iterate({ family: 'elem', values: false }, (key) => {
    if (key[8] === ElementKind.Node) database.put('elem', Buffer.from(key), Buffer.from([9]));
    return true;
  });
  database.commit(false);
  for (const damaged of ['GET row', 'ZRANGE tree 0 -1', 'MGET whole row']) {
    rig.host.failures.clear();
    const replies = rig.run(
      { client: 1, items: [damaged, 'GET whole'] },
      { client: 2, shard: 2, items: ['GET other', 'SET other 1'] },
    );
    expect(replies[0]!.text).toMatch(
      /^-ERR what is stored cannot be read: .*\. Restore the shard from a copy\r\n\$1\r\n1\r\n$/,
    );
    expect(replies[1]!.text).toBe('$1\r\n1\r\n+OK\r\n');
    expect([...rig.host.failures.keys()]).toEqual([rig.shard(1)]);
  }
  Reflect.set(rig.executor, 'prefetching', true);
  expect(rig.text('MGET whole row')).toMatch(/^-ERR what is stored/);
  await rig.close();
});
