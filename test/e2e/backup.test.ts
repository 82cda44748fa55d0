import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringValue } from '../../src/types/row.js';
import { adminAt, readBackup } from '../support/backups.js';
import type { RawClient } from '../support/client.js';
import { haveTool, temporaryDir } from '../support/environment.js';
import { Random, testSeed } from '../support/random.js';
import { DATA_KINDS, randomData } from '../support/random-data.js';
import { readData, writeCommands } from '../support/redis-data.js';
import { numberOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

const seed = testSeed('backup');
const LARGE_ELEMENTS = 12_000;
const ENDS_MS = Date.now() + 3_600_000;

const sizeOf = async (client: RawClient) => numberOf(await client.command('DBSIZE'));

/** Collections that go in pieces. */
async function fillLarge(client: RawClient): Promise<void> {
  const each = Array.from({ length: LARGE_ELEMENTS }, (_, index) => index);
  const send = async (command: string, key: string, of: (index: number) => (string | number)[]) => {
    for (let from = 0; from < LARGE_ELEMENTS; from += 4000)
      await client.command(command, key, ...each.slice(from, from + 4000).flatMap(of));
  };
  await send('HSET', 'large:hash', (index) => [`field:${index}`, `value:${index}`]);
  await send('SADD', 'large:set', (index) => [`member:${index}`]);
  await send('RPUSH', 'large:list', (index) => [`value:${index}`]);
  await send('ZADD', 'large:zset', (index) => [(index * 7919) % LARGE_ELEMENTS, `member:${index}`]);
  await client.pipeline(
    each.slice(0, 2000).map((index) => ['XADD', 'large:stream', `${index + 1}-1`, 'f', index]),
  );
  await client.command('HPEXPIREAT', 'large:hash', ENDS_MS, 'FIELDS', 1, 'field:5');
}

describe.skipIf(SUBJECT === 'redis')('a backup of a server by itself', () => {
  let server: TestServer;
  let client: RawClient;
  const directory = join(temporaryDir(), 'backup');
  const keys: string[] = [];

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    client = await server.connect();
    const random = new Random(seed);
    for (const kind of DATA_KINDS)
      for (let index = 0; index < 12; index++) {
        const key = `${kind}:${index}`;
        keys.push(key);
        await client.pipeline(writeCommands(key, randomData(random, kind)));
        if (index % 3 === 0) await client.command('PEXPIREAT', key, ENDS_MS + index);
      }
    await fillLarge(client);
    await client.command('SET', 'timed', 'v', 'EVENTTIME', Date.now() - 86_400_000);
    await client.command('SET', 'ends', 'v', 'PX', 1);
    await client.pipeline(
      Array.from({ length: 1500 }, (_, index) => ['SET', `row:${index}`, `value ${index}`]),
    );
    await client.pipeline(Array.from({ length: 500 }, (_, index) => ['APPEND', `row:${index}`, ' and more']));
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  async function restoredTo(name: string): Promise<RawClient> {
    const reader = await server.connect();
    await reader.command('SELECT', name);
    return reader;
  }

  test('has everything, and a keyspace of other shards gets it all: values, expiries, timestamps', async () => {
    const made = await adminAt(server.port, 'backup', 'db0', directory, '--json');
    expect(made.stderr).toBe('');
    const size = await sizeOf(client);
    expect(JSON.parse(made.stdout).backup).toMatchObject({
      directory,
      keys: size,
      keyspace: { name: 'db0' },
    });
    expect((await adminAt(server.port, 'backup-info', directory)).stdout).toContain(`${size} keys`);
    const restored = await adminAt(server.port, 'restore', directory, 'copy', '--shards', '5', '--json');
    expect([restored.stderr, restored.code]).toEqual(['', 0]);
    expect(JSON.parse(restored.stdout).restored).toMatchObject({
      applied: size,
      skipped: 0,
      ended: 0,
      shards: 5,
    });
    const reader = await restoredTo('copy');
    expect(await sizeOf(reader)).toBe(size);
    for (const key of keys) {
      for (const command of ['DUMP', 'PEXPIRETIME', 'OBJECT ENCODING'])
        expect([key, command, await reader.rendered(...command.split(' '), key)]).toEqual([
          key,
          command,
          await client.rendered(...command.split(' '), key),
        ]);
    }
    const again = join(temporaryDir(), 'again');
    expect((await adminAt(server.port, 'backup', 'copy', again)).code).toBe(0);
    expect(await readBackup(again)).toEqual(await readBackup(directory));
    expect(await reader.rendered('ZRANK', 'large:zset', 'member:7777')).toBe(
      await client.rendered('ZRANK', 'large:zset', 'member:7777'),
    );
    expect(await reader.rendered('HPEXPIRETIME', 'large:hash', 'FIELDS', 1, 'field:5')).toContain(
      String(ENDS_MS),
    );
    reader.close();
  });

  test.skipIf(!haveTool('redis-server'))('has values that Redis takes for what they were', async () => {
    const redis = await TestServer.start({ kind: 'redis' });
    const [oracle, reader] = [await redis.connect(), await restoredTo('copy')];
    for (const key of keys) {
      const payload = stringValue(await reader.text('DUMP', key));
      expect(await oracle.rendered('RESTORE', key, 0, payload)).toBe('+OK');
      expect([key, await readData(oracle, key)]).toEqual([key, await readData(client, key)]);
    }
    oracle.close();
    reader.close();
    await redis.stop();
  });

  test('is restored to another server, database 0 too, and rows are older than new ones', async () => {
    const other = await TestServer.start({ workers: 1 });
    try {
      const restored = await adminAt(other.port, 'restore', directory, 'db0');
      expect([restored.stderr, restored.code]).toEqual(['', 0]);
      expect(restored.stdout).toMatch(/^restored \d+ keys to keyspace db0; .*\/s\n$/);
      const reader = await other.connect();
      // Yesterday's write is still yesterday's.
      const old = Date.now() - 2 * 86_400_000;
      expect(await reader.rendered('SET', 'timed', 'older', 'EVENTTIME', old)).toBe('$-1');
      expect(await reader.text('GET', 'timed')).toBe('v');
      expect(await reader.rendered('SET', 'timed', 'newer', 'EVENTTIME', old + 86_401_000)).toBe('+OK');
      reader.close();
      // What was acknowledged survives.
      await other.kill9();
      const back = await other.restart();
      const again = await back.connect();
      expect(await sizeOf(again)).toBe(await sizeOf(client));
      again.close();
      await back.stop();
    } finally {
      await other.kill9();
    }
  });

  test('does not get in the way of what is there, and says so', async () => {
    const into = (...words: string[]) => adminAt(server.port, 'restore', directory, ...words);
    const refused = await into('copy');
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/keyspace copy has \d+ keys: .*--merge/),
    ]);
    expect((await into('copy', '--shards', '4')).stderr).toContain(
      'keyspace copy is there already, with 5 shards',
    );
    const reader = await restoredTo('copy');
    await reader.command('SET', 'row:1', 'later');
    await reader.command('DEL', 'row:2');
    const merged = await into('copy', '--merge', '--json');
    expect(JSON.parse(merged.stdout).restored).toMatchObject({ applied: 1 });
    expect([await reader.text('GET', 'row:1'), await reader.text('GET', 'row:2')]).toEqual([
      'later',
      'value 2 and more',
    ]);
    const twice = await adminAt(server.port, 'backup', 'db0', directory);
    expect([twice.code, twice.stderr]).toEqual([
      1,
      expect.stringContaining('has a backup already, of keyspace db0'),
    ]);
    expect((await adminAt(server.port, 'backup', 'nothing', directory)).stderr).toContain(
      "no keyspace is named 'nothing'",
    );
    expect((await into()).code).toBe(2);
    reader.close();
  });

  test('comes back into an emptied keyspace that remembers deletions, if that is said', async () => {
    const into = (...words: string[]) => adminAt(server.port, 'restore', directory, 'forgot', ...words);
    expect((await into()).code).toBe(0);
    const reader = await restoredTo('forgot');
    await reader.command('VASTO.DEL', 'nothing', 'EVENTTIME', Date.now());
    await reader.command('DEL', 'row:1');
    const names = [...(await readBackup(directory)).keys()];
    await reader.pipeline(names.map((name) => ['DEL', Buffer.from(name, 'latin1')]));
    expect(await sizeOf(reader)).toBe(0);
    const refused = await into();
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining('is empty, but remembers when its keys were deleted'),
    ]);
    const renewed = await into('--new-timestamps', '--json');
    const size = await sizeOf(client);
    expect(JSON.parse(renewed.stdout).restored).toMatchObject({ applied: size, skipped: 0 });
    expect(await reader.text('GET', 'row:1')).toBe('value 1 and more');
    expect(await sizeOf(reader)).toBe(size);
    reader.close();
  });

  test('that is damaged is refused before anything is written', async () => {
    const name = readdirSync(directory).find((each) => each.startsWith('shard-'))!;
    const path = join(directory, name);
    const good = readFileSync(path);
    const bad = Buffer.from(good);
    bad[good.length - 1000]! ^= 1;
    writeFileSync(path, bad);
    const refused = await adminAt(server.port, 'restore', directory, 'never');
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/shard-00000-.* is damaged at byte \d+: the checksum of frame \d+ is wrong/),
    ]);
    expect((await adminAt(server.port, 'keyspace', 'describe', 'never')).code).toBe(1);
    const told = await adminAt(server.port, 'backup-verify', directory, '--json');
    expect([told.code, JSON.parse(told.stdout || told.stderr).error.code]).toEqual([1, 'REFUSED']);
    writeFileSync(path, good);
    expect((await adminAt(server.port, 'backup-verify', directory)).code).toBe(0);
    expect(statSync(path).size).toBe(good.length);
  });

  test('is of one moment of each shard, under writes', async () => {
    const writer = await server.connect();
    await writer.command('SELECT', 'paired');
    await adminAt(server.port, 'keyspace', 'create', 'paired');
    await writer.command('SELECT', 'paired');
    const filler = 'x'.repeat(1000);
    await writer.pipeline(Array.from({ length: 2000 }, (_, index) => ['SET', `m:${index}`, filler]));
    let isOver = false;
    let transactions = 0;
    const load = async () => {
      while (!isOver) {
        const count = String(++transactions);
        await writer.pipeline([
          ['MULTI'],
          ['SET', 'a:first', count],
          ['HSET', 'h:middle', 'count', count],
          ['SET', `m:${transactions % 2000}`, count],
          ['SET', 'z:last', count],
          ['EXEC'],
        ]);
      }
    };
    const loading = load();
    const made = await adminAt(
      server.port,
      'backup',
      'paired',
      join(directory, '..', 'paired'),
      '--rate',
      '1',
    );
    const during = transactions;
    isOver = true;
    await loading;
    expect([made.stderr, made.code]).toEqual(['', 0]);
    expect((await adminAt(server.port, 'restore', join(directory, '..', 'paired'), 'unpaired')).code).toBe(0);
    await writer.command('SELECT', 'unpaired');
    const first = await writer.text('GET', 'a:first');
    expect(Number(first)).toBeLessThan(during);
    expect(Number(first)).toBeGreaterThan(0);
    expect(await writer.text('GET', 'z:last')).toBe(first);
    expect(await writer.text('HGET', 'h:middle', 'count')).toBe(first);
    expect(await writer.text('GET', `m:${Number(first) % 2000}`)).toBe(first);
    writer.close();
  });
});
