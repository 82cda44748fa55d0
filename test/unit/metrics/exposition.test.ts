import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { METRICS_ROWS_MAX } from '../../../src/base/limits.js';
import { CLUSTER_FAMILIES } from '../../../src/metrics/cluster-families.js';
import { ExpositionBuilder } from '../../../src/metrics/exposition.js';
import { counters, type Family, gauge, gauges } from '../../../src/metrics/family.js';
import { FEED_FAMILIES } from '../../../src/metrics/feed-families.js';
import { MASTER_FAMILIES } from '../../../src/metrics/master-families.js';
import { NODE_FAMILIES } from '../../../src/metrics/node-families.js';
import { PROCESS_FAMILIES } from '../../../src/metrics/process-families.js';
import { parseMetrics } from '../../support/metrics.js';

async function textOf<Source>(families: readonly Family<Source>[], source: Source): Promise<string> {
  const exposition = new ExpositionBuilder();
  await exposition.add(families, source);
  return (await exposition.finish()).text;
}

describe('what Prometheus is told', () => {
  test('has help, type, labels that are escaped, and nothing of families without a value', async () => {
    const families: Family<string>[] = [
      gauge('level', 'How full it is.', () => 0.5),
      gauge('unknown', 'Not known.', () => undefined),
      counters('calls_total', 'Calls.', ['by', 'of'], (by) => [
        [3, by, 'x'],
        [0, 'b', ''],
      ]),
      gauges('none', 'Of nothing.', ['a'], () => []),
    ];
    expect(await textOf(families, 'a "quoted"\\\n')).toBe(`# HELP level How full it is.
# TYPE level gauge
level 0.5

# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{by="a \\"quoted\\"\\\\\\n",of="x"} 3
calls_total{by="b",of=""} 0
`);
  });

  test('has histograms that were counted elsewhere', async () => {
    const times: Family<undefined> = {
      kind: 'histogram',
      name: 'time_seconds',
      help: 'Time.',
      labels: ['of'],
      bounds: [0.001, 0.5],
      distributions: () => [{ labels: ['x'], counts: [1, 3], count: 4, sumSeconds: 7.25 }],
    };
    expect(await textOf([times], undefined)).toBe(`# HELP time_seconds Time.
# TYPE time_seconds histogram
time_seconds_bucket{of="x",le="0.001"} 1
time_seconds_bucket{of="x",le="0.5"} 3
time_seconds_bucket{of="x",le="+Inf"} 4
time_seconds_sum{of="x"} 7.25
time_seconds_count{of="x"} 4
`);
  });

  test('is bounded, and says what it leaves out', async () => {
    const many = gauges('many', 'Many.', ['n'], (count: number) =>
      Array.from({ length: count }, (_, index) => [index, String(index)] as const),
    );
    const scraped = parseMetrics(await textOf([many], METRICS_ROWS_MAX + 7));
    expect(scraped.size).toBe(METRICS_ROWS_MAX + 1);
    expect(scraped.get('vasto_metrics_left_out_rows{family="many"}')).toBe(7);
    expect(scraped.get(`many{n="${METRICS_ROWS_MAX - 1}"}`)).toBe(METRICS_ROWS_MAX - 1);
    expect(parseMetrics(await textOf([many], METRICS_ROWS_MAX)).size).toBe(METRICS_ROWS_MAX);
  });
});

describe('the families', () => {
  const all: readonly Pick<Family<never>, 'kind' | 'name' | 'help' | 'labels'>[] = [
    ...PROCESS_FAMILIES,
    ...NODE_FAMILIES,
    ...FEED_FAMILIES,
    ...CLUSTER_FAMILIES,
    ...MASTER_FAMILIES,
  ];

  test('have a name each', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  test.each(all.map((family) => [family.name, family] as const))(
    '%s is named as Prometheus names',
    (name, family) => {
      expect(name).toMatch(/^(vasto|process)(_[a-z]+)+$/);
      expect(name.endsWith('_total')).toBe(family.kind === 'counter');
      expect(name).not.toMatch(/_(ms|milliseconds|microseconds|usec|kb|mb)(_|$)/);
      if (family.kind === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(family.help).toMatch(/^[A-Z][^\n]{7,}\.$/);
      for (const label of family.labels) expect(label).toMatch(/^[a-z_]+$/);
    },
  );

  test('are all in the tables of docs/OPERATIONS.md', () => {
    const docs = new Set(readFileSync('docs/OPERATIONS.md', 'utf8').split('\n'));
    const rowOf = ({ kind, name, help, labels }: (typeof all)[number]) => {
      const of = labels.length === 0 ? '' : `{${labels.join(',')}}`;
      return `| \`${name}${of}\` | ${kind} | ${help.slice(0, -1)} |`;
    };
    expect(all.map(rowOf).filter((row) => !docs.has(row))).toEqual([]);
    const rows = [...docs].filter((line) => /^\| `(vasto|process)_[a-z_]+[`{]/.test(line));
    expect(rows.filter((row) => !all.map(rowOf).includes(row))).toEqual([]);
  });
});
