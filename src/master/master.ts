import { randomBytes } from 'node:crypto';
import type { Logger } from '../base/logger.js';
import { SYSTEM_TIMERS, type Timers } from '../base/timers.js';
import type { TopologyListener } from '../cluster/follower.js';
import type {
  ChangeBegun,
  ChangeRequest,
  ChangeStatus,
  ClusterManager,
  KeyspaceRequest,
  StoreStatus,
  TaskProgress,
} from '../cluster/manager.js';
import { ManagerError } from '../cluster/manager.js';
import type { MasterMessage, MasterStream, StoreMessage, StoreStream } from '../cluster/messages.js';
import { streamPair } from '../cluster/stream-pair.js';
import {
  addressOf,
  type KeyspaceEntry,
  mergeTopologies,
  nextEpoch,
  type StoreEntry,
  storeText,
  storeTextOf,
  type Topology,
  withStore,
} from '../cluster/topology.js';
import { Changes } from './changes.js';
import { Followers } from './followers.js';
import { Placements } from './placements.js';
import {
  admit,
  depart,
  EMPTY_STATE,
  isSameTopology,
  learn,
  type MasterState,
  placementStores,
  planStores,
  report,
  resolveConflicts,
  seenBefore,
  storeStatuses,
  withDrain,
} from './state.js';
import { StoreLink } from './store-link.js';

/** What a master knows at a moment. */
export interface MasterView {
  /** Whether it has heard what stores remember, and acts. */
  readonly isSettled: boolean;
  readonly topology: Topology;
  readonly stores: readonly StoreStatus[];
  readonly changes: readonly ChangeStatus[];
  /** The time, as {@link StoreStatus} has it. */
  readonly nowMs: number;
}

export interface MasterOptions {
  /** The cluster that it serves; '' = that of the stores that register. */
  readonly clusterId: string;
  /**
   * After the first store has registered, others are given so long to do so too before anything is changed; 0 for a
   * master that has one store, in its own process.
   */
  readonly settleMs: number;
  /** A store that was silent for so long no longer owns shards of which others have copies, milliseconds. */
  readonly failoverAfterMs: () => number;
  readonly logger: Pick<Logger, 'verbose' | 'notice' | 'warning'>;
  readonly timers?: Timers;
  /** Random hexadecimal digits, two for each byte. */
  readonly makeId?: (bytes: number) => string;
}

/** How long a master that others can join waits for them. */
export const SETTLE_MS = 2500;

/** A store that is silent for so long is dead, or earlier if `failover-after-ms` is less. */
const SILENCE_MAX_MS = 3000;

/** How often silence is looked for. */
const WATCH_EVERY_MS = 500;

/** Stores that a master takes. */
const STORES_MAX = 1000;

/**
 * Knows the cluster and changes it. Everything it knows comes from the stores that are connected to it, so it has
 * nothing on disk; what it decides is true once the stores concerned have it on theirs.
 */
export class Master implements ClusterManager {
  private state: MasterState = EMPTY_STATE;
  private readonly timers: Timers;
  private readonly makeId: (bytes: number) => string;
  /** All conversations, whether or not they have come to a registration. */
  private readonly links = new Set<StoreLink>();
  /** By store, those that speak for one. */
  private readonly members = new Map<string, StoreLink>();
  private readonly followers: Followers;
  private readonly changes: Changes;
  private readonly placements: Placements;
  /** Since when it acts, without having been stopped, Unix milliseconds. */
  private settledAtMs: number | undefined;
  private lastEpoch = 0;
  private isSettled: boolean;
  /** Nobody has registered for so long that who asks for something need not wait for it. */
  private isForlorn = false;
  private wakers: (() => void)[] = [];
  private cancelSettling: (() => void) | undefined;
  private cancelWatch: (() => void) | undefined;
  private watchDueAtMs = 0;
  private closed = false;

