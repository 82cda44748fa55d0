import type { Buffer } from 'node:buffer';
import { INT64_MAX } from '../../base/numbers.js';
import { compareValues, type StringValue, stringValue } from '../row.js';
import { estimateEntriesRead } from '../stream-counters.js';
import { STREAM_ID_MIN, type StreamId, streamId, streamIdAt } from '../stream-id.js';
import { ListpackReader } from './listpack.js';
import { Distinct, malformed, ownValue, type PayloadReader } from './reader.js';
import {
  PayloadType,
  type PendingEntry,
  type StreamConsumer,
  type StreamData,
  type StreamEntry,
  type StreamGroup,
} from './values.js';

/*
 * A stream (format: rdb.c and t_stream.c of Redis). The parts that only later types have are marked with the type:
 *
 *   nodes, for each: its first id as a string of 16 bytes, a listpack as encode-stream.ts draws it
 *   entries; last id; [19: first id; greatest deleted id; entries added]
 *   groups, for each:
 *     name; last id; [19: entries read]
 *     entries pending, for each: id (16 bytes), time of delivery (8 bytes), deliveries
 *     consumers, for each: name; seen (8 bytes); [21: active (8 bytes)]; entries pending, for each: id (16 bytes)
 *
 * An id that is not one of 16 bytes is two numbers. Beyond what Redis checks, entries must ascend, there must be as many
 * as is said, none above the last id, and none pending for two consumers: later commands rely on all that.
 */
const ID_BYTES = 16;
const COUNTER_UNKNOWN = 0xffff_ffff_ffff_ffffn;
const FLAG_DELETED = 1;
const FLAG_SAME_FIELDS = 2;
/** Elements of an entry beside fields and values: flags and the two numbers of the id. */
const FIXED_ELEMENTS = 3;

export function decodeStream(reader: PayloadReader, type: number): StreamData {
  const entries = decodeNodes(reader);
  const length = reader.length();
  const lastId = readId(reader);
  if (length !== entries.length || lastId < (entries.at(-1)?.id ?? STREAM_ID_MIN)) throw malformed();
  let maxDeletedId = STREAM_ID_MIN;
  let entriesAdded = length;
  if (type !== PayloadType.Stream) {
    // The first id follows from the entries.
    readId(reader);
    maxDeletedId = readId(reader);
    entriesAdded = reader.counter();
  }
  const totals = { length, firstId: entries[0]?.id ?? STREAM_ID_MIN, lastId, maxDeletedId, entriesAdded };
  const names = new Distinct();
  const groups: StreamGroup[] = [];
  for (let count = reader.length(); count > 0; count--) {
    const name = names.add(reader.value());
    const groupLastId = readId(reader);
    const entriesRead =
      type === PayloadType.Stream ? estimateEntriesRead(totals, groupLastId) : readEntriesRead(reader);
    const consumers = decodeConsumers(reader, decodePending(reader), type);
    groups.push({ name, lastId: groupLastId, entriesRead, consumers });
  }
  return { kind: 'stream', entries, lastId, maxDeletedId, entriesAdded, groups: groups.sort(byName) };
}

function byName(a: { readonly name: StringValue }, b: { readonly name: StringValue }): number {
  return compareValues(a.name, b.name);
}

/** An id as two numbers. */
function readId(reader: PayloadReader): StreamId {
  const ms = reader.unsigned();
  return streamId(ms, reader.unsigned());
}

function readEntriesRead(reader: PayloadReader): number | undefined {
  const counter = reader.unsigned();
  if (counter === COUNTER_UNKNOWN) return undefined;
  if (counter > INT64_MAX) throw malformed();
  return Number(counter);
}

function decodePending(reader: PayloadReader): Map<StreamId, PendingEntry> {
  const pending = new Map<StreamId, PendingEntry>();
  for (let count = reader.length(); count > 0; count--) {
    const id = reader.raw(ID_BYTES).latin1Slice();
    reader.budget.spend(ID_BYTES);
    if (pending.has(id)) throw malformed();
    pending.set(id, { id, deliveredAtMs: reader.time(), deliveries: reader.counter() });
  }
  return pending;
}

