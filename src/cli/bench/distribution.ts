import type { Random } from './random.js';

/** Which keys are asked for, and how often; numbers are in [0, keys). */
export interface Distribution {
  next(): number;
}

export type DistributionName = 'uniform' | 'zipf' | 'sequential' | 'latest';

export interface DistributionChoice {
  readonly name: DistributionName;
  /** Of zipf and latest: the greater, the fewer keys get the most of the load. */
  readonly exponent: number;
}

/** What YCSB takes. */
export const ZIPF_EXPONENT = 0.99;

/**
 * @param keys how many there are
 * @param newest gives the number of the newest key, for `latest`, which takes the `keys` newest
 * @param capacity how many keys the ring has in which the newest goes round
 */
export function createDistribution(
  choice: DistributionChoice,
  keys: number,
  random: Random,
  newest: () => number,
  capacity = keys,
): Distribution {
  switch (choice.name) {
    case 'uniform':
      return { next: () => random.below(keys) };
    case 'sequential': {
      let at = 0;
      return { next: () => at++ % keys };
    }
    case 'zipf': {
      const zipf = new Zipf(keys, choice.exponent, random);
      const spread = spreader(keys);
      return { next: () => spread(zipf.next()) };
    }
    case 'latest': {
      const zipf = new Zipf(keys, choice.exponent, random);
      return { next: () => (newest() - zipf.next() + capacity) % capacity };
    }
  }
}

/** Primes below 2^21: their product with a key number is exact in a double. */
const SPREADING_PRIMES = [1_299_709, 1_299_721, 1_299_743];

/**
 * A permutation of [0, keys) that puts neighbours far apart, so that popular keys do not lie together (what YCSB
 * calls scrambled, without its collisions): multiplication by a number that has no divisor in common with `keys`.
 */
function spreader(keys: number): (index: number) => number {
  const factor = SPREADING_PRIMES.find((prime) => keys % prime !== 0) ?? 1;
  return (index) => (index * factor) % keys;
}

/**
 * Ranks in [0, count) of which rank r comes with probability proportional to 1 / (r + 1)^exponent, by
 * rejection-inversion: W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", ACM TOMACS 6 (1996). Exact, and without the sum over all ranks that other methods start with. The
 * integral of the hat is written with expm1(x)/x and log1p(x)/x, so that an exponent of (nearly) 1 is no special case.
 */
export class Zipf {
  readonly #integralFirst: number;
  readonly #integralLast: number;
  readonly #squeeze: number;

  constructor(
    readonly count: number,
    readonly exponent: number,
    readonly random: Random,
  ) {
    this.#integralFirst = this.#integral(1.5) - 1;
    this.#integralLast = this.#integral(count + 0.5);
    this.#squeeze = 2 - this.#inverse(this.#integral(2.5) - this.#density(2));
  }

  next(): number {
    for (;;) {
      const u = this.#integralLast + this.random.float() * (this.#integralFirst - this.#integralLast);
      const x = this.#inverse(u);
      const rank = Math.min(this.count, Math.max(1, Math.floor(x + 0.5)));
      if (rank - x <= this.#squeeze || u >= this.#integral(rank + 0.5) - this.#density(rank)) return rank - 1;
    }
  }

  #density(x: number): number {
    return Math.exp(-this.exponent * Math.log(x));
  }

  /** (x^(1 − exponent) − 1) / (1 − exponent), and log x where that is its limit. */
  #integral(x: number): number {
    const log = Math.log(x);
    return expm1Ratio((1 - this.exponent) * log) * log;
  }

  #inverse(y: number): number {
    const t = Math.max(-1, y * (1 - this.exponent));
    return Math.exp(log1pRatio(t) * y);
  }
}

const SMALL = 1e-8;

function expm1Ratio(x: number): number {
  return Math.abs(x) > SMALL ? Math.expm1(x) / x : 1 + x / 2;
}

function log1pRatio(x: number): number {
  return Math.abs(x) > SMALL ? Math.log1p(x) / x : 1 - x / 2;
}
