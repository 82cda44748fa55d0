import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { TestServer } from '../support/server.js';

describe.each(['stop', 'kill9'] as const)('what is there after a restart (%s)', (end) => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 3 });
    client = await server.connect();
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  async function restart(): Promise<void> {
    client.close();
    await server[end]();
    server = await server.restart();
    client = await server.connect();
  }

  async function values(...databases: number[]): Promise<string[]> {
    const out: string[] = [];
    for (const database of databases) {
      await client.command('SELECT', database);
      out.push(await client.rendered('GET', 'k'));
    }
    await client.command('SELECT', 0);
    return out;
  }

  test('SWAPDB', async () => {
    await client.pipeline([
      ['FLUSHALL'],
      ['SET', 'k', 'zero'],
      ['SELECT', 1],
      ['SET', 'k', 'one'],
      ['SELECT', 0],
      ['SWAPDB', 0, 1],
    ]);
    expect(await values(0, 1)).toEqual(['$"one"', '$"zero"']);
    await restart();
    expect(await values(0, 1)).toEqual(['$"one"', '$"zero"']);
    await client.pipeline([
      ['SET', 'k', 'changed'],
      ['SWAPDB', 1, 5],
    ]);
    await restart();
    expect(await values(0, 1, 5)).toEqual(['$"changed"', '$-1', '$"zero"']);
  });

  test('MOVE and COPY between databases', async () => {
    await client.pipeline([
      ['FLUSHALL'],
      ['SET', 'k', 'v', 'EX', 1000],
      ['COPY', 'k', 'k', 'DB', 2],
      ['MOVE', 'k', 3],
    ]);
    await restart();
    expect(await values(0, 2, 3)).toEqual(['$-1', '$"v"', '$"v"']);
    await client.command('SELECT', 3);
    expect(await client.rendered('TTL', 'k')).toMatch(/:(99\d|1000)/);
    await client.command('SELECT', 0);
  });

  test('RENAME, DEL, FLUSHDB', async () => {
    await client.pipeline([
      ['FLUSHALL'],
      ['MSET', 'a', '1', 'b', '2', 'c', '3'],
      ['RENAME', 'a', 'k'],
      ['DEL', 'b'],
      ['SELECT', 4],
      ['MSET', 'x', '1', 'y', '2'],
      ['FLUSHDB'],
      ['SET', 'k', 'after'],
      ['SELECT', 0],
    ]);
    await restart();
    expect(await values(0, 4)).toEqual(['$"1"', '$"after"']);
    expect(await client.rendered('DBSIZE')).toBe(':2');
    await client.command('SELECT', 4);
    expect(await client.rendered('DBSIZE')).toBe(':1');
    await client.command('SELECT', 0);
  });

  test('binary keys and values, the empty key, integers, HyperLogLogs', async () => {
    await client.pipeline([
      ['FLUSHALL'],
      ['SET', '', 'empty key'],
      ['SET', '\0\r\n\xff', '\xfe\0\r\n'],
      ['SET', 'n', '9223372036854775807'],
      ['PFADD', 'h', 'a', 'b', 'c'],
      ['SET', 'empty', ''],
    ]);
    const before = await client.rendered('MGET', '', '\0\r\n\xff', 'n', 'h', 'empty');
    await restart();
    expect(await client.rendered('MGET', '', '\0\r\n\xff', 'n', 'h', 'empty')).toBe(before);
    expect(await client.rendered('PFCOUNT', 'h')).toBe(':3');
    expect(await client.rendered('OBJECT', 'ENCODING', 'n')).toBe('$"int"');
  });

  test('a large value', async () => {
    const value = Buffer.alloc(20_000_000, 'vasto');
    await client.command('SET', 'large', value);
    await restart();
    const reply = await client.command('GET', 'large');
    expect(reply.type === 'bulk' && reply.data.equals(value)).toBe(true);
    await client.command('DEL', 'large');
  });
});
