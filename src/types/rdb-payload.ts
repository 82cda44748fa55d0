import { Buffer } from 'node:buffer';
import { crc64 } from '../base/crc64.js';
import { lzfCompress, lzfDecompress } from '../base/lzf.js';
import { parseInt64 } from '../base/numbers.js';

/*
 * What DUMP gives and RESTORE takes, as Redis 7.0 does (format: its rdb.c and cluster.c; the encodings are
 * described at https://rdb.fnordig.de/file_format.html):
 *
 *   offset  bytes  field
 *   0       1      type of the value, 0 = string
 *   1       …      the value
 *   −10     2      version of the format, little-endian: 10
 *   −8      8      CRC-64 of everything before it, little-endian, see base/crc64.ts
 *
 * A string begins with a length, whose first two bits tell the form:
 *
 *   00LLLLLL                        6 bits
 *   01LLLLLL LLLLLLLL               14 bits, big-endian
 *   10000000 <4 bytes>              32 bits, big-endian
 *   10000001 <8 bytes>              64 bits, big-endian
 *   11000000 <1 byte>               no length: a signed integer of 8 bits, whose decimal text is the string,
 *   11000001 <2 bytes>              … of 16 bits, little-endian,
 *   11000010 <4 bytes>              … of 32 bits, little-endian
 *   11000011 <length> <length> <…>  LZF: compressed length, length, bytes
 */
const VERSION = 10;
const FOOTER_BYTES = 10;
const TYPE_STRING = 0;
const INT8 = 0xc0;
const INT16 = 0xc1;
const INT32 = 0xc2;
const LZF = 0xc3;
const LENGTH_32 = 0x80;
const LENGTH_64 = 0x81;

/** Longer texts are not tried as an integer: no 32-bit integer has more characters. */
const INTEGER_TEXT_BYTES_MAX = 11;
/** Strings up to this length are never compressed. */
const UNCOMPRESSED_BYTES_MAX = 20;

/** The payload of a string. */
export function encodeStringPayload(value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.of(TYPE_STRING), ...encodeString(value)]);
  const payload = Buffer.allocUnsafe(body.length + FOOTER_BYTES);
  body.copy(payload);
  payload.writeUInt16LE(VERSION, body.length);
  const { high, low } = crc64(payload, body.length + 2);
  payload.writeUInt32LE(low, body.length + 2);
  payload.writeUInt32LE(high, body.length + 6);
  return payload;
}

function encodeString(value: Buffer): Buffer[] {
  if (value.length <= INTEGER_TEXT_BYTES_MAX) {
    const encoded = encodeInteger(parseInt64(value.latin1Slice()));
    if (encoded !== undefined) return [encoded];
  }
  if (value.length > UNCOMPRESSED_BYTES_MAX) {
    const compressed = lzfCompress(value);
    if (compressed !== undefined)
      return [Buffer.of(LZF), encodeLength(compressed.length), encodeLength(value.length), compressed];
  }
  return [encodeLength(value.length), value];
}

/** @returns undefined for what does not fit 32 bits */
function encodeInteger(value: number | bigint | undefined): Buffer | undefined {
  if (typeof value !== 'number' || value !== (value | 0)) return undefined;
  const bytes = value === (value << 24) >> 24 ? 1 : value === (value << 16) >> 16 ? 2 : 4;
  const encoded = Buffer.allocUnsafe(1 + bytes);
  encoded[0] = bytes === 1 ? INT8 : bytes === 2 ? INT16 : INT32;
  encoded.writeIntLE(value, 1, bytes);
  return encoded;
}

function encodeLength(length: number): Buffer {
  if (length < 0x40) return Buffer.of(length);
  if (length < 0x4000) return Buffer.of(0x40 | (length >> 8), length & 255);
  const wide = length > 0xffff_ffff;
  const encoded = Buffer.allocUnsafe(wide ? 9 : 5);
  encoded[0] = wide ? LENGTH_64 : LENGTH_32;
  if (wide) encoded.writeBigUInt64BE(BigInt(length), 1);
  else encoded.writeUInt32BE(length, 1);
  return encoded;
}

