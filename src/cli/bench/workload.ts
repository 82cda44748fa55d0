import type { DistributionName } from './distribution.js';

/** What a client may ask for. `range` reads neighbouring keys with one MGET; `rmw` reads a key and then writes it. */
export const OPERATIONS = [
  'ping',
  'get',
  'set',
  'insert',
  'del',
  'exists',
  'incr',
  'mget',
  'mset',
  'range',
  'rmw',
] as const;

export type OperationName = (typeof OPERATIONS)[number];

export interface Share {
  readonly operation: OperationName;
  /** Of the sum of all shares' weights. */
  readonly weight: number;
}

export interface Workload {
  readonly name: string;
  readonly shares: readonly Share[];
  /** What the workload is defined with, where it is. */
  readonly distribution?: DistributionName;
}

/**
 * YCSB's core workloads (Cooper et al., "Benchmarking cloud serving systems with YCSB", 2010) as far as strings go: a
 * record is one value, and the scans of E are reads of up to 100 neighbouring keys.
 */
const YCSB: Readonly<Record<string, Omit<Workload, 'name'>>> = {
  a: { shares: shares({ get: 50, set: 50 }), distribution: 'zipf' },
  b: { shares: shares({ get: 95, set: 5 }), distribution: 'zipf' },
  c: { shares: shares({ get: 100 }), distribution: 'zipf' },
  d: { shares: shares({ get: 95, insert: 5 }), distribution: 'latest' },
  e: { shares: shares({ range: 95, insert: 5 }), distribution: 'zipf' },
  f: { shares: shares({ get: 50, rmw: 50 }), distribution: 'zipf' },
};

export const WORKLOADS_HELP =
  `one of ${OPERATIONS.join(', ')}; mixed (get:90,set:10), mixed:R/W; a to f as YCSB has them; ` +
  'or a mix such as get:80,set:15,incr:5';

/** @throws Error that says what is wrong with the name */
export function parseWorkload(text: string): Workload {
  const name = text.toLowerCase();
  const letter = name.replace(/^ycsb-?/, '');
  if (Object.hasOwn(YCSB, letter)) return { name, ...YCSB[letter]! };
  if (isOperation(name)) return { name, shares: [{ operation: name, weight: 1 }] };
  if (name === 'mixed') return { name, shares: shares({ get: 90, set: 10 }) };
  const ratio = /^mixed:(\d+)\/(\d+)$/.exec(name);
  const parts = ratio === null ? name.split(',') : [`get:${ratio[1]}`, `set:${ratio[2]}`];
  const found = parts.map(parseShare).filter((share) => share.weight > 0);
  if (found.length === 0) throw new Error(`workload '${text}' does nothing: all its weights are 0`);
  if (new Set(found.map((share) => share.operation)).size < found.length) {
    throw new Error(`workload '${text}' names an operation twice`);
  }
  return { name, shares: found };
}

function parseShare(text: string): Share {
  const [operation = '', weight = '', ...more] = text.trim().split(':');
  if (!isOperation(operation)) {
    throw new Error(
      `unknown workload or operation '${text}': there are ${OPERATIONS.join(', ')}, mixed, a to f`,
    );
  }
  if (more.length > 0 || !/^\d+(\.\d+)?$/.test(weight)) {
    throw new Error(`'${text}': write an operation and its weight, such as get:80`);
  }
  return { operation, weight: Number(weight) };
}

function isOperation(name: string): name is OperationName {
  return (OPERATIONS as readonly string[]).includes(name);
}

function shares(weights: Partial<Record<OperationName, number>>): Share[] {
  return Object.entries(weights).map(([operation, weight]) => ({
    operation: operation as OperationName,
    weight,
  }));
}

/** Whether the workload has any of these operations. */
export function does(workload: Workload, ...operations: OperationName[]): boolean {
  return workload.shares.some((share) => operations.includes(share.operation));
}
