import { numberBytes, RowFormatError, textBytes, writeLatin1, writeNumber, writeText } from '../binary.js';
import { STREAM_ID_MAX, STREAM_ID_MIN, type StreamId } from '../stream-id.js';
import { uint64Text } from './elements.js';
import { type KeyedCodec, SortedTable } from './sorted-table.js';
import { STREAM_ID_BYTES } from './stream-entries.js';

/*
 * The consumer groups of a stream are records in one table, whose keys begin with what they are. Groups and consumers
 * have numbers, unique in the stream, of 8 bytes in keys:
 *
 *   g, name of the group        number, last id, 1 + entries read (0: not known)
 *   c, group, name of consumer  number, when it was last seen
 *   n, consumer                 its name
 *   p, group, id                number of the consumer it is pending for, last delivery, deliveries
 *   o, consumer, id             nothing: the entries pending for a consumer
 *
 * So the number of entries pending for a group or a consumer is the difference of two ranks, and nobody counts.
 */
const TAG_LENGTH = 1;
const PREFIX_LENGTH = 9;

/** Group names and the like are text, one character a byte. */
export interface GroupRecord {
  readonly key: string;
  readonly number: number;
  /** The last id delivered to any consumer. */
  readonly lastId: StreamId;
  /** Entries ever read; undefined where it is not known. */
  readonly entriesRead: number | undefined;
}

export interface ConsumerRecord {
  readonly key: string;
  readonly number: number;
  /** Unix time of its last attempt to read, milliseconds. */
  readonly seenAtMs: number;
}

interface NameRecord {
  readonly key: string;
  readonly name: string;
}

/** An entry that a consumer was given and has not acknowledged. */
export interface PendingRecord {
  readonly key: string;
  /** Number of the consumer. */
  readonly consumer: number;
  /** Unix time of the last delivery, milliseconds. */
  readonly deliveredAtMs: number;
  readonly deliveries: number;
}

interface OwnedRecord {
  readonly key: string;
}

type GroupsRecord = GroupRecord | ConsumerRecord | NameRecord | PendingRecord | OwnedRecord;

const RECORD_CODEC: KeyedCodec<GroupsRecord> = {
  keyOf: ({ key }) => key,
  bytes(record) {
    const bytes = textBytes(record.key);
    if ('lastId' in record)
      return bytes + numberBytes(record.number) + STREAM_ID_BYTES + numberBytes(readPlusOne(record));
    if ('seenAtMs' in record) return bytes + numberBytes(record.number) + numberBytes(record.seenAtMs);
    if ('name' in record) return bytes + textBytes(record.name);
    if (!('consumer' in record)) return bytes;
    const { consumer, deliveredAtMs, deliveries } = record;
    return bytes + numberBytes(consumer) + numberBytes(deliveredAtMs) + numberBytes(deliveries);
  },
  overheadBytes: 100,
  write(target, at, record) {
    let end = writeText(target, at, record.key);
    if ('lastId' in record) {
      end = writeNumber(target, end, record.number);
      writeLatin1(target, end, record.lastId);
      return writeNumber(target, end + STREAM_ID_BYTES, readPlusOne(record));
    }
    if ('seenAtMs' in record)
      return writeNumber(target, writeNumber(target, end, record.number), record.seenAtMs);
    if ('name' in record) return writeText(target, end, record.name);
    if (!('consumer' in record)) return end;
    end = writeNumber(target, end, record.consumer);
    end = writeNumber(target, end, record.deliveredAtMs);
    return writeNumber(target, end, record.deliveries);
  },
  read(reader) {
    const key = reader.text();
    switch (key[0]) {
      case 'g': {
        const number = reader.number();
        const lastId = reader.latin1(STREAM_ID_BYTES);
        const read = reader.number();
        return { key, number, lastId, entriesRead: read === 0 ? undefined : read - 1 };
      }
      case 'c':
        return { key, number: reader.number(), seenAtMs: reader.number() };
      case 'n':
        return { key, name: reader.text() };
      case 'p':
        return {
          key,
          consumer: reader.number(),
          deliveredAtMs: reader.number(),
          deliveries: reader.number(),
        };
      case 'o':
        return { key };
      default:
        throw new RowFormatError('a record of a stream that is none of a group');
    }
  },
  isOrdered: true,
};

function readPlusOne({ entriesRead }: GroupRecord): number {
  return entriesRead === undefined ? 0 : entriesRead + 1;
}

