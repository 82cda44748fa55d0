import { Buffer } from 'node:buffer';
import { cpus, totalmem } from 'node:os';
import { CommandStatistics } from '../base/command-statistics.js';
import { type Config, memoryBudgetBytes, workerCount } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { type Command, commandTable, findCommand } from '../commands/table.js';
import { type Owner, type Receiver, type ShardRoute, WorkerPool } from '../workers/pool.js';
import {
  Instruction,
  type SlowCommand,
  type WorkerReport,
  type WorkerSettings,
} from '../workers/protocol.js';
import { memoryBudget, rowCacheBytesMax, shardStorage } from './budget.js';
import { Registry } from './registry.js';

/** What the store tells those who face its clients. */
export interface StoreEvents {
  slowCommand(command: SlowCommand): void;
  /** A worker died, and with it what these shards knew of WATCH. */
  workerDied(routes: readonly ShardRoute[]): void;
  /** The store cannot go on. */
  failed(error: Error): void;
}

/**
 * The data of one node, without its sockets: keyspaces, shards, and the workers that own them.
 * Databases come into being when they are first used, as keyspaces of one shard.
 */
export class Store {
  /** Statistics of commands that run on the front. */
  readonly frontStatistics = new CommandStatistics(commandTable.length);
  /** Unix time in milliseconds of the last flush to disk. */
  lastSaveMs = Date.now();
  workerDeaths = 0;
  /** See DEBUG SET-ACTIVE-EXPIRE. */
  activeExpire = true;
  private readonly routes = new Map<number, ShardRoute>();
  private closed = false;

  private constructor(
    readonly config: Config,
    readonly logger: Logger,
    private readonly registry: Registry,
    readonly pool: WorkerPool,
  ) {}

  /** Opens the data directory and starts the workers. */
  static async open(config: Config, logger: Logger, events: StoreEvents): Promise<Store> {
    const { values } = config;
    const registry = await Registry.open(values.dir);
    const workers = workerCount(values, cpus().length);
    const budget = memoryBudget(memoryBudgetBytes(values, totalmem()), workers);
    let store: Store | undefined;
    const pool = new WorkerPool(
      workers,
      workerSettings(config, workers, budget.heap.bytesMax),
      budget.heap,
      values['batch-bytes-max'],
      {
        slowCommand: (command) => events.slowCommand(command),
        workerError: (error) => logger.warning(`a worker thread failed: ${error.stack ?? error.message}`),
        workerDied: (owner, routes) => {
          if (store) store.workerDeaths++;
          logger.warning(`worker ${owner} died; its shards are being opened again`);
          events.workerDied(routes);
        },
        workerRestarted: (owner) => logger.notice(`worker ${owner} is back`),
        failed: (error) => events.failed(error),
      },
    );
    try {
      await pool.start();
      store = new Store(config, logger, registry, pool);
      await store.openKnownShards();
    } catch (error) {
      await pool.close();
      await registry.close();
      throw error;
    }
    return store;
  }

  private async openKnownShards(): Promise<void> {
    const keyspaces = [...this.registry.keyspaces].sort((a, b) => a.db - b.db);
    for (const keyspace of keyspaces) this.openShard(keyspace.shards[0]!);
    await Promise.all([...this.routes.values()].map((route) => route.ready));
  }

  private openShard(shard: number): ShardRoute {
    const totalBytes = memoryBudgetBytes(this.config.values, totalmem());
    const storage = shardStorage(totalBytes, this.routes.size);
    const route = this.pool.openShard(shard, this.registry.directoryOf(shard), storage);
    this.routes.set(shard, route);
    return route;
  }

  /** Where the data of a database is; the database comes into being if need be. Its `ready` must be awaited. */
  routeOf(db: number): ShardRoute {
    const keyspace = this.registry.keyspaceOf(db) ?? this.registry.create(db);
    const shard = keyspace.shards[0]!;
    return this.routes.get(shard) ?? this.openShard(shard);
  }

  /** Databases that exist, with their shard, in order of their numbers. */
  databases(): { db: number; route: ShardRoute }[] {
    return this.registry.keyspaces
      .map((keyspace) => ({ db: keyspace.db, route: this.routes.get(keyspace.shards[0]!)! }))
      .sort((a, b) => a.db - b.db);
  }

