import type { Buffer } from 'node:buffer';
import { cpus, totalmem } from 'node:os';
import { CommandError, CommandRejected } from '../base/command-errors.js';
import { CommandStatistics } from '../base/command-statistics.js';
import { type Config, memoryBudgetBytes, workerCount } from '../base/config.js';
import { DATABASE_WAIT_MS } from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import { SYSTEM_TIMERS, type Timers } from '../base/timers.js';
import {
  type ClusterManager,
  type KeyspaceRequest,
  ManagerError,
  type TaskProgress,
} from '../cluster/manager.js';
import type { KeyspaceNews } from '../cluster/messages.js';
import { storesConcerned } from '../cluster/plan/duties.js';
import { databaseName, mergeTopologies, storeTextOf, type Topology } from '../cluster/topology.js';
import { commandTable } from '../commands/table.js';
import { type ShardRoute, WorkerPool } from '../workers/pool.js';
import { Instruction, type SlowCommand, type WorkerReport } from '../workers/protocol.js';
import { StoreBackups } from './backups.js';
import { memoryBudget } from './budget.js';
import { Copies } from './copies.js';
import type { Copy } from './copy.js';
import { type CopyMemory, fromCopyRecord } from './copy-memory.js';
import { Feeds } from './feeds/feeds.js';
import { type HeldShard, holdShard } from './holding.js';
import { type Keyspace, Keyspaces, type ShardPlace } from './keyspaces.js';
import { assignments, LocalShards, type OpenShard } from './local-shards.js';
import { Membership } from './membership.js';
import { UNMANAGED } from './no-manager.js';
import { Pauses } from './pauses.js';
import { Registry, withMemory } from './registry.js';
import { rewriteShard } from './rewriting.js';
import { callShard, drained, NOBODY, readyRoute } from './segments.js';
import { NO_MOVES, type SlotMoves } from './slot-moves.js';
import { workerSettings } from './worker-settings.js';

/** What the store tells those who face its clients. */
export interface StoreEvents {
  slowCommand(command: SlowCommand): void;
  /** What these shards knew of WATCH is lost: their worker died, or they have been removed. */
  watchesLost(routes: readonly ShardRoute[]): void;
  /** Two databases have changed places, and with them what is watched on their shards. */
  watchesSwapped(routes: readonly [ShardRoute, ShardRoute]): void;
  /** The store cannot go on. */
  failed(error: Error): void;
}

/**
 * The data of one node, without its sockets: keyspaces, shards, and the workers that own them. What it is to hold is
 * what the topology says; databases come into being when they are first used, by the manager.
 */
export class Store {
  /** Statistics of commands that run on the front. */
  readonly frontStatistics = new CommandStatistics(commandTable.length);
  readonly keyspaces: Keyspaces;
  /** Who makes changes of the topology. To be set once there is one. */
  manager: ClusterManager = UNMANAGED;
  /** Unix time in milliseconds of the last flush to disk. */
  lastSaveMs = Date.now();
  workerDeaths = 0;
  /** See DEBUG SET-ACTIVE-EXPIRE. */
  activeExpire = true;
  readonly membership = new Membership();
  /** What goes from and to other stores that hold the same shards. */
  readonly feeds: Feeds;
  /** How they get, and let go of, what is theirs. */
  readonly copies: Copies;
  /** For how long commands waited for that. */
  readonly pauses = new Pauses();
  /** What operators read of it for backups, and bring back. */
  readonly backups: StoreBackups;
  /** Is called when the master should hear of something at once. */
  onNews: () => void = () => undefined;
  /** Slots that are on their way from or to this store. */
  moves: SlotMoves = NO_MOVES;
  private readonly shards: LocalShards | undefined;
  /** Changes of the topology, one after the other. */
  private changes: Promise<void> = Promise.resolve();
  private readonly databasesToCome = new Map<number, Promise<Keyspace>>();
  private closed = false;