  constructor(private readonly options: MasterOptions) {
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.makeId = options.makeId ?? ((bytes) => randomBytes(bytes).toString('hex'));
    this.followers = new Followers(options.logger, () => this.timers.now());
    this.isSettled = options.settleMs === 0;
    this.state = { ...EMPTY_STATE, topology: { ...EMPTY_STATE.topology, clusterId: options.clusterId } };
    if (!this.isSettled) this.awaitStores();
    if (this.isSettled) this.settledAtMs = this.timers.now();
    this.changes = new Changes({
      topology: () => this.topology,
      placementStores: (topology) => placementStores(this.state, topology),
      link: (store) => this.members.get(store),
      members: () => [...this.members.values()],
      newEpoch: () => this.newEpoch(this.topology),
      makeId: this.makeId,
      publish: (entries) => this.publishKeyspaces(entries),
      announce: (text) => this.followers.announce(text),
      storeText: (id) => this.storeText(id),
      verbose: (text) => options.logger.verbose(text),
    });
    this.placements = new Placements({
      timers: this.timers,
      topology: () => this.topology,
      health: () => this.state.health,
      planStores: () => planStores(this.state, this.topology),
      newEpoch: () => this.newEpoch(this.topology),
      makeId: this.makeId,
      publish: (entries) => this.publishKeyspaces(entries),
      setDrained: (store, isDrained) => this.setDrained(store, isDrained),
      remind: (store) => this.members.get(store)?.send({ kind: 'topology', topology: this.topology }),
      announce: (text) => this.followers.announce(text),
      storeText: (id) => this.storeText(id),
      free: (name) => this.changes.free(name),
      isLocked: (entry) => this.changes.isLocked(entry),
      actsSinceMs: () => this.settledAtMs,
      failoverAfterMs: options.failoverAfterMs,
    });
  }

  get topology(): Topology {
    return this.state.topology;
  }

  /** What it knows, for who does not wait until it knows more. */
  get view(): MasterView {
    const { isSettled, topology, state, placements } = this;
    const changes = placements.statuses();
    return { isSettled, topology, stores: storeStatuses(state), changes, nowMs: this.timers.now() };
  }

  /** A conversation for a store in this process. */
  connectStore(): MasterStream {
    const [storeEnd, masterEnd] = streamPair<MasterMessage, StoreMessage>();
    this.accept(masterEnd, true);
    return storeEnd;
  }

  /** Takes up a conversation with a store. */
  accept(stream: StoreStream, isLocal = false): void {
    const link = new StoreLink(stream, isLocal, this.timers);
    stream.onMessage = (message) => this.hear(link, message);
    stream.onEnd = (error) => this.lose(link, error === undefined ? 'it left' : error.message);
    if (this.closed || this.links.size >= STORES_MAX) {
      stream.end();
      if (!this.closed) this.warn(`a store was turned away: ${STORES_MAX} are connected already`);
      return;
    }
    this.links.add(link);
    this.watch();
  }

  /**
   * Tells of each topology, beginning with the present one, and of events.
   * @returns what ends it
   */
  follow(listener: TopologyListener): () => void {
    return this.followers.add(listener, this.isSettled ? this.topology : undefined);
  }

  async createKeyspace(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    await this.settled();
    return this.changes.create(request);
  }

  async deleteKeyspace(name: string): Promise<void> {
    await this.settled();
    await this.changes.delete(name);
  }

  async compactKeyspace(name: string, onProgress: (progress: TaskProgress) => void): Promise<void> {
    await this.settled();
    await this.changes.compact(name, onProgress);
  }

  async swapDatabases(first: number, second: number): Promise<void> {
    await this.settled();
    await this.changes.swap(first, second);
  }

  async stores(): Promise<StoreStatus[]> {
    await this.known();
    return storeStatuses(this.state);
  }

