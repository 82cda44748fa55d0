/** So many of the latest pauses are kept for their distribution. */
const PAUSES_KEPT_MAX = 1024;

/** How long something stood still, each time. */
export interface PauseSummary {
  /** How often, since the store was started. */
  readonly count: number;
  /** Of the latest 1024, milliseconds; 0 = there were none. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of all, milliseconds. */
  readonly maxMs: number;
}

/** The times for which shards took no commands because they were handed over. */
export class Pauses {
  private readonly latest: number[] = [];
  private count = 0;
  private maxMs = 0;

  note(ms: number): void {
    this.latest[this.count++ % PAUSES_KEPT_MAX] = ms;
    this.maxMs = Math.max(this.maxMs, ms);
  }

  get summary(): PauseSummary {
    const sorted = this.latest.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
    return { count: this.count, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: this.maxMs };
  }
}
