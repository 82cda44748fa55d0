import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { GrpcSecurity } from '../master/credentials.js';
import { GrpcServer } from '../master/grpc-server.js';
import type { Master } from '../master/master.js';
import { boundAddresses } from './process.js';

/** Lets other processes reach a master, which ends if that cannot be. @throws Error with a message for people */
export async function openMaster(
  config: Config,
  logger: Logger,
  master: Master,
  port: number,
): Promise<GrpcServer> {
  try {
    const server = await GrpcServer.listen(config, logger, GrpcSecurity.of(config), master, port);
    logger.notice(`master on port ${port} of ${boundAddresses(config)}`);
    logger.notice(`join with: vasto store --master HOST:${port}`);
    return server;
  } catch (error) {
    master.close();
    throw error;
  }
}
