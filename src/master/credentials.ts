import type { Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import {
  type CallCredentials,
  ChannelCredentials,
  type ClientOptions,
  credentials,
  InterceptingCall,
  type Interceptor,
  type Metadata,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerOptions,
  status,
} from '@grpc/grpc-js';
import type { Config } from '../base/config.js';
import type { Values } from '../base/directives.js';
import { TLS_HANDSHAKE_TIMEOUT_MS } from '../base/limits.js';
import { peerTlsOptions } from '../cluster/links-credentials.js';
import { NodeSecrets } from '../cluster/secrets.js';
import type { TlsValues } from '../cluster/tls-files.js';
import {
  clientTls,
  explainContext,
  nodesShowCertificates,
  nodesUseTls,
  SERVER_TLS_DIRECTIVES,
  type ServerTls,
  serverTls,
} from '../cluster/tls-settings.js';

/** Binary, so that a secret may be of any characters. */
const SECRET_HEADER = 'vasto-secret-bin';

/** What refuses strangers at gRPC, on either side. Made from the configuration, whose changes it follows. */
export class GrpcSecurity {
  private constructor(
    private readonly config: Config,
    private readonly secrets: NodeSecrets,
  ) {}

  /** @throws Error where a file that the configuration names cannot be used */
  static of(config: Config): GrpcSecurity {
    if (nodesUseTls(config.values)) {
      try {
        createSecureContext(clientTls(config.values));
      } catch (error) {
        throw explainContext(error);
      }
    }
    return new GrpcSecurity(config, NodeSecrets.of(config));
  }

  /**
   * For Server.bindAsync. New connections get renewed certificates once CONFIG SET has had them read.
   * @param addresses on which the server is to listen
   * @throws Error when strangers could come in, or TLS cannot be as it is configured
   */
  serverCredentials(addresses: readonly string[]): ServerCredentials {
    const { values } = this.config;
    const refusal = refuseExposed(values, this.secrets, addresses);
    if (refusal !== undefined) throw new Error(refusal);
    if (!nodesUseTls(values)) return ServerCredentials.createInsecure();
    const made = new TlsServerCredentials(readTls(values));
    for (const name of SERVER_TLS_DIRECTIVES) this.config.onChange(name, () => made.reload(values));
    return made;
  }

  /** For the constructor of Server: calls without the secret end with UNAUTHENTICATED before any handler hears of them. */
  serverOptions(): Pick<ServerOptions, 'interceptors'> {
    return { interceptors: [secretChecker(this.secrets)] };
  }

  /**
   * For a client's constructor. Files that cannot be used any more, of which there were none at the start, make
   * connections fail and nothing else: a node goes on without its master.
   */
  channelCredentials(): ChannelCredentials {
    const { values } = this.config;
    return nodesUseTls(values) ? new TlsChannelCredentials(values) : ChannelCredentials.createInsecure();
  }

  /** For a client's constructor: has each call show the secret. */
  clientOptions(): Pick<ClientOptions, 'interceptors'> {
    return { interceptors: [secretShower(this.secrets)] };
  }
}

/** Why listening on these addresses would let anybody in; undefined when it would not. Protected mode, for gRPC. */
export function refuseExposed(
  values: Pick<Values, 'protected-mode'> & TlsValues,
  secrets: NodeSecrets,
  addresses: readonly string[],
): string | undefined {
  if (!values['protected-mode'] || secrets.areNeeded || nodesShowCertificates(values)) return undefined;
  const exposed = addresses.find((address) => !isLoopback(address));
  if (exposed === undefined) return undefined;
  return `refusing to listen for other nodes on ${exposed}: anybody who reaches it could take part in the cluster. Set cluster-secret (the same on all nodes), or tls-cluster yes with tls-auth-clients yes, or bind 127.0.0.1; or set protected-mode no if only trusted machines reach that address.`;
}

function isLoopback(written: string): boolean {
  const address = written.replace(/^-/, '').replace(/^\[(.*)\]$/, '$1');
  return /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+|localhost)$/i.test(address);
}

