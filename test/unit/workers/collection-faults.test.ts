import { describe, expect, it } from 'vitest';
import { StorageError } from '../../../src/workers/rocksdb.js';
import { type ExecutorRig, openExecutor } from './executor-harness.js';
import { databaseOf, failCommit } from './shard-harness.js';

/** Limits of the fake worker are Redis's: more than 128 members, or 512 fields, are large. */
const MANY = 600;

async function withLargeOnes(): Promise<ExecutorRig> {
  const rig = await openExecutor();
  const names = Array.from({ length: MANY }, (_, index) => `n${index}`);
  rig.text(['SADD', 'set', ...names], ['HSET', 'hash', ...names.flatMap((name) => [name, name])]);
  return rig;
}

/** The next read of an element but `skipped` fails, and those behind it do not. */
function failElementRead(rig: ExecutorRig, skipped: number): void {
  const database = databaseOf(rig.shard(1));
  const { getMany } = database;
  let left = skipped;
  Reflect.set(database, 'getMany', (family: string, keys: readonly Buffer[]) => {
    if (family === 'elem' && left-- === 0) {
      Reflect.set(database, 'getMany', getMany);
      throw new StorageError('IO', 'a block cannot be read');
    }
    return getMany.call(database, family as 'elem', keys);
  });
}

/** What is in memory is what is on disk: counts agree with what there is. */
function expectWhole(rig: ExecutorRig): void {
  rig.host.failures.clear();
  const members = rig.text('SMEMBERS set').match(/\$n?\d+\r\nn\d+/g) ?? [];
  expect(rig.text('SCARD set')).toBe(`:${MANY}\r\n`);
  expect(members.length).toBe(MANY);
  expect(rig.text('HLEN hash')).toBe(`:${MANY}\r\n`);
  expect(rig.text('HGET hash n7')).toBe('$2\r\nn7\r\n');
}

describe('a disk that fails', () => {
  it('in the middle of a command that changes elements leaves nothing of the command', async () => {
    const rig = await withLargeOnes();
    // Those that add many read all at once, those that remove one after the other.
    for (const [skipped, command] of [
      [0, 'SADD set a b c d e f'],
      [0, 'HSET hash a 1 b 2 c 3 d 4 e 5'],
      [0, 'SADD set n7 a'],
      [3, 'SREM set n7 a b c d e f'],
      [3, 'HDEL hash n7 a b c d e'],
    ] as const) {
      failElementRead(rig, skipped);
      expect(rig.text(command), command).toContain('MISCONF');
      expectWhole(rig);
    }
    await rig.close();
  });

  it('at the commit leaves nothing of the batch, and large collections as they were', async () => {
    const rig = await withLargeOnes();
    failCommit(rig.shard(1));
    const replies = rig.text('SADD set new', 'SPOP set 100', 'HDEL hash n7', 'RENAME set other', 'SCARD set');
    expect(replies.match(/MISCONF/g)!.length).toBe(4);
    expect(replies.endsWith(`:${MANY}\r\n`)).toBe(true);
    expectWhole(rig);
    await rig.close();
  });

  it('at the commit that makes a collection large leaves it small', async () => {
    const rig = await openExecutor();
    rig.text(['SADD', 'set', ...Array.from({ length: 128 }, (_, index) => `m${index}`)]);
    failCommit(rig.shard(1));
    expect(rig.text('SADD set more')).toContain('MISCONF');
    rig.host.failures.clear();
    expect(rig.shard(1).peek('set')!.collection!.version).toBe(0);
    expect(rig.text('SADD set more', 'SCARD set')).toBe(':1\r\n:129\r\n');
    expect(rig.shard(1).peek('set')!.collection!.version).not.toBe(0);
    await rig.close();
  });

  it('reads of elements are answered, or fail alone, while writes are refused', async () => {
    const rig = await withLargeOnes();
    failCommit(rig.shard(1));
    rig.text('SADD set new');
    rig.host.cache.setLimit(0);
    failElementRead(rig, 0);
    expect(rig.text('SISMEMBER set n1', 'SISMEMBER set n2', 'SADD set x')).toMatch(
      /^-ERR a block cannot be read\r\n:1\r\n-MISCONF/,
    );
    await rig.close();
  });
});