const consumersOf = (group: GroupRecord): string => `c${uint64Text(group.number)}`;
const pendingOf = (group: GroupRecord): string => `p${uint64Text(group.number)}`;
const ownedBy = (consumer: number): string => `o${uint64Text(consumer)}`;
const nameOf = (consumer: number): string => `n${uint64Text(consumer)}`;

/** Behind everything that begins with a tag and a number, and before what begins with the next number. */
const ABOVE_IDS = `${STREAM_ID_MAX}\0`;

/** The name of a group. */
export function groupName({ key }: GroupRecord): string {
  return key.slice(TAG_LENGTH);
}

/** The name of a consumer. */
export function consumerName({ key }: ConsumerRecord): string {
  return key.slice(PREFIX_LENGTH);
}

/** The id of a pending entry. */
export function pendingId({ key }: PendingRecord): StreamId {
  return key.slice(PREFIX_LENGTH);
}

/** Numbers on disk end here. */
function stored(value: number): number {
  return Math.min(Math.max(value, 0), Number.MAX_SAFE_INTEGER - 1);
}

/** Number of the first tree node of the records: the tree of entries has those below. */
const FIRST_NODE = 2 ** 47;

/** The consumer groups of one stream. Records are read anew after a change: what was given before tells what was. */
export class StreamGroups {
  readonly records = new SortedTable<GroupsRecord>(RECORD_CODEC, FIRST_NODE);
  /** Number of the next group or consumer. */
  next = 1;

  // ---------------------------------------------------------------- groups

  get(name: string): GroupRecord | undefined {
    return this.records.get(`g${name}`) as GroupRecord | undefined;
  }

  get count(): number {
    return this.between('g', 'h').length;
  }

  /** All, in order of their names. */
  all(): GroupRecord[] {
    return this.list<GroupRecord>('g', 'h');
  }

  /** Adds a group whose name is new. */
  create(name: string, lastId: StreamId, entriesRead: number | undefined): GroupRecord {
    const group = { key: `g${name}`, number: this.next++, lastId, entriesRead };
    this.advance(group, lastId, entriesRead);
    return group;
  }

  /** Sets how far a group is. */
  advance(group: GroupRecord, lastId: StreamId, entriesRead: number | undefined): GroupRecord {
    const read = entriesRead === undefined ? undefined : stored(entriesRead);
    const changed = { ...group, lastId, entriesRead: read };
    this.records.put(changed);
    return changed;
  }

  /** Removes a group with all it has. */
  destroy(group: GroupRecord): void {
    for (const { number } of this.consumers(group)) {
      this.removeBetween(ownedBy(number), ownedBy(number) + ABOVE_IDS);
      this.records.delete(nameOf(number));
    }
    this.removeBetween(consumersOf(group), `c${uint64Text(group.number + 1)}`);
    this.removeBetween(pendingOf(group), pendingOf(group) + ABOVE_IDS);
    this.records.delete(group.key);
  }

  // ---------------------------------------------------------------- consumers

  consumer(group: GroupRecord, name: string): ConsumerRecord | undefined {
    return this.records.get(consumersOf(group) + name) as ConsumerRecord | undefined;
  }

  /** Number of consumers of a group. */
  countConsumers(group: GroupRecord): number {
    return this.between(consumersOf(group), `c${uint64Text(group.number + 1)}`).length;
  }

  /** Those of a group, in order of their names. */
  consumers(group: GroupRecord): ConsumerRecord[] {
    return this.list<ConsumerRecord>(consumersOf(group), `c${uint64Text(group.number + 1)}`);
  }

  /** Adds a consumer whose name is new. @param seenAtMs Unix milliseconds */
  addConsumer(group: GroupRecord, name: string, seenAtMs: number): ConsumerRecord {
    const consumer = { key: consumersOf(group) + name, number: this.next++, seenAtMs: stored(seenAtMs) };
    this.records.put(consumer);
    this.records.put({ key: nameOf(consumer.number), name });
    return consumer;
  }

  /** A consumer has tried to read. @param seenAtMs Unix milliseconds */
  see(consumer: ConsumerRecord, seenAtMs: number): void {
    if (consumer.seenAtMs !== seenAtMs) this.records.put({ ...consumer, seenAtMs: stored(seenAtMs) });
  }

