import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChangeRequest } from '../../src/cluster/manager.js';
import { type KeyspaceEntry, keyspaceByName } from '../../src/cluster/topology.js';
import { TestCluster } from '../support/cluster.js';
import { waitUntil } from '../support/environment.js';
import { Load } from '../support/load.js';
import { envNumber } from '../support/random.js';
import { SUBJECT } from '../support/server.js';

const NAME = 'db0';
const LOAD_KEYS = Array.from({ length: 40 }, (_, index) => `counter:${index}`);
/** Of each collection; VASTO_MOVED_ELEMENTS asks for others, up to some millions. */
const ELEMENTS = envNumber('VASTO_MOVED_ELEMENTS', 10_000);
const CHUNK = 1000;

describe.skipIf(SUBJECT === 'redis')('what moves while it is used', () => {
  let cluster: TestCluster;
  const clients: Redis[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await cluster.stop();
  });

  function connect(port: number): Redis {
    const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 20 });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  async function entry(): Promise<KeyspaceEntry> {
    return keyspaceByName(await cluster.control.fetchTopology(), NAME)!;
  }

  async function begin(shards: number): Promise<Redis> {
    cluster = await TestCluster.start({ stores: 2 });
    await cluster.createKeyspace(NAME, { db: 0, shards });
    return connect(cluster.stores[0]!.port);
  }

  async function change(request: ChangeRequest): Promise<void> {
    await cluster.control.beginChange(request);
    let last = '';
    await waitUntil(
      `${request.kind} is over`,
      async () => {
        const statuses = await cluster.control.changeStatuses();
        last = JSON.stringify(statuses);
        return statuses.length === 0;
      },
      240_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}\n${cluster.master.output.slice(-2000)}`);
    });
  }

  test('a shard moves to another store and back, and no client has an error', async () => {
    const client = await begin(1);
    const loads = cluster.stores.map(
      ({ port }, node) =>
        new Load(
          connect(port),
          LOAD_KEYS.map((key) => `${node}:${key}`),
        ),
    );
    const [from] = (await entry()).shards[0]!.stores as [string];
    const to = (await cluster.control.stores()).find(({ entry: { id } }) => id !== from)!.entry.id;
    for (const [source, target] of [
      [from, to],
      [to, from],
    ] as const) {
      await change({ kind: 'move', keyspace: NAME, shard: 0, from: source, to: target });
      expect((await entry()).shards[0]!.stores).toEqual([target]);
      await Promise.all(loads.map((load) => load.more(20)));
    }
    for (const load of loads) {
      const { acknowledged, failures } = await load.stop();
      expect(failures).toEqual([]);
      for (const [key, count] of acknowledged)
        expect([key, await client.get(key)]).toEqual([key, String(count)]);
    }
    const pauses = await Promise.all(cluster.stores.map((store) => store.ask('INFO', 'replication')));
    expect(pauses.join()).toMatch(/vasto_handover_pauses:[1-9]/);
  }, 300_000);

  test('a SCAN finds each key that stays, or is told to begin again', async () => {
    const client = await begin(2);
    const keys = Array.from({ length: 2000 }, (_, row) => `row:${row}`);
    await client.mset(...keys.flatMap((key) => [key, 'v']));
    let whole = 0;
    let isOver = false;
    const scanning = (async () => {
      const reader = connect(cluster.stores[1]!.port);
      while (!isOver || whole === 0) {
        const found = new Set<string>();
        let cursor = '0';
        try {
          do {
            const [next, page] = await reader.scan(cursor, 'COUNT', 50);
            for (const key of page) found.add(key);
            cursor = next;
          } while (cursor !== '0');
        } catch (error) {
          expect((error as Error).message).toMatch(/invalid cursor/);
          continue;
        }
        whole++;
        expect(keys.filter((key) => !found.has(key))).toEqual([]);
      }
    })();
    try {
      for (const shards of [3, 1, 2]) await change({ kind: 'resize', keyspace: NAME, shards });
    } finally {
      isOver = true;
      await scanning;
    }
    expect(whole).toBeGreaterThan(0);
  }, 300_000);

  test('large collections go in pieces, and what is written meanwhile is in them', async () => {
    const client = await begin(1);
    const tags = Array.from({ length: 4 }, (_, index) => `{tag ${index}}`);
    const [hash, list, sorted, stream] = ['hash', 'list', 'sorted', 'stream'].map(
      (kind, index) => `${kind} ${tags[index]}`,
    ) as [string, string, string, string];
    for (let from = 0; from < ELEMENTS; from += CHUNK) {
      const numbers = Array.from({ length: CHUNK }, (_, index) => from + index);
      const pipeline = client.pipeline();
      pipeline.hset(hash, ...numbers.flatMap((number) => [`f${number}`, `value ${number}`]));
      pipeline.rpush(list, ...numbers.map((number) => `item ${number}`));
      pipeline.zadd(sorted, ...numbers.flatMap((number) => [number, `m${number}`]));
      for (const number of numbers) pipeline.xadd(stream, `${number + 1}-0`, 'n', number);
      await pipeline.exec();
    }
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      const writer = connect(cluster.stores[1]!.port);
      while (!isOver) {
        const number = ELEMENTS + written;
        await Promise.all([
          writer.hset(hash, `f${number}`, `value ${number}`),
          writer.hset(hash, 'f0', `value ${number}`),
          writer.rpush(list, `item ${number}`),
          writer.zadd(sorted, number, `m${number}`),
          writer.xadd(stream, `${number + 1}-0`, 'n', number),
        ]);
        written++;
      }
    })();
    try {
      for (const shards of [5, 1]) await change({ kind: 'resize', keyspace: NAME, shards });
    } finally {
      isOver = true;
      await writing;
    }
    const count = ELEMENTS + written;
    expect(
      await Promise.all([client.hlen(hash), client.llen(list), client.zcard(sorted), client.xlen(stream)]),
    ).toEqual([count, count, count, count]);
    for (const number of [0, 1, ELEMENTS >> 1, ELEMENTS - 1, ELEMENTS, count - 1]) {
      expect(await client.hget(hash, `f${number}`)).toBe(`value ${number === 0 ? count - 1 : number}`);
      expect(await client.lindex(list, number)).toBe(`item ${number}`);
      expect(await client.zrank(sorted, `m${number}`)).toBe(number);
      expect(await client.xrange(stream, `${number + 1}-0`, `${number + 1}-0`)).toHaveLength(1);
    }
  }, 300_000);
});
