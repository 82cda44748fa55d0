/** Keys of a thread whose writes are followed; what lies beyond is checked for being whole, not for being fresh. */
export const TRACKED_KEYS_MAX = 1 << 24;

/**
 * What the writes of one thread allow its reads to return.
 *
 * Every write gets a stamp when it is sent, which its value carries. A write is surely dead for a read if some other
 * write to the key was sent after the first was acknowledged, and was acknowledged itself before the read was sent
 * (linearizability, for writes whose intervals do not overlap). So for each key a floor is kept: all writes with a
 * lower stamp are dead. A write that is sent notes the stamp of the oldest write on its way to the same key; when it is
 * acknowledged, that becomes the floor. Exact sets of writes on their way would be dear, so they form two generations
 * a key: the first write on its way starts one, those sent meanwhile the other, which takes the first's place when the
 * first is empty. This can only make the floor lower than it might be, never wrong.
 *
 * A write whose fate is unknown (its connection broke, or it got an error) stays on its way for ever: it may still
 * take effect.
 */
export class WriteTracker {
  readonly #floor: Float64Array;
  readonly #olderStart: Float64Array;
  readonly #newerStart: Float64Array;
  readonly #olderCount: Uint32Array;
  readonly #newerCount: Uint32Array;
  #deleted: Float64Array | undefined;
  #stamp = 0;

  constructor(readonly keys: number) {
    const size = Math.min(keys, TRACKED_KEYS_MAX);
    this.#floor = new Float64Array(size);
    this.#olderStart = new Float64Array(size);
    this.#newerStart = new Float64Array(size);
    this.#olderCount = new Uint32Array(size);
    this.#newerCount = new Uint32Array(size);
  }

  nextStamp(): number {
    return ++this.#stamp;
  }

  /**
   * Notes that a write is sent.
   * @returns the stamp below which all writes will be dead when this one is acknowledged
   */
  sent(key: number, stamp: number): number {
    if (key >= this.#floor.length) return 0;
    if (this.#olderCount[key] === 0) {
      this.#olderCount[key] = 1;
      this.#olderStart[key] = stamp;
      return stamp;
    }
    if (this.#newerCount[key]!++ === 0) this.#newerStart[key] = stamp;
    return this.#olderStart[key]!;
  }

  /** Notes that a deletion was sent, which is a write as well. */
  deletionSent(key: number, stamp: number): void {
    this.#deleted ??= new Float64Array(this.#floor.length);
    if (key < this.#deleted.length) this.#deleted[key] = stamp;
  }

  /** @param dominated what `sent` gave for the write */
  acknowledged(key: number, stamp: number, dominated: number): void {
    if (key >= this.#floor.length) return;
    if (this.#newerCount[key]! > 0 && stamp >= this.#newerStart[key]!) this.#newerCount[key]!--;
    else if (--this.#olderCount[key]! === 0 && this.#newerCount[key]! > 0) {
      this.#olderCount[key] = this.#newerCount[key]!;
      this.#olderStart[key] = this.#newerStart[key]!;
      this.#newerCount[key] = 0;
    }
    if (dominated > this.#floor[key]!) this.#floor[key] = dominated;
  }

  /** What a read that is sent now may not return less than; 0 while no write of this run to the key is known done. */
  floor(key: number): number {
    return key < this.#floor.length ? this.#floor[key]! : 0;
  }

  /** Whether a read whose floor was `floor` may find nothing. */
  mayBeAbsent(key: number, floor: number): boolean {
    return floor === 0 || (this.#deleted?.[key] ?? 0) >= floor;
  }
}

/** What a thread knows of the counters it increments. */
export class CounterTracker {
  /** What each was before the run. */
  readonly #base: Float64Array;
  readonly #acknowledged: Float64Array;
  readonly #unknown: Float64Array;
  readonly #highest: Float64Array;

  constructor(readonly counters: number) {
    this.#base = new Float64Array(counters);
    this.#acknowledged = new Float64Array(counters);
    this.#unknown = new Float64Array(counters);
    this.#highest = new Float64Array(counters);
  }

  setBase(counter: number, value: number): void {
    this.#base[counter] = value;
    this.#highest[counter] = value;
  }

  /** The highest value any increment has returned so far: one sent now must return more. */
  highest(counter: number): number {
    return this.#highest[counter]!;
  }

  acknowledged(counter: number, value: number): void {
    this.#acknowledged[counter]!++;
    if (value > this.#highest[counter]!) this.#highest[counter] = value;
  }

  /** Notes an increment that may or may not have happened. */
  unknown(counter: number): void {
    this.#unknown[counter]!++;
  }

  wasTouched(counter: number): boolean {
    return this.#acknowledged[counter]! + this.#unknown[counter]! > 0;
  }

  /** The least and the most that a counter may be at the end. */
  range(counter: number): readonly [number, number] {
    const least = this.#base[counter]! + this.#acknowledged[counter]!;
    return [least, least + this.#unknown[counter]!];
  }
}