  /** One that is not open yet, of parts made elsewhere: {@link open} is the usual way. */
  constructor(
    readonly config: Config,
    readonly logger: Logger,
    private readonly registry: Registry | undefined,
    readonly pool: WorkerPool,
    private readonly events: StoreEvents,
    timers: Timers = SYSTEM_TIMERS,
  ) {
    this.shards = registry && new LocalShards(config, logger, registry, pool);
    this.keyspaces = new Keyspaces(registry?.storeId ?? '', (keyspace, shard) =>
      this.shards?.route(keyspace, shard),
    );
    this.copies = new Copies({
      engine: pool.feeds,
      timers,
      logger,
      self: this.id,
      alone: (run) => registry!.alone(run),
      persist: (memories) => this.persist(memories),
      sync: () => pool.sync(),
      feeds: () => this.feeds.followers.all(),
      follow: () => this.feeds.topologyChanged(),
      settled: () => this.feeds.followers.settled(),
      marked: (route, position) => this.feeds.sources.marked(route, position),
      headOf: (route) => this.feeds.sources.headOf(route),
      paused: (ms) => this.pauses.note(ms),
      report: () => this.onNews(),
      waitMaxMs: () => config.values['cluster-node-timeout'],
      storeText: (id) => storeTextOf(this.keyspaces.topology, id),
    });
    this.feeds = new Feeds({
      engine: pool.feeds,
      timers,
      logger,
      self: this.id,
      bytesPerSecond: () => config.values['migration-rate'],
      topology: () => this.keyspaces.topology,
      route: (keyspace, shard) => this.shards?.route(keyspace, shard),
      shards: () => this.localShards(),
      copies: {
        mayBegin: (duty) => this.copies.mayFollow(duty),
        mustEnd: (duty) => this.copies.mustEnd(duty),
        changed: () => this.copies.look(),
        reachedMark: (duty, epoch) => this.copies.reachedMark(duty, epoch),
        marksIn: (route, log) => this.copies.marksIn(route, log),
        copyable: ({ keyspace, shard, slots, whole }) =>
          this.copies.copyable(keyspace, shard, whole ?? slots),
      },
    });
    this.backups = new StoreBackups({
      engine: pool.backups,
      rate: this.feeds.sources.rate,
      self: this.id,
      topology: () => this.keyspaces.topology,
      route: (keyspace, shard) => this.shards?.route(keyspace, shard),
      notAnswering: (keyspace, shard) => this.copies.notAnswering(keyspace, shard),
    });
    pool.feeds.onLogged = (route, sequence) => this.feeds.sources.logged(route, sequence);
  }

  /** Opens the data directory and starts the workers. */
  static async open(config: Config, logger: Logger, events: StoreEvents): Promise<Store> {
    const registry = await Registry.open(config.values.dir);
    const store: Store = new Store(
      config,
      logger,
      registry,
      startPool(config, logger, events, () => store),
      events,
    );
    try {
      await store.start();
    } catch (error) {
      await store.pool.close();
      await registry.close();
      throw error;
    }
    return store;
  }

  /** Opens the shards that the registry names, and goes on where the store was. */
  async start(): Promise<void> {
    const registry = this.registry!;
    const leftovers = await registry.sweep();
    if (leftovers > 0) this.logger.notice(`removed ${leftovers} shards that were left behind unfinished`);
    await this.pool.start();
    await this.shards!.openHeld();
    this.recall(registry);
  }

  /** A store without data, for nodes that only forward: it has keyspaces, but no shards and no memory of them. */
  static openEmpty(config: Config, logger: Logger, events: StoreEvents): Store {
    const settings = workerSettings(config, 1, 0);
    const pool = new WorkerPool(
      0,
      settings,
      memoryBudget(0, 1).heap,
      config.values['batch-bytes-max'],
      poolEvents(logger, events, () => undefined),
    );
    return new Store(config, logger, undefined, pool, events);
  }

  /** 40 hexadecimal digits; '' where no data is held. */
  get id(): string {
    return this.keyspaces.self;
  }

  // ---------------------------------------------------------------- topology

