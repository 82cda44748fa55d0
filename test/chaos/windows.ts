import { Buffer } from 'node:buffer';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import { type KeyspaceEntry, keyspaceByName, type Topology } from '../../src/cluster/topology.js';
import type { Allowance } from './ledger.js';

/**
 * `kill`: the process was not there. `freeze`: it stood still. `cut`: nobody could reach it, clients by its plain door
 * excepted. `unheard`: the master could not. `unfed`: copies elsewhere could not follow it. `replaced`: it was
 * dead, and others took its place for good. `deposed`: the master took it for dead, though nothing was done to it.
 */
export type FaultKind = 'kill' | 'freeze' | 'cut' | 'unheard' | 'unfed' | 'replaced' | 'deposed';

/** From when to when a fault may show, unix milliseconds; open while it lasts. */
export interface Window {
  readonly kind: FaultKind;
  /** Id of the store. */
  readonly store: string;
  readonly from: number;
  to: number;
}

/** A client's way into the cluster that was not there for a while. */
export interface DoorWindow {
  readonly door: string;
  readonly from: number;
  to: number;
}

/** A command that failed. */
export interface Failure {
  readonly keyspace: string;
  readonly key: string;
  /** Where the client was connected; that of a cluster client is every store. */
  readonly door: string;
  readonly isClusterClient: boolean;
  readonly sentAt: number;
  readonly endedAt: number;
  readonly message: string;
}

/** How long after its end a fault may show: clients and links find their way back, milliseconds. */
export const GRACE_MS = 4000;
/** Writes that were on their way to a process that died fail; how long others may not know that it did, milliseconds. */
const NOTICE_MS = 1000;
/** Until commands go elsewhere when a store does not answer: silence, failover, and that everybody has heard of it. */
const FAILOVER_MS = 12_000;
/** How far copies may be behind, on a busy machine, milliseconds. */
const LAG_MS = 3000;

/** What the topology was, and what was broken, from the beginning of a round. */
export class Windows {
  private readonly topologies: { readonly at: number; readonly topology: Topology }[] = [];
  private windows: Window[] = [];
  private clearedAt = 0;
  private doors: DoorWindow[] = [];
  /** When there was no master, who alone lets others take over. */
  private masterless: { readonly from: number; to: number }[] = [];

  /** The cluster is whole again, and what happened before is settled. */
  clear(): void {
    this.clearedAt = Date.now();
    this.topologies.splice(0, this.topologies.length - 1);
    this.windows = [];
    this.doors = [];
    this.masterless = [];
  }

  saw(topology: Topology, at: number): void {
    this.topologies.push({ at, topology });
    for (const { shards } of topology.keyspaces.values())
      for (const { home } of shards)
        if (home !== undefined && !this.windows.some(({ store }) => store === home))
          this.windows.push({ kind: 'deposed', store: home, from: at - FAILOVER_MS, to: Infinity });
  }

  /** @returns to be closed by setting `to` */
  open(kind: FaultKind, store: string): Window {
    const window: Window = { kind, store, from: Date.now(), to: Infinity };
    this.windows.push(window);
    return window;
  }

  openDoor(door: string): DoorWindow {
    const window: DoorWindow = { door, from: Date.now(), to: Infinity };
    this.doors.push(window);
    return window;
  }

  /** @returns to be closed by setting `to` */
  openMaster(): { to: number } {
    const window = { from: Date.now(), to: Infinity };
    this.masterless.push(window);
    return window;
  }

  get faults(): readonly Window[] {
    return this.windows;
  }

  isDoorOut(door: string, from: number, to: number): boolean {
    return this.doors.some((each) => each.door === door && each.from <= to && each.to + GRACE_MS >= from);
  }

  /** What may have happened to a key in this round. */
  allowance(keyspace: string, key: string): Allowance {
    let mostCopies = 1;
    const concerned = this.windows.filter((window) => {
      const { stores, copiesMax } = this.holders(keyspace, key, window.from - LAG_MS, Infinity);
      mostCopies = Math.max(mostCopies, copiesMax);
      return stores.has(window.store);
    });
    const branching = concerned.filter(({ kind }) => kind !== 'unfed');
    if (mostCopies === 1 || branching.length === 0)
      return { branchesFrom: undefined, mayLose: false, waitsHold: true };
    return {
      // A copy that could not follow may lack all that was written since.
      branchesFrom: Math.min(...concerned.map(({ from }) => from)) - LAG_MS,
      mayLose: concerned.some(({ kind }) => kind === 'replaced'),
      waitsHold: new Set(concerned.map(({ store }) => store)).size === 1,
    };
  }

