import { FrameArguments } from '../base/arguments.js';
import { keyBounds } from '../commands/definition.js';
import { commandTable } from '../commands/table.js';
import type { Batch } from './batch.js';
import { BATCH_HEADER_WORDS, Instruction, SEGMENT_HEADER_WORDS } from './protocol.js';
import type { RowCache } from './row-cache.js';
import type { Shard } from './shard.js';
import { shardFailure } from './shard-failure.js';
import { Warming } from './warming.js';

/** Share of a batch's commands whose rows were not in memory, from which on the next batch is prefetched. */
const PREFETCH_MISS_SHARE = 0.1;

/** Has the rows of a batch near before its commands run: from the disk where many were not in memory lately, else from memory. */
export class RowPrefetch {
  private readsRows = false;
  private loadsBefore = 0;
  private readonly warming = new Warming();

  constructor(private readonly cache: RowCache) {}

  begin(batch: Batch, shards: ReadonlyMap<number, Shard>): void {
    this.loadsBefore = this.cache.loads;
    if (this.readsRows) prefetchRows(batch, shards);
    else this.warming.warm(batch, shards);
  }

  /** @param commands of the batch */
  end(commands: number): void {
    this.readsRows = this.cache.loads - this.loadsBefore > PREFETCH_MISS_SHARE * commands;
  }
}

/** Reads the rows that the batch's commands name and that are not in memory, with one call a shard. */
function prefetchRows(batch: Batch, shards: ReadonlyMap<number, Shard>): void {
  const args = new FrameArguments();
  const missing = new Map<Shard, Set<string>>();
  eachCommand(batch, (code, shardId, at, count) => {
    if (code < 0) return;
    const shard = shards.get(shardId);
    const keys = commandTable[code]!.keys[0];
    if (shard === undefined || keys === undefined) return;
    args.point(batch.bytes, batch.words, at, count);
    const { first, last } = keyBounds(keys, count, (index) => args.text(index));
    for (let index = first; index <= last; index += keys.step) {
      const key = args.text(index);
      if (shard.isCached(key)) continue;
      const keysOfShard = missing.get(shard);
      if (keysOfShard) keysOfShard.add(key);
      else missing.set(shard, new Set([key]));
    }
  });
  for (const [shard, keys] of missing) {
    try {
      if (keys.size > 1) shard.prefetch([...keys]);
    } catch (error) {
      // The command that needs the row will meet the same failure, and report it.
      shardFailure(error);
    }
  }
}

/** Visits the commands and instructions of a batch with the shard each is for. `at` is the word of the first argument. */
export function eachCommand(
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
