/**
 * Calls, time and failures of each command, and the distribution of its times, in memory that all threads see:
 * workers count, the front reports. One instance a thread writes to, so counting needs no lock.
 */
export class CommandStatistics {
  readonly shared: SharedArrayBuffer;
  private readonly totals: Float64Array;
  private readonly buckets: Uint32Array;

  /** @param shared the memory of another instance, to read it from another thread */
  constructor(
    readonly commandCount: number,
    shared?: SharedArrayBuffer,
  ) {
    const totalBytes = commandCount * FIELDS * Float64Array.BYTES_PER_ELEMENT;
    this.shared =
      shared ?? new SharedArrayBuffer(totalBytes + commandCount * BUCKETS * Uint32Array.BYTES_PER_ELEMENT);
    this.totals = new Float64Array(this.shared, 0, commandCount * FIELDS);
    this.buckets = new Uint32Array(this.shared, totalBytes, commandCount * BUCKETS);
  }

  /** @param index place of the command in the table */
  record(index: number, microseconds: number, failed: boolean): void {
    const at = index * FIELDS;
    const { totals } = this;
    totals[at]! += 1;
    totals[at + 1]! += microseconds;
    if (failed) totals[at + 2]! += 1;
    const bucket = 32 - Math.clz32(microseconds);
    this.buckets[index * BUCKETS + bucket]! += 1;
  }

  /** A call that was refused before it ran. */
  reject(index: number): void {
    this.totals[index * FIELDS + 3]! += 1;
  }

  /** Calls of all commands. */
  calls(): number {
    let sum = 0;
    for (let at = 0; at < this.totals.length; at += FIELDS) sum += this.totals[at]!;
    return sum;
  }

  /** @param index place of the command in the table */
  callsOf(index: number): number {
    return this.totals[index * FIELDS]!;
  }

  read(index: number): CommandTotals {
    const at = index * FIELDS;
    return {
      calls: this.totals[at]!,
      microseconds: this.totals[at + 1]!,
      failed: this.totals[at + 2]!,
      rejected: this.totals[at + 3]!,
      buckets: Array.from(this.buckets.subarray(index * BUCKETS, (index + 1) * BUCKETS)),
    };
  }

  clear(): void {
    this.totals.fill(0);
    this.buckets.fill(0);
  }
}

export interface CommandTotals {
  readonly calls: number;
  readonly microseconds: number;
  readonly failed: number;
  readonly rejected: number;
  /** Element n: calls that took at least 2^(n−1) and less than 2^n microseconds; element 0: less than 1. */
  readonly buckets: readonly number[];
}

const FIELDS = 4;
const BUCKETS = 33;

/** Adds the totals of several threads up. */
export function sumTotals(parts: readonly CommandTotals[]): CommandTotals {
  return parts.reduce((sum, part) => ({
    calls: sum.calls + part.calls,
    microseconds: sum.microseconds + part.microseconds,
    failed: sum.failed + part.failed,
    rejected: sum.rejected + part.rejected,
    buckets: sum.buckets.map((count, index) => count + part.buckets[index]!),
  }));
}
