import { Buffer } from 'node:buffer';
import { type ElementKind, nameOf } from '../types/collections/elements.js';
import {
  ElementsKind,
  eachElement,
  type FeedElements,
  type FeedEntry,
  FeedFormatError,
} from '../types/feed-codec.js';
import { heldTimestamp, takesPlace } from '../types/feed-rules.js';
import { endRow, isKey, Row, RowType, stringValue, TEXT_BYTES_MAX } from '../types/row.js';
import {
  decodeContents,
  decodePlain,
  decodeRow,
  elementVersion,
  type RowHeader,
  rowHeader,
  withVersion,
  writeUint64,
} from '../types/row-codec.js';
import { ELEMENT_VERSION_BYTES } from './element-changes.js';
import { keyScratch, rowBytes, ttlKey } from './row-scratch.js';
import type { Shard } from './shard.js';

/** A row as it is stored. */
export interface StoredRow {
  readonly key: Buffer;
  readonly bytes: Buffer;
}

/** A row wins, and what would have to be here of its elements is not: the key must be copied. */
export class KeyWantedError extends Error {
  constructor(readonly key: string) {
    super(`the key ${JSON.stringify(key.slice(0, 100))} must be copied`);
  }
}

const ABSENT: RowHeader = { type: RowType.Absent, timestamp: 0, expiresAtMs: 0 };
const EMPTY = Buffer.alloc(0);

/** See isUntouched. */
const ITERATOR_READS = 32;

/**
 * Stages rows that do not come from commands into a shard's batch. Those in memory change there, as commands change
 * them, and so do collections; all others are written as they came, or brought into memory before. Counts,
 * `ttl` entries and watches follow.
 */
export class RowApplier {
  applied = 0;
  skipped = 0;
  removed = 0;
  /** What was staged here for rows that are not in memory; empty = removed. */
  private readonly staged = new Map<string, Buffer>();
  private live = 0;
  private expiring = 0;

  /** @param missing a key that the source does not have any more: what is wanting of its elements is no matter */
  constructor(
    private readonly shard: Shard,
    private readonly missing?: string,
  ) {}

  /**
   * Stages those of the rows that win against what is held.
   * @param stays whether what is held of the rows is brought into memory, as is worth it where they may be changed again:
   *   from the second change on nothing is read any more, and the journal takes them
   * @returns those that have won
   */
  apply(rows: readonly FeedEntry[], stays = false): FeedEntry[] {
    const { shard } = this;
    const { table } = shard.rows;
    // All look-ups at once: so their cache misses overlap.
    const held = rows.map(({ source, keyAt, rowAt }) => table.find(source, keyAt, rowAt));
    const stored = stays ? [] : this.read(rows, held);
    if (stays) this.prefetch(rows, held);
    const winners = rows.filter((row, index) => this.applyOne(row, held[index], stored[index]));
    this.applied += winners.length;
    this.skipped += rows.length - winners.length;
    shard.counted(this.live, this.expiring);
    this.live = 0;
    this.expiring = 0;
    return winners;
  }

  private applyOne(row: FeedEntry, held: Row | undefined, found: Buffer | undefined): boolean {
    const { header } = row;
    if (held !== undefined) return this.applyCached(held, row, header);
    const { name } = row;
    const cached = this.shard.rows.table.get(name);
    if (cached !== undefined) return this.applyCached(cached, row, header);
    const stored = this.staged.get(name) ?? found ?? EMPTY;
    const isSimple = isPlainType(header.type) && isPlain(stored);
    return isSimple
      ? this.applyStored(name, row, header, stored)
      : this.applyCached(this.load(name), row, header);
  }

  /** Brings the rows into memory that are not. */
  private prefetch(rows: readonly FeedEntry[], held: readonly (Row | undefined)[]): void {
    const unknown = rows.filter((_, index) => held[index] === undefined);
    if (unknown.length > 0) this.shard.prefetch(unknown.map(({ name }) => name));
  }

  /** What is stored of the rows that are not in memory, with one read. */
  private read(rows: readonly FeedEntry[], held: readonly (Row | undefined)[]): (Buffer | undefined)[] {
    const keys = rows.filter((_, index) => held[index] === undefined).map(({ key }) => key);
    const found =
      keys.length === 0 || this.isUntouched(keys) ? [] : this.shard.source().getMany('default', keys);
    let next = 0;
    return held.map((row) => (row === undefined ? found[next++] : undefined));
  }