function readTls(values: TlsValues): ServerTls {
  try {
    const settings = serverTls(values);
    createSecureContext(settings.context);
    return settings;
  } catch (error) {
    throw explainContext(error);
  }
}

/**
 * grpc-js's own have no passphrases, versions, ciphers and renewal. Certificates are asked for only where all must
 * show one, since nothing at gRPC would refuse a bad one of a client that need not have any.
 */
class TlsServerCredentials extends ServerCredentials {
  private readonly needsCertificate: boolean;

  constructor({ context, needsCertificate }: ServerTls) {
    const whom = { requestCert: needsCertificate, rejectUnauthorized: needsCertificate };
    super({ ...whom, handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS }, context);
    this.needsCertificate = needsCertificate;
  }

  /** @returns why the settings cannot be; then the ones in force stay */
  reload(values: TlsValues): string | undefined {
    try {
      const { context, needsCertificate } = readTls(values);
      if (needsCertificate !== this.needsCertificate)
        return 'whether other nodes must show certificates is fixed at start: restart with another tls-auth-clients';
      this.updateSecureContextOptions(context);
      return undefined;
    } catch (error) {
      return `Unable to update TLS configuration: ${(error as Error).message}`;
    }
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/** Reads its files each time it connects, so that renewed certificates count from then on. */
class TlsChannelCredentials extends ChannelCredentials {
  constructor(private readonly values: TlsValues) {
    super();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    { path }: { readonly path: string },
    _options: unknown,
    callCredentials: CallCredentials = credentials.createEmpty(),
  ): Connector {
    return {
      connect: (socket) => this.shakeHands(socket, hostOf(path)),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  private shakeHands(socket: Socket, host: string): Promise<{ socket: Socket; secure: boolean }> {
    return new Promise((resolve, reject) => {
      const options = peerTlsOptions(this.values, host);
      const secure = connectTls({ ...options, socket, ALPNProtocols: ['h2'] });
      const closed = () => reject(new Error('the connection was closed during the TLS handshake'));
      secure.setTimeout(TLS_HANDSHAKE_TIMEOUT_MS, () =>
        secure.destroy(new Error('the TLS handshake took too long')),
      );
      secure.once('close', closed);
      // Stays, for what comes between the handshake and HTTP/2.
      secure.on('error', reject);
      secure.once('secureConnect', () => {
        secure.setTimeout(0);
        secure.off('close', closed);
        resolve({ socket: secure, secure: true });
      });
    });
  }
}

/** The host of `host:port` or `[address]:port`. */
function hostOf(path: string): string {
  return path.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

function secretShower(secrets: NodeSecrets): Interceptor {
  return (options, next) =>
    new InterceptingCall(next(options), {
      start: (metadata, listener, start) => {
        if (secrets.shown !== undefined) metadata.set(SECRET_HEADER, Buffer.from(secrets.shown, 'utf8'));
        start(metadata, listener);
      },
    });
}

function secretChecker(secrets: NodeSecrets): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, accept) => {
            const refusal = refuseSecret(secrets, metadata);
            metadata.remove(SECRET_HEADER);
            if (refusal === undefined) accept(metadata);
            else call.sendStatus({ code: status.UNAUTHENTICATED, details: refusal });
          },
        }),
    });
}

/** Why a call is refused, for the log of whoever made it; undefined when it is not. */
export function refuseSecret(secrets: NodeSecrets, metadata: Metadata): string | undefined {
  const [given] = metadata.get(SECRET_HEADER);
  const secret = Buffer.isBuffer(given) ? given.toString('utf8') : undefined;
  if (secrets.accepts(secret)) return undefined;
  return secret === undefined
    ? 'nodes of this cluster show a secret: set cluster-secret'
    : 'wrong secret: cluster-secret must be the same on all nodes of a cluster';
}