  /**
   * Puts a topology into effect: opens the shards that it gives to this store and are not there, remembers it, routes
   * by it, and removes the shards that are not to be here any more. Entries that are older than what is known change
   * nothing. When it rejects, everything is as before.
   */
  applyTopology(topology: Topology): Promise<void> {
    const done = this.changes.then(() => this.reconcile(topology));
    this.changes = done.catch(() => undefined);
    return done;
  }

  private async reconcile(incoming: Topology): Promise<void> {
    const known = this.keyspaces.topology;
    if (known.clusterId !== '' && incoming.clusterId !== '' && known.clusterId !== incoming.clusterId)
      throw new Error(`this store belongs to cluster ${known.clusterId}, not to ${incoming.clusterId}`);
    const topology = mergeTopologies(known, incoming);
    if (this.registry === undefined || this.shards === undefined) {
      this.keyspaces.apply(topology);
      return;
    }
    const assigned = assignments(topology, this.id);
    const opened = await this.shards.openNew(assigned);
    const wanted = new Set(assigned.map(({ keyspace, shard }) => this.shards!.route(keyspace, shard)));
    const all = this.shards.all();
    const gone = all.filter(({ route }) => !wanted.has(route));
    const isNews = opened.length > 0 || gone.length > 0 || !isSame(topology, known);
    if (!isNews) return;
    const held = all.filter(({ route }) => wanted.has(route));
    try {
      await this.registry.alone(() => this.enter(known, topology, held, gone));
    } catch (error) {
      await this.shards.discard(opened);
      throw error;
    }
    await this.shards.discard(gone);
    this.onNews();
  }

  /**
   * Remembers a topology, and routes by it from then on.
   * @param held the shards that are to be here from then on
   */
  private async enter(
    known: Topology,
    topology: Topology,
    held: readonly OpenShard[],
    gone: readonly OpenShard[],
  ): Promise<void> {
    const registry = this.registry!;
    const { memories, isUrgent } = this.copies.after(known, topology, held);
    const records = held.map((each) =>
      withMemory(each, memories.get(`${each.keyspace}/${each.shard}`)!, topology),
    );
    if (isUrgent) registry.commitAtOnce(topology, records);
    else await registry.commit(topology, records);
    this.copies.apply(topology, held, memories);
    this.putIntoForce(topology, gone);
  }

  /** What the store had when it was last running is in force again. */
  private recall({ topology, shards }: Registry): void {
    const open = this.localShards();
    const records = new Map(shards.map((held) => [held.local, held.memory]));
    for (const shard of open) {
      const record = records.get(shard.local);
      this.copies.recall(shard, record && fromCopyRecord(record), topology.keyspaces.get(shard.keyspace));
    }
    this.keyspaces.apply(topology);
    this.feeds.start();
    this.copies.look();
  }

  /** Writes down what copies remember. @param memories of some, what they are to remember from then on */
  private async persist(memories: ReadonlyMap<Copy, CopyMemory>): Promise<void> {
    const registry = this.registry!;
    const { topology } = registry;
    const held = registry.shards.map((each) => {
      const memory = this.copies.memoryOf(each.keyspace, each.shard, memories);
      return memory === undefined ? each : withMemory(each, memory, topology);
    });
    await registry.commit(topology, held);
  }

  /** Nothing is sent to the shards that are `gone` from here on. */
  private putIntoForce(topology: Topology, gone: readonly OpenShard[]): void {
    const numbers = new Map(this.keyspaces.all().map((keyspace) => [keyspace, keyspace.db]));
    for (const { route } of gone) route.closed = true;
    this.keyspaces.apply(topology);
    this.feeds.topologyChanged();
    this.copies.look();
    const lost = [...gone.map(({ route }) => route), ...this.copies.givers()];
    if (lost.length > 0) this.events.watchesLost(lost);
    for (const [one, was] of numbers) {
      const other = was === undefined ? undefined : this.keyspaces.numbered(was);
      if (other !== undefined && one.db !== undefined && was! < one.db && numbers.get(other) === one.db)
        this.exchangeWatches(one.onlyShard, other.onlyShard);
    }
  }

