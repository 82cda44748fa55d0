import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { itemsOf, numberOf, textOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const MEMBERS = 20_000;
const STEP = 500;

describe('collections', () => {
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

  async function fill(key: string, command: 'SADD' | 'HSET'): Promise<void> {
    for (let at = 0; at < MEMBERS; at += STEP) {
      const words: string[] = [];
      for (let index = at; index < at + STEP; index++)
        words.push(...(command === 'SADD' ? [`m${index}`] : [`f${index}`, `v${index}`]));
      await client.command(command, key, ...words);
    }
  }

  test('large ones are there after a restart, whole', async () => {
    await fill('set', 'SADD');
    await fill('hash', 'HSET');
    client.close();
    server = await server.restart();
    client = await server.connect();
    expect(numberOf(await client.command('SCARD', 'set'))).toBe(MEMBERS);
    const members = new Set(itemsOf(await client.command('SMEMBERS', 'set')).map(textOf));
    expect(members.size).toBe(MEMBERS);
    expect(await client.rendered('HMGET', 'hash', 'f0', 'f19999', 'none')).toBe('*[$"v0" $"v19999" $-1]');
    const found = new Set<string>();
    let cursor = '0';
    do {
      const [next, page] = itemsOf(await client.command('HSCAN', 'hash', cursor, 'COUNT', '300'));
      for (const [index, item] of itemsOf(page!).entries()) if (index % 2 === 0) found.add(textOf(item));
      cursor = textOf(next!);
    } while (cursor !== '0');
    expect(found.size).toBe(MEMBERS);
  });

  test('every member is popped once', async () => {
    const popped = new Set<string>();
    for (let left = MEMBERS; left > 0; left -= STEP)
      for (const member of itemsOf(await client.command('SPOP', 'set', STEP))) popped.add(textOf(member));
    expect(popped.size).toBe(MEMBERS);
    expect(await client.rendered('EXISTS', 'set')).toBe(':0');
  });

  test('to another database and back, and under another name', async () => {
    expect(await client.rendered('RENAME', 'hash', 'renamed')).toBe('+OK');
    expect(await client.rendered('MOVE', 'renamed', '1')).toBe(':1');
    await client.command('SELECT', '1');
    expect(await client.rendered('HLEN', 'renamed')).toBe(`:${MEMBERS}`);
    expect(await client.rendered('COPY', 'renamed', 'hash', 'DB', '0')).toBe(':1');
    await client.command('SELECT', '0');
    expect(await client.rendered('HGET', 'hash', 'f777')).toBe('$"v777"');
  });

  test('WATCH sees elements change, and nothing that does not', async () => {
    const other = await server.connect();
    await client.command('SADD', 'watched', 'a');
    for (const [command, breaks] of [
      [['SADD', 'watched', 'b'], true],
      [['SADD', 'watched', 'b'], false],
      [['SREM', 'watched', 'none'], false],
      [['SREM', 'watched', 'a', 'b'], true],
    ] as const) {
      await client.command('WATCH', 'watched');
      await other.command(...command);
      await client.command('MULTI');
      await client.command('PING');
      expect([command, await client.rendered('EXEC')]).toEqual([command, breaks ? '*-1' : '*[+PONG]']);
    }
    other.close();
  });

  test('RESP3 has maps and sets', async () => {
    const three = await server.connect3();
    await three.command('HSET', 'small', 'f', 'v');
    await three.command('SADD', 'one', 'm');
    expect(await three.rendered('HGETALL', 'small')).toBe('%[$"f" $"v"]');
    expect(await three.rendered('HRANDFIELD', 'small', '1', 'WITHVALUES')).toBe('*[*[$"f" $"v"]]');
    expect(await three.rendered('SMEMBERS', 'one')).toBe('~[$"m"]');
    expect(await three.rendered('SINTER', 'one', 'none')).toBe('~[]');
    three.close();
  });

  test('fields whose time has come are removed, and the key with the last of them', async () => {
    await client.command('HSET', 'ending', 'a', '1', 'b', '2');
    expect(await client.rendered('HPEXPIRE', 'ending', '50', 'FIELDS', '1', 'a')).toBe('*[:1]');
    expect(await client.rendered('HPEXPIRE', 'hash', '50', 'FIELDS', '2', 'f1', 'f2')).toBe('*[:1 :1]');
    await waitUntil(
      'the fields end',
      async () => (await client.rendered('HLEN', 'hash')) === `:${MEMBERS - 2}`,
    );
    expect(await client.rendered('HGETALL', 'ending')).toBe('*[$"b" $"2"]');
    await client.command('HPEXPIRE', 'ending', '20', 'FIELDS', '1', 'b');
    await waitUntil('the key ends', async () => (await client.rendered('EXISTS', 'ending')) === ':0');
  });
});