  /** SWAPDB: from now on each number means what the other meant. Both databases are on one owner. */
  swapDatabases(first: number, second: number): void {
    const [one, other] = [this.routeOf(first), this.routeOf(second)];
    this.registry.swap(first, second);
    const { owner } = one;
    owner.batch.begin(NOBODY, 0, one.shard, 0);
    owner.batch.instruct(Instruction.UseTarget, other.shard);
    owner.batch.instruct(Instruction.SwapWatches);
    owner.schedule();
  }

  /**
   * Runs a command on a shard on behalf of the node.
   * @returns its reply, RESP2-encoded
   */
  async call(route: ShardRoute, ...words: string[]): Promise<Buffer> {
    const command = findCommand(words[0]!.toLowerCase());
    if (command === undefined) throw new Error(`no command ${words[0]}`);
    await readyRoute(route);
    const args = words.map((word) => Buffer.from(word, 'latin1'));
    return this.enqueue(route, command, args);
  }

  private enqueue(route: ShardRoute, command: Command, args: readonly Buffer[]): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { owner } = route;
      owner.batch.begin(new Collector(resolve, reject), 0, route.shard, 0);
      addCommand(owner, command, args, concatenated(args));
      owner.schedule();
    });
  }

  /** Brings shards to one owner, so that what touches them together runs on one thread. */
  async colocate(routes: readonly ShardRoute[]): Promise<void> {
    const owner = routes[0]?.owner;
    for (const route of routes) {
      if (route.owner === owner || owner === undefined) continue;
      await readyRoute(route);
      await this.pool.moveShard(route, owner, () => this.drained(route));
    }
  }

  /** Resolves when everything sent to the shard so far is done. */
  private async drained(route: ShardRoute): Promise<void> {
    const command = findCommand('dbsize')!;
    await this.enqueue(route, command, [Buffer.from('DBSIZE')]);
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
    await Promise.all([...this.routes.values()].map((route) => route.ready));
    await Promise.all([...this.routes.values()].map((route) => this.drained(route)));
    await this.pool.close();
    await this.registry.close();
  }
}

/** Adds a command to the segment that was begun last. */
export function addCommand(owner: Owner, command: Command, args: readonly Buffer[], frames: Buffer): void {
  if (command.name === 'flushdb') owner.batch.markFlushes();
  owner.batch.add(command.index, args, frames);
}

/** Waits until the shard takes commands. */
export async function readyRoute(route: ShardRoute): Promise<void> {
  while (route.ready !== undefined) await route.ready;
}

/** Copies arguments into one buffer, of which they become views. */
function concatenated(args: readonly Buffer[]): Buffer {
  const frames = Buffer.concat(args);
  let at = 0;
  (args as Buffer[]).forEach((argument, index) => {
    (args as Buffer[])[index] = frames.subarray(at, at + argument.length);
    at += argument.length;
  });
  return frames;
}

/** Takes what is of no interest. */
export const NOBODY: Receiver = {
  deliver: () => undefined,
  abandon: () => undefined,
};

/** Gathers the replies of a segment for a promise. */
export class Collector implements Receiver {
  private readonly parts: Buffer[] = [];

  constructor(
    private readonly resolve: (reply: Buffer) => void,
    private readonly reject: (error: Error) => void,
  ) {}

  deliver(bytes: Buffer, done: number): void {
    this.parts.push(bytes);
    if (done === 0) this.resolve(this.parts.length === 1 ? bytes : Buffer.concat(this.parts));
  }

  abandon(): void {
    this.reject(new Error('the worker died before it answered'));
  }
}

function workerSettings(config: Config, workers: number, heapBytesMax: number): WorkerSettings {
  const { values } = config;
  const thresholds = [values['slowlog-log-slower-than'], values['latency-monitor-threshold'] * 1000 || -1];
  const active = thresholds.filter((threshold) => threshold >= 0);
  const budget = memoryBudget(memoryBudgetBytes(values, totalmem()), workers);
  return {
    appendfsync: values.appendfsync,
    protoMaxBulkBytes: values['proto-max-bulk-len'],
    eventTimeDriftMaxMs: values['event-time-drift-max-ms'],
    tombstoneRetentionMs: values['tombstone-retention-seconds'] * 1000,
    scanIdleMaxMs: values['scan-cursor-timeout-seconds'] * 1000,
    maxmemoryPolicy: values['maxmemory-policy'],
    rowCacheBytes: Math.min(budget.rowCacheBytes, rowCacheBytesMax(heapBytesMax)),
    activeExpire: true,
    slowMicroseconds: active.length === 0 ? -1 : Math.min(...active),
  };
}
