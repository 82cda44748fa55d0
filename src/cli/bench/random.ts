/**
 * A seeded generator, xoshiro128** (Blackman and Vigna 2018), its state filled by splitmix32: fast with 32-bit
 * integers, and the same sequence for a seed on every machine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed a non-negative integer below 2^53 @param stream tells generators of one seed apart */
  constructor(seed: number, stream = 0) {
    let state = (Math.imul(stream + 1, 0x9e3779b1) ^ Math.floor(seed / 2 ** 32) ^ (seed >>> 0)) >>> 0;
    const fill = () => {
      state = (state + 0x9e3779b9) | 0;
      return mix(state);
    };
    this.#a = fill();
    this.#b = fill();
    this.#c = fill();
    this.#d = fill() | 1;
  }

  /** 32 random bits, as an unsigned integer. */
  bits(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** In [0, 1). */
  float(): number {
    return this.bits() / 2 ** 32;
  }

  /** An integer in [0, count); `count` up to 2^32. */
  below(count: number): number {
    return Math.floor(this.float() * count);
  }
}

/** The finalizer of MurmurHash3 (Appleby): every bit of the input changes each bit of the result half of the time. */
export function mix(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
