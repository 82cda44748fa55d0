/** How fast copies may be made: a number of bytes a second that all feeds of a store share. */
export class CopyRate {
  /** Bytes that were sent and are not paid for with time, as of {@link atMs}. */
  private owed = 0;
  /** Unix milliseconds. */
  private atMs = 0;

  /** @param bytesPerSecond asked each time, so that it can be changed; 0 = no limit */
  constructor(private readonly bytesPerSecond: () => number) {}

  /** Takes note of what has been sent. */
  spend(bytes: number, nowMs: number): void {
    this.owed = this.dueMs(nowMs) === 0 ? bytes : this.owed + bytes;
  }

  /** How long until the next piece may be sent, milliseconds: under the rate as it is now. */
  dueMs(nowMs: number): number {
    const rate = this.bytesPerSecond();
    const paid = (Math.max(0, nowMs - this.atMs) * rate) / 1000;
    this.atMs = nowMs;
    this.owed = rate === 0 ? 0 : Math.max(0, this.owed - paid);
    return rate === 0 ? 0 : (this.owed / rate) * 1000;
  }

  /**
   * The same for work that rests besides, milliseconds from `sinceMs` on. A clock that was set back must not hold anything
   * up.
   */
  waitMs(restMs: number, sinceMs: number, nowMs: number): number {
    const restedMs = nowMs - sinceMs;
    return Math.max(restedMs < 0 ? 0 : restMs - restedMs, this.dueMs(nowMs));
  }
}
