import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina, queueOptionsSymbol } from 'piscina';
import type { FeedSlots } from '../types/feed-codec.js';
import type { Shown } from './feed-protocol.js';
import { Owner } from './owner.js';
import type {
  ClosedShard,
  RewriteProgress,
  ShardStorage,
  SlowCommand,
  WorkerReport,
  WorkerSettings,
  WorkerTask,
} from './protocol.js';
import { ShardBackups } from './shard-backups.js';
import { ShardFeeds } from './shard-feeds.js';

type PiscinaWorker = Parameters<
  NonNullable<NonNullable<ConstructorParameters<typeof Piscina>[0]>['loadBalancer']>
>[1][number];

/** How the JavaScript heaps of the workers are kept. */
export interface HeapPolicy {
  /** The most that one may take: a bound against runaways, well above the row cache. */
  readonly bytesMax: number;
  /** The most that its young generation may take. */
  readonly youngBytesMax: number;
  /** By how much one may grow over what is alive before it is collected, percent. */
  readonly growingPercent: number;
}

/** What the pool tells its node. */
export interface PoolEvents {
  slowCommand(command: SlowCommand): void;
  /** A worker died; its shards are being opened again. */
  workerDied(owner: number, routes: readonly ShardRoute[]): void;
  workerRestarted(owner: number): void;
  /** What a worker threw before it died. */
  workerError(error: Error): void;
  /** A worker could not be restarted: the node cannot go on. */
  failed(error: Error): void;
}

/** Where a shard is, and whether it takes commands. */
export class ShardRoute {
  /** undefined while the shard is open; resolves when it is again. */
  opening: Promise<void> | undefined;
  /** What commands wait for as long as the shard does not answer for its slots, whatever becomes of its worker. */
  gate: Promise<void> | undefined;
  /** The shard is being removed, or is gone: nothing may be sent to it any more. */
  closed = false;
  /** See ShardFeeds.show. */
  shown: Shown | undefined;
  /** As {@link shown}. */
  own: FeedSlots | undefined;

  /** What commands wait for though the shard is open. */
  private held: Promise<void> | undefined;

  constructor(
    readonly shard: number,
    readonly directory: string,
    readonly storage: ShardStorage,
    public owner: Owner,
  ) {}

  /** undefined while the shard takes commands; what to wait for otherwise, and then to look again. */
  get ready(): Promise<void> | undefined {
    return this.opening ?? this.gate ?? this.held;
  }

  /** Has commands wait; what else the node wants of the shard goes on. To be called while it takes commands. */
  hold(until: Promise<void>): void {
    this.held = until;
  }

  /** Commands need not wait any more for what they were told to wait for. */
  unhold(until: Promise<void>): void {
    if (this.held === until) this.held = undefined;
  }

  /** Whether commands wait for it: not any more where the worker has died meanwhile. */
  isHeldBy(until: Promise<void>): boolean {
    return this.held === until;
  }

  /** The worker has died: whoever holds commands does not any more. */
  lost(restart: Promise<void>): void {
    this.held = undefined;
    this.opening = restart;
  }

  /** Resolves when the shard is open, whether or not it takes commands. */
  async opened(): Promise<void> {
    while (this.opening !== undefined) await this.opening;
  }
}

const MEGABYTE = 1 << 20;

/**
 * The workers: one Piscina pool whose threads each own some shards. Piscina keeps the threads alive and routes tasks
 * to the owner; batches of commands go through a port that each thread is handed when it starts.
 */
export class WorkerPool {
  readonly owners: readonly Owner[];
  readonly feeds = new ShardFeeds((task, moved) => this.run(task, moved));
  readonly backups = new ShardBackups((task) => this.run(task));
  /** undefined where there are no workers. */
  private readonly piscina: Piscina | undefined;
  private readonly routes = new Map<number, ShardRoute>();
  /** Piscina's id of the thread that each owner is. */
  private readonly threads = new Map<number, number>();
  /** Threads that have ended, which Piscina may still offer. */
  private readonly deadThreads = new Set<number>();
  private closing = false;

