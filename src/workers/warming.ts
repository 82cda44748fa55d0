import { commandTable } from '../commands/table.js';
import { bytesHash } from '../types/open-table.js';
import type { Row } from '../types/row.js';
import type { RowTable } from '../types/row-table.js';
import type { Batch } from './batch.js';
import { BATCH_HEADER_WORDS, Instruction, SEGMENT_HEADER_WORDS } from './protocol.js';
import type { Shard } from './shard.js';

/** Commands of a batch that are looked at: the processor's caches would not keep the rows of many more. */
const WARMED_MAX = 512;

/** For each command which argument is its first key; 0 = none, or not at a fixed place. */
const FIRST_KEY = Int32Array.from(commandTable, ({ keys: [keys] }) =>
  keys === undefined || keys.counted || keys.keyword !== undefined ? 0 : keys.first,
);

/**
 * Has the rows that the commands of a batch name come from memory into the processor's caches, before the first one runs.
 *
 * A look-up waits for memory several times, each time for what tells where to go on: the table, the row, its key, its value. Where there are
 * many keys that is most of the time of a small command, and one command waits after the other. Here each of these steps is
 * made for all commands before the next, in loops so short that the processor has many of them under way at once.
 */
export class Warming {
  private readonly hashes = new Int32Array(WARMED_MAX);
  private readonly tables: (RowTable | undefined)[] = new Array(WARMED_MAX).fill(undefined);
  private readonly rows: (Row | undefined)[] = new Array(WARMED_MAX).fill(undefined);
  /** Depends on all that was read: nothing may be left out since nobody needs it. */
  seen = 0;

  warm(batch: Batch, shards: ReadonlyMap<number, Shard>): void {
    const found = this.hash(batch, shards);
    const { hashes, tables, rows } = this;
    let seen = 0;
    for (let index = 0; index < found; index++) seen ^= tables[index]!.touch(hashes[index]!);
    for (let index = 0; index < found; index++) rows[index] = tables[index]!.first(hashes[index]!);
    for (let index = 0; index < found; index++) seen ^= rows[index]?.flags ?? 0;
    for (let index = 0; index < found; index++) {
      const row = rows[index];
      // What was let go meanwhile is not to be held by these.
      tables[index] = undefined;
      if (row === undefined) continue;
      rows[index] = undefined;
      seen ^= row.key.charCodeAt(0);
      seen ^= row.collection === undefined ? row.value.length : row.collection.footprintBytes;
    }
    this.seen = seen;
  }

  /** Notes the hashes of the first keys of the batch's commands, and the tables to look in. @returns how many */
  private hash({ words, bytes, segments }: Batch, shards: ReadonlyMap<number, Shard>): number {
    const { hashes, tables } = this;
    let found = 0;
    let at = BATCH_HEADER_WORDS;
    for (let segment = 0; segment < segments; segment++) {
      let table = shards.get(words[at + 1]!)?.rows.table;
      const count = words[at + 4]!;
      at += SEGMENT_HEADER_WORDS;
      for (let index = 0; index < count; index++) {
        const code = words[at]!;
        const args = words[at + 1]!;
        const key = code < 0 ? 0 : FIRST_KEY[code]!;
        if (key !== 0 && key < args && table !== undefined) {
          const keyAt = at + 2 + 2 * key;
          const from = words[keyAt]!;
          hashes[found] = bytesHash(bytes, from, from + words[keyAt + 1]!);
          tables[found++] = table;
          if (found === WARMED_MAX) return found;
        } else if (code === Instruction.UseShard) table = shards.get(words[at + 2]!)?.rows.table;
        at += 2 + 2 * args;
      }
    }
    return found;
  }
}
