import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../support/server.js';

describe('ioredis', () => {
  let server: TestServer;
  let redis: Redis;

  beforeAll(async () => {
    server = await TestServer.start({ flags: ['--requirepass', 'secret'], password: 'secret' });
    redis = new Redis({
      port: server.port,
      host: '127.0.0.1',
      password: 'secret',
      db: 2,
      connectionName: 'tests',
    });
  });

  afterAll(async () => {
    await redis.quit();
    await server.stop();
  });

  test('connects with password, database and name', async () => {
    expect(await redis.ping()).toBe('PONG');
    expect(await redis.client('GETNAME')).toBe('tests');
    const info = await redis.client('INFO');
    expect(String(info)).toMatch(/\bdb=2\b/);
  });

  test('a wrong password is told', async () => {
    const wrong = new Redis({
      port: server.port,
      password: 'no',
      lazyConnect: true,
      retryStrategy: () => null,
    });
    wrong.on('error', () => undefined);
    await expect(wrong.get('a')).rejects.toThrow(/WRONGPASS|closed/);
    wrong.disconnect();
  });

  test('strings and buffers', async () => {
    const value = randomBytes(5000);
    expect(await redis.set('buffer', value)).toBe('OK');
    expect(await redis.getBuffer('buffer')).toEqual(value);
    expect(await redis.set('text', 'žluťoučký kůň 🐎', 'EX', 100)).toBe('OK');
    expect(await redis.get('text')).toBe('žluťoučký kůň 🐎');
    expect(await redis.ttl('text')).toBeGreaterThan(98);
    expect(await redis.get('nothing')).toBe(null);
    expect(await redis.mget('text', 'nothing')).toEqual(['žluťoučký kůň 🐎', null]);
    expect(await redis.set('text', 'x', 'NX')).toBe(null);
    expect(await redis.set('text', 'y', 'GET')).toBe('žluťoučký kůň 🐎');
    expect(await redis.incrbyfloat('float', 1.5)).toBe('1.5');
  });

  test('pipeline of many', async () => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < 5000; i++) pipeline.set(`p:${i}`, i).get(`p:${i}`);
    const results = (await pipeline.exec()) ?? [];
    expect(results.length).toBe(10_000);
    expect(results.every(([error]) => error === null)).toBe(true);
    expect(results[9999]?.[1]).toBe('4999');
  });

  test('an error within a pipeline stays with its command', async () => {
    const results = await redis.pipeline().set('w', 'abc').incr('w').get('w').exec();
    expect(results?.[1]?.[0]?.message).toBe('ERR value is not an integer or out of range');
    expect(results?.[2]?.[1]).toBe('abc');
  });

  test('multi, watch and discard', async () => {
    expect(await redis.multi().set('m', '1').incr('m').get('m').exec()).toEqual([
      [null, 'OK'],
      [null, 2],
      [null, '2'],
    ]);
    const other = redis.duplicate();
    await redis.watch('m');
    await other.set('m', '10');
    expect(await redis.multi().set('m', '3').exec()).toBe(null);
    expect(await redis.get('m')).toBe('10');
    await other.quit();
  });

  test('scanStream finds every key once', async () => {
    await redis.flushdb();
    const names = Array.from({ length: 3000 }, (_, i) => `scan:${i}`);
    await redis.mset(...names.flatMap((name) => [name, 'v']), 'other:1', 'v');
    const found: string[] = [];
    for await (const page of redis.scanStream({ match: 'scan:*', count: 100 }))
      found.push(...(page as string[]));
    expect(found.sort()).toEqual(names.sort());
  });

  test('monitor', async () => {
    const monitor = await redis.monitor();
    const seen = new Promise<string[]>((resolve) => {
      monitor.on('monitor', (_time: string, args: string[]) => resolve(args));
    });
    await redis.set('watched', '1');
    expect((await seen).map((arg) => arg.toLowerCase())).toEqual(['set', 'watched', '1']);
    monitor.disconnect();
  });

  test('a client that lost its connection comes back', async () => {
    const client = new Redis({ port: server.port, password: 'secret', retryStrategy: () => 10 });
    client.on('error', () => undefined);
    const id = await client.client('ID');
    expect(await redis.client('KILL', 'ID', id)).toBe(1);
    expect(await client.ping()).toBe('PONG');
    expect(await client.client('ID')).not.toBe(id);
    await client.quit();
  });
});
