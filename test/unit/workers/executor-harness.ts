import { CommandError } from '../../../src/base/command-errors.js';
import { CommandStatistics } from '../../../src/base/command-statistics.js';
import { commandTable, findCommand } from '../../../src/commands/table.js';
import { BatchWriter } from '../../../src/workers/batch.js';
import { Executor, type ExecutorHost } from '../../../src/workers/executor.js';
import { Instruction, type ReplyMessage, SegmentFlag } from '../../../src/workers/protocol.js';
import { type Database, StorageError } from '../../../src/workers/rocksdb.js';
import { RowCache } from '../../../src/workers/row-cache.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { WORKER_SETTINGS } from '../../support/worker-settings.js';
import { databaseOf, openShard } from './shard-harness.js';

/** A command's words, or an instruction with its number. */
export type Item = string | readonly string[] | { readonly instruction: number; readonly value?: number };

export interface SegmentOf {
  readonly client?: number;
  readonly shard?: number;
  readonly flags?: number;
  readonly items: readonly Item[];
}

/** What came back for a segment. */
export interface SegmentReply {
  text: string;
  parts: number;
  complete: boolean;
}

/** A worker without its thread: real shards, and everything it was told. */
export class FakeHost implements ExecutorHost {
  readonly shards = new Map<number, Shard>();
  readonly cache: RowCache;
  readonly statistics = new CommandStatistics(commandTable.length);
  readonly failures = new Map<Shard, CommandError>();
  readonly commits: number[] = [];
  readonly posts: ReplyMessage[] = [];
  settings = WORKER_SETTINGS;

  constructor(cacheBytes: number) {
    this.cache = new RowCache(cacheBytes);
  }

  refusal(shard: Shard): CommandError | undefined {
    return this.failures.get(shard);
  }

  commitFailed(shard: Shard, error: StorageError): CommandError {
    const refusal = new CommandError(`MISCONF shard ${shard.id}: ${error.code}`);
    this.failures.set(shard, refusal);
    return refusal;
  }

  committed(shard: Shard): void {
    this.commits.push(shard.id);
  }

  post(message: ReplyMessage): void {
    this.posts.push(message);
  }
}

export interface ExecutorRig {
  readonly host: FakeHost;
  readonly executor: Executor;
  shard(id: number): Shard;
  /** Runs a batch and returns the replies of its segments. It must be done when this returns. */
  run(...segments: SegmentOf[]): SegmentReply[];
  /** Runs commands of one client on shard 1, and returns their replies in one text. */
  text(...items: Item[]): string;
  close(): Promise<void>;
}

export function encodeBatch(segments: readonly SegmentOf[], flushes = false): ArrayBuffer {
  const writer = new BatchWriter<number>();
  segments.forEach(({ client = 1, shard = 1, flags = 0, items }, index) => {
    writer.begin(index, client, shard, flags);
    for (const item of items) addItem(writer, item);
  });
  if (flushes) writer.markFlushes();
  return writer.take();
}

function addItem(writer: BatchWriter<number>, item: Item): void {
  if (typeof item === 'object' && 'instruction' in item) {
    writer.instruct(item.instruction, item.value);
    return;
  }
  const words = typeof item === 'string' ? item.split(' ') : item;
  const named = findCommand(words[0]!.toLowerCase());
  const command = named?.children.get(words[1]?.toLowerCase() ?? '') ?? named;
  if (command === undefined) throw new Error(`no command ${words[0]}`);
  const frames = Buffer.from(words.join(''), 'latin1');
  let at = 0;
  const args = words.map((word) => {
    at += word.length;
    return frames.subarray(at - word.length, at);
  });
  writer.add(command.index, args, frames);
}

/** Puts the messages of one batch together, and checks their form. */
export function gather(posts: readonly ReplyMessage[], segments: number): SegmentReply[] {
  const replies = Array.from(
    { length: segments },
    (): SegmentReply => ({ text: '', parts: 0, complete: false }),
  );
  let open = 0;
  posts.forEach(({ buffer, tableOffset, entries, last }, index) => {
    if (last !== (index === posts.length - 1)) throw new Error('the last message, and no other, says so');
    const table = new Int32Array(buffer, tableOffset, entries * 3);
    let at = 0;
    for (let entry = 0; entry < table.length; entry += 3) {
      const [segment, length, done] = [table[entry]!, table[entry + 1]!, table[entry + 2]!];
      if (segment !== open) throw new Error(`replies of segment ${segment} where ${open} was to come`);
      const reply = replies[segment]!;
      reply.text += Buffer.from(buffer, at, length).latin1Slice();
      reply.parts++;
      if (done === 0) {
        reply.complete = true;
        open++;
      }
      at += length;
    }
    if (at > tableOffset) throw new Error('entries longer than the replies');
  });
  return replies;
}

export async function openExecutor(shardCount = 1, cacheBytes = 1 << 20): Promise<ExecutorRig> {
  const host = new FakeHost(cacheBytes);
  const directory = temporaryDir();
  for (let id = 1; id <= shardCount; id++)
    host.shards.set(id, (await openShard(`${directory}/${id}`, cacheBytes, id, host.cache)).shard);
  const executor = new Executor(host);
  const run = (...segments: SegmentOf[]) => {
    host.posts.length = 0;
    executor.submit(encodeBatch(segments));
    return gather(host.posts, segments.length);
  };
  return {
    host,
    executor,
    shard: (id) => host.shards.get(id)!,
    run,
    text: (...items) => run({ items })[0]!.text,
    close: async () => {
      for (const shard of host.shards.values()) await shard.close();
    },
  };
}

/** Runs a batch that empties shards: its preparation takes turns of the event loop. */
export async function runFlushing(rig: ExecutorRig, ...segments: SegmentOf[]): Promise<SegmentReply[]> {
  rig.host.posts.length = 0;
  rig.executor.submit(encodeBatch(segments, true));
  await rig.executor.exclusive(async () => undefined);
  return gather(rig.host.posts, segments.length);
}

/** Has the reads of a shard that ask for some key fail; without one, all reads. */
export function failReads(shard: Shard, failing?: string): void {
  const database: Database = databaseOf(shard);
  const { getMany } = database;
  database.getMany = (family, keys) => {
    if (failing === undefined || keys.some((key) => key.latin1Slice() === failing))
      throw new StorageError('IO', 'the disk does not answer');
    return getMany.call(database, family, keys);
  };
}

export const TRANSACTION = SegmentFlag.Transaction;
export const UNWATCH = { instruction: Instruction.Unwatch };
export const FLUSH = { instruction: Instruction.Flush };
export const useShard = (value: number) => ({ instruction: Instruction.UseShard, value });
export const useTarget = (value: number) => ({ instruction: Instruction.UseTarget, value });
