import type { KeyspaceRequest, TaskProgress } from '../cluster/manager.js';
import { ManagerError } from '../cluster/manager.js';
import { type PlacementStore, place } from '../cluster/placement.js';
import { storesConcerned } from '../cluster/plan/duties.js';
import {
  type KeyspaceEntry,
  keyspaceByName,
  keyspaceByNumber,
  type Topology,
  withKeyspace,
} from '../cluster/topology.js';
import { busy, type Lock, Locks } from './locks.js';
import { checkRequest, KEYSPACES_MAX, quoted, renumberedName } from './rules.js';
import type { StoreLink } from './store-link.js';

/** What changes need of the master. */
export interface ChangeContext {
  /** What every node is to have at present. */
  topology(): Topology;
  placementStores(topology: Topology): PlacementStore[];
  /** The conversation with a store; undefined while it is not there. */
  link(store: string): StoreLink | undefined;
  members(): StoreLink[];
  newEpoch(): number;
  makeId(bytes: number): string;
  /** Makes entries part of what all are to have, and tells all. */
  publish(entries: readonly KeyspaceEntry[]): void;
  announce(text: string): void;
  /** A store as messages name it. */
  storeText(id: string): string;
  verbose(text: string): void;
}

interface ChangeLock extends Lock {
  /** Of a creation: its outcome, which others that want the same may share. */
  readonly created?: { readonly name: string; readonly entry: Promise<KeyspaceEntry> };
}

/** How long a store may take to put a topology into effect, and how much longer for each shard that it is to open. */
const APPLY_TIMEOUT_MS = 10_000;
const APPLY_SHARD_TIMEOUT_MS = 50;

/** Changes that are over as soon as all stores have answered: who comes meanwhile may as well wait. */
const IS_BRIEF: Readonly<Record<Lock['doing'], boolean>> = {
  created: true,
  deleted: true,
  swapped: true,
  compacted: false,
};

/**
 * The changes of a cluster. Each is one or more entries of the topology with a new epoch, which the stores concerned
 * put into effect first and everybody learns of afterwards; one that fails is taken back by entries with a later epoch.
 * If the master dies between, what the stores remember is a change that the next master completes by telling all.
 *
 * There is one change at a time for each name and number. Others go on meanwhile; each sends out what is published and
 * its own entries, never those of another change under way.
 */
export class Changes {
  private readonly locks = new Locks<ChangeLock>();
  /** Entries of changes under way: they count when stores are chosen. */
  private readonly underWay = new Map<string, KeyspaceEntry>();

  constructor(private readonly context: ChangeContext) {}

  async create(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    checkRequest(request);
    const keys = keysOf(request);
    for (;;) {
      const lock = this.locks.find(keys);
      // One that is being compacted is there all the same; of others nobody knows yet.
      if (lock === undefined || lock.doing === 'compacted') {
        const existing = this.existing(request);
        if (existing !== undefined) return existing;
      }
      if (lock === undefined) break;
      if (request.mayExist !== true) throw busy(`keyspace ${request.name}`, lock);
      if (lock.created?.name === request.name) return lock.created.entry;
      await lock.finished.catch(() => undefined);
    }
    const entry = this.make(request);
    this.locks.hold(keys, { doing: 'created', finished: entry, created: { name: request.name, entry } });
    return entry;
  }

  /** The keyspace that is there already, if it will do; ManagerError EXISTS if it is in the way. */
  private existing({ name, db, mayExist }: KeyspaceRequest): KeyspaceEntry | undefined {
    const topology = this.context.topology();
    const numbered = db === undefined ? undefined : keyspaceByNumber(topology, db);
    if (numbered !== undefined) {
      if (mayExist === true) return numbered;
      throw new ManagerError('EXISTS', `database ${db} is the keyspace ${numbered.name} already`);
    }
    const named = keyspaceByName(topology, name);
    if (named === undefined) return undefined;
    if (mayExist === true && db === undefined) return named;
    throw new ManagerError('EXISTS', `there is a keyspace ${name} already`);
  }

