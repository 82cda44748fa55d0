import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlacementRequest, type PlacementStore, place } from '../../../src/cluster/placement.js';
import { check } from '../../support/replay.js';

const GB = 2 ** 30;

function store(number: number, facts: Partial<PlacementStore> = {}): PlacementStore {
  return {
    id: String(number).padStart(2, '0'),
    address: `host:${7000 + number}`,
    zone: '',
    tags: [],
    shards: 0,
    freeBytes: 50 * GB,
    totalBytes: 100 * GB,
    ...facts,
  };
}

function request(facts: Partial<PlacementRequest> = {}): PlacementRequest {
  return { shards: 1, replicas: 1, tags: [], ...facts };
}

/** The explanation, or the reason why not, as one text. */
function explain(stores: readonly PlacementStore[], facts: Partial<PlacementRequest> = {}): string {
  const placement = place(stores, request(facts));
  return 'reason' in placement ? `impossible: ${placement.reason}` : placement.explanation.join('\n');
}

describe('place explains', () => {
  it('an even spread', () => {
    expect(explain([store(1), store(2), store(3)], { shards: 4 })).toBe(
      [
        'shard 0 on host:7001: first of 3 alike',
        'shard 1 on host:7002: only 0 of this keyspace, first of 2 alike',
        'shard 2 on host:7003: only 0 of this keyspace',
        'shard 3 on host:7001: first of 3 alike',
      ].join('\n'),
    );
  });

  it('copies in different zones, the owners spread', () => {
    const stores = [
      store(1, { zone: 'a' }),
      store(2, { zone: 'a' }),
      store(3, { zone: 'b' }),
      store(4, { zone: 'b' }),
    ];
    expect(explain(stores, { shards: 3, replicas: 2 })).toBe(
      [
        'shard 0 on host:7001 (zone a): first of 4 alike; host:7003 (zone b): a zone with the fewest copies, first of 2 alike',
        'shard 1 on host:7002 (zone a): only 0 of this keyspace, first of 2 alike; host:7004 (zone b): a zone with the fewest copies, only 0 of this keyspace',
        'shard 2 on host:7003 (zone b): a zone with the fewest copies, first of 2 alike; host:7001 (zone a): first of 4 alike',
      ].join('\n'),
    );
  });

  it('load, room, space and nearness, in this order', () => {
    expect(explain([store(1, { shards: 3 }), store(2, { shards: 2 })])).toBe(
      'shard 0 on host:7002: only 2 in all',
    );
    expect(explain([store(1, { freeBytes: 5 * GB }), store(2, { shards: 9 })])).toBe(
      'shard 0 on host:7002: it has room',
    );
    expect(explain([store(1), store(2, { freeBytes: 150 * GB, totalBytes: 200 * GB })])).toBe(
      'shard 0 on host:7002: the most free space',
    );
    expect(explain([store(1), store(2)], { near: '02' })).toBe('shard 0 on host:7002: it was asked');
    expect(explain([store(1), store(2, { shards: 9 })], { near: '02' })).toBe(
      'shard 0 on host:7001: only 0 in all',
    );
    expect(explain([store(1), store(2, { shards: 9 })], { near: '02', nearFirst: true })).toBe(
      'shard 0 on host:7002: it was asked',
    );
    expect(explain([store(1)])).toBe('shard 0 on host:7001: the only one');
  });

  it('why it cannot be', () => {
    expect(explain([])).toBe('impossible: no store is connected to the master');
    expect(explain([store(1), store(2, { tags: ['ssd'] })], { tags: ['ssd', 'fast'] })).toBe(
      'impossible: none of the 2 living stores has the tags ssd, fast',
    );
    expect(explain([store(1), store(2, { tags: ['ssd'] })], { tags: ['ssd'], replicas: 2 })).toBe(
      'impossible: 2 copies of each shard need as many stores, and there are only 1 living stores with the tag ssd',
    );
    expect(explain([store(1), store(2)], { replicas: 3 })).toBe(
      'impossible: 3 copies of each shard need as many stores, and there are only 2 living stores',
    );
    expect(explain([store(1), store(2, { isAlone: true })], { replicas: 2 })).toBe(
      'impossible: 2 copies of each shard need as many stores, and there are only 1 living stores (not counting 1 that other stores cannot copy from: set peer-port there)',
    );
    expect(explain([store(1, { isAlone: true })])).toBe('shard 0 on host:7001: the only one');
  });
});

