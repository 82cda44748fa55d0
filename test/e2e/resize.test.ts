import { Cluster, Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChangeRequest } from '../../src/cluster/manager.js';
import { keyspaceByName } from '../../src/cluster/topology.js';
import { TestCluster } from '../support/cluster.js';
import { freePort, waitUntil } from '../support/environment.js';
import { Load } from '../support/load.js';
import { SUBJECT } from '../support/server.js';

const LOAD_KEYS = Array.from({ length: 60 }, (_, index) => `counter:${index}`);
const ROWS = 3000;

describe.skipIf(SUBJECT === 'redis')('a keyspace gets another number of shards', () => {
  let cluster: TestCluster | undefined;
  const clients: Redis[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await cluster?.stop();
    cluster = undefined;
  });

  function connect(port: number): Redis {
    const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 20 });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  /** Has a change made, and waits until it is over. */
  async function change(request: ChangeRequest): Promise<void> {
    const { id } = await cluster!.control.beginChange(request);
    let last = '';
    await waitUntil(
      `${request.kind} is over`,
      async () => {
        const statuses = await cluster!.control.changeStatuses();
        last = JSON.stringify(statuses);
        return !statuses.some((status) => status.id === id);
      },
      60_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}`);
    });
  }

  async function fill(client: Redis): Promise<Map<string, string>> {
    const expected = new Map<string, string>();
    for (let from = 0; from < ROWS; from += 500) {
      const pairs: string[] = [];
      for (let row = from; row < from + 500; row++) {
        expected.set(`row:${row}`, `value ${row}`);
        pairs.push(`row:${row}`, `value ${row}`);
      }
      await client.mset(...pairs);
    }
    return expected;
  }

  test('while clients write and read it, by any node, and none has an error', async () => {
    cluster = await TestCluster.start({ stores: 3, gateways: 1 });
    await cluster.createKeyspace('db0', { db: 0, shards: 1 });
    const ports = cluster.nodes.map(({ port }) => port);
    const expected = await fill(connect(ports[0]!));
    const loads = ports.map(
      (port, node) =>
        new Load(
          connect(port),
          LOAD_KEYS.map((key) => `${node}:${key}`),
        ),
    );
    for (const shards of [2, 4, 3]) {
      await change({ kind: 'resize', keyspace: 'db0', shards });
      const entry = keyspaceByName(await cluster.control.fetchTopology(), 'db0')!;
      expect(entry.shards.length).toBe(shards);
      await Promise.all(loads.map((load) => load.more(20)));
    }
    const reader = connect(ports.at(-1)!);
    for (const load of loads) {
      const { acknowledged, failures } = await load.stop();
      expect(failures).toEqual([]);
      for (const [key, count] of acknowledged)
        expect([key, await reader.get(key)]).toEqual([key, String(count)]);
    }
    const keys = [...expected.keys()];
    expect(await reader.mget(...keys)).toEqual([...expected.values()]);
    const found = (await reader.keys('row:*')).sort();
    expect(found).toEqual(keys.sort());
    expect(await reader.dbsize()).toBe((await reader.keys('*')).length);
  }, 120_000);

  test('while clients of the Redis Cluster protocol use it by its doors', async () => {
    const doors = [await freePort(), await freePort()];
    cluster = await TestCluster.start({
      stores: 2,
      storeFlags: (store) => ['--cluster-port', String(doors[store]), 'db0'],
    });
    await cluster.createKeyspace('db0', { db: 0, shards: 1 });
    const client = new Cluster([{ host: '127.0.0.1', port: doors[0]! }]);
    client.on('error', () => undefined);
    try {
      const load = new Load(client, LOAD_KEYS);
      await load.more(20);
      for (const shards of [2, 5, 1]) {
        await change({ kind: 'resize', keyspace: 'db0', shards });
        await load.more(20);
      }
      const { acknowledged, failures } = await load.stop();
      expect(failures).toEqual([]);
      for (const [key, count] of acknowledged)
        expect([key, await client.get(key)]).toEqual([key, String(count)]);
    } finally {
      client.disconnect();
    }
  }, 120_000);
});