  /** WATCH belongs to numbers: when two databases change places, so does what is watched. */
  private exchangeWatches(one: ShardRoute | undefined, other: ShardRoute | undefined): void {
    const here = [one, other].filter((route) => route !== undefined);
    const [first, second] = here;
    const together =
      first !== undefined &&
      second !== undefined &&
      first.owner === second.owner &&
      first.ready === undefined &&
      second.ready === undefined;
    if (!together) {
      this.events.watchesLost(here);
      return;
    }
    const { owner } = first;
    owner.batch.begin(NOBODY, 0, first.shard, 0);
    owner.batch.instruct(Instruction.UseTarget, second.shard);
    owner.batch.instruct(Instruction.SwapWatches);
    owner.schedule();
    this.events.watchesSwapped([first, second]);
  }

  /** The keyspace of a database number, which comes into being if need be. Rejects with {@link CommandRejected}. */
  database(db: number): Keyspace | Promise<Keyspace> {
    return this.keyspaces.numbered(db) ?? this.databasesToCome.get(db) ?? this.makeDatabase(db);
  }

  private makeDatabase(db: number): Promise<Keyspace> {
    const coming = this.requestDatabase(db)
      .catch((error: Error) => {
        const unavailable = error instanceof ManagerError && error.code === 'UNAVAILABLE';
        const text = `${unavailable ? 'CLUSTERDOWN' : 'ERR'} database ${db} cannot be made: ${error.message}`;
        throw new CommandRejected(new CommandError(text), { cause: error });
      })
      .finally(() => this.databasesToCome.delete(db));
    this.databasesToCome.set(db, coming);
    return coming;
  }

  private async requestDatabase(db: number): Promise<Keyspace> {
    const request: KeyspaceRequest = {
      name: databaseName(db),
      db,
      shards: 1,
      replicas: 1,
      tags: [],
      ...(this.id === '' ? {} : { near: this.id }),
      mayExist: true,
    };
    // Where another store holds it, the topology that has it may come here after the manager's answer, or before.
    const over = new AbortController();
    const seen = this.keyspaces.when(() => this.keyspaces.numbered(db), DATABASE_WAIT_MS, over.signal);
    const refused = new Promise<never>((_, reject) => {
      this.manager.createKeyspace(request).catch(reject);
    });
    const keyspace = await Promise.race([seen, refused]).finally(() => over.abort());
    if (keyspace !== undefined) return keyspace;
    const seconds = DATABASE_WAIT_MS / 1000;
    throw new ManagerError('UNAVAILABLE', `the master did not make it within ${seconds} s`);
  }

  /**
   * Rewrites a shard while it serves, so that what was deleted and overwritten takes no space.
   * @param keyspace its id
   */
  async compactShard(
    keyspace: string,
    shard: number,
    onProgress: (progress: TaskProgress) => void,
  ): Promise<void> {
    const route = this.shards?.route(keyspace, shard);
    if (route === undefined) throw new Error(`shard ${shard} of keyspace ${keyspace} is not on this store`);
    await rewriteShard(this.pool, route, onProgress);
  }

  /**
   * Has the commands of a shard wait, so that others can get all that it has.
   * @param keyspace its id
   * @param maxMs after so long commands go on, whatever has become of it
   */
  async holdShard(keyspace: string, shard: number, maxMs: number): Promise<HeldShard> {
    const route = this.shards?.route(keyspace, shard);
    if (route === undefined) throw new Error(`shard ${shard} of keyspace ${keyspace} is not on this store`);
    return holdShard(this.pool.feeds, route, maxMs);
  }

  // ---------------------------------------------------------------- shards

  /**
   * The way to a copy of a shard that another store owns, if there is one here that has been filled. It may be behind,
   * and takes no writes.
   */
  copyOf({ id }: Keyspace, { shard, store }: ShardPlace): ShardRoute | undefined {
    const isFilled = this.copies.isReadable(id, shard) && this.feeds.followers.hasCopyOf(id, shard, store);
    return isFilled ? this.shards?.route(id, shard) : undefined;
  }

