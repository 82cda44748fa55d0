import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { nodesUseTls } from '../cluster/tls-settings.js';
import { TlsDoors } from './tls-door.js';

/** By what a connection came in. */
export interface Door {
  /** `plain`: any key of any keyspace. `cluster`: the Redis Cluster protocol, for one keyspace. */
  readonly kind: 'plain' | 'cluster';
  /** Name of the keyspace that a cluster door belongs to; '' for a plain one. */
  readonly keyspace: string;
  readonly tls: boolean;
}

export const PLAIN_DOOR: Door = { kind: 'plain', keyspace: '', tls: false };
const PLAIN_TLS_DOOR: Door = { ...PLAIN_DOOR, tls: true };

/** Where to listen: on each address of the directive bind. */
interface PortToOpen {
  readonly port: number;
  /** The directive that named the port, for messages. */
  readonly directive: string;
  readonly door: Door;
}

/** Who says whether a client may come in. */
export interface ListenerHost {
  /** Whether there is room for one more client, besides `arriving` ones that are not clients yet. */
  hasRoom(arriving: number): boolean;
  /** A client was dropped without a word, since nothing can be said before TLS is set up. */
  dropped(): void;
  /** A client is here; over TLS, it has shaken hands. */
  accept(socket: Socket, door: Door): void;
}

/** The sockets on which a node waits for clients. */
export class Listeners {
  private readonly servers: Server[] = [];
  private tls: TlsDoors | undefined;

  constructor(
    private readonly config: Config,
    private readonly logger: Logger,
    private readonly host: ListenerHost,
  ) {}

  /**
   * Opens the ports and the socket file that the configuration names.
   * @throws Error with the address that failed, TlsError where TLS cannot be as it is configured
   */
  async open(): Promise<void> {
    const { values } = this.config;
    const places = this.places();
    if (places.some(({ door }) => door.tls))
      this.tls = new TlsDoors(this.config, this.logger, (socket, door) => this.host.accept(socket, door));
    for (const place of places) await this.openPort(place);
    if (values.unixsocket !== '') await this.openPath(values.unixsocket, values.unixsocketperm);
  }

  /** The ports of the configuration; each gets a listener on each address. */
  private places(): PortToOpen[] {
    const { values } = this.config;
    const places: PortToOpen[] = [];
    if (values.port !== 0) places.push({ port: values.port, directive: 'port', door: PLAIN_DOOR });
    if (values['tls-port'] !== 0)
      places.push({ port: values['tls-port'], directive: 'tls-port', door: PLAIN_TLS_DOOR });
    const tls = nodesUseTls(values);
    for (const { port, keyspace } of values['cluster-port'])
      places.push({ port, directive: 'cluster-port', door: { kind: 'cluster', keyspace, tls } });
    return places;
  }

  /** Takes no more connections; those that are open stay. */
  close(): void {
    for (const server of this.servers) server.close();
    const { unixsocket } = this.config.values;
    if (unixsocket !== '') rmSync(unixsocket, { force: true });
  }

  private async openPort(place: PortToOpen): Promise<void> {
    const { bind } = this.config.values;
    let opened = 0;
    for (const address of bind) if (await this.openAddress(address, place)) opened++;
    if (opened === 0) throw new Error(`none of the addresses of bind could be opened: ${bind.join(' ')}`);
  }

  /**
   * An address written with a leading `-` may be missing on this machine.
   * @returns whether it is there
   */
  private async openAddress(written: string, { port, directive, door }: PortToOpen): Promise<boolean> {
    const optional = written.startsWith('-');
    const address = optional ? written.slice(1) : written;
    try {
      const host = address === '*' ? '0.0.0.0' : address;
      await this.listen({ host, port, ipv6Only: host.includes(':') }, door);
      return true;
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? cause.code : '';
      if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return false;
      const reason = code === 'EADDRINUSE' ? 'another program listens there' : String(code || cause);
      throw new Error(
        `cannot listen on ${address}:${port}: ${reason}. Choose another with --${directive} or --bind.`,
        { cause },
      );
    }
  }

  private async openPath(path: string, mode: number): Promise<void> {
    rmSync(path, { force: true });
    await this.listen({ path }, PLAIN_DOOR);
    if (mode !== 0) chmodSync(path, mode);
  }

  private listen(
    where: { path: string } | { host: string; port: number; ipv6Only: boolean },
    door: Door,
  ): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.arrive(socket, door),
    );
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ ...where, backlog: this.config.values['tcp-backlog'] }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.logger.warning(`listener: ${error.message}`));
        this.servers.push(server);
        resolve();
      });
    });
  }

  private arrive(socket: Socket, door: Door): void {
    if (!door.tls) this.host.accept(socket, door);
    else if (this.tls !== undefined && this.host.hasRoom(this.tls.handshakes)) this.tls.receive(socket, door);
    else {
      this.host.dropped();
      socket.destroy();
    }
  }
}
