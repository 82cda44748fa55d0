import { Config } from '../../src/base/config.js';
import type { TopologyListener } from '../../src/cluster/follower.js';
import { liveKeyspaces } from '../../src/cluster/topology.js';
import { MasterClient, type MasterClientOptions } from '../../src/master/client.js';
import { GrpcSecurity } from '../../src/master/credentials.js';
import { GrpcServer } from '../../src/master/grpc-server.js';
import { Master, type MasterOptions } from '../../src/master/master.js';
import { FakeStore, storeEntry } from './fake-cluster.js';

/** A master in this process that listens on a port of its own, and those who speak to it over real sockets. */
export class GrpcMaster {
  readonly log: string[];
  private readonly clients: MasterClient[] = [];

  private constructor(
    readonly master: Master,
    private readonly server: GrpcServer,
    log: string[],
    readonly port: number,
  ) {
    this.log = log;
  }

  /** @param text its configuration @param port 0 = one that is free */
  static async start(
    options: Partial<MasterOptions> = {},
    text = '',
    port = 0,
    log: string[] = [],
  ): Promise<GrpcMaster> {
    const note = (line: string) => {
      log.push(line);
    };
    const logger = {
      verbose: () => undefined,
      notice: note,
      warning: (line: string) => note(`WARNING ${line}`),
    };
    const master = new Master({
      clusterId: '',
      settleMs: 50,
      failoverAfterMs: () => 3000,
      logger,
      ...options,
    });
    const config = Config.load({ text: `bind 127.0.0.1\n${text}` });
    const server = await GrpcServer.listen(config, logger, GrpcSecurity.of(config), master, port);
    return new GrpcMaster(master, server, log, server.port);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  client(options: Partial<MasterClientOptions> = {}, text = ''): MasterClient {
    const client = clientOf([this.address], options, text);
    this.clients.push(client);
    return client;
  }

  /** Stores without data, registered for as long as their clients live. */
  stores(count: number): FakeStore[] {
    return Array.from({ length: count }, (_, index) => {
      const store = new FakeStore(storeEntry(index + 1));
      this.client().keepRegistered({ converse: (stream) => store.connect(stream) });
      return store;
    });
  }

  /** Ends the master; clients stay, and look for another one. */
  stop(): Promise<void> {
    return this.server.close();
  }

  /** Ends all. */
  async close(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.server.close();
  }
}

/** A client of masters wherever they are. @param text its configuration */
export function clientOf(
  addresses: readonly string[],
  options: Partial<MasterClientOptions> = {},
  text = '',
): MasterClient {
  const security = GrpcSecurity.of(Config.load({ text }));
  return new MasterClient({ addresses, security, answerMs: 2000, patienceMs: 2000, ...options });
}

/** Notes what a follower is told, in short. */
export class NotingListener implements TopologyListener {
  readonly heard: string[] = [];

  topology(topology: Parameters<TopologyListener['topology']>[0]): void {
    const names = liveKeyspaces(topology).map(({ name }) => name);
    this.heard.push(`topology ${topology.stores.size} [${names.join(' ')}]`);
  }

  event({ text }: { readonly text: string }): void {
    this.heard.push(text);
  }

  connected(isConnected: boolean): void {
    this.heard.push(isConnected ? 'connected' : 'gone');
  }
}
