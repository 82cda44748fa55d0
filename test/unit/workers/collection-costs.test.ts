import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../../src/workers/rocksdb.js';
import { type ExecutorRig, openExecutor } from './executor-harness.js';
import { databaseOf } from './shard-harness.js';

/** Elements of each collection: some hundred kilobytes. */
const SIZE = 30_000;
const STEP = 1000;
const VALUE_BYTES = 20;

/** What a command on few elements may read and write, whatever the collection's size: some nodes of trees, a run of neighbours. */
const READ_ROWS_MAX = 300;
const WRITTEN_BYTES_MAX = 8 << 10;
/** What it costs that a collection goes, or gets another name. */
const ENDED_BYTES_MAX = 1 << 10;

interface Cost {
  readRows: number;
  readBytes: number;
  writtenRows: number;
  writtenBytes: number;
}

/** Has an instance count what is read from it and written to it. */
function counting(database: Database): Cost {
  const cost: Cost = { readRows: 0, readBytes: 0, writtenRows: 0, writtenBytes: 0 };
  const { getMany, iterate, put, delete: remove } = database;
  const read = (bytes: number) => {
    cost.readRows++;
    cost.readBytes += bytes;
  };
  const written = (bytes: number) => {
    cost.writtenRows++;
    cost.writtenBytes += bytes;
  };
  database.getMany = (family, keys) => {
    const values = getMany.call(database, family, keys);
    for (const value of values) read(value?.length ?? 0);
    return values;
  };
  database.iterate = (options, visit) =>
    iterate.call(database, options, (key, value) => {
      read(key.length + (value?.length ?? 0));
      return visit(key, value);
    });
  database.put = (family, key, value) => {
    written(key.length + value.length);
    put.call(database, family, key, value);
  };
  database.delete = (family, key) => {
    written(key.length);
    remove.call(database, family, key);
  };
  return cost;
}

const word = (index: number) => `e${index}`.padEnd(VALUE_BYTES, '.');

/** Fills five large collections whose names begin with `prefix`. */
function fill(rig: ExecutorRig, prefix: string): void {
  for (let at = 0; at < SIZE; at += STEP) {
    const indexes = Array.from({ length: STEP }, (_, index) => at + index);
    const words = indexes.map(word);
    rig.text(
      ['RPUSH', `${prefix}list`, ...words],
      ['SADD', `${prefix}set`, ...words],
      ['HSET', `${prefix}hash`, ...words.flatMap((each) => [each, each])],
      [
        'ZADD',
        `${prefix}zset`,
        ...words.flatMap((each, index) => [String(((at + index) * 7919) % SIZE), each]),
      ],
      ...indexes.map((index) => ['XADD', `${prefix}stream`, `${index + 1}-1`, 'f', word(index)]),
    );
  }
}

const ONE = word(12_345);
const ON_FEW: readonly string[] = [
  ...['LLEN list', 'LINDEX list 15000', 'LRANGE list 20000 20009', `LSET list 15000 ${ONE}`, 'LPUSH list a'],
  ...['RPUSH list b', 'LPOP list', 'RPOP list', `LINSERT list BEFORE ${word(300)} c`, 'LREM list 1 c'],
  ...[`LPOS list ${word(200)}`, 'LMOVE list list LEFT RIGHT', 'LTRIM list 1 -2', 'LMPOP 1 list LEFT COUNT 3'],
  ...[
    `SISMEMBER set ${ONE}`,
    'SCARD set',
    'SADD set new',
    `SREM set ${ONE}`,
    'SRANDMEMBER set 3',
    'SPOP set',
  ],
  ...['SMOVE set other new', 'SSCAN set 0 COUNT 10', `SMISMEMBER set ${ONE} x`],
  ...[`HGET hash ${ONE}`, 'HLEN hash', 'HSET hash new v', `HDEL hash ${ONE}`, 'HRANDFIELD hash 2 WITHVALUES'],
  ...[
    'HINCRBY hash n 5',
    'HSCAN hash 0 COUNT 10',
    `HMGET hash ${word(1)} ${word(2)}`,
    `HSTRLEN hash ${word(9)}`,
  ],
  ...['ZADD zset 17.5 new', `ZSCORE zset ${ONE}`, `ZRANK zset ${ONE}`, 'ZRANGE zset 15000 15009 WITHSCORES'],
  ...['ZRANGEBYSCORE zset 20000 20005', 'ZCOUNT zset 100 25000', `ZREM zset ${ONE}`, 'ZINCRBY zset 9000 new'],
  ...['ZPOPMIN zset 2', 'ZPOPMAX zset', 'ZREMRANGEBYRANK zset 500 504', 'ZREVRANGE zset 10000 10004'],
  ...[
    'ZRANDMEMBER zset 2',
    'ZLEXCOUNT zset - +',
    'ZMPOP 1 zset MIN',
    'ZRANGE zset 9000 9005 BYSCORE LIMIT 0 3',
  ],
  ...['XADD stream 40000-1 f v', 'XLEN stream', 'XRANGE stream 15000 15009', 'XREVRANGE stream + - COUNT 5'],
  ...[
    'XDEL stream 12345-1',
    'XREAD COUNT 5 STREAMS stream 20000',
    'XTRIM stream MAXLEN 29990',
    'XINFO STREAM stream',
  ],
  ...[
    'XGROUP CREATE stream g 15000',
    'XREADGROUP GROUP g c COUNT 5 STREAMS stream >',
    'XACK stream g 15001-1',
  ],
  ...[
    'XPENDING stream g',
    'XPENDING stream g - + 10',
    'XCLAIM stream g d 0 15002-1',
    'XAUTOCLAIM stream g e 0 0 COUNT 2',
  ],
  ...[
    'XGROUP SETID stream g 20000',
    'XSETID stream 50000-1',
    'XGROUP DELCONSUMER stream g c',
    'XINFO GROUPS stream',
  ],
];
const KEYS = ['list', 'set', 'hash', 'zset', 'stream'];

