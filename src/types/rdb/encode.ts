import type { Int64 } from '../../base/numbers.js';
import type { StringValue } from '../row.js';
import { formatScore } from '../score.js';
import { encodeStream } from './encode-stream.js';
import { integerOf, ListpackWriter } from './listpack.js';
import { writeIntset } from './packed.js';
import {
  type HashData,
  type ListData,
  PayloadType,
  type SetData,
  type SortedSetData,
  type ValueData,
} from './values.js';
import { PayloadWriter } from './writer.js';

/** Up to what size values have which form, as the configuration says it. */
export interface PackingLimits {
  /** hash-max-listpack-entries */
  readonly hashFieldsMax: number;
  /** hash-max-listpack-value, bytes */
  readonly hashValueBytesMax: number;
  /** set-max-intset-entries */
  readonly setIntegersMax: number;
  /** zset-max-listpack-entries */
  readonly sortedSetMembersMax: number;
  /** zset-max-listpack-value, bytes */
  readonly sortedSetMemberBytesMax: number;
  /** list-max-listpack-size: elements of a node, or −1 … −5 for nodes of 4, 8, … 64 KB */
  readonly listNodeSize: number;
  /** stream-node-max-bytes; 0 = unbounded */
  readonly streamNodeBytesMax: number;
  /** stream-node-max-entries; 0 = unbounded */
  readonly streamNodeEntriesMax: number;
}

/** The defaults of Redis 7.0. */
export const DEFAULT_PACKING_LIMITS: PackingLimits = {
  hashFieldsMax: 512,
  hashValueBytesMax: 64,
  setIntegersMax: 512,
  sortedSetMembersMax: 128,
  sortedSetMemberBytesMax: 64,
  listNodeSize: -2,
  streamNodeBytesMax: 4096,
  streamNodeEntriesMax: 100,
};

/** The body of a payload: the type, then the value, in the form that Redis 7.0 would give it. */
export function encodeBody(data: ValueData, limits: PackingLimits): PayloadWriter {
  const writer = new PayloadWriter();
  switch (data.kind) {
    case 'string':
      writer.byte(PayloadType.String);
      writer.string(data.value);
      break;
    case 'list':
      encodeList(writer, data, limits.listNodeSize);
      break;
    case 'set':
      encodeSet(writer, data, limits);
      break;
    case 'hash':
      encodeHash(writer, data, limits);
      break;
    case 'zset':
      encodeSortedSet(writer, data, limits);
      break;
    case 'stream':
      encodeStream(writer, data, limits);
      break;
  }
  return writer;
}

/** Bytes of a list's node by list-max-listpack-size −1, −2, … −5; lower ones count as the last. */
const NODE_BYTES = [4096, 8192, 16_384, 32_768, 65_536];
/** Bytes of a node that is bounded by its elements. */
const NODE_BYTES_SAFE = 8192;
/** What Redis adds to an element's bytes when it asks whether it fits. */
const ELEMENT_OVERHEAD_BYTES = 8;
const NODE_PACKED = 2;

/** Nodes as they are when each element came by RPUSH. */
function encodeList(writer: PayloadWriter, data: ListData, nodeSize: number): void {
  const bytesMax = nodeSize >= 0 ? NODE_BYTES_SAFE : NODE_BYTES[Math.min(-nodeSize, NODE_BYTES.length) - 1]!;
  const elementsMax = nodeSize >= 0 ? nodeSize : Number.POSITIVE_INFINITY;
  const nodes: ListpackWriter[] = [];
  let node: ListpackWriter | undefined;
  for (const element of data.elements) {
    if (
      node === undefined ||
      node.elements >= elementsMax ||
      node.byteLength + element.length + ELEMENT_OVERHEAD_BYTES > bytesMax
    ) {
      node = new ListpackWriter();
      nodes.push(node);
    }
    node.string(element);
  }
  writer.byte(PayloadType.ListQuicklist2);
  writer.size(nodes.length);
  for (const each of nodes) {
    writer.size(NODE_PACKED);
    writer.string(each.finish());
  }
}

