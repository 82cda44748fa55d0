import { cp } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type ClusterNode, TestCluster } from '../support/cluster.js';
import { waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { SUBJECT } from '../support/server.js';

/** One field of INFO; undefined where it is not there. */
async function info(node: ClusterNode, field: string): Promise<string | undefined> {
  const client = await node.connect();
  const text = await client.text('INFO', 'vasto');
  client.close();
  return new RegExp(`^${field}:(.*)\r$`, 'm').exec(text)?.[1];
}

const linkOf = (node: ClusterNode) => info(node, 'master_link');

/** Writes and reads through some nodes, until it is told to stop. */
class Load {
  commands = 0;
  readonly failures: string[] = [];
  private isOver = false;
  private readonly lanes: Promise<void>[];

  constructor(
    nodes: readonly ClusterNode[],
    private readonly keyspace: string,
  ) {
    this.lanes = nodes.map((node, index) => this.run(node, index));
  }

  /** @returns once all that was sent is answered */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.lanes);
  }

  private async run(node: ClusterNode, lane: number): Promise<void> {
    const client = await node.connect();
    await client.rendered('SELECT', this.keyspace);
    for (let round = 0; !this.isOver; round++) {
      const key = `lane:${lane}:${round % 100}`;
      const replies = await client.pipeline([
        ['SET', key, round],
        ['GET', key],
      ]);
      this.commands += 2;
      const got = replies.map(render).join(' ');
      if (got !== `+OK $"${round}"` && this.failures.length < 10)
        this.failures.push(`${key}, ${round}: ${got}`);
    }
    client.close();
  }
}

describe.skipIf(SUBJECT === 'redis')('a cluster whose master goes', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.stop());

  test('serves on under load, and the master knows everything again when it is back', async () => {
    cluster = await TestCluster.start({ stores: 2, gateways: 1 });
    const entry = await cluster.createKeyspace('orders', { shards: 3 });
    const load = new Load([...cluster.nodes, ...cluster.nodes], 'orders');
    for (let round = 0; round < 2; round++) {
      const before = load.commands;
      await waitUntil('there is load', () => load.commands > before + 500);
      await cluster.master.kill9();
      for (const node of cluster.nodes)
        await waitUntil('it is noticed', async () => (await linkOf(node)) === 'down');
      const without = load.commands;
      await waitUntil('there is load', () => load.commands > without + 500);
      await cluster.master.start();
      expect((await cluster.control.fetchTopology()).keyspaces.get(entry.id)).toEqual(entry);
      await cluster.storesUp();
      for (const node of cluster.nodes)
        await waitUntil('it is noticed', async () => (await linkOf(node)) === 'up');
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    await cluster.createKeyspace('bills', { shards: 2 });
    expect((await cluster.control.fetchTopology()).clusterId).toBe(
      await info(cluster.stores[0]!, 'cluster_id'),
    );
  });

  test('finds one that stands still out, on either side, and goes on when it moves again', async () => {
    cluster = await TestCluster.start({ stores: 2, gateways: 1 });
    const [one] = cluster.stores;
    cluster.master.freeze();
    for (const node of cluster.nodes)
      await waitUntil('the master is missed', async () => (await linkOf(node)) === 'down');
    cluster.master.resume();
    await cluster.storesUp();
    for (const node of cluster.nodes)
      await waitUntil('all are back', async () => (await linkOf(node)) === 'up');
    one!.freeze();
    await cluster.storesUp(1);
    expect(cluster.master.output).toMatch(
      new RegExp(`store .* \\(${one!.address}\\) is gone: .*(silent|broke)`),
    );
    one!.resume();
    await cluster.storesUp(2);
  });

  test('a database used while the master is started again is there when it is back', async () => {
    cluster = await TestCluster.start({ stores: 1 });
    await cluster.master.kill9();
    const client = await cluster.stores[0]!.connect();
    await client.rendered('SELECT', '7');
    const reply = client.rendered('SET', 'k', 'v');
    await cluster.master.start();
    expect(await reply).toBe('+OK');
    client.close();
  });
});

