import { Config } from '../../src/base/config.js';
import type { KeyspaceRequest } from '../../src/cluster/manager.js';
import type { KeyspaceEntry } from '../../src/cluster/topology.js';
import { MasterClient } from '../../src/master/client.js';
import { GrpcSecurity } from '../../src/master/credentials.js';
import type { RawClient } from './client.js';
import { freePort, temporaryDir, waitUntil } from './environment.js';
import { type Exit, TestServer, VASTO_MAIN } from './server.js';
import { runTool, type ToolRun } from './tools.js';

type Role = 'server' | 'master' | 'store' | 'gateway';

/** Small, so that many fit on one machine. */
const STORE_FLAGS = ['--workers', '1', '--maxmemory', '64mb'];

/** On a machine that does much else. */
const READY_TIMEOUT_MS = 30_000;

/** A process of a cluster. It keeps its port and its directory when it is started again. */
export class ClusterNode {
  private process: TestServer | undefined;
  /** What its earlier processes printed. */
  private past = '';

  constructor(
    readonly role: Role,
    /** RESP; of a master, gRPC. */
    readonly port: number,
    readonly dir: string,
    private readonly flags: readonly string[],
  ) {}

  /** As host:port. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** All that it has printed, in this life and earlier ones. */
  get output(): string {
    return this.past + (this.process?.output ?? '');
  }

  get pid(): number {
    return this.running.pid;
  }

  get exited(): Promise<Exit> {
    return this.running.exited;
  }

  private get running(): TestServer {
    if (this.process === undefined) throw new Error(`${this.role} ${this.port} has not been started`);
    return this.process;
  }

  /** Begins to start the process; {@link ready} tells when it serves. */
  async spawn(moreFlags: readonly string[] = []): Promise<void> {
    this.past = this.output;
    const { role, dir } = this;
    const port = role === 'master' ? await freePort() : this.port;
    const own = role === 'master' ? ['--master-port', String(this.port)] : [];
    const store = role === 'store' || role === 'server' ? STORE_FLAGS : [];
    const flags = [...own, ...store, ...this.flags, ...moreFlags];
    this.process = await TestServer.spawn({ kind: 'vasto', role, dir, port, flags });
  }

  /** Until it answers. */
  async ready(): Promise<void> {
    if (this.role !== 'master') return this.running.ready();
    const seen = this.past.length;
    let exit: Exit | undefined;
    void this.running.exited.then((how) => {
      exit = how;
    });
    await waitUntil(
      'the master listens',
      () => {
        if (exit !== undefined) throw new Error(`the master ended at start:\n${this.output}`);
        return this.output.slice(seen).includes('join with');
      },
      READY_TIMEOUT_MS,
    );
  }

  /** Starts the process, again if need be, on the same port and directory. */
  async start(moreFlags: readonly string[] = []): Promise<void> {
    await this.spawn(moreFlags);
    await this.ready();
  }

  connect(): Promise<RawClient> {
    return this.running.connect();
  }

  connect3(): Promise<RawClient> {
    return this.running.connect3();
  }

  /** Sends a command on a connection of its own. @returns the reply as tests compare it */
  async ask(...words: (string | number)[]): Promise<string> {
    const client = await this.connect();
    try {
      return await client.rendered(...words);
    } finally {
      client.close();
    }
  }

  /** SIGTERM, and the exit awaited. */
  stop(): Promise<Exit> {
    return this.running.stop();
  }

  kill9(): Promise<void> {
    return this.running.kill9();
  }

  /** Ends it, if it was ever started. */
  async end(): Promise<void> {
    if (this.process !== undefined) await this.process.kill9();
  }

  signal(name: NodeJS.Signals): void {
    this.running.child.kill(name);
  }

  /** Has it stand still until {@link resume}, connections open. */
  freeze(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }
}

export interface ClusterPlan {
  readonly stores?: number;
  readonly gateways?: number;
  /** For all nodes. */
  readonly flags?: readonly string[];
  readonly masterFlags?: readonly string[];
  /** For the stores, by number. */
  readonly storeFlags?: (store: number) => readonly string[];
  readonly gatewayFlags?: readonly string[];
}

