import { describe, expect, it } from 'vitest';
import { REPLY_PART_BYTES } from '../../../src/base/limits.js';
import { findCommand } from '../../../src/commands/table.js';
import { valueText } from '../../../src/types/row.js';
import { SegmentFlag } from '../../../src/workers/protocol.js';
import { seeded } from '../../support/replay.js';
import {
  encodeBatch,
  FLUSH,
  failReads,
  gather,
  openExecutor,
  runFlushing,
  type SegmentOf,
  TRANSACTION,
  UNWATCH,
  useShard,
  useTarget,
} from './executor-harness.js';
import { auditDisk, failCommit, keysOf } from './shard-harness.js';

describe('a batch', () => {
  it('runs in order, and each segment gets the replies of its commands', async () => {
    const rig = await openExecutor(2);
    const replies = rig.run(
      { items: ['SET a 1', 'INCR a', 'GET a'] },
      { shard: 2, client: 2, items: ['GET a', 'SET a two'] },
      { client: 3, items: [] },
      {
        client: 4,
        flags: SegmentFlag.Resp3,
        items: ['GET missing', 'GET a', 'INCR b c'.split(' ').slice(0, 2)],
      },
    );
    expect(replies.map((reply) => reply.text)).toEqual([
      '+OK\r\n:2\r\n$1\r\n2\r\n',
      '$-1\r\n+OK\r\n',
      '',
      '_\r\n$1\r\n2\r\n:1\r\n',
    ]);
    expect(replies.every((reply) => reply.complete && reply.parts === 1)).toBe(true);
    expect(rig.host.commits).toEqual([1, 2]);
    for (const id of [1, 2]) expect(rig.shard(id).hasChanges).toBe(false);
    expect(auditDisk(rig.shard(1)).live).toBe(2);
    await rig.close();
  });

  it('commits nothing when it changes nothing', async () => {
    const rig = await openExecutor();
    rig.text('GET a', 'DEL a', 'EXISTS a');
    expect(rig.host.commits).toEqual([]);
    await rig.close();
  });

  it('of no segments is answered', async () => {
    const rig = await openExecutor();
    rig.run();
    expect(rig.host.posts).toHaveLength(1);
    await rig.close();
  });

  it('for a shard that is not here is a mistake of the program', async () => {
    const rig = await openExecutor();
    expect(() => rig.run({ shard: 9, items: ['GET a'] })).toThrow('does not own shard 9');
    await rig.close();
  });

  it('brings several shards into one transaction, and a target into one command', async () => {
    const rig = await openExecutor(2);
    const [reply] = rig.run({
      flags: TRANSACTION,
      items: ['SET k one', useShard(2), 'SET k two', 'GET k', useShard(1), 'GET k'],
    });
    expect(reply!.text).toBe('*4\r\n+OK\r\n+OK\r\n$3\r\ntwo\r\n$3\r\none\r\n');
    expect(rig.run({ items: [useTarget(2), 'COPY k copied DB 1', 'GET copied'] })[0]!.text).toBe(
      ':1\r\n$-1\r\n',
    );
    expect(keysOf(rig.shard(2))).toEqual(['copied', 'k']);
    await rig.close();
  });

  it('counts calls, failures and refusals, and reports slow commands', async () => {
    const rig = await openExecutor();
    const long = 'x'.repeat(200);
    rig.host.settings = { ...rig.host.settings, slowMicroseconds: 0 };
    rig.run({
      client: 7,
      items: [['SET', 'k', long], 'INCR k', ['MGET', ...Array.from({ length: 40 }, (_, at) => `k${at}`)]],
    });
    const read = (name: string) => rig.host.statistics.read(findCommand(name)!.index);
    expect(read('set')).toMatchObject({ calls: 1, failed: 0 });
    expect(read('incr')).toMatchObject({ calls: 1, failed: 1 });
    const slow = rig.host.posts[0]!.slow!;
    expect(slow.map(({ clientId, command }) => [clientId, command])).toEqual(
      ['set', 'incr', 'mget'].map((name) => [7, findCommand(name)!.index]),
    );
    expect(slow[0]!.arguments).toEqual(['SET', 'k', `${'x'.repeat(128)}... (72 more bytes)`]);
    expect(slow[2]!.arguments).toHaveLength(32);
    expect(slow[2]!.arguments[31]).toBe('... (10 more arguments)');
    rig.host.settings = { ...rig.host.settings, slowMicroseconds: -1 };
    rig.text('GET k');
    expect(rig.host.posts[0]!.slow).toBeUndefined();
    await rig.close();
  });
});

