import { COLLECTION_COPIES_MAX, COLLECTION_COPY_IDLE_MAX_MS } from '../base/limits.js';
import { elementBound } from './element-keys.js';
import type { Database, RangeReader } from './rocksdb.js';

/** The reading of a large collection for a copy, as the collection was when it began. */
export interface CollectionCopy {
  readonly session: number;
  readonly key: string;
  /** The row, of the same moment. */
  readonly row: Buffer;
  readonly reader: RangeReader;
  readonly isOnly: boolean;
  /** Number of the piece that is read next. */
  piece: number;
  usedMs: number;
}

/** The readings of a shard that are under way. The disk cannot give back what they see, so they are few and not for ever. */
export class CollectionCopies {
  private readonly copies = new Map<number, CollectionCopy>();
  private lastSession = 0;

  begin(
    database: Database,
    key: string,
    row: Buffer,
    version: number,
    isOnly: boolean,
    nowMs: number,
  ): CollectionCopy {
    this.expire(nowMs);
    if (this.copies.size >= COLLECTION_COPIES_MAX) {
      const [oldest] = [...this.copies.values()].sort((a, b) => a.usedMs - b.usedMs);
      if (oldest !== undefined) this.end(oldest);
    }
    const bounds = { from: elementBound(version), before: elementBound(version + 1) };
    const reader = database.openReader({ family: 'elem', values: true, ...bounds });
    const copy = { session: ++this.lastSession, key, row, reader, isOnly, piece: 0, usedMs: nowMs };
    this.copies.set(copy.session, copy);
    return copy;
  }

  /** The reading that goes on with a piece; undefined when there is none any more. */
  at(session: number, key: string, piece: number, nowMs: number): CollectionCopy | undefined {
    this.expire(nowMs);
    const copy = this.copies.get(session);
    if (copy === undefined || copy.key !== key || copy.piece !== piece) return undefined;
    copy.usedMs = nowMs;
    return copy;
  }

  end(copy: CollectionCopy): void {
    copy.reader.close();
    this.copies.delete(copy.session);
  }

  /** Ends those that nobody has gone on with for long. */
  expire(nowMs: number): void {
    for (const copy of this.copies.values())
      if (nowMs - copy.usedMs > COLLECTION_COPY_IDLE_MAX_MS) this.end(copy);
  }

  endAll(): void {
    for (const copy of [...this.copies.values()]) this.end(copy);
  }
}
