import { chmodSync, rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { listen, openPort, socketServer } from '../cluster/listening.js';
import { nodesUseTls } from '../cluster/tls-settings.js';
import { TlsDoors } from './tls-door.js';

/** The kind of port that a connection came in by. */
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
interface PlaceToListen {
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
    for (const place of places) await this.openDoor(place);
    if (values.unixsocket !== '') await this.openPath(values.unixsocket, values.unixsocketperm);
  }

  /** The ports of the configuration; each gets a listener on each address. */
  private places(): PlaceToListen[] {
    const { values } = this.config;
    const places: PlaceToListen[] = [];
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

  private async openDoor({ port, directive, door }: PlaceToListen): Promise<void> {
    const { values } = this.config;
    const servers = await openPort({
      bind: values.bind,
      port,
      directive,
      backlog: values['tcp-backlog'],
      makeServer: () => socketServer(true, (socket) => this.arrive(socket, door)),
      warn: (message) => this.logger.warning(message),
    });
    this.servers.push(...servers);
  }

  private async openPath(path: string, mode: number): Promise<void> {
    rmSync(path, { force: true });
    const server = await listen(
      { path, backlog: this.config.values['tcp-backlog'] },
      {
        makeServer: () => socketServer(true, (socket) => this.arrive(socket, PLAIN_DOOR)),
        warn: (message) => this.logger.warning(message),
      },
    );
    this.servers.push(server);
    if (mode !== 0) chmodSync(path, mode);
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
