/** Time, as a parameter: tests move it by hand. */
export interface Timers {
  /** Unix milliseconds. */
  now(): number;
  /**
   * Runs something once, later.
   * @returns what calls it off
   */
  after(delayMs: number, run: () => void): () => void;
}

/** Resolves after so many milliseconds. */
export function pauseFor(timers: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(ms, resolve);
  });
}

export const SYSTEM_TIMERS: Timers = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
