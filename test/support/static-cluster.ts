import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import {
  type ClusterDoor,
  type KeyspaceEntry,
  type StoreEntry,
  type Topology,
  toRecord,
} from '../../src/cluster/topology.js';
import { RawClient } from './client.js';
import { freePort, temporaryDir, waitUntil } from './environment.js';
import { VASTO_MAIN } from './server.js';

const PROGRAM = fileURLToPath(new URL('./static-node.mjs', import.meta.url));
const running = new Set<ChildProcess>();

// A test that failed before it stopped its nodes must not leave them behind.
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

type Message = { storeId: string } | { applied: boolean; error?: string };

/** A node of a cluster without a master: the test says who holds what. */
export class StaticNode {
  child!: ChildProcess;
  storeId = '';
  output = '';

  private constructor(
    readonly role: 'store' | 'gateway',
    readonly port: number,
    readonly dir: string,
    readonly flags: readonly string[],
    readonly doors: readonly ClusterDoor[],
  ) {}

  /** @param keyspaces those that it opens a cluster door for */
  static async start(
    role: 'store' | 'gateway',
    flags: readonly string[],
    keyspaces: readonly string[] = [],
  ): Promise<StaticNode> {
    const port = await freePort();
    const doors: ClusterDoor[] = [];
    for (const keyspace of keyspaces) doors.push({ port: await freePort(), keyspace });
    const node = new StaticNode(role, port, temporaryDir(), flags, doors);
    await node.start();
    return node;
  }

  /** Starts the process, again on the same directory and port. */
  async start(): Promise<void> {
    const flags = ['--port', String(this.port), '--dir', this.dir, '--workers', '1', '--maxmemory', '64mb'];
    const doors = this.doors.flatMap(({ port, keyspace }) => ['--cluster-port', String(port), keyspace]);
    const child = fork(PROGRAM, [dirname(VASTO_MAIN), this.role, ...flags, ...doors, ...this.flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      cwd: this.dir,
    });
    this.child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    const ended = once(child, 'exit').then(() => {
      throw new Error(`the node ended at start:\n${this.output}`);
    });
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [Message];
    ended.catch(() => undefined);
    if ('storeId' in message) this.storeId = message.storeId;
    await waitUntil('the node answers', async () => {
      const client = await RawClient.connect({ port: this.port }).catch(() => undefined);
      client?.close();
      return client !== undefined;
    });
  }

  /** By which other stores reach it. */
  get peerPort(): number {
    return this.port + 10_000;
  }

  tell(topology: Topology): Promise<void> {
    return this.say({ topology: toRecord(topology) });
  }

  private async say(what: object): Promise<void> {
    this.child.send(what);
    const [message] = (await once(this.child, 'message')) as [Message];
    if (!('applied' in message) || !message.applied)
      throw new Error(`not applied: ${JSON.stringify(message)}`);
  }

  /**
   * Has it take a slot for one on its way between two stores, of which it is one.
   * @param move.shard where it has the keys of the slot
   */
  move(move: {
    readonly keyspace: string;
    readonly slot: number;
    readonly shard: number;
    readonly from: string;
    readonly to: string;
  }): Promise<void> {
    return this.say({ move });
  }

  connect(): Promise<RawClient> {
    return RawClient.connect({ port: this.port });
  }

  /** The port of its cluster door for a keyspace. */
  doorPort(keyspace: string): number {
    const door = this.doors.find((each) => each.keyspace === keyspace);
    if (door === undefined) throw new Error(`the node has no door for ${keyspace}`);
    return door.port;
  }

  /** A client that came in by its cluster door for a keyspace. */
  connectDoor(keyspace: string): Promise<RawClient> {
    return RawClient.connect({ port: this.doorPort(keyspace) });
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}

/** The id that a keyspace of the test has. */
export function keyspaceId(name: string): string {
  return Buffer.from(name).toString('hex').padEnd(16, '0');
}

export interface KeyspacePlan {
  readonly name: string;
  readonly db: number | undefined;
  /** For each shard the number of its store. */
  readonly shards: readonly number[];
}

/** Stores and gateways, and the keyspaces they serve. */
export class StaticCluster {
  topology!: Topology;

  private constructor(
    readonly stores: readonly StaticNode[],
    readonly gateways: readonly StaticNode[],
  ) {}

  /** @param doors gives the keyspaces of which a node opens a cluster door; gateways are numbered behind the stores */
  static async start(
    stores: number,
    gateways: number,
    keyspaces: readonly KeyspacePlan[],
    flags: readonly string[] = [],
    doors: (node: number) => readonly string[] = () => [],
  ): Promise<StaticCluster> {
    const start = (role: 'store' | 'gateway', count: number, before = 0) =>
      Promise.all(
        Array.from({ length: count }, (_, index) => StaticNode.start(role, flags, doors(before + index))),
      );
    const cluster = new StaticCluster(await start('store', stores), await start('gateway', gateways, stores));
    await cluster.place(keyspaces);
    return cluster;
  }

  get nodes(): readonly StaticNode[] {
    return [...this.stores, ...this.gateways];
  }

  /** Has the nodes serve these keyspaces, one after the other. */
  async place(keyspaces: readonly KeyspacePlan[], epoch = 1): Promise<void> {
    const stores = this.stores.map(({ storeId: id, port, doors }): [string, StoreEntry] => [
      id,
      { id, epoch, host: '127.0.0.1', port, tlsPort: 0, peerPort: 0, zone: '', tags: [], doors },
    ]);
    const entries = keyspaces.map(({ name, db, shards }): [string, KeyspaceEntry] => {
      const id = keyspaceId(name);
      const places = shards.map((store) => ({ stores: [this.stores[store]!.storeId] }));
      return [id, { id, epoch, name, db, replicas: 1, tags: [], shards: places, deleted: false }];
    });
    this.topology = { clusterId: 'test', stores: new Map(stores), keyspaces: new Map(entries) };
    for (const node of this.nodes) await node.tell(this.topology);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
  }
}
