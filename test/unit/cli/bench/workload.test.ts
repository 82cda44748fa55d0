import { describe, expect, it } from 'vitest';
import { Operation } from '../../../../src/cli/bench/operation.js';
import { type SourceOptions, WorkloadSource } from '../../../../src/cli/bench/sources.js';
import { parseWorkload } from '../../../../src/cli/bench/workload.js';

function source(workload: string, changes: Partial<SourceOptions> = {}): WorkloadSource {
  return new WorkloadSource({
    workload: parseWorkload(workload),
    distribution: { name: 'uniform', exponent: 1 },
    keys: 1000,
    valueSize: { min: 40, max: 60 },
    batch: 10,
    seed: 42,
    thread: 0,
    grouped: false,
    loads: false,
    ...changes,
  });
}

function sequence(from: WorkloadSource, length: number) {
  return Array.from({ length }, () => {
    const operation = new Operation(0);
    expect(from.next(operation)).toBe(true);
    from.finished(operation);
    const { name, step, keys, sizes } = operation;
    return { name, step, keys: [...keys], sizes: sizes.slice(0, keys.length) };
  });
}

describe('workloads', () => {
  it.each([
    ['get', { get: 1 }],
    ['mixed', { get: 90, set: 10 }],
    ['mixed:70/30', { get: 70, set: 30 }],
    ['get:80,set:15,incr:5', { get: 80, set: 15, incr: 5 }],
    ['GET:1, del:0', { get: 1 }],
    ['d', { get: 95, insert: 5 }],
    ['ycsb-f', { get: 50, rmw: 50 }],
  ])('%s', (text, mix) => {
    const { shares } = parseWorkload(text);
    expect(Object.fromEntries(shares.map(({ operation, weight }) => [operation, weight]))).toEqual(mix);
  });

  it.each(['', 'g', 'get:', 'get:x', 'get:-1', 'get:0', 'get:1,get:2', 'get:1:2', 'mixed:1', 'constructor'])(
    'refuses %j',
    (text) => expect(() => parseWorkload(text)).toThrow(),
  );

  it('mix operations by weight', () => {
    const drawn = sequence(source('get:80,set:15,incr:5'), 20_000);
    const part = (name: string) => drawn.filter((each) => each.name === name).length / drawn.length;
    expect(part('get')).toBeCloseTo(0.8, 1);
    expect(part('set')).toBeCloseTo(0.15, 1);
    expect(part('incr')).toBeCloseTo(0.05, 1);
  });

  it('are the same sequence for the same seed, and another for another thread', () => {
    const workload = 'get:3,set:2,mset:1,range:1,rmw:1,insert:1';
    const first = sequence(source(workload), 500);
    expect(sequence(source(workload), 500)).toEqual(first);
    expect(sequence(source(workload, { seed: 43 }), 500)).not.toEqual(first);
    expect(sequence(source(workload, { thread: 1 }), 500)).not.toEqual(first);
  });

  it('write values of sizes in the range', () => {
    const sizes = sequence(source('set'), 2000).flatMap((each) => each.sizes);
    expect([Math.min(...sizes), Math.max(...sizes)]).toEqual([40, 60]);
  });

  it('ask for different keys in one command, though there are hardly enough', () => {
    for (const { keys } of sequence(source('mset', { keys: 12 }), 200)) expect(new Set(keys).size).toBe(10);
    for (const { keys } of sequence(source('mget', { keys: 3 }), 20)) expect(new Set(keys).size).toBe(3);
  });

  it('stay within groups of 100 keys where they must be of one slot', () => {
    for (const { keys } of sequence(source('mget:1,mset:1,range:1', { keys: 250, grouped: true }), 500)) {
      expect(new Set(keys.map((key) => Math.floor(key / 100))).size).toBe(1);
      expect(new Set(keys).size).toBe(keys.length);
      expect(Math.max(...keys)).toBeLessThan(250);
    }
  });

  it('read the latest of what has been inserted, never what has not', () => {
    const latest = { distribution: { name: 'latest', exponent: 0.99 }, keys: 50 } as const;
    let newest = 49;
    const ages: number[] = [];
    for (const { name, keys } of sequence(source('d', latest), 1500)) {
      if (name === 'insert') newest = keys[0]!;
      else ages.push((newest - keys[0]! + 100) % 100);
    }
    expect(Math.max(...ages)).toBeLessThan(50);
    expect(ages.filter((age) => age === 0).length).toBeGreaterThan(ages.length / 10);
  });

  it('insert beyond the keys they begin with, going round', () => {
    const keys = sequence(source('insert', { keys: 3 }), 8).map((each) => each.keys[0]);
    expect(keys).toEqual([3, 4, 5, 0, 1, 2, 3, 4]);
  });
});
