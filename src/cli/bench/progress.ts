import { Presets, SingleBar } from 'cli-progress';
import type { RunObserver } from './coordinator.js';
import type { Moment } from './measurement.js';
import type { PhaseName } from './messages.js';
import { formatCount, formatLatency } from './report.js';

const WORDS: Readonly<Record<PhaseName, string>> = {
  connect: 'connecting …',
  load: 'writing all keys …',
  warmup: 'warming up …',
  measure: '',
  verify: 'reading what was written …',
  clean: 'deleting the keys …',
};

const FORMAT = '{bar} {percentage}% | {rate} ops/s now | p50 {p50} p99 {p99} | {errors} errors';

/** Shows on a terminal how a run goes: one line, which goes away. */
export class TerminalProgress implements RunObserver {
  #bar: SingleBar | undefined;

  constructor(
    readonly stream: NodeJS.WriteStream,
    readonly limits: { readonly operationsMax: number; readonly durationMs: number },
  ) {}

  phase(name: PhaseName): void {
    this.end();
    if (name !== 'measure') {
      this.stream.write(WORDS[name]);
      return;
    }
    this.#bar = new SingleBar(
      {
        format: FORMAT,
        stream: this.stream,
        clearOnComplete: true,
        hideCursor: true,
        barsize: 24,
        forceRedraw: true,
      },
      Presets.shades_classic,
    );
    this.#bar.start(1000, 0, { rate: '…', p50: '…', p99: '…', errors: '0' });
  }

  moment(moment: Moment): void {
    const { operationsMax, durationMs } = this.limits;
    const done = Math.max(moment.operations / operationsMax, moment.elapsedMs / durationMs);
    this.#bar?.update(Math.min(1000, Math.round(done * 1000)), {
      rate: formatCount(moment.operationsPerSecond),
      p50: formatLatency(moment.p50Us),
      p99: formatLatency(moment.p99Us),
      errors: formatCount(moment.errors),
    });
  }

  /** Takes the line away. */
  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
    this.stream.write('\r\x1b[K');
  }
}