/**
 * A master, stores and gateways as processes of their own, on free ports and in temporary directories. Whatever is
 * left of it ends with the test file; {@link stop} ends it earlier.
 */
export class TestCluster {
  readonly stores: ClusterNode[] = [];
  readonly gateways: ClusterNode[] = [];
  /** The master, asked from here. */
  readonly control: MasterClient;

  private constructor(
    private readonly plan: ClusterPlan,
    readonly master: ClusterNode,
  ) {
    const words = plan.flags ?? [];
    this.control = new MasterClient({
      addresses: [master.address],
      security: GrpcSecurity.of(Config.load({ flags: words })),
      answerMs: 5000,
      patienceMs: 10_000,
    });
  }

  /** Nodes that are not started yet, for tests that care for the order. */
  static async prepare(plan: ClusterPlan = {}): Promise<TestCluster> {
    const flags = [...(plan.flags ?? []), ...(plan.masterFlags ?? [])];
    const master = new ClusterNode('master', await freePort(), temporaryDir(), flags);
    const cluster = new TestCluster(plan, master);
    for (let store = 0; store < (plan.stores ?? 2); store++)
      cluster.stores.push(await cluster.newNode('store', plan.storeFlags?.(store)));
    for (let gateway = 0; gateway < (plan.gateways ?? 0); gateway++)
      cluster.gateways.push(await cluster.newNode('gateway', plan.gatewayFlags));
    return cluster;
  }

  /** All nodes started, and the stores registered. */
  static async start(plan: ClusterPlan = {}): Promise<TestCluster> {
    const cluster = await TestCluster.prepare(plan);
    await cluster.master.start();
    await Promise.all(cluster.nodes.map((node) => node.start()));
    await cluster.storesUp();
    return cluster;
  }

  /** Stores, then gateways. */
  get nodes(): readonly ClusterNode[] {
    return [...this.stores, ...this.gateways];
  }

  /** One more store, started and registered. */
  async addStore(flags: readonly string[] = []): Promise<ClusterNode> {
    const store = await this.prepareStore(flags);
    await store.start();
    await this.storesUp();
    return store;
  }

  /** One more store, which the test starts. */
  async prepareStore(flags: readonly string[] = []): Promise<ClusterNode> {
    const store = await this.newNode('store', flags);
    this.stores.push(store);
    return store;
  }

  async addGateway(flags: readonly string[] = []): Promise<ClusterNode> {
    const gateway = await this.newNode('gateway', flags);
    this.gateways.push(gateway);
    await gateway.start();
    return gateway;
  }

  /** Until the master has so many living stores; by default all of them. */
  async storesUp(count = this.stores.length): Promise<void> {
    await waitUntil(
      `${count} stores are up`,
      async () => (await this.control.stores()).filter(({ alive }) => alive).length === count,
      READY_TIMEOUT_MS,
    );
  }

  /** Makes a keyspace, and waits until every running node knows it. */
  async createKeyspace(name: string, facts: Partial<KeyspaceRequest> = {}): Promise<KeyspaceEntry> {
    const entry = await this.control.createKeyspace({ name, shards: 1, replicas: 1, tags: [], ...facts });
    for (const node of this.nodes)
      await waitUntil(`${node.role} ${node.port} knows keyspace ${name}`, async () =>
        (await node.ask('SELECT', name)).startsWith('+OK'),
      );
    return entry;
  }

  /** Runs `vasto admin` against the master. */
  admin(...words: string[]): Promise<ToolRun> {
    return runTool(process.execPath, [VASTO_MAIN, 'admin', '--master', this.master.address, ...words]);
  }

  /** Ends everything at once; data stays until the test process ends. */
  async stop(): Promise<void> {
    this.control.close();
    await Promise.all([...this.nodes, this.master].map((node) => node.end()));
  }

  private async newNode(role: Role, flags: readonly string[] = []): Promise<ClusterNode> {
    const common = ['--master', this.master.address, ...(this.plan.flags ?? [])];
    return new ClusterNode(role, await freePort(), temporaryDir(), [...common, ...flags]);
  }
}