  private async make(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    const { context } = this;
    const { name, db, replicas, tags } = request;
    if (context.topology().keyspaces.size >= KEYSPACES_MAX)
      throw new ManagerError(
        'IMPOSSIBLE',
        `the cluster remembers ${KEYSPACES_MAX} keyspaces, deleted ones included, and takes no more`,
      );
    const placement = place(context.placementStores(this.anticipated()), {
      ...request,
      nearFirst: request.mayExist === true && request.shards === 1,
    });
    if ('reason' in placement)
      throw new ManagerError('IMPOSSIBLE', `cannot create keyspace ${name}: ${placement.reason}`);
    for (const line of placement.explanation) context.verbose(`keyspace ${name}: ${line}`);
    const entry: KeyspaceEntry = {
      id: context.makeId(8),
      epoch: context.newEpoch(),
      name,
      db,
      replicas,
      tags: [...new Set(tags)].sort(),
      shards: placement.shards,
      deleted: false,
    };
    const failure = await this.apply([entry], holdersOf(entry));
    if (failure !== undefined) {
      context.publish([markerOf(entry, context.newEpoch())]);
      throw new ManagerError('FAILED', `keyspace ${name} was not created: ${failure}`);
    }
    context.publish([entry]);
    const stores = holdersOf(entry).length;
    context.announce(
      `keyspace ${name} created: ${count(entry.shards.length, 'shard')} on ${count(stores, 'store')}`,
    );
    // A store that came meanwhile may have brought an older keyspace of that name.
    return context.topology().keyspaces.get(entry.id) ?? entry;
  }

  async delete(name: string): Promise<void> {
    const entry = this.named(name);
    const keys = keysOf(entry);
    this.refuseIfBusy(keys, name);
    const finished = this.remove(entry);
    this.locks.hold(keys, { doing: 'deleted', finished });
    await finished;
  }

  private async remove(entry: KeyspaceEntry): Promise<void> {
    const { context } = this;
    const marker = markerOf(entry, context.newEpoch());
    const living = storesConcerned(entry).filter((store) => context.link(store) !== undefined);
    const failure = await this.apply([marker], living);
    // Whatever went wrong: it is deleted. A store that still holds something is told again when it registers.
    context.publish([marker]);
    context.announce(`keyspace ${entry.name} deleted`);
    if (failure !== undefined)
      throw new ManagerError(
        'FAILED',
        `keyspace ${entry.name} is deleted, but not everywhere yet: ${failure}`,
      );
  }

  async swap(first: number, second: number): Promise<void> {
    if (first === second) return;
    for (;;) {
      const topology = this.context.topology();
      const before = [keyspaceByNumber(topology, first), keyspaceByNumber(topology, second)];
      const entries = before.filter((entry) => entry !== undefined);
      const keys = [...new Set([numberKey(first), numberKey(second), ...entries.flatMap(keysOf)])];
      const lock = this.locks.find(keys);
      if (lock === undefined) {
        if (entries.length === 0) return;
        const finished = this.renumber(entries, first, second);
        this.locks.hold(keys, { doing: 'swapped', finished });
        await finished;
        return;
      }
      if (!IS_BRIEF[lock.doing]) throw busy(`database ${first} or ${second}`, lock);
      // Users of a database do not know that it comes into being by being used, nor that others swap it.
      await lock.finished.catch(() => undefined);
    }
  }

  private async renumber(entries: readonly KeyspaceEntry[], first: number, second: number): Promise<void> {
    const { context } = this;
    const swapped = entries.map((entry): KeyspaceEntry => {
      const db = entry.db === first ? second : first;
      return { ...entry, epoch: context.newEpoch(), db, name: renumberedName(entry.name, db) };
    });
    const all = context.members().map((link) => link.store!.id);
    const failure = await this.apply(swapped, all);
    if (failure !== undefined) {
      context.publish(entries.map((entry) => ({ ...entry, epoch: context.newEpoch() })));
      throw new ManagerError('FAILED', `databases ${first} and ${second} were not swapped: ${failure}`);
    }
    context.publish(swapped);
    context.announce(`databases ${first} and ${second} swapped`);
  }

  async compact(name: string, onProgress: (progress: TaskProgress) => void): Promise<void> {
    const entry = this.named(name);
    const keys = keysOf(entry);
    this.refuseIfBusy(keys, name);
    if (entry.change !== undefined)
      throw new ManagerError(
        'BUSY',
        `keyspace ${name} is being changed (${entry.change.kind}): compact it when that is done`,
      );
    const finished = this.rewrite(entry, onProgress);
    this.locks.hold(keys, { doing: 'compacted', finished });
    await finished;
  }

