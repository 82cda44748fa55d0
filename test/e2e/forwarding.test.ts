import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import type { RawClient } from '../support/client.js';
import { haveTool, waitUntil } from '../support/environment.js';
import { Random, testSeed } from '../support/random.js';
import { itemsOf, render, textOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';
import { StaticCluster } from '../support/static-cluster.js';

const SEED = testSeed('forwarding');
const TIMEOUT_MS = 1500;

/** db 0 is one shard of store 0; db 1 one of store 1; db 3 has 5 shards over all; db 4 four on store 0. */
const KEYSPACES = [
  { name: 'db0', db: 0, shards: [0] },
  { name: 'db1', db: 1, shards: [1] },
  { name: 'db2', db: 2, shards: [1] },
  { name: 'wide', db: 3, shards: [0, 1, 2, 1, 0] },
  { name: 'near', db: 4, shards: [0, 0, 0, 0] },
];
const WIDE = 3;

let cluster: StaticCluster;

beforeAll(async () => {
  cluster = await StaticCluster.start(3, 1, KEYSPACES, ['--cluster-node-timeout', String(TIMEOUT_MS)]);
}, 60_000);
afterAll(() => cluster.stop());

/** A connection to a node, with a database selected. */
async function clientOf(node: number, db: number, version: 2 | 3 = 2): Promise<RawClient> {
  const client = await cluster.nodes[node]!.connect();
  if (version === 3) await client.command('HELLO', 3);
  expect(await client.rendered('SELECT', db)).toBe('+OK');
  return client;
}

const GATEWAY = 3;

describe('any node', () => {
  it('serves every key of every keyspace, in either protocol', async () => {
    for (const { db } of KEYSPACES) {
      const writer = await clientOf(GATEWAY, db);
      const keys = Array.from({ length: 30 }, (_, index) => `key:${index}`);
      const written = await writer.pipeline(keys.map((key) => ['SET', key, `${db} ${key}`]));
      expect(written.map(render)).toEqual(keys.map(() => '+OK'));
      for (const node of cluster.nodes.keys()) {
        const reader = await clientOf(node, db, node % 2 === 0 ? 2 : 3);
        const read = await reader.pipeline(keys.map((key) => ['GET', key]));
        expect(read.map(textOf)).toEqual(keys.map((key) => `${db} ${key}`));
        reader.close();
      }
      expect(await writer.rendered('FLUSHDB')).toBe('+OK');
      writer.close();
    }
  });

  it('answers in the order of the requests, whichever shards they are for', async () => {
    const random = new Random(SEED);
    const client = await clientOf(0, WIDE);
    const expected: string[] = [];
    const commands: string[][] = [];
    const model = new Map<string, number>();
    for (let index = 0; index < 3000; index++) {
      const key = `counter:${random.int(0, 40)}`;
      const kind = random.float();
      if (kind < 0.1) {
        commands.push(['PING', String(index)]);
        expected.push(`$"${index}"`);
      } else if (kind < 0.2) {
        const other = `counter:${random.int(0, 40)}`;
        commands.push(['EXISTS', key, other]);
        expected.push(`:${Number(model.has(key)) + Number(model.has(other))}`);
      } else {
        model.set(key, (model.get(key) ?? 0) + 1);
        commands.push(['INCR', key]);
        expected.push(`:${model.get(key)}`);
      }
    }
    expect((await client.pipeline(commands)).map(render)).toEqual(expected);
    await client.command('FLUSHDB');
    client.close();
  });

  it('takes inline commands, and large values', async () => {
    const client = await clientOf(GATEWAY, WIDE);
    client.send(Buffer.from('SET inline "a b"\r\nGET inline\r\n'));
    expect(render(await client.next())).toBe('+OK');
    expect(render(await client.next())).toBe('$"a b"');
    const large = 'x'.repeat(20 << 20);
    expect(await client.rendered('SET', 'large', large)).toBe('+OK');
    expect((await client.text('GET', 'large')) === large).toBe(true);
    await client.command('FLUSHDB');
    client.close();
  });

  it('refuses what cannot be over several shards', async () => {
    const client = await clientOf(GATEWAY, WIDE);
    const cross = "-CROSSSLOT Keys in request don't hash to the same slot";
    expect(await client.rendered('RENAME', 'a', 'b')).toBe(cross);
    expect(await client.rendered('MSETNX', 'a', '1', 'b', '2')).toBe(cross);
    expect(await client.rendered('MSETNX', '{t}a', '1', '{t}b', '2')).toBe(':1');
    expect(await client.rendered('RENAME', '{t}a', '{t}c')).toBe('+OK');
    expect(await client.rendered('MOVE', '{t}c', '0')).toBe(
      '-ERR MOVE does not work on keyspace 3, which has 5 shards',
    );
    expect(await client.rendered('MSET', 'a')).toMatch(/^-ERR wrong number of arguments/);
    expect(await client.rendered('VASTO.ON', '0', 'DBSIZE')).toBe(
      '-ERR VASTO.ON is for other nodes of the cluster',
    );
    await client.command('FLUSHDB');
    client.close();
  });

  it('moves keys between databases of one store, and says why it cannot between others', async () => {
    const client = await clientOf(GATEWAY, 1);
    await client.command('SET', 'k', 'v');
    expect(await client.rendered('MOVE', 'k', '2')).toBe(':1');
    expect(await client.rendered('SET', 'k', 'v')).toBe('+OK');
    expect(await client.rendered('MOVE', 'k', '0')).toMatch(
      /^-ERR MOVE to another database: keyspace 0 is not/,
    );
    await client.command('FLUSHALL');
    client.close();
  });

  it('empties all databases, and counts the keys of all', async () => {
    for (const { db } of KEYSPACES) {
      const client = await clientOf(db % 4, db);
      await client.pipeline(['a', 'b', 'c', 'd', 'e'].map((key) => ['SET', key, '1', 'EX', '1000']));
      client.close();
    }
    const client = await clientOf(GATEWAY, 0);
    for (const node of cluster.nodes) {
      const each = await node.connect();
      const info = await each.text('INFO', 'keyspace');
      for (const { db } of KEYSPACES)
        expect(info).toMatch(new RegExp(`db${db}:keys=5,expires=5,avg_ttl=\\d{5,}`));
      each.close();
    }
    expect(await client.rendered('FLUSHALL')).toBe('+OK');
    for (const { db } of KEYSPACES) {
      await client.command('SELECT', db);
      expect(await client.rendered('DBSIZE')).toBe(':0');
    }
    client.close();
  });

  it('scans all shards, going on at any node', async () => {
    const writer = await clientOf(1, WIDE);
    const keys = Array.from({ length: 500 }, (_, index) => `scan:${index}`);
    await writer.pipeline(keys.map((key) => ['SET', key, '1']));
    const clients = await Promise.all([0, 1, 2, GATEWAY].map((node) => clientOf(node, WIDE)));
    const found: string[] = [];
    let cursor = '0';
    let step = 0;
    do {
      const [next, batch] = itemsOf(
        await clients[step++ % 4]!.command('SCAN', cursor, 'COUNT', '7', 'MATCH', 'scan:*'),
      );
      cursor = textOf(next!);
      found.push(...itemsOf(batch!).map(textOf));
    } while (cursor !== '0');
    expect(found.sort()).toEqual([...keys].sort());
    const sorted = itemsOf(
      await clients[3]!.command('VASTO.PREFIX', 'scan:', 'AFTER', 'scan:2', 'LIMIT', '20'),
    ).map(textOf);
    expect(sorted).toEqual(
      [...keys]
        .sort()
        .filter((key) => key > 'scan:2')
        .slice(0, 20),
    );
    const random = new Set<string>();
    for (let index = 0; index < 60; index++) random.add(await clients[0]!.text('RANDOMKEY'));
    expect(random.size).toBeGreaterThan(20);
    expect(await clients[2]!.rendered('SCAN', '12345')).toMatch(/^-ERR invalid cursor/);
    await writer.command('FLUSHDB');
    for (const client of [writer, ...clients]) client.close();
  });
});

describe('transactions through any node', () => {
  for (const [what, node, db] of [
    ['a shard elsewhere', 2, 0],
    ['a shard here', 0, 0],
    ['several shards', GATEWAY, WIDE],
    ['several shards here', 0, 4],
  ] as const) {
    it(`run as a whole, on ${what}`, async () => {
      const client = await clientOf(node, db);
      const script = [
        ['MULTI'],
        ['SET', '{t}a', '1'],
        ['INCR', '{t}a'],
        ['PING'],
        ['GET', '{t}a'],
        ['EXEC'],
        ['GET', '{t}a'],
      ];
      expect((await client.pipeline(script)).map(render)).toEqual([
        '+OK',
        '+QUEUED',
        '+QUEUED',
        '+QUEUED',
        '+QUEUED',
        '*[+OK :2 +PONG $"2"]',
        '$"2"',
      ]);
      const short = [['MULTI'], ['INCR', '{t}a'], ['GET', '{t}a'], ['EXEC'], ['INCR', '{t}a']];
      expect((await client.pipeline(short)).map(render).slice(3)).toEqual(['*[:3 $"3"]', ':4']);
      expect(
        (await client.pipeline([['MULTI'], ['EXEC'], ['MULTI'], ['PING'], ['EXEC']])).map(render),
      ).toEqual(['+OK', '*[]', '+OK', '+QUEUED', '*[+PONG]']);
      expect((await client.pipeline([['MULTI'], ['NO'], ['EXEC']])).map(render)[2]).toMatch(/^-EXECABORT/);
      await client.command('FLUSHDB');
      client.close();
    });

    it(`notice that watched keys have changed, on ${what}`, async () => {
      const client = await clientOf(node, db);
      const other = await clientOf(GATEWAY, db);
      await client.command('SET', '{t}k', '1');
      for (const version of [2, 3]) {
        await client.command('HELLO', version);
        const nil = version === 3 ? '_' : '*-1';
        expect(await client.rendered('WATCH', '{t}k')).toBe('+OK');
        await other.command('SET', '{t}k', '2');
        expect((await client.pipeline([['MULTI'], ['SET', '{t}k', '3'], ['EXEC']])).map(render)[2]).toBe(nil);
        const own = [
          ['WATCH', '{t}k'],
          ['GET', '{t}k'],
          ['MULTI'],
          ['SET', '{t}k', '4'],
          ['EXEC'],
          ['GET', '{t}k'],
        ];
        expect((await client.pipeline(own)).map(render)).toEqual([
          '+OK',
          '$"2"',
          '+OK',
          '+QUEUED',
          '*[+OK]',
          '$"4"',
        ]);
        await client.command('WATCH', '{t}k');
        await other.command('SET', '{t}k', '5');
        expect(await client.rendered('UNWATCH')).toBe('+OK');
        expect((await client.pipeline([['MULTI'], ['INCR', '{t}k'], ['EXEC']])).map(render)[2]).toBe('*[:6]');
        await client.command('WATCH', '{t}k');
        await client.pipeline([['MULTI'], ['DISCARD']]);
        await other.command('SET', '{t}k', '7');
        expect((await client.pipeline([['MULTI'], ['INCR', '{t}k'], ['EXEC']])).map(render)[2]).toBe('*[:8]');
      }
      await client.command('FLUSHDB');
      client.close();
      other.close();
    });
  }

  it('are of one slot where there are several shards', async () => {
    const client = await clientOf(GATEWAY, WIDE);
    const replies = (await client.pipeline([['MULTI'], ['SET', 'a', '1'], ['SET', 'b', '1'], ['EXEC']])).map(
      render,
    );
    expect(replies[2]).toMatch(/^-CROSSSLOT/);
    expect(replies[3]).toMatch(/^-EXECABORT/);
    const flushing = (await client.pipeline([['MULTI'], ['FLUSHDB'], ['EXEC']])).map(render);
    expect(flushing[1]).toBe('-ERR FLUSHDB does not work on keyspace 3, which has 5 shards');
    await client.command('WATCH', 'a');
    expect((await client.pipeline([['MULTI'], ['SET', 'b', '1'], ['EXEC']])).map(render)[1]).toMatch(
      /^-CROSSSLOT/,
    );
    expect(await client.rendered('WATCH', 'a', 'b')).toMatch(/^-CROSSSLOT/);
    client.close();
  });

  it('do not reach several stores', async () => {
    const client = await clientOf(2, 0);
    const script = [['MULTI'], ['SET', 'a', '1'], ['SELECT', '1'], ['SET', 'a', '1'], ['EXEC']];
    expect((await client.pipeline(script)).map(render)[4]).toMatch(/^-EXECABORT .*several/);
    await client.command('WATCH', 'a');
    await client.command('SELECT', '1');
    expect((await client.pipeline([['MULTI'], ['SET', 'b', '1'], ['EXEC']])).map(render)[2]).toMatch(
      /^-EXECABORT/,
    );
    client.close();
  });
});

describe.runIf(haveTool('redis-server'))('commands over several shards', () => {
  it('reply what a single Redis does', async () => {
    const oracle = await TestServer.start({ kind: 'redis' });
    const random = new Random(SEED + 1);
    for (const [node, version] of [
      [0, 2],
      [GATEWAY, 3],
      [GATEWAY, 2],
      [2, 3],
    ] as const) {
      const reference = version === 3 ? await oracle.connect3() : await oracle.connect();
      const client = await clientOf(node, WIDE, version);
      await reference.command('FLUSHALL');
      await client.command('FLUSHDB');
      const key = () => `k${random.int(0, 25)}`;
      const keys = () => Array.from({ length: random.int(1, 8) }, key);
      for (let round = 0; round < 40; round++) {
        const commands = Array.from({ length: random.int(1, 30) }, (): string[] => {
          const command = random.pick([
            'MGET',
            'MSET',
            'DEL',
            'UNLINK',
            'EXISTS',
            'TOUCH',
            'DBSIZE',
            'SET',
            'GET',
            'INCR',
            'APPEND',
          ]);
          if (command === 'DBSIZE') return [command];
          if (command === 'MSET')
            return [command, ...keys().flatMap((each) => [each, String(random.int(0, 99))])];
          if (command === 'SET' || command === 'APPEND') return [command, key(), String(random.int(0, 9))];
          if (command === 'GET' || command === 'INCR') return [command, key()];
          return [command, ...keys()];
        });
        const [actual, expected] = await Promise.all([
          client.pipeline(commands),
          reference.pipeline(commands),
        ]);
        expect(actual.map(render)).toEqual(expected.map(render));
        const listed = (reply: Parameters<typeof itemsOf>[0]) => itemsOf(reply).map(textOf).sort();
        expect(listed(await client.command('KEYS', 'k1*'))).toEqual(
          listed(await reference.command('KEYS', 'k1*')),
        );
      }
      client.close();
      reference.close();
    }
    await oracle.stop();
  }, 60_000);
});

describe('a store', () => {
  /** Keys of the wide keyspace, by the store that holds them. */
  async function keysByStore(): Promise<string[][]> {
    const client = await clientOf(GATEWAY, WIDE);
    const keys = Array.from({ length: 60 }, (_, index) => `k${index}`);
    await client.pipeline(keys.map((key) => ['SET', key, key]));
    const found = cluster.stores.map((): string[] => []);
    for (const key of keys) {
      const shard = shardsOfSlots(5)[keySlot(Buffer.from(key))]!;
      found[KEYSPACES[3]!.shards[shard]!]!.push(key);
    }
    client.close();
    return found;
  }

  for (const how of ['dies', 'hangs'] as const)
    it(`that ${how} costs its keys a clear error in time, and no others; all are back with it`, async () => {
      const keys = await keysByStore();
      const client = await clientOf(GATEWAY, WIDE);
      const victim = cluster.stores[1]!;
      const watcher = await clientOf(GATEWAY, WIDE);
      await watcher.command('WATCH', keys[1]![0]!);
      if (how === 'dies') await victim.kill();
      else victim.child.kill('SIGSTOP');
      const others = await clientOf(GATEWAY, WIDE);
      const started = Date.now();
      const failing = client.pipeline([
        ['GET', keys[1]![0]!],
        ['SET', keys[1]![1]!, 'x'],
        ['GET', keys[0]![0]!],
      ]);
      for (const key of [...keys[0]!, ...keys[2]!]) expect(await others.text('GET', key)).toBe(key);
      const replies = (await failing).map(render);
      const elapsed = Date.now() - started;
      expect(replies[0]).toMatch(/^-CLUSTERDOWN store [0-9a-f]{8} at 127\.0\.0\.1:\d+ cannot be reached/);
      expect(replies[1]).toMatch(/^-(CLUSTERDOWN|ERR) store [0-9a-f]{8} at/);
      expect(replies[2]).toBe(`$"${keys[0]![0]}"`);
      expect(elapsed).toBeLessThan(TIMEOUT_MS + 2000);
      expect(await client.rendered('DBSIZE')).toMatch(/^-CLUSTERDOWN/);
      expect(await client.rendered('MGET', keys[0]![0]!, keys[2]![0]!)).toMatch(/^\*/);
      const lost = (await watcher.pipeline([['MULTI'], ['SET', keys[1]![0]!, 'lost'], ['EXEC']])).map(render);
      expect(lost[2]).toMatch(/^(\*-1|-.*store)/);
      if (how === 'dies') await victim.start().then(() => victim.tell(cluster.topology));
      else victim.child.kill('SIGCONT');
      await waitUntil('its keys are back', async () =>
        (await client.rendered('GET', keys[1]![0]!)).startsWith('$'),
      );
      // A store that was only held up has run what had reached it, of which its client was told that nobody knows.
      const possible = how === 'dies' ? [keys[1]![0]] : [keys[1]![0], 'lost'];
      expect(possible).toContain(await client.text('GET', keys[1]![0]!));
      for (const each of [client, watcher, others]) each.close();
    }, 60_000);
});

it('a client of a gateway that does not read is bounded, and hurts no other', async () => {
  const gateway = cluster.gateways[0]!;
  const writer = await clientOf(GATEWAY, 0);
  const value = 'v'.repeat(100_000);
  await writer.command('SET', 'big', value);
  const slow = await clientOf(GATEWAY, 0);
  slow.socket.pause();
  const asked = 20_000;
  slow.send(Buffer.from('*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n'.repeat(asked)));
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readStatus(gateway.child.pid!))?.[1] ?? 0) / 1024;
  for (let index = 0; index < 300; index++) expect((await writer.text('GET', 'big')).length).toBe(100_000);
  expect(rss()).toBeLessThan(500);
  slow.close();
  writer.close();
}, 60_000);

function readStatus(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8');
}
