import { Buffer } from 'node:buffer';
import {
  ORIGIN_BYTES,
  RowFormatError,
  readOrigin,
  readUint64,
  readVersion,
  VERSION_BYTES,
  writeLatin1,
  writeOrigin,
  writeUint64,
  writeVersion,
} from './binary.js';
import { FormFlag } from './collections/collection.js';
import { decodeCollection } from './collections/decode.js';
import type { ElementHost } from './collections/elements.js';
import { type Row, RowType, stringValue, TEXT_BYTES_MAX } from './row.js';

export { RowFormatError, readUint64, writeLatin1, writeUint64 };

/*
 * A row of the `default` family. The row's key is the user's key, unchanged, so row order is key order.
 *
 *   offset  bytes  field
 *   0       1      type (low 4 bits) | HAS_EXPIRY (bit 4); bits 5–7 are 0
 *   1       1      flags, see RowFlag
 *   2       8      timestamp, unsigned, big-endian: Unix ms × 1024 + counter
 *   10      8      expiry, Unix ms, unsigned, big-endian; only with HAS_EXPIRY
 *   10|18   …      payload: the bytes of a string; nothing for a tombstone; of a collection see its class
 */
const HAS_EXPIRY = 0x10;
const TYPE_MASK = 0x0f;
const HEADER_BYTES = 10;
const EXPIRY_BYTES = 8;

/** Longest header a row can have. */
export const ROW_HEADER_BYTES_MAX = HEADER_BYTES + EXPIRY_BYTES;

/** Writes a row into `target`, which has room for the value and {@link ROW_HEADER_BYTES_MAX} more. Returns where it ends. */
export function encodeRow(row: Row, target: Buffer, start = 0): number {
  const expires = row.expiresAtMs !== 0;
  target[start] = expires ? row.type | HAS_EXPIRY : row.type;
  target[start + 1] = row.flags;
  writeUint64(target, start + 2, row.timestamp);
  let at = start + HEADER_BYTES;
  if (expires) {
    writeUint64(target, at, row.expiresAtMs);
    at += EXPIRY_BYTES;
  }
  if (row.type === RowType.Tombstone) return at;
  const { collection } = row;
  if (collection !== undefined) {
    const end = collection.encode(target, at);
    if (collection.version !== 0) writeOrigin(target, at + 1, row.origin);
    return end;
  }
  const { value } = row;
  if (typeof value === 'string') writeLatin1(target, at, value);
  else target.set(value, at);
  return at + value.length;
}

/** Room that {@link encodeRow} needs. */
export function rowRoom(row: Row): number {
  return ROW_HEADER_BYTES_MAX + (row.collection?.encodedBytesMax ?? row.value.length);
}

/**
 * Fills `row` from its stored bytes. The row keeps a view of `bytes` when its value is long.
 * @param host where collections have their elements; without, only strings are rows
 * @throws RowFormatError
 */
export function decodeRow(row: Row, bytes: Buffer, host?: ElementHost): void {
  decodeContents(row, bytes, host);
  row.storedType = row.type;
  row.storedExpiresAtMs = row.expiresAtMs;
  row.storedElementExpiryMs = row.collection?.nextExpiryMs ?? 0;
}

/** As {@link decodeRow}, for bytes that are not what is stored of the row. */
export function decodeContents(row: Row, bytes: Buffer, host?: ElementHost): void {
  const payloadAt = decodeHeader(row, bytes, 0, bytes.length);
  if (row.type === RowType.String) row.value = stringValue(bytes.subarray(payloadAt));
  else if (row.type === RowType.Tombstone) row.value = '';
  else {
    if (host === undefined) throw new RowFormatError(`a row of type ${row.type} where only strings may be`);
    row.value = '';
    row.collection = decodeCollection(row.type, bytes, payloadAt, host);
    row.origin = row.collection.version === 0 ? 0 : readOrigin(bytes, payloadAt + 1);
    return;
  }
  row.collection = undefined;
}

/**
 * Makes a row that is neither a collection, nor to be one, what its bytes from `at` to `end` say. What it keeps shares no memory with
 * them.
 * @throws RowFormatError
 */
export function decodePlain(row: Row, bytes: Buffer, at: number, end: number): void {
  const payloadAt = decodeHeader(row, bytes, at, end);
  if (row.type !== RowType.String) row.value = '';
  else if (end - payloadAt <= TEXT_BYTES_MAX) row.value = bytes.latin1Slice(payloadAt, end);
  else row.value = Buffer.from(bytes.subarray(payloadAt, end));
}

/** @returns where the payload begins */
function decodeHeader(row: Row, bytes: Buffer, at: number, end: number): number {
  const payloadAt = at + headerLength(bytes, at, end);
  row.type = (bytes[at]! & TYPE_MASK) as RowType;
  row.flags = bytes[at + 1]!;
  row.timestamp = readUint64(bytes, at + 2);
  row.expiresAtMs = payloadAt > at + HEADER_BYTES ? readUint64(bytes, at + HEADER_BYTES) : 0;
  return payloadAt;
}

