import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, TLSSocket } from 'node:tls';
import type { Config } from '../base/config.js';
import { NodeSecrets } from './secrets.js';
import type { TlsValues } from './tls-files.js';
import { clientTls, explainContext, nodesShowCertificates, nodesUseTls } from './tls-settings.js';
import type { StoreEntry } from './topology.js';

/** Where a node is reached: the parts of a store's entry that matter for that. */
export type PeerAddress = Pick<StoreEntry, 'host' | 'port' | 'tlsPort'>;

/** A connection that is being opened. */
export interface PeerConnection {
  readonly socket: Socket;
  /** The event after which it can be written to. */
  readonly readyEvent: 'connect' | 'secureConnect';
  readonly port: number;
}

/** What whoever sent VASTO.PEER has to show for being a node. */
export interface PeerClaim {
  readonly socket: Socket;
  readonly secret: string | undefined;
  /** Whether the connection may run commands as it is: there is no password, or it has given it. */
  readonly isAuthenticated: boolean;
}

/** How nodes connect to each other's doors, and what they know each other by, for links that forward commands. */
export class PeerCredentials {
  private constructor(
    private readonly values: TlsValues,
    readonly secrets: NodeSecrets,
  ) {}

  /** @throws Error where files that the configuration names cannot be used */
  static of(config: Config): PeerCredentials {
    if (nodesUseTls(config.values)) clientTls(config.values);
    return new PeerCredentials(config.values, NodeSecrets.of(config));
  }

  /**
   * Begins to connect to the door of a node. The files of TLS are read each time, so that renewed certificates count
   * from then on.
   * @returns why that cannot be, where it cannot
   */
  openSocket({ host, port, tlsPort }: PeerAddress): PeerConnection | string {
    if (!nodesUseTls(this.values)) {
      if (port === 0)
        return 'it has no port for other nodes; set port there, or tls-cluster yes on all nodes';
      const socket = connect({ host, port, noDelay: true, keepAlive: true });
      return { socket, readyEvent: 'connect', port };
    }
    if (tlsPort === 0)
      return 'it has no tls-port, by which nodes with tls-cluster reach each other; set it there';
    try {
      const socket = connectTls({ ...peerTlsOptions(this.values, host), port: tlsPort });
      socket.setNoDelay().setKeepAlive(true);
      return { socket, readyEvent: 'secureConnect', port: tlsPort };
    } catch (error) {
      return explainContext(error).message;
    }
  }

  /**
   * Whether whoever sent VASTO.PEER may be a node. Since a node speaks for clients who have given their password
   * elsewhere, this must never be easier than giving it.
   * @returns undefined when it may, otherwise why not, for the error reply
   */
  refusal({ socket, secret, isAuthenticated }: PeerClaim): string | undefined {
    const byCertificate = nodesShowCertificates(this.values);
    if (byCertificate && !(socket instanceof TLSSocket && socket.authorized))
      return 'nodes of this cluster show certificates: come by the tls-port, with tls-cluster yes';
    if (this.secrets.areNeeded) {
      if (this.secrets.accepts(secret)) return undefined;
      return secret === undefined
        ? 'nodes of this cluster show a secret: set cluster-secret'
        : 'wrong secret: cluster-secret must be the same on all nodes of a cluster';
    }
    if (byCertificate || isAuthenticated) return undefined;
    return 'this node has a password and nothing to know other nodes by: set cluster-secret on all nodes';
  }
}

/** How to connect to a node by TLS. Authorities vouch for nodes; names count only with tls-check-host-names. */
export function peerTlsOptions(values: TlsValues, host: string): ConnectionOptions {
  return {
    ...clientTls(values),
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(values['tls-check-host-names'] ? {} : { checkServerIdentity: () => undefined }),
  };
}
