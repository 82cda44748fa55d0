import type { KeyspaceEntry, StoreEntry, Topology } from '../../src/cluster/topology.js';
import type { RawClient } from './client.js';
import { waitUntil } from './environment.js';
import type { Random } from './random.js';
import { render, textOf } from './reply.js';
import { keyspaceId, StaticNode } from './static-cluster.js';
import { TcpProxy } from './tcp-proxy.js';

const NAME = 'copied';

/**
 * Stores without a master, each of which holds a copy of the one shard of database 0, takes it for its own, and so takes
 * writes: as the sides of a cluster that fell apart do. Networks between them can be cut.
 */
export class Copies {
  private constructor(
    readonly nodes: readonly StaticNode[],
    /** Before the peer port of each node. */
    readonly proxies: readonly TcpProxy[],
  ) {}

  static async start(count: number, flags: readonly string[] = []): Promise<Copies> {
    const nodes = await Promise.all(Array.from({ length: count }, () => StaticNode.start('store', flags)));
    const proxies = await Promise.all(nodes.map(({ peerPort }) => TcpProxy.open(peerPort)));
    const copies = new Copies(nodes, proxies);
    for (const node of nodes) await node.tell(copies.topologyOf(node));
    return copies;
  }

  private topologyOf(self: StaticNode): Topology {
    const stores = this.nodes.map(({ storeId: id, port }, index): [string, StoreEntry] => {
      const reach = { host: '127.0.0.1', port, tlsPort: 0, peerPort: this.proxies[index]!.port };
      return [id, { id, epoch: 1, ...reach, zone: '', tags: [], doors: [] }];
    });
    const others = this.nodes.filter((node) => node !== self).map(({ storeId }) => storeId);
    const id = keyspaceId(NAME);
    const entry: KeyspaceEntry = {
      id,
      epoch: 1,
      name: NAME,
      db: 0,
      replicas: this.nodes.length,
      tags: [],
      shards: [{ stores: [self.storeId, ...others] }],
      deleted: false,
    };
    return { clusterId: 'test', stores: new Map(stores), keyspaces: new Map([[id, entry]]) };
  }

  cut(): void {
    for (const proxy of this.proxies) proxy.cut();
  }

  mend(): void {
    for (const proxy of this.proxies) proxy.mend();
  }

  /** Until each has everything that the others had. */
  async level(): Promise<void> {
    for (const node of this.nodes)
      await waitUntil(
        'the copies are level',
        async () => {
          const { vasto_feeds_level } = await infoOf(node);
          return vasto_feeds_level === String(this.nodes.length - 1);
        },
        60_000,
      );
  }

  /** Level, and the same keys, values and expiry times everywhere. @returns them */
  async same(): Promise<Map<string, string>> {
    await this.level();
    let all: Map<string, string>[] = [];
    let difference: string | undefined;
    // What expires between two looks is a difference, but not the next time.
    await waitUntil('the copies are the same', async () => {
      all = await Promise.all(this.nodes.map(contentsOf));
      difference = firstDifference(all);
      return difference === undefined;
    }).catch((error: Error) => {
      throw new Error(
        `${error.message}: ${difference}\n${this.nodes.map(({ output }) => output).join('\n')}`,
      );
    });
    return all[0]!;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
  }
}

function firstDifference([first, ...others]: readonly Map<string, string>[]): string | undefined {
  for (const [index, other] of others.entries())
    for (const key of new Set([...first!.keys(), ...other.keys()]))
      if (first!.get(key) !== other.get(key))
        return `${JSON.stringify(key)} is ${first!.get(key)} at the first, ${other.get(key)} at number ${index + 2}`;
  return undefined;
}

/** INFO replication. */
export async function infoOf(node: { connect(): Promise<RawClient> }): Promise<Record<string, string>> {
  const client = await node.connect();
  const text = await client.text('INFO', 'replication');
  client.close();
  return Object.fromEntries(
    text
      .split('\r\n')
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** How to read a value whole, by its type. */
const READ: Readonly<Record<string, (key: string) => string[]>> = {
  hash: (key) => ['HGETALL', key],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
};

/** All keys with their values and when they expire, as one text each. */
export async function contentsOf(node: { connect(): Promise<RawClient> }): Promise<Map<string, string>> {
  const client = await node.connect();
  const contents = new Map<string, string>();
  const reply = await client.command('KEYS', '*');
  const keys = reply.type === 'array' ? reply.items.map(textOf).sort() : [];
  const types = await client.pipeline(keys.map((key) => ['TYPE', key]));
  const commands = keys.flatMap((key, index) => [
    READ[textOf(types[index]!)]?.(key) ?? ['GET', key],
    ['PEXPIRETIME', key],
  ]);
  const replies = await client.pipeline(commands);
  for (const [index, key] of keys.entries()) {
    const value = replies[2 * index]!;
    // Fields and members come in any order.
    const text = value.type === 'array' ? value.items.map(render).sort().join(' ') : render(value);
    contents.set(key, `${text} ${render(replies[2 * index + 1]!)}`);
  }
  client.close();
  return contents;
}

/** A random write; keys are few, so that the sides meet. */
export function randomWrite(random: Random): string[] {
  if (random.chance(0.005)) return ['FLUSHDB'];
  if (random.chance(0.3)) return collectionWrite(random);
  const key = `k${random.int(0, 200)}`;
  const value = random.bytes(random.int(0, 60));
  switch (random.int(0, 10)) {
    case 0:
      return ['DEL', key];
    case 1:
      return ['SET', key, value, 'PX', String(random.int(1, 3000))];
    case 2:
      return ['PEXPIRE', key, String(random.int(1, 60_000))];
    case 3:
      return ['PERSIST', key];
    case 4:
      return ['INCR', `n${random.int(0, 20)}`];
    case 5:
      return ['RENAME', key, `k${random.int(0, 200)}`];
    case 6:
      return ['SETRANGE', key, '5', value];
    default:
      return ['SET', key, value];
  }
}

/** Of few collections, of which some grow large. */
function collectionWrite(random: Random): string[] {
  const [kind, name] = [random.pick(['h', 's', 'z']), random.int(0, 4)];
  const key = `${kind}${name}`;
  const members = Array.from({ length: random.int(1, 30) }, () => `m${random.int(0, 100 * name + 10)}`);
  const action = random.int(0, 19);
  if (action === 0) return ['DEL', key];
  if (action === 1) return ['PEXPIRE', key, String(random.int(1, 20_000))];
  if (action === 2) return ['RENAME', key, `${kind}${random.int(0, 4)}`];
  const isRemoval = action < 8;
  if (kind === 's') return [isRemoval ? 'SREM' : 'SADD', key, ...members];
  if (kind === 'z')
    return isRemoval
      ? ['ZREM', key, ...members]
      : ['ZADD', key, ...members.flatMap((member) => [String(random.int(0, 99)), member])];
  return isRemoval
    ? ['HDEL', key, ...members]
    : ['HSET', key, ...members.flatMap((member) => [member, random.bytes(random.int(0, 40))])];
}
