import { performance } from 'node:perf_hooks';
import { FrameArguments } from '../base/arguments.js';
import type { CommandError } from '../base/command-errors.js';
import type { CommandStatistics } from '../base/command-statistics.js';
import { ErrorTally } from '../base/error-tally.js';
import { REPLY_PART_BYTES, SLOWLOG_ARGUMENT_BYTES_MAX, SLOWLOG_ARGUMENTS_MAX } from '../base/limits.js';
import { ReplyWriter } from '../base/reply-writer.js';
import type { ShardContext } from '../commands/definition.js';
import { type Command, commandTable } from '../commands/table.js';
import type { ShardView } from '../types/shard-view.js';
import { type Batch, openBatch } from './batch.js';
import {
  BATCH_HEADER_WORDS,
  BatchFlag,
  Instruction,
  type ReplyMessage,
  SEGMENT_HEADER_WORDS,
  SegmentFlag,
  type SlowCommand,
  type WorkerSettings,
} from './protocol.js';
import { StorageError } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';

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

const REPLY_BYTES_MIN = 4096;
/** Words of an entry of the reply table: segment, byte length, whether complete. */
const ENTRY_WORDS = 3;
/** Share of a batch's commands whose rows were not in memory, from which on the next batch is prefetched. */
const PREFETCH_MISS_SHARE = 0.1;
const NO_ARGUMENTS: readonly string[] = [];
/** Commands that write and yet read as GET does. */
const READING_WRITES: ReadonlySet<string> = new Set(['getdel', 'getex', 'getset']);
/** For each command whether the keys it looks up are hits and misses: those of Redis's `lookupKeyRead`. */
const COUNTS_LOOKUPS: readonly boolean[] = commandTable.map(
  ({ name, flags }) => (flags.includes('readonly') && name !== 'memory|usage') || READING_WRITES.has(name),
);

/** How far a batch has come: everything before is committed and its replies are on their way. */
interface Checkpoint {
  segment: number;
  /** Word at which the segment's header stands. */
  headerAt: number;
  /** Word at which its next command stands. */
  commandAt: number;
  /** Commands of the segment that are done. */
  done: number;
}

/**
 * Runs batches, one after the other: each command in order — read, run, stage — then one commit a shard, then the
 * replies. No reply leaves before the writes it may tell of are committed.
 *
 * When a commit fails, nothing of what it held has happened: the shards are rolled back and the commands since the
 * last checkpoint run again with writes refused, so that reads are answered from what is on disk.
 *
 * Everything is synchronous but the preparation of a flush.
 */
export class Executor {
  batches = 0;
  /** Commands of all batches. */
  commands = 0;
  readonly errors = new ErrorTally();
  private readonly args = new FrameArguments();
  private readonly reply = new ReplyWriter(undefined, this.errors);
  private readonly context: ShardContext;
  private readonly touched = new Set<Shard>();
  private tail: Promise<void> | undefined;
  private entries: number[] = [];
  private entryStart = 0;
  private replyBytesExpected = REPLY_BYTES_MIN;
  private slow: SlowCommand[] = [];
  private clientId = 0;
  private shard: Shard | undefined;
  private target: Shard | undefined;
  private countsAccess = true;
  private refusal: CommandError | undefined;
  private clockMs = 0;
  private prefetching = false;
  private commandsRun = 0;

