import { randomBytes } from 'node:crypto';
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';
import { SmallDisk } from '../support/small-disk.js';

const TMPFS_MB = 192;
const FREE_AT_FIRST_MB = 40;
const VALUE_BYTES = 50_000;
const COUNTERS = 200;
/** How long the disk stays full: the node tries it several times meanwhile. */
const FULL_MS = 3500;

test('a full disk: writes get a clear error, reads go on, writes return when space does', {
  timeout: 120_000,
}, async (context) => {
  const disk = SmallDisk.mount(TMPFS_MB);
  if (disk === undefined) return context.skip();
  try {
    await fillAndFree(disk);
  } finally {
    disk.unmount();
  }
});

async function fillAndFree(disk: SmallDisk): Promise<void> {
  const { dir } = disk;
  const data = join(dir, 'data');
  mkdirSync(data);
  let server = await TestServer.start({ dir: data, workers: 1 });
  const client = await server.connect();
  await client.command('SET', 'before', 'here');
  // Written again and again: their last values are in the journal.
  const counters = Array.from({ length: COUNTERS }, (_, i) => `counter:${i}`);
  const counted = counters.map(() => '');
  /** Counts each one up; returns the first error. */
  const count = async () => {
    const replies = (await client.pipeline(counters.map((key) => ['INCR', key]))).map(render);
    for (const [i, reply] of replies.entries())
      if (reply.startsWith(':')) counted[i] = `$"${reply.slice(1)}"`;
    return replies.find((reply) => !reply.startsWith(':'))?.slice(1) ?? '';
  };
  for (let round = 0; round < 3; round++) expect(await count()).toBe('');
  const free = statfsSync(dir).bavail * statfsSync(dir).bsize;
  writeFileSync(disk.filler, Buffer.alloc(Math.max(0, free - FREE_AT_FIRST_MB * 1024 * 1024)));

  const acknowledged: string[] = [];
  let refusal = '';
  for (let i = 0; refusal === '' && i < 10_000; i++) {
    const reply = await client.command('SET', `fill:${i}`, randomBytes(VALUE_BYTES));
    if (reply.type === 'error') refusal = reply.text;
    else acknowledged.push(`fill:${i}`);
    if (i % 10 === 0 && refusal === '') refusal = await count();
  }
  expect(refusal).toMatch(/^(MISCONF|ERR|OOM) .*(space|disk|write|writing)/i);
  expect(acknowledged.length).toBeGreaterThan(100);
  // Reads go on, and what was refused is not there.
  expect(await client.rendered('GET', 'before')).toBe('$"here"');
  expect(await client.rendered('STRLEN', acknowledged[acknowledged.length - 1]!)).toBe(`:${VALUE_BYTES}`);
  expect(await client.rendered('EXISTS', `fill:${acknowledged.length}`)).toBe(':0');
  const counts = await client.pipeline(counters.map((key) => ['GET', key]));
  expect(counts.map(render)).toEqual(counted);
  expect(await client.rendered('PING')).toMatch(SUBJECT === 'redis' ? /PONG|MISCONF/ : /^\+PONG/);

  // Nor does it matter how long that lasts, or that RocksDB gives back some of its files.
  for (const endMs = Date.now() + FULL_MS; Date.now() < endMs; ) {
    disk.fillUp();
    expect(await client.rendered('EXISTS', randomBytes(8).toString('hex'))).toBe(':0');
  }
  expect(await client.rendered('INFO', 'keyspace')).toContain('db0:keys=');

  disk.makeRoom();
  await waitUntil(
    'writes return',
    async () => (await client.rendered('SET', 'after', '1')) === '+OK',
    30_000,
  );
  client.close();
  server = await server.restart();
  const reader = await server.connect();
  const lengths = await reader.pipeline(acknowledged.map((key) => ['STRLEN', key]));
  expect(lengths.map(render).filter((length) => length !== `:${VALUE_BYTES}`)).toEqual([]);
  const countsAfter = await reader.pipeline(counters.map((key) => ['GET', key]));
  expect(countsAfter.map(render)).toEqual(counted);
  expect(await reader.rendered('MGET', 'before', 'after')).toBe('*[$"here" $"1"]');
  reader.close();
  await server.stop();
}

test.skipIf(SUBJECT === 'redis')(
  'a dead worker: in-flight commands get an error, the data is there afterwards',
  async (context) => {
    const server = await TestServer.start({ workers: 2, flags: ['--enable-debug-command', 'yes'] });
    const [client, other, killer] = await Promise.all([server.connect(), server.connect(), server.connect()]);
    await client.pipeline(Array.from({ length: 2000 }, (_, i) => ['SET', `k:${i}`, i]));
    for (let round = 0; round < 5; round++) {
      const pending = Promise.all([
        client.pipeline(Array.from({ length: 500 }, () => ['INCR', 'counter'])),
        other.pipeline(Array.from({ length: 500 }, (_, i) => ['GET', `k:${i}`])),
      ]);
      const crash = await killer.rendered('DEBUG', 'WORKER-CRASH');
      const [counted, read] = await pending;
      if (/unknown subcommand/i.test(crash)) {
        console.warn('SKIPPED: the server offers no DEBUG WORKER-CRASH, the dead-worker test did not run');
        await server.stop();
        return context.skip();
      }
      expect(crash, 'DEBUG WORKER-CRASH').not.toMatch(/unknown command|not allowed|syntax/);
      // Each command is answered, by its result or by an error; none is silently tried again.
      const last = counted.findLast((reply) => reply.type === 'integer');
      expect(read.every((reply, i) => reply.type === 'error' || render(reply) === `$"${i}"`)).toBe(true);
      await waitUntil(
        'the shard is back',
        async () => (await client.command('GET', 'counter')).type !== 'error',
      );
      const value = await client.command('GET', 'counter');
      const now = value.type === 'bulk' ? Number(value.data.toString()) : 0;
      if (last?.type === 'integer') expect(now).toBeGreaterThanOrEqual(Number(last.value));
      expect(now).toBeLessThanOrEqual((round + 1) * 500);
      const all = await other.pipeline(Array.from({ length: 2000 }, (_, i) => ['GET', `k:${i}`]));
      expect(all.every((reply, i) => render(reply) === `$"${i}"`)).toBe(true);
      expect(await client.rendered('DBSIZE')).toBe(value.type === 'bulk' ? ':2001' : ':2000');
    }
    for (const each of [client, other, killer]) each.close();
    expect((await server.stop()).code).toBe(0);
  },
);
