import type { Config } from '../base/config.js';
import type { Values } from '../base/directives.js';
import type { Logger } from '../base/logger.js';
import { GrpcSecurity } from '../master/credentials.js';
import type { Store } from '../node/store.js';
import { PeerClients } from '../peers/client.js';
import { PeerServer } from '../peers/server.js';

/** How far the port for other stores is from that for clients, where nothing else is said. */
const PEER_PORT_DISTANCE = 10_000;
const PORT_MAX = 65_535;

/** A store's way to other stores, and theirs to it. */
export interface Peers {
  /** By which others reach this one; 0 = they do not. */
  readonly port: number;
  /** Ends all feeds. */
  close(): Promise<void>;
}

/** The port by which other stores reach this one; 0 = none. @throws Error with a message for people */
export function peerPortOf({
  port,
  'tls-port': tlsPort,
  'peer-port': named,
}: Pick<Values, 'port' | 'tls-port' | 'peer-port'>): number {
  if (named >= 0) return named;
  const base = port || tlsPort;
  if (base === 0) return 0;
  if (base + PEER_PORT_DISTANCE > PORT_MAX)
    throw new Error(
      `there is no port ${base + PEER_PORT_DISTANCE} for other stores (port + ${PEER_PORT_DISTANCE}): choose one with --peer-port, or none with --peer-port 0`,
    );
  return base + PEER_PORT_DISTANCE;
}

/**
 * Opens the port for other stores, and has this one follow those that it is to follow.
 * @throws Error with a message for people
 */
export async function openPeers(config: Config, logger: Logger, store: Store): Promise<Peers> {
  const { feeds } = store;
  const port = peerPortOf(config.values);
  const security = GrpcSecurity.of(config);
  const clients = new PeerClients(security);
  const server = port === 0 ? undefined : await PeerServer.listen(config, logger, security, feeds, port);
  feeds.start((entry) => clients.connect(entry));
  return {
    port,
    close: async () => {
      const ended = feeds.close();
      await server?.close(() => undefined);
      await ended;
      clients.close();
    },
  };
}