  /** One shard at a time on each store, so that its disk and its other keyspaces are not overrun. */
  private async rewrite(entry: KeyspaceEntry, onProgress: (progress: TaskProgress) => void): Promise<void> {
    const { context } = this;
    const absent = holdersOf(entry).find((store) => context.link(store) === undefined);
    if (absent !== undefined)
      throw new ManagerError(
        'FAILED',
        `cannot compact keyspace ${entry.name}: ${context.storeText(absent)} is not connected`,
      );
    const copies = entry.shards.reduce((sum, { stores }) => sum + stores.length, 0);
    const progress = new Map<string, TaskProgress>();
    let finished = 0;
    const tell = () => {
      const parts = [...progress.values()];
      const sum = (of: (part: TaskProgress) => number) => parts.reduce((total, part) => total + of(part), 0);
      const phase = `${finished} of ${count(copies, 'shard')} compacted`;
      onProgress({ done: sum(({ done }) => done), total: sum(({ total }) => total), phase });
    };
    const rewriteOn = async (store: string): Promise<void> => {
      for (const shard of entry.shards.keys()) {
        if (!entry.shards[shard]!.stores.includes(store)) continue;
        const link = context.link(store);
        if (link === undefined) throw new Error('is not connected any more');
        const key = `${store} ${shard}`;
        await link.compact(entry.id, shard, (part) => {
          progress.set(key, part);
          tell();
        });
        const last = progress.get(key);
        if (last !== undefined) progress.set(key, { ...last, done: last.total });
        finished++;
        tell();
      }
    };
    const failure = await this.firstFailure(holdersOf(entry), rewriteOn);
    if (failure !== undefined)
      throw new ManagerError('FAILED', `keyspace ${entry.name} was not compacted everywhere: ${failure}`);
    context.announce(`keyspace ${entry.name} compacted`);
  }

  /** Has stores put entries into effect. @returns what failed, and where; undefined when all have done it */
  private async apply(
    entries: readonly KeyspaceEntry[],
    stores: readonly string[],
  ): Promise<string | undefined> {
    for (const entry of entries) this.underWay.set(entry.id, entry);
    const topology = entries.reduce(withKeyspace, this.context.topology());
    try {
      return await this.firstFailure(stores, async (store) => {
        const link = this.context.link(store);
        if (link === undefined) throw new Error('is not connected any more');
        const shards = entries
          .flatMap((entry) => entry.shards)
          .filter((shard) => shard.stores.includes(store));
        await link.apply(topology, APPLY_TIMEOUT_MS + shards.length * APPLY_SHARD_TIMEOUT_MS);
      });
    } finally {
      for (const entry of entries) this.underWay.delete(entry.id);
    }
  }

  /** Does something with all stores at once, and waits for all, so that nothing is going on when it is taken back. */
  private async firstFailure(
    stores: readonly string[],
    act: (store: string) => Promise<void>,
  ): Promise<string | undefined> {
    const outcomes = await Promise.allSettled(stores.map(act));
    for (const [index, outcome] of outcomes.entries())
      if (outcome.status === 'rejected')
        return `${this.context.storeText(stores[index]!)} ${(outcome.reason as Error).message}`;
    return undefined;
  }

  /** The topology as it will be if all changes under way succeed. */
  private anticipated(): Topology {
    return [...this.underWay.values()].reduce(withKeyspace, this.context.topology());
  }

  /**
   * The keyspace of a name, with which nothing else is being done.
   * @throws ManagerError NOT_FOUND, BUSY
   */
  free(name: string): KeyspaceEntry {
    const entry = this.named(name);
    this.refuseIfBusy(keysOf(entry), name);
    return entry;
  }

  /** Whether something is being done with a keyspace, during which its entry stays as it is. */
  isLocked(entry: KeyspaceEntry): boolean {
    return this.locks.find(keysOf(entry)) !== undefined;
  }

  private named(name: string): KeyspaceEntry {
    const entry = keyspaceByName(this.context.topology(), name);
    if (entry !== undefined) return entry;
    const lock = this.locks.find([nameKey(name)]);
    if (lock !== undefined) throw busy(`keyspace ${name}`, lock);
    throw new ManagerError('NOT_FOUND', `there is no keyspace ${quoted(name)}`);
  }

  private refuseIfBusy(keys: readonly string[], name: string): void {
    const lock = this.locks.find(keys);
    if (lock !== undefined) throw busy(`keyspace ${name}`, lock);
  }
}

function nameKey(name: string): string {
  return `name ${name}`;
}

function numberKey(db: number): string {
  return `number ${db}`;
}

function keysOf({ name, db }: { readonly name: string; readonly db?: number | undefined }): string[] {
  return db === undefined ? [nameKey(name)] : [nameKey(name), numberKey(db)];
}

/** What stays of a deleted keyspace. */
function markerOf({ change: _, ...entry }: KeyspaceEntry, epoch: number): KeyspaceEntry {
  return { ...entry, epoch, deleted: true, shards: [], tags: [] };
}

/** Ids of the stores that hold something of a keyspace. */
function holdersOf({ shards }: KeyspaceEntry): string[] {
  return [...new Set(shards.flatMap(({ stores }) => stores))];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
