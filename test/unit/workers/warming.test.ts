import { expect, it } from 'vitest';
import { openBatch } from '../../../src/workers/batch.js';
import { Warming } from '../../../src/workers/warming.js';
import { encodeBatch, type Item, openExecutor, type SegmentOf, useShard } from './executor-harness.js';

/** Commands whose keys are at fixed places and at others, of each type, there and not there. */
const ITEMS: readonly Item[] = [
  'SET string value',
  ['SET', '', 'the empty key'],
  'GET string',
  'GET missing',
  'RPUSH list a b c',
  'SADD set a b c',
  'HSET hash field value',
  'ZADD sorted 1 a',
  'XADD stream 1-1 field value',
  'ZUNION 2 sorted set',
  'ZINTERCARD 1 sorted',
  'DBSIZE',
];

/** What a look at the rows of a batch changes: nothing but what is near. */
it('does not change what a shard holds, nor what commands find', async () => {
  const rig = await openExecutor(2);
  const segments: SegmentOf[] = [
    { items: ITEMS },
    { shard: 2, client: 2, items: [...ITEMS.slice(0, 4), useShard(1), ...ITEMS] },
  ];
  rig.run(...segments);
  const bytes = rig.host.cache.bytes;
  const loads = rig.host.cache.loads;
  const warming = new Warming();
  const batch = openBatch(encodeBatch(segments));
  warming.warm(batch, rig.host.shards);
  expect(warming.seen).not.toBe(0);
  warming.warm(batch, new Map());
  expect(warming.seen).toBe(0);
  expect([rig.host.cache.bytes, rig.host.cache.loads]).toEqual([bytes, loads]);
  expect(rig.text('GET string', 'LLEN list', 'SCARD set')).toBe('$5\r\nvalue\r\n:6\r\n:3\r\n');
  await rig.close();
});

it('looks at the first commands only where a batch has very many', async () => {
  const rig = await openExecutor();
  const items = Array.from({ length: 2000 }, (_, index) => `SET key:${index % 700} ${index}`);
  rig.run({ items });
  new Warming().warm(openBatch(encodeBatch([{ items }])), rig.host.shards);
  expect(rig.text('GET key:699', 'GET key:0')).toBe('$4\r\n1399\r\n$4\r\n1400\r\n');
  await rig.close();
});
