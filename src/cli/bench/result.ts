import type { Histogram } from 'hdr-histogram-js';
import { VERSION } from '../../base/version.js';
import { EXAMPLES_MAX } from './checker.js';
import type { Coordinator } from './coordinator.js';
import type { Measurement } from './measurement.js';
import type { ThreadResult } from './messages.js';
import { type BenchOptions, loads } from './options.js';
import { createHistogram, noTallies, type Tallies } from './recorder.js';

/** Latencies in microseconds. */
export interface LatencySummary {
  readonly mean: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p99_9: number;
  readonly max: number;
}

export interface OperationResult {
  readonly operations: number;
  readonly errors: number;
  readonly operationsPerSecond: number;
  readonly latencyUs: LatencySummary;
  /** Of RESP, both ways, in units of 10^6 bytes a second. */
  readonly megabytesPerSecond: { readonly sent: number; readonly received: number };
  /** Of the keys that were read, those that existed and those that did not. */
  readonly hits: number;
  readonly misses: number;
}

/** The result of a run, as --json prints it. The shape is documented in docs/BENCH.md: fields may be added, none changed. */
export interface BenchResult {
  readonly format: 1;
  readonly tool: { readonly name: 'vasto bench'; readonly version: string };
  readonly startedAt: string;
  readonly target: {
    readonly address: string;
    readonly door: 'plain' | 'cluster';
    readonly db: string | null;
    readonly resp: 2 | 3;
    readonly tls: boolean;
  };
  readonly load: {
    readonly workload: string;
    readonly mix: Readonly<Record<string, number>>;
    readonly distribution: string;
    readonly exponent: number | null;
    readonly keys: number;
    readonly valueBytes: { readonly min: number; readonly max: number };
    readonly clients: number;
    readonly pipeline: number;
    readonly threads: number;
    readonly rate: number | null;
    readonly seed: number;
    readonly prefix: string;
    readonly loaded: boolean;
  };
  readonly elapsedSeconds: number;
  readonly total: OperationResult;
  readonly operations: Readonly<Record<string, OperationResult>>;
  /** Due by the rate, but still waiting for a free client at the end. */
  readonly unsent: number;
  /** Of the busiest thread, 0 to 1. */
  readonly generatorUtilization: number;
  readonly errors: {
    readonly total: number;
    readonly byCode: Readonly<Record<string, number>>;
    readonly examples: readonly string[];
    readonly disconnections: number;
  };
  readonly cluster: { readonly redirections: number; readonly retries: number };
  readonly check: {
    readonly enabled: boolean;
    readonly valuesChecked: number;
    readonly failures: number;
    readonly byProblem: Readonly<Record<string, number>>;
    readonly examples: readonly string[];
  };
  /** Why the run ended before its time. */
  readonly aborted: string | null;
  readonly ok: boolean;
}

/** A run's result, and the latencies of all its operations together. */
export interface Outcome {
  readonly result: BenchResult;
  readonly latencies: Histogram;
}

export function summarize(
  options: BenchOptions,
  coordinator: Coordinator,
  startedAt: Date,
  source: { readonly distribution: string; readonly exponent: number },
): Outcome {
  const { measurement, results } = coordinator;
  const latencies = createHistogram();
  const tallies = noTallies();
  const operations: Record<string, OperationResult> = {};
  for (const [name, measured] of measurement.operations) {
    latencies.add(measured.latencies);
    for (const key of Object.keys(tallies) as (keyof Tallies)[]) tallies[key] += measured.tallies[key];
    operations[name] = operationResult(measured.tallies, measured.latencies, measurement);
  }
  const errors = sumErrors(results);
  const check = sumChecks(options, results);
  const aborted = results.find((result) => result.aborted !== undefined)?.aborted ?? null;
  const faultless = options.allowErrors === true || (errors.total === 0 && errors.disconnections === 0);
  const result: BenchResult = {
    format: 1,
    tool: { name: 'vasto bench', version: VERSION },
    startedAt: startedAt.toISOString(),
    ...describe(options, source),
    elapsedSeconds: round(measurement.elapsedMs / 1000, 3),
    total: operationResult(tallies, latencies, measurement),
    operations,
    unsent: measurement.unsent,
    generatorUtilization: round(measurement.utilization, 3),
    errors,
    cluster: {
      redirections: sum(results, (each) => each.redirections),
      retries: sum(results, (each) => each.retries),
    },
    check,
    aborted,
    ok: check.failures === 0 && aborted === null && faultless,
  };
  return { result, latencies };
}

function describe(
  options: BenchOptions,
  source: { readonly distribution: string; readonly exponent: number },
): Pick<BenchResult, 'target' | 'load'> {
  const { workload, keys, valueSize, clients, pipeline, threads, rate, seed, prefix } = options;
  const isSkewed = source.distribution === 'zipf' || source.distribution === 'latest';
  return {
    target: {
      address: options.cluster ?? options.server,
      door: options.cluster === undefined ? 'plain' : 'cluster',
      db: options.db ?? null,
      resp: options.resp,
      tls: options.tls === true,
    },
    load: {
      workload: workload.name,
      mix: Object.fromEntries(workload.shares.map(({ operation, weight }) => [operation, weight])),
      distribution: source.distribution,
      exponent: isSkewed ? source.exponent : null,
      keys,
      valueBytes: valueSize,
      clients,
      pipeline,
      threads,
      rate: rate ?? null,
      seed,
      prefix,
      loaded: loads(options),
    },
  };
}

function operationResult(
  tallies: Tallies,
  latencies: Histogram,
  { elapsedMs }: Measurement,
): OperationResult {
  const seconds = Math.max(elapsedMs, 1) / 1000;
  const { operations, errors, hits, misses } = tallies;
  return {
    operations,
    errors,
    operationsPerSecond: round(operations / seconds, 1),
    latencyUs: latencySummary(latencies),
    megabytesPerSecond: {
      sent: round(tallies.bytesSent / seconds / 1e6, 3),
      received: round(tallies.bytesReceived / seconds / 1e6, 3),
    },
    hits,
    misses,
  };
}

function latencySummary(latencies: Histogram): LatencySummary {
  const at = (percentile: number) => latencies.getValueAtPercentile(percentile);
  if (latencies.totalCount === 0) return { mean: 0, min: 0, p50: 0, p90: 0, p99: 0, p99_9: 0, max: 0 };
  return {
    mean: round(latencies.mean, 1),
    min: at(0),
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p99_9: at(99.9),
    max: latencies.maxValue,
  };
}

function sumErrors(results: readonly ThreadResult[]): BenchResult['errors'] {
  const byCode = sumCounts(results.map(({ errors }) => errors));
  return {
    total: Object.values(byCode).reduce((total, count) => total + count, 0),
    byCode,
    examples: firstDifferent(results.flatMap(({ errorExamples }) => errorExamples)),
    disconnections: sum(results, (each) => each.disconnections),
  };
}

function sumChecks(options: BenchOptions, results: readonly ThreadResult[]): BenchResult['check'] {
  const byProblem = sumCounts(results.map(({ check }) => check.counts));
  return {
    enabled: options.check,
    valuesChecked: sum(results, ({ check }) => check.valuesChecked),
    failures: Object.values(byProblem).reduce((total, count) => total + count, 0),
    byProblem,
    examples: firstDifferent(results.flatMap(({ check }) => check.examples)),
  };
}

function firstDifferent(texts: readonly string[]): string[] {
  return [...new Set(texts)].slice(0, EXAMPLES_MAX);
}

function sumCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
