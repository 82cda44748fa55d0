import { Buffer } from 'node:buffer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import type { KeyspaceEntry } from '../../src/cluster/topology.js';
import { RawClient } from '../support/client.js';
import { type ClusterNode, TestCluster } from '../support/cluster.js';
import { infoOf } from '../support/copies.js';
import { freePort, waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { SUBJECT } from '../support/server.js';

const NAME = 'copied';
const SHARDS = 3;
const KEYS = Array.from({ length: 300 }, (_, index) => `key:${index}`);

describe.skipIf(SUBJECT === 'redis')('replicas', () => {
  let cluster: TestCluster;
  let doors: number[];
  let entry: KeyspaceEntry;
  /** By id of the store. */
  let nodes: Map<string, number>;

  beforeEach(async () => {
    doors = [await freePort(), await freePort(), await freePort()];
    cluster = await TestCluster.start({
      stores: 3,
      gateways: 1,
      storeFlags: (store) => ['--cluster-port', String(doors[store]), NAME],
    });
    entry = await cluster.createKeyspace(NAME, { shards: SHARDS, replicas: 2 });
    nodes = new Map();
    for (const { entry: store } of await cluster.control.stores())
      nodes.set(
        store.id,
        cluster.stores.findIndex(({ port }) => port === store.port),
      );
  });

  afterEach(() => cluster.stop());

  async function connect(node: ClusterNode): Promise<RawClient> {
    const client = await node.connect();
    expect(await client.rendered('SELECT', NAME)).toBe('+OK');
    return client;
  }

  /** The numbers of the stores that hold a key, its owner first. */
  function holders(key: string): number[] {
    const shard = shardsOfSlots(SHARDS)[keySlot(Buffer.from(key))]!;
    return entry.shards[shard]!.stores.map((id) => nodes.get(id)!);
  }

  async function level(): Promise<void> {
    // Shards whose owner was away for long go back to it.
    await waitUntil(
      'the shards are at home',
      async () => {
        const { keyspaces } = await cluster.control.fetchTopology();
        return [...keyspaces.values()].every(
          ({ change, shards }) => change === undefined && shards.every(({ home }) => home === undefined),
        );
      },
      60_000,
    );
    for (const store of cluster.stores)
      await waitUntil(
        'the copies are level',
        async () => {
          const info = await infoOf(store);
          return Number(info.vasto_feeds) > 0 && info.vasto_feeds === info.vasto_feeds_level;
        },
        60_000,
      );
  }

  /** What each holder has of the keys, read from its own copy. */
  async function readCopies(): Promise<Map<string, string[]>> {
    const copies = new Map<string, string[]>();
    for (const [store, port] of doors.entries()) {
      const client = await RawClient.connect({ port });
      expect(await client.rendered('READONLY')).toBe('+OK');
      const held = KEYS.filter((key) => holders(key).includes(store));
      const replies = await client.pipeline(held.map((key) => ['GET', key]));
      for (const [index, key] of held.entries())
        copies.set(key, [...(copies.get(key) ?? []), render(replies[index]!)]);
      client.close();
    }
    return copies;
  }

  /** That both copies of each key are what was written. */
  async function expectCopies(written: ReadonlyMap<string, string>): Promise<void> {
    await level();
    const copies = await readCopies();
    for (const key of KEYS) {
      const value = written.get(key);
      const text = value === undefined ? '$-1' : `$"${value}"`;
      expect([key, copies.get(key)]).toEqual([key, [text, text]]);
    }
  }

  test('have what was written through any node; WAIT counts them; who only reads may be served by them', async () => {
    const written = new Map<string, string>();
    for (const [index, key] of KEYS.entries()) {
      if (index % 75 !== 0) continue;
      const client = await connect(cluster.nodes[(index / 75) % 4]!);
      for (const each of KEYS.slice(index, index + 75)) {
        expect(await client.rendered('SET', each, `v${each}`)).toBe('+OK');
        written.set(each, `v${each}`);
      }
      expect(await client.rendered('DEL', key)).toBe(':1');
      written.delete(key);
      expect(await client.rendered('WAIT', 1, 20_000)).toBe(':1');
      client.close();
    }
    await expectCopies(written);
    const idle = await connect(cluster.gateways[0]!);
    expect(await idle.rendered('WAIT', 1, 20_000)).toBe(':1');
    const busy = await connect(cluster.gateways[0]!);
    const waiting = idle.rendered('WAIT', 2, 1000);
    for (const each of KEYS.slice(1, 60)) await busy.rendered('SET', each, `v${each}`);
    expect(await waiting).toBe(':1');
    idle.close();
    busy.close();
    // Whoever waits looks again with each acknowledgement, and leaves nothing behind.
    for (const store of cluster.stores) expect(store.output).not.toContain('Warning');
    const [key] = KEYS as [string];
    const [, replica] = holders(key) as [number, number];
    const client = await RawClient.connect({ port: doors[replica]! });
    expect(await client.rendered('GET', key)).toMatch(/^-MOVED/);
    await client.command('READONLY');
    expect(await client.rendered('SET', key, 'v')).toMatch(/^-MOVED/);
    expect(await client.rendered('GET', key)).toBe('$-1');
    client.close();
    const { stdout } = await cluster.admin('keyspace', 'describe', NAME, '--json');
    const states = JSON.parse(stdout).keyspace.placement.flatMap(
      ({ copies }: { copies: { data: string | null }[] }) => copies.map(({ data }) => data),
    );
    expect(states).toEqual([null, 'level', null, 'level', null, 'level']);
  }, 180_000);

  test('miss nothing that was acknowledged while stores were killed and came back', async () => {
    const written = new Map<string, string>();
    let stop = false;
    const client = await connect(cluster.gateways[0]!);
    const writing = (async () => {
      for (let round = 0; !stop; round++)
        for (const key of KEYS) {
          if (stop) return;
          // What fails may or may not have happened: then what is there is not known.
          const reply = await client.rendered('SET', key, `${round}`);
          if (reply === '+OK') written.set(key, `${round}`);
          else written.delete(key);
        }
    })();
    for (const victim of cluster.stores.slice(0, 2)) {
      const before = written.size;
      await waitUntil('some is written', () => written.size >= Math.min(before + 1, KEYS.length));
      await victim.kill9();
      await victim.start();
      await cluster.storesUp();
    }
    stop = true;
    await writing;
    client.close();
    await level();
    const copies = await readCopies();
    for (const [key, value] of written)
      expect([key, copies.get(key)]).toEqual([key, [`$"${value}"`, `$"${value}"`]]);
    for (const [key, both] of copies) expect([key, both[0]]).toEqual([key, both[1]]);
  }, 180_000);

  test('get what an owner had alone when it died, once it is back', async () => {
    await level();
    const [key] = KEYS as [string];
    const [owner, replica] = holders(key).map((store) => cluster.stores[store]!) as [
      ClusterNode,
      ClusterNode,
    ];
    replica.freeze();
    const client = await connect(owner);
    for (const each of KEYS.filter((other) => holders(other)[0] === holders(key)[0]))
      expect(await client.rendered('SET', each, 'alone')).toBe('+OK');
    client.close();
    await owner.kill9();
    replica.resume();
    await owner.start();
    await expectCopies(
      new Map(KEYS.filter((each) => holders(each)[0] === holders(key)[0]).map((each) => [each, 'alone'])),
    );
  }, 180_000);

  test('have collections of any size, changed, renamed, copied and emptied while one of them was away', async () => {
    const client = await connect(cluster.gateways[0]!);
    const run = async (...words: string[]) =>
      expect(await client.rendered(...words), words.slice(0, 3).join(' ')).not.toMatch(/^-/);
    const many = (count: number, of: (index: number) => string[]) =>
      Array.from({ length: count }, (_, index) => of(index)).flat();
    // One slot, so that RENAME and COPY are between its keys.
    const key = (name: string) => `${name}{same}`;
    const sizes = [5, 3000];
    for (const size of sizes) {
      await run('SADD', key(`set${size}`), ...many(size, (index) => [`m${index}`]));
      await run('HSET', key(`hash${size}`), ...many(size, (index) => [`f${index}`, `v${index}`]));
      await run('ZADD', key(`zset${size}`), ...many(size, (index) => [`${index}`, `m${index}`]));
    }
    await level();
    const [owner, replica] = holders(key('')) as [number, number];
    for (const isAway of [false, true]) {
      if (isAway) await cluster.stores[replica]!.kill9();
      const tag = String(isAway);
      for (const size of sizes) {
        await run('SADD', key(`set${size}`), `more ${tag}`);
        await run('SREM', key(`set${size}`), `m${isAway ? 1 : 2}`);
        await run('HSET', key(`hash${size}`), 'f1', tag, `new ${tag}`, '1');
        await run('HINCRBY', key(`hash${size}`), 'counter', '1');
        await run('ZADD', key(`zset${size}`), '1.5', `between ${tag}`);
        await run('ZREMRANGEBYRANK', key(`zset${size}`), '3', '3');
        await run('COPY', key(`set${size}`), key(`copied${size}${tag}`));
        await run('RENAME', key(`hash${size}`), key(`moved${size}`));
        await run('HSET', key(`moved${size}`), 'after', tag);
        await run('RENAME', key(`moved${size}`), key(`hash${size}`));
        await run('DEL', key(`copied${size}${isAway ? 'false' : 'none'}`));
      }
    }
    await cluster.stores[replica]!.start();
    await cluster.storesUp();
    await level();
    client.close();
    const names = sizes.flatMap((size) => [
      `set${size}`,
      `hash${size}`,
      `zset${size}`,
      `copied${size}true`,
      `copied${size}false`,
    ]);
    const contents = await Promise.all(
      [owner, replica].map(async (store) => {
        const reader = await RawClient.connect({ port: doors[store]! });
        await reader.command('READONLY');
        const found: Record<string, unknown> = {};
        for (const name of names) {
          const command = { s: 'SMEMBERS', h: 'HGETALL', z: 'ZRANGE', c: 'SMEMBERS' }[name[0]!]!;
          const range = command.endsWith('RANGE') ? ['0', '-1'] : [];
          const scores = command === 'ZRANGE' ? ['WITHSCORES'] : [];
          const text = await reader.rendered(command, key(name), ...range, ...scores);
          found[name] = command === 'SMEMBERS' ? text.replace(/[[\]]/g, '').split(/[ ,]+/).toSorted() : text;
        }
        reader.close();
        return found;
      }),
    );
    expect(contents[1]).toEqual(contents[0]);
    expect(JSON.stringify(contents[0]).length).toBeGreaterThan(100_000);
  }, 180_000);
});
