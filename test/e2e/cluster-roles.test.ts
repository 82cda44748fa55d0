import { afterEach, describe, expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { waitUntil } from '../support/environment.js';
import { SUBJECT } from '../support/server.js';
import { runTool } from '../support/tools.js';

/** Keys that between them are in every shard of a keyspace of three. */
const KEYS = Array.from({ length: 30 }, (_, index) => `key:${index}`);

describe.skipIf(SUBJECT === 'redis')('master, stores and gateways', () => {
  let cluster: TestCluster;

  afterEach(() => cluster.stop());

  test('serve every key at every node, made by admin or by redis-cli', async () => {
    cluster = await TestCluster.start({ stores: 2, gateways: 1 });
    const [gateway] = cluster.gateways;
    expect(await cluster.admin('keyspace', 'create', 'orders', '--shards', '3', '--db', '20')).toMatchObject({
      code: 0,
      stdout: 'created keyspace orders with 3 shards and the number 20\n',
    });
    const made = await runTool('redis-cli', [
      ...['-p', String(gateway!.port)],
      ...['VASTO', 'KEYSPACE', 'CREATE', 'bills', 'SHARDS', '3'],
    ]);
    expect(made.stdout).toBe('OK\n');
    for (const keyspace of ['20', 'bills'])
      for (const [index, key] of KEYS.entries()) {
        const [writer, reader] = [cluster.nodes[index % 3]!, cluster.nodes[(index + 1) % 3]!];
        for (const node of [writer, reader])
          await waitUntil(
            'the keyspace is known',
            async () => (await node.ask('SELECT', keyspace)) === '+OK',
          );
        const client = await writer.connect();
        await client.rendered('SELECT', keyspace);
        expect(await client.rendered('SET', key, `${keyspace} ${index}`)).toBe('+OK');
        client.close();
        const other = await reader.connect();
        await other.rendered('SELECT', keyspace);
        expect(await other.text('GET', key)).toBe(`${keyspace} ${index}`);
        other.close();
      }
    const { stdout } = await cluster.admin('keyspace', 'describe', 'orders', '--json');
    const { keyspace } = JSON.parse(stdout);
    const owners = new Set(
      keyspace.placement.map(({ copies }: { copies: { id: string }[] }) => copies[0]!.id),
    );
    expect(owners.size).toBe(2);
  });

  test('begin in any order: databases that are used wait for the master', async () => {
    cluster = await TestCluster.prepare({ stores: 2, gateways: 1 });
    const [first] = cluster.stores;
    await Promise.all(cluster.nodes.map((node) => node.start()));
    expect(await first!.ask('SET', 'k', 'v')).toMatch(
      /^-CLUSTERDOWN database 0 cannot be made: no master can be/,
    );
    expect(await cluster.gateways[0]!.ask('GET', 'k')).toMatch(/^-CLUSTERDOWN/);
    await cluster.master.start();
    await cluster.storesUp();
    expect(await first!.ask('SET', 'k', 'v')).toBe('+OK');
    expect(await cluster.gateways[0]!.ask('GET', 'k')).toBe('$"v"');
  });
});
