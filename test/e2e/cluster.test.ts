import { Cluster, type Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import type { KeyspaceEntry } from '../../src/cluster/topology.js';
import type { RawClient } from '../support/client.js';
import { TestCluster } from '../support/cluster.js';
import { freePort, haveTool, waitUntil } from '../support/environment.js';
import { Load, type LoadCounts, plainClient } from '../support/load.js';
import { Random, testSeed } from '../support/random.js';
import { itemsOf, type Reply, render, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

/** How long a command may wait for a store that is away, milliseconds. */
const NODE_TIMEOUT_MS = 1500;
const KEYSPACES = { one: 1, three: 3, eight: 8 } as const;
type Name = keyof typeof KEYSPACES;
const NAMES = Object.keys(KEYSPACES) as Name[];

let cluster: TestCluster;
/** The cluster doors of keyspace eight, one a store. */
let doors: number[];
const entries = new Map<Name, KeyspaceEntry>();

beforeAll(async () => {
  if (SUBJECT === 'redis') return;
  doors = await Promise.all([0, 1, 2, 3].map(() => freePort()));
  cluster = await TestCluster.start({
    stores: 4,
    gateways: 2,
    flags: ['--cluster-node-timeout', String(NODE_TIMEOUT_MS)],
    storeFlags: (store) => ['--cluster-port', String(doors[store]), 'eight'],
  });
  for (const name of NAMES)
    entries.set(name, await cluster.createKeyspace(name, { shards: KEYSPACES[name] }));
}, 60_000);

afterAll(() => cluster?.stop());

/** The number of the store that owns a key. */
function homeOf(name: Name, key: string): number {
  const { shards } = entries.get(name)!;
  const id = shards[shardsOfSlots(shards.length)[keySlot(Buffer.from(key))]!]!.stores[0]!;
  return storeIds.indexOf(id);
}

let storeIds: string[] = [];

beforeAll(async () => {
  if (SUBJECT === 'redis') return;
  const byPort = new Map((await cluster.control.stores()).map(({ entry }) => [entry.port, entry.id]));
  storeIds = cluster.stores.map(({ port }) => byPort.get(port)!);
});

const keysOf = (owner: string, count = 24) => Array.from({ length: count }, (_, n) => `${owner}:${n}`);

let loadsBegun = 0;

/** Loads of all kinds of clients: at each gateway, at a store, and one that finds its way by itself. */
function loads(name: Name): { all: Load[]; clients: (Redis | Cluster)[] } {
  const at = [cluster.gateways[0]!, cluster.gateways[1]!, cluster.stores[0]!, cluster.stores[3]!];
  const plain = at.map(({ port }) => plainClient(port, name));
  const routed = new Cluster(
    doors.map((port) => ({ host: '127.0.0.1', port })),
    { clusterRetryStrategy: () => 100, redisOptions: { maxRetriesPerRequest: 0 } },
  );
  routed.on('error', () => undefined);
  loadsBegun++;
  const clients = name === 'eight' ? [...plain, routed] : plain;
  return { all: clients.map((client, n) => new Load(client, keysOf(`load${loadsBegun}:${n}`))), clients };
}

async function ended({ all, clients }: ReturnType<typeof loads>): Promise<LoadCounts[]> {
  const counts = await Promise.all(all.map((load) => load.stop()));
  for (const client of clients) client.disconnect();
  return counts;
}

const asked = () => [cluster.gateways[0]!, cluster.stores[1]!];

/** What was counted is there, whoever is asked. */
async function expectCounted(name: Name, counts: readonly LoadCounts[]): Promise<void> {
  for (const node of asked()) {
    const client = await node.connect();
    await client.command('SELECT', name);
    for (const { acknowledged, sent } of counts) {
      for (const [key, count] of acknowledged) {
        const stored = Number(await client.text('GET', key));
        expect(stored, key).toBeGreaterThanOrEqual(count);
        expect(stored, key).toBeLessThanOrEqual(sent.get(key)!);
      }
    }
    client.close();
  }
}

const failuresOf = (counts: readonly LoadCounts[]) => counts.flatMap(({ failures }) => failures);

describe.skipIf(SUBJECT === 'redis')('a master, four stores and two gateways', () => {
  test('the master is killed and comes back in mid-load: no command fails, and it knows everything again', async () => {
    const running = [loads('one'), loads('eight')];
    const all = running.flatMap((each) => each.all);
    await Promise.all(all.map((load) => load.more(20)));
    const before = await cluster.control.stores();
    await cluster.master.kill9();
    await Promise.all(all.map((load) => load.more(100)));
    await cluster.master.start();
    await cluster.storesUp();
    await Promise.all(all.map((load) => load.more(50)));
    const counts = await Promise.all(running.map(ended));
    expect(failuresOf(counts.flat())).toEqual([]);
    await expectCounted('one', counts[0]!);
    await expectCounted('eight', counts[1]!);
    const after = await cluster.control.stores();
    expect(after.map(({ entry }) => entry)).toEqual(before.map(({ entry }) => entry));
    const { keyspaces } = await cluster.control.fetchTopology();
    for (const entry of entries.values()) expect(keyspaces.get(entry.id)).toEqual(entry);
  }, 60_000);

  test('keyspaces are made and deleted, and a gateway restarted: clients that were there before notice nothing', async () => {
    const running = loads('three');
    // Those at the gateway that restarts are another matter.
    const elsewhere = running.all.filter((_, n) => n !== 1);
    await Promise.all(elsewhere.map((load) => load.more(20)));
    for (let n = 0; n < 3; n++) {
      await cluster.createKeyspace(`passing-${n}`, { shards: 4 });
      await cluster.control.deleteKeyspace(`passing-${n}`);
    }
    await cluster.gateways[1]!.kill9();
    await Promise.all(elsewhere.map((load) => load.more(50)));
    await cluster.gateways[1]!.start();
    await waitUntil(
      'it has the topology',
      async () => (await cluster.gateways[1]!.ask('SELECT', 'three')) === '+OK',
    );
    const counts = await ended(running);
    expect(failuresOf(counts.filter((_, n) => n !== 1))).toEqual([]);
    await expectCounted('three', counts);
  }, 60_000);

  test('a store is killed: its keys fail clearly and in time, all others go on; with it all are back', async () => {
    const lost = storeIds.indexOf(entries.get('eight')!.shards[5]!.stores[0]!);
    const running = loads('eight');
    // Clients of the store itself lose their connection.
    const elsewhere = running.all.filter((_, n) => !(n === 2 && lost === 0) && !(n === 3 && lost === 3));
    await Promise.all(elsewhere.map((load) => load.more(20)));
    await cluster.stores[lost]!.kill9();
    await waitUntil('somebody has waited for it in vain', () =>
      elsewhere.every(({ counts }) => counts.failures.length > 0),
    );
    const client = await cluster.gateways[0]!.connect();
    await client.command('SELECT', 'eight');
    for (const key of keysOf('probe', 100)) {
      const reply = await client.rendered('SET', key, 'v');
      if (homeOf('eight', key) === lost) expect(reply).toMatch(/^-CLUSTERDOWN .*store/);
      else expect(reply).toBe('+OK');
    }
    await cluster.stores[lost]!.start();
    await cluster.storesUp();
    for (const node of asked()) {
      const client = await node.connect();
      await client.command('SELECT', 'eight');
      await waitUntil('all keys are back', async () => {
        const replies = await client.pipeline(keysOf('probe', 100).map((key) => ['SET', key, 'back']));
        return replies.every((reply: Reply) => render(reply) === '+OK');
      });
      client.close();
    }
    const counts = await ended(running);
    const wrong = elsewhere.flatMap(({ counts: { failures } }) => failures);
    expect(wrong.filter(({ key }) => homeOf('eight', key) !== lost)).toEqual([]);
    expect(wrong.filter(({ message }) => /counted|read/.test(message))).toEqual([]);
    await expectCounted('eight', counts);
    client.close();
  }, 60_000);
});

const MULTI_KEY_COMMANDS: readonly ((r: Random) => string[])[] = [
  (r) => ['MSET', ...pairs(r)],
  (r) => ['MGET', ...some(r)],
  (r) => ['DEL', ...some(r)],
  (r) => ['UNLINK', ...some(r)],
  (r) => ['EXISTS', ...some(r)],
  (r) => ['TOUCH', ...some(r)],
  () => ['DBSIZE'],
  (r) => ['SET', `k:${r.int(0, 40)}`, `v${r.int(0, 9)}`],
  (r) => ['APPEND', `k:${r.int(0, 40)}`, 'x'],
  (r) => ['MSET', `k:${r.int(0, 40)}`],
  (r) => ['EXPIRE', `k:${r.int(0, 40)}`, '100'],
];
const some = (r: Random) => Array.from({ length: r.int(1, 12) }, () => `k:${r.int(0, 40)}`);
const pairs = (r: Random) => some(r).flatMap((key) => [key, `v${r.int(0, 99)}`]);

describe.skipIf(SUBJECT === 'redis' || !haveTool('redis-server'))('commands over many shards', () => {
  const seed = testSeed('cluster, multi-key');
  let oracle: TestServer;
  beforeAll(async () => {
    oracle = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
  });
  afterAll(() => oracle.stop());

  test.each(NAMES)(
    'reply what a single redis-server does, on keyspace %s',
    async (name) => {
      const r = new Random(seed);
      const nodes = cluster.nodes;
      const clients = await Promise.all(nodes.map((node) => node.connect()));
      const theirs = await oracle.connect();
      for (const client of clients) expect(await client.rendered('SELECT', name)).toBe('+OK');
      await clients[0]!.command('FLUSHDB');
      await theirs.command('FLUSHALL');
      for (let step = 0; step < 600; step++) {
        const words = r.pick(MULTI_KEY_COMMANDS)(r);
        const mine = clients[r.int(0, clients.length - 1)]!;
        expect(await mine.rendered(...words), `seed ${seed}, step ${step}: ${words.join(' ')}`).toBe(
          await theirs.rendered(...words),
        );
      }
      await compareWhole(clients, theirs);
      expect(await clients[1]!.rendered('FLUSHDB')).toBe('+OK');
      for (const client of clients) expect(await client.rendered('DBSIZE')).toBe(':0');
      for (const client of [...clients, theirs]) client.close();
    },
    60_000,
  );
});

async function textsOf(client: RawClient, ...words: (string | number)[]): Promise<string[]> {
  return itemsOf(await client.command(...words)).map(textOf);
}

/** SCAN from node to node, KEYS, and prefixes in order. */
async function compareWhole(clients: readonly RawClient[], theirs: RawClient): Promise<void> {
  const expected = (await textsOf(theirs, 'KEYS', '*')).sort();
  const scanned: string[] = [];
  let cursor = '0';
  let n = 0;
  do {
    const [next, keys] = itemsOf(await clients[n++ % clients.length]!.command('SCAN', cursor, 'COUNT', 7));
    cursor = textOf(next!);
    scanned.push(...itemsOf(keys!).map(textOf));
  } while (cursor !== '0');
  expect(scanned.sort()).toEqual(expected);
  for (const client of clients) {
    expect((await textsOf(client, 'KEYS', '*')).sort()).toEqual(expected);
    expect(await textsOf(client, 'VASTO.PREFIX', 'k:', 'LIMIT', 10_000)).toEqual(expected);
    if (expected.length > 0) expect(expected).toContain(await client.text('RANDOMKEY'));
  }
}
