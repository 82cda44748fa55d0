import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  FollowStatus,
  KeyspaceRequest,
  ShardStatus,
  StoreStatus,
  TaskProgress,
} from '../../../src/cluster/manager.js';
import type { KeyspaceNews, MasterMessage, StoreMessage } from '../../../src/cluster/messages.js';
import type { CopyReport } from '../../../src/cluster/plan/reports.js';
import type { KeyspaceEntry, StoreEntry, Topology } from '../../../src/cluster/topology.js';
import { masterMethods } from '../../../src/master/proto.js';
import {
  type FollowMessage,
  fromWireFollowMessage,
  fromWireKeyspace,
  fromWireMasterMessage,
  fromWireProgress,
  fromWireRequest,
  fromWireStatus,
  fromWireStoreMessage,
  fromWireTopology,
  toWireFollowMessage,
  toWireKeyspace,
  toWireMasterMessage,
  toWireProgress,
  toWireRequest,
  toWireStatus,
  toWireStoreMessage,
  toWireTopology,
} from '../../../src/master/wire.js';
import { WireError } from '../../../src/master/wire-checks.js';
import type { WireStoreMessage } from '../../../src/master/wire-types.js';
import { check } from '../../support/replay.js';

const methods = masterMethods();
const overRequest = <Wire>(
  { requestSerialize, requestDeserialize }: MethodDefinition<Wire, never>,
  wire: Wire,
) => requestDeserialize(requestSerialize(wire));
const overReply = <Wire>(
  { responseSerialize, responseDeserialize }: MethodDefinition<never, Wire>,
  wire: Wire,
) => responseDeserialize(responseSerialize(wire));

const natural = fc.maxSafeNat();
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const hexOf = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const port = fc.integer({ min: 0, max: 65_535 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const optionalError = fc.option(
  text.map((error) => ({ error })),
  { nil: {} },
);

const facts = {
  id: hexOf(40),
  epoch: natural,
  host: text,
  port,
  tlsPort: port,
  peerPort: port,
  zone: text,
  tags: fc.array(text, { maxLength: 3 }),
  doors: fc.array(fc.record({ port, keyspace: text }), { maxLength: 3 }),
};
const drains: fc.Arbitrary<Pick<StoreEntry, 'isDrained' | 'drainEpoch'>> = fc.record(
  { isDrained: fc.constant(true as const), drainEpoch: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) },
  { requiredKeys: [] },
);
const store: fc.Arbitrary<StoreEntry> = fc
  .tuple(fc.record(facts), drains)
  .map(([entry, drain]) => ({ ...entry, ...drain }));

const keyspace: fc.Arbitrary<KeyspaceEntry> = fc.record({
  id: hexOf(16),
  epoch: natural,
  name: text,
  db: fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { nil: undefined }),
  replicas: uint32,
  tags: fc.array(text, { maxLength: 3 }),
  shards: fc.array(fc.record({ stores: fc.array(hexOf(40), { maxLength: 3 }) }), { maxLength: 4 }),
  deleted: fc.boolean(),
});

const topology: fc.Arbitrary<Topology> = fc
  .record({ clusterId: text, stores: fc.array(store), keyspaces: fc.array(keyspace) })
  .map(({ clusterId, stores, keyspaces }) => ({
    clusterId,
    stores: new Map(stores.map((entry) => [entry.id, entry])),
    keyspaces: new Map(keyspaces.map((entry) => [entry.id, entry])),
  }));

const follow: fc.Arbitrary<FollowStatus> = fc.record({
  store: hexOf(40),
  shard: uint32,
  state: fc.constantFrom('connecting', 'copying', 'tailing'),
  problem: text,
  isLevel: fc.boolean(),
  position: natural,
  lagRecords: natural,
  lagMs: natural,
  copiedRows: natural,
  copiedBytes: natural,
});

const shard: fc.Arbitrary<ShardStatus> = fc.record({
  keyspace: hexOf(16),
  shard: uint32,
  keys: natural,
  bytes: natural,
  state: text,
  follows: fc.array(follow, { maxLength: 3 }),
});

const copyReport: fc.Arbitrary<CopyReport> = fc.record({
  shard: uint32,
  failure: text,
  isComplete: fc.boolean(),
  isClean: fc.boolean(),
  holding: natural,
  expired: natural,
  feeds: fc.array(
    fc.record({
      from: fc.record({ store: hexOf(40), shard: uint32 }),
      isLevel: fc.boolean(),
      mark: natural,
      position: natural,
    }),
    { maxLength: 3 },
  ),
});

const news: fc.Arbitrary<KeyspaceNews> = fc.record({
  keyspace: hexOf(16),
  epoch: natural,
  copies: fc.array(copyReport, { maxLength: 3 }),
});

const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((each) => !Object.is(each, -0));
const progress: fc.Arbitrary<TaskProgress> = fc.record({ done: number, total: number, phase: text });