  /** What the master is told of keyspaces that are changed or have several copies, where this store has a part in them. */
  keyspaceNews(): KeyspaceNews[] {
    const open = this.localShards();
    const mine = new Set(open.map(({ keyspace }) => keyspace));
    const news: KeyspaceNews[] = [];
    for (const entry of this.keyspaces.topology.keyspaces.values()) {
      const isOfInterest = entry.change !== undefined || entry.shards.some(({ stores }) => stores.length > 1);
      if (entry.deleted || !isOfInterest) continue;
      if (!mine.has(entry.id) && !storesConcerned(entry).includes(this.id)) continue;
      news.push({ keyspace: entry.id, ...this.copies.reportOf(entry, open) });
    }
    return news;
  }

  /** The shards that are here. */
  localShards(): readonly OpenShard[] {
    return this.shards?.all() ?? [];
  }

  /** Runs a command on a shard on behalf of the node. @returns its reply, RESP2-encoded */
  call(route: ShardRoute, ...words: string[]): Promise<Buffer> {
    return callShard(route, ...words);
  }

  /** Brings shards to one owner, so that what touches them together runs on one thread. */
  async colocate(routes: readonly ShardRoute[]): Promise<void> {
    const owner = routes[0]?.owner;
    for (const route of routes) {
      if (route.owner === owner || owner === undefined) continue;
      await readyRoute(route);
      if (!route.closed) await this.pool.moveShard(route, owner, () => drained(route));
    }
  }

  /** Sends the workers what they need of a changed configuration. */
  async configure(): Promise<void> {
    await this.pool.configure({
      ...workerSettings(this.config, this.pool.owners.length, this.pool.heap.bytesMax),
      activeExpire: this.activeExpire,
    });
  }

  /** Has everything written so far survive the death of the machine. */
  async save(): Promise<void> {
    await this.pool.sync();
    this.lastSaveMs = Date.now();
  }

  /** @param ttl whether the average time to live of keys is wanted, too */
  report(ttl = false): Promise<WorkerReport[]> {
    return this.pool.report(ttl);
  }

  /** Closes everything, once what is on its way is done. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.changes;
    this.copies.close();
    await this.feeds.close();
    await this.shards?.settled();
    await this.pool.close();
    await this.registry?.close();
  }
}

function isSame(one: Topology, other: Topology): boolean {
  const holds = <Entry>(from: ReadonlyMap<string, Entry>, to: ReadonlyMap<string, Entry>) =>
    from.size === to.size && [...from].every(([id, entry]) => to.get(id) === entry);
  return (
    one.clusterId === other.clusterId &&
    holds(one.stores, other.stores) &&
    holds(one.keyspaces, other.keyspaces)
  );
}

function startPool(config: Config, logger: Logger, events: StoreEvents, store: () => Store): WorkerPool {
  const { values } = config;
  const workers = workerCount(values, cpus().length);
  const { heap } = memoryBudget(memoryBudgetBytes(values, totalmem()), workers);
  const settings = workerSettings(config, workers, heap.bytesMax);
  return new WorkerPool(
    workers,
    settings,
    heap,
    values['batch-bytes-max'],
    poolEvents(logger, events, () => {
      store().workerDeaths++;
    }),
  );
}

function poolEvents(
  logger: Logger,
  events: StoreEvents,
  countDeath: () => void,
): ConstructorParameters<typeof WorkerPool>[4] {
  return {
    slowCommand: (command) => events.slowCommand(command),
    workerError: (error) => logger.warning(`a worker thread failed: ${error.stack ?? error.message}`),
    workerDied: (owner, routes) => {
      countDeath();
      logger.warning(`worker ${owner} died; its shards are being opened again`);
      events.watchesLost(routes);
    },
    workerRestarted: (owner) => logger.notice(`worker ${owner} is back`),
    failed: (error) => events.failed(error),
  };
}
