import type { Config } from '../base/config.js';
import { MASTER_CONNECTIONS_MAX, MASTER_MESSAGE_BYTES_MAX } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import type { GrpcSecurity } from './credentials.js';
import { GrpcListener } from './grpc-listener.js';
import type { Master } from './master.js';
import { masterMethods } from './proto.js';
import { masterService } from './service.js';

/** Streams of one connection; a node has two, and a call now and then. */
const STREAMS_MAX = 100;

/** The port by which other processes reach a master. */
export class GrpcServer {
  private constructor(
    private readonly master: Master,
    private readonly listener: GrpcListener,
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
    const listener = await GrpcListener.open(config, logger, security, {
      methods: masterMethods(),
      implementation: masterService(master),
      port,
      directive: 'master-port',
      name: 'master',
      messageBytesMax: MASTER_MESSAGE_BYTES_MAX,
      connectionsMax: MASTER_CONNECTIONS_MAX,
      callsMax: STREAMS_MAX,
    });
    return new GrpcServer(master, listener);
  }

  /** Where it listens. */
  get port(): number {
    return this.listener.port;
  }

  /** Ends the master, and with it all conversations; then the connections. */
  close(): Promise<void> {
    return this.listener.close(() => this.master.close());
  }
}
