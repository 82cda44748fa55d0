import { FrameArguments } from '../base/arguments.js';
import { CommandError, NOT_FLUSHED } from '../base/command-errors.js';
import type { CommandStatistics } from '../base/command-statistics.js';
import { ErrorTally } from '../base/error-tally.js';
import { REPLY_PART_BYTES } from '../base/limits.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { ShardContext } from '../commands/definition.js';
import { type Command, commandTable } from '../commands/table.js';
import type { ShardView } from '../types/shard-view.js';
import type { Checkpoint, Salvage } from './attempt.js';
import { type Batch, openBatch } from './batch.js';
import { BatchWaits } from './batch-waits.js';
import { BatchWatches, exchangeWatches } from './batch-watches.js';
import { CommandClock } from './command-clock.js';
import { COUNTS_LOOKUPS, WRITES } from './command-traits.js';
import { RowPrefetch } from './prefetch.js';
import { prepareFlushes } from './prepare-flushes.js';
import {
  BATCH_HEADER_WORDS,
  BatchFlag,
  Instruction,
  type ReplyMessage,
  SEGMENT_HEADER_WORDS,
  SegmentFlag,
  type WaitEnd,
  type WorkerSettings,
} from './protocol.js';
import { type PartEntry, ReplyPart } from './reply-part.js';
import type { StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';
import { shardFailure } from './shard-failure.js';

/** What the executor needs of its worker. */
export interface ExecutorHost {
  readonly shards: ReadonlyMap<number, Shard>;
  readonly cache: RowCache;
  readonly statistics: CommandStatistics;
  settings: WorkerSettings;
  /** Why a shard takes no writes at present; undefined when it does. */
  refusal(shard: Shard): CommandError | undefined;
  /** The shard could not be read or written: it takes no writes until the disk does again. Returns what to say. */
  commitFailed(shard: Shard, error: StorageError): CommandError;
  /** Changes of the shard are in its log. */
  committed(shard: Shard): void;
  post(message: ReplyMessage): void;
}

const WRITTEN_IN_PART = new CommandError(
  'MISCONF Errors writing to disk: one of the shards that the commands touched was written, another one was not',
);
const NOT_OPEN = new CommandError(
  'ERR the data cannot be read: its files could not be opened again after an error of the disk. That is tried every second.',
);

/**
 * Runs batches, one after the other: each command in order — read, run, stage — then one commit a shard, then the
 * replies. No reply leaves before the writes it may tell of are committed.
 *
 * When a shard's commit fails, nothing of what it held has happened: the shard is rolled back, and the commands since
 * the last checkpoint run again with its writes refused, so that reads are answered from what is on disk. What other
 * shards have committed by then stands, with its replies.
 *
 * Everything is synchronous but the preparation of a flush.
 */
export class Executor {
  batches = 0;
  readonly errors = new ErrorTally();
  private readonly part = new ReplyPart(this.errors);
  private readonly reply: ReplyWriter = this.part.writer;
  private readonly clock: CommandClock;
  private readonly args = new FrameArguments();
  private readonly context: ShardContext;
  /** Shards that commands ran on since the last commit, and those that others moved keys to. */
  private readonly touched = new Set<Shard>();
  private readonly targets = new Set<Shard>();
  private readonly watches: BatchWatches;
  private readonly waits: BatchWaits;
  /** Shards that the segment has touched. */
  private involved: Shard[] = [];
  private segment = 0;
  private answered = 0;
  private tail: Promise<void> | undefined;
  private clientId = 0;
  private shard: Shard | undefined;
  /** Its number. */
  private shardId = 0;
  private target: Shard | undefined;
  /** The shard whose commit is under way. */
  private committing: Shard | undefined;
  private segmentFlags = 0;
  private isInTransaction = false;
  private command: Command | undefined;
  /** Why the flushes since the last FlushReply did not happen. */
  private flushRefusal: CommandError | undefined;
  private readonly prefetch: RowPrefetch;

  constructor(private readonly host: ExecutorHost) {
    this.clock = new CommandClock(host.statistics);
    this.prefetch = new RowPrefetch(host.cache);
    this.watches = new BatchWatches(host.shards);
    this.waits = new BatchWaits(() => host.settings, this.errors);
    const executor = this;
    this.context = {
      reply: this.reply,
      get view(): ShardView {
        return executor.shard!;
      },
      get target(): ShardView | undefined {
        return executor.target;
      },
      get settings() {
        return executor.host.settings;
      },
      get clientId() {
        return executor.clientId;
      },
      get writable() {
        return executor.host.refusal(executor.shard!) === undefined;
      },
      get isResumed() {
        return (executor.segmentFlags & SegmentFlag.Resumed) !== 0;
      },
      watch(key) {
        executor.watches.begin(executor.segment, executor.shard!, executor.clientId, key);
      },
      wait(wait) {
        const { segment, clientId, reply } = executor;
        const [shard, command, flags] = [executor.shard!, executor.command!, executor.segmentFlags];
        executor.waits.begin({ segment, shard, clientId, command, reply, flags }, wait);
      },
    };
  }

  /** Commands of all batches. */
  get commands(): number {
    return this.clock.commands;
  }

  resetCounters(): void {
    this.batches = 0;
    this.clock.commands = 0;
    this.errors.clear();
  }

  /** Runs a batch, after those before it. @param spare memory that replies were in, for further ones */
  submit(memory: ArrayBuffer, spare?: ArrayBuffer): void {
    if (spare !== undefined) this.part.reuse(spare);
    const batch = openBatch(memory);
    const flushes = (batch.flags & BatchFlag.Flushes) !== 0;
    if (this.tail === undefined && !flushes) {
      this.run(batch);
      return;
    }
    const done = this.exclusive(async () => {
      if (flushes) await prepareFlushes(batch, this.host);
      this.run(batch);
    });
    // A failure here is a failure of the worker: a rejection that nobody handles ends the thread.
    void done.then(() => undefined);
  }

  /** Runs `work` when all that was submitted before is done, and holds back what is submitted meanwhile. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = (this.tail ?? Promise.resolve()).then(work);
    const settled: Promise<void> = result
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (this.tail === settled) this.tail = undefined;
      });
    this.tail = settled;
    return result;
  }

  private run(batch: Batch): void {
    this.batches++;
    this.part.restart();
    this.clock.start();
    const commandsBefore = this.clock.commands;
    this.prefetch.begin(batch, this.host.shards);
    const from: Checkpoint = {
      segment: 0,
      headerAt: BATCH_HEADER_WORDS,
      commandAt: BATCH_HEADER_WORDS + SEGMENT_HEADER_WORDS,
      done: 0,
      answered: 0,
      shard: undefined,
    };
    let salvage: Salvage | undefined;
    for (;;) {
      try {
        this.execute(batch, from, salvage);
        this.commit();
        break;
      } catch (error) {
        salvage = this.recover(shardFailure(error), salvage);
      }
    }
    this.post(true);
    this.host.cache.evictCommitted();
    this.prefetch.end(this.clock.commands - commandsBefore);
  }

  /** Undoes what was not committed, and tells what stands of the attempt. */
  private recover(error: StorageError, earlier: Salvage | undefined): Salvage {
    const failing = this.committing ?? this.shard!;
    // Such a shard is only read, and reads catch their failures: trying again would fail for ever.
    if (this.host.refusal(failing) !== undefined) throw error;
    const committed = new Set(earlier?.committed);
    if (this.committing !== undefined)
      for (const shard of this.commitOrder()) {
        if (shard === failing) break;
        committed.add(shard);
      }
    this.committing = undefined;
    for (const shard of this.touched) shard.rollback();
    const { bytes, entries } = this.part.withdraw();
    const kept = new Map(earlier?.entries);
    for (const entry of entries) {
      if (entry.involved.some((shard) => committed.has(shard)))
        kept.set(entry.segment, { entry, bytes: bytes.subarray(entry.start, entry.end) });
    }
    this.watches.restore(kept);
    this.waits.restore(kept, committed);
    this.forgetAttempt();
    this.host.commitFailed(failing, error);
    return { entries: kept, committed };
  }

  private post(last: boolean): void {
    this.host.post({ ...this.part.message(last, this.clock.takeSlow()), ...this.waits.takeNews() });
  }

  private forgetAttempt(): void {
    this.touched.clear();
    this.targets.clear();
    this.watches.forget();
  }

  /** Runs the commands behind the checkpoint, and moves it where a part of the replies is committed and sent. */
  private execute(batch: Batch, from: Checkpoint, salvage: Salvage | undefined): void {
    const { words } = batch;
    let { segment, headerAt, commandAt, done } = from;
    this.answered = from.answered;
    for (; segment < batch.segments; segment++) {
      this.segment = segment;
      const flags = words[headerAt + 3]!;
      const count = words[headerAt + 4]!;
      const resumed = segment === from.segment ? from.shard : undefined;
      this.enterSegment(words[headerAt]!, resumed ?? words[headerAt + 1]!, flags);
      const isTransaction = (flags & SegmentFlag.Transaction) !== 0;
      const kept = salvage && this.reuse(salvage, segment, isTransaction);
      if (kept !== undefined) ({ done, nextAt: commandAt, answered: this.answered } = kept);
      else if (isTransaction) {
        commandAt = this.runTransaction(batch, commandAt, count);
        done = count;
      }
      while (done < count) {
        commandAt = this.runNext(batch, commandAt);
        done++;
        if (done < count && this.mustSplit(batch)) this.split(from, { segment, headerAt, commandAt, done });
      }
      this.closeEntry(true, done, commandAt);
      headerAt = commandAt;
      commandAt = headerAt + SEGMENT_HEADER_WORDS;
      done = 0;
      this.answered = 0;
      if (segment + 1 < batch.segments && this.mustSplit(batch))
        this.split(from, { segment: segment + 1, headerAt, commandAt, done });
    }
  }

  private closeEntry(complete: boolean, done: number, nextAt: number): void {
    const { segment, answered, involved } = this;
    this.part.close(segment, complete, done, answered, nextAt, this.shardId, involved);
  }

  /** Whether the replies so far are so large that they should be on their way. */
  private mustSplit(batch: Batch): boolean {
    return this.reply.position >= REPLY_PART_BYTES && (batch.flags & BatchFlag.Flushes) === 0;
  }

  /** Commits and sends what there is; the batch goes on at `next`. */
  private split(from: Checkpoint, next: Omit<Checkpoint, 'answered' | 'shard'>): void {
    if (next.done > 0) this.closeEntry(false, next.done, next.commandAt);
    this.commit();
    this.post(false);
    this.part.restart();
    const shard = next.done > 0 ? this.shardId : undefined;
    Object.assign(from, next, { answered: this.answered, shard });
    this.touched.add(this.shard!);
  }

  /**
   * Takes the replies of a segment from an earlier attempt, if what they tell of was committed.
   * @returns where the segment goes on; undefined if it must run again
   */
  private reuse(salvage: Salvage, segment: number, isTransaction: boolean): PartEntry | undefined {
    const kept = salvage.entries.get(segment);
    if (kept === undefined) return undefined;
    const { entry, bytes } = kept;
    this.enterShard(entry.nextShard, this.shard!.nowMs);
    this.involved = [...entry.involved];
    if (entry.involved.every((shard) => salvage.committed.has(shard))) this.reply.bytes(bytes);
    else
      for (let replies = isTransaction ? 1 : entry.answered - this.answered; replies > 0; replies--)
        this.reply.error(WRITTEN_IN_PART);
    return entry;
  }

  private enterSegment(clientId: number, shard: number, flags: number): void {
    this.clientId = clientId;
    this.reply.version = (flags & SegmentFlag.Resp3) !== 0 ? 3 : 2;
    this.segmentFlags = flags;
    this.target = undefined;
    this.involved = [];
    this.isInTransaction = false;
    this.enterShard(shard, Date.now());
  }

  private enterShard(id: number, nowMs: number): void {
    const shard = this.host.shards.get(id);
    if (shard === undefined) throw new Error(`this worker does not own shard ${id}`);
    shard.nowMs = nowMs;
    shard.countsAccess = (this.segmentFlags & SegmentFlag.NoTouch) === 0;
    this.shard = shard;
    this.shardId = id;
    this.touched.add(shard);
    if (!this.involved.includes(shard)) this.involved.push(shard);
  }

  /** EXEC: an array of the commands' replies, or nil if a watched key has changed. */
  private runTransaction(batch: Batch, commandAt: number, count: number): number {
    let replies = 0;
    let at = commandAt;
    for (let index = 0; index < count; index++) {
      if (REPLYING_INSTRUCTIONS.has(batch.words[at]!) || batch.words[at]! >= 0) replies++;
      at += 2 + 2 * batch.words[at + 1]!;
    }
    const broken = this.watches.broken(this.clientId, this.shard!.nowMs);
    this.watches.end(this.segment, this.clientId);
    if (broken !== false) {
      if (broken === true) this.reply.nilArray();
      else this.reply.error(broken);
      return at;
    }
    this.reply.array(replies);
    this.isInTransaction = true;
    for (let index = 0; index < count; index++) commandAt = this.runNext(batch, commandAt);
    this.isInTransaction = false;
    for (const shard of this.involved) this.serveWaiting(shard);
    return at;
  }

  /** Runs the command or instruction at `at` and returns where the next one stands. */
  private runNext(batch: Batch, at: number): number {
    const code = batch.words[at]!;
    const count = batch.words[at + 1]!;
    this.args.point(batch.bytes, batch.words, at + 2, count);
    if (code >= 0) this.runCommand(commandTable[code]!);
    else this.instruct(code, batch.words[at + 2]!);
    return at + 2 + 2 * count;
  }

  private instruct(code: number, value: number): void {
    const shard = this.shard!;
    if (code === Instruction.Reply) this.reply.bytes(this.args.bytes(0));
    else if (code === Instruction.UseShard) this.enterShard(value, shard.nowMs);
    else if (code === Instruction.UseTarget) this.enterTarget(value);
    else if (code === Instruction.Unwatch) this.watches.end(this.segment, this.clientId);
    else if (code === Instruction.EndWait) this.waits.end(shard, this.clientId, value as WaitEnd);
    else if (code === Instruction.Flush) {
      const refusal = this.host.refusal(shard) ?? (shard.canFlush ? undefined : NOT_FLUSHED);
      if (refusal === undefined) shard.flush();
      this.flushRefusal ??= refusal;
    } else if (code === Instruction.SwapWatches) {
      exchangeWatches(shard, this.target!);
    } else if (code === Instruction.FlushReply) {
      if (this.flushRefusal === undefined) this.reply.ok();
      else this.reply.error(this.flushRefusal);
      this.flushRefusal = undefined;
    } else throw new Error(`instruction ${code}`);
  }

  private enterTarget(id: number): void {
    const source = this.shard!;
    this.enterShard(id, source.nowMs);
    this.target = this.shard;
    this.shard = source;
    this.targets.add(this.target!);
  }

  private runCommand(command: Command): void {
    const { reply, host } = this;
    const shard = this.shard!;
    const { target } = this;
    const errors = reply.errorCount;
    this.answered++;
    const refusal = host.refusal(shard) ?? (target && host.refusal(target));
    if (refusal !== undefined && WRITES[command.index]) {
      reply.error(refusal);
      host.statistics.reject(command.index);
    } else {
      this.command = command;
      shard.countsLookups = COUNTS_LOOKUPS[command.index]!;
      this.call(command, refusal !== undefined);
      shard.countsLookups = false;
      const failed = reply.errorCount !== errors;
      this.clock.lap(command, this.args, this.clientId, failed, host.settings.slowMicroseconds, shard.nowMs);
    }
    this.target = undefined;
    if (!this.isInTransaction) {
      if (shard.waits.hasReady) this.serveWaiting(shard);
      if (target?.waits.hasReady) this.serveWaiting(target);
    }
    if (host.cache.isOver) host.cache.evict();
  }

  /** Lets clients go on that wait for what has changed. A read that fails meanwhile is a failure of that shard. */
  private serveWaiting(shard: Shard): void {
    const running = this.shard;
    this.shard = shard;
    this.waits.serve(shard);
    this.shard = running;
  }

  /** Where nothing is staged because writes are refused, a read that fails is the failure of its command alone. */
  private call(command: Command, readsOnly: boolean): void {
    if (!readsOnly) {
      command.run(this.context, this.args);
      return;
    }
    const start = this.reply.position;
    try {
      command.run(this.context, this.args);
    } catch (error) {
      const { code, message } = shardFailure(error);
      this.reply.rewind(start);
      this.reply.error(code === 'CLOSED' ? NOT_OPEN : `ERR ${message}`);
    }
  }

  /** Those that keys were moved to first: a key may then be in two databases for a moment, but never in none. */
  private commitOrder(): Shard[] {
    const targets = [...this.targets];
    return this.targets.size === 0
      ? [...this.touched]
      : [...targets, ...[...this.touched].filter((shard) => !this.targets.has(shard))];
  }

  /** Commits what the commands since the last commit changed. */
  private commit(): void {
    const sync = this.host.settings.appendfsync === 'always';
    for (const shard of this.commitOrder()) {
      if (!shard.hasChanges) continue;
      this.committing = shard;
      shard.commit(sync);
      this.host.committed(shard);
    }
    this.committing = undefined;
    this.waits.settle();
    this.forgetAttempt();
  }

  /** Lets clients go on that wait for what did not come by commands. To be called between batches. */
  serveBetween(shard: Shard): void {
    if (!shard.waits.hasReady) return;
    this.shard = shard;
    this.touched.add(shard);
    try {
      this.waits.serve(shard);
      this.commit();
    } catch (error) {
      this.recover(shardFailure(error), undefined);
    }
    this.tellWaiting();
  }

  /** Has clients ask again that wait for keys of a shard which is being closed. */
  dismissWaiting(shard: Shard): void {
    this.waits.dismiss(shard);
    this.tellWaiting();
  }

  private tellWaiting(): void {
    const news = this.waits.takeNews();
    // The memory is transferred, so each message has its own.
    if (news !== undefined)
      this.host.post({ buffer: new ArrayBuffer(0), tableOffset: 0, entries: 0, last: false, ...news });
  }
}

/** Instructions that write a reply of their own. */
const REPLYING_INSTRUCTIONS: ReadonlySet<number> = new Set([Instruction.Reply, Instruction.FlushReply]);
