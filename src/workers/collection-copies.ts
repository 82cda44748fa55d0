import { COLLECTION_COPIES_MAX, COLLECTION_COPY_IDLE_MAX_MS } from '../base/limits.js';
import { elementBound } from './element-keys.js';
import type { NodeOverlay } from './node-journal.js';
import type { Database, RangeReader } from './rocksdb.js';

/** What is read for a copy. */
interface CopiedCollection {
  readonly key: string;
  /** The row. */
  readonly row: Buffer;
  /** What the journal has of its nodes. */
  readonly overlay: NodeOverlay;
  readonly isOnly: boolean;
}

/** The reading of a large collection for a copy, as the collection was when it began. */
export interface CollectionCopy extends CopiedCollection {
  readonly session: number;
  readonly reader: RangeReader;
  /** Number of the piece that is read next. */
  piece: number;
  usedMs: number;
}

/** The readings of a shard that are under way. The disk cannot give back what they see, so they are few and not for ever. */
export class CollectionCopies {
  private readonly copies = new Map<number, CollectionCopy>();
  private lastSession = 0;

  begin(database: Database, collection: CopiedCollection, version: number, nowMs: number): CollectionCopy {
    this.expire(nowMs);
    if (this.copies.size >= COLLECTION_COPIES_MAX) {
      const [oldest] = [...this.copies.values()].sort((a, b) => a.usedMs - b.usedMs);
      if (oldest !== undefined) this.end(oldest);
    }
    const bounds = { from: elementBound(version), before: elementBound(version + 1) };
    const reader = database.openReader({ family: 'elem', values: true, ...bounds });
    const copy = { ...collection, session: ++this.lastSession, reader, piece: 0, usedMs: nowMs };
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
    for (const copy of this.copies.values()) {
      // A clock that was set back must not hold anything up.
      copy.usedMs = Math.min(copy.usedMs, nowMs);
      if (nowMs - copy.usedMs > COLLECTION_COPY_IDLE_MAX_MS) this.end(copy);
    }
  }

  endAll(): void {
    for (const copy of [...this.copies.values()]) this.end(copy);
  }
}
