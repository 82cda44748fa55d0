import { afterEach, describe, expect, test } from 'vitest';
import { keyspaceByName } from '../../src/cluster/topology.js';
import { RawClient } from '../support/client.js';
import { TestCluster } from '../support/cluster.js';
import { freePort, waitUntil } from '../support/environment.js';
import { SUBJECT } from '../support/server.js';

const ROWS = 400;
const NAME = 'db0';

describe.skipIf(SUBJECT === 'redis')('what a node is emptied of', () => {
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  async function resize(shards: number): Promise<void> {
    await cluster!.control.beginChange({ kind: 'resize', keyspace: NAME, shards });
    await waitUntil(
      'the change is over',
      async () => (await cluster!.control.changeStatuses()).length === 0,
      60_000,
    );
    expect(keyspaceByName(await cluster!.control.fetchTopology(), NAME)!.shards.length).toBe(shards);
  }

  test('by a cluster door is not what its shards get from others later', async () => {
    const doors = [await freePort(), await freePort()];
    cluster = await TestCluster.start({
      stores: 2,
      storeFlags: (store) => ['--cluster-port', String(doors[store]), NAME],
    });
    const entry = await cluster.createKeyspace(NAME, { db: 0, shards: 2, replicas: 2 });
    // The shard that stays.
    const owner = (await cluster.control.stores()).find(
      (status) => status.entry.id === entry.shards[0]!.stores[0],
    )!;
    const node = cluster.stores.findIndex(({ port }) => port === owner.entry.port);
    const client = await cluster.stores[0]!.connect();
    for (let row = 0; row < ROWS; row++) await client.command('SET', `row:${row}`, `value ${row}`);
    const door = await RawClient.connect({ port: doors[node]! });
    expect(await door.rendered('FLUSHALL')).toBe('+OK');
    door.close();
    const left = Number((await client.rendered('DBSIZE')).slice(1));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(ROWS);
    await resize(1);
    expect(await client.rendered('DBSIZE')).toBe(`:${left}`);
    client.close();
  }, 120_000);

  test('while slots come to a shard is all but that shard, and everything once that is over', async () => {
    cluster = await TestCluster.start({ stores: 2, flags: ['--cluster-node-timeout', '1500'] });
    await cluster.createKeyspace(NAME, { db: 0, shards: 2 });
    for (const store of cluster.stores) await store.ask('CONFIG', 'SET', 'migration-rate', '100');
    const client = await cluster.stores[0]!.connect();
    for (let row = 0; row < ROWS; row++) await client.command('SET', `row:${row}`, 'x'.repeat(1000));
    await cluster.control.beginChange({ kind: 'resize', keyspace: NAME, shards: 1 });
    await waitUntil('rows are on their way', () =>
      cluster!.stores.some(({ output }) => output.includes('begins with a copy')),
    );
    expect(await client.rendered('FLUSHDB')).toMatch(/^-TRYAGAIN/);
    const left = Number((await client.rendered('DBSIZE')).slice(1));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(ROWS);
    expect(await client.rendered('FLUSHALL')).toContain('TRYAGAIN');
    for (const store of cluster.stores) await store.ask('CONFIG', 'SET', 'migration-rate', '0');
    await waitUntil(
      'the change is over',
      async () => (await cluster!.control.changeStatuses()).length === 0,
      60_000,
    );
    expect(await client.rendered('FLUSHALL')).toBe('+OK');
    expect(await client.rendered('DBSIZE')).toBe(':0');
    client.close();
  }, 120_000);

  test('does not take older events any more, whoever has its slots and whatever was started anew', async () => {
    cluster = await TestCluster.start({ stores: 3 });
    await cluster.createKeyspace(NAME, { db: 0, shards: 2, replicas: 2 });
    const client = await cluster.stores[0]!.connect();
    const beforeMs = Date.now();
    for (let row = 0; row < 40; row++) await client.command('SET', `row:${row}`, 'before');
    await waitUntil('all is at both copies', async () => (await client.rendered('WAIT', 1, 1000)) === ':1');
    expect(await client.rendered('FLUSHDB')).toBe('+OK');
    for (const shards of [3, 1]) {
      await resize(shards);
      const events = Array.from({ length: 40 }, (_, row) => [
        'SET',
        `row:${row}`,
        'x',
        'EVENTTIME',
        `${beforeMs}`,
      ]);
      await client.pipeline(events);
      expect(await client.rendered('DBSIZE')).toBe(':0');
    }
    client.close();
    await Promise.all(cluster.stores.map((store) => store.kill9()));
    await Promise.all(cluster.stores.map((store) => store.start()));
    const again = await cluster.stores[0]!.connect();
    await waitUntil(
      'they answer again',
      async () => (await again.rendered('GET', 'row:1')) === '$-1',
      20_000,
    );
    await again.pipeline(
      Array.from({ length: 40 }, (_, row) => ['SET', `row:${row}`, 'x', 'EVENTTIME', `${beforeMs}`]),
    );
    expect(await again.rendered('DBSIZE')).toBe(':0');
    again.close();
  }, 120_000);
});
