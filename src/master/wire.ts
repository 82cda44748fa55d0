import type { ClusterEvent } from '../cluster/follower.js';
import type {
  FollowStatus,
  KeyspaceRequest,
  ShardStatus,
  StoreStatus,
  TaskProgress,
} from '../cluster/manager.js';
import type { MasterMessage, StoreMessage } from '../cluster/messages.js';
import {
  CHANGE_KINDS,
  type KeyspaceChange,
  type KeyspaceEntry,
  type ShardEntry,
  type StoreEntry,
  type Topology,
} from '../cluster/topology.js';
import { fromWireKeyspaceNews, toWireKeyspaceNews } from './wire-changes.js';
import { countable, exact, given, idOf, portOf, WireError } from './wire-checks.js';
import type {
  WireChange,
  WireFollowMessage,
  WireFollowStatus,
  WireKeyspace,
  WireKeyspaceRequest,
  WireMasterMessage,
  WireProgress,
  WireShard,
  WireShardStatus,
  WireStore,
  WireStoreMessage,
  WireStoreStatus,
  WireTopology,
} from './wire-types.js';

/*
 * What the messages of master.proto say, as values of the cluster. Reading checks what protobuf does not: that nested
 * messages are there, that numbers are exact and in range, that ids are ids. All of it is pure.
 */

/** What a follower is told. */
export type FollowMessage =
  | { readonly kind: 'topology'; readonly topology: Topology }
  | { readonly kind: 'event'; readonly event: ClusterEvent };

// ---------------------------------------------------------------- topology

export function toWireStore(entry: StoreEntry): WireStore {
  return {
    ...entry,
    tags: [...entry.tags],
    doors: entry.doors.map(({ port, keyspace }) => ({ port, keyspace })),
    isDrained: entry.isDrained === true,
    drainEpoch: entry.drainEpoch ?? 0,
  };
}

/** @throws WireError */
export function fromWireStore(wire: WireStore): StoreEntry {
  return {
    id: idOf(wire.id, 'store'),
    epoch: exact(wire.epoch, 'the epoch of a store'),
    host: wire.host,
    port: portOf(wire.port, 'port'),
    tlsPort: portOf(wire.tlsPort, 'tls_port'),
    peerPort: portOf(wire.peerPort, 'peer_port'),
    zone: wire.zone,
    tags: wire.tags,
    doors: wire.doors.map(({ port, keyspace }) => ({ port: portOf(port, 'the port of a door'), keyspace })),
    ...(wire.isDrained && { isDrained: true }),
    ...(wire.drainEpoch !== 0 && { drainEpoch: exact(wire.drainEpoch, 'the drain epoch of a store') }),
  };
}

export function toWireKeyspace({ db, change, ...entry }: KeyspaceEntry): WireKeyspace {
  return {
    ...entry,
    ...(db === undefined ? {} : { db }),
    ...(change === undefined ? {} : { change: toWireChange(change) }),
    tags: [...entry.tags],
    shards: entry.shards.map(toWireShardEntry),
  };
}

/** @throws WireError */
export function fromWireKeyspace(wire: WireKeyspace): KeyspaceEntry {
  return {
    id: idOf(wire.id, 'keyspace'),
    epoch: exact(wire.epoch, 'the epoch of a keyspace'),
    name: wire.name,
    db: wire.db,
    replicas: wire.replicas,
    tags: wire.tags,
    shards: wire.shards.map(fromWireShardEntry),
    deleted: wire.deleted,
    ...(wire.change ? { change: fromWireChange(wire.change) } : {}),
  };
}

function toWireShardEntry({ stores, home = '', since = 0 }: ShardEntry): WireShard {
  return { stores: [...stores], home, since };
}

function fromWireShardEntry({ stores, home, since }: WireShard): ShardEntry {
  return {
    stores: stores.map((id) => idOf(id, 'store')),
    ...(home === '' ? {} : { home: idOf(home, 'store') }),
    ...(since === 0 ? {} : { since: exact(since, 'the epoch of a shard') }),
  };
}

function toWireChange(change: KeyspaceChange): WireChange {
  const { id, kind, phase, startedAtMs, since, sinceMs, replicas, attempts } = change;
  const shards = 'target' in change ? change.target : change.former;
  return {
    id,
    kind,
    phase,
    startedAtMs,
    since,
    sinceMs,
    replicas,
    attempts,
    shards: shards.map(toWireShardEntry),
  };
}

