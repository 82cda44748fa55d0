import type { Buffer } from 'node:buffer';
import { bytesHash, OpenTable, tableHash } from './open-table.js';
import type { Row } from './row.js';

/** The rows of a shard that are in memory, by key. */
export class RowTable extends OpenTable<Row> {
  get(key: string): Row | undefined {
    const hash = tableHash(key);
    const { hashes, mask } = this;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = hashes[slot]!;
      if (found === hash) {
        const row = this.entries[slot]!;
        if (row.key === key) return row;
      } else if (found === 0) return undefined;
    }
  }

  /** The row whose key has the bytes from `from` to `to`: no text is made of them. */
  find(bytes: Buffer, from: number, to: number): Row | undefined {
    const hash = bytesHash(bytes, from, to);
    const { hashes, mask } = this;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = hashes[slot]!;
      if (found === hash) {
        const row = this.entries[slot]!;
        if (isText(row.key, bytes, from, to)) return row;
      } else if (found === 0) return undefined;
    }
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  protected hashOf(row: Row): number {
    return tableHash(row.key);
  }
}

/** Whether these bytes are those of a latin1 text. */
function isText(text: string, bytes: Buffer, from: number, to: number): boolean {
  const { length } = text;
  if (length !== to - from) return false;
  for (let index = 0; index < length; index++)
    if (text.charCodeAt(index) !== bytes[from + index]) return false;
  return true;
}
