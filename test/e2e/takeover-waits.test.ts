import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KeyspaceEntry, StoreEntry, Topology } from '../../src/cluster/topology.js';
import type { RawClient } from '../support/client.js';
import { infoOf } from '../support/copies.js';
import { waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { SUBJECT } from '../support/server.js';
import { keyspaceId, StaticCluster, type StaticNode } from '../support/static-cluster.js';

const TIMEOUT_MS = 1000;
const NAME = 'moving';

describe.skipIf(SUBJECT === 'redis')('a shard that waits for a store which is dead', () => {
  let cluster: StaticCluster;
  let source: StaticNode;
  let target: StaticNode;
  let gateway: StaticNode;

  beforeEach(async () => {
    const keyspaces = [{ name: NAME, db: 0, shards: [0] }];
    cluster = await StaticCluster.start(2, 1, keyspaces, ['--cluster-node-timeout', String(TIMEOUT_MS)]);
    [source, target] = cluster.stores as [StaticNode, StaticNode];
    gateway = cluster.gateways[0]!;
  });
  afterEach(() => cluster.stop());

  /** The topology with another entry of the keyspace. */
  function topologyWith(change: (entry: KeyspaceEntry) => KeyspaceEntry): Topology {
    const { stores, keyspaces, clusterId } = cluster.topology;
    const reachable = cluster.stores.map(({ storeId, peerPort }): [string, StoreEntry] => [
      storeId,
      { ...stores.get(storeId)!, epoch: 2, peerPort },
    ]);
    const entry = change(keyspaces.get(keyspaceId(NAME))!);
    return { clusterId, stores: new Map(reachable), keyspaces: new Map([[entry.id, entry]]) };
  }

  const facts = {
    id: 'c'.repeat(16),
    kind: 'move',
    startedAtMs: 1,
    sinceMs: 1,
    replicas: 1,
    attempts: 0,
  } as const;

  /** The target is filled. */
  const prepare = () =>
    topologyWith((entry) => ({
      ...entry,
      epoch: 2,
      change: { ...facts, since: 2, phase: 'prepare', target: [{ stores: [target.storeId] }] },
    }));

  /** The target answers, once it has all that the source had. */
  const takeover = () =>
    topologyWith((entry) => ({
      ...entry,
      epoch: 3,
      shards: [{ stores: [target.storeId], since: 3 }],
      change: { ...facts, since: 3, phase: 'takeover', former: entry.shards },
    }));

  async function told(topology: Topology, nodes: readonly StaticNode[]): Promise<void> {
    for (const node of nodes) await node.tell(topology);
  }

  async function write(node: StaticNode): Promise<void> {
    const client = await node.connect();
    expect(await client.rendered('SET', 'key', 'value')).toBe('+OK');
    client.close();
  }

  /** Commands of all kinds, each on a connection of its own. @returns the replies */
  function askAll(node: StaticNode): Promise<string[]> {
    const ask = async (work: (client: RawClient) => Promise<string>) => {
      const client = await node.connect();
      try {
        return await work(client);
      } finally {
        client.close();
      }
    };
    return Promise.all([
      ask((client) => client.rendered('GET', 'key')),
      ask((client) => client.rendered('MGET', 'key', 'other')),
      ask((client) => client.rendered('DBSIZE')),
      ask((client) => client.rendered('BLPOP', 'list', 1)),
      ask(async (client) => {
        await client.command('MULTI');
        await client.command('GET', 'key');
        return client.rendered('EXEC');
      }),
      ask(async (client) => {
        const replies = await client.pipeline([['GET', 'key'], ['PING'], ['SET', 'key', 'new'], ['PING']]);
        return replies.map(render).join(' ');
      }),
    ]);
  }

  async function expectRefused(reason: RegExp): Promise<void> {
    for (const node of [target, gateway, target])
      for (const reply of await askAll(node)) {
        expect(reply).toMatch(/^-CLUSTERDOWN/);
        expect(reply).toMatch(reason);
      }
  }

  test('has commands wait no longer than cluster-node-timeout, and goes on when the store is back', async () => {
    await write(source);
    await told(prepare(), [source, target]);
    await waitUntil('the target is level', async () => (await infoOf(target)).vasto_feeds_level === '1');
    await source.kill();
    await told(takeover(), [target, gateway]);
    await expectRefused(
      /shard 0 of keyspace moving .* last writes of shard 0 on store [0-9a-f]{8} \(127.0.0.1:/,
    );
    await source.start();
    await told(takeover(), [source]);
    await waitUntil('the target answers', async () => {
      const client = await target.connect();
      const reply = await client.rendered('GET', 'key');
      client.close();
      return reply === '$"value"';
    });
  }, 60_000);

  test('says so where not even its rows have come', async () => {
    await write(source);
    await source.kill();
    await told(prepare(), [target, gateway]);
    await told(takeover(), [target, gateway]);
    await expectRefused(/has not got all rows yet, which come from shard 0 on store/);
    // Somebody who knows that it is lost settles the change: the shard is the source's again.
    const back = topologyWith((entry) => ({ ...entry, epoch: 4 }));
    await source.start();
    await told(back, cluster.nodes);
    for (const node of cluster.nodes) {
      const client = await node.connect();
      expect(await client.rendered('GET', 'key')).toBe('$"value"');
      client.close();
    }
  }, 60_000);
});
