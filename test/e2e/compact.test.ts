import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { waitUntil } from '../support/environment.js';
import { numberOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';

/** Bytes of table and log files below a directory. */
function bytesIn(directory: string): number {
  const entries = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return entries.reduce((sum, name) => {
    const found = statSync(join(directory, name), { throwIfNoEntry: false });
    return sum + (/\.(sst|log)$/.test(name) ? (found?.size ?? 0) : 0);
  }, 0);
}

test('KEYSPACE COMPACT gives space back while clients read and write', async () => {
  const server = await TestServer.start({ workers: 2 });
  const client = await server.connect();
  expect(await client.rendered('VASTO', 'KEYSPACE', 'CREATE', 'orders', 'SHARDS', 2)).toBe('+OK');
  await client.command('SELECT', 'orders');
  const value = 'x'.repeat(2000);
  const keys = Array.from({ length: 10_000 }, (_, n) => `key:${n}`);
  await client.pipeline(keys.map((key) => ['SET', key, value]));
  await client.pipeline(keys.filter((_, n) => n % 10 !== 0).map((key) => ['DEL', key]));
  const shards = join(server.dir, 'shards');
  const before = bytesIn(shards);

  const counter = await server.connect();
  await counter.command('SELECT', 'orders');
  let counted = 0;
  let compacted = false;
  const counting = (async () => {
    do {
      expect(numberOf(await counter.command('INCR', 'counter'))).toBe(++counted);
    } while (!compacted);
  })();
  expect(await client.rendered('VASTO', 'KEYSPACE', 'COMPACT', 'orders')).toBe('+OK');
  compacted = true;
  await counting;
  await waitUntil('the old files are gone', () => bytesIn(shards) < before / 4);
  expect(await client.rendered('GET', 'counter')).toBe(`$"${counted}"`);
  expect(await client.rendered('DBSIZE')).toBe(':1001');

  client.close();
  counter.close();
  await server.kill9();
  const again = await server.restart();
  const second = await again.connect();
  await second.command('SELECT', 'orders');
  expect(await second.rendered('DBSIZE')).toBe(':1001');
  expect(await second.rendered('GET', 'counter')).toBe(`$"${counted}"`);
  expect(await second.rendered('STRLEN', 'key:9990')).toBe(':2000');
  second.close();
  await again.stop();
});

test('databases that are brought to one worker meanwhile, or emptied, are rewritten all the same', async () => {
  const server = await TestServer.start({ workers: 2 });
  const client = await server.connect();
  for (const db of [0, 1]) {
    await client.command('SELECT', db);
    await client.pipeline(Array.from({ length: 20_000 }, (_, n) => ['SET', `key:${n}`, 'v'.repeat(200)]));
  }
  const compacting = ['db0', 'db1'].map(async (name) => {
    const own = await server.connect();
    const reply = await own.rendered('VASTO', 'KEYSPACE', 'COMPACT', name);
    own.close();
    return reply;
  });
  expect(await client.rendered('MOVE', 'key:1', 0)).toBe(':0');
  expect(await client.rendered('RENAME', 'key:1', 'other')).toBe('+OK');
  expect(await client.rendered('MOVE', 'other', 0)).toBe(':1');
  expect(await client.rendered('FLUSHDB')).toBe('+OK');
  expect(await client.rendered('SET', 'after', 'flush')).toBe('+OK');
  expect(await Promise.all(compacting)).toEqual(['+OK', '+OK']);
  expect(await client.rendered('DBSIZE')).toBe(':1');
  await client.command('SELECT', 0);
  expect(await client.rendered('DBSIZE')).toBe(':20001');
  client.close();
  await server.stop();
});
