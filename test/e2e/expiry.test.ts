import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { pause, waitUntil } from '../support/environment.js';
import { itemsOf, numberOf, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

describe('expiry, seen from outside', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    client = await server.connect();
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  beforeEach(async () => {
    await client.command('FLUSHALL');
  });

  test('a key is there until its time and not a millisecond longer', async () => {
    for (let round = 0; round < 20; round++) {
      const expiresAt = Date.now() + 30;
      await client.command('SET', 'k', 'v', 'PXAT', expiresAt);
      for (let seen = true; seen; ) {
        const before = Date.now();
        seen = (await client.rendered('GET', 'k')) === '$"v"';
        const after = Date.now();
        if (seen) expect(before).toBeLessThanOrEqual(expiresAt + 1);
        else expect(after).toBeGreaterThanOrEqual(expiresAt);
      }
    }
  });

  test.runIf(SUBJECT === 'vasto')('no command shows what has expired', async () => {
    const expiresAt = Date.now() + 80;
    await client.pipeline(Array.from({ length: 500 }, (_, i) => ['SET', `e:${i}`, 'v', 'PXAT', expiresAt]));
    await client.command('SET', 'stays', 'v');
    while (Date.now() <= expiresAt) await pause(expiresAt - Date.now() + 1);
    const replies = await client.pipeline([
      ['DBSIZE'],
      ['KEYS', '*'],
      ['SCAN', '0', 'COUNT', '1000'],
      ['RANDOMKEY'],
      ['EXISTS', 'e:1', 'e:2'],
      ['TYPE', 'e:3'],
      ['TTL', 'e:4'],
      ['OBJECT', 'ENCODING', 'e:5'],
      ['DUMP', 'e:6'],
      ['DEL', 'e:7'],
      ['RENAMENX', 'stays', 'e:8'],
      ['COPY', 'e:9', 'x'],
      ['PERSIST', 'e:10'],
      ['VASTO.PREFIX', 'e:'],
    ]);
    const shown = replies.map((reply) => ('items' in reply ? String(reply.items.length) : reply));
    expect(shown[0]).toMatchObject({ value: 1n });
    expect(itemsOf(replies[1]!).length).toBe(1);
    expect(itemsOf(itemsOf(replies[2]!)[1]!).length).toBe(1);
    expect(textOf(replies[3]!)).toBe('stays');
    expect(numberOf(replies[4]!)).toBe(0);
    expect(textOf(replies[5]!)).toBe('none');
    expect(numberOf(replies[6]!)).toBe(-2);
    expect(replies[7]!.type).toBe('null');
    expect(replies[8]!.type).toBe('null');
    expect(numberOf(replies[9]!)).toBe(0);
    expect(numberOf(replies[10]!)).toBe(1);
    expect(numberOf(replies[11]!)).toBe(0);
    expect(numberOf(replies[12]!)).toBe(0);
    expect(itemsOf(replies[13]!).map(textOf)).toEqual(['e:8']);
  });

  test('INFO counts expired keys soon after, without anybody reading them', async () => {
    await client.command('CONFIG', 'RESETSTAT');
    await client.pipeline(Array.from({ length: 2000 }, (_, i) => ['SET', `b:${i}`, 'v', 'PX', 50]));
    await waitUntil('2000 keys are reclaimed', async () => {
      const info = await client.text('INFO', 'stats');
      return /\bexpired_keys:2000\b/.test(info);
    });
    expect(await client.rendered('DBSIZE')).toBe(':0');
    expect(await client.text('INFO', 'keyspace')).not.toContain('db0:');
  });

  test('a value written anew lives on', async () => {
    await client.pipeline([
      ['SET', 'k', '1', 'PX', '40'],
      ['SET', 'k', '2'],
      ['SET', 'p', '1', 'PX', '40'],
      ['PERSIST', 'p'],
      ['SET', 'x', '1', 'PX', '40'],
      ['PEXPIRE', 'x', '100000'],
      ['SET', 'i', '1', 'PX', '40'],
      ['INCR', 'i'],
    ]);
    await waitUntil('i is gone', async () => (await client.rendered('EXISTS', 'i')) === ':0');
    expect(await client.rendered('MGET', 'k', 'p', 'x')).toBe('*[$"2" $"1" $"1"]');
  });

  test('WATCH: a key that expires meanwhile', async () => {
    // Redis 7: EXEC fails if a watched key was live at WATCH and has expired since.
    await client.command('SET', 'w', '1', 'PX', '30');
    await client.command('WATCH', 'w');
    const other = await server.connect();
    await waitUntil('w is gone', async () => (await other.rendered('EXISTS', 'w')) === ':0');
    await client.command('MULTI');
    await client.command('SET', 'x', '1');
    expect(await client.rendered('EXEC')).toBe('*-1');
    other.close();
  });

  test('WATCH: a key that had expired already', async () => {
    await client.command('SET', 'w', '1', 'PX', '1');
    await waitUntil('w is gone', async () => (await client.rendered('EXISTS', 'w')) === ':0');
    await client.command('WATCH', 'w');
    await client.command('MULTI');
    await client.command('SET', 'x', '1');
    expect(await client.rendered('EXEC')).toBe('*[+OK]');
  });

  test('expiries run on through a restart', async () => {
    const dirServer = await TestServer.start();
    const first = await dirServer.connect();
    const expiresAt = Date.now() + 300;
    await first.pipeline([
      ['SET', 'short', 'v', 'PXAT', expiresAt],
      ['SET', 'long', 'v', 'EX', '1000'],
      ['SET', 'none', 'v'],
    ]);
    first.close();
    const again = await dirServer.restart();
    const reader = await again.connect();
    await waitUntil('short is gone', async () => (await reader.rendered('EXISTS', 'short')) === ':0');
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt);
    expect(await reader.rendered('DBSIZE')).toBe(':2');
    expect(numberOf(await reader.command('TTL', 'long'))).toBeGreaterThan(990);
    expect(await reader.rendered('TTL', 'none')).toBe(':-1');
    reader.close();
    await again.stop();
  });
});