function headerLength(bytes: Buffer, at = 0, end = bytes.length): number {
  const first = at < end ? bytes[at] : undefined;
  const length =
    first !== undefined && (first & HAS_EXPIRY) !== 0 ? HEADER_BYTES + EXPIRY_BYTES : HEADER_BYTES;
  if (first === undefined || end - at < length) throw new RowFormatError(`a row of ${end - at} bytes`);
  if ((first & ~(TYPE_MASK | HAS_EXPIRY)) !== 0)
    throw new RowFormatError(`a row that begins with byte ${first}`);
  return length;
}

/** What all rows have. */
export interface RowHeader {
  readonly type: RowType;
  readonly timestamp: number;
  /** Unix milliseconds; 0 = never. */
  readonly expiresAtMs: number;
}

/** The header of a row's bytes, which are those from `at` to `end`. @throws RowFormatError */
export function rowHeader(bytes: Buffer, at = 0, end = bytes.length): RowHeader {
  const expires = headerLength(bytes, at, end) > HEADER_BYTES;
  return {
    type: (bytes[at]! & TYPE_MASK) as RowType,
    timestamp: readUint64(bytes, at + 2),
    expiresAtMs: expires ? readUint64(bytes, at + HEADER_BYTES) : 0,
  };
}

/** Of {@link rowHeader}. @throws RowFormatError */
export function rowTimestamp(bytes: Buffer, at: number, end: number): number {
  headerLength(bytes, at, end);
  return readUint64(bytes, at + 2);
}

/** Gives the bytes of a row another timestamp. @throws RowFormatError */
export function setTimestamp(bytes: Buffer, timestamp: number): void {
  headerLength(bytes);
  writeUint64(bytes, 2, timestamp);
}

/** The version of the element rows that a row's bytes refer to; 0 = it has none. @throws RowFormatError */
export function elementVersion(bytes: Buffer): number {
  return isLarge(bytes) ? readVersion(bytes, headerLength(bytes) + 1) : 0;
}

/** The origin of the last write of a row that has element rows, see Row.origin; 0 = not known. @throws RowFormatError */
export function elementOrigin(bytes: Buffer): number {
  return isLarge(bytes) ? readOrigin(bytes, headerLength(bytes) + 1) : 0;
}

function isLarge(bytes: Buffer): boolean {
  const { type } = rowHeader(bytes);
  if (type === RowType.String || type === RowType.Tombstone) return false;
  const form = headerLength(bytes);
  if ((bytes[form]! & FormFlag.Large) === 0) return false;
  if (bytes.length < form + 1 + ORIGIN_BYTES + VERSION_BYTES)
    throw new RowFormatError(`a row with element rows, of ${bytes.length} bytes`);
  return true;
}

/** A copy of the bytes of a row with element rows, which refers to another version. */
export function withVersion(bytes: Buffer, version: number): Buffer {
  const copy = Buffer.from(bytes);
  writeVersion(copy, headerLength(bytes) + 1, version);
  return copy;
}

/** Key in the `ttl` family: expiry (8 bytes, big-endian), then the user's key. Its order is expiry order. */
export const TTL_KEY_PREFIX_BYTES = EXPIRY_BYTES;

/**
 * Set in the first byte of a `ttl` key: the time is when the first element of the key's collection ends. Such keys come
 * behind all others.
 */
const ELEMENT_EXPIRY = 0x80;

/**
 * Writes a `ttl` key into `target` and returns its length.
 * @param ofElement whether the time is that of an element of the key's value
 */
export function encodeTtlKey(expiresAtMs: number, key: string, target: Buffer, ofElement = false): number {
  writeUint64(target, 0, expiresAtMs);
  if (ofElement) target[0] = ELEMENT_EXPIRY;
  writeLatin1(target, EXPIRY_BYTES, key);
  return EXPIRY_BYTES + key.length;
}

/** The expiry in a `ttl` key, Unix milliseconds. */
export function ttlKeyExpiry(bytes: Buffer): number {
  if (!isElementTtlKey(bytes)) return readUint64(bytes, 0);
  const time = Buffer.from(bytes.subarray(0, EXPIRY_BYTES));
  time[0] = 0;
  return readUint64(time, 0);
}

/** Whether the time in a `ttl` key is that of an element. */
export function isElementTtlKey(bytes: Buffer): boolean {
  return bytes[0] === ELEMENT_EXPIRY;
}

/** The user's key in a `ttl` key. */
export function ttlKeyUserKey(bytes: Buffer): string {
  return bytes.latin1Slice(EXPIRY_BYTES);
}
