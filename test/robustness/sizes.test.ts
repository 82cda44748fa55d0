import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { itemsOf, numberOf, render } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const MB = 1024 * 1024;

describe('large values, long pipelines', () => {
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

  test('a value of 100 MB there and back', async () => {
    const value = Buffer.alloc(100 * MB);
    for (let i = 0; i < value.length; i += 4096) value.writeUInt32LE(i, i);
    client.send(
      Buffer.concat([
        Buffer.from(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${value.length}\r\n`),
        value,
        Buffer.from('\r\n'),
      ]),
    );
    expect(render(await client.next(60_000))).toBe('+OK');
    expect(await client.rendered('STRLEN', 'big')).toBe(`:${value.length}`);
    const reply = await client.command('GET', 'big');
    expect(reply.type === 'bulk' && reply.data.equals(value)).toBe(true);
    expect(await client.rendered('GETRANGE', 'big', '4096', '4099')).toBe('$"\\x00\\x10\\x00\\x00"');
    expect(await client.rendered('APPEND', 'big', 'tail')).toBe(`:${value.length + 4}`);
    expect(await client.rendered('GETRANGE', 'big', '-5', '-1')).toBe('$"\\x00tail"');
    expect(await client.rendered('DEL', 'big')).toBe(':1');
  });

  test('512 MB is the limit of a string', async () => {
    const tooLong = '-ERR string exceeds maximum allowed size (proto-max-bulk-len)';
    expect(await client.rendered('SETRANGE', 'limit', 512 * MB - 1, 'ab')).toBe(tooLong);
    expect(await client.rendered('SETRANGE', 'limit', 512 * MB, 'a')).toBe(tooLong);
    expect(await client.rendered('SETBIT', 'limit', 2 ** 32, 1)).toBe(
      '-ERR bit offset is not an integer or out of range',
    );
    expect(await client.rendered('EXISTS', 'limit')).toBe(':0');
    const greedy = await server.connect();
    greedy.send(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${512 * MB + 1}\r\n`);
    expect(render(await greedy.next())).toBe('-ERR Protocol error: invalid bulk length');
    await greedy.closed;
  });

  test('proto-max-bulk-len can be lowered', async () => {
    await client.command('SET', 'k', 'x'.repeat(MB));
    await client.command('CONFIG', 'SET', 'proto-max-bulk-len', '1mb');
    expect(await client.rendered('APPEND', 'k', 'y')).toBe(
      '-ERR string exceeds maximum allowed size (proto-max-bulk-len)',
    );
    const other = await server.connect();
    other.send(`*2\r\n$3\r\nGET\r\n$${MB + 1}\r\n`);
    expect(render(await other.next())).toBe('-ERR Protocol error: invalid bulk length');
    await other.closed;
    await client.command('CONFIG', 'SET', 'proto-max-bulk-len', '512mb');
  });

  test('100,000 commands in one write', async () => {
    const count = 100_000;
    await client.command('DEL', 'n');
    client.send(Buffer.concat(Array.from({ length: count }, () => encodeCommand(['INCR', 'n']))));
    for (let i = 1; i <= count; i++) {
      const reply = await client.next();
      if (numberOf(reply) !== i) expect(numberOf(reply)).toBe(i);
    }
  });

  test('a command of 200,000 arguments', async () => {
    const pairs = Array.from({ length: 100_000 }, (_, i) => [`many:${i}`, String(i)]);
    const keys = pairs.map(([key]) => key!);
    const [set, got, deleted] = await client.pipeline([
      ['MSET', ...pairs.flat()],
      ['MGET', ...keys],
      ['DEL', ...keys],
    ]);
    expect(render(set!)).toBe('+OK');
    const values = itemsOf(got!);
    expect(values.length).toBe(100_000);
    expect(values.every((value, i) => value.type === 'bulk' && value.data.toString() === String(i))).toBe(
      true,
    );
    expect(render(deleted!)).toBe(':100000');
  });

  test('a transaction of 20,000 commands', async () => {
    await client.command('DEL', 'tx');
    const replies = await client.pipeline([
      ['MULTI'],
      ...Array.from({ length: 20_000 }, () => ['INCR', 'tx']),
      ['EXEC'],
    ]);
    const results = itemsOf(replies[replies.length - 1]!);
    expect(results.length).toBe(20_000);
    expect(render(results[19_999]!)).toBe(':20000');
  });

  test('long keys', async () => {
    for (const length of [1000, 70_000, MB]) {
      const key = 'k'.repeat(length);
      expect(await client.rendered('SET', key, length)).toBe('+OK');
      expect(await client.rendered('GET', key)).toBe(`$"${length}"`);
      expect(await client.rendered('DEL', key)).toBe(':1');
    }
  });

  test('KEYS and SCAN over 50,000 keys', async () => {
    await client.command('FLUSHALL');
    const names = Array.from({ length: 50_000 }, (_, i) => `key:${i}`);
    await client.pipeline(names.map((name) => ['SET', name, 'v']));
    expect(itemsOf(await client.command('KEYS', '*')).length).toBe(50_000);
    expect(itemsOf(await client.command('KEYS', 'key:4999?')).length).toBe(10);
    await client.command('FLUSHALL');
    expect(await client.rendered('DBSIZE')).toBe(':0');
  });
});
