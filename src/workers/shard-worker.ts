import { randomInt } from 'node:crypto';
import { type MessagePort, threadId } from 'node:worker_threads';
import { HybridClock } from '../base/clock.js';
import { CommandError } from '../base/command-errors.js';
import { CommandStatistics } from '../base/command-statistics.js';
import { SWEEP_ELEMENTS_MAX, SWEEP_ROWS_MAX } from '../base/limits.js';
import { describeObject } from '../commands/key-inspection.js';
import { commandTable } from '../commands/table.js';
import { ORIGIN_END } from '../types/binary.js';
import { Executor, type ExecutorHost } from './executor.js';
import type { CopySlice, LogChunk, LogGone } from './feed-protocol.js';
import { Generations } from './generations.js';
import { machineStart } from './machine.js';
import { moving } from './moving.js';
import type {
  BatchMessage,
  ClosedShard,
  ReplyMessage,
  RewriteProgress,
  ShardReport,
  WorkerReport,
  WorkerSettings,
  WorkerTask,
} from './protocol.js';
import { toWire } from './reply-wire.js';
import { StorageError } from './rocksdb.js';
import { RowCache } from './row-cache.js';
import { Shard } from './shard.js';
import type { ShardKnobs } from './shard-environment.js';
import { shardFailure } from './shard-failure.js';
import { ShardSteps, type StepsHost } from './shard-steps.js';
import { WorkerBackups } from './worker-backups.js';
import { WorkerFeeds } from './worker-feeds.js';

/*
 * The module that each thread of the Piscina pool runs. Tasks come through Piscina; batches of commands through the
 * port that the task `attach` brings, because that way a batch costs 10 µs less.
 */

const TICK_MS = 10;
const SYNC_EVERY_MS = 1000;
const PROBE_EVERY_MS = 1000;

/** One worker: its shards, the executor of their commands, and the work that time brings. */
class ShardWorker implements ExecutorHost, StepsHost {
  readonly shards = new Map<number, Shard>();
  readonly cache: RowCache;
  readonly statistics: CommandStatistics;
  private readonly clock = new HybridClock();
  private readonly origin = randomInt(1, ORIGIN_END);
  private readonly machine = machineStart();
  private readonly knobs: ShardKnobs;
  private readonly executor: Executor;
  private readonly steps = new ShardSteps(this);
  readonly feeds = new WorkerFeeds(this.steps);
  readonly backups = new WorkerBackups(this.steps);
  private readonly failures = new Map<Shard, CommandError>();
  private readonly unsynced = new Set<Shard>();
  /** See ReplyMessage. */
  private logged: number[] = [];
  // Since the thread began: the clock may be set back, and this must go on.
  private syncedAtMs = 0;
  private probedAtMs = 0;

  constructor(
    readonly port: MessagePort,
    public settings: WorkerSettings,
    statistics: SharedArrayBuffer,
  ) {
    this.cache = new RowCache(settings.rowCacheBytes);
    this.statistics = new CommandStatistics(commandTable.length, statistics);
    this.knobs = knobsOf(settings);
    this.executor = new Executor(this);
    port.on('message', (message: BatchMessage) => {
      if (message instanceof ArrayBuffer) this.executor.submit(message);
      else this.executor.submit(message.batch, message.spare);
    });
    setInterval(() => this.tick(), TICK_MS);
  }

  configure(settings: WorkerSettings): void {
    this.settings = settings;
    Object.assign(this.knobs, knobsOf(settings));
    this.cache.setLimit(settings.rowCacheBytes);
  }

  post(message: ReplyMessage): void {
    const { logged } = this;
    if (logged.length > 0) this.logged = [];
    const whole = logged.length > 0 ? { ...message, logged } : message;
    this.port.postMessage(toWire(whole), [message.buffer]);
  }

  refusal(shard: Shard): CommandError | undefined {
    return this.failures.size === 0 ? undefined : this.failures.get(shard);
  }

