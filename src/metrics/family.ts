/** One value of a family, behind it the values of the family's labels, in their order. */
export type Row = readonly [value: number, ...labels: string[]];

/** How often something took how long. */
export interface Distribution {
  /** In the order of the family's labels. */
  readonly labels: readonly string[];
  /** How many took no longer than each of the family's bounds. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
}

interface Told {
  /** As Prometheus names: the unit last, `_total` behind what only grows. */
  readonly name: string;
  /** One line, for people. */
  readonly help: string;
  readonly labels: readonly string[];
}

/** Values of one kind that a process tells of itself, with where they come from. */
export type Family<Source> =
  | (Told & { readonly kind: 'gauge' | 'counter'; rows(source: Source): readonly Row[] })
  | (Told & {
      readonly kind: 'histogram';
      /** Upper bounds, seconds, ascending. */
      readonly bounds: readonly number[];
      distributions(source: Source): readonly Distribution[];
    });

/** What goes up and down. One that is not known at the moment is undefined, and is not told. */
export function gauge<Source>(
  name: string,
  help: string,
  value: (source: Source) => number | undefined,
): Family<Source> {
  return { kind: 'gauge', name, help, labels: [], rows: (source) => single(value(source)) };
}

/** What only grows, until the process starts anew or CONFIG RESETSTAT. */
export function counter<Source>(
  name: string,
  help: string,
  value: (source: Source) => number | undefined,
): Family<Source> {
  return { kind: 'counter', name, help, labels: [], rows: (source) => single(value(source)) };
}

function single(value: number | undefined): Row[] {
  return value === undefined ? [] : [[value]];
}

export function gauges<Source>(
  name: string,
  help: string,
  labels: readonly string[],
  rows: (source: Source) => readonly Row[],
): Family<Source> {
  return { kind: 'gauge', name, help, labels, rows };
}

export function counters<Source>(
  name: string,
  help: string,
  labels: readonly string[],
  rows: (source: Source) => readonly Row[],
): Family<Source> {
  return { kind: 'counter', name, help, labels, rows };
}
