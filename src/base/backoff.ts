const DELAY_MIN_MS = 100;
/** Less than a master waits for stores once the first one has come, so that all of them are there by then. */
const DELAY_MAX_MS = 1000;

/** How long to wait before something is tried again: not at all, then a little, then longer, up to a second. */
export class Backoff {
  private baseMs = 0;

  /** @param random gives a number from 0 to 1: those who lost the same master must not all come back at once */
  constructor(private readonly random: () => number = Math.random) {}

  get delayMs(): number {
    return this.baseMs * (0.75 + this.random() / 2);
  }

  grow(): void {
    this.baseMs = Math.min(DELAY_MAX_MS, Math.max(DELAY_MIN_MS, this.baseMs * 2));
  }

  reset(): void {
    this.baseMs = 0;
  }
}
