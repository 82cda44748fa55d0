import { randomBytes } from 'node:crypto';
import { createClient, RESP_TYPES } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../support/server.js';

describe.each([2, 3] as const)('node-redis in RESP%i', (RESP) => {
  let server: TestServer;
  let client: ReturnType<typeof connectTo>;

  function connectTo(password: string) {
    return createClient({
      RESP,
      name: 'tests',
      database: 1,
      password,
      socket: { port: server.port, host: '127.0.0.1', reconnectStrategy: false },
    });
  }

  beforeAll(async () => {
    server = await TestServer.start({ flags: ['--requirepass', 'secret'], password: 'secret' });
    client = connectTo('secret');
    client.on('error', () => undefined);
    await client.connect();
  });

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  test('connects with password, name and database', async () => {
    expect(await client.ping()).toBe('PONG');
    const info = await client.clientInfo();
    expect([info.db, info.name]).toEqual([1, 'tests']);
  });

  test('a wrong password is told', async () => {
    const wrong = connectTo('no');
    wrong.on('error', () => undefined);
    await expect(wrong.connect()).rejects.toThrow(/WRONGPASS/);
  });

  test('strings with options', async () => {
    expect(await client.set('a', '1', { expiration: { type: 'EX', value: 100 }, condition: 'NX' })).toBe(
      'OK',
    );
    expect(await client.set('a', '2', { condition: 'NX' })).toBe(null);
    expect(await client.get('a')).toBe('1');
    expect(await client.get('nothing')).toBe(null);
    expect(await client.incrBy('a', 41)).toBe(42);
    expect(await client.mGet(['a', 'nothing'])).toEqual(['42', null]);
    expect(await client.ttl('a')).toBeGreaterThan(98);
    expect(await client.getDel('a')).toBe('42');
    await expect(client.sendCommand(['GET'])).rejects.toThrow(
      "ERR wrong number of arguments for 'get' command",
    );
  });

  test('buffers', async () => {
    const value = randomBytes(3000);
    const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await client.set('b', value);
    expect(await buffers.get('b')).toEqual(value);
  });

  test('multi', async () => {
    expect(await client.multi().set('m', '1').incr('m').exec()).toEqual(['OK', 2]);
  });

  test('commands of one tick are pipelined, in order', async () => {
    const results = await Promise.all(Array.from({ length: 2000 }, () => client.incr('counter')));
    expect(results).toEqual(Array.from({ length: 2000 }, (_, i) => i + 1));
  });

  test('scanIterator', async () => {
    await client.flushDb();
    await client.mSet(Array.from({ length: 500 }, (_, i): [string, string] => [`s:${i}`, 'v']));
    const found = new Set<string>();
    for await (const keys of client.scanIterator({ MATCH: 's:*', COUNT: 50 }))
      for (const key of keys) found.add(key);
    expect(found.size).toBe(500);
  });

  test('CONFIG GET is an object in both protocols', async () => {
    expect({ ...(await client.configGet('maxmemory-policy')) }).toEqual({ 'maxmemory-policy': 'noeviction' });
  });

  test('LCS IDX and bitfields', async () => {
    await client.mSet({ x: 'ohmytext', y: 'mynewtext' });
    expect(await client.lcs('x', 'y')).toBe('mytext');
    expect((await client.lcsIdx('x', 'y')).len).toBe(6);
    expect(
      await client.bitField('bits', [{ operation: 'INCRBY', encoding: 'u8', offset: 0, increment: 200 }]),
    ).toEqual([200]);
  });
});