describe('a transaction', () => {
  it('is refused with nil when a watched key changed, in each protocol', async () => {
    for (const [flags, nil] of [
      [0, '*-1\r\n'],
      [SegmentFlag.Resp3, '_\r\n'],
    ] as const) {
      const rig = await openExecutor(2);
      rig.run(
        { client: 1, items: ['WATCH k'] },
        { client: 1, shard: 2, items: ['WATCH far'] },
        { client: 2, shard: 2, items: ['SET far 1'] },
      );
      const exec = { client: 1, flags: flags | TRANSACTION, items: ['SET k mine'] };
      expect(rig.run(exec)[0]!.text).toBe(nil);
      expect(rig.shard(1).count()).toBe(0);
      // The watches are spent.
      expect(rig.run(exec)[0]!.text).toBe('*1\r\n+OK\r\n');
      await rig.close();
    }
  });

  it('runs when the watches hold, were given up, or are of others', async () => {
    const rig = await openExecutor();
    rig.run({ client: 1, items: ['WATCH k'] }, { client: 2, items: ['WATCH other'] });
    const exec = { client: 1, flags: TRANSACTION, items: ['INCR k', 'INCR k'] };
    expect(rig.run(exec)[0]!.text).toBe('*2\r\n:1\r\n:2\r\n');
    rig.run(
      { client: 1, items: ['WATCH k'] },
      { client: 3, items: ['SET k 10'] },
      { client: 1, items: [UNWATCH] },
    );
    expect(rig.run(exec)[0]!.text).toBe('*2\r\n:11\r\n:12\r\n');
    await rig.close();
  });

  it('is not cut where its replies are large', async () => {
    const rig = await openExecutor();
    rig.text(['SET', 'large', 'x'.repeat(REPLY_PART_BYTES)]);
    const replies = rig.run({ flags: TRANSACTION, items: ['GET large', 'GET large', 'SET after 1'] });
    expect(replies[0]!.parts).toBe(1);
    expect(replies[0]!.text.length).toBeGreaterThan(2 * REPLY_PART_BYTES);
    expect(rig.shard(1).hasChanges).toBe(false);
    await rig.close();
  });
});

describe('large replies', () => {
  it('come in parts, complete and in order', async () => {
    const rig = await openExecutor();
    const value = 'y'.repeat(600_000);
    rig.text(['SET', 'k', value]);
    const gets = Array.from({ length: 9 }, () => 'GET k');
    const replies = rig.run({ items: gets }, { client: 2, items: ['EXISTS k'] });
    expect(rig.host.posts.length).toBeGreaterThan(3);
    for (const post of rig.host.posts)
      expect(post.tableOffset).toBeLessThan(REPLY_PART_BYTES + value.length + 100);
    expect(replies[0]!.text).toBe(`$600000\r\n${value}\r\n`.repeat(9));
    expect(replies[1]!.text).toBe(':1\r\n');
    await rig.close();
  });
});

describe('a commit that fails', () => {
  it('undoes the batch: writes are refused, reads tell what is on disk', async () => {
    const rig = await openExecutor();
    rig.text('SET a 1', 'SET n 5');
    failCommit(rig.shard(1));
    const replies = rig.run(
      { items: ['INCR n', 'GET n', 'SET b 2'] },
      { client: 2, items: ['GET a', 'EXISTS b', 'DEL a', 'GET a'] },
    );
    expect(replies.map((reply) => reply.text)).toEqual([
      '-MISCONF shard 1: NO_SPACE\r\n$1\r\n5\r\n-MISCONF shard 1: NO_SPACE\r\n',
      '$1\r\n1\r\n:0\r\n-MISCONF shard 1: NO_SPACE\r\n$1\r\n1\r\n',
    ]);
    expect(rig.text('SET c 3', 'GET a')).toBe('-MISCONF shard 1: NO_SPACE\r\n$1\r\n1\r\n');
    rig.host.failures.clear();
    expect(rig.text('INCR n', 'MGET a b c')).toBe(':6\r\n*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n');
    expect(auditDisk(rig.shard(1)).live).toBe(2);
    await rig.close();
  });

  it('behind a part of the replies undoes what came behind the part, and repeats none of it', async () => {
    const rig = await openExecutor();
    const value = 'z'.repeat(REPLY_PART_BYTES);
    rig.text(['SET', 'large', value], 'SET n 0');
    // The commit of the first part, then that of the rest.
    const shard = rig.shard(1);
    const { commit } = shard;
    let commits = 0;
    shard.commit = (sync) => {
      if (++commits === 2) failCommit(shard);
      commit.call(shard, sync);
    };
    const replies = rig.run(
      { items: ['INCR n', 'GET large', 'GET n'] },
      { client: 2, items: ['INCR n', 'GET n'] },
    );
    const large = `$${value.length}\r\n${value}\r\n`;
    expect(replies[0]!.text).toBe(`:1\r\n${large}$1\r\n1\r\n`);
    expect(replies[1]!.text).toBe('-MISCONF shard 1: NO_SPACE\r\n$1\r\n1\r\n');
    expect(valueText(shard.find('n')!.value)).toBe('1');
    await rig.close();
  });

  it('leaves a transaction undone as a whole', async () => {
    const rig = await openExecutor();
    failCommit(rig.shard(1));
    const [reply] = rig.run({ flags: TRANSACTION, items: ['SET a 1', 'GET a', 'SET b 2'] });
    expect(reply!.text).toBe('*3\r\n-MISCONF shard 1: NO_SPACE\r\n$-1\r\n-MISCONF shard 1: NO_SPACE\r\n');
    expect(rig.shard(1).count()).toBe(0);
    await rig.close();
  });

  it('of a flush keeps the keys', async () => {
    const rig = await openExecutor();
    rig.text('SET a 1');
    const shard = rig.shard(1);
    await shard.prepareFlush();
    const spare = Reflect.get(Reflect.get(shard, 'generations'), 'spare');
    failCommit(Object.assign(Object.create(shard), { database: spare }));
    const replies = await runFlushing(rig, { items: ['FLUSHDB', 'DBSIZE', 'SET b 1'] });
    expect(replies[0]!.text).toBe('-MISCONF shard 1: NO_SPACE\r\n:1\r\n-MISCONF shard 1: NO_SPACE\r\n');
    rig.host.failures.clear();
    expect((await runFlushing(rig, { items: ['DBSIZE', 'FLUSHDB', 'DBSIZE'] }))[0]!.text).toBe(
      ':1\r\n+OK\r\n:0\r\n',
    );
    await rig.close();
  });
});

