import { Buffer } from 'node:buffer';
import type { Int64 } from '../../base/numbers.js';
import { compareValues, type StringValue, valueText } from '../row.js';
import { parseScore } from '../score.js';
import { decodeStream } from './decode-stream.js';
import { ListpackReader } from './listpack.js';
import { readIntset, readZiplist, readZipmap } from './packed.js';
import { type Budget, Distinct, malformed, ownValue, PayloadError, PayloadReader } from './reader.js';
import {
  type HashData,
  type HashField,
  type PayloadFault,
  PayloadType,
  type ScoredMember,
  type SetData,
  type SortedSetData,
  type ValueData,
} from './values.js';

/**
 * The value in the body of a payload: its type, then what the type needs. Bytes behind it are ignored, as Redis does.
 * Everything is checked, as Redis does with `sanitize-dump-payload yes`.
 */
export function decodeBody(body: Buffer, budget: Budget): ValueData | PayloadFault {
  try {
    const reader = new PayloadReader(body, budget);
    return decodeValue(reader, reader.byte());
  } catch (error) {
    if (error instanceof PayloadError) return error.fault;
    throw error;
  }
}

function decodeValue(reader: PayloadReader, type: number): ValueData | PayloadFault {
  switch (type) {
    case PayloadType.String:
      return { kind: 'string', value: reader.value() };
    case PayloadType.Set:
    case PayloadType.SetIntset:
    case PayloadType.SetListpack:
      return decodeSet(reader, type);
    case PayloadType.List:
      return { kind: 'list', elements: many(reader.count(), () => reader.value()) };
    case PayloadType.ListZiplist:
      return list(packedValues(readZiplist, reader));
    case PayloadType.ListQuicklist:
    case PayloadType.ListQuicklist2:
      return list(decodeQuicklist(reader, type === PayloadType.ListQuicklist2));
    case PayloadType.SortedSetText:
    case PayloadType.SortedSet:
    case PayloadType.SortedSetZiplist:
    case PayloadType.SortedSetListpack:
      return decodeSortedSet(reader, type);
    case PayloadType.Stream:
    case PayloadType.Stream2:
    case PayloadType.Stream3:
      return decodeStream(reader, type);
    case PayloadType.ModulePreRelease:
    case PayloadType.Module:
      return { kind: 'unsupported', type: 'module' };
    default:
      return decodeHash(reader, type);
  }
}

/** @param count which the caller has bounded */
function many<T>(count: number, read: () => T): T[] {
  const out: T[] = [];
  for (let index = 0; index < count; index++) out.push(read());
  return out;
}

function list(elements: readonly StringValue[]): ValueData {
  if (elements.length === 0) throw malformed();
  return { kind: 'list', elements };
}

type Elements = (pack: Buffer, visit: (element: Int64 | Buffer) => void) => void;

function readListpack(pack: Buffer, visit: (element: Int64 | Buffer) => void): void {
  const elements = new ListpackReader(pack);
  while (!elements.done) visit(elements.next());
}

function elementValue(element: Int64 | Buffer, budget: Budget): StringValue {
  return ownValue(Buffer.isBuffer(element) ? element : Buffer.from(String(element), 'latin1'), budget);
}

/** The elements of the pack that the next string is. */
function packedValues(read: Elements, reader: PayloadReader): StringValue[] {
  const out: StringValue[] = [];
  read(reader.bytes(), (element) => out.push(elementValue(element, reader.budget)));
  return out;
}

const NODE_PLAIN = 1;
const NODE_PACKED = 2;

/** @param marked whether each node is told to be a single element (plain) or a listpack; else they are ziplists */
function decodeQuicklist(reader: PayloadReader, marked: boolean): StringValue[] {
  const out: StringValue[] = [];
  const { budget } = reader;
  const append = (element: Int64 | Buffer): void => {
    out.push(elementValue(element, budget));
  };
  for (let nodes = reader.count(); nodes > 0; nodes--) {
    const container = marked ? reader.length() : NODE_PACKED;
    if (container !== NODE_PLAIN && container !== NODE_PACKED) throw malformed();
    const node = reader.bytes();
    if (node.length === 0) throw malformed();
    if (container === NODE_PLAIN) append(node);
    else (marked ? readListpack : readZiplist)(node, append);
  }
  return out;
}

function decodeSet(reader: PayloadReader, type: number): SetData {
  if (type === PayloadType.SetIntset) {
    const members = readIntset(reader.bytes());
    return { kind: 'set', members: members.map((member) => elementValue(member, reader.budget)) };
  }
  const members =
    type === PayloadType.Set
      ? many(reader.count(), () => reader.value())
      : packedValues(readListpack, reader);
  if (members.length === 0) throw malformed();
  const distinct = new Distinct();
  for (const member of members) distinct.add(member);
  return { kind: 'set', members };
}

