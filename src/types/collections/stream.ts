import type { Buffer } from 'node:buffer';
import { type ByteReader, NUMBER_BYTES_MAX, writeLatin1, writeNumber, writeUint64 } from '../binary.js';
import { RowType, type StringValue } from '../row.js';
import type { StreamTotals } from '../stream-counters.js';
import { STREAM_ID_MIN, type StreamId } from '../stream-id.js';
import {
  COLLECTION_OVERHEAD_BYTES,
  type Collection,
  FormFlag,
  INLINE_BYTES_MAX,
  INLINE_ENTRIES_MAX,
  sampledEntryBytes,
} from './collection.js';
import { copyRows } from './copy-rows.js';
import type { ElementHost, ElementStore } from './elements.js';
import { SortedTable } from './sorted-table.js';
import { ENTRY_CODEC, LongEntries, STREAM_ID_BYTES, type StoredEntry } from './stream-entries.js';
import { StreamGroups } from './stream-groups.js';

/*
 * Payload: the form; if large, the version (8 bytes); then
 *   last id, greatest deleted id (16 bytes each), entries ever added, number of the next group or consumer,
 *   entries, records of groups: each as sorted-table.ts has it; if large, number of the next row of a long entry
 */

export interface StreamEntry {
  readonly id: StreamId;
  /** Fields and values by turns. */
  readonly fields: readonly StringValue[];
}

interface LargeForm {
  readonly store: ElementStore;
  readonly long: LongEntries;
}

/** A record of a consumer group, about. */
const GROUP_RECORD_BYTES = 50;

/** The value of a stream: entries in order of their ids, and consumer groups. It is a key without any, too. */
export class StreamValue implements Collection {
  readonly type = RowType.Stream;
  readonly staysEmpty = true;
  readonly nextExpiryMs = 0;
  readonly encoding = 'stream';
  /** The greatest id that any entry ever had. */
  lastId: StreamId = STREAM_ID_MIN;
  /** The greatest id of all deleted entries, the least of all ids where there is none. */
  maxDeletedId: StreamId = STREAM_ID_MIN;
  /** Entries ever added. */
  private added = 0;
  private readonly entries = new SortedTable<StoredEntry>(ENTRY_CODEC);
  readonly groups = new StreamGroups();
  private large: LargeForm | undefined;

  constructor(private readonly host: ElementHost) {}

  static decode(reader: ByteReader, host: ElementHost): StreamValue {
    const stream = new StreamValue(host);
    const isLarge = (reader.byte() & FormFlag.Large) !== 0;
    const store = isLarge ? host.elements(reader.version()) : undefined;
    stream.lastId = reader.latin1(STREAM_ID_BYTES);
    stream.maxDeletedId = reader.latin1(STREAM_ID_BYTES);
    stream.added = reader.number();
    stream.groups.next = reader.number();
    stream.entries.decode(reader, store);
    stream.groups.records.decode(reader, store);
    if (store !== undefined) stream.large = { store, long: new LongEntries(store, reader.number()) };
    reader.end();
    return stream;
  }

  get size(): number {
    return this.entries.size;
  }

  get version(): number {
    return this.large?.store.version ?? 0;
  }

  get footprintBytes(): number {
    return COLLECTION_OVERHEAD_BYTES + this.entries.footprintBytes + this.groups.records.footprintBytes;
  }

  elementBytes(): number {
    if (this.large === undefined) return 0;
    const entries = sampledEntryBytes(this.size, (count) => {
      let bytes = 0;
      this.each(0, count, false, (id, fields) => {
        bytes += ENTRY_CODEC.bytes({ id, fields });
        return true;
      });
      return bytes;
    });
    return entries + this.groups.records.size * GROUP_RECORD_BYTES;
  }

  get encodedBytesMax(): number {
    const fixed = 9 + 2 * STREAM_ID_BYTES + 3 * NUMBER_BYTES_MAX;
    return fixed + this.entries.encodedBytesMax + this.groups.records.encodedBytesMax;
  }

  encode(target: Buffer, at: number): number {
    const { large } = this;
    target[at] = large === undefined ? 0 : FormFlag.Large;
    let end = at + 1;
    if (large !== undefined) {
      writeUint64(target, end, large.store.version);
      end += 8;
    }
    writeLatin1(target, end, this.lastId);
    writeLatin1(target, end + STREAM_ID_BYTES, this.maxDeletedId);
    end = writeNumber(target, end + 2 * STREAM_ID_BYTES, this.added);
    end = writeNumber(target, end, this.groups.next);
    end = this.entries.encode(target, end);
    end = this.groups.records.encode(target, end);
    return large === undefined ? end : writeNumber(target, end, large.long.next);
  }

