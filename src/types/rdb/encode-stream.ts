import type { Buffer } from 'node:buffer';
import { compareValues, type StringValue } from '../row.js';
import { STREAM_ID_MIN, type StreamId, streamIdDistance } from '../stream-id.js';
import type { PackingLimits } from './encode.js';
import { integerBytes, LISTPACK_FRAME_BYTES, ListpackWriter } from './listpack.js';
import {
  PayloadType,
  type PendingEntry,
  type StreamData,
  type StreamEntry,
  type StreamGroup,
} from './values.js';
import type { PayloadWriter } from './writer.js';

/*
 * Where the parts of a stream stand is told in decode-stream.ts. The entries of a node are a listpack (format:
 * t_stream.c of Redis), whose elements are:
 *
 *   entries, deleted entries, fields, <field>…, 0           the master entry: fields of the first entry
 *   flags, ms, sequence, <value>…, elements                 an entry with just those fields (flag 2)
 *   flags, ms, sequence, fields, (<field>, <value>)…, elements
 *
 * `ms` and `sequence` are the distance from the node's first id; `elements` is the number of those of the entry before it.
 */
const FLAG_SAME_FIELDS = 2;
/** Elements of an entry beside fields and values. */
const FIXED_ELEMENTS = 3;
/** What Redis allows a node where the configuration sets no limit. */
const NODE_BYTES_MAX = 1 << 30;

export function encodeStream(writer: PayloadWriter, data: StreamData, limits: PackingLimits): void {
  const nodes = nodesOf(data.entries, limits);
  writer.byte(PayloadType.Stream2);
  writer.size(nodes.length);
  for (const node of nodes) {
    writer.string(node.masterId);
    writer.string(node.finish());
  }
  writer.size(data.entries.length);
  writer.streamId(data.lastId);
  writer.streamId(data.entries[0]?.id ?? STREAM_ID_MIN);
  writer.streamId(data.maxDeletedId);
  writer.size(data.entriesAdded);
  writer.size(data.groups.length);
  for (const group of data.groups) encodeGroup(writer, group);
}

function encodeGroup(writer: PayloadWriter, group: StreamGroup): void {
  writer.string(group.name);
  writer.streamId(group.lastId);
  writer.counter(group.entriesRead);
  const pending = group.consumers.flatMap((consumer) => consumer.pending).sort(byId);
  writer.size(pending.length);
  for (const { id, deliveredAtMs, deliveries } of pending) {
    writer.raw(id);
    writer.time(deliveredAtMs);
    writer.size(deliveries);
  }
  writer.size(group.consumers.length);
  for (const consumer of group.consumers) {
    writer.string(consumer.name);
    writer.time(consumer.seenAtMs);
    writer.size(consumer.pending.length);
    for (const { id } of consumer.pending) writer.raw(id);
  }
}

function byId(a: PendingEntry, b: PendingEntry): number {
  return a.id < b.id ? -1 : 1;
}

/** The nodes that come of adding the entries one after the other. */
function nodesOf(entries: readonly StreamEntry[], limits: PackingLimits): NodeWriter[] {
  const { streamNodeBytesMax, streamNodeEntriesMax } = limits;
  const bytesMax = streamNodeBytesMax === 0 ? NODE_BYTES_MAX : Math.min(streamNodeBytesMax, NODE_BYTES_MAX);
  const entriesMax = streamNodeEntriesMax === 0 ? Number.POSITIVE_INFINITY : streamNodeEntriesMax;
  const nodes: NodeWriter[] = [];
  let node: NodeWriter | undefined;
  for (const entry of entries) {
    let bytes = 0;
    for (const each of entry.fields) bytes += each.length;
    if (node === undefined || node.byteLength + bytes >= bytesMax || node.entries >= entriesMax) {
      node = new NodeWriter(entry);
      nodes.push(node);
    }
    node.add(entry);
  }
  return nodes;
}

/** One node. The number of its entries stands in front, so it is written last. */
class NodeWriter {
  readonly masterId: StreamId;
  readonly #masterFields: readonly StringValue[];
  /** The master entry, without the number of entries. */
  readonly #master = new ListpackWriter();
  readonly #items = new ListpackWriter();
  #entries = 0;

  constructor(first: StreamEntry) {
    this.masterId = first.id;
    this.#masterFields = first.fields.filter((_, index) => index % 2 === 0);
    this.#master.integer(0);
    this.#master.integer(this.#masterFields.length);
    for (const field of this.#masterFields) this.#master.string(field);
    this.#master.integer(0);
  }

  get entries(): number {
    return this.#entries;
  }

  /** Of the listpack as it is now. */
  get byteLength(): number {
    return (
      this.#master.byteLength + this.#items.byteLength - LISTPACK_FRAME_BYTES + integerBytes(this.#entries)
    );
  }

  add({ id, fields }: StreamEntry): void {
    const items = this.#items;
    const same = this.#hasMasterFields(fields);
    const count = fields.length / 2;
    items.integer(same ? FLAG_SAME_FIELDS : 0);
    const distance = streamIdDistance(this.masterId, id);
    items.integer(distance.ms);
    items.integer(distance.sequence);
    if (!same) items.integer(count);
    for (let at = same ? 1 : 0; at < fields.length; at += same ? 2 : 1) items.string(fields[at]!);
    items.integer(FIXED_ELEMENTS + count + (same ? 0 : count + 1));
    this.#entries++;
  }

  #hasMasterFields(fields: readonly StringValue[]): boolean {
    const master = this.#masterFields;
    if (fields.length !== master.length * 2) return false;
    return master.every((name, index) => compareValues(name, fields[index * 2]!) === 0);
  }

  /** The listpack. The writer is not used any more. */
  finish(): Buffer {
    const pack = new ListpackWriter();
    pack.integer(this.#entries);
    pack.append(this.#master);
    pack.append(this.#items);
    return pack.finish();
  }
}