  /** Removes a consumer with all that is pending for it. */
  removeConsumer(group: GroupRecord, consumer: ConsumerRecord): void {
    const owned = ownedBy(consumer.number);
    for (const { key } of this.list<OwnedRecord>(owned, owned + ABOVE_IDS))
      this.records.delete(pendingOf(group) + key.slice(PREFIX_LENGTH));
    this.removeBetween(owned, owned + ABOVE_IDS);
    this.records.delete(nameOf(consumer.number));
    this.records.delete(consumer.key);
  }

  /** The name of the consumer with a number. */
  consumerName(number: number): string {
    const record = this.records.get(nameOf(number)) as NameRecord | undefined;
    if (record === undefined) throw new RowFormatError(`a stream without the name of its consumer ${number}`);
    return record.name;
  }

  // ---------------------------------------------------------------- pending entries

  pending(group: GroupRecord, id: StreamId): PendingRecord | undefined {
    return this.records.get(pendingOf(group) + id) as PendingRecord | undefined;
  }

  /** Number of entries pending for a group. */
  countPending(group: GroupRecord): number {
    return this.between(pendingOf(group), pendingOf(group) + ABOVE_IDS).length;
  }

  /** Number of entries pending for a consumer. */
  countOwned(consumer: ConsumerRecord): number {
    return this.between(ownedBy(consumer.number), ownedBy(consumer.number) + ABOVE_IDS).length;
  }

  /**
   * Makes an entry pending, or sets what is known of one that is.
   * @param consumer number of the one it is pending for from now on
   * @param deliveredAtMs Unix milliseconds
   */
  setPending(
    group: GroupRecord,
    id: StreamId,
    consumer: number,
    deliveredAtMs: number,
    deliveries: number,
  ): void {
    const key = pendingOf(group) + id;
    const old = this.records.get(key) as PendingRecord | undefined;
    if (old?.consumer !== consumer) {
      if (old !== undefined) this.records.delete(ownedBy(old.consumer) + id);
      this.records.put({ key: ownedBy(consumer) + id });
    }
    const times = { deliveredAtMs: stored(deliveredAtMs), deliveries: stored(deliveries) };
    this.records.put({ key, consumer, ...times });
  }

  /** @returns whether it was pending */
  removePending(group: GroupRecord, id: StreamId): boolean {
    const key = pendingOf(group) + id;
    const old = this.records.get(key) as PendingRecord | undefined;
    if (old === undefined) return false;
    this.records.delete(key);
    this.records.delete(ownedBy(old.consumer) + id);
    return true;
  }

  /** What is pending for a group, from one id to another, at most `limit` entries. */
  pendingBetween(group: GroupRecord, from: StreamId, to: StreamId, limit: number): PendingRecord[] {
    const prefix = pendingOf(group);
    return this.list<PendingRecord>(prefix + from, `${prefix}${to}\0`, limit);
  }

  /** The ids of what is pending for a consumer, from one to another, at most `limit`. */
  ownedBetween(consumer: ConsumerRecord, from: StreamId, to: StreamId, limit: number): StreamId[] {
    const prefix = ownedBy(consumer.number);
    return this.list<OwnedRecord>(prefix + from, `${prefix}${to}\0`, limit).map(({ key }) =>
      key.slice(PREFIX_LENGTH),
    );
  }

  /** The first and the last entry pending for a group that has any. */
  pendingBounds(group: GroupRecord): [StreamId, StreamId] {
    const { from, length } = this.between(pendingOf(group) + STREAM_ID_MIN, pendingOf(group) + ABOVE_IDS);
    const idAt = (index: number) => pendingId(this.records.at(index) as PendingRecord);
    return [idAt(from), idAt(from + length - 1)];
  }

  // ---------------------------------------------------------------- ranges of records

  private between(fromKey: string, toKey: string): { from: number; length: number } {
    const from = this.records.rank(fromKey);
    return { from, length: this.records.rank(toKey) - from };
  }

  private list<R extends GroupsRecord>(
    fromKey: string,
    toKey: string,
    limit = Number.POSITIVE_INFINITY,
  ): R[] {
    const { from, length } = this.between(fromKey, toKey);
    const found: R[] = [];
    this.records.each(from, from + Math.min(length, limit), (record) => found.push(record as R) > 0);
    return found;
  }

  private removeBetween(fromKey: string, toKey: string): void {
    const { from, length } = this.between(fromKey, toKey);
    this.records.removeRange(from, from + length);
  }
}
