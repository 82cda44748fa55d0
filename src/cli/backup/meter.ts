import { setTimeout as pause } from 'node:timers/promises';
import type { ProgressBar } from '../progress.js';
import { bytesText, count } from '../words.js';

/** How much is shown at most, milliseconds between. */
const SHOW_EVERY_MS = 100;
/** The rate is that of so long, milliseconds. */
const RATE_OVER_MS = 5000;

/** How far a backup or a restore has come, and how fast it may go. */
export class Meter {
  keys = 0;
  bytes = 0;
  private shownAtMs = 0;
  private readonly startMs = performance.now();
  /** When what has been spent is paid for. */
  private paidAtMs = 0;
  private samples: { readonly atMs: number; readonly bytes: number }[] = [];

  /**
   * @param phase what is done, for people
   * @param keysTotal an estimate
   * @param bytesPerSecond undefined = no limit
   */
  constructor(
    private readonly bar: ProgressBar,
    private readonly phase: string,
    private readonly keysTotal: () => number,
    private readonly bytesPerSecond: number | undefined,
  ) {}

  get seconds(): number {
    return (performance.now() - this.startMs) / 1000;
  }

  add(keys: number, bytes: number): void {
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
    const total = Math.max(this.keysTotal(), this.keys);
    const elapsed = this.seconds;
    const left = this.keys > 0 && total > this.keys ? ((total - this.keys) / this.keys) * elapsed : 0;
    const parts = [`${count(this.keys, 'key')} of ${total}`, bytesText(this.bytes)];
    if (rate > 0) parts.push(`${bytesText(rate)}/s`);
    if (left > 0) parts.push(`${Math.ceil(left)} s left`);
    this.bar.show({ done: this.keys, total, phase: `${this.phase}: ${parts.join(', ')}` });
  }

  /** Waits until so many bytes may go. */
  async spend(bytes: number): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const nowMs = performance.now();
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + (bytes / this.bytesPerSecond) * 1000;
    await pause(this.paidAtMs - nowMs);
  }

  clear(): void {
    this.bar.clear();
  }
}