  /** Whether nothing is stored from the first of these keys to the last: so it is of what is copied for the first time. */
  private isUntouched(keys: readonly Buffer[]): boolean {
    // An iterator costs as much as so many reads.
    if (keys.length < ITERATOR_READS) return false;
    let [first, last] = [keys[0]!, keys[0]!];
    for (const key of keys) {
      if (key.compare(first) < 0) first = key;
      else if (key.compare(last) > 0) last = key;
    }
    let found = false;
    this.shard.source().iterate({ family: 'default', from: first, values: false }, (key) => {
      found = key.compare(last) <= 0;
      return false;
    });
    return !found;
  }

  /** Brings a row into memory, as it is stored or staged here to be. */
  private load(name: string): Row {
    const row = this.shard.load(name);
    const staged = this.staged.get(name);
    if (staged === undefined) return row;
    decodeRow(row, Buffer.from(staged), this.shard.collections);
    // Should the commit fail it must not stay.
    this.shard.staged.add(row);
    return row;
  }

  private applyCached(held: Row, row: FeedEntry, { type, timestamp }: RowHeader): boolean {
    if (!this.wins(row, timestamp, held, held)) return false;
    const { shard } = this;
    if (isPlainType(type)) {
      shard.staged.add(held);
      shard.dropCollection(held);
      decodePlain(held, row.source, row.rowAt, row.rowEnd);
      this.placed(held);
      return true;
    }
    const { bytes, elements } = row;
    if (elementVersion(bytes) !== 0) {
      if (held.key === this.missing && !this.hasAllOf(held, elements)) return false;
      this.place(held, withVersion(bytes, this.takeElements(held, elements)));
      return true;
    }
    shard.staged.add(held);
    shard.dropCollection(held);
    // What stays in memory must not hold the message that it came in.
    this.place(held, bytes.length > TEXT_BYTES_MAX ? Buffer.from(bytes) : bytes);
    return true;
  }

  /** Makes a row in memory a collection. */
  private place(held: Row, bytes: Buffer): void {
    const { shard } = this;
    shard.staged.add(held);
    decodeContents(held, bytes, shard.collections);
    this.placed(held);
  }

  /** A row in memory is what it is from now on. */
  private placed(held: Row): void {
    const { shard } = this;
    const elementExpiryMs = held.collection?.nextExpiryMs ?? 0;
    if (elementExpiryMs !== 0) shard.elementExpiries.note(elementExpiryMs);
    if (held.expiresAtMs !== 0) shard.expiries.note(held.expiresAtMs);
    shard.note(held);
    shard.replication.saw(held.timestamp);
  }

  /** Stages the element rows of a row that wins. @returns the version that they have here */
  private takeElements(held: Row, elements: FeedElements | undefined): number {
    const { shard } = this;
    const version = held.collection?.version ?? 0;
    if (!this.hasAllOf(held, elements)) throw new KeyWantedError(held.key);
    if (elements!.kind === ElementsKind.Changes) {
      const store = shard.collections.elements(version);
      eachNamed(elements!, (name, value) => {
        const kind = name[0] as ElementKind;
        const text = nameOf(kind, name.latin1Slice(1));
        if (value === undefined) store.delete(kind, text);
        else store.set(kind, text, stringValue(Buffer.from(value)));
      });
      return version;
    }
    shard.staged.add(held);
    shard.dropCollection(held);
    const fresh = shard.collections.newElements().version;
    this.storeElements(fresh, elements!);
    return fresh;
  }

  /** Whether all elements are here with what came: all of them, or what has changed of those that are held. */
  private hasAllOf(held: Row, elements: FeedElements | undefined): boolean {
    if (elements?.kind === ElementsKind.All) return true;
    const isHeld = held.collection !== undefined && held.collection.version !== 0;
    if (!isHeld || elements?.kind !== ElementsKind.Changes) return false;
    return held.timestamp === elements.base && held.origin === elements.origin;
  }

  /** Stages element rows of a collection that no row names yet. */
  storeElements(version: number, elements: FeedElements): void {
    const target = this.shard.source();
    const prefix = Buffer.alloc(ELEMENT_VERSION_BYTES);
    writeUint64(prefix, 0, version);
    eachNamed(elements, (name, value) => target.put('elem', Buffer.concat([prefix, name]), value ?? EMPTY));
  }

  /**
   * Stages a row whose elements are all here under a version, if it wins.
   * @returns whether it does
   * @throws FeedFormatError for one that has no element rows
   */
  applyBuilt(row: FeedEntry, version: number): boolean {
    if (elementVersion(row.bytes) === 0) throw new FeedFormatError('element rows of a row that has none');
    const { shard } = this;
    const held = this.load(row.name);
    if (!this.wins(row, row.timestamp, held, held)) {
      this.skipped++;
      return false;
    }
    this.applied++;
    shard.staged.add(held);
    shard.dropCollection(held);
    this.place(held, withVersion(row.bytes, version));
    return true;
  }