  commitFailed(shard: Shard, error: StorageError): CommandError {
    const refusal = new CommandError(
      error.code === 'NO_SPACE'
        ? 'MISCONF Errors writing to disk: No space left on device. Writes are refused until there is space; reads go on.'
        : `MISCONF Errors writing to disk: ${error.message}. Writes are refused until the disk takes them; reads go on.`,
    );
    this.failures.set(shard, refusal);
    this.probedAtMs = performance.now();
    return refusal;
  }

  committed(shard: Shard): void {
    const { log } = shard.replication;
    if (log.isOn) this.logged.push(shard.id, log.last);
    this.changed(shard);
  }

  get batches(): number {
    return this.executor.batches;
  }

  serveWaiting(shard: Shard): void {
    this.executor.serveBetween(shard);
  }

  changed(shard: Shard): void {
    if (this.settings.appendfsync === 'everysec') this.unsynced.add(shard);
  }

  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.executor.exclusive(work);
  }

  open({ shard: id, directory, storage, watches, shown, own }: OpenTask): Promise<void> {
    return this.executor.exclusive(async () => {
      const { generations, database } = await Generations.open(directory, storage, (error) => {
        console.error(`shard ${id}: cannot remove old files: ${String(error)}`);
      });
      const { clock, origin, cache, knobs, machine } = this;
      const environment = { clock, origin, cache, knobs, machine };
      const shard = await Shard.open(id, database, generations, environment);
      shard.watches.import(watches);
      shard.hidden.show(shown);
      shard.replication.setOwn(own);
      this.shards.set(id, shard);
    });
  }

  close(id: number): Promise<ClosedShard> {
    return this.executor.exclusive(async () => {
      const shard = this.shards.get(id);
      if (shard === undefined) return { watches: [] };
      this.executor.dismissWaiting(shard);
      this.shards.delete(id);
      this.failures.delete(shard);
      this.unsynced.delete(shard);
      const watches = shard.watches.export();
      await shard.close();
      return { watches };
    });
  }

  /**
   * The next step of rewriting a shard. Commands run between the steps, and while the copy is brought to the disk.
   * A shard that has gone meanwhile is not this worker's any more: nothing is done.
   */
  async rewrite(id: number): Promise<RewriteProgress> {
    const shard = this.shards.get(id);
    if (shard === undefined) return NOTHING_REWRITTEN;
    const between = <T>(work: () => T | Promise<T>) => this.executor.exclusive(async () => work());
    const rewrite = await between(() => (this.shards.get(id) === shard ? shard.rewriteSlice() : undefined));
    if (rewrite === undefined) return NOTHING_REWRITTEN;
    if (!rewrite.isCopied) return rewrite.progress(false);
    await rewrite.sync();
    return rewrite.progress(await between(() => shard.finishRewrite(rewrite)));
  }

  abandonRewrite(id: number): Promise<void> {
    return this.executor.exclusive(async () => this.shards.get(id)?.abandonRewrite());
  }

  /** Makes all that was committed survive the death of the machine. */
  async sync(): Promise<void> {
    for (const shard of this.shards.values()) await shard.syncLog();
  }

  resetStatistics(): void {
    this.executor.resetCounters();
    this.cache.evictions = 0;
    for (const shard of this.shards.values())
      Object.assign(shard.counters, { keyspaceHits: 0, keyspaceMisses: 0, expired: 0 });
  }

  /** What DEBUG OBJECT says of a key. */
  inspect(id: number, key: string): string | undefined {
    const shard = this.shards.get(id);
    if (shard === undefined) return undefined;
    shard.nowMs = Date.now();
    const row = shard.peek(key);
    return row && describeObject(row, id, shard.nowMs);
  }

  async report(ttl: boolean): Promise<WorkerReport> {
    await Promise.all([...this.shards.values()].map((shard) => measureTables(shard)));
    const { heapUsed, external } = process.memoryUsage();
    return {
      shards: [...this.shards.values()].map((shard) => this.reportShard(shard, ttl)),
      cacheBytes: this.cache.bytes,
      cacheLimitBytes: this.cache.bytesLimit,
      evictions: this.cache.evictions,
      heapUsedBytes: heapUsed,
      externalBytes: external,
      batches: this.executor.batches,
      commands: this.executor.commands,
      errors: this.executor.errors.counts,
    };
  }

  private reportShard(shard: Shard, ttl: boolean): ShardReport {
    shard.nowMs = Date.now();
    const failure = this.failures.get(shard)?.text ?? '';
    const figures = {
      shard: shard.id,
      keyspaceHits: shard.counters.keyspaceHits,
      keyspaceMisses: shard.counters.keyspaceMisses,
      expired: shard.counters.expired,
      watchedKeys: shard.watches.size,
    };
    try {
      const bytes = (name: string) => Number(shard.property(`rocksdb.${name}`)) || 0;
      const { live, expiring } = shard.countRoughly();
      return {
        ...figures,
        keys: live,
        expiring,
        averageTtlMs: ttl ? shard.averageTtlMs() : 0,
        memtableBytes: bytes('cur-size-all-mem-tables'),
        blockCacheBytes: bytes('block-cache-usage'),
        tableReaderBytes: bytes('estimate-table-readers-mem'),
        liveBytes: shard.instance.liveBytes,
        tableBytes: shard.instance.tables.bytes,
        failure,
      };
    } catch (error) {
      // One shard that cannot be read is not to keep from view what the others are.
      const { message } = shardFailure(error);
      return { ...figures, ...NOTHING_READ, failure: failure || message };
    }
  }

  /** What time brings: expired keys end, journals are emptied, logs are synced, a disk that failed is tried again. */
  private tick(): void {
    const nowMs = Date.now();
    for (const shard of this.shards.values()) {
      shard.replication.copies.expire(nowMs);
      shard.snapshots.expire(nowMs);
      if (this.failures.has(shard)) continue;
      const { nextExpiryMs } = shard;
      const sweeps = this.settings.activeExpire && nextExpiryMs !== 0 && nextExpiryMs <= nowMs;
      const ends = sweeps || shard.restores.areOverdue(nowMs);
      if (ends || shard.hidden.isCountDue(nowMs) || shard.isTidyDue(nowMs))
        this.alone(async () => this.tidy(shard, nowMs, sweeps));
    }
    const atMs = performance.now();
    if (this.unsynced.size > 0 && atMs - this.syncedAtMs >= SYNC_EVERY_MS) {
      this.syncedAtMs = atMs;
      void this.syncChanged();
    }
    if (this.failures.size > 0 && atMs - this.probedAtMs >= PROBE_EVERY_MS) {
      this.probedAtMs = atMs;
      for (const shard of this.failures.keys()) this.alone(() => this.probe(shard));
    }
  }

  /** Does `work` between batches. What it throws is a mistake of the program, and ends the thread. */
  private alone(work: () => Promise<void>): void {
    void this.executor.exclusive(work).then(() => undefined);
  }

  /**
   * Ends what has expired, and what restores have left undone, removes what large collections have left, writes back what the journal has had long enough,
   * counts keys that may come to be hidden.
   */
  private tidy(shard: Shard, nowMs: number, sweeps: boolean): void {
    // It may have been closed, or have failed, since this was to be done.
    if (this.shards.get(shard.id) !== shard || this.failures.has(shard)) return;
    try {
      shard.nowMs = nowMs;
      if (sweeps) shard.sweep(nowMs, SWEEP_ROWS_MAX);
      shard.sweepDeadElements(SWEEP_ELEMENTS_MAX);
      shard.endOverdueRestores();
      shard.commit(shard.hasChanges && this.settings.appendfsync === 'always', false);
      if (shard.hidden.isCountDue(nowMs)) shard.hidden.countOn(shard.source(), undefined, nowMs);
      this.executor.serveBetween(shard);
      this.cache.evict();
    } catch (error) {
      const failure = shardFailure(error);
      shard.rollback();
      this.commitFailed(shard, failure);
    }
  }

  private async syncChanged(): Promise<void> {
    for (const shard of [...this.unsynced]) {
      this.unsynced.delete(shard);
      try {
        await shard.syncLog();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.commitFailed(shard, error);
      }
    }
  }

  /** Tries whether the disk takes writes again. */
  private async probe(shard: Shard): Promise<void> {
    if (this.shards.get(shard.id) !== shard) return;
    try {
      await shard.recover();
      this.failures.delete(shard);
      this.serveWaiting(shard);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
    }
  }
}