/** The members as integers; undefined where not all are. */
function integersOf(members: readonly StringValue[]): Int64[] | undefined {
  const integers: Int64[] = [];
  for (const member of members) {
    const integer = integerOf(member);
    if (integer === undefined) return undefined;
    integers.push(integer);
  }
  return integers;
}

function encodeSet(writer: PayloadWriter, { members }: SetData, limits: PackingLimits): void {
  const integers = members.length <= limits.setIntegersMax ? integersOf(members) : undefined;
  if (integers !== undefined) {
    writer.byte(PayloadType.SetIntset);
    writer.string(writeIntset(integers));
    return;
  }
  writer.byte(PayloadType.Set);
  writer.size(members.length);
  for (const member of members) writer.string(member);
}

function encodeHash(writer: PayloadWriter, { fields }: HashData, limits: PackingLimits): void {
  const { hashFieldsMax, hashValueBytesMax } = limits;
  const packed =
    fields.length <= hashFieldsMax &&
    fields.every(
      ({ field, value }) => field.length <= hashValueBytesMax && value.length <= hashValueBytesMax,
    );
  const earliestMs = earliestEnd({ kind: 'hash', fields });
  const expiring = earliestMs !== 0;
  if (packed) writer.byte(expiring ? PayloadType.HashListpackExpiring : PayloadType.HashListpack);
  else writer.byte(expiring ? PayloadType.HashExpiring : PayloadType.Hash);
  if (expiring) writer.time(earliestMs);
  if (packed) {
    const pack = new ListpackWriter();
    for (const { field, value, expiresAtMs } of expiring ? [...fields].sort(byEnd) : fields) {
      pack.string(field);
      pack.string(value);
      if (expiring) pack.integer(expiresAtMs);
    }
    writer.string(pack.finish());
    return;
  }
  writer.size(fields.length);
  for (const { field, value, expiresAtMs } of fields) {
    if (expiring) writer.size(expiresAtMs === 0 ? 0 : expiresAtMs - earliestMs + 1);
    writer.string(field);
    writer.string(value);
  }
}

/** Unix time in milliseconds at which the first field ends; 0 where none does. */
export function earliestEnd({ fields }: HashData): number {
  let earliestMs = 0;
  for (const { expiresAtMs } of fields)
    if (expiresAtMs !== 0 && (earliestMs === 0 || expiresAtMs < earliestMs)) earliestMs = expiresAtMs;
  return earliestMs;
}

/** Redis keeps the fields of a small hash in the order in which they end, those that do not last. */
function byEnd(a: { readonly expiresAtMs: number }, b: { readonly expiresAtMs: number }): number {
  if (a.expiresAtMs === 0 || b.expiresAtMs === 0) return b.expiresAtMs - a.expiresAtMs;
  return a.expiresAtMs - b.expiresAtMs;
}

/** Scores in a listpack are integers up to here, in absolute value, where they are whole. */
const INTEGER_SCORE_MAX = 2 ** 62;

function encodeSortedSet(writer: PayloadWriter, { members }: SortedSetData, limits: PackingLimits): void {
  const { sortedSetMembersMax, sortedSetMemberBytesMax } = limits;
  const packed =
    members.length <= sortedSetMembersMax &&
    members.every(({ member }) => member.length <= sortedSetMemberBytesMax);
  if (packed) {
    const pack = new ListpackWriter();
    for (const { member, score } of members) {
      pack.string(member);
      if (Number.isInteger(score) && Math.abs(score) <= INTEGER_SCORE_MAX) pack.integer(score);
      else pack.string(formatScore(score));
    }
    writer.byte(PayloadType.SortedSetListpack);
    writer.string(pack.finish());
    return;
  }
  writer.byte(PayloadType.SortedSet);
  writer.size(members.length);
  // Greatest first: whoever reads them inserts each at the front.
  for (let at = members.length - 1; at >= 0; at--) {
    const { member, score } = members[at]!;
    writer.string(member);
    writer.double(score);
  }
}