/** Whether a payload's footer is right: a version not newer than this one, and the checksum. */
export function verifyPayload(payload: Buffer): boolean {
  if (payload.length < FOOTER_BYTES) return false;
  if (payload.readUInt16LE(payload.length - FOOTER_BYTES) > VERSION) return false;
  const { high, low } = crc64(payload, payload.length - 8);
  return (
    payload.readUInt32LE(payload.length - 8) === low && payload.readUInt32LE(payload.length - 4) === high
  );
}

/** What a verified payload holds. */
export type PayloadContent =
  | { readonly kind: 'string'; readonly value: Buffer }
  /** A value of a type that this version does not have; `type` is its name in Redis's words. */
  | { readonly kind: 'unsupported'; readonly type: string }
  /** The string would be longer than allowed. */
  | { readonly kind: 'too-long' }
  | { readonly kind: 'malformed' };

/** Types of values in Redis's format up to version 10, by number, but for strings. */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  1: 'list',
  2: 'set',
  3: 'zset',
  4: 'hash',
  5: 'zset',
  6: 'module',
  7: 'module',
  9: 'hash',
  10: 'list',
  11: 'set',
  12: 'zset',
  13: 'hash',
  14: 'list',
  15: 'stream',
  16: 'hash',
  17: 'zset',
  18: 'list',
  19: 'stream',
};

/**
 * Reads a payload whose footer {@link verifyPayload} has found right. Bytes between value and footer are ignored, as
 * Redis does.
 * @param stringBytesMax longest string to accept
 */
export function decodePayload(payload: Buffer, stringBytesMax: number): PayloadContent {
  const body = payload.subarray(0, payload.length - FOOTER_BYTES);
  const type = body[0];
  if (type === TYPE_STRING) return decodeString(body, stringBytesMax);
  const name = type === undefined ? undefined : OTHER_TYPES[type];
  return name === undefined ? MALFORMED : { kind: 'unsupported', type: name };
}

const MALFORMED: PayloadContent = { kind: 'malformed' };
const TOO_LONG: PayloadContent = { kind: 'too-long' };

/** The string behind the type byte; shares memory with the payload unless it had to be made. */
function decodeString(body: Buffer, stringBytesMax: number): PayloadContent {
  const form = body[1];
  if (form === INT8 || form === INT16 || form === INT32) {
    const bytes = form === INT8 ? 1 : form === INT16 ? 2 : 4;
    if (body.length < 2 + bytes) return MALFORMED;
    return { kind: 'string', value: Buffer.from(String(body.readIntLE(2, bytes)), 'latin1') };
  }
  if (form === LZF) return decodeCompressed(body, stringBytesMax);
  const length = readLength(body, 1);
  if (length === undefined || length.value > body.length - length.end) return MALFORMED;
  if (length.value > stringBytesMax) return TOO_LONG;
  return { kind: 'string', value: body.subarray(length.end, length.end + length.value) };
}

function decodeCompressed(body: Buffer, stringBytesMax: number): PayloadContent {
  const compressed = readLength(body, 2);
  const plain = compressed && readLength(body, compressed.end);
  if (compressed === undefined || plain === undefined || compressed.value > body.length - plain.end)
    return MALFORMED;
  if (plain.value > stringBytesMax) return TOO_LONG;
  const value = lzfDecompress(body.subarray(plain.end, plain.end + compressed.value), plain.value);
  return value === undefined ? MALFORMED : { kind: 'string', value };
}

/** A length at `at`, and the position behind it; undefined where there is none. */
function readLength(body: Buffer, at: number): { value: number; end: number } | undefined {
  const first = body[at];
  if (first === undefined) return undefined;
  if (first < 0x40) return { value: first, end: at + 1 };
  if (first < 0x80) {
    const second = body[at + 1];
    return second === undefined ? undefined : { value: ((first & 0x3f) << 8) | second, end: at + 2 };
  }
  if (first === LENGTH_32 && body.length >= at + 5) return { value: body.readUInt32BE(at + 1), end: at + 5 };
  if (first === LENGTH_64 && body.length >= at + 9)
    return { value: Number(body.readBigUInt64BE(at + 1)), end: at + 9 };
  return undefined;
}
