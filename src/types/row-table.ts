import { OpenTable, tableHash } from './open-table.js';
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

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  protected hashOf(row: Row): number {
    return tableHash(row.key);
  }
}