  constructor(private readonly host: ExecutorHost) {
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
        return (executor.refusal ?? executor.host.refusal(executor.shard!)) === undefined;
      },
      watch(key) {
        const shard = executor.shard!;
        shard.watches.watch(executor.clientId, key, shard.peek(key) !== undefined);
      },
    };
  }

  /** Runs a batch, after those before it. */
  submit(memory: ArrayBuffer): void {
    const batch = openBatch(memory);
    const flushes = (batch.flags & BatchFlag.Flushes) !== 0;
    if (this.tail === undefined && !flushes) {
      this.run(batch);
      return;
    }
    // A failure here is a failure of the worker: it must surface, and end the thread.
    void this.exclusive(async () => {
      if (flushes) await this.prepareFlushes(batch);
      this.run(batch);
    });
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

  private async prepareFlushes(batch: Batch): Promise<void> {
    const shards = new Set<number>();
    eachCommand(batch, (_command, shard) => shards.add(shard));
    for (const id of shards) {
      const shard = this.host.shards.get(id);
      if (shard === undefined) continue;
      try {
        await shard.prepareFlush();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.host.commitFailed(shard, error);
      }
    }
  }

  private run(batch: Batch): void {
    this.batches++;
    this.slow = [];
    this.startPart();
    this.clockMs = performance.now();
    const loadsBefore = this.host.cache.loads;
    if (this.prefetching) this.prefetch(batch);
    const from: Checkpoint = {
      segment: 0,
      headerAt: BATCH_HEADER_WORDS,
      commandAt: BATCH_HEADER_WORDS + SEGMENT_HEADER_WORDS,
      done: 0,
    };
    this.refusal = undefined;
    for (;;) {
      try {
        this.execute(batch, from);
        this.commit();
        break;
      } catch (error) {
        if (!(error instanceof StorageError) || this.refusal !== undefined) throw error;
        for (const shard of this.touched) shard.rollback();
        if (this.shard) this.refusal = this.host.commitFailed(this.shard, error);
        this.startPart();
      }
    }
    this.post(true);
    this.host.cache.evict();
    this.commands += this.commandsRun;
    this.commandsRun ||= 1;
    this.prefetching = (this.host.cache.loads - loadsBefore) / this.commandsRun > PREFETCH_MISS_SHARE;
    this.commandsRun = 0;
  }

  /** Runs the commands behind the checkpoint, and moves it where a part of the replies is committed and sent. */
  private execute(batch: Batch, from: Checkpoint): void {
    const { words } = batch;
    const splittable = (batch.flags & BatchFlag.Flushes) === 0;
    let { segment, headerAt, commandAt, done } = from;
    for (; segment < batch.segments; segment++) {
      const flags = words[headerAt + 3]!;
      const count = words[headerAt + 4]!;
      this.enterSegment(words[headerAt]!, words[headerAt + 1]!, flags);
      if ((flags & SegmentFlag.Transaction) !== 0) commandAt = this.runTransaction(batch, commandAt, count);
      else {
        for (; done < count; done++) {
          commandAt = this.runNext(batch, commandAt);
          if (this.reply.position < REPLY_PART_BYTES || !splittable || done + 1 === count) continue;
          this.closeEntry(segment, false);
          this.commit();
          this.post(false);
          this.startPart();
          Object.assign(from, { segment, headerAt, commandAt, done: done + 1 });
        }
      }
      this.closeEntry(segment, true);
      headerAt = commandAt;
      commandAt = headerAt + SEGMENT_HEADER_WORDS;
      done = 0;
    }
  }

  private enterSegment(clientId: number, shard: number, flags: number): void {
    this.clientId = clientId;
    this.reply.version = (flags & SegmentFlag.Resp3) !== 0 ? 3 : 2;
    this.countsAccess = (flags & SegmentFlag.NoTouch) === 0;
    this.target = undefined;
    this.enterShard(shard, Date.now());
  }

  private enterShard(id: number, nowMs: number): void {
    const shard = this.host.shards.get(id);
    if (shard === undefined) throw new Error(`this worker does not own shard ${id}`);
    shard.nowMs = nowMs;
    shard.countsAccess = this.countsAccess;
    this.shard = shard;
    this.touched.add(shard);
  }

  /** EXEC: an array of the commands' replies, or nil if a watched key has changed. */
  private runTransaction(batch: Batch, commandAt: number, count: number): number {
    let replies = 0;
    let at = commandAt;
    for (let index = 0; index < count; index++) {
      if (batch.words[at]! >= 0 || batch.words[at] === Instruction.Reply) replies++;
      at += 2 + 2 * batch.words[at + 1]!;
    }
    if (this.watchesBroken()) {
      this.reply.nilArray();
      this.forgetWatches();
      return at;
    }
    this.forgetWatches();
    this.reply.array(replies);
    for (let index = 0; index < count; index++) commandAt = this.runNext(batch, commandAt);
    return at;
  }

  private watchesBroken(): boolean {
    const { nowMs } = this.shard!;
    for (const shard of this.host.shards.values()) {
      if (shard.watches.size === 0) continue;
      shard.nowMs = nowMs;
      if (shard.watches.isBroken(this.clientId, (key) => shard.peek(key) !== undefined)) return true;
    }
    return false;
  }

  private forgetWatches(): void {
    for (const shard of this.host.shards.values()) shard.watches.unwatch(this.clientId);
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
    else if (code === Instruction.Unwatch) this.forgetWatches();
    else if (code === Instruction.Flush) {
      if (this.refusal === undefined) shard.flush();
    } else throw new Error(`instruction ${code}`);
  }

  private enterTarget(id: number): void {
    const source = this.shard!;
    this.enterShard(id, source.nowMs);
    this.target = this.shard;
    this.shard = source;
  }

  private runCommand(command: Command): void {
    const { reply } = this;
    const start = reply.position;
    const errors = reply.errorCount;
    this.commandsRun++;
    const refusal = this.refusal ?? this.host.refusal(this.shard!);
    if (refusal !== undefined && command.flags.includes('write')) {
      reply.error(refusal);
      this.host.statistics.reject(command.index);
      return;
    }
    const shard = this.shard!;
    shard.countsLookups = COUNTS_LOOKUPS[command.index]!;
    try {
      command.run!(this.context, this.args);
    } catch (error) {
      // Alone, a read that fails is this command's failure. With changes staged it may have left half of its own.
      if (!(error instanceof StorageError) || this.refusal === undefined) throw error;
      reply.rewind(start);
      reply.error(`ERR ${error.message}`);
    }
    shard.countsLookups = false;
    this.target = undefined;
    this.account(command, reply.errorCount !== errors);
    if (this.host.cache.isOver) this.host.cache.evict();
  }

  private account(command: Command, failed: boolean): void {
    const nowMs = performance.now();
    const microseconds = ((nowMs - this.clockMs) * 1000) | 0;
    this.clockMs = nowMs;
    // The node's own commands are nobody's statistics.
    if (this.clientId === 0) return;
    this.host.statistics.record(command.index, microseconds, failed);
    const { slowMicroseconds } = this.host.settings;
    if (slowMicroseconds >= 0 && microseconds >= slowMicroseconds && !command.flags.includes('skip_slowlog'))
      this.slow.push({
        clientId: this.clientId,
        command: command.index,
        microseconds,
        unixMs: this.shard!.nowMs,
        arguments: this.slowArguments(),
      });
  }

  private slowArguments(): readonly string[] {
    const { args } = this;
    if (args.count === 0) return NO_ARGUMENTS;
    const kept = Math.min(args.count, SLOWLOG_ARGUMENTS_MAX);
    const texts: string[] = [];
    for (let index = 0; index < kept; index++) {
      if (index === SLOWLOG_ARGUMENTS_MAX - 1 && args.count > kept) {
        texts.push(`... (${args.count - kept + 1} more arguments)`);
        break;
      }
      const extra = args.byteLength(index) - SLOWLOG_ARGUMENT_BYTES_MAX;
      texts.push(
        extra <= 0
          ? args.text(index)
          : `${args.bytes(index).latin1Slice(0, SLOWLOG_ARGUMENT_BYTES_MAX)}... (${extra} more bytes)`,
      );
    }
    return texts;
  }

  /** Commits what the commands since the last commit changed. */
  private commit(): void {
    const sync = this.host.settings.appendfsync === 'always';
    for (const shard of this.touched) {
      if (!shard.hasChanges) continue;
      this.shard = shard;
      shard.commit(sync);
      this.host.committed(shard);
    }
    this.touched.clear();
  }

  private startPart(): void {
    this.reply.take(this.replyBytesExpected);
    this.entries = [];
    this.entryStart = 0;
  }

  private closeEntry(segment: number, complete: boolean): void {
    this.entries.push(segment, this.reply.position - this.entryStart, complete ? 1 : 0);
    this.entryStart = this.reply.position;
  }

  /** Sends the replies since the last time, with the table that tells whose they are. */
  private post(last: boolean): void {
    const { reply, entries } = this;
    const bytes = reply.position;
    const tableOffset = (bytes + 3) & ~3;
    reply.reserve(tableOffset - bytes + entries.length * 4);
    const { buffer } = reply.take(0);
    new Int32Array(buffer, tableOffset, entries.length).set(entries);
    this.replyBytesExpected = Math.max(REPLY_BYTES_MIN, bytes + (bytes >> 2) + entries.length * 4);
    this.host.post({
      buffer: buffer as ArrayBuffer,
      tableOffset,
      entries: entries.length / ENTRY_WORDS,
      last,
      ...(this.slow.length > 0 && last ? { slow: this.slow } : {}),
    });
  }

  /** Reads the rows that the batch's commands name and that are not in memory, with one call a shard. */
  private prefetch(batch: Batch): void {
    const missing = new Map<Shard, Set<string>>();
    eachCommand(batch, (code, shardId, at, count) => {
      if (code < 0) return;
      const shard = this.host.shards.get(shardId);
      const keys = commandTable[code]!.keys[0];
      if (shard === undefined || keys === undefined) return;
      this.args.point(batch.bytes, batch.words, at, count);
      const last = keys.last < 0 ? count + keys.last : Math.min(keys.last, count - 1);
      for (let index = keys.first; index <= last; index += keys.step) {
        const key = this.args.text(index);
        if (shard.isCached(key)) continue;
        const keysOfShard = missing.get(shard);
        if (keysOfShard) keysOfShard.add(key);
        else missing.set(shard, new Set([key]));
      }
    });
    for (const [shard, keys] of missing) {
      if (keys.size > 1) shard.prefetch([...keys]);
    }
  }
}

/** Visits the commands and instructions of a batch with the shard each is for. `at` is the word of the first argument. */
function eachCommand(
  batch: Batch,
  visit: (code: number, shard: number, at: number, count: number) => void,
): void {
  const { words } = batch;
  let at = BATCH_HEADER_WORDS;
  for (let segment = 0; segment < batch.segments; segment++) {
    let shard = words[at + 1]!;
    const count = words[at + 4]!;
    at += SEGMENT_HEADER_WORDS;
    for (let index = 0; index < count; index++) {
      const code = words[at]!;
      if (code === Instruction.UseShard) shard = words[at + 2]!;
      visit(code, shard, at + 2, words[at + 1]!);
      at += 2 + 2 * words[at + 1]!;
    }
  }
}