describe.skipIf(SUBJECT === 'redis')('a store', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.stop());

  test('keeps its data, and serves it without a master', async () => {
    cluster = await TestCluster.start({ stores: 2 });
    await cluster.createKeyspace('orders', { shards: 4 });
    const [one, two] = cluster.stores;
    const client = await one!.connect();
    await client.rendered('SELECT', 'orders');
    for (let key = 0; key < 50; key++) await client.rendered('SET', key, key);
    client.close();
    await cluster.master.stop();
    await one!.kill9();
    expect(await two!.stop()).toEqual({ code: 0, signal: null });
    await Promise.all([one!.start(), two!.start()]);
    expect(await linkOf(one!)).toBe('down');
    const again = await two!.connect();
    await again.rendered('SELECT', 'orders');
    for (let key = 0; key < 50; key++) expect(await again.text('GET', key)).toBe(String(key));
    expect(await again.rendered('DBSIZE')).toBe(':50');
    again.close();
    await cluster.master.start();
    await cluster.storesUp(2);
    expect(cluster.master.output.match(/is back/g)).toHaveLength(2);
  });

  test('of another cluster is refused, says so, and serves what it has', async () => {
    cluster = await TestCluster.start({ stores: 1 });
    const other = await TestCluster.start({ stores: 1 });
    try {
      const [stranger] = other.stores;
      expect(await stranger!.ask('SET', 'k', 'v')).toBe('+OK');
      await stranger!.stop();
      await stranger!.start(['--master', cluster.master.address]);
      await waitUntil('it is refused', async () => (await linkOf(stranger!)) === 'refused');
      const reason = /belongs to the cluster [0-9a-f]{16}, and this master serves the cluster [0-9a-f]{16}/;
      expect(await info(stranger!, 'master_refusal')).toMatch(reason);
      expect(stranger!.output).toMatch(reason);
      expect(await stranger!.ask('GET', 'k')).toBe('$"v"');
      const client = await stranger!.connect();
      await client.rendered('SELECT', '9');
      expect(await client.rendered('SET', 'k', 'v')).toMatch(
        /^-ERR database 9 cannot be made: the master is not this node's/,
      );
      client.close();
      expect((await cluster.control.stores()).length).toBe(1);
      expect((await cluster.control.fetchTopology()).keyspaces.size).toBe(0);
    } finally {
      await other.stop();
    }
  });

  test('that is a copy of another one is refused while that one lives', async () => {
    cluster = await TestCluster.start({ stores: 1 });
    const [original] = cluster.stores;
    await original!.stop();
    const copy = await cluster.prepareStore();
    await cp(original!.dir, copy.dir, { recursive: true });
    await original!.start();
    await cluster.storesUp(1);
    await copy.start();
    await waitUntil('it is refused', async () => (await linkOf(copy)) === 'refused');
    expect(await info(copy, 'master_refusal')).toContain('is its data a copy?');
    expect(await linkOf(original!)).toBe('up');
  });
});

describe.skipIf(SUBJECT === 'redis')('gateways', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.stop());

  test('come and go unnoticed, and keep what they know', async () => {
    cluster = await TestCluster.start({ stores: 2, gateways: 1 });
    await cluster.createKeyspace('orders', { shards: 3 });
    const load = new Load([...cluster.stores, cluster.gateways[0]!], 'orders');
    const second = await cluster.addGateway();
    await second.stop();
    await second.start();
    await cluster.master.stop();
    expect(await second.ask('SELECT', 'orders')).toBe('+OK');
    await second.kill9();
    // Without a master it knows nothing; and learns when there is one.
    await second.start();
    expect(await second.ask('SELECT', 'orders')).toMatch(/^-ERR/);
    expect(await second.ask('GET', 'k')).toMatch(
      /^-CLUSTERDOWN database 0 cannot be made: no master can be reached/,
    );
    await cluster.master.start();
    await waitUntil('it is told', async () => (await second.ask('SELECT', 'orders')) === '+OK');
    await load.stop();
    expect(load.failures).toEqual([]);
  });

  test('do not follow a master of another cluster', async () => {
    cluster = await TestCluster.start({ stores: 1, gateways: 1 });
    const [gateway] = cluster.gateways;
    expect(await gateway!.ask('SET', 'k', 'v')).toBe('+OK');
    await cluster.master.stop();
    await cluster.master.start(['--cluster-id', 'another']);
    await waitUntil('it is told', async () => (await linkOf(gateway!)) === 'refused', 20_000);
    expect(await info(gateway!, 'master_refusal')).toMatch(/restart this gateway if/);
    expect(await gateway!.ask('GET', 'k')).toBe('$"v"');
    expect(await gateway!.ask('VASTO', 'STORES')).toMatch(/^-ERR the master is not this node's/);
  });
});
