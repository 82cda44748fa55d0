import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { numberOf, render } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

const MB = 1024 * 1024;

describe('many clients, and badly behaved ones', () => {
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

  async function connected(): Promise<number> {
    return Number(/connected_clients:(\d+)/.exec(await client.text('INFO', 'clients'))?.[1]);
  }

  // Redis itself has no bound here by default; back pressure is ours.
  test.skipIf(SUBJECT === 'redis')(
    'a slow reader: memory bounded, others fast, all replies in order',
    async () => {
      const requests = 2000;
      const rssGrowthMax = 300 * MB;
      for (let i = 0; i < 3; i++) await client.command('SET', `mb:${i}`, Buffer.alloc(MB + i, 'x'));
      const slow = await server.connect();
      const before = server.rss();
      slow.socket.pause();
      slow.send(
        Buffer.concat(Array.from({ length: requests }, (_, i) => encodeCommand(['GET', `mb:${i % 3}`]))),
      );
      let slowestMs = 0;
      let rssMax = 0;
      for (let i = 0; i < 1500; i++) {
        const begun = performance.now();
        expect(await client.rendered('SET', 'other', i)).toBe('+OK');
        expect(await client.rendered('GET', 'other')).toBe(`$"${i}"`);
        slowestMs = Math.max(slowestMs, performance.now() - begun);
        if (i % 50 === 0) rssMax = Math.max(rssMax, server.rss());
      }
      expect(rssMax - before).toBeLessThan(rssGrowthMax);
      expect(slowestMs).toBeLessThan(1000);
      slow.socket.resume();
      for (let i = 0; i < requests; i++) {
        const reply = await slow.next();
        expect(reply.type === 'bulk' ? reply.data.length : render(reply)).toBe(MB + (i % 3));
      }
      slow.close();
    },
  );

  test('a slow reader that goes away leaves nothing behind', async () => {
    await client.command('SET', 'mb', Buffer.alloc(MB, 'x'));
    const slow = await server.connect();
    slow.socket.pause();
    slow.send(Buffer.concat(Array.from({ length: 50 }, () => encodeCommand(['GET', 'mb']))));
    await waitUntil('it shows in the list', async () => (await connected()) >= 2);
    slow.close();
    await waitUntil('it is gone', async () => (await connected()) === 1);
  });

  test('client-output-buffer-limit: a MONITOR that does not read is closed', async () => {
    await client.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 4mb 0 0');
    const monitor = await server.connect();
    await monitor.command('CLIENT', 'SETNAME', 'lazy');
    await monitor.command('MONITOR');
    monitor.socket.pause();
    const value = 'x'.repeat(100_000);
    await waitUntil('the monitor is closed', async () => {
      for (let i = 0; i < 20; i++) await client.command('SET', 'watched', value);
      return !(await client.text('CLIENT', 'LIST')).includes('name=lazy');
    });
    monitor.socket.resume();
    await monitor.closed;
    await client.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0');
  });

  test('client-output-buffer-limit: one reply over the limit closes the client', async () => {
    await client.command('SET', 'large', Buffer.alloc(30 * MB, 'x'));
    await client.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 1mb 0 0');
    const reader = await server.connect();
    // The type alone: a failure must not print 30 MB.
    const outcome = reader.command('GET', 'large').then((reply) => reply.type);
    await expect(outcome).rejects.toThrow(/closed|ECONNRESET/);
    await client.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0');
    const again = await server.connect();
    const reply = await again.command('GET', 'large');
    expect(reply.type === 'bulk' && reply.data.length).toBe(30 * MB);
    again.close();
    await client.command('DEL', 'large');
  });

  test('1,000 connections at once are all served', async () => {
    const limit = Number(
      /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${process.pid}/limits`, 'utf8'))?.[1],
    );
    expect(limit, 'open files allowed').toBeGreaterThan(2200);
    const clients = await Promise.all(Array.from({ length: 1000 }, () => server.connect()));
    const replies = await Promise.all(
      clients.map((each, i) =>
        each.pipeline([
          ['SET', `c:${i}`, i],
          ['GET', `c:${i}`],
          ['INCR', 'c:all'],
        ]),
      ),
    );
    expect(replies.every(([set, get], i) => render(set!) === '+OK' && render(get!) === `$"${i}"`)).toBe(true);
    expect(await client.rendered('GET', 'c:all')).toBe('$"1000"');
    expect(await connected()).toBe(1001);
    for (const each of clients) each.close();
    await waitUntil('all are gone', async () => (await connected()) === 1);
  });

  test('maxclients: the one too many is told so and closed', async () => {
    const small = await TestServer.start({ flags: ['--maxclients', '10'] });
    const admin = await small.connect();
    const count = async () =>
      Number(/connected_clients:(\d+)/.exec(await admin.text('INFO', 'clients'))?.[1]);
    await waitUntil('only this one is connected', async () => (await count()) === 1);
    const clients = await Promise.all(Array.from({ length: 9 }, () => small.connect()));
    await Promise.all(clients.map((each) => each.command('PING')));
    const refused = await small.connect();
    expect(render(await refused.next())).toBe('-ERR max number of clients reached');
    await refused.closed;
    expect(await admin.text('INFO', 'stats')).toMatch(/rejected_connections:1\b/);
    clients[0]!.close();
    await waitUntil('a place is free', async () => (await count()) === 9);
    const next = await small.connect();
    expect(await next.rendered('PING')).toBe('+PONG');
    expect(await admin.rendered('CONFIG', 'SET', 'maxclients', '20')).toBe('+OK');
    const more = await small.connect();
    expect(await more.rendered('PING')).toBe('+PONG');
    await small.stop();
  });

  test('timeout closes idle clients, and only them', async () => {
    const idle = await server.connect();
    await client.command('CONFIG', 'SET', 'timeout', '1');
    let closed = false;
    void idle.closed.then(() => {
      closed = true;
    });
    const begun = Date.now();
    await waitUntil('the idle client is closed', async () => {
      expect(await client.rendered('PING')).toBe('+PONG');
      return closed;
    });
    expect(Date.now() - begun).toBeGreaterThan(900);
    await client.command('CONFIG', 'SET', 'timeout', '0');
  });

  test('client-query-buffer-limit closes whom it concerns', async () => {
    await client.command('CONFIG', 'SET', 'client-query-buffer-limit', '1mb');
    const big = await server.connect();
    big.send('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4000000\r\n');
    big.send(Buffer.alloc(3_000_000, 'x'));
    await big.closed;
    expect(await client.rendered('CONFIG', 'SET', 'client-query-buffer-limit', '1gb')).toBe('+OK');
  });

  test('a client that closes in the middle of a command changes nothing', async () => {
    await client.command('DEL', 'half');
    const half = await server.connect();
    half.send('*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n12345');
    half.socket.end();
    await half.closed;
    expect(await client.rendered('EXISTS', 'half')).toBe(':0');
  });

  test('a MULTI left open changes nothing', async () => {
    const left = await server.connect();
    await left.pipeline([['MULTI'], ['SET', 'left', '1']]);
    left.close();
    await waitUntil('it is gone', async () => (await connected()) === 1);
    expect(await client.rendered('EXISTS', 'left')).toBe(':0');
    expect(numberOf(await client.command('DBSIZE'))).toBeGreaterThan(0);
  });
});