  async beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    await this.settled();
    return this.placements.begin(request);
  }

  async changeStatuses(): Promise<ChangeStatus[]> {
    // That nothing is known is not that nothing is going on.
    await this.settled();
    return this.placements.statuses();
  }

  /** The topology, once it is known. */
  async fetchTopology(): Promise<Topology> {
    await this.known();
    return this.topology;
  }

  /** Ends all conversations; the stores go on by themselves. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.cancelSettling?.();
    this.cancelWatch?.();
    this.placements.close();
    for (const link of this.links) link.close('could not be asked: the master is ending');
    this.links.clear();
    this.members.clear();
    this.followers.close();
    this.wake();
  }

  // Settling

  /** Waits until enough is known for a change. */
  private async settled(): Promise<void> {
    await this.known();
    if (!this.isSettled)
      throw new ManagerError('IMPOSSIBLE', 'no store has registered since the master was started');
  }

  /** Waits until all is known that stores have to tell, or none has come to tell anything. */
  private async known(): Promise<void> {
    while (!this.isSettled && !this.isForlorn && !this.closed)
      await new Promise<void>((resolve) => this.wakers.push(resolve));
    if (this.closed) throw new ManagerError('UNAVAILABLE', 'the master is ending');
  }

  private wake(): void {
    const wakers = this.wakers;
    this.wakers = [];
    for (const wake of wakers) wake();
  }

  private awaitStores(): void {
    this.cancelSettling = this.timers.after(this.options.settleMs, () => {
      this.isForlorn = true;
      this.wake();
    });
  }

  /** The first store has registered. */
  private beginSettling(): void {
    this.isForlorn = false;
    this.cancelSettling?.();
    this.cancelSettling = this.timers.after(this.options.settleMs, () => {
      const waiting = [...this.links].filter(({ registration }) => registration !== undefined);
      const candidates = waiting.filter((link) => !waiting.some(({ rival }) => rival === link));
      // All of them went again: as if none had come.
      if (candidates.length === 0) {
        this.awaitStores();
        return;
      }
      this.isSettled = true;
      this.settledAtMs = this.timers.now();
      const before = this.topology;
      this.admit(candidates);
      // Where all were refused, followers are still to hear which cluster this is.
      if (isSameTopology(before, this.topology)) this.followers.publish(this.topology);
      this.wake();
    });
  }

  // Stores

  private hear(link: StoreLink, message: StoreMessage): void {
    link.heardAtMs = this.timers.now();
    if (message.kind === 'register') this.register(link, message);
    else if (message.kind !== 'report') {
      const error = link.answer(message);
      if (error !== undefined && link.store !== undefined)
        this.warn(`${storeText(link.store)} could not put the topology into effect: ${error}`);
    } else if (link.registration !== undefined) {
      this.refuseRival(link);
      if (!link.isMember) return;
      this.state = report(this.state, link.registration.store.id, message, link.heardAtMs);
      this.placements.wake();
    }
  }

  private register(link: StoreLink, said: { store: StoreEntry; topology: Topology }): void {
    if (link.registration !== undefined) {
      this.lose(link, 'it registered twice');
      return;
    }
    link.registration = { store: said.store, topology: said.topology };
    const isSame = (other: StoreLink) => other !== link && other.store?.id === said.store.id;
    const holder = this.members.get(said.store.id) ?? [...this.links].find(isSame);
    if (holder !== undefined && addressOf(holder.registration!.store) !== addressOf(said.store)) {
      // Has it moved, or is this a copy of its data? If the other one still speaks, a copy.
      this.refuseRival(holder);
      holder.rival = link;
      return;
    }
    this.join(link, holder);
  }

  private join(link: StoreLink, predecessor: StoreLink | undefined): void {
    if (predecessor !== undefined) {
      link.rival = predecessor.rival;
      this.drop(predecessor, 'has connected anew');
    }
    if (this.isSettled) this.admit([link]);
    else if ([...this.links].filter(({ registration }) => registration !== undefined).length === 1)
      this.beginSettling();
  }

  private refuseRival(link: StoreLink): void {
    const { rival } = link;
    link.rival = undefined;
    if (rival === undefined || !this.links.has(rival)) return;
    this.links.delete(rival);
    const reason = `its id is that of ${storeText(link.store!)}, which is alive: is its data a copy? Each store needs a directory of its own`;
    this.warn(`${storeText(rival.store!)} was refused: ${reason}`);
    rival.refuse(reason);
  }

  /** Decides on stores that have registered, and tells them and everybody. */
  private admit(links: readonly StoreLink[]): void {
    const candidates = links.map((link) => ({ ...link.registration!, link }));
    const { clusterId, admitted, refused } = admit(this.topology.clusterId, candidates, () => this.makeId(8));
    for (const { link, store, topology } of refused) {
      const reason = `it belongs to the cluster ${topology.clusterId}, and this master serves the cluster ${clusterId}`;
      this.warn(`${storeText(store)} was refused: ${reason}`);
      this.links.delete(link);
      link.refuse(reason);
    }
    const before = this.state;
    const learned = learn(before, clusterId, admitted, this.timers.now(), (topology) =>
      this.newEpoch(topology),
    );
    this.state = learned.state;
    for (const { link, store } of admitted) {
      this.members.set(store.id, link);
      link.isMember = true;
      link.heardAtMs = this.timers.now();
      link.send({ kind: 'welcome', clusterId });
    }
    if (isSameTopology(before.topology, this.topology))
      for (const { link } of admitted) link.send({ kind: 'topology', topology: this.topology });
    else this.publish();
    for (const { link, store, topology } of admitted) {
      const isKnown = before.topology.stores.has(store.id) || topology.stores.has(store.id);
      this.announceStore(link, isKnown ? 'is back' : 'joined');
    }
    for (const conflict of learned.conflicts) this.followers.announce(conflict, 'warning');
  }

  /** A conversation is over. */
  private lose(link: StoreLink, reason: string): void {
    if (!this.links.has(link)) return;
    const { isMember, rival } = link;
    this.drop(link, `was lost: ${reason}`);
    if (isMember) {
      this.state = depart(this.state, link.store!.id);
      this.placements.wake();
      this.announceStore(link, `is gone: ${reason}`);
    }
    if (rival !== undefined && this.links.has(rival)) this.join(rival, undefined);
  }

  private drop(link: StoreLink, reason: string): void {
    this.links.delete(link);
    const id = link.store?.id;
    if (id !== undefined && this.members.get(id) === link) this.members.delete(id);
    link.isMember = false;
    link.close(reason);
  }

  /** Looks for silence, as long as there are conversations. */
  private watch(): void {
    if (this.cancelWatch !== undefined) return;
    this.watchDueAtMs = this.timers.now() + WATCH_EVERY_MS;
    this.cancelWatch = this.timers.after(WATCH_EVERY_MS, () => {
      this.cancelWatch = undefined;
      const nowMs = this.timers.now();
      const silenceMaxMs = Math.min(SILENCE_MAX_MS, this.options.failoverAfterMs());
      // If this process itself was stopped for a while, what was said meanwhile is still to be heard; and if the clock was set,
      // nobody can tell for how long stores have been silent.
      const wasStopped = Math.abs(nowMs - this.watchDueAtMs) > WATCH_EVERY_MS;
      // Stores have hung up meanwhile; how long they are away counts from now on, as for a master that has just begun.
      if (wasStopped && this.settledAtMs !== undefined) this.settledAtMs = nowMs;
      if (wasStopped) this.state = seenBefore(this.state, nowMs);
      for (const link of [...this.links]) {
        if (wasStopped) link.heardAtMs = nowMs;
        link.expireTasks(nowMs);
        const silenceMs = nowMs - link.heardAtMs;
        // One that waits to be admitted has nothing to say.
        const mustSpeak = !link.isLocal && (link.isMember || link.registration === undefined);
        if (mustSpeak && silenceMs > silenceMaxMs) this.lose(link, `it was silent for ${silenceMs} ms`);
      }
      if (this.links.size > 0) this.watch();
    });
  }

  // Telling

  private newEpoch(topology: Topology): number {
    this.lastEpoch = Math.max(this.lastEpoch + 1, nextEpoch(topology, this.timers.now()));
    return this.lastEpoch;
  }

  /** Makes entries part of what all are to have. */
  private publishKeyspaces(entries: readonly KeyspaceEntry[]): void {
    const news: Topology = {
      ...this.topology,
      stores: new Map(),
      keyspaces: new Map(entries.map((entry) => [entry.id, entry])),
    };
    const { topology, conflicts } = resolveConflicts(mergeTopologies(this.topology, news), (known) =>
      this.newEpoch(known),
    );
    this.state = { ...this.state, topology };
    this.publish();
    for (const conflict of conflicts) this.warn(conflict);
  }

  private setDrained(store: string, isDrained: boolean): void {
    const entry = this.topology.stores.get(store)!;
    if ((entry.isDrained === true) === isDrained) return;
    const epoch = this.newEpoch(this.topology);
    const topology = withStore(this.topology, withDrain(entry, isDrained, epoch, epoch));
    this.state = { ...this.state, topology };
    this.publish();
    this.followers.announce(
      `${this.storeText(store)} ${isDrained ? 'is drained: it gets nothing more' : 'may get shards again'}`,
    );
  }

  private publish(): void {
    const { topology } = this;
    for (const link of this.members.values()) link.send({ kind: 'topology', topology });
    this.followers.publish(topology);
  }

  private announceStore(link: StoreLink, what: string): void {
    // That a process has joined itself is no news to who reads its log.
    this.followers.announce(`${storeText(link.store!)} ${what}`, link.isLocal ? 'verbose' : 'notice');
  }

  private warn(text: string): void {
    this.options.logger.warning(text);
  }

  private storeText(id: string): string {
    return storeTextOf(this.topology, id);
  }
}
