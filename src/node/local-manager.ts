import { randomBytes } from 'node:crypto';
import {
  type ClusterManager,
  type KeyspaceRequest,
  ManagerError,
  type StoreStatus,
} from '../cluster/manager.js';
import {
  type KeyspaceEntry,
  keyspaceByName,
  keyspaceByNumber,
  nextEpoch,
  type Topology,
  withKeyspace,
} from '../cluster/topology.js';
import type { Store } from './store.js';

/** Manages the one store that it is given: a cluster of one. */
export class LocalManager implements ClusterManager {
  private changes: Promise<unknown> = Promise.resolve();

  constructor(private readonly store: Store) {}

  get topology(): Topology {
    return this.store.keyspaces.topology;
  }

  createKeyspace(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    return this.inTurn(async () => {
      const { name, db, shards } = request;
      const there =
        keyspaceByName(this.topology, name) ??
        (db === undefined ? undefined : keyspaceByNumber(this.topology, db));
      if (there !== undefined) {
        if (request.mayExist) return there;
        throw new ManagerError('EXISTS', `there is a keyspace ${name} already`);
      }
      const entry: KeyspaceEntry = {
        id: randomBytes(8).toString('hex'),
        epoch: nextEpoch(this.topology, Date.now()),
        name,
        db,
        replicas: 1,
        tags: request.tags,
        shards: Array.from({ length: shards }, () => ({ stores: [this.store.id] })),
        deleted: false,
      };
      await this.store.applyTopology(withKeyspace(this.topology, entry));
      return entry;
    });
  }

  deleteKeyspace(name: string): Promise<void> {
    return this.inTurn(async () => {
      const entry = keyspaceByName(this.topology, name);
      if (entry === undefined) throw new ManagerError('NOT_FOUND', `there is no keyspace ${name}`);
      const epoch = nextEpoch(this.topology, Date.now());
      await this.store.applyTopology(withKeyspace(this.topology, { ...entry, epoch, deleted: true }));
    });
  }

  compactKeyspace(): Promise<void> {
    return Promise.reject(new ManagerError('IMPOSSIBLE', 'keyspaces cannot be rewritten yet'));
  }

  swapDatabases(first: number, second: number): Promise<void> {
    return this.inTurn(async () => {
      const one = keyspaceByNumber(this.topology, first);
      const other = keyspaceByNumber(this.topology, second);
      if (one === undefined || other === undefined) throw new ManagerError('NOT_FOUND', 'no such database');
      const epoch = nextEpoch(this.topology, Date.now());
      const swapped = withKeyspace(this.topology, { ...one, epoch, db: second });
      await this.store.applyTopology(withKeyspace(swapped, { ...other, epoch: epoch + 1, db: first }));
    });
  }

  stores(): Promise<StoreStatus[]> {
    return Promise.resolve([]);
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.changes.then(work);
    this.changes = done.catch(() => undefined);
    return done;
  }
}