  private applyStored(name: string, row: FeedEntry, header: RowHeader, stored: Buffer): boolean {
    const held = stored.length === 0 ? ABSENT : rowHeader(stored);
    if (!this.wins(row, header.timestamp, held, stored)) return false;
    const { shard } = this;
    const { bytes } = row;
    shard.source().put('default', row.key, bytes);
    this.replaceStored(name, held, header);
    this.staged.set(name, bytes);
    shard.replication.saw(header.timestamp);
    return true;
  }

  /** Whether what is stored of a key counts more than what a source has of it; undefined = nothing. */
  isAhead(key: Buffer, stored: Buffer, sent: FeedEntry | undefined): boolean {
    const { nowMs, environment, replication } = this.shard;
    const heldAt = heldTimestamp(rowHeader(stored), nowMs, environment.knobs.tombstoneRetentionMs);
    if (heldAt === 0 || replication.isFlushed(key, heldAt)) return false;
    if (sent === undefined) return true;
    return takesPlace(heldAt, unversioned(stored), sent.timestamp, () => unversioned(sent.bytes));
  }

  /** @param bytes of what is held, or the row in memory that has them */
  private wins(row: FeedEntry, timestamp: number, held: RowHeader, bytes: Buffer | Row): boolean {
    const { nowMs, environment, replication } = this.shard;
    if (timestamp <= replication.latestFlush && replication.isFlushed(row.key, timestamp)) return false;
    const heldAt = heldTimestamp(held, nowMs, environment.knobs.tombstoneRetentionMs);
    if (heldAt === 0 || timestamp !== heldAt) return timestamp > heldAt;
    return winsDraw(row, timestamp, bytes);
  }

  /** Stages what follows from one stored row giving way to another. */
  private replaceStored(name: string, held: RowHeader, row: RowHeader): void {
    const { shard } = this;
    const target = shard.source();
    if (held.expiresAtMs !== row.expiresAtMs) {
      if (held.expiresAtMs !== 0) target.delete('ttl', ttlKey(held.expiresAtMs, name));
      if (row.expiresAtMs !== 0) {
        target.put('ttl', ttlKey(row.expiresAtMs, name), EMPTY);
        shard.expiries.note(row.expiresAtMs);
      }
    }
    shard.hidden.replaced(name, held, row);
    this.count(held, -1);
    this.count(row, 1);
    shard.keyChanged(name);
  }

  private count({ type, expiresAtMs }: RowHeader, by: 1 | -1): void {
    if (!isKey(type)) return;
    this.live += by;
    if (expiresAtMs !== 0) this.expiring += by;
  }

  /** Stages the end of a row that is on disk, without a trace. `stored` is what the disk has of it. */
  remove(key: Buffer, stored: Buffer): void {
    const { shard } = this;
    const name = key.latin1Slice();
    const cached = shard.rows.table.get(name) ?? (isPlain(stored) ? undefined : shard.load(name));
    this.removed++;
    if (cached === undefined) {
      shard.source().delete('default', keyScratch(name));
      this.replaceStored(name, rowHeader(stored), ABSENT);
      shard.counted(this.live, this.expiring);
      this.live = 0;
      this.expiring = 0;
      return;
    }
    shard.staged.add(cached);
    shard.dropCollection(cached);
    endRow(cached, 0);
    cached.timestamp = 0;
    shard.note(cached);
  }
}

/** Visits element rows, see {@link eachElement}: their names begin with their kind. @throws FeedFormatError */
function eachNamed({ rows }: FeedElements, visit: (name: Buffer, value: Buffer | undefined) => void): void {
  eachElement(rows, (name, value) => {
    if (name.length === 0) throw new FeedFormatError('an element row without a name');
    visit(name, value);
  });
}

/** Whether a row, if there is one, is all that there is of a key. */
function isPlain(bytes: Buffer): boolean {
  return bytes.length === 0 || isPlainType(rowHeader(bytes).type);
}

function isPlainType(type: RowType): boolean {
  return type === RowType.String || type === RowType.Tombstone;
}

/** Whether a row takes the place of one with the same timestamp. Apart, or each row would cost the function that is here. */
function winsDraw(row: FeedEntry, timestamp: number, held: Buffer | Row): boolean {
  const heldBytes = () => unversioned(held instanceof Row ? rowBytes(held) : held);
  return takesPlace(timestamp, unversioned(row.bytes), timestamp, heldBytes);
}

/** The bytes of a row but for the version of its elements, which every shard has its own of. */
function unversioned(bytes: Buffer): Buffer {
  return elementVersion(bytes) === 0 ? bytes : withVersion(bytes, 0);
}