type OpenTask = Extract<WorkerTask, { kind: 'open' }>;

function knobsOf(settings: WorkerSettings): ShardKnobs {
  const { tombstoneRetentionMs, scanIdleMaxMs, collections, feedLogBytesMax } = settings;
  const feedDriftMaxMs = Math.max(settings.feedClockDriftMaxMs, settings.eventTimeDriftMaxMs);
  return { tombstoneRetentionMs, scanIdleMaxMs, collections, feedLogBytesMax, feedDriftMaxMs };
}

/** Where the disk does not say how large its files are, the figures are those of before: other reads tell what is wrong. */
async function measureTables(shard: Shard): Promise<void> {
  await shard.instance.tables
    .measure()
    .catch((error: Error) => console.error(`shard ${shard.id}: cannot look at its files: ${error.message}`));
}

const NOTHING_READ = {
  keys: 0,
  expiring: 0,
  averageTtlMs: 0,
  memtableBytes: 0,
  blockCacheBytes: 0,
  tableReaderBytes: 0,
  liveBytes: 0,
  tableBytes: 0,
} as const satisfies Partial<ShardReport>;

const NOTHING_REWRITTEN: RewriteProgress = { copiedBytes: 0, totalBytes: 1, isDone: false };

let worker: ShardWorker | undefined;