const storeMessage: fc.Arbitrary<StoreMessage> = fc.oneof(
  fc.record({ kind: fc.constant('register' as const), store, topology }),
  fc
    .tuple(natural, optionalError)
    .map(([epoch, error]): StoreMessage => ({ kind: 'applied', epoch, ...error })),
  fc.record({
    kind: fc.constant('report' as const),
    freeBytes: natural,
    totalBytes: natural,
    shards: fc.array(shard),
    keyspaces: fc.array(news, { maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant('progress' as const), task: natural, progress }),
  fc
    .tuple(natural, optionalError)
    .map(([task, error]): StoreMessage => ({ kind: 'finished', task, ...error })),
);

const masterMessage: fc.Arbitrary<MasterMessage> = fc.oneof(
  fc.record({ kind: fc.constant('welcome' as const), clusterId: text }),
  fc.record({ kind: fc.constant('refused' as const), reason: text }),
  fc.record({ kind: fc.constant('topology' as const), topology }),
  fc.record({ kind: fc.constant('compact' as const), task: natural, keyspace: hexOf(16), shard: uint32 }),
);

const followMessage: fc.Arbitrary<FollowMessage> = fc.oneof(
  fc.record({ kind: fc.constant('topology' as const), topology }),
  fc.record({ kind: fc.constant('event' as const), event: fc.record({ atMs: natural, text }) }),
);

const status: fc.Arbitrary<StoreStatus> = fc.record({
  entry: store,
  alive: fc.boolean(),
  seenAtMs: natural,
  freeBytes: natural,
  totalBytes: natural,
  shards: fc.array(shard),
});

const request: fc.Arbitrary<KeyspaceRequest> = fc
  .record({
    required: fc.record({ name: text, shards: uint32, replicas: uint32, tags: fc.array(text) }),
    optional: fc.record({ db: uint32, near: hexOf(40) }, { requiredKeys: [] }),
    mayExist: fc.boolean(),
  })
  .map(({ required, optional, mayExist }) => ({
    ...required,
    ...optional,
    ...(mayExist ? { mayExist } : {}),
  }));

describe('messages, through protobuf and back', () => {
  const through = <Value>(arbitrary: fc.Arbitrary<Value>, pass: (value: Value) => Value) =>
    check(
      fc.property(arbitrary, (value) => {
        expect(pass(value)).toEqual(value);
      }),
      200,
    );

  it('of stores', () =>
    through(storeMessage, (message) =>
      fromWireStoreMessage(overRequest(methods.Register as never, toWireStoreMessage(message))),
    ));
  it('of the master', () =>
    through(masterMessage, (message) =>
      fromWireMasterMessage(overReply(methods.Register as never, toWireMasterMessage(message))),
    ));
  it('to followers', () =>
    through(followMessage, (message) =>
      fromWireFollowMessage(overReply(methods.Follow as never, toWireFollowMessage(message))),
    ));
  it('topologies, keyspaces and what is known of stores', () => {
    void through(topology, (value) =>
      fromWireTopology(overReply(methods.GetTopology as never, toWireTopology(value))),
    );
    void through(keyspace, (value) =>
      fromWireKeyspace(overReply(methods.CreateKeyspace as never, toWireKeyspace(value))),
    );
    void through(status, (value) => {
      const { stores } = overReply(methods.ListStores as never, { stores: [toWireStatus(value)] });
      return fromWireStatus(stores[0]!);
    });
  });
  it('requests and progress', () => {
    void through(request, (value) =>
      fromWireRequest(overRequest(methods.CreateKeyspace as never, toWireRequest(value))),
    );
    void through(progress, (value) =>
      fromWireProgress(overReply(methods.CompactKeyspace as never, toWireProgress(value))),
    );
  });
});

describe('what is none of these messages', () => {
  const read = (wire: WireStoreMessage) => () =>
    fromWireStoreMessage(overRequest(methods.Register as never, wire));
  const entry = { ...emptyStore(), id: 'a'.repeat(40) };

  function emptyStore() {
    return {
      id: '',
      epoch: 0,
      host: '',
      port: 0,
      tlsPort: 0,
      peerPort: 0,
      zone: '',
      tags: [],
      doors: [],
      isDrained: false,
      drainEpoch: 0,
    };
  }

  it('is said to be none, and why', () => {
    const none = { clusterId: '', stores: [], keyspaces: [] };
    expect(read({})).toThrow(new WireError('it is none that this version knows'));
    expect(read({ register: { store: null, topology: none } })).toThrow('there is no store in it');
    expect(read({ register: { store: entry, topology: null } })).toThrow('there is no topology in it');
    expect(read({ register: { store: emptyStore(), topology: none } })).toThrow('"" is no id of a store');
    expect(read({ register: { store: { ...entry, port: 70_000 }, topology: none } })).toThrow(
      '70000 is no port',
    );
    const beyond = { ...entry, epoch: 2 ** 53 };
    expect(read({ register: { store: beyond, topology: none } })).toThrow('is not a whole number up to 2^53');
    expect(read({ progress: { task: 1, progress: null } })).toThrow('there is no progress in it');
    expect(read({ progress: { task: 1, progress: { done: Number.NaN, total: 1, phase: '' } } })).toThrow(
      'progress is no number',
    );
  });

  it('bytes of any kind never give anything but a message or an error', () =>
    check(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let wire: WireStoreMessage;
        try {
          wire = methods.Register.requestDeserialize(Buffer.from(bytes));
        } catch {
          // gRPC ends such a call by itself.
          return;
        }
        try {
          fromWireStoreMessage(wire);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      2000,
    ));

  it('counts of bytes beyond what numbers can say are sent as the largest', () => {
    const report: StoreMessage = {
      kind: 'report',
      freeBytes: 2 ** 63,
      totalBytes: 2 ** 64,
      shards: [],
      keyspaces: [],
    };
    expect(fromWireStoreMessage(overRequest(methods.Register as never, toWireStoreMessage(report)))).toEqual({
      ...report,
      freeBytes: Number.MAX_SAFE_INTEGER,
      totalBytes: Number.MAX_SAFE_INTEGER,
    });
  });
});
