import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { itemsOf, numberOf, type Reply, render, textOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const LARGE = 3000;

const words = (count: number) => Array.from({ length: count }, (_, index) => `element ${index}`);

/** Commands that make a key of each type, in each form that it may have. */
const FORMS: Readonly<Record<string, (key: string) => readonly (readonly string[])[]>> = {
  'an integer': (key) => [['SET', key, '12345']],
  'a short string': (key) => [['SET', key, 'short']],
  'a long string': (key) => [['SET', key, 'long '.repeat(50)]],
  'a string that was appended to': (key) => [
    ['SET', key, 'a'],
    ['APPEND', key, 'b'],
  ],
  'a small hash': (key) => [['HSET', key, 'f', 'v', 'g', '1']],
  'a large hash': (key) => [['HSET', key, ...words(LARGE).flatMap((word) => [word, word])]],
  'a hash with a long value': (key) => [['HSET', key, 'f', 'x'.repeat(65)]],
  'a short list': (key) => [['RPUSH', key, 'a', '1', 'b']],
  'a long list': (key) => [['RPUSH', key, ...words(LARGE)]],
  'a small set of integers': (key) => [['SADD', key, '3', '1', '2']],
  'a large set of integers': (key) => [['SADD', key, ...words(LARGE).map((_word, index) => String(index))]],
  'a large set': (key) => [['SADD', key, ...words(LARGE)]],
  'a small sorted set': (key) => [['ZADD', key, '1', 'a', '2.5', 'b']],
  'a large sorted set': (key) => [['ZADD', key, ...words(LARGE).flatMap((word, at) => [String(at), word])]],
  places: (key) => [['GEOADD', key, '13.36', '38.11', 'Palermo', '15.08', '37.5', 'Catania']],
  'a short stream': (key) => [['XADD', key, '1-1', 'f', 'v']],
  'a long stream with a group': (key) => [
    ...words(500).map((word, at) => ['XADD', key, `${at + 1}-1`, 'f', word]),
    ['XGROUP', 'CREATE', key, 'g', '100'],
    ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '50', 'STREAMS', key, '>'],
  ],
  'a bitmap': (key) => [['SETBIT', key, '1000', '1']],
  'a HyperLogLog': (key) => [['PFADD', key, ...words(100)]],
};

/** What is behind a name in the reply to DEBUG OBJECT. */
function debugged(reply: Reply, name: string): string | undefined {
  return new RegExp(`\\b${name}:(\\S+)`).exec(textOf(reply))?.[1];
}

/** Everything about a key that is the same on both servers; sets and hashes in an order of their own. */
async function described(client: RawClient, key: string): Promise<string[]> {
  const type = await client.text('TYPE', key);
  const read: Readonly<Record<string, readonly string[]>> = {
    string: ['GET', key],
    hash: ['HGETALL', key],
    list: ['LRANGE', key, '0', '-1'],
    set: ['SMEMBERS', key],
    zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
    stream: ['XRANGE', key, '-', '+'],
  };
  const whole = await client.command(...read[type]!);
  const content =
    type === 'hash' || type === 'set' ? itemsOf(whole).map(render).sort().join(' ') : render(whole);
  const debug = await client.command('DEBUG', 'OBJECT', key);
  return [
    type,
    await client.text('OBJECT', 'ENCODING', key),
    ['encoding', 'refcount'].map((name) => debugged(debug, name)).join(' '),
    content,
    type === 'stream' ? await client.rendered('XPENDING', key, 'g') : '',
    await client.rendered('TTL', key),
  ];
}

describe.skipIf(!haveTool('redis-server'))('values in all their forms, as in redis-server', () => {
  let servers: [TestServer, TestServer];
  let [mine, theirs]: RawClient[] = [];

  beforeAll(async () => {
    const flags = ['--enable-debug-command', 'local'];
    servers = [await TestServer.start({ flags }), await TestServer.start({ kind: 'redis', flags })];
    [mine, theirs] = await Promise.all(servers.map((server) => server.connect()));
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
  });

  test.each(Object.entries(FORMS))('%s', async (_name, make) => {
    const both = [mine!, theirs!] as const;
    const same = async (key: string) => {
      const [found, expected] = await Promise.all(both.map((client) => described(client, key)));
      expect(found).toEqual(expected);
    };
    for (const client of both) {
      await client.command('FLUSHALL');
      for (const command of make('key')) expect(render(await client.command(...command))).not.toMatch(/^-/);
    }
    await same('key');
    const [mySizes, theirSizes] = await Promise.all(
      both.map(async (client) => [
        numberOf(await client.command('MEMORY', 'USAGE', 'key', 'SAMPLES', '0')),
        Number(debugged(await client.command('DEBUG', 'OBJECT', 'key'), 'serializedlength')),
      ]),
    );
    expect(mySizes![1]).toBe(theirSizes![1]);
    // What it takes in memory is each server's own affair; it is more than the payload has.
    for (const [memory, length] of [mySizes!, theirSizes!]) expect(memory).toBeGreaterThan(length!);
    for (const client of both) {
      await client.command('EXPIRE', 'key', 1000);
      for (const [command, reply] of [
        ['COPY key copied', ':1'],
        ['COPY key copied', ':0'],
        ['COPY key copied REPLACE', ':1'],
        ['RENAME copied renamed', '+OK'],
        ['RENAMENX renamed key', ':0'],
        ['PERSIST renamed', ':1'],
        ['MOVE key 1', ':1'],
      ] as const)
        expect(await client.rendered(...command.split(' ')), command).toBe(reply);
    }
    await same('renamed');
    // A payload of each is taken by both, and gives the same.
    const payloads = await Promise.all(both.map((client) => client.command('DUMP', 'renamed')));
    for (const [from, payload] of payloads.entries()) {
      if (payload.type !== 'bulk') throw new Error(`no payload: ${render(payload)}`);
      for (const client of both)
        expect(await client.rendered('RESTORE', `restored ${from}`, 5_000_000, payload.data)).toBe('+OK');
      await same(`restored ${from}`);
    }
  });
});