  /** Whether a command may have failed; false is a finding. */
  excuses(failure: Failure): boolean {
    const { door, isClusterClient, sentAt, endedAt, keyspace, key, message } = failure;
    if (!isClusterClient && this.isDoorOut(door, sentAt, endedAt)) return true;
    if (isClusterClient && message === 'Connection is closed.' && this.hasMoved(failure)) return true;
    const meets = this.windows.filter(({ from, to }) => from <= endedAt && to + GRACE_MS >= sentAt);
    return meets.some((window) => this.shows(window, meets, failure, this.reach(keyspace, key, window)));
  }

  /** ioredis hangs up on nodes that serve nothing any more, whatever it has sent to them. */
  private hasMoved({ keyspace, key, sentAt, endedAt }: Failure): boolean {
    // What the last round has moved, a client may find out with its next commands only.
    if (sentAt <= this.clearedAt + GRACE_MS) return true;
    return this.holders(keyspace, key, sentAt - GRACE_MS, endedAt).isChanging;
  }

  private shows(window: Window, all: readonly Window[], failure: Failure, reach: Reach): boolean {
    if (!reach.stores.has(window.store)) return failure.isClusterClient && isUnreachable(window);
    if (window.kind === 'unheard' || window.kind === 'unfed') return reach.isChanging;
    if (window.kind === 'cut' || reach.copies === 1 || reach.isChanging) return true;
    // Several holders at once: nobody may be there to take over.
    const broken = new Set(all.filter(({ store }) => reach.stores.has(store)).map(({ store }) => store));
    if (broken.size > 1) return true;
    if (this.masterless.some(({ from, to }) => from <= failure.endedAt && to + FAILOVER_MS >= window.from))
      return true;
    const knownAfterMs = window.kind === 'kill' && !failure.isClusterClient ? NOTICE_MS : FAILOVER_MS;
    return failure.sentAt <= window.from + knownAfterMs;
  }

  private reach(keyspace: string, key: string, { from, to }: Window): Reach {
    return this.holders(keyspace, key, from - LAG_MS, to + GRACE_MS);
  }

  /**
   * All stores that a key's shard was on, or was to be on, in some time; while the keyspace changes, all that have to do
   * with it, for whole shards wait for each other then.
   */
  private holders(keyspace: string, key: string, from: number, to: number): Reach {
    const stores = new Set<string>();
    let copies = Infinity;
    let copiesMax = 1;
    let isChanging = false;
    for (const [index, { at, topology }] of this.topologies.entries()) {
      const until = this.topologies[index + 1]?.at ?? Infinity;
      if (at > to || until < from) continue;
      const entry = keyspaceByName(topology, keyspace);
      if (entry === undefined) continue;
      isChanging ||= entry.change !== undefined;
      const mine = storesOf(entry, key);
      copies = Math.min(copies, mine.length);
      copiesMax = Math.max(copiesMax, mine.length);
      for (const store of entry.change === undefined ? mine : allStoresOf(entry)) stores.add(store);
    }
    return { stores, copies: Number.isFinite(copies) ? copies : 1, copiesMax, isChanging };
  }
}

interface Reach {
  readonly stores: ReadonlySet<string>;
  /** The fewest that there were. */
  readonly copies: number;
  /** The most that there were. */
  readonly copiesMax: number;
  readonly isChanging: boolean;
}

/** A cluster client that asks any node for the way may meet one that is not there. */
function isUnreachable({ kind }: Window): boolean {
  return kind === 'kill' || kind === 'freeze' || kind === 'cut' || kind === 'replaced';
}

/** The stores of a key's shard, owner first. */
export function storesOf({ shards }: KeyspaceEntry, key: string): readonly string[] {
  return shards[shardsOfSlots(shards.length)[keySlot(Buffer.from(key))]!]!.stores;
}

function allStoresOf({ shards, change }: KeyspaceEntry): Set<string> {
  const others = change === undefined ? [] : 'target' in change ? change.target : change.former;
  return new Set([...shards, ...others].flatMap(({ stores }) => [...stores]));
}
