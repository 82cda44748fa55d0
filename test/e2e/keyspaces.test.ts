import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import { Database } from '../../src/workers/rocksdb.js';
import type { RawClient } from '../support/client.js';
import { haveTool, pause, temporaryDir } from '../support/environment.js';
import { seeded } from '../support/replay.js';
import { TestServer } from '../support/server.js';
import { runTool } from '../support/tools.js';

const create = (client: RawClient, name: string, ...options: (string | number)[]) =>
  client.rendered('VASTO', 'KEYSPACE', 'CREATE', name, ...options);

/** Keys that between them are in every shard of a keyspace of so many. */
const keys = Array.from({ length: 64 }, (_, index) => `key:${index}`);

describe('keyspaces of one server', () => {
  test('are there after a restart, with what is in them', async () => {
    const server = await TestServer.start({ workers: 2 });
    const client = await server.connect();
    expect(await create(client, 'orders', 'SHARDS', 4, 'TAGS')).toBe('-ERR syntax error');
    expect(await create(client, 'orders', 'SHARDS', 4)).toBe('+OK');
    expect(await create(client, 'users', 'DB', 40)).toBe('+OK');
    expect(await client.rendered('SELECT', 'orders')).toBe('+OK');
    for (const key of keys) expect(await client.rendered('SET', key, `in orders ${key}`)).toBe('+OK');
    expect(await client.rendered('SELECT', 40)).toBe('+OK');
    expect(await client.rendered('SET', 'key', 'in users')).toBe('+OK');
    expect(await client.rendered('SELECT', 0)).toBe('+OK');
    expect(await client.rendered('EXISTS', 'key', 'key:0')).toBe(':0');
    const before = await client.rendered('VASTO', 'TOPOLOGY');
    client.close();
    await server.kill9();
    const again = await server.restart();
    const second = await again.connect();
    expect(await second.rendered('SELECT', 'users')).toBe('+OK');
    expect(await second.rendered('GET', 'key')).toBe('$"in users"');
    expect(await second.rendered('SELECT', 'orders')).toBe('+OK');
    for (const key of keys) expect(await second.rendered('GET', key)).toBe(`$"in orders ${key}"`);
    const names = /"name" \$"[^"]*"/g;
    expect((await second.rendered('VASTO', 'TOPOLOGY')).match(names)).toEqual(before.match(names));
    second.close();
    await again.stop();
  });

  test('each shard has the keys of its slots, on workers side by side', async () => {
    const server = await TestServer.start({ workers: 2 });
    const client = await server.connect();
    await create(client, 'four', 'SHARDS', 4);
    await client.command('SELECT', 'four');
    for (const key of keys) await client.command('SET', key, 'x');
    const expected = [0, 0, 0, 0];
    for (const key of keys) expected[shardsOfSlots(4)[keySlot(Buffer.from(key))]!]!++;
    await expect
      .poll(
        async () => {
          const described = await client.rendered('VASTO', 'KEYSPACE', 'DESCRIBE', 'four');
          return [...described.matchAll(/"keys" :(\d+)/g)].map(([, count]) => Number(count));
        },
        { timeout: 10_000 },
      )
      .toEqual(expected);
    expect(readdirSync(join(server.dir, 'shards')).length).toBeGreaterThanOrEqual(4);
    expect(await client.rendered('INFO', 'vasto')).toContain('shards:4\\r\\n');
    client.close();
    await server.stop();
  });

  test('one that is deleted is gone for those who use it, and from the disk', async () => {
    const server = await TestServer.start();
    const [client, user] = [await server.connect(), await server.connect()];
    await create(client, 'gone', 'SHARDS', 2);
    await user.command('SELECT', 'gone');
    await user.command('SET', 'key', 'old');
    expect(await client.rendered('VASTO', 'KEYSPACE', 'DELETE', 'gone')).toBe('+OK');
    expect(await user.rendered('GET', 'key')).toBe(
      "-ERR keyspace 'gone' has been deleted: SELECT another one",
    );
    expect(await client.rendered('SELECT', 'gone')).toMatch(/^-ERR no keyspace is named 'gone'/);
    // What can only be meant as a number gets Redis's error.
    for (const number of ['9223372036854775808', '-00', 'a b'])
      expect(await client.rendered('SELECT', number)).toBe('-ERR value is not an integer or out of range');
    await expect.poll(() => readdirSync(join(server.dir, 'shards'))).toEqual([]);
    expect(await create(client, 'gone', 'SHARDS', 2)).toBe('+OK');
    // It is another one, of the same name.
    expect(await user.rendered('GET', 'key')).toMatch(/^-ERR keyspace 'gone' has been deleted/);
    expect(await user.rendered('SELECT', 'gone')).toBe('+OK');
    expect(await user.rendered('GET', 'key')).toBe('$-1');
    for (const each of [client, user]) each.close();
    await server.stop();
  });

  test('a database that is deleted is made anew when it is used', async () => {
    const server = await TestServer.start();
    const client = await server.connect();
    await client.command('SET', 'key', 'old');
    await client.command('WATCH', 'key');
    expect(await client.rendered('VASTO', 'KEYSPACE', 'DELETE', 'db0')).toBe('+OK');
    await client.command('MULTI');
    await client.command('GET', 'key');
    // The watched key is no more.
    expect(await client.rendered('EXEC')).toBe('*-1');
    expect(await client.rendered('GET', 'key')).toBe('$-1');
    client.close();
    await server.stop();
  });

  test('requests that cannot be met say why', async () => {
    const server = await TestServer.start();
    const client = await server.connect();
    for (const [options, reason] of [
      [['orders', 'REPLICAS', '2'], 'cop|store'],
      [['orders', 'SHARDS', '0'], 'shards'],
      [['orders', 'SHARDS', '2000'], '1024'],
      [['orders', 'SHARDS', 'x'], 'not an integer'],
      [['orders', 'SHARDS', '1', 'SHARDS', '2'], 'syntax error'],
      [['orders', 'TAGS', 'ssd'], 'tag'],
      [['12'], 'digits'],
      [['a b'], 'letters'],
      [['db3'], 'database 3'],
    ] as const)
      expect(await create(client, ...(options as readonly [string, ...string[]])), options.join(' ')).toMatch(
        new RegExp(`^-ERR .*(${reason})`),
      );
    expect(await client.rendered('VASTO', 'KEYSPACE', 'DELETE', 'orders')).toMatch(/^-ERR .*orders/);
    expect(await client.rendered('VASTO', 'KEYSPACE', 'DESCRIBE', 'orders')).toMatch(/^-ERR .*orders/);
    expect(await client.rendered('VASTO', 'KEYSPACE', 'RENAME', 'orders')).toMatch(/^-ERR unknown action/);
    expect(await client.rendered('VASTO', 'KEYSPACE', 'LIST')).toBe('*[]');
    client.close();
    await server.stop();
  });

  test('a crash while one is made leaves all of it, or nothing', () =>
    seeded(4, async (random) => {
      const server = await TestServer.start();
      const client = await server.connect();
      await client.command('SET', 'before', '1');
      const created = create(client, 'half', 'SHARDS', 32).catch(() => 'no answer');
      await pause(random.int(0, 250));
      await server.kill9();
      const answer = await created;
      client.close();
      const again = await server.restart();
      const second = await again.connect();
      const list = await second.rendered('VASTO', 'KEYSPACE', 'LIST');
      const exists = list.includes('half');
      if (answer === '+OK') expect(exists).toBe(true);
      expect(readdirSync(join(server.dir, 'shards'))).toHaveLength(exists ? 33 : 1);
      expect(await second.rendered('GET', 'before')).toBe('$"1"');
      if (!exists) expect(await create(second, 'half', 'SHARDS', 32)).toBe('+OK');
      await second.command('SELECT', 'half');
      for (const key of keys) expect(await second.rendered('SET', key, 'x')).toBe('+OK');
      second.close();
      await again.stop();
    }));

  test('data of the first format is there under the second', async () => {
    const server = await TestServer.start();
    const client = await server.connect();
    await client.command('SET', 'key', 'zero');
    await client.command('SELECT', 5);
    await client.command('SET', 'key', 'five');
    client.close();
    await server.stop();
    await writeFirstFormat(server.dir);
    const again = await server.restart();
    const second = await again.connect();
    expect(await second.rendered('GET', 'key')).toBe('$"zero"');
    await second.command('SELECT', 'db5');
    expect(await second.rendered('GET', 'key')).toBe('$"five"');
    second.close();
    await again.stop();
  });
});

