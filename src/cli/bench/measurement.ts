import { performance } from 'node:perf_hooks';
import { decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { PhaseOutcome } from './engine.js';
import { createHistogram, noTallies, type Sample, type Tallies } from './recorder.js';
import { OPERATIONS, type OperationName } from './workload.js';

export interface OperationMeasurement {
  readonly tallies: Tallies;
  readonly latencies: Histogram;
}

/** How it goes just now. */
export interface Moment {
  readonly elapsedMs: number;
  /** So far. */
  readonly operations: number;
  readonly errors: number;
  /** Of about the last second. */
  readonly operationsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

interface Recent {
  readonly atMs: number;
  readonly operations: number;
  readonly latencies: Histogram;
}

const RECENT_MS = 1000;
const RECENT_MAX = 256;

/** Puts together what all threads have measured. */
export class Measurement {
  readonly #operations = new Map<OperationName, OperationMeasurement>();
  readonly #recent: Recent[] = [];
  #startMs = 0;
  #total = 0;
  #errors = 0;
  /** The longest of the threads', ms. */
  elapsedMs = 0;
  unsent = 0;
  /** Of the busiest thread, 0 to 1. */
  utilization = 0;

  begin(): void {
    this.#startMs = performance.now();
  }

  end(outcome: PhaseOutcome, utilization: number): void {
    this.elapsedMs = Math.max(this.elapsedMs, outcome.elapsedMs);
    this.unsent += outcome.unsent;
    this.utilization = Math.max(this.utilization, utilization);
  }

  /** What was measured, in the order of OPERATIONS. */
  get operations(): [OperationName, OperationMeasurement][] {
    return OPERATIONS.flatMap((name) => {
      const found = this.#operations.get(name);
      return found === undefined ? [] : [[name, found] as [OperationName, OperationMeasurement]];
    });
  }

  add(sample: Sample): Moment {
    const atMs = performance.now();
    const latencies = createHistogram();
    let operations = 0;
    for (const { name, latencies: encoded, ...tallies } of sample.operations) {
      const measured = this.#of(name);
      for (const key of Object.keys(tallies) as (keyof Tallies)[]) measured.tallies[key] += tallies[key];
      operations += tallies.operations;
      this.#errors += tallies.errors;
      if (encoded === undefined) continue;
      const histogram = decodeFromCompressedBase64(encoded, 32, false);
      measured.latencies.add(histogram);
      latencies.add(histogram);
    }
    this.#total += operations;
    this.#recent.push({ atMs, operations, latencies });
    while (this.#recent.length > RECENT_MAX || this.#recent[0]!.atMs < atMs - RECENT_MS) this.#recent.shift();
    return this.#moment(atMs);
  }

  #moment(atMs: number): Moment {
    const latencies = createHistogram();
    let operations = 0;
    for (const recent of this.#recent) {
      latencies.add(recent.latencies);
      operations += recent.operations;
    }
    const elapsedMs = atMs - this.#startMs;
    return {
      elapsedMs,
      operations: this.#total,
      errors: this.#errors,
      operationsPerSecond: (operations * 1000) / Math.max(1, Math.min(RECENT_MS, elapsedMs)),
      p50Us: latencies.getValueAtPercentile(50),
      p99Us: latencies.getValueAtPercentile(99),
    };
  }

  #of(name: OperationName): OperationMeasurement {
    let found = this.#operations.get(name);
    if (found === undefined) {
      found = { tallies: noTallies(), latencies: createHistogram() };
      this.#operations.set(name, found);
    }
    return found;
  }
}
