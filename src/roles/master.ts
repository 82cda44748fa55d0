import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { MASTER_PORT } from '../cluster/manager.js';
import type { GrpcServer } from '../master/grpc-server.js';
import { Master, SETTLE_MS } from '../master/master.js';
import { rereadOnHangup } from './hangup.js';
import { openMaster } from './master-door.js';
import { type MetricsDoor, openMetricsDoor } from './metrics-door.js';
import { announceProgram, onEndingSignals, openLog, removePidFile, writePidFile } from './process.js';
import { warmUp } from './warm-up.js';

/**
 * `vasto master`: knows the stores that are connected to it, and has them hold keyspaces. It stays until SIGTERM or
 * SIGINT, and leaves nothing behind.
 * @throws Error with a message for people when it cannot start
 */
export async function serveMaster(config: Config): Promise<void> {
  const { values } = config;
  const logger = openLog(config);
  const master = new Master({
    clusterId: values['cluster-id'],
    settleMs: SETTLE_MS,
    failoverAfterMs: () => config.values['failover-after-ms'],
    logger,
  });
  announceProgram(logger);
  const server = await openMaster(config, logger, master, values['master-port'] || MASTER_PORT);
  const metrics = await openMetrics(config, logger, master, server);
  let ending: Promise<void> | undefined;
  const end = async (cause: string): Promise<void> => {
    logger.notice(`${cause}: stores and gateways go on without this master`);
    metrics?.close();
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
  await warmUp();
}

async function openMetrics(
  config: Config,
  logger: Logger,
  master: Master,
  server: GrpcServer,
): Promise<MetricsDoor | undefined> {
  try {
    return await openMetricsDoor(config, logger, { role: 'master', master });
  } catch (error) {
    await server.close();
    throw error;
  }
}
