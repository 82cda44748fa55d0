import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import type { Subject } from '../metrics/metrics.js';
import { boundAddresses } from './process.js';

/** The port on which Prometheus is answered. */
export interface MetricsDoor {
  close(): void;
}

/** Opens it where one is wanted: then only is what makes metrics loaded. @throws Error with a message for people */
export async function openMetricsDoor(
  config: Config,
  logger: Logger,
  subject: Subject,
): Promise<MetricsDoor | undefined> {
  const port = config.values['metrics-port'];
  if (port === 0) return undefined;
  const { openMetrics } = await import('../metrics/metrics.js');
  const door = await openMetrics(config, logger, subject);
  logger.notice(`Prometheus metrics at /metrics on port ${port} of ${boundAddresses(config)}`);
  return door;
}
