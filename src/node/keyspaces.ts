import { shardsOfSlots } from '../cluster/jump-hash.js';
import { EMPTY_TOPOLOGY, type KeyspaceEntry, type Topology } from '../cluster/topology.js';
import type { ShardRoute } from '../workers/pool.js';

/** Where a shard of a keyspace is. */
export interface ShardPlace {
  /** Its number in the keyspace. */
  readonly shard: number;
  /** The store that owns it. */
  readonly store: string;
  /** The way to it, when that store is this one. */
  readonly local: ShardRoute | undefined;
}

/**
 * A keyspace as this node routes to it. There is one object for each id, changed in place as the topology changes, so
 * that who holds it (a session) always sees what is now.
 */
export class Keyspace {
  name = '';
  db: number | undefined;
  /** For each slot its shard. */
  shardsOfSlots: Uint16Array = shardsOfSlots(1);
  /** In order of the shards. */
  places: readonly ShardPlace[] = [];
  /** It is no more: nothing is to be sent to it. */
  deleted = false;

  constructor(readonly id: string) {}

  /** The way to all of its data, when that is one shard and here: then it behaves exactly as Redis does. */
  get onlyShard(): ShardRoute | undefined {
    return this.places.length === 1 ? this.places[0]!.local : undefined;
  }

  /** What people call it: its number, as in Redis, or else its name. */
  get label(): number | string {
    return this.db ?? this.name;
  }
}

/** Gives the way to a local shard. */
export type LocalShards = (keyspace: string, shard: number) => ShardRoute | undefined;

/** The keyspaces of the topology that is in force here. */
export class Keyspaces {
  private current: Topology = EMPTY_TOPOLOGY;
  private readonly byId = new Map<string, Keyspace>();
  private byName = new Map<string, Keyspace>();
  private byNumber = new Map<number, Keyspace>();
  private readonly listeners = new Set<() => void>();

  /** @param self id of this store; '' where no data is held */
  constructor(
    readonly self: string,
    private readonly locals: LocalShards,
  ) {}

  get topology(): Topology {
    return this.current;
  }

  named(name: string): Keyspace | undefined {
    return this.byName.get(name);
  }

  numbered(db: number): Keyspace | undefined {
    return this.byNumber.get(db);
  }

  withId(id: string): Keyspace | undefined {
    const keyspace = this.byId.get(id);
    return keyspace === undefined || keyspace.deleted ? undefined : keyspace;
  }

  /** Those that exist, numbered ones first in order of their numbers, then by name. */
  all(): Keyspace[] {
    const rank = (keyspace: Keyspace) => keyspace.db ?? Number.POSITIVE_INFINITY;
    return [...this.byName.values()].sort((a, b) =>
      rank(a) === rank(b) ? (a.name < b.name ? -1 : 1) : rank(a) - rank(b),
    );
  }

  /** Has `listener` called after each change. @returns what ends that */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Resolves with what `find` finds, now or after a change; with undefined when it has found nothing in time, or when
   * `over` says that it is not wanted any more. What a manager has answered may come here a little later.
   */
  async when<Found>(
    find: () => Found | undefined,
    timeoutMs: number,
    over?: AbortSignal,
  ): Promise<Found | undefined> {
    const found = find();
    if (found !== undefined) return found;
    return new Promise((resolve) => {
      const end = (result: Found | undefined) => {
        clearTimeout(timer);
        stop();
        resolve(result);
      };
      const timer = setTimeout(() => end(undefined), timeoutMs);
      over?.addEventListener('abort', () => end(undefined), { once: true });
      const stop = this.onChange(() => {
        const later = find();
        if (later !== undefined) end(later);
      });
    });
  }

  /** Puts a topology into force. Local shards that it places here must be there already. */
  apply(topology: Topology): void {
    this.current = topology;
    this.byName = new Map();
    this.byNumber = new Map();
    for (const entry of topology.keyspaces.values()) this.applyEntry(entry);
    for (const listener of this.listeners) listener();
  }

  private applyEntry(entry: KeyspaceEntry): void {
    let keyspace = this.byId.get(entry.id);
    if (entry.deleted) {
      if (keyspace !== undefined) keyspace.deleted = true;
      this.byId.delete(entry.id);
      return;
    }
    if (keyspace === undefined) {
      keyspace = new Keyspace(entry.id);
      this.byId.set(entry.id, keyspace);
    }
    keyspace.name = entry.name;
    keyspace.db = entry.db;
    keyspace.shardsOfSlots = shardsOfSlots(entry.shards.length);
    keyspace.places = entry.shards.map(({ stores }, shard) => {
      const store = stores[0] ?? '';
      const local = store === this.self && store !== '' ? this.locals(entry.id, shard) : undefined;
      return { shard, store, local };
    });
    this.byName.set(entry.name, keyspace);
    if (entry.db !== undefined) this.byNumber.set(entry.db, keyspace);
  }
}
