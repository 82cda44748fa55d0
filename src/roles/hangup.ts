import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';

/** Has SIGHUP read certificates and secrets again, which a process without CONFIG SET needs for renewing them. */
export function rereadOnHangup(config: Config, logger: Logger): void {
  process.on('SIGHUP', () => {
    const refused = config.reread();
    if (refused === undefined) logger.notice('SIGHUP: certificates and secrets were read again');
    else logger.warning(`SIGHUP: what was in force stays, because of ${refused}`);
  });
}
