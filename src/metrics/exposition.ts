import { Counter, Gauge, type Metric, Registry } from 'prom-client';
import { METRICS_ROWS_MAX } from '../base/limits.js';
import { type Distribution, type Family, gauges, type Row } from './family.js';

/** What Prometheus is told, and as what. */
export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Makes the text of one scrape. Everything is made anew for each: what is no more (a keyspace, a feed) leaves nothing
 * behind, and between scrapes nothing is kept. Clients are served between two families: one with as many rows as it
 * may have takes some 10 ms.
 */
export class ExpositionBuilder {
  private readonly texts: string[] = [];
  private readonly leftOut: Row[] = [];

  /** Has families told from `source`; one without a value is not told at all. */
  async add<Source>(families: readonly Family<Source>[], source: Source): Promise<void> {
    for (const family of families) {
      const registry = new Registry();
      if (family.kind === 'histogram') this.tellDistributions(family, family.distributions(source), registry);
      else this.tellValues(family, family.rows(source), registry);
      if (registry.getMetricsAsArray().length === 0) continue;
      this.texts.push(await registry.metrics());
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async finish(): Promise<Exposition> {
    const leftOut = gauges(
      'vasto_metrics_left_out_rows',
      `Rows that a family would have beyond ${METRICS_ROWS_MAX}; the first are told, the others are not.`,
      ['family'],
      (rows: readonly Row[]) => rows,
    );
    await this.add([leftOut], this.leftOut);
    return { contentType: Registry.PROMETHEUS_CONTENT_TYPE, text: this.texts.join('\n') };
  }

  private tellValues(
    { kind, name, help, labels }: Pick<Family<never>, 'kind' | 'name' | 'help' | 'labels'>,
    rows: readonly Row[],
    registry: Registry,
  ): void {
    if (rows.length === 0) return;
    const described = { name, help, labelNames: labels, registers: [registry] };
    const told = this.bounded(name, rows);
    if (kind === 'counter') {
      const metric = new Counter(described);
      for (const [value, ...of] of told) metric.labels(...of).inc(value);
    } else {
      const metric = new Gauge(described);
      for (const [value, ...of] of told) metric.labels(...of).set(value);
    }
  }

  private tellDistributions(
    { name, help, labels, bounds }: Extract<Family<never>, { kind: 'histogram' }>,
    distributions: readonly Distribution[],
    registry: Registry,
  ): void {
    if (distributions.length === 0) return;
    const told = this.bounded(name, distributions);
    const values = told.flatMap((each) => distributionValues(name, labels, bounds, each));
    const counted = { name, help, type: 'histogram', get: async () => ({ ...counted, values }) };
    // prom-client's own histograms can only be told of one event after the other; of a metric, a registry wants no more.
    registry.registerMetric(counted as unknown as Metric);
  }

  private bounded<Each>(name: string, rows: readonly Each[]): readonly Each[] {
    if (rows.length <= METRICS_ROWS_MAX) return rows;
    this.leftOut.push([rows.length - METRICS_ROWS_MAX, name]);
    return rows.slice(0, METRICS_ROWS_MAX);
  }
}

interface NamedValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

function distributionValues(
  name: string,
  labelNames: readonly string[],
  bounds: readonly number[],
  { labels: values, counts, count, sumSeconds }: Distribution,
): NamedValue[] {
  const labels = Object.fromEntries(labelNames.map((label, index) => [label, values[index]!]));
  const bucket = (le: string | number, value: number) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le },
    value,
  });
  return [
    ...bounds.map((bound, index) => bucket(bound, counts[index]!)),
    bucket('+Inf', count),
    { metricName: `${name}_sum`, labels, value: sumSeconds },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
