import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Config } from '../base/config.js';
import type { Values } from '../base/directives.js';
import { TLS_HANDSHAKE_TIMEOUT_MS, TLS_HANDSHAKES_MAX, TLS_SESSIONS_MAX } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import { explainContext, SERVER_TLS_DIRECTIVES, type ServerTls, serverTls } from '../cluster/tls-settings.js';
import type { Door } from './listeners.js';

/**
 * TLS in front of doors: connections go in as they come from the network, and to `accept` once they have shaken hands.
 * CONFIG SET of a directive of TLS makes new settings from newly read files; connections that are open keep theirs.
 */
export class TlsDoors {
  private settings: ServerTls;
  /** By door, since sessions are resumed at the door where they began; they listen to nothing themselves. */
  private servers = new Map<Door, Server>();
  private underWay = 0;

  /** @throws TlsError when the configuration cannot be served */
  constructor(
    private readonly config: Config,
    private readonly logger: Pick<Logger, 'verbose' | 'warning'>,
    private readonly accept: (socket: Socket, door: Door) => void,
  ) {
    this.settings = this.read();
    for (const name of SERVER_TLS_DIRECTIVES) config.onChange(name, () => this.reload());
  }

  /** Clients that are shaking hands. */
  get handshakes(): number {
    return this.underWay;
  }

  receive(socket: Socket, door: Door): void {
    // A client that breaks off at once must not end the process; TLS hears of it, too.
    socket.on('error', () => socket.destroy());
    if (this.underWay >= TLS_HANDSHAKES_MAX) {
      socket.destroy();
      return;
    }
    this.underWay++;
    // Whoever hangs up before the end of the handshake is forgotten at once; afterwards it may still await replies.
    socket.allowHalfOpen = false;
    this.serverOf(door).emit('connection', socket);
  }

  private read(): ServerTls {
    const settings = serverTls(this.config.values);
    try {
      createServer(settings.context);
    } catch (error) {
      throw explainContext(error);
    }
    if (settings.identity.validUntilMs < Date.now())
      this.logger.warning(
        `the certificate in tls-cert-file ${this.config.values['tls-cert-file']} has expired; clients that check it will not connect`,
      );
    return settings;
  }

  /** @returns why the settings cannot be; then the ones in force stay */
  private reload(): string | undefined {
    try {
      this.settings = this.read();
    } catch (error) {
      return `Unable to update TLS configuration: ${(error as Error).message}`;
    }
    this.servers = new Map();
    return undefined;
  }

  private serverOf(door: Door): Server {
    let server = this.servers.get(door);
    if (server === undefined) {
      server = this.create(door, this.settings);
      this.servers.set(door, server);
    }
    return server;
  }

  /** Every connection that goes in comes out by exactly one of the two events. */
  private create(door: Door, { context, asksForCertificate, needsCertificate }: ServerTls): Server {
    const options: TlsOptions = {
      ...context,
      handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
      requestCert: asksForCertificate,
      rejectUnauthorized: needsCertificate,
    };
    const server = createServer(options, (socket) => {
      this.underWay--;
      socket.allowHalfOpen = true;
      const refused = refusalOf(socket, asksForCertificate);
      if (refused === undefined) this.accept(socket, door);
      else this.failed(socket, refused);
    });
    server.on('tlsClientError', (error, socket) => {
      this.underWay--;
      this.failed(socket, reasonOf(error));
    });
    const { values } = this.config;
    if (values['tls-session-caching']) keepSessions(server, values);
    return server;
  }

  private failed(socket: TLSSocket, reason: string): void {
    socket.on('error', () => socket.destroy());
    socket.destroy();
    const from = socket.remoteAddress === undefined ? '' : ` from ${socket.remoteAddress}`;
    this.logger.verbose(`TLS connection${from} refused: ${reason}`);
  }
}

/** Where certificates are optional, a client without one may come in; one with a bad one may not. */
function refusalOf(socket: TLSSocket, asksForCertificate: boolean): string | undefined {
  if (!asksForCertificate || socket.authorized || socket.getPeerX509Certificate() === undefined)
    return undefined;
  return String(socket.authorizationError);
}

/** OpenSSL's reason without the places of its source. */
function reasonOf(error: Error): string {
  return 'reason' in error ? String(error.reason) : error.message;
}

/** Sessions of clients without tickets, the oldest forgotten first. */
function keepSessions(server: Server, values: Values): void {
  const sessions = new Map<string, { readonly data: Buffer; readonly endsAtMs: number }>();
  const countMax = Math.min(values['tls-session-cache-size'] || TLS_SESSIONS_MAX, TLS_SESSIONS_MAX);
  const lifeMs = values['tls-session-cache-timeout'] * 1000;
  server.on('newSession', (id: Buffer, data: Buffer, done: () => void) => {
    sessions.set(id.latin1Slice(), { data, endsAtMs: Date.now() + lifeMs });
    for (const oldest of sessions.keys()) {
      if (sessions.size <= countMax) break;
      sessions.delete(oldest);
    }
    done();
  });
  server.on('resumeSession', (id: Buffer, done: (error: Error | null, data: Buffer | null) => void) => {
    const found = sessions.get(id.latin1Slice());
    done(null, found !== undefined && found.endsAtMs > Date.now() ? found.data : null);
  });
}
