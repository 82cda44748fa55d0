const SAMPLE_EVERY_MS = 100;
/** Samples over which a rate is the mean: 1.6 seconds, as in Redis. */
const SAMPLES = 16;

/** A figure that only grows, but for CONFIG RESETSTAT. */
export type Counter = () => number;

/** How much a counter grows a second, at present. */
export interface Rate {
  readonly perSecond: number;
}

class SampledRate implements Rate {
  private readonly samples: number[] = [];
  private last = 0;

  constructor(private readonly counter: Counter) {}

  get perSecond(): number {
    const { samples } = this;
    return samples.length === 0 ? 0 : samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
  }

  sample(elapsedMs: number): void {
    const value = this.counter();
    // A counter that was reset begins again at zero.
    const grown = value >= this.last ? value - this.last : value;
    this.last = value;
    this.samples.push((grown * 1000) / elapsedMs);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }
}

/** Reads counters ten times a second, to tell rates: INFO's instantaneous figures. */
export class Rates {
  private readonly rates: SampledRate[] = [];
  private sampledAtMs = performance.now();
  private readonly timer: NodeJS.Timeout;

  constructor() {
    this.timer = setInterval(() => this.sample(performance.now()), SAMPLE_EVERY_MS);
    this.timer.unref();
  }

  /** @param counter zero at first; it is not read before the first sample */
  of(counter: Counter): Rate {
    const rate = new SampledRate(counter);
    this.rates.push(rate);
    return rate;
  }

  /** @param nowMs a clock that never goes back */
  sample(nowMs: number): void {
    const elapsedMs = nowMs - this.sampledAtMs;
    if (elapsedMs <= 0) return;
    this.sampledAtMs = nowMs;
    for (const rate of this.rates) rate.sample(elapsedMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
