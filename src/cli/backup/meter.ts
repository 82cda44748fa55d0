import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../admin-actions.js';
import type { ProgressBar } from '../progress.js';
import { bytesText, count } from '../words.js';

/** How much is shown at most, milliseconds between. */
const SHOW_EVERY_MS = 100;
/** The rate is that of so long, milliseconds. */
const RATE_OVER_MS = 5000;

/** How much there is to do, as far as it is known. */
export interface MeterTotal {
  readonly keys: number;
  /** 0 = not known: then it is measured by keys. */
  readonly bytes: number;
}

export interface MeterOptions {
  /** What is done, for people. */
  readonly phase: string;
  total(): MeterTotal;
  /** Undefined = no limit. */
  readonly bytesPerSecond?: number | undefined;
  /** Somebody does not want it to go on. */
  readonly stop?: AbortSignal | undefined;
}

/** How far a backup or a restore has come, and how fast it may go. */
export class Meter {
  keys = 0;
  bytes = 0;
  private isGivenUp = false;
  private shownAtMs = 0;
  private readonly startMs = performance.now();
  /** When what has been spent is paid for. */
  private paidAtMs = 0;
  private samples: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(
    private readonly bar: ProgressBar,
    private readonly options: MeterOptions,
  ) {}

  get seconds(): number {
    return (performance.now() - this.startMs) / 1000;
  }

  /** A part of it has failed: the others are not to go on. */
  giveUp(): void {
    this.isGivenUp = true;
  }

  /** @throws Refusal when it is not to go on */
  add(keys: number, bytes: number): void {
    if (this.isGivenUp || this.options.stop?.aborted === true)
      throw new Refusal(`${this.options.phase} was given up`);
    this.keys += keys;
    this.bytes += bytes;
    const nowMs = performance.now();
    if (nowMs - this.shownAtMs < SHOW_EVERY_MS) return;
    this.shownAtMs = nowMs;
    this.show(nowMs);
  }

  /** What was done so far of something is to be done again. */
  takeBack(keys: number, bytes: number): void {
    this.keys -= keys;
    this.bytes -= bytes;
  }

  private show(nowMs: number): void {
    this.samples.push({ atMs: nowMs, bytes: this.bytes });
    while (this.samples.length > 2 && nowMs - this.samples[0]!.atMs > RATE_OVER_MS) this.samples.shift();
    const first = this.samples[0]!;
    const seconds = (nowMs - first.atMs) / 1000;
    const rate = seconds > 0 ? Math.max(0, (this.bytes - first.bytes) / seconds) : 0;
    const known = this.options.total();
    const done = known.bytes > 0 ? this.bytes : this.keys;
    const total = Math.max(known.bytes > 0 ? known.bytes : known.keys, done);
    const left = done > 0 ? ((total - done) / done) * this.seconds : 0;
    const parts = [`${count(this.keys, 'key')} of ${Math.max(known.keys, this.keys)}`, bytesText(this.bytes)];
    if (rate > 0) parts.push(`${bytesText(rate)}/s`);
    if (left > 0) parts.push(`${Math.ceil(left)} s left`);
    this.bar.show({ done, total, phase: `${this.options.phase}: ${parts.join(', ')}` });
  }

  /** Waits until so many bytes may go. */
  async spend(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.options;
    if (bytesPerSecond === undefined) return;
    const nowMs = performance.now();
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + (bytes / bytesPerSecond) * 1000;
    await pause(this.paidAtMs - nowMs);
  }

  clear(): void {
    this.bar.clear();
  }
}
