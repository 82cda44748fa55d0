import { performance } from 'node:perf_hooks';
import type { Arguments } from '../base/arguments.js';
import type { CommandStatistics } from '../base/command-statistics.js';
import { SLOWLOG_ARGUMENT_BYTES_MAX, SLOWLOG_ARGUMENTS_MAX } from '../base/limits.js';
import type { Command } from '../commands/table.js';
import type { SlowCommand } from './protocol.js';

/** Measures commands that run one after the other, with one reading of the clock each. */
export class CommandClock {
  /** Commands measured so far. */
  commands = 0;
  private slow: SlowCommand[] = [];
  private readMs = 0;

  constructor(private readonly statistics: CommandStatistics) {}

  /** Begins a run of commands. */
  start(): void {
    this.readMs = performance.now();
  }

  /**
   * A command has run since the last call.
   * @param clientId 0 for the node itself, whose commands are nobody's statistics
   * @param slowMicroseconds from which time on it is kept for SLOWLOG; −1 = never
   */
  lap(
    command: Command,
    args: Arguments,
    clientId: number,
    failed: boolean,
    slowMicroseconds: number,
    unixMs: number,
  ): void {
    const nowMs = performance.now();
    const microseconds = ((nowMs - this.readMs) * 1000) | 0;
    this.readMs = nowMs;
    this.commands++;
    if (clientId === 0) return;
    this.statistics.record(command.index, microseconds, failed);
    if (slowMicroseconds < 0 || microseconds < slowMicroseconds || command.flags.includes('skip_slowlog'))
      return;
    this.slow.push({ clientId, command: command.index, microseconds, unixMs, arguments: shortened(args) });
  }

  /** The slow commands since the last call. */
  takeSlow(): readonly SlowCommand[] {
    const { slow } = this;
    if (slow.length > 0) this.slow = [];
    return slow;
  }
}

/** Arguments as SLOWLOG keeps them: the first ones, and of each the first bytes. */
function shortened(args: Arguments): readonly string[] {
  const kept = Math.min(args.count, SLOWLOG_ARGUMENTS_MAX);
  const texts: string[] = [];
  for (let index = 0; index < kept; index++) {
    if (index === SLOWLOG_ARGUMENTS_MAX - 1 && args.count > kept) {
      texts.push(`... (${args.count - kept + 1} more arguments)`);
      break;
    }
    const extra = args.byteLength(index) - SLOWLOG_ARGUMENT_BYTES_MAX;
    texts.push(
      extra <= 0
        ? args.text(index)
        : `${args.bytes(index).latin1Slice(0, SLOWLOG_ARGUMENT_BYTES_MAX)}... (${extra} more bytes)`,
    );
  }
  return texts;
}
