import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { numberOf, render } from '../support/reply.js';
import { StaticCluster } from '../support/static-cluster.js';
import { next, waitForWaiting } from '../support/waiting-room.js';

const TIMEOUT_MS = 1000;
const KEYSPACES = [
  { name: 'db0', db: 0, shards: [0] },
  { name: 'wide', db: 1, shards: [0, 1] },
];
const GATEWAY = 2;
/** All of them on the other store. */
const THERE = KEYSPACES.map((keyspace) => ({ ...keyspace, shards: keyspace.shards.map(() => 1) }));

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

  test('lose nothing to CLIENT UNBLOCK', async () => {
    const [waiting, other] = [await connect(), await connect()];
    const id = numberOf(await waiting.command('CLIENT', 'ID'));
    let served = 0;
    for (let round = 0; round < 50; round++) {
      waiting.send(encodeCommand(['BLPOP', 'a', 0]));
      await blockedAre(1);
      const push = () => direct.rendered('RPUSH', 'a', 'x');
      const unblock = () => other.rendered('CLIENT', 'UNBLOCK', id);
      // Both are on their way at once.
      const outcomes = await Promise.all(round % 2 === 0 ? [push(), unblock()] : [unblock(), push()]);
      const reply = await next(waiting);
      const isServed = reply === '*[$"a" $"x"]';
      if (isServed) served++;
      else expect(await direct.rendered('LPOP', 'a')).toBe('$"x"');
      expect([...outcomes.sort(), reply]).toEqual(isServed ? [':0', ':1', reply] : [':1', ':1', '*-1']);
    }
    console.log(`${served} of 50 rounds were served`);
  });

  test('do not overtake what their client has sent before', async () => {
    const client = await connect();
    for (let round = 0; round < 50; round++) {
      const replies = await client.pipeline([
        ['RPUSH', 'a', 'x'],
        ['DEL', 'a'],
        ['BLPOP', 'a', '0.001'],
        ['PING'],
      ]);
      expect(replies.map(render)).toEqual([':1', ':1', '*-1', '+PONG']);
    }
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
    await other.command('XADD', 's', '5-0', 'f', 'old');
    const readers = [await cluster.nodes[0]!.connect(), await cluster.nodes[1]!.connect()];
    opened.push(...readers);
    for (const [index, reader] of readers.entries()) {
      reader.send(encodeCommand(['XREAD', 'BLOCK', 0, 'STREAMS', 's', '$']));
      await blockedAre(4 + index);
    }
    await cluster.place(THERE, 2);
    await waitUntil('all wait there', async () => {
      const client = await cluster.nodes[1]!.connect();
      const text = await client.text('INFO', 'clients');
      client.close();
      return /blocked_clients:[45]\r/.test(text);
    });
    expect(await other.rendered('RPUSH', 'a', 'x')).toBe(':1');
    expect(await next(waiting)).toBe('*[$"a" $"x"]');
    expect(await other.rendered('RPUSH', 'b', 'y')).toBe(':1');
    expect(await next(atStore)).toBe('*[$"b" $"y"]');
    expect(await next(timed)).toBe('*-1');
    await other.command('XADD', 's', '6-0', 'f', 'new');
    for (const reader of readers) expect(await next(reader)).toBe('*[*[$"s" *[*[$"6-0" *[$"f" $"new"]]]]]');
    await cluster.place(KEYSPACES, 3);
    expect(await waiting.rendered('BLPOP', 'a', '0.01')).toBe('*-1');
  });

  test('wait there for what is left of their time', async () => {
    const commands = [
      ['BLPOP', 'k', '100'],
      ['BLMPOP', '100', '1', 'k', 'LEFT'],
      ['XREAD', 'BLOCK', '7', 'COUNT', '1', 'BLOCK', '100000', 'STREAMS', 'BLOCK', '$'],
    ];
    for (const [index, words] of commands.entries()) {
      (await connect()).send(encodeCommand(words));
      await blockedAre(index + 1);
    }
    const monitor = await cluster.nodes[1]!.connect();
    opened.push(monitor);
    await monitor.command('MONITOR');
    await cluster.place(THERE, 4);
    const seen: string[][] = [];
    while (seen.length < commands.length) {
      const words = [...(await next(monitor)).matchAll(/"([^"]*)"/g)].map(([, word]) => word!);
      if (commands.some(([name]) => name === words[0])) seen.push(words);
    }
    for (const words of commands) {
      const again = seen.find(([name]) => name === words[0])!;
      const changed = [...words.keys()].filter((index) => words[index] !== again[index]);
      expect(changed).toEqual([words.findLastIndex((word) => word.startsWith('100'))]);
      const [before, after] = [Number(words[changed[0]!]), Number(again[changed[0]!])];
      expect(after).toBeGreaterThan(before / 2);
      expect(after).toBeLessThan(before);
    }
    for (const each of opened.splice(0)) each.close();
    await cluster.place(KEYSPACES, 5);
    await blockedAre(0);
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