  /** @param workerCount 0 on a node without data: then there is no pool either */
  constructor(
    workerCount: number,
    private settings: WorkerSettings,
    readonly heap: HeapPolicy,
    batchBytesMax: number,
    private readonly events: PoolEvents,
  ) {
    this.owners = Array.from(
      { length: workerCount },
      (_, index) =>
        new Owner(
          index,
          batchBytesMax,
          (command) => events.slowCommand(command),
          (shard, sequence) => this.logged(shard, sequence),
        ),
    );
    if (workerCount === 0) return;
    // The row cache lives in V8's heap, which by default grows to several times of what is alive before it collects.
    setFlagsFromString(`--heap-growing-percent=${heap.growingPercent}`);
    this.piscina = new Piscina({
      filename: fileURLToPath(new URL('./shard-worker.js', import.meta.url)),
      minThreads: workerCount,
      maxThreads: workerCount,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1024,
      // A worker that waits in Atomics.wait would not see its port.
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.ceil(heap.bytesMax / MEGABYTE),
        maxYoungGenerationSizeMb: Math.ceil(heap.youngBytesMax / MEGABYTE),
      },
      loadBalancer: (task, workers) => this.threadOf(task, workers),
    });
    // A thread's death is seen by its port; without a listener Piscina's event would end the process.
    this.piscina.on('error', (error: Error) => {
      if (!this.closing) events.workerError(error);
    });
  }

  /** The thread that is the task's owner; an owner without one takes a thread that nobody has. */
  private threadOf(task: object, workers: readonly PiscinaWorker[]): PiscinaWorker | null {
    const owner = (task as { [queueOptionsSymbol]?: { owner: number } })[queueOptionsSymbol]?.owner;
    if (owner === undefined) throw new Error('a task without an owner');
    const thread = this.threads.get(owner);
    if (thread !== undefined) return workers.find((worker) => worker.id === thread) ?? null;
    const taken = new Set([...this.threads.values(), ...this.deadThreads]);
    const free = workers.find((worker) => !taken.has(worker.id));
    if (free === undefined) return null;
    this.threads.set(owner, free.id);
    return free;
  }

  async start(): Promise<void> {
    for (const owner of this.owners) await this.attach(owner);
  }

  private async attach(owner: Owner): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    await this.run(
      {
        kind: 'attach',
        owner: owner.index,
        port: port2,
        settings: this.settings,
        statistics: owner.statistics.shared,
      },
      [port2],
    );
    owner.connect(port1, () => this.onPortClosed(owner));
  }

  private run<T>(task: WorkerTask, transferList: (MessagePort | ArrayBuffer)[] = []): Promise<T> {
    if (this.piscina === undefined) throw new Error('a node without data has no workers');
    const routed = { ...task, [queueOptionsSymbol]: { owner: task.owner } };
    return this.piscina.run(routed, { transferList }) as Promise<T>;
  }

  /** Opens a shard on the owner with the fewest, or the one named. */
  openShard(shard: number, directory: string, storage: ShardStorage, owner = this.leastLoaded()): ShardRoute {
    const route = new ShardRoute(shard, directory, storage, owner);
    this.routes.set(shard, route);
    route.opening = this.open(route, []);
    return route;
  }

  private async open(route: ShardRoute, watches: ClosedShard['watches']): Promise<void> {
    const { shard, directory, storage, owner, shown, own } = route;
    await this.run({ kind: 'open', owner: owner.index, shard, directory, storage, watches, shown, own });
    route.opening = undefined;
  }

  private leastLoaded(): Owner {
    const load = this.owners.map(() => 0);
    for (const route of this.routes.values()) load[route.owner.index]!++;
    return this.owners[load.indexOf(Math.min(...load))]!;
  }

  /** Closes a shard; its route is not to be used any more. */
  async closeShard(route: ShardRoute): Promise<void> {
    route.closed = true;
    this.routes.delete(route.shard);
    await this.run({ kind: 'close', owner: route.owner.index, shard: route.shard });
  }

  /**
   * Brings a shard to another owner, so that commands that touch two shards run on one thread.
   * Commands for it wait meanwhile (see ShardRoute.ready); what was sent before is done before.
   */
  async moveShard(route: ShardRoute, owner: Owner, drained: () => Promise<void>): Promise<void> {
    if (route.owner === owner) return;
    const moving = (async () => {
      await drained();
      const task = { kind: 'close', owner: route.owner.index, shard: route.shard } as const;
      const { watches } = await this.run<ClosedShard>(task);
      route.owner = owner;
      await this.open(route, watches);
    })();
    route.opening = moving;
    await moving;
  }

  async configure(settings: WorkerSettings): Promise<void> {
    this.settings = settings;
    await Promise.all(
      this.owners.map((owner) => this.run({ kind: 'configure', owner: owner.index, settings })),
    );
  }

  /** Makes all writes so far survive the death of the machine. */
  async sync(): Promise<void> {
    await Promise.all(this.owners.map((owner) => this.run({ kind: 'sync', owner: owner.index })));
  }

  /** @param ttl whether the average time to live of keys is wanted, too */
  report(ttl: boolean): Promise<WorkerReport[]> {
    return Promise.all(
      this.owners.map((owner) => this.run<WorkerReport>({ kind: 'report', owner: owner.index, ttl })),
    );
  }

  private logged(shard: number, sequence: number): void {
    const route = this.routes.get(shard);
    if (route !== undefined) this.feeds.onLogged?.(route, sequence);
  }

  /** Sets all counters of the workers to zero. */
  async resetStatistics(): Promise<void> {
    await Promise.all(this.owners.map((owner) => this.run({ kind: 'resetStatistics', owner: owner.index })));
    for (const owner of this.owners) owner.statistics.clear();
  }

  /** Has the owner of a shard do nothing for a while, for tests of what then happens. */
  async sleep(route: ShardRoute, milliseconds: number): Promise<void> {
    await this.run({ kind: 'sleep', owner: route.owner.index, milliseconds });
  }

  /** What DEBUG OBJECT says of a key; undefined when there is none. */
  inspect(route: ShardRoute, key: string): Promise<string | undefined> {
    return this.run({ kind: 'inspect', owner: route.owner.index, shard: route.shard, key });
  }

  /** The next step of rewriting a shard. Rejects when it cannot be done; the shard is as before then. */
  rewrite(route: ShardRoute): Promise<RewriteProgress> {
    return this.run({ kind: 'rewrite', owner: route.owner.index, shard: route.shard });
  }

  async abandonRewrite(route: ShardRoute): Promise<void> {
    await this.run({ kind: 'abandonRewrite', owner: route.owner.index, shard: route.shard });
  }

  /** A RocksDB property of a shard. */
  property(route: ShardRoute, name: string): Promise<string> {
    return this.run({ kind: 'property', owner: route.owner.index, shard: route.shard, name });
  }

  /** Has a worker throw, for tests of what then happens. */
  async crashWorker(owner: Owner): Promise<void> {
    const death = owner.died();
    await this.run({ kind: 'crash', owner: owner.index });
    await death;
  }

  private onPortClosed(owner: Owner): void {
    if (this.closing) return;
    // Piscina may not know yet.
    const thread = this.threads.get(owner.index);
    if (thread !== undefined) this.deadThreads.add(thread);
    this.threads.delete(owner.index);
    const routes = [...this.routes.values()].filter((route) => route.owner === owner);
    this.events.workerDied(owner.index, routes);
    const restart = this.restart(owner, routes);
    for (const route of routes) route.lost(restart);
    owner.disconnect();
    restart.catch((error: Error) => this.events.failed(error));
  }

  private async restart(owner: Owner, routes: readonly ShardRoute[]): Promise<void> {
    await this.attach(owner);
    const opened = { kind: 'open', owner: owner.index, watches: [] } as const;
    for (const { shard, directory, storage, shown, own } of routes)
      await this.run({ ...opened, shard, directory, storage, shown, own });
    for (const route of routes) route.opening = undefined;
    this.events.workerRestarted(owner.index);
    owner.resume();
  }

  /** Closes all shards and ends the threads. Nothing may be on its way. */
  async close(): Promise<void> {
    await Promise.all([...this.routes.values()].map((route) => this.closeShard(route)));
    this.closing = true;
    await this.piscina?.destroy();
  }
}