describe('large collections', () => {
  let rig: ExecutorRig;
  let cost: Cost;

  beforeAll(async () => {
    rig = await openExecutor(1, 64 << 20);
    fill(rig, '');
    cost = counting(databaseOf(rig.shard(1)));
  });
  afterAll(() => rig.close());

  /** What a command costs when nothing is in memory. Its reply must not be an error. */
  function costOf(command: string): Cost {
    rig.host.cache.setLimit(0);
    rig.host.cache.evict();
    rig.host.cache.setLimit(64 << 20);
    Object.assign(cost, { readRows: 0, readBytes: 0, writtenRows: 0, writtenBytes: 0 });
    expect(rig.text(command), command).not.toMatch(/^-/);
    return { ...cost };
  }

  it('are neither read nor written as a whole for a few elements', () => {
    const dear = ON_FEW.map((command) => ({ command, ...costOf(command) })).filter(
      ({ readRows, writtenBytes }) => readRows > READ_ROWS_MAX || writtenBytes > WRITTEN_BYTES_MAX,
    );
    expect(dear).toEqual([]);
  });

  it('are visited as a whole past the cache', () => {
    const { table } = rig.shard(1).collections;
    for (const command of ['LPOS list nothing', 'LRANGE list 0 -1', 'XREVRANGE stream + -']) {
      expect(costOf(command).readRows).toBeGreaterThan(400);
      expect([...table.values()].length, command).toBeLessThan(60);
    }
  });

  it('are read with one call for many elements, and not at all while they are new', () => {
    const database = databaseOf(rig.shard(1));
    const { getMany } = database;
    const calls: number[] = [];
    database.getMany = (family, keys) => {
      if (family === 'elem') calls.push(keys.length);
      return getMany.call(database, family, keys);
    };
    const [one, two, three] = ['x1', 'x2', 'x3'];
    for (const [command, expected] of [
      [`SADD set ${one} ${two} ${three}`, [3]],
      [`HSET hash ${one} 1 ${two} 2 ${three} 3`, [3]],
      ['SUNIONSTORE copied set', []],
      ['COPY hash copied REPLACE', []],
      ['DEL copied', []],
      [`SREM set ${one} ${two} ${three}`, []],
      [`HDEL hash ${one} ${two} ${three}`, []],
    ] as const) {
      calls.length = 0;
      expect(rig.text(command), command).not.toMatch(/^-/);
      expect(calls, command).toEqual(expected);
    }
    database.getMany = getMany;
  });

  it('get another name, end or are overwritten for next to nothing, and their rows go', () => {
    const ended = KEYS.flatMap((key) => [`RENAME ${key} renamed:${key}`, `EXPIRE renamed:${key} 1000`]);
    ended.push(
      'DEL renamed:list',
      'SET renamed:set x',
      'RENAME other renamed:hash',
      'COPY renamed:hash renamed:zset REPLACE',
    );
    ended.push('SORT nothing STORE renamed:stream');
    const dear = ended
      .map((command) => ({ command, ...costOf(command) }))
      .filter(({ readRows, writtenBytes }) => readRows > 10 || writtenBytes > ENDED_BYTES_MAX);
    expect(dear).toEqual([]);
    const shard = rig.shard(1);
    for (let slices = 0; shard.hasDeadElements; slices++) {
      Object.assign(cost, { readRows: 0, writtenRows: 0 });
      shard.sweepDeadElements(2000);
      shard.commit(false);
      // Each slice is bounded, and goes on where the last one has ended.
      expect(cost.readRows).toBeLessThan(2100);
      expect(cost.writtenRows).toBeLessThan(2100);
      expect(slices).toBeLessThan(1000);
    }
    let left = 0;
    databaseOf(shard).iterate({ family: 'elem', values: false }, () => ++left > 0);
    expect(left).toBe(0);
  });
});