describe('place', () => {
  const stores: fc.Arbitrary<PlacementStore[]> = fc
    .array(
      fc.record({
        zone: fc.constantFrom('', 'a', 'b', 'c'),
        tags: fc.subarray(['ssd', 'big']),
        shards: fc.nat(20),
        freeBytes: fc.nat(100).map((part) => part * GB),
        totalBytes: fc.constantFrom(0, 100 * GB),
      }),
      { minLength: 1, maxLength: 9 },
    )
    .map((facts) => facts.map((each, index) => store(index, each)));
  const requests: fc.Arbitrary<PlacementRequest> = fc.record({
    shards: fc.integer({ min: 1, max: 24 }),
    replicas: fc.integer({ min: 1, max: 4 }),
    tags: fc.subarray(['ssd', 'big']),
    near: fc.constantFrom('00', '03', 'none'),
    nearFirst: fc.boolean(),
  });

  it('keeps every rule', () => {
    void check(
      fc.property(stores, requests, (given, asked) => {
        const placement = place(given, asked);
        const fitting = given.filter(({ tags }) => asked.tags.every((tag) => tags.includes(tag)));
        if ('reason' in placement) {
          expect(fitting.length).toBeLessThan(asked.replicas);
          return;
        }
        const zones = new Map(given.map(({ id, zone }) => [id, zone]));
        const zoneCount = new Set(fitting.map(({ zone }) => zone)).size;
        expect(placement.shards).toHaveLength(asked.shards);
        expect(placement.explanation).toHaveLength(asked.shards);
        for (const { stores: chosen } of placement.shards) {
          expect(new Set(chosen).size).toBe(asked.replicas);
          for (const id of chosen) expect(fitting.map((each) => each.id)).toContain(id);
          const used = new Set(chosen.map((id) => zones.get(id)));
          expect(used.size).toBe(Math.min(asked.replicas, zoneCount));
        }
        if (asked.nearFirst === true && fitting.some(({ id }) => id === asked.near))
          for (const { stores: chosen } of placement.shards) expect(chosen[0]).toBe(asked.near);
      }),
      500,
    );
  });

  it('does not depend on the order of the stores', () => {
    void check(
      fc.property(stores, requests, fc.func(fc.nat()), (given, asked, weight) => {
        const shuffled = [...given].sort((a, b) => weight(a.id) - weight(b.id));
        expect(place(shuffled, asked)).toEqual(place(given, asked));
      }),
      200,
    );
  });

  it('spreads shards and their ownership evenly over stores that have room, without zones', () => {
    void check(
      fc.property(fc.integer({ min: 1, max: 8 }), requests, fc.array(fc.nat(30)), (count, asked, loads) => {
        const given = Array.from({ length: count }, (_, index) =>
          store(index, { shards: loads[index] ?? 0 }),
        );
        const placement = place(given, { ...asked, tags: [], nearFirst: false });
        if ('reason' in placement) return;
        const copies = new Array<number>(count).fill(0);
        const owned = new Array<number>(count).fill(0);
        for (const { stores: chosen } of placement.shards) {
          for (const id of chosen) copies[Number(id)]!++;
          owned[Number(chosen[0])]!++;
        }
        expect(Math.max(...copies) - Math.min(...copies)).toBeLessThanOrEqual(1);
        expect(Math.max(...owned) - Math.min(...owned)).toBeLessThanOrEqual(2);
      }),
      500,
    );
  });
});
