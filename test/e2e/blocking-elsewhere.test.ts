import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { numberOf } from '../support/reply.js';
import { StaticCluster } from '../support/static-cluster.js';
import { next, waitForWaiting } from '../support/waiting-room.js';

const TIMEOUT_MS = 1000;
const KEYSPACES = [
  { name: 'db0', db: 0, shards: [0] },
  { name: 'wide', db: 1, shards: [0, 1] },
];
const GATEWAY = 2;

let cluster: StaticCluster;
let direct: RawClient;
const opened: RawClient[] = [];

beforeAll(async () => {
  cluster = await StaticCluster.start(2, 1, KEYSPACES, ['--cluster-node-timeout', String(TIMEOUT_MS)]);
  direct = await cluster.nodes[0]!.connect();
}, 60_000);

afterAll(async () => {
  for (const each of opened) each.close();
  await cluster.stop();
});

async function connect(db = 0): Promise<RawClient> {
  const client = await cluster.nodes[GATEWAY]!.connect();
  opened.push(client);
  if (db !== 0) await client.command('SELECT', db);
  return client;
}

const blockedAre = (count: number) => waitForWaiting(direct, count);

describe('commands that wait for keys of another store', () => {
  test('are served while others go on, for longer than a node may be silent', async () => {
    const [waiting, other] = [await connect(), await connect()];
    waiting.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    const since = Date.now();
    await waitUntil('more than the time of a node', async () => {
      expect(await other.rendered('SET', 'k', 'v')).toBe('+OK');
      return Date.now() - since > 2 * TIMEOUT_MS;
    });
    expect(await other.rendered('RPUSH', 'a', 'x')).toBe(':1');
    expect(await next(waiting)).toBe('*[$"a" $"x"]');
    expect(await waiting.rendered('BLPOP', 'a', '0.02')).toBe('*-1');
    expect(await waiting.rendered('BLMOVE', 'a', 'b', 'LEFT', 'LEFT', '0.02')).toBe('*-1');
  });

  test('take nothing for a client that has left, and end by CLIENT UNBLOCK', async () => {
    const [leaving, waiting, other] = [await connect(), await connect(), await connect()];
    const id = numberOf(await waiting.command('CLIENT', 'ID'));
    leaving.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    waiting.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(2);
    leaving.close();
    await blockedAre(1);
    expect(await other.rendered('CLIENT', 'UNBLOCK', id, 'ERROR')).toBe(':1');
    expect(await next(waiting)).toMatch(/^-UNBLOCKED/);
    await blockedAre(0);
    await other.command('RPUSH', 'a', 'x');
    expect(await other.rendered('LPOP', 'a')).toBe('$"x"');
  });

  test('have all keys in one slot', async () => {
    const [waiting, other] = [await connect(1), await connect(1)];
    expect(await waiting.rendered('BLPOP', 'a', 'b', 0)).toMatch(/^-CROSSSLOT/);
    for (const tag of ['1', '2', '3', '4']) {
      waiting.send(encodeCommand(['BLPOP', `{${tag}}a`, `{${tag}}b`, 0]));
      expect(await other.rendered('RPUSH', `{${tag}}b`, 'x')).toBe(':1');
      expect(await next(waiting)).toBe(`*[$"{${tag}}b" $"x"]`);
    }
  });

  test('wait on where the shard goes, wherever they came in', async () => {
    const [waiting, other] = [await connect(), await connect()];
    const atStore = await cluster.nodes[0]!.connect();
    opened.push(atStore);
    const timed = await cluster.nodes[0]!.connect();
    opened.push(timed);
    waiting.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    atStore.send(encodeCommand(['BLPOP', 'b', 0]));
    timed.send(encodeCommand(['BLPOP', 'never', '0.8']));
    await blockedAre(3);
    const there = KEYSPACES.map((keyspace) => ({ ...keyspace, shards: keyspace.shards.map(() => 1) }));
    await cluster.place(there, 2);
    await waitUntil('all wait there', async () => {
      const client = await cluster.nodes[1]!.connect();
      const text = await client.text('INFO', 'clients');
      client.close();
      return /blocked_clients:[23]\r/.test(text);
    });
    expect(await other.rendered('RPUSH', 'a', 'x')).toBe(':1');
    expect(await next(waiting)).toBe('*[$"a" $"x"]');
    expect(await other.rendered('RPUSH', 'b', 'y')).toBe(':1');
    expect(await next(atStore)).toBe('*[$"b" $"y"]');
    expect(await next(timed)).toBe('*-1');
    await cluster.place(KEYSPACES, 3);
    expect(await waiting.rendered('BLPOP', 'a', '0.01')).toBe('*-1');
  });

  test('end with an error when the store is silent, or dies', async () => {
    const [first, second] = [await connect(), await connect()];
    const store = cluster.nodes[0]!.child;
    first.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    store.kill('SIGSTOP');
    expect(await next(first)).toMatch(/^-ERR store .* was lost before it answered/);
    store.kill('SIGCONT');
    await blockedAre(0);
    second.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    await cluster.nodes[0]!.kill();
    expect(await next(second)).toMatch(/^-ERR store .* was lost before it answered/);
    await cluster.nodes[0]!.start();
  });
});
