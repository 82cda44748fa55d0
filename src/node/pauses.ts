/** So many of the latest pauses are kept for their distribution. */
const PAUSES_KEPT_MAX = 1024;

/** Bounds by which pauses are counted, milliseconds. */
export const PAUSE_BOUNDS_MS = [
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
] as const;

/** How many pauses there were, since the store was started. */
export interface PauseCounts {
  /** Those no longer than each of the bounds. */
  readonly within: readonly number[];
  readonly all: number;
  readonly sumMs: number;
}

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
  private readonly within = new Array<number>(PAUSE_BOUNDS_MS.length).fill(0);
  private count = 0;
  private maxMs = 0;
  private sumMs = 0;

  note(ms: number): void {
    this.latest[this.count++ % PAUSES_KEPT_MAX] = ms;
    this.maxMs = Math.max(this.maxMs, ms);
    this.sumMs += ms;
    for (const [index, boundMs] of PAUSE_BOUNDS_MS.entries()) if (ms <= boundMs) this.within[index]!++;
  }

  get counts(): PauseCounts {
    return { within: [...this.within], all: this.count, sumMs: this.sumMs };
  }

  get summary(): PauseSummary {
    const sorted = this.latest.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
    return { count: this.count, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: this.maxMs };
  }
}
