/** How fast copies may be made: a number of bytes a second that all feeds of a store share. */
export class CopyRate {
  /** When what was sent so far will be paid for, Unix milliseconds. */
  private paidAtMs = 0;

  /** @param bytesPerSecond asked each time, so that it can be changed; 0 = no limit */
  constructor(private readonly bytesPerSecond: () => number) {}

  /**
   * Takes note of what has been sent.
   * @returns when the next piece may be, Unix milliseconds
   */
  spend(bytes: number, nowMs: number): number {
    const rate = this.bytesPerSecond();
    if (rate === 0) return nowMs;
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + (bytes / rate) * 1000;
    return this.paidAtMs;
  }
}