/** Piscina's entry point. */
export default async function run(task: WorkerTask): Promise<unknown> {
  if (task.kind === 'attach') {
    if (worker !== undefined) throw new Error(`thread ${threadId} has a port already`);
    worker = new ShardWorker(task.port, task.settings, task.statistics);
    return undefined;
  }
  if (worker === undefined) throw new Error(`thread ${threadId} has no port yet`);
  switch (task.kind) {
    case 'configure':
      return worker.configure(task.settings);
    case 'open':
      return worker.open(task);
    case 'close':
      return worker.close(task.shard);
    case 'sync':
      return worker.sync();
    case 'rewrite':
      return worker.rewrite(task.shard);
    case 'abandonRewrite':
      return worker.abandonRewrite(task.shard);
    case 'report':
      return worker.report(task.ttl);
    case 'resetStatistics':
      return worker.resetStatistics();
    case 'sleep':
      // Really asleep: this thread answers nothing meanwhile, as the one thread of Redis does.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, task.milliseconds);
      return undefined;
    case 'inspect':
      return worker.inspect(task.shard, task.key);
    case 'property':
      return worker.shards.get(task.shard)?.property(task.name) ?? '';
    case 'crash':
      setImmediate(() => {
        throw new Error('crashed on request (DEBUG WORKER-CRASH)');
      });
      return undefined;
    case 'openSnapshot':
    case 'readSnapshot':
    case 'closeSnapshot':
    case 'restoreState':
    case 'restoreRows':
      return worker.backups.run(task);
    case 'readLog':
    case 'copySlice':
      return moving((await worker.feeds.run(task)) as LogChunk | LogGone | CopySlice);
    default:
      return worker.feeds.run(task);
  }
}
