import Table from 'cli-table3';
import type { Histogram } from 'hdr-histogram-js';
import type { BenchResult, OperationResult } from './result.js';

const BAR_WIDTH = 50;
/** Below this part of a whole thread, the generator does not hold the server back. */
const UTILIZATION_HIGH = 0.95;

/** A count or a rate, with the thousands apart. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A latency with three digits and the unit that suits it. */
export function formatLatency(us: number): string {
  if (us < 1000) return `${us} µs`;
  if (us < 999_500) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

/** What a run came to, for people. */
export function report(result: BenchResult, latencies: Histogram): string {
  const parts = [header(result), table(result)];
  if (latencies.totalCount > 0) parts.push(drawHistogram(latencies));
  parts.push(remarks(result));
  return `${parts.join('\n\n')}\n`;
}

function header({ target, load, elapsedSeconds }: BenchResult): string {
  const { min, max } = load.valueBytes;
  const size = min === max ? `${min}` : `${min}-${max}`;
  const mix = Object.entries(load.mix).map(([name, weight]) => `${name}:${weight}`);
  const place = target.db === null ? '' : `, ${target.db}`;
  const distribution = load.exponent === null ? load.distribution : `${load.distribution}:${load.exponent}`;
  const rate = load.rate === null ? '' : `, ${formatCount(load.rate)} ops/s due`;
  return [
    `vasto bench ${target.door === 'cluster' ? 'cluster ' : ''}${target.address}${place}, RESP${target.resp}${target.tls ? ', TLS' : ''}`,
    `workload ${load.workload}${mix.length > 1 && load.workload !== mix.join() ? ` (${mix.join()})` : ''}, ${distribution} over ${formatCount(load.keys)} keys, values of ${size} bytes, seed ${load.seed}`,
    `${load.clients} clients, pipeline ${load.pipeline}, ${load.threads} thread${load.threads > 1 ? 's' : ''}${rate}, ${elapsedSeconds.toFixed(2)} seconds`,
  ].join('\n');
}

function table(result: BenchResult): string {
  const head = ['', 'operations', 'ops/s', 'p50', 'p90', 'p99', 'p99.9', 'max', 'MB/s', 'found', 'errors'];
  const text = new Table({
    head,
    style: { head: [], border: [] },
    // No lines between rows.
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
  });
  const rows = Object.entries(result.operations);
  for (const [name, each] of rows) text.push(row(name, each));
  if (rows.length !== 1) text.push(row('all', result.total));
  return text.toString();
}

function row(
  name: string,
  { operations, errors, latencyUs, hits, misses, ...rates }: OperationResult,
): string[] {
  const { p50, p90, p99, p99_9, max } = latencyUs;
  const { sent, received } = rates.megabytesPerSecond;
  const looked = hits + misses;
  return [
    name,
    formatCount(operations),
    formatCount(rates.operationsPerSecond),
    ...[p50, p90, p99, p99_9, max].map(formatLatency),
    (sent + received).toFixed(1),
    looked === 0 ? '' : `${((100 * hits) / looked).toFixed(hits === looked ? 0 : 1)} %`,
    formatCount(errors),
  ];
}

/** How many latencies lie where, in steps of 1, 2 and 5. */
export function drawHistogram(latencies: Histogram): string {
  const lines: { label: string; part: number }[] = [];
  let below = 0;
  for (const boundUs of bounds(latencies.getValueAtPercentile(0), latencies.maxValue)) {
    const within = partWithin(latencies, boundUs);
    lines.push({ label: formatLatency(boundUs), part: within - below });
    below = within;
  }
  const largest = Math.max(...lines.map(({ part }) => part));
  const width = Math.max(...lines.map(({ label }) => label.length));
  const drawn = lines.map(({ label, part }) => {
    const bar = '█'.repeat(Math.round((part / largest) * BAR_WIDTH)) || (part > 0 ? '▏' : '');
    return `  ≤ ${label.padStart(width)} ${`${(100 * part).toFixed(part > 0 && part < 0.001 ? 3 : 1)}`.padStart(6)} %  ${bar}`.trimEnd();
  });
  return ['latencies', ...drawn].join('\n');
}

function bounds(minUs: number, maxUs: number): number[] {
  const found: number[] = [];
  for (let decade = 1; decade < 1e10; decade *= 10) {
    for (const step of [1, 2, 5]) {
      const bound = decade * step;
      if (bound >= minUs) found.push(bound);
      if (bound >= maxUs) return found;
    }
  }
  return found;
}

/** The part of the latencies, 0 to 1, that are at most so long; found by halving, since histograms answer the reverse. */
function partWithin(latencies: Histogram, us: number): number {
  if (us >= latencies.maxValue) return 1;
  let low = 0;
  let high = 100;
  for (let i = 0; i < 30; i++) {
    const middle = (low + high) / 2;
    if (latencies.getValueAtPercentile(middle) <= us) low = middle;
    else high = middle;
  }
  return low / 100;
}

function remarks(result: BenchResult): string {
  const { errors, check, cluster, load, unsent, generatorUtilization, aborted } = result;
  const lines: string[] = [];
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${formatCount(count)} ${name}`)
      .join(', ');
  if (aborted !== null) lines.push(`ended early: ${aborted}`);
  if (load.rate === null && generatorUtilization >= UTILIZATION_HIGH) {
    const part = Math.round(generatorUtilization * 100);
    lines.push(
      `note: the load generator was busy ${part} % of the time, so the server may do more: --threads ${load.threads + 1}`,
    );
  }
  if (unsent > 0)
    lines.push(`note: the rate was not reached: ${formatCount(unsent)} operations were due and not sent`);
  if (cluster.redirections + cluster.retries > 0) {
    lines.push(
      `cluster: ${formatCount(cluster.redirections)} redirections, ${formatCount(cluster.retries)} retries`,
    );
  }
  if (errors.disconnections > 0) lines.push(`connections broken: ${formatCount(errors.disconnections)}`);
  if (errors.total > 0)
    lines.push(`errors: ${list(errors.byCode)}`, ...errors.examples.map((text) => `  ${text}`));
  if (check.failures > 0) {
    lines.push(`CHECK FAILED: ${list(check.byProblem)}`, ...check.examples.map((text) => `  ${text}`));
  } else if (check.enabled) {
    lines.push(`checked ${formatCount(check.valuesChecked)} values: all right`);
  } else lines.push('values were not checked');
  return lines.join('\n');
}
