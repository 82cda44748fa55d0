import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { ChangeRequest } from '../../src/cluster/manager.js';
import { type KeyspaceEntry, keyspaceByName } from '../../src/cluster/topology.js';
import { type ClusterNode, TestCluster } from '../support/cluster.js';
import { waitUntil } from '../support/environment.js';
import { SUBJECT } from '../support/server.js';

const ROWS = 2000;
const NAME = 'db0';

describe.skipIf(SUBJECT === 'redis')('changes of where a keyspace is', () => {
  let cluster: TestCluster;
  const clients: Redis[] = [];

  afterEach(async () => {
    for (const client of clients.splice(0)) client.disconnect();
    await cluster.stop();
  });

  function connect(node: ClusterNode): Redis {
    const client = new Redis({ port: node.port, host: '127.0.0.1', maxRetriesPerRequest: 20 });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  async function entry(): Promise<KeyspaceEntry> {
    return keyspaceByName(await cluster.control.fetchTopology(), NAME)!;
  }

  async function isOver(): Promise<void> {
    let last = '';
    await waitUntil(
      'the change is over',
      async () => {
        const statuses = await cluster.control.changeStatuses();
        last = JSON.stringify(statuses);
        return statuses.every(({ isResting }) => isResting);
      },
      40_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${last}\n${cluster.master.output.slice(-3000)}`);
    });
  }

  async function change(request: ChangeRequest): Promise<void> {
    await cluster.control.beginChange(request);
    await isOver();
  }

  async function fill(client: Redis): Promise<void> {
    const rows = Array.from({ length: ROWS }, (_, row) => [`row:${row}`, `value ${row}`]);
    await client.mset(...rows.flat());
  }

  async function expectAll(client: Redis): Promise<void> {
    const keys = Array.from({ length: ROWS }, (_, row) => `row:${row}`);
    expect(await client.mget(...keys)).toEqual(keys.map((_, row) => `value ${row}`));
    expect(await client.dbsize()).toBe(ROWS);
  }

  async function begin(stores: number, shards: number, replicas: number): Promise<Redis> {
    cluster = await TestCluster.start({ stores, gateways: 1 });
    await cluster.createKeyspace(NAME, { db: 0, shards, replicas });
    const client = connect(cluster.gateways[0]!);
    await fill(client);
    // What a store has taken just before it is killed others may not have.
    if (replicas > 1) expect(await client.wait(replicas - 1, 20_000)).toBe(replicas - 1);
    return client;
  }

  function nodeOf(id: string, statuses: Awaited<ReturnType<TestCluster['control']['stores']>>): ClusterNode {
    const port = statuses.find((status) => status.entry.id === id)!.entry.port;
    return cluster.stores.find((store) => store.port === port)!;
  }

  /** Kills the store that owns the first shard, and waits until copies have taken over from it. */
  async function loseOwner(): Promise<{ owner: string; victim: ClusterNode }> {
    const [owner] = (await entry()).shards[0]!.stores as [string];
    const victim = nodeOf(owner, await cluster.control.stores());
    await victim.kill9();
    await waitUntil(
      'others own all shards',
      async () => (await entry()).shards.every(({ stores }) => stores[0] !== owner),
      15_000,
    );
    return { owner, victim };
  }

  test('a store is drained, and then has nothing; copies are made and taken away; a change is aborted', async () => {
    const client = await begin(3, 4, 1);
    const [store] = (await entry()).shards[0]!.stores as [string];
    await change({ kind: 'drain', store });
    for (const { stores } of (await entry()).shards) expect(stores).not.toContain(store);
    await expectAll(client);
    await change({ kind: 'replicas', keyspace: NAME, replicas: 2 });
    for (const { stores } of (await entry()).shards) expect(new Set(stores).size).toBe(2);
    await expectAll(client);
    await change({ kind: 'replicas', keyspace: NAME, replicas: 1 });
    await change({ kind: 'rebalance' });
    await expectAll(client);
    const before = (await entry()).shards.map(({ stores }) => stores);
    await cluster.control.beginChange({ kind: 'resize', keyspace: NAME, shards: 7 });
    await cluster.control.beginChange({ kind: 'abort', keyspace: NAME });
    await isOver();
    expect((await entry()).shards.map(({ stores }) => stores)).toEqual(before);
    await expectAll(client);
  }, 120_000);

  test('a copy takes over from a store that dies, which gets its shards back when it is back', async () => {
    const client = await begin(3, 3, 2);
    const { owner, victim } = await loseOwner();
    expect(await client.set('meanwhile', 'written')).toBe('OK');
    await client.del('meanwhile');
    await expectAll(client);
    await victim.start();
    await waitUntil(
      'it owns its shard again',
      async () => (await entry()).shards[0]!.stores[0] === owner,
      30_000,
    );
    await isOver();
    await expectAll(client);
  }, 120_000);

  test('a store that is dead is replaced by another one; when it is back after all, it hands over and is left with nothing', async () => {
    const client = await begin(3, 3, 2);
    const { owner, victim } = await loseOwner();
    await change({ kind: 'replace', store: owner, by: '' });
    for (const { stores } of (await entry()).shards) {
      expect(stores).not.toContain(owner);
      expect(stores.length).toBe(2);
    }
    await expectAll(client);
    await victim.start();
    await waitUntil(
      'nothing is left of the change',
      async () => (await entry()).change === undefined,
      30_000,
    );
    await expectAll(client);
  }, 120_000);

  test.each(['master', 'source', 'target'])(
    'goes on when its %s is killed and started again',
    async (who) => {
      const client = await begin(2, 1, 1);
      const statuses = await cluster.control.stores();
      const [owner] = (await entry()).shards[0]!.stores as [string];
      const other = statuses.map((status) => status.entry.id).find((id) => id !== owner)!;
      await cluster.control.beginChange({ kind: 'resize', keyspace: NAME, shards: 2 });
      const victim = who === 'master' ? cluster.master : nodeOf(who === 'source' ? owner : other, statuses);
      await victim.kill9();
      await victim.start();
      await isOver();
      expect((await entry()).shards.length).toBe(2);
      await expectAll(client);
    },
    120_000,
  );
});
