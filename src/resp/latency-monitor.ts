import type { Config } from '../base/config.js';
import type { Command } from '../commands/table.js';

/** Times at which something took long, by kind of event: LATENCY. */
export class LatencyMonitor {
  constructor(readonly config: Config) {}

  /** Takes note of a command's time if it reaches latency-monitor-threshold. */
  sampleCommand(_command: Command, _microseconds: number): void {}
}