/** Fields and values by turns, and as third the field's end, as `expiring` tells. */
function hashOf(elements: readonly StringValue[], expiring: boolean): HashData {
  const stride = expiring ? 3 : 2;
  if (elements.length === 0 || elements.length % stride !== 0) throw malformed();
  const distinct = new Distinct();
  const fields: HashField[] = [];
  for (let at = 0; at < elements.length; at += stride) {
    const expiresAtMs = expiring ? Number(valueText(elements[at + 2]!)) : 0;
    fields.push({
      field: distinct.add(elements[at]!),
      value: elements[at + 1]!,
      expiresAtMs: fieldEnd(expiresAtMs),
    });
  }
  return { kind: 'hash', fields };
}

/** Redis keeps the end of a field in 48 bits. */
const FIELD_END_MAX = 2 ** 48 - 2;

function fieldEnd(expiresAtMs: number): number {
  if (!Number.isSafeInteger(expiresAtMs) || expiresAtMs < 0 || expiresAtMs > FIELD_END_MAX) throw malformed();
  return expiresAtMs;
}

function decodeHash(reader: PayloadReader, type: number): HashData {
  switch (type) {
    case PayloadType.Hash: {
      const count = reader.count();
      return hashOf(
        many(count * 2, () => reader.value()),
        false,
      );
    }
    case PayloadType.HashZipmap: {
      const out: StringValue[] = [];
      readZipmap(reader.bytes(), (field, value) => {
        out.push(ownValue(field, reader.budget), ownValue(value, reader.budget));
      });
      return hashOf(out, false);
    }
    case PayloadType.HashZiplist:
      return hashOf(packedValues(readZiplist, reader), false);
    case PayloadType.HashListpack:
      return hashOf(packedValues(readListpack, reader), false);
    case PayloadType.HashListpackExpiring:
      // The earliest end comes first, for those who do not look into the pack.
      fieldEnd(reader.time());
      return hashOf(packedValues(readListpack, reader), true);
    case PayloadType.HashExpiring:
      return decodeExpiringHash(reader);
    default:
      throw malformed();
  }
}

/** Ends are told as the distance from the earliest, plus 1; 0 = never. */
function decodeExpiringHash(reader: PayloadReader): HashData {
  const earliestMs = fieldEnd(reader.time());
  const distinct = new Distinct();
  const fields = many(reader.count(), (): HashField => {
    const distanceMs = reader.length();
    const expiresAtMs = distanceMs === 0 ? 0 : fieldEnd(earliestMs + distanceMs - 1);
    return { field: distinct.add(reader.value()), value: reader.value(), expiresAtMs };
  });
  return { kind: 'hash', fields };
}

function decodeSortedSet(reader: PayloadReader, type: number): SortedSetData {
  const distinct = new Distinct();
  const { budget } = reader;
  const members: ScoredMember[] = [];
  const add = (member: StringValue, score: number | undefined): void => {
    if (score === undefined || Number.isNaN(score)) throw malformed();
    members.push({ member: distinct.add(member), score });
  };
  if (type === PayloadType.SortedSet || type === PayloadType.SortedSetText) {
    for (let count = reader.count(); count > 0; count--) {
      const member = reader.value();
      add(member, type === PayloadType.SortedSet ? reader.double() : textScore(reader));
    }
  } else {
    let member: StringValue | undefined;
    const visit = (element: Int64 | Buffer): void => {
      if (member === undefined) {
        member = elementValue(element, budget);
        return;
      }
      add(member, Buffer.isBuffer(element) ? scoreOf(element) : Number(element));
      member = undefined;
    };
    (type === PayloadType.SortedSetZiplist ? readZiplist : readListpack)(reader.bytes(), visit);
    if (member !== undefined || members.length === 0) throw malformed();
  }
  // Redis writes large sets backwards, and does not check the order of small ones.
  return { kind: 'zset', members: members.sort(compareScored) };
}

/** Order of a sorted set: by score, then by the bytes of the member. */
export function compareScored(a: ScoredMember, b: ScoredMember): number {
  if (a.score !== b.score) return a.score < b.score ? -1 : 1;
  return compareValues(a.member, b.member);
}

/** Redis writes 24 at most. */
const SCORE_TEXT_BYTES_MAX = 256;

function scoreOf(text: Buffer): number | undefined {
  return text.length > SCORE_TEXT_BYTES_MAX ? undefined : parseScore(text.latin1Slice());
}

const SCORE_NAN = 253;
const SCORE_INFINITE = 254;
const SCORE_MINUS_INFINITE = 255;

/** A score as text behind its length, which also stands for what is no number. */
function textScore(reader: PayloadReader): number | undefined {
  const length = reader.byte();
  if (length === SCORE_NAN) return undefined;
  if (length === SCORE_INFINITE) return Infinity;
  if (length === SCORE_MINUS_INFINITE) return -Infinity;
  return scoreOf(reader.raw(length));
}
