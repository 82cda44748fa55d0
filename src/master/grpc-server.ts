import type { Server as NetServer, Socket } from 'node:net';
import { logVerbosity, Server, type ServiceDefinition, setLogVerbosity } from '@grpc/grpc-js';
import type { Config } from '../base/config.js';
import { MASTER_CONNECTIONS_MAX, MASTER_MESSAGE_BYTES_MAX } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import { openPort } from '../cluster/listening.js';
import { KEEPALIVE_OPTIONS } from './channel.js';
import type { GrpcSecurity } from './credentials.js';
import type { Master } from './master.js';
import { masterMethods } from './proto.js';
import { masterService } from './service.js';

/** Streams of one connection; a node has two, and a call now and then. */
const STREAMS_MAX = 100;

/** How long those who are connected have to hear how their calls end when the master does, milliseconds. */
const CLOSING_MS = 300;

/** The port by which other processes reach a master. */
export class GrpcServer {
  private listeners: NetServer[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly master: Master,
    private readonly injector: ReturnType<Server['createConnectionInjector']>,
  ) {}

  /**
   * Opens the port on the addresses of `bind`.
   * @throws Error with a message for people
   */
  static async listen(
    config: Config,
    logger: Pick<Logger, 'warning'>,
    security: GrpcSecurity,
    master: Master,
    port: number,
  ): Promise<GrpcServer> {
    setLogVerbosity(logVerbosity.NONE);
    const { bind } = config.values;
    const grpc = new Server({
      ...security.serverOptions(),
      ...KEEPALIVE_OPTIONS,
      'grpc.max_receive_message_length': MASTER_MESSAGE_BYTES_MAX,
      'grpc.max_concurrent_streams': STREAMS_MAX,
      'grpc.enable_channelz': 0,
    });
    grpc.addService(masterMethods() as unknown as ServiceDefinition, masterService(master));
    // gRPC is given connections, not ports: so it listens as all doors do, and takes no more than it should.
    const server = new GrpcServer(master, grpc.createConnectionInjector(security.serverCredentials(bind)));
    server.listeners = await openPort({
      bind,
      port,
      directive: 'master-port',
      backlog: config.values['tcp-backlog'],
      accept: (socket) => server.accept(socket),
      warn: (message) => logger.warning(`master: ${message}`),
    });
    return server;
  }

  /** Where it listens. */
  get port(): number {
    const address = this.listeners[0]?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  private accept(socket: Socket): void {
    if (this.sockets.size >= MASTER_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    this.injector.injectConnection(socket);
  }

  /** Ends the master, and with it all conversations; then the connections. */
  async close(): Promise<void> {
    for (const listener of this.listeners) listener.close();
    this.master.close();
    this.injector.drain(CLOSING_MS);
    const gone = [...this.sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    const timer = setTimeout(() => {
      for (const socket of this.sockets) socket.destroy();
    }, CLOSING_MS);
    await Promise.all(gone);
    clearTimeout(timer);
  }
}
