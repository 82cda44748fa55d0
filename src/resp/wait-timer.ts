const TIMER_MAX_MS = 2 ** 31 - 1;

/** Keeps the time of a client that waits, by a clock that nobody sets. */
export class WaitTimer {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    /** As performance.now() has it; 0 = never. */
    readonly deadlineMs: number,
    private readonly due: () => void,
  ) {
    this.start();
  }

  private start(): void {
    if (this.deadlineMs === 0) return;
    const leftMs = this.deadlineMs - performance.now();
    if (leftMs <= 0) this.timer = setTimeout(() => this.due(), 0);
    else this.timer = setTimeout(() => this.start(), Math.min(Math.ceil(leftMs), TIMER_MAX_MS));
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
