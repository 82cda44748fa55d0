import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { Config } from '../base/config.js';
import { METRICS_CONNECTIONS_MAX } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import { openPort } from '../cluster/listening.js';
import type { Exposition } from './exposition.js';

const PATH = '/metrics';

/** How long a client has for its request, and may keep a connection without one, milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** What a request's headers may come to. */
const HEADER_BYTES_MAX = 16 << 10;

/** The port on which Prometheus is answered. */
export class MetricsEndpoint {
  private readonly servers: HttpServer[] = [];
  /** What is being gathered: who asks meanwhile gets the same. */
  private gathering: Promise<Exposition> | undefined;

  private constructor(
    private readonly gather: () => Promise<Exposition>,
    private readonly logger: Pick<Logger, 'warning'>,
  ) {}

  /**
   * Opens it, on the addresses of `bind`.
   * @param gather what is told, made anew at each call
   * @throws Error with a message for people
   */
  static async open(
    { values }: Pick<Config, 'values'>,
    logger: Pick<Logger, 'warning'>,
    gather: () => Promise<Exposition>,
  ): Promise<MetricsEndpoint> {
    const endpoint = new MetricsEndpoint(gather, logger);
    await openPort({
      bind: values.bind,
      port: values['metrics-port'],
      directive: 'metrics-port',
      backlog: METRICS_CONNECTIONS_MAX,
      makeServer: () => endpoint.makeServer(),
      warn: (message) => logger.warning(`metrics: ${message}`),
    });
    return endpoint;
  }

  /** Takes no more requests, and drops those under way. */
  close(): void {
    for (const server of this.servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  private makeServer(): HttpServer {
    const server = createServer(
      {
        requestTimeout: REQUEST_TIMEOUT_MS,
        headersTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
        maxHeaderSize: HEADER_BYTES_MAX,
      },
      (request, response) => void this.answer(request, response),
    );
    server.maxConnections = METRICS_CONNECTIONS_MAX;
    this.servers.push(server);
    return server;
  }

  private async answer({ method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (url.split('?')[0] !== PATH) refuse(response, 404, `metrics are at ${PATH}`);
    else if (method !== 'GET' && method !== 'HEAD')
      refuse(response.setHeader('Allow', 'GET, HEAD'), 405, 'GET only');
    else
      try {
        const { contentType, text } = await this.shared();
        response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) });
        response.end(text);
      } catch (error) {
        const reason = `metrics could not be gathered: ${(error as Error).message}`;
        this.logger.warning(reason);
        refuse(response, 500, reason);
      }
  }

  private shared(): Promise<Exposition> {
    this.gathering ??= this.gather().finally(() => {
      this.gathering = undefined;
    });
    return this.gathering;
  }
}

function refuse(response: ServerResponse, status: number, text: string): void {
  // What comes of a body is not waited for.
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' });
  response.end(`${text}\n`);
}