/** @param unowned pending entries of the group: each must be some consumer's */
function decodeConsumers(
  reader: PayloadReader,
  unowned: Map<StreamId, PendingEntry>,
  type: number,
): StreamConsumer[] {
  const names = new Distinct();
  const consumers: StreamConsumer[] = [];
  for (let count = reader.length(); count > 0; count--) {
    const name = names.add(reader.value());
    const seenAtMs = reader.time();
    if (type === PayloadType.Stream3) reader.time();
    const pending: PendingEntry[] = [];
    for (let owned = reader.length(); owned > 0; owned--) {
      const id = reader.raw(ID_BYTES).latin1Slice();
      const entry = unowned.get(id);
      if (entry === undefined) throw malformed();
      unowned.delete(id);
      pending.push(entry);
    }
    pending.sort((a, b) => (a.id < b.id ? -1 : 1));
    consumers.push({ name, seenAtMs, pending });
  }
  if (unowned.size > 0) throw malformed();
  return consumers.sort(byName);
}

function decodeNodes(reader: PayloadReader): StreamEntry[] {
  const entries: StreamEntry[] = [];
  for (let nodes = reader.length(); nodes > 0; nodes--) {
    const masterId = reader.bytes();
    if (masterId.length !== ID_BYTES) throw malformed();
    const before = entries.length;
    new NodeReader(masterId.latin1Slice(), reader.bytes(), reader).read(entries);
    // A node of which all is deleted is none, but one that says so is let pass, as Redis does.
    for (let at = Math.max(before, 1); at < entries.length; at++)
      if (entries[at]!.id <= entries[at - 1]!.id) throw malformed();
  }
  return entries;
}

/** The entries of one node. */
class NodeReader {
  readonly #elements: ListpackReader;
  readonly #elementsMax: number;

  constructor(
    private readonly masterId: StreamId,
    pack: Buffer,
    private readonly reader: PayloadReader,
  ) {
    this.#elements = new ListpackReader(pack);
    this.#elementsMax = pack.length;
  }

  /** Appends what is not deleted. */
  read(entries: StreamEntry[]): void {
    const elements = this.#elements;
    const alive = elements.count(this.#elementsMax);
    const deleted = elements.count(this.#elementsMax);
    const masterFields = this.#values(elements.count(this.#elementsMax));
    if (elements.integer() !== 0) throw malformed();
    for (let left = alive + deleted; left > 0; left--) {
      const entry = this.#entry(masterFields);
      if (entry !== undefined) entries.push(entry);
    }
    if (!elements.done) throw malformed();
  }

  /** @returns undefined for one that is deleted */
  #entry(masterFields: readonly StringValue[]): StreamEntry | undefined {
    const elements = this.#elements;
    const flags = Number(elements.integer());
    const id = streamIdAt(this.masterId, { ms: elements.integer(), sequence: elements.integer() });
    const same = (flags & FLAG_SAME_FIELDS) !== 0;
    const count = same ? masterFields.length : elements.count(this.#elementsMax);
    const fields: StringValue[] = [];
    for (let index = 0; index < count; index++) {
      fields.push(same ? this.#repeated(masterFields[index]!) : this.#value(), this.#value());
    }
    const size = elements.integer();
    if (size !== FIXED_ELEMENTS + count + (same ? 0 : count + 1)) throw malformed();
    return (flags & FLAG_DELETED) !== 0 ? undefined : { id, fields };
  }

  #value(): StringValue {
    const element = this.#elements.next();
    if (typeof element === 'object') return ownValue(element, this.reader.budget);
    this.reader.budget.spend(0);
    return stringValue(String(element));
  }

  /** A field's name that the entry shares with others in memory. */
  #repeated(name: StringValue): StringValue {
    this.reader.budget.spend(0);
    return name;
  }

  #values(count: number): StringValue[] {
    const out: StringValue[] = [];
    for (let index = 0; index < count; index++) out.push(this.#value());
    return out;
  }
}
