import { networkInterfaces } from 'node:os';
import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { PeerCredentials } from '../cluster/links-credentials.js';
import { nodesUseTls } from '../cluster/tls-settings.js';
import type { Master } from '../master/master.js';
import type { Membership } from '../node/membership.js';
import type { Store, StoreEvents } from '../node/store.js';
import { RespServer } from '../resp/server.js';
import { rereadOnHangup } from './hangup.js';
import { announcedHost } from './identity.js';
import { type MetricsDoor, openMetricsDoor } from './metrics-door.js';
import {
  announceProgram,
  boundAddresses,
  onEndingSignals,
  openLog,
  removePidFile,
  writePidFile,
} from './process.js';

/** A node's tie to its cluster. */
export interface Tie {
  /** The master, where it is in this process. */
  readonly master?: Master;
  /** Does ahead of time, when all doors are open, what would keep clients waiting later. */
  warmUp?(): Promise<void>;
  /** Ends it: the node is about to close its data. */
  close(): Promise<void>;
}

/** What distinguishes one kind of node from another. */
export interface NodeKind {
  readonly role: Membership['role'];
  /** @throws Error with a message for people */
  openStore(config: Config, logger: Logger, events: StoreEvents): Promise<Store>;
  /** Gives the store its manager, and has it hear of topologies. The doors are opened afterwards. */
  join(config: Config, logger: Logger, store: Store): Promise<Tie>;
  /** Where the data is, or comes from: a line of the log. */
  describe(config: Config): string;
}

/**
 * Runs a node: opens the data, then the doors, and stays until SIGTERM, SIGINT or SHUTDOWN.
 * @throws Error with a message for people when it cannot start
 */
export async function runNode(config: Config, kind: NodeKind): Promise<void> {
  const { values } = config;
  if (nodesUseTls(values) && values['tls-port'] === 0 && kind.role !== 'gateway')
    throw new Error('with tls-cluster yes, other nodes reach this one by its tls-port: set it');
  const peers = PeerCredentials.of(config);
  const logger = openLog(config);
  let server: RespServer | undefined;
  const store = await kind.openStore(config, logger, {
    slowCommand: (command) => server?.accountSlow(command),
    watchesLost: (routes) => server?.loseWatches(routes),
    watchesSwapped: (routes) => server?.databasesSwapped(routes),
    failed: (error) => {
      logger.warning(`cannot go on: ${error.message}`);
      process.exit(1);
    },
  });
  store.membership.role = kind.role;
  store.membership.host = announcedHost(values['cluster-announce-host'], values.bind, networkInterfaces);
  let ending: Promise<void> | undefined;
  let tie: Tie | undefined;
  let metrics: MetricsDoor | undefined;
  const shutdown = (cause: string): Promise<void> => {
    ending ??= end(cause, logger, { config, store, server: server!, tie, metrics });
    return ending;
  };
  server = new RespServer(config, logger, store, peers, () => void shutdown('SHUTDOWN'));
  try {
    tie = await kind.join(config, logger, store);
    const { master } = tie;
    metrics = await openMetricsDoor(config, logger, { role: kind.role, server, master });
    await server.listen();
  } catch (error) {
    metrics?.close();
    await server.close();
    await tie?.close();
    await store.close();
    throw error;
  }
  onEndingSignals(shutdown);
  rereadOnHangup(config, logger);
  writePidFile(config, logger);
  announce(config, logger, kind);
  await tie.warmUp?.();
}

interface Running {
  readonly config: Config;
  readonly store: Store;
  readonly server: RespServer;
  readonly tie: Tie | undefined;
  readonly metrics: MetricsDoor | undefined;
}

async function end(
  cause: string,
  logger: Logger,
  { config, store, server, tie, metrics }: Running,
): Promise<void> {
  logger.notice(`${cause}: finishing what is under way`);
  let exitCode = 0;
  try {
    metrics?.close();
    await server.close();
    await tie?.close();
    await store.save();
    await store.close();
    removePidFile(config);
    logger.notice(store.id === '' ? 'bye' : 'all data is on disk; bye');
  } catch (error) {
    logger.warning(`did not end cleanly: ${(error as Error).message}`);
    exitCode = 1;
  }
  process.exit(exitCode);
}

/** Tells where everything is, and how to connect. */
function announce(config: Config, logger: Logger, kind: NodeKind): void {
  const { values } = config;
  announceProgram(logger);
  logger.notice(kind.describe(config));
  const addresses = boundAddresses(config);
  if (values.port !== 0) {
    logger.notice(`RESP on port ${values.port} of ${addresses}`);
    logger.notice(`connect with: redis-cli -p ${values.port}`);
  }
  if (values['tls-port'] !== 0) {
    logger.notice(`RESP over TLS on port ${values['tls-port']} of ${addresses}`);
    const certificate = values['tls-auth-clients'] === 'yes' ? ' --cert FILE --key FILE' : '';
    logger.notice(`connect with: redis-cli -p ${values['tls-port']} --tls --cacert FILE${certificate}`);
  }
  for (const { port, keyspace } of values['cluster-port'])
    logger.notice(`Redis Cluster protocol for keyspace ${keyspace} on port ${port}: redis-cli -c -p ${port}`);
  if (values.unixsocket !== '') logger.notice(`connect with: redis-cli -s ${values.unixsocket}`);
}
