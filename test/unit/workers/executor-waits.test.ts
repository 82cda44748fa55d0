import { beforeEach, describe, expect, it } from 'vitest';
import { ListValue } from '../../../src/types/collections/list.js';
import { Instruction, SegmentFlag, WaitEnd } from '../../../src/workers/protocol.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import { type ExecutorRig, openExecutor, type SegmentOf, useTarget } from './executor-harness.js';
import { databaseOf, failCommit } from './shard-harness.js';

const waiting = (client: number, command: string, shard = 1): SegmentOf => ({
  client,
  shard,
  flags: SegmentFlag.MayWait,
  items: [command],
});
const endWait = (client: number, value: number): SegmentOf => ({
  client,
  items: [{ instruction: Instruction.EndWait, value }],
});

/** Who was told that it waits, and how long. */
function blocked({ host }: ExecutorRig): number[][] {
  return host.posts.flatMap(({ blocked: news = [] }) =>
    Array.from({ length: news.length / 3 }, (_, index) => news.slice(index * 3, index * 3 + 3)),
  );
}

/** Whose waiting has ended, how, and with which reply. */
function ended({ host }: ExecutorRig): string[] {
  return host.posts.flatMap(({ ended: news = [] }) =>
    news.map(({ clientId, end, reply }) => {
      const how = Object.entries(WaitEnd).find(([, value]) => value === end)![0];
      return `${clientId} ${how} ${Buffer.from(reply).latin1Slice().replaceAll('\r\n', ' ').trim()}`.trim();
    }),
  );
}

describe('clients that wait for keys', () => {
  let rig: ExecutorRig;
  beforeEach(async () => {
    rig = await openExecutor(2);
    return () => rig.close();
  });

  it('are told so, and served in one batch with what serves them', () => {
    const replies = rig.run(waiting(7, 'BLPOP a b 1.5'), waiting(8, 'BLPOP b 0'), {
      client: 1,
      items: ['RPUSH b x y z', 'LLEN b'],
    });
    expect(replies.map(({ text }) => text)).toEqual(['', '', ':3\r\n:1\r\n']);
    expect(blocked(rig)).toEqual([
      [0, 7, 1500],
      [1, 8, 0],
    ]);
    expect(ended(rig)).toEqual(['7 Served *2 $1 b $1 x', '8 Served *2 $1 b $1 y']);
    expect(rig.host.commits).toEqual([1]);
  });

  it('end for other reasons, each with its reply', () => {
    rig.run(waiting(5, 'BLPOP a 0'), waiting(6, 'BLPOP a 0'), waiting(7, 'BLMOVE a b LEFT LEFT 0'));
    rig.run(
      endWait(5, WaitEnd.Timeout),
      endWait(6, WaitEnd.Error),
      endWait(7, WaitEnd.Left),
      endWait(9, WaitEnd.Timeout),
    );
    expect(ended(rig)).toEqual([
      '5 Timeout *-1',
      '6 Error -UNBLOCKED client unblocked via CLIENT UNBLOCK',
      '7 Left',
    ]);
    expect(rig.text('RPUSH a 1', 'LLEN a')).toBe(':1\r\n:1\r\n');
    expect(ended(rig)).toEqual([]);
  });

  it('keep their places when what served them is not committed', () => {
    rig.run(waiting(5, 'BLPOP a 0'), waiting(6, 'BLPOP a b 0'), waiting(7, 'BLPOP b a 0'));
    failCommit(rig.shard(1));
    const [reply] = rig.run({ client: 1, items: ['RPUSH a 1 2 3 4'] }, endWait(7, WaitEnd.Timeout));
    expect(reply!.text).toMatch(/^-MISCONF/);
    expect(ended(rig)).toEqual(['7 Timeout *-1']);
    rig.host.failures.clear();
    rig.text('RPUSH a 1 2 3');
    expect(ended(rig)).toEqual(['5 Served *2 $1 a $1 1', '6 Served *2 $1 a $1 2']);
    expect(rig.shard(1).waits.size).toBe(0);
    expect(rig.shard(1).waits.waitedKeys).toBe(0);
  });

  it('are served once it turns out that what came by a feed, and failed, has come to the disk', async () => {
    const shard = rig.shard(1);
    rig.run(waiting(5, 'BLPOP a 0'), waiting(6, 'BLPOP b 0'));
    const list = new ListValue(shard.collections);
    list.insertAt(0, '1');
    shard.setCollection('a', list, 0);
    const database = databaseOf(shard);
    const { commit } = database;
    database.commit = (sync) => {
      commit.call(database, sync);
      throw new StorageError('IO', 'the disk does not answer');
    };
    expect(() => shard.commit(false, false)).toThrow(StorageError);
    shard.rollback();
    await shard.reopen();
    rig.host.posts.length = 0;
    rig.executor.serveBetween(shard);
    expect(ended(rig)).toEqual(['5 Served *2 $1 a $1 1']);
    expect(rig.text('EXISTS a')).toBe(':0\r\n');
  });

  it('who began to wait in a batch that is not committed is refused', () => {
    failCommit(rig.shard(1));
    const replies = rig.run({ client: 1, items: ['SET k 1'] }, waiting(5, 'BLPOP a 0'));
    expect(replies[1]!.text).toMatch(/^-MISCONF/);
    expect(blocked(rig)).toEqual([]);
    expect(rig.shard(1).waits.size).toBe(0);
  });

  it('of one shard are served though the commit of another one fails', () => {
    rig.run(waiting(5, 'BLPOP a 0', 1));
    failCommit(rig.shard(2));
    rig.run({ client: 1, shard: 1, items: ['RPUSH a 1'] }, { client: 2, shard: 2, items: ['SET b 1'] });
    expect(ended(rig)).toEqual(['5 Served *2 $1 a $1 1']);
    expect(rig.shard(1).peek('a')).toBeUndefined();
  });

  it('of another database are served by MOVE', () => {
    rig.run(waiting(5, 'BLPOP a 0', 2));
    rig.run({ client: 1, shard: 1, items: ['RPUSH a 1', useTarget(2), 'MOVE a 1'] });
    expect(ended(rig)).toEqual(['5 Served *2 $1 a $1 1']);
  });

  it('are dismissed in the order in which they came when their shard goes', () => {
    rig.run(waiting(8, 'BLPOP b 0'), waiting(5, 'BLPOP a 0'), waiting(7, 'BLPOP b a 0'));
    rig.host.posts.length = 0;
    rig.executor.dismissWaiting(rig.shard(1));
    expect(ended(rig)).toEqual(['8 Again', '5 Again', '7 Again']);
    expect(rig.shard(1).waits.waitedKeys).toBe(0);
  });
});
