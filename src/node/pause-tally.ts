/** Bounds by which pauses are told apart, milliseconds: the longest that a hand-over may take is among them. */
export const PAUSE_BOUNDS_MS = [
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
] as const;

/** How often commands of a shard had to wait for something, and how long that was. */
export class PauseTally {
  private readonly within = new Array<number>(PAUSE_BOUNDS_MS.length).fill(0);
  private all = 0;
  private sumMs = 0;

  /** @param ms how long a pause was that is over */
  add(ms: number): void {
    this.all++;
    this.sumMs += ms;
    for (const [index, boundMs] of PAUSE_BOUNDS_MS.entries()) if (ms <= boundMs) this.within[index]!++;
  }

  get count(): number {
    return this.all;
  }

  get totalMs(): number {
    return this.sumMs;
  }

  /** How many were no longer than each of the bounds. */
  get counts(): readonly number[] {
    return this.within;
  }
}
