import type { Config } from '../base/config.js';
import type { Command } from '../commands/table.js';

/** Samples that are kept of each kind of event. */
export const LATENCY_SAMPLES_MAX = 160;

export interface LatencySample {
  readonly unixSeconds: number;
  readonly milliseconds: number;
}

/** The samples of one kind of event. */
export interface LatencyEvent {
  readonly name: string;
  /** Oldest first. */
  readonly samples: readonly LatencySample[];
  /** The worst since the last reset, whether or not its sample is still kept. */
  readonly worstMs: number;
}

interface Recording {
  samples: LatencySample[];
  worstMs: number;
}

/** Times at which something took long, by kind of event: LATENCY. One sample a second, the worst of it. */
export class LatencyMonitor {
  private readonly recordings = new Map<string, Recording>();

  /** @param nowMs the clock, Unix milliseconds */
  constructor(
    readonly config: Config,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Takes note of a command's time if it reaches latency-monitor-threshold. */
  sampleCommand(command: Command, microseconds: number): void {
    const thresholdMs = this.config.values['latency-monitor-threshold'];
    const milliseconds = Math.floor(microseconds / 1000);
    if (thresholdMs === 0 || milliseconds < thresholdMs) return;
    this.sample(command.flags.includes('fast') ? 'fast-command' : 'command', milliseconds);
  }

  /** The kinds of events that have samples. */
  events(): LatencyEvent[] {
    return [...this.recordings].map(([name, { samples, worstMs }]) => ({ name, samples, worstMs }));
  }

  event(name: string): LatencyEvent | undefined {
    return this.events().find((event) => event.name === name);
  }

  /** Forgets the kinds named, or all. @returns how many had samples */
  reset(names?: readonly string[]): number {
    const before = this.recordings.size;
    for (const name of names ?? [...this.recordings.keys()]) this.recordings.delete(name);
    return before - this.recordings.size;
  }

  private sample(name: string, milliseconds: number): void {
    let recording = this.recordings.get(name);
    if (recording === undefined) {
      recording = { samples: [], worstMs: 0 };
      this.recordings.set(name, recording);
    }
    const { samples } = recording;
    recording.worstMs = Math.max(recording.worstMs, milliseconds);
    const unixSeconds = Math.floor(this.nowMs() / 1000);
    const last = samples[samples.length - 1];
    if (last?.unixSeconds === unixSeconds) {
      if (milliseconds > last.milliseconds) samples[samples.length - 1] = { unixSeconds, milliseconds };
      return;
    }
    samples.push({ unixSeconds, milliseconds });
    if (samples.length > LATENCY_SAMPLES_MAX) samples.shift();
  }
}
