import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHANGE_KINDS,
  EMPTY_TOPOLOGY,
  fromRecord,
  type KeyspaceChange,
  type KeyspaceEntry,
  type ShardEntry,
  toRecord,
  withKeyspace,
} from '../../../src/cluster/topology.js';
import { masterMethods } from '../../../src/master/proto.js';
import { fromWireTopology, toWireKeyspace, toWireTopology } from '../../../src/master/wire.js';
import { WireError } from '../../../src/master/wire-checks.js';
import { check } from '../../support/replay.js';

const natural = fc.maxSafeNat();
const storeId = fc.stringMatching(/^[0-9a-f]{40}$/);
const shard: fc.Arbitrary<ShardEntry> = fc.record(
  { stores: fc.array(storeId, { maxLength: 3 }), home: storeId, since: fc.integer({ min: 1 }) },
  { requiredKeys: ['stores'] },
);
const facts = {
  id: fc.stringMatching(/^[0-9a-f]{16}$/),
  kind: fc.constantFrom(...CHANGE_KINDS),
  startedAtMs: natural,
  since: natural,
  sinceMs: natural,
  replicas: fc.integer({ min: 1, max: 100 }),
  attempts: fc.nat(),
};
const change: fc.Arbitrary<KeyspaceChange> = fc.oneof(
  fc.record({
    ...facts,
    phase: fc.constantFrom('prepare' as const, 'handover' as const, 'undo' as const),
    target: fc.array(shard, { maxLength: 4 }),
  }),
  fc.record({
    ...facts,
    phase: fc.constantFrom('takeover' as const, 'cleanup' as const),
    former: fc.array(shard, { maxLength: 4 }),
  }),
);
const entry: fc.Arbitrary<KeyspaceEntry> = fc.record(
  {
    id: fc.stringMatching(/^[0-9a-f]{16}$/),
    epoch: natural,
    name: fc.string(),
    db: fc.option(fc.nat(), { nil: undefined }),
    replicas: fc.nat(),
    tags: fc.array(fc.string()),
    shards: fc.array(shard, { maxLength: 4 }),
    deleted: fc.boolean(),
    change,
  },
  { requiredKeys: ['id', 'epoch', 'name', 'db', 'replicas', 'tags', 'shards', 'deleted'] },
);

describe('a keyspace with a change', () => {
  it('comes out of records and messages as it went in', () => {
    const { responseSerialize, responseDeserialize } = masterMethods().GetTopology;
    void check(
      fc.property(entry, (given) => {
        const topology = withKeyspace(EMPTY_TOPOLOGY, given);
        expect(fromRecord(JSON.parse(JSON.stringify(toRecord(topology))))).toEqual(topology);
        const sent = responseDeserialize(responseSerialize(toWireTopology(topology)));
        expect(fromWireTopology(sent)).toEqual(topology);
      }),
      300,
    );
  });

  it('is refused in words that this version does not know', () => {
    const given = fc.sample(entry, 50).find((each) => each.change !== undefined)!;
    const wire = toWireKeyspace(given);
    const read = (words: { kind?: string; phase?: string }) => () =>
      fromWireTopology({
        clusterId: '',
        stores: [],
        keyspaces: [{ ...wire, change: { ...wire.change!, ...words } }],
      });
    expect(read({})).not.toThrow();
    expect(read({ kind: 'shuffle' })).toThrow(WireError);
    expect(read({ phase: 'limbo' })).toThrow(WireError);
  });
});
