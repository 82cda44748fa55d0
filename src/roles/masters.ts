import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { MasterClient } from '../master/client.js';
import { GrpcSecurity } from '../master/credentials.js';

/** How long a master has to answer a node before the next one is tried, milliseconds. */
const ANSWER_MS = 2000;

/** The way to the masters that the configuration names. @throws Error with a message for people */
export function mastersOf(config: Config, logger: Logger, role: string): MasterClient {
  const addresses = config.values.master;
  if (addresses.length === 0)
    throw new Error(`vasto ${role} joins a master: say where it is with --master host:port`);
  return new MasterClient({
    addresses,
    security: GrpcSecurity.of(config),
    answerMs: ANSWER_MS,
    // RemoteManager waits for the node to be taken in; a connection that breaks just then is no reason to wait longer.
    patienceMs: ANSWER_MS,
    logger,
  });
}

/** The masters, for the log. */
export function describeMasters({ values }: Config): string {
  return `master at ${values.master.join(', or ')}`;
}
