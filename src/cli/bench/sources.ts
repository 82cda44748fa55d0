import { createDistribution, type Distribution, type DistributionChoice } from './distribution.js';
import { GROUP_KEYS } from './encoder.js';
import type { Operation, OperationSource, Step } from './operation.js';
import { Random } from './random.js';
import { does, type OperationName, type Share, type Workload } from './workload.js';

/** Keys that a `range` reads at most, as in YCSB's workload E. */
export const RANGE_KEYS_MAX = 100;

export interface SourceOptions {
  readonly workload: Workload;
  readonly distribution: DistributionChoice;
  /** The thread's own keys. */
  readonly keys: number;
  readonly valueSize: SizeRange;
  /** Keys of one MGET or MSET. */
  readonly batch: number;
  readonly seed: number;
  readonly thread: number;
  /** Whether commands of several keys must find them in one group, see Encoder. */
  readonly grouped: boolean;
  /** Whether all keys are written before the workload begins. */
  readonly loads: boolean;
}

/** Bytes, both included. */
export interface SizeRange {
  readonly min: number;
  readonly max: number;
}

/** How many keys a workload may write beyond those that it begins with. Insertions go round in all of them. */
export function capacityOf(workload: Workload, keys: number): number {
  return does(workload, 'insert') ? 2 * keys : keys;
}

const STEPS: Readonly<Record<OperationName, Step>> = {
  ping: 'ping',
  get: 'get',
  set: 'set',
  insert: 'set',
  del: 'del',
  exists: 'exists',
  incr: 'incr',
  mget: 'mget',
  mset: 'mset',
  range: 'mget',
  rmw: 'get',
};

/**
 * The operations of a workload: the same seed, options and thread give the same sequence (but that what is newest, for
 * `latest`, depends on what has been written by then).
 */
export class WorkloadSource implements OperationSource {
  readonly #random: Random;
  readonly #distribution: Distribution;
  readonly #capacity: number;
  readonly #totalWeight: number;
  #inserted = 0;
  #inserting = 0;
  #lastWritten = 0;

  constructor(readonly options: SourceOptions) {
    const { workload, distribution, keys, seed, thread } = options;
    this.#random = new Random(seed, thread);
    this.#capacity = capacityOf(workload, keys);
    this.#totalWeight = workload.shares.reduce((sum, share) => sum + share.weight, 0);
    this.#lastWritten = keys - 1;
    const inserts = does(workload, 'insert');
    const newest = () =>
      inserts ? (keys - 1 + this.#inserted - this.#inserting) % this.#capacity : this.#lastWritten;
    this.#distribution = createDistribution(distribution, keys, this.#random, newest, this.#capacity);
  }

  next(operation: Operation): boolean {
    const { operation: name } = this.#pick();
    operation.become(name, STEPS[name]);
    switch (name) {
      case 'ping':
        operation.keys.length = 0;
        break;
      case 'insert':
        operation.setKey((this.options.keys + this.#inserted++) % this.#capacity);
        this.#inserting++;
        break;
      case 'mget':
      case 'mset':
        this.#pickSeveral(operation.keys, this.options.batch);
        break;
      case 'range':
        this.#pickNeighbours(operation.keys, 1 + this.#random.below(RANGE_KEYS_MAX));
        break;
      default:
        operation.setKey(this.#distribution.next());
    }
    if (name === 'set' || name === 'insert' || name === 'mset' || name === 'rmw') this.#write(operation);
    return true;
  }

  finished(operation: Operation): void {
    if (operation.name === 'insert') this.#inserting--;
  }

  #pick(): Share {
    const { shares } = this.options.workload;
    if (shares.length === 1) return shares[0]!;
    let at = this.#random.float() * this.#totalWeight;
    for (const share of shares) {
      at -= share.weight;
      if (at < 0) return share;
    }
    return shares.at(-1)!;
  }

  #write(operation: Operation): void {
    const { min, max } = this.options.valueSize;
    const { keys, sizes } = operation;
    for (let i = 0; i < keys.length; i++) {
      sizes[i] = min === max ? min : min + this.#random.below(max - min + 1);
      this.#lastWritten = keys[i]!;
    }
  }

  /** Different keys, each as the distribution gives it; where that gives one again, the next that is free. */
  #pickSeveral(keys: number[], count: number): void {
    keys.length = 0;
    const several = Math.min(count, this.options.keys);
    if (this.options.grouped) {
      this.#pickNeighbours(keys, several);
      return;
    }
    while (keys.length < several) {
      let key = this.#distribution.next();
      while (keys.includes(key)) key = (key + 1) % this.#capacity;
      keys.push(key);
    }
  }

  /** A key and those after it, going round at the end of its group or of all keys. */
  #pickNeighbours(keys: number[], count: number): void {
    keys.length = 0;
    const key = this.#distribution.next();
    const start = this.options.grouped ? key - (key % GROUP_KEYS) : 0;
    const size = this.options.grouped ? Math.min(GROUP_KEYS, this.#capacity - start) : this.options.keys;
    const from = Math.min(key - start, size - 1);
    for (let i = 0; i < Math.min(count, size); i++) keys.push(start + ((from + i) % size));
  }
}

/** One operation for each number below a count that `includes`, in order. */
export class SweepSource implements OperationSource {
  #at = 0;

  constructor(
    readonly name: OperationName,
    readonly step: Step,
    readonly count: number,
    readonly includes: (number: number) => boolean = () => true,
    readonly valueBytes: () => number = () => 0,
  ) {}

  next(operation: Operation): boolean {
    while (this.#at < this.count) {
      const number = this.#at++;
      if (!this.includes(number)) continue;
      operation.become(this.name, this.step);
      operation.setKey(number);
      if (this.step === 'set') operation.sizes[0] = this.valueBytes();
      return true;
    }
    return false;
  }
}

/** Several sources, one after the other. */
export class Chain implements OperationSource {
  #at = 0;

  constructor(readonly sources: readonly OperationSource[]) {}

  next(operation: Operation): boolean {
    for (; this.#at < this.sources.length; this.#at++)
      if (this.sources[this.#at]!.next(operation)) return true;
    return false;
  }
}
