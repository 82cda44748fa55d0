import { ManagerError, type StoreStatus } from '../../src/cluster/manager.js';
import { type KeyspaceEntry, keyspaceByName, type Topology } from '../../src/cluster/topology.js';
import { RawClient } from '../support/client.js';
import { type ClusterNode, TestCluster } from '../support/cluster.js';
import { freePort, waitUntil } from '../support/environment.js';
import type { Exit } from '../support/server.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { KEYSPACES } from './schedule.js';

/** How long a command waits for a store that is away, milliseconds: longer than a failover takes. */
const NODE_TIMEOUT_MS = 15_000;
/** A machine that does much else may leave a process alone for a while, which is no fault. */
const FAILOVER_AFTER_MS = 5000;
/** How long everything may take to come to rest once it is healed. */
const REST_MS = 240_000;
/** Low, so that small collections pass them all the time. */
const COLLECTION_LIMITS = [
  ...['--hash-max-listpack-entries', '6', '--set-max-listpack-entries', '6'],
  ...['--zset-max-listpack-entries', '6', '--list-max-listpack-size', '6'],
];
/** Stores are announced at 127.0.0.2 and so on, where proxies listen; they themselves listen at 127.0.0.1. */
const ADDRESS_FIRST = 2;

/** The networks around a store. */
export interface Networks {
  /** By which nodes forward commands to it. */
  readonly plain: TcpProxy;
  /** By which copies elsewhere follow it. */
  readonly peer: TcpProxy;
  /** Cluster doors, by number of the keyspace. */
  readonly doors: readonly TcpProxy[];
  /** By which it reaches the master. */
  readonly master: TcpProxy;
}

export interface ChaosStore {
  readonly number: number;
  readonly node: ClusterNode;
  readonly id: string;
  /** The address that others are told. */
  readonly host: string;
  readonly networks: Networks;
  /** Of its cluster doors, by number of the keyspace. */
  readonly doorPorts: readonly number[];
}

/** A process that ended though nobody had ended it. */
export interface UnexpectedExit {
  readonly node: string;
  readonly exit: Exit;
}

/** A master, stores behind proxies, and a gateway; with the keyspaces of {@link KEYSPACES}. */
export class ChaosCluster {
  readonly stores: ChaosStore[] = [];
  readonly unexpectedExits: UnexpectedExit[] = [];
  private readonly expected = new Set<ClusterNode>();

  private constructor(readonly nodes: TestCluster) {}