  copy(host: ElementHost): StreamValue {
    const copy = new StreamValue(host);
    copy.lastId = this.lastId;
    copy.maxDeletedId = this.maxDeletedId;
    copy.added = this.added;
    copy.groups.next = this.groups.next;
    const store = this.large && copyRows(this.large.store, host);
    if (store !== undefined) copy.large = { store, long: new LongEntries(store, this.large!.long.next) };
    copy.entries.copyFrom(this.entries, store);
    copy.groups.records.copyFrom(this.groups.records, store);
    return copy;
  }

  get entriesAdded(): number {
    return this.added;
  }

  /** Exact up to 2^53. */
  set entriesAdded(value: number) {
    this.added = Math.min(value, Number.MAX_SAFE_INTEGER);
  }

  /** The id of the first entry, the least of all ids where there is none. */
  get firstId(): StreamId {
    return this.size === 0 ? STREAM_ID_MIN : this.entries.at(0).id;
  }

  get totals(): StreamTotals {
    const { size: length, firstId, lastId, maxDeletedId, entriesAdded } = this;
    return { length, firstId, lastId, maxDeletedId, entriesAdded };
  }

  /** Adds an entry with an id above the last one. */
  append(id: StreamId, fields: readonly StringValue[]): void {
    this.restore({ id, fields });
    this.lastId = id;
    this.entriesAdded++;
  }

  /** Adds an entry behind the others, and counts nothing. */
  restore(entry: StreamEntry): void {
    this.entries.append(this.large?.long.stored(entry) ?? entry);
    this.settle();
  }

  /** Becomes large when it has no room for what it has. To be called after its groups have changed. */
  settle(): void {
    if (this.large !== undefined) return;
    const { streamNodeEntries, streamNodeBytes } = this.host.limits;
    const { records } = this.groups;
    const entriesMax = Math.min(streamNodeEntries || INLINE_ENTRIES_MAX, INLINE_ENTRIES_MAX);
    const bytesMax = Math.min(streamNodeBytes || INLINE_BYTES_MAX, INLINE_BYTES_MAX);
    if (this.size + records.size <= entriesMax && this.entries.bytes + records.bytes <= bytesMax) return;
    const store = this.host.newElements();
    const long = new LongEntries(store);
    this.large = { store, long };
    this.entries.promote(store, (entry) => long.stored(entry));
    records.promote(store, (record) => record);
  }

  /** The fields and values of an entry; undefined where there is none. */
  get(id: StreamId): readonly StringValue[] | undefined {
    const entry = this.entries.get(id);
    return entry && this.read(entry);
  }

  /** The id of the entry at an index from 0 to size − 1. */
  idAt(index: number): StreamId {
    return this.entries.at(index).id;
  }

  /** How many entries have ids below this one. */
  rank(id: StreamId): number {
    return this.entries.rank(id);
  }

  /** How many entries have ids up to this one. */
  rankBehind(id: StreamId): number {
    return this.entries.rank(`${id}\0`);
  }

  /**
   * Visits entries from index `from` to before `to` until `visit` returns false; nothing must change meanwhile.
   * @param reverse from the last one down
   */
  each(
    from: number,
    to: number,
    reverse: boolean,
    visit: (id: StreamId, fields: readonly StringValue[]) => boolean,
  ): void {
    const visitEntry = (entry: StoredEntry): boolean => visit(entry.id, this.read(entry));
    if (reverse) this.entries.eachReverse(from, to, visitEntry);
    else this.entries.each(from, to, visitEntry);
  }

  private read({ fields }: StoredEntry): readonly StringValue[] {
    return typeof fields === 'number' ? this.large!.long.read(fields) : fields;
  }

  /** Deletes an entry. @returns whether it was there */
  delete(id: StreamId): boolean {
    const index = this.entries.indexOf(id);
    if (index < 0) return false;
    this.removeRange(index, index + 1);
    if (id > this.maxDeletedId) this.maxDeletedId = id;
    return true;
  }

  /** Removes the first entries, as those that are not needed any more: they do not count as deleted. */
  trim(count: number): void {
    this.removeRange(0, count);
  }

  private removeRange(from: number, to: number): void {
    this.entries.removeRange(from, to, (entry) => this.large?.long.discard(entry));
  }
}
