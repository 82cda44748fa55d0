import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EMPTY_TOPOLOGY,
  epochOf,
  fromRecord,
  type KeyspaceEntry,
  keyspaceByName,
  keyspaceByNumber,
  liveKeyspaces,
  mergeTopologies,
  nextEpoch,
  type StoreEntry,
  type Topology,
  toRecord,
  withKeyspace,
  withStore,
} from '../../../src/cluster/topology.js';
import { check } from '../../support/replay.js';

/** What one master made in the course of time: each entry's version is told by its id and epoch alone. */
const keyspace: fc.Arbitrary<KeyspaceEntry> = fc
  .record({ id: fc.integer({ min: 0, max: 5 }), epoch: fc.integer({ min: 1, max: 9 }) })
  .map(({ id, epoch }) => ({
    id: `k${id}`,
    epoch,
    name: `name${id}`,
    db: epoch % 2 === 0 ? id : undefined,
    replicas: 1,
    tags: epoch % 3 === 0 ? ['ssd'] : [],
    shards: [{ stores: [`s${epoch}`] }],
    deleted: epoch % 4 === 0,
  }));

const store: fc.Arbitrary<StoreEntry> = fc
  .record({ id: fc.integer({ min: 0, max: 5 }), epoch: fc.integer({ min: 1, max: 9 }) })
  .map(({ id, epoch }) => ({
    id: `s${id}`,
    epoch,
    host: '127.0.0.1',
    port: 6000 + epoch,
    tlsPort: 0,
    peerPort: 0,
    zone: '',
    tags: [],
    doors: [{ port: 7000 + epoch, keyspace: 'db0' }],
  }));

const topology: fc.Arbitrary<Topology> = fc
  .record({ keyspaces: fc.array(keyspace), stores: fc.array(store) })
  .map(({ keyspaces, stores }) => {
    let made: Topology = { ...EMPTY_TOPOLOGY, clusterId: 'c' };
    for (const entry of keyspaces) made = withKeyspace(made, entry);
    for (const entry of stores) made = withStore(made, entry);
    return made;
  });

/** Entries in an order of their own: maps that hold the same are to compare as equal. */
function canonical(given: Topology): unknown {
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  const { clusterId, stores, keyspaces } = toRecord(given);
  return { clusterId, stores: [...stores].sort(byId), keyspaces: [...keyspaces].sort(byId) };
}

describe('mergeTopologies', () => {
  it('does not depend on who is asked first, or how often', () => {
    void check(
      fc.property(topology, topology, topology, (a, b, c) => {
        expect(canonical(mergeTopologies(a, b))).toEqual(canonical(mergeTopologies(b, a)));
        expect(canonical(mergeTopologies(mergeTopologies(a, b), c))).toEqual(
          canonical(mergeTopologies(a, mergeTopologies(b, c))),
        );
        expect(canonical(mergeTopologies(a, a))).toEqual(canonical(a));
      }),
      200,
    );
  });

  it('forgets no entry, and takes the latest version of each', () => {
    void check(
      fc.property(topology, topology, (a, b) => {
        const merged = mergeTopologies(a, b);
        for (const id of [...a.keyspaces.keys(), ...b.keyspaces.keys()])
          expect(merged.keyspaces.get(id)?.epoch).toBe(
            Math.max(a.keyspaces.get(id)?.epoch ?? 0, b.keyspaces.get(id)?.epoch ?? 0),
          );
        expect(epochOf(merged)).toBe(Math.max(epochOf(a), epochOf(b)));
      }),
      200,
    );
  });

  it('keeps the id of the cluster', () => {
    const known = { ...EMPTY_TOPOLOGY, clusterId: 'c' };
    expect(mergeTopologies(EMPTY_TOPOLOGY, known).clusterId).toBe('c');
    expect(mergeTopologies(known, EMPTY_TOPOLOGY).clusterId).toBe('c');
  });
});

describe('a topology', () => {
  it('survives being written down', () => {
    void check(
      fc.property(topology, (given) => {
        const read = fromRecord(JSON.parse(JSON.stringify(toRecord(given))));
        expect(read).toEqual(given);
      }),
      200,
    );
  });

  it('finds keyspaces by name and number, deleted ones left out', () => {
    void check(
      fc.property(topology, (given) => {
        for (const entry of given.keyspaces.values()) {
          expect(keyspaceByName(given, entry.name)).toBe(entry.deleted ? undefined : entry);
          if (entry.db !== undefined)
            expect(keyspaceByNumber(given, entry.db)).toBe(entry.deleted ? undefined : entry);
        }
        const names = liveKeyspaces(given).map(({ name }) => name);
        expect(names).toEqual([...names].sort());
      }),
      200,
    );
  });

  it('gets epochs that grow, whatever the clock says, and whatever was forgotten', () => {
    const entry = fc.sample(keyspace, { numRuns: 1, seed: 1 })[0]!;
    const late = withKeyspace(EMPTY_TOPOLOGY, { ...entry, epoch: 5_000 });
    expect(nextEpoch(late, 10)).toBe(5_001);
    expect(nextEpoch(late, 9_000)).toBe(9_000);
    expect(nextEpoch(EMPTY_TOPOLOGY, 7)).toBe(7);
  });
});