describe('a read that fails', () => {
  it('is the failure of its command alone', async () => {
    const rig = await openExecutor(1, 0);
    rig.text('SET a 1', 'SET b 2');
    failReads(rig.shard(1), 'bad');
    Reflect.set(rig.executor, 'prefetching', false);
    expect(rig.text('GET a', 'GET bad', 'GET b')).toBe(
      '$1\r\n1\r\n-ERR the disk does not answer\r\n$1\r\n2\r\n',
    );
    await rig.close();
  });
});

describe('flushing', () => {
  it('waits for its preparation, and holds back what comes meanwhile', async () => {
    const rig = await openExecutor(2);
    rig.run({ items: ['SET a 1'] }, { shard: 2, items: ['SET a 2'] });
    rig.host.posts.length = 0;
    rig.executor.submit(encodeBatch([{ items: ['FLUSHDB', 'DBSIZE'] }], true));
    rig.executor.submit(encodeBatch([{ items: ['DBSIZE', 'SET b 1'] }]));
    rig.executor.submit(encodeBatch([{ flags: TRANSACTION, items: [useShard(2), FLUSH, 'DBSIZE'] }], true));
    expect(rig.host.posts).toHaveLength(0);
    await rig.executor.exclusive(async () => undefined);
    const texts = rig.host.posts.map((post) => gather([post], 1)[0]!.text);
    expect(texts).toEqual(['+OK\r\n:0\r\n', ':0\r\n+OK\r\n', '*1\r\n:0\r\n']);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(rig.text('DBSIZE')).toBe(':1\r\n');
    await rig.close();
  });

  it('does not hold back for ever what fails', async () => {
    const rig = await openExecutor();
    await expect(rig.executor.exclusive(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(rig.text('SET a 1')).toBe('+OK\r\n');
    await rig.close();
  });
});

it('replies and data do not depend on batches, prefetching or the size of the cache', () =>
  seeded(8, async (random) => {
    const rigs = [await openExecutor(2, 1 << 20), await openExecutor(2, 0), await openExecutor(2, 2000)];
    for (let round = 0; round < 25; round++) {
      const segments = Array.from({ length: random.int(1, 6) }, (_, client): SegmentOf => {
        const key = () => `k${random.int(0, 30)}`;
        const commands = [
          () => `SET ${key()} v${random.int(0, 99)}`,
          () => `GET ${key()}`,
          () => `MGET ${key()} ${key()} ${key()}`,
          () => `MSET ${key()} 1 ${key()} 2`,
          () => `DEL ${key()} ${key()}`,
          () => `APPEND ${key()} ${'z'.repeat(random.int(1, 700))}`,
          () => `INCR n${random.int(0, 3)}`,
          () => `EXISTS ${key()} ${key()}`,
          () => `RENAME ${key()} ${key()}`,
          () => `PEXPIREAT ${key()} ${random.pick([1, 9_000_000_000_000])}`,
          () => 'DBSIZE',
          () => 'KEYS *',
        ];
        const items = Array.from({ length: random.int(1, 12) }, () => random.pick(commands)());
        return {
          client: client + 1,
          shard: random.int(1, 2),
          flags: random.chance(0.2) ? TRANSACTION : 0,
          items,
        };
      });
      const [whole, prefetched, single] = rigs as [(typeof rigs)[0], (typeof rigs)[0], (typeof rigs)[0]];
      const expected = whole.run(...segments).map((reply) => reply.text);
      Reflect.set(prefetched.executor, 'prefetching', true);
      expect(prefetched.run(...segments).map((reply) => reply.text)).toEqual(expected);
      expect(segments.map((segment) => single.run(segment)[0]!.text)).toEqual(expected);
    }
    for (const id of [1, 2]) {
      const audits = rigs.map((rig) => auditDisk(rig.shard(id)));
      expect(audits[1]).toEqual(audits[0]);
      expect(audits[2]).toEqual(audits[0]);
    }
    for (const rig of rigs) await rig.close();
  }));
