import type { Config } from '../base/config.js';
import { MASTER_PORT } from '../cluster/manager.js';
import { GrpcSecurity } from '../master/credentials.js';
import { GrpcServer } from '../master/grpc-server.js';
import { Master, SETTLE_MS } from '../master/master.js';
import { rereadOnHangup } from './hangup.js';
import {
  announceProgram,
  boundAddresses,
  onEndingSignals,
  openLog,
  removePidFile,
  writePidFile,
} from './process.js';

/**
 * `vasto master`: knows the stores that are connected to it, and has them hold keyspaces. It stays until SIGTERM or
 * SIGINT, and leaves nothing behind.
 * @throws Error with a message for people when it cannot start
 */
export async function serveMaster(config: Config): Promise<void> {
  const { values } = config;
  const security = GrpcSecurity.of(config);
  const logger = openLog(config);
  const master = new Master({ clusterId: values['cluster-id'], settleMs: SETTLE_MS, logger });
  const port = values['master-port'] || MASTER_PORT;
  let server: GrpcServer;
  try {
    server = await GrpcServer.listen(config, logger, security, master, port);
  } catch (error) {
    master.close();
    throw error;
  }
  let ending: Promise<void> | undefined;
  const end = async (cause: string): Promise<void> => {
    logger.notice(`${cause}: stores and gateways go on without this master`);
    await server.close();
    removePidFile(config);
    process.exit(0);
  };
  onEndingSignals((signal) => {
    ending ??= end(signal);
    return ending;
  });
  rereadOnHangup(config, logger);
  writePidFile(config, logger);
  announceProgram(logger);
  logger.notice(`master on port ${port} of ${boundAddresses(config)}`);
  logger.notice(`join with: vasto store --master HOST:${port}`);
}
