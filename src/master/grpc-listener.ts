import type { Server as NetServer, Socket } from 'node:net';
import {
  logVerbosity,
  Server,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { openPort, socketServer } from '../cluster/listening.js';
import { KEEPALIVE_OPTIONS } from './channel.js';
import type { GrpcSecurity } from './credentials.js';

/** How long those who are connected have to hear how their calls end when the service does, milliseconds. */
const CLOSING_MS = 300;

/** A service that is to be offered on a port. */
export interface ServiceToOffer {
  /** As @grpc/proto-loader has it. */
  readonly methods: object;
  readonly implementation: UntypedServiceImplementation;
  readonly port: number;
  /** The directive that named the port. */
  readonly directive: string;
  /** What the service is, for the log. */
  readonly name: string;
  readonly messageBytesMax: number;
  readonly connectionsMax: number;
  /** Calls that may be under way on one connection. */
  readonly callsMax: number;
}

/** A port by which other processes reach a gRPC service, on the addresses of `bind`. */
export class GrpcListener {
  private listeners: NetServer[] = [];
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly injector: ReturnType<Server['createConnectionInjector']>,
    private readonly connectionsMax: number,
  ) {}

  /** @throws Error with a message for people */
  static async open(
    config: Config,
    logger: Pick<Logger, 'warning'>,
    security: GrpcSecurity,
    service: ServiceToOffer,
  ): Promise<GrpcListener> {
    setLogVerbosity(logVerbosity.NONE);
    const { bind } = config.values;
    const grpc = new Server({
      ...security.serverOptions(),
      ...KEEPALIVE_OPTIONS,
      'grpc.max_receive_message_length': service.messageBytesMax,
      'grpc.max_concurrent_streams': service.callsMax,
      'grpc.enable_channelz': 0,
    });
    grpc.addService(service.methods as ServiceDefinition, service.implementation);
    // gRPC is given connections, not ports: so it listens as all doors do, and takes no more than it should.
    const injector = grpc.createConnectionInjector(security.serverCredentials(bind));
    const listener = new GrpcListener(injector, service.connectionsMax);
    listener.listeners = await openPort({
      bind,
      port: service.port,
      directive: service.directive,
      backlog: config.values['tcp-backlog'],
      makeServer: () => socketServer(false, (socket) => listener.accept(socket)),
      warn: (message) => logger.warning(`${service.name}: ${message}`),
    });
    return listener;
  }

  /** Where it listens. */
  get port(): number {
    const address = this.listeners[0]?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  private accept(socket: Socket): void {
    if (this.sockets.size >= this.connectionsMax) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    this.injector.injectConnection(socket);
  }

  /**
   * Takes no more connections, and ends those there are.
   * @param endCalls has what is under way end, with words for who is at the other end
   */
  async close(endCalls: () => void): Promise<void> {
    for (const listener of this.listeners) listener.close();
    endCalls();
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