function fromWireChange({ phase, ...wire }: WireChange): KeyspaceChange {
  const kind = CHANGE_KINDS.find((name) => name === wire.kind);
  if (kind === undefined)
    throw new WireError(
      `a change of a kind that this version does not know: ${JSON.stringify(wire.kind.slice(0, 80))}`,
    );
  const facts = {
    id: idOf(wire.id, 'change'),
    kind,
    startedAtMs: exact(wire.startedAtMs, 'the beginning of a change'),
    since: exact(wire.since, 'the epoch of a phase'),
    sinceMs: exact(wire.sinceMs, 'the beginning of a phase'),
    replicas: wire.replicas,
    attempts: wire.attempts,
  };
  const shards = wire.shards.map(fromWireShardEntry);
  switch (phase) {
    case 'prepare':
    case 'handover':
    case 'undo':
      return { ...facts, phase, target: shards };
    case 'takeover':
    case 'cleanup':
      return { ...facts, phase, former: shards };
    default:
      throw new WireError(
        `a change in a phase that this version does not know: ${JSON.stringify(phase.slice(0, 80))}`,
      );
  }
}

export function toWireTopology({ clusterId, stores, keyspaces }: Topology): WireTopology {
  return {
    clusterId,
    stores: [...stores.values()].map(toWireStore),
    keyspaces: [...keyspaces.values()].map(toWireKeyspace),
  };
}

/** @throws WireError */
export function fromWireTopology(wire: WireTopology): Topology {
  return {
    clusterId: wire.clusterId,
    stores: new Map(wire.stores.map((store) => [store.id, fromWireStore(store)])),
    keyspaces: new Map(wire.keyspaces.map((keyspace) => [keyspace.id, fromWireKeyspace(keyspace)])),
  };
}

/** Makes one message of a topology, however many it is for: proto.ts then serializes it once. */
function remembered<Message>(make: (topology: Topology) => Message): (topology: Topology) => Message {
  const made = new WeakMap<Topology, Message>();
  return (topology) => {
    const known = made.get(topology);
    if (known !== undefined) return known;
    const message = make(topology);
    made.set(topology, message);
    return message;
  };
}

// ---------------------------------------------------------------- stores

/** In the order of their numbers. */
const FOLLOW_STATES = ['connecting', 'copying', 'tailing'] as const satisfies FollowStatus['state'][];

function toWireFollow({ state, ...status }: FollowStatus): WireFollowStatus {
  return { ...status, state: FOLLOW_STATES.indexOf(state), lagMs: countable(status.lagMs) };
}

function fromWireFollow({ state, ...status }: WireFollowStatus): FollowStatus {
  return {
    ...status,
    store: idOf(status.store, 'store'),
    state: FOLLOW_STATES[state] ?? 'connecting',
    position: exact(status.position, 'the position of a copy'),
    lagRecords: exact(status.lagRecords, 'the lag of a copy'),
    lagMs: exact(status.lagMs, 'the lag of a copy'),
    copiedRows: exact(status.copiedRows, 'the rows of a copy'),
    copiedBytes: exact(status.copiedBytes, 'the bytes of a copy'),
  };
}

function toWireShard({ keyspace, shard, keys, bytes, state, follows }: ShardStatus): WireShardStatus {
  const facts = { keyspace, shard, keys: countable(keys), bytes: countable(bytes), state };
  return { ...facts, follows: follows.map(toWireFollow) };
}

function fromWireShard({ keyspace, shard, keys, bytes, state, follows }: WireShardStatus): ShardStatus {
  return {
    keyspace: idOf(keyspace, 'keyspace'),
    shard,
    keys: exact(keys, 'the keys of a shard'),
    bytes: exact(bytes, 'the bytes of a shard'),
    state,
    follows: follows.map(fromWireFollow),
  };
}

export function toWireProgress({ done, total, phase }: TaskProgress): WireProgress {
  return { done, total, phase };
}

/** @throws WireError */
export function fromWireProgress({ done, total, phase }: WireProgress): TaskProgress {
  if (!Number.isFinite(done) || !Number.isFinite(total)) throw new WireError('progress is no number');
  return { done, total, phase };
}

export function toWireStoreMessage(message: StoreMessage): WireStoreMessage {
  switch (message.kind) {
    case 'register':
      return {
        register: { store: toWireStore(message.store), topology: toWireTopology(message.topology) },
      };
    case 'applied':
      return { applied: { epoch: message.epoch, ...errorOf(message) } };
    case 'report': {
      const { freeBytes, totalBytes, shards } = message;
      return {
        report: {
          freeBytes: countable(freeBytes),
          totalBytes: countable(totalBytes),
          shards: shards.map(toWireShard),
          keyspaces: message.keyspaces.map(toWireKeyspaceNews),
        },
      };
    }
    case 'progress':
      return { progress: { task: message.task, progress: toWireProgress(message.progress) } };
    case 'finished':
      return { finished: { task: message.task, ...errorOf(message) } };
  }
}

