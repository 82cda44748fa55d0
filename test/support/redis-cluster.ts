import type { RawClient } from './client.js';
import { waitUntil } from './environment.js';
import { TestServer } from './server.js';

const NODES = 3;
const SLOTS = 16384;

/** Three redis-servers that are one cluster: what Redis Cluster does, for comparison. */
export class RedisCluster {
  private constructor(readonly nodes: readonly TestServer[]) {}

  static async start(): Promise<RedisCluster> {
    const flags = ['--cluster-enabled', 'yes', '--appendonly', 'no'];
    const nodes = await Promise.all(
      Array.from({ length: NODES }, () => TestServer.start({ kind: 'redis', flags })),
    );
    const clients = await Promise.all(nodes.map((node) => node.connect()));
    for (const [index, client] of clients.entries()) {
      const first = Math.floor((index * SLOTS) / NODES);
      const last = Math.floor(((index + 1) * SLOTS) / NODES) - 1;
      await client.rendered('CLUSTER', 'ADDSLOTSRANGE', first, last);
      await client.rendered('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    }
    for (const node of nodes.slice(1)) await clients[0]!.rendered('CLUSTER', 'MEET', '127.0.0.1', node.port);
    for (const client of clients) await waitUntil('the nodes are one cluster', () => isWhole(client), 30_000);
    for (const client of clients) client.close();
    return new RedisCluster(nodes);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill9()));
  }
}

async function isWhole(client: RawClient): Promise<boolean> {
  const info = await client.text('CLUSTER', 'INFO');
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${NODES}`);
}
