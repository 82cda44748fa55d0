import type { ChangeRequest, ChangeStatus } from '../cluster/manager.js';
import type { KeyspaceNews } from '../cluster/messages.js';
import type { CopyReport } from '../cluster/plan/reports.js';
import { countable, exact, idOf, WireError } from './wire-checks.js';
import type { WireChangeRequest, WireChangeStatus, WireCopyReport, WireKeyspaceNews } from './wire-types.js';

/* What the messages of master.proto say about changes of placement. */

export function toWireKeyspaceNews({ keyspace, epoch, copies }: KeyspaceNews): WireKeyspaceNews {
  return { keyspace, epoch, copies: copies.map(toWireCopy) };
}

/** @throws WireError */
export function fromWireKeyspaceNews({ keyspace, epoch, copies }: WireKeyspaceNews): KeyspaceNews {
  return {
    keyspace: idOf(keyspace, 'keyspace'),
    epoch: exact(epoch, 'the epoch of a keyspace'),
    copies: copies.map(fromWireCopy),
  };
}

function toWireCopy({ feeds, ...copy }: CopyReport): WireCopyReport {
  return {
    ...copy,
    feeds: feeds.map(({ from, ...feed }) => ({ ...from, ...feed })),
  };
}

function fromWireCopy({
  shard,
  failure,
  isComplete,
  isClean,
  holding,
  expired,
  feeds,
}: WireCopyReport): CopyReport {
  return {
    shard,
    failure,
    isComplete,
    isClean,
    holding: exact(holding, 'the epoch of a hand-over'),
    expired: exact(expired, 'the epoch of a hand-over'),
    feeds: feeds.map((feed) => ({
      from: { store: idOf(feed.store, 'store'), shard: feed.shard },
      isLevel: feed.isLevel,
      mark: exact(feed.mark, 'the epoch of a mark'),
      position: exact(feed.position, 'the position of a copy'),
    })),
  };
}

const NO_REQUEST: Omit<WireChangeRequest, 'kind'> = {
  keyspace: '',
  shards: 0,
  replicas: 0,
  shard: 0,
  store: '',
  to: '',
};

export function toWireChangeRequest(request: ChangeRequest): WireChangeRequest {
  switch (request.kind) {
    case 'move': {
      const { kind, keyspace, shard, from, to } = request;
      return { ...NO_REQUEST, kind, keyspace, shard, store: from, to };
    }
    case 'replace':
      return { ...NO_REQUEST, kind: request.kind, store: request.store, to: request.by };
    default:
      return { ...NO_REQUEST, ...request };
  }
}

/** What may be asked for is for the master to say. @throws WireError for a kind that is not known */
export function fromWireChangeRequest(wire: WireChangeRequest): ChangeRequest {
  const { kind, keyspace, shards, replicas, shard, store, to } = wire;
  switch (kind) {
    case 'resize':
      return { kind, keyspace, shards };
    case 'replicas':
      return { kind, keyspace, replicas };
    case 'move':
      return { kind, keyspace, shard, from: store, to };
    case 'replace':
      return { kind, store, by: to };
    case 'drain':
    case 'undrain':
      return { kind, store };
    case 'rebalance':
      return { kind };
    case 'abort':
      return { kind, keyspace };
    default:
      throw new WireError(
        `a change of a kind that this version does not know: ${JSON.stringify(kind.slice(0, 80))}`,
      );
  }
}

export function toWireChangeStatus(status: ChangeStatus): WireChangeStatus {
  const { rows, rowsTotal, bytes, bytesTotal, waitsFor } = status;
  return {
    ...status,
    rows: countable(rows),
    rowsTotal: countable(rowsTotal),
    bytes: countable(bytes),
    bytesTotal: countable(bytesTotal),
    waitsFor: [...waitsFor],
  };
}

/** @throws WireError */
export function fromWireChangeStatus(wire: WireChangeStatus): ChangeStatus {
  const { id, keyspace, kind, phase, attempts, waitsFor, isResting } = wire;
  return {
    id: idOf(id, 'change'),
    keyspace,
    kind,
    phase,
    startedAtMs: exact(wire.startedAtMs, 'the beginning of a change'),
    attempts,
    rows: exact(wire.rows, 'the rows of a change'),
    rowsTotal: exact(wire.rowsTotal, 'the rows of a change'),
    bytes: exact(wire.bytes, 'the bytes of a change'),
    bytesTotal: exact(wire.bytesTotal, 'the bytes of a change'),
    waitsFor,
    isResting,
  };
}