  static async start(stores: number, solid: number): Promise<ChaosCluster> {
    const flags = ['--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
    const masterFlags = ['--failover-after-ms', String(FAILOVER_AFTER_MS)];
    const nodes = await TestCluster.prepare({ stores: 0, gateways: 1, flags, masterFlags });
    const cluster = new ChaosCluster(nodes);
    try {
      await cluster.begin(stores, solid);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  private async begin(stores: number, solid: number): Promise<void> {
    await this.nodes.master.start();
    this.watch(this.nodes.master);
    for (let number = 0; number < stores; number++) await this.addStore(number, number < solid);
    await this.nodes.gateways[0]!.start();
    this.watch(this.nodes.gateways[0]!);
    await this.nodes.storesUp();
    for (const { name, shards, replicas, tags } of KEYSPACES)
      await this.nodes.createKeyspace(name, { shards, replicas, tags });
  }

  private async addStore(number: number, isSolid: boolean): Promise<void> {
    const host = `127.0.0.${ADDRESS_FIRST + number}`;
    const master = await TcpProxy.open(this.nodes.master.port);
    const doorPorts: number[] = [];
    for (const _ of KEYSPACES) doorPorts.push(await freePort());
    const doors = KEYSPACES.flatMap(({ name }, n) => ['--cluster-port', String(doorPorts[n]), name]);
    const node = await this.nodes.prepareStore([
      ...['--master', `127.0.0.1:${master.port}`, '--bind', '127.0.0.1', '--cluster-announce-host', host],
      ...(isSolid ? ['--tags', 'solid'] : []),
      ...COLLECTION_LIMITS,
      ...doors,
    ]);
    const open = (port: number) => TcpProxy.open(port, port, host);
    const networks = {
      master,
      plain: await open(node.port),
      peer: await open(node.port + 10_000),
      doors: await Promise.all(doorPorts.map(open)),
    };
    await node.start();
    this.watch(node);
    let id = '';
    await waitUntil(`store ${number} is registered`, async () => {
      id = (await this.nodes.control.stores()).find(({ entry }) => entry.port === node.port)?.entry.id ?? '';
      return id !== '';
    });
    this.stores.push({ number, node, id, host, networks, doorPorts });
  }

  get gateway(): ClusterNode {
    return this.nodes.gateways[0]!;
  }

  get all(): readonly ClusterNode[] {
    return [...this.nodes.nodes, this.nodes.master];
  }

  nameOf(node: ClusterNode): string {
    const store = this.stores.find((each) => each.node === node);
    return store === undefined ? node.role : `store ${store.number}`;
  }

  private watch(node: ClusterNode): void {
    void node.exited.then((exit) => {
      if (!this.expected.delete(node)) this.unexpectedExits.push({ node: this.nameOf(node), exit });
    });
  }

  async kill(node: ClusterNode): Promise<void> {
    this.expected.add(node);
    await node.kill9();
  }

  async restart(node: ClusterNode): Promise<void> {
    await node.start();
    this.watch(node);
  }

  async entry(keyspace: string): Promise<KeyspaceEntry> {
    const entry = keyspaceByName(await this.nodes.control.fetchTopology(), keyspace);
    if (entry === undefined) throw new Error(`the master does not know keyspace ${keyspace}`);
    return entry;
  }

  /** Until no change is going on and all shards are at home. */
  async settled(): Promise<void> {
    let problem = '';
    await waitUntil(
      'all changes are over',
      async () => {
        problem = await this.unsettled().catch(unavailable);
        return problem === '';
      },
      REST_MS,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${problem}`);
    });
  }

  private async unsettled(): Promise<string> {
    const { control } = this.nodes;
    const away = (await control.stores()).filter(({ alive }) => !alive);
    if (away.length > 0) return `${away.map(({ entry }) => `${entry.host}:${entry.port}`).join(', ')} away`;
    const [statuses, topology] = await Promise.all([control.changeStatuses(), control.fetchTopology()]);
    if (statuses.length > 0) return JSON.stringify(statuses);
    const unfinished = [...topology.keyspaces.values()].filter(
      ({ deleted, change, shards }) =>
        !deleted && (change !== undefined || shards.some(({ home }) => home !== undefined)),
    );
    return unfinished.map(({ name, shards }) => `${name}: ${JSON.stringify(shards)}`).join('; ');
  }

  /** Until every copy serves and has all that the others have. Nobody may be writing. */
  async level(): Promise<void> {
    let problem = '';
    await waitUntil(
      'all copies are level',
      async () => {
        problem = await this.unlevel().catch(unavailable);
        return problem === '';
      },
      REST_MS,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${problem}`);
    });
  }

  private async unlevel(): Promise<string> {
    const { control } = this.nodes;
    const [stores, topology] = await Promise.all([control.stores(), control.fetchTopology()]);
    return unlevelCopies(stores, topology);
  }

  /** A connection to the copies that a store has of a keyspace, past its proxies. */
  async copies(store: ChaosStore, keyspace: number): Promise<RawClient> {
    const client = await RawClient.connect({ port: store.doorPorts[keyspace]! });
    const reply = await client.rendered('READONLY');
    if (reply !== '+OK') throw new Error(`READONLY: ${reply}`);
    return client;
  }

  async stop(): Promise<void> {
    for (const node of this.all) this.expected.add(node);
    await this.nodes.stop();
    for (const { networks } of this.stores)
      await Promise.all(
        [networks.plain, networks.peer, networks.master, ...networks.doors].map((each) => each.close()),
      );
  }
}

/** On a busy machine a master may not answer in time, and stores may not be back when it has waited for them. */
export function unavailable(error: Error): string {
  const { message } = error;
  const isBack = !/^no store has registered since the master was started/.test(message);
  if (error instanceof ManagerError && (error.code === 'UNAVAILABLE' || !isBack)) return message;
  throw error;
}

/** What is not level yet, in words; '' if all is. */
function unlevelCopies(stores: readonly StoreStatus[], { keyspaces }: Topology): string {
  for (const { id, name, shards, deleted } of keyspaces.values()) {
    if (deleted) continue;
    for (const [shard, { stores: holders }] of shards.entries())
      for (const holder of holders) {
        const status = stores
          .find(({ entry }) => entry.id === holder)
          ?.shards.find((each) => each.keyspace === id && each.shard === shard);
        const where = `shard ${shard} of ${name} on ${holder.slice(0, 8)}`;
        if (status === undefined) return `${where} is not reported`;
        if (status.state !== 'open') return `${where} is ${status.state}`;
        const level = status.follows.filter(({ isLevel, state }) => isLevel && state === 'tailing');
        if (level.length !== holders.length - 1 || status.follows.length !== level.length)
          return `${where} follows ${JSON.stringify(status.follows)}`;
      }
  }
  return '';
}
