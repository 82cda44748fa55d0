import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';
import { ErrorTally } from '../../base/error-tally.js';
import type { Operation } from './operation.js';
import type { OperationName } from './workload.js';

/** Latencies up to here keep three digits; larger ones make the histogram grow. */
const LATENCY_US_MAX = 60_000_000;
const DIGITS = 3;
const ERROR_EXAMPLES_MAX = 10;

/** An empty histogram of latencies, microseconds. */
export function createHistogram(): Histogram {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: DIGITS,
    bitBucketSize: 32,
    useWebAssembly: false,
  });
  histogram.autoResize = true;
  return histogram;
}

/** What was counted of one kind of operation. */
export interface Tallies {
  operations: number;
  errors: number;
  hits: number;
  misses: number;
  bytesSent: number;
  bytesReceived: number;
}

export function noTallies(): Tallies {
  return { operations: 0, errors: 0, hits: 0, misses: 0, bytesSent: 0, bytesReceived: 0 };
}

/** What a thread has counted since its last sample. */
export interface Sample {
  readonly operations: readonly (Tallies & {
    readonly name: OperationName;
    /** HdrHistogram's compressed form, base 64; absent where nothing succeeded. */
    readonly latencies: string | undefined;
  })[];
}

interface Kind {
  tallies: Tallies;
  readonly histogram: Histogram;
  /** The latency that came last, and how often in a row: replies of one read have many in common. */
  lastUs: number;
  repeats: number;
}

/** Counts what happens in one thread. */
export class Recorder {
  readonly #kinds = new Map<OperationName, Kind>();
  /** Over the whole run, whether recording or not. */
  readonly errors = new ErrorTally();
  readonly errorExamples: string[] = [];
  /** Whether operations count, and not only their errors. */
  isOn = false;

  success(operation: Operation, nowMs: number, hits: number, misses: number): void {
    if (!this.isOn) return;
    const kind = this.#kind(operation.name);
    const { tallies } = kind;
    tallies.operations++;
    tallies.hits += hits;
    tallies.misses += misses;
    tallies.bytesSent += operation.bytesSent;
    tallies.bytesReceived += operation.bytesReceived;
    const latencyUs = Math.max(0, Math.round((nowMs - operation.startedAtMs) * 1000));
    if (latencyUs === kind.lastUs) kind.repeats++;
    else {
      if (kind.repeats > 0) kind.histogram.recordValueWithCount(kind.lastUs, kind.repeats);
      kind.lastUs = latencyUs;
      kind.repeats = 1;
    }
  }

  /** @param text with a code word first, as error replies have */
  failure(operation: Operation, text: string): void {
    this.errors.count(text);
    const example = `${operation.step.toUpperCase()}: ${text}`;
    if (this.errorExamples.length < ERROR_EXAMPLES_MAX && !this.errorExamples.includes(example)) {
      this.errorExamples.push(example);
    }
    if (this.isOn) this.#kind(operation.name).tallies.errors++;
  }

  /** What was counted since the last call. */
  take(): Sample {
    const operations = [...this.#kinds].map(([name, kind]) => {
      if (kind.repeats > 0) kind.histogram.recordValueWithCount(kind.lastUs, kind.repeats);
      kind.repeats = 0;
      kind.lastUs = -1;
      const { tallies, histogram } = kind;
      kind.tallies = noTallies();
      const latencies = histogram.totalCount > 0 ? encodeIntoCompressedBase64(histogram) : undefined;
      histogram.reset();
      return { name, ...tallies, latencies };
    });
    return { operations };
  }

  #kind(name: OperationName): Kind {
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      kind = { tallies: noTallies(), histogram: createHistogram(), lastUs: -1, repeats: 0 };
      this.#kinds.set(name, kind);
    }
    return kind;
  }
}