/** Makes the registry of a data directory what the first format had. */
async function writeFirstFormat(dir: string): Promise<void> {
  const key = Buffer.from('registry');
  const database = await Database.open(join(dir, 'node'));
  const record = JSON.parse(database.get('default', key)!.toString()) as {
    nextShard: number;
    topology: { keyspaces: { id: string; db: number }[] };
    shards: { keyspace: string; local: number }[];
  };
  const keyspaces = record.topology.keyspaces.map(({ id, db }, index) => ({
    id: index + 1,
    name: `db${db}`,
    db,
    shards: [record.shards.find((held) => held.keyspace === id)!.local],
  }));
  const first = { format: 1, nextId: keyspaces.length + 1, nextShard: record.nextShard, keyspaces };
  database.put('default', key, Buffer.from(JSON.stringify(first)));
  database.commit(true);
  await database.close();
}

describe.skipIf(!haveTool('redis-cli'))('redis-cli', () => {
  test('makes, describes and deletes keyspaces', async () => {
    const server = await TestServer.start({ dir: temporaryDir() });
    const cli = async (...args: string[]) => {
      const { stdout, stderr } = await runTool('redis-cli', ['-p', String(server.port), '--no-raw', ...args]);
      return stdout + stderr;
    };
    expect(await cli('vasto', 'keyspace', 'create', 'orders', 'shards', '2')).toBe('OK\n');
    const described = await cli('-3', 'vasto', 'keyspace', 'describe', 'orders');
    expect(described).toMatch(/"name" => "orders"/);
    expect(described).toMatch(/"shard" => \(integer\) 1/);
    const list = await cli('vasto', 'keyspace', 'list');
    expect(list).toMatch(/"name"\n.*"orders"\n/);
    expect(await cli('-3', 'vasto', 'stores')).toMatch(/"state" => "up"/);
    expect(await cli('vasto', 'topology')).toMatch(/"cluster-id"/);
    expect(await cli('vasto', 'help')).toMatch(/KEYSPACE CREATE/);
    expect(await cli('vasto', 'keyspace', 'delete', 'orders')).toBe('OK\n');
    expect(await cli('vasto', 'keyspace', 'list')).toBe('(empty array)\n');
    await server.stop();
  });
});