/** @throws WireError */
export function fromWireStoreMessage(wire: WireStoreMessage): StoreMessage {
  if (wire.register) {
    const { store, topology } = wire.register;
    return {
      kind: 'register',
      store: fromWireStore(given(store, 'store')),
      topology: fromWireTopology(given(topology, 'topology')),
    };
  }
  if (wire.applied)
    return { kind: 'applied', epoch: exact(wire.applied.epoch, 'epoch'), ...errorOf(wire.applied) };
  if (wire.report) {
    const { freeBytes, totalBytes, shards } = wire.report;
    return {
      kind: 'report',
      freeBytes: exact(freeBytes, 'free_bytes'),
      totalBytes: exact(totalBytes, 'total_bytes'),
      shards: shards.map(fromWireShard),
      keyspaces: wire.report.keyspaces.map(fromWireKeyspaceNews),
    };
  }
  if (wire.progress) {
    const progress = fromWireProgress(given(wire.progress.progress, 'progress'));
    return { kind: 'progress', task: exact(wire.progress.task, 'task'), progress };
  }
  if (wire.finished)
    return { kind: 'finished', task: exact(wire.finished.task, 'task'), ...errorOf(wire.finished) };
  throw new WireError('it is none that this version knows');
}

function errorOf({ error }: { readonly error?: string }): { error?: string } {
  return error === undefined ? {} : { error };
}

const topologyForStores = remembered(
  (topology): WireMasterMessage => ({ topology: toWireTopology(topology) }),
);

export function toWireMasterMessage(message: MasterMessage): WireMasterMessage {
  switch (message.kind) {
    case 'welcome':
      return { welcome: { clusterId: message.clusterId } };
    case 'refused':
      return { refused: { reason: message.reason } };
    case 'topology':
      return topologyForStores(message.topology);
    case 'compact':
      return { compact: { task: message.task, keyspace: message.keyspace, shard: message.shard } };
  }
}

/** @throws WireError */
export function fromWireMasterMessage(wire: WireMasterMessage): MasterMessage {
  if (wire.welcome) return { kind: 'welcome', clusterId: wire.welcome.clusterId };
  if (wire.refused) return { kind: 'refused', reason: wire.refused.reason };
  if (wire.topology) return { kind: 'topology', topology: fromWireTopology(wire.topology) };
  if (wire.compact) {
    const { task, keyspace, shard } = wire.compact;
    return { kind: 'compact', task: exact(task, 'task'), keyspace: idOf(keyspace, 'keyspace'), shard };
  }
  throw new WireError('it is none that this version knows');
}

// ---------------------------------------------------------------- followers, questions and changes

const topologyForFollowers = remembered(
  (topology): WireFollowMessage => ({ topology: toWireTopology(topology) }),
);

export function toWireFollowMessage(message: FollowMessage): WireFollowMessage {
  if (message.kind === 'topology') return topologyForFollowers(message.topology);
  return { event: { atMs: message.event.atMs, text: message.event.text } };
}

/** @throws WireError */
export function fromWireFollowMessage({ topology, event }: WireFollowMessage): FollowMessage {
  if (topology) return { kind: 'topology', topology: fromWireTopology(topology) };
  if (event) return { kind: 'event', event: { atMs: exact(event.atMs, 'at_ms'), text: event.text } };
  throw new WireError('it is none that this version knows');
}

export function toWireStatus(status: StoreStatus): WireStoreStatus {
  const { entry, alive, seenAtMs, freeBytes, totalBytes, shards } = status;
  return {
    store: toWireStore(entry),
    alive,
    seenAtMs,
    freeBytes: countable(freeBytes),
    totalBytes: countable(totalBytes),
    shards: shards.map(toWireShard),
  };
}

/** @throws WireError */
export function fromWireStatus(wire: WireStoreStatus): StoreStatus {
  return {
    entry: fromWireStore(given(wire.store, 'store')),
    alive: wire.alive,
    seenAtMs: exact(wire.seenAtMs, 'seen_at_ms'),
    freeBytes: exact(wire.freeBytes, 'free_bytes'),
    totalBytes: exact(wire.totalBytes, 'total_bytes'),
    shards: wire.shards.map(fromWireShard),
  };
}

export function toWireRequest({ db, near, mayExist, ...request }: KeyspaceRequest): WireKeyspaceRequest {
  return {
    ...request,
    ...(db === undefined ? {} : { db }),
    tags: [...request.tags],
    near: near ?? '',
    mayExist: mayExist === true,
  };
}

/** What a request may be is for the master to say. */
export function fromWireRequest(wire: WireKeyspaceRequest): KeyspaceRequest {
  const { name, db, shards, replicas, tags, near, mayExist } = wire;
  return {
    name,
    ...(db === undefined ? {} : { db }),
    shards,
    replicas,
    tags,
    ...(near === '' ? {} : { near }),
    ...(mayExist ? { mayExist } : {}),
  };
}
