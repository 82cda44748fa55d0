import { Buffer } from 'node:buffer';
import { type Int64, toInt64 } from '../../base/numbers.js';
import { malformed } from './reader.js';

/*
 * The compact forms that Redis had before listpacks, and its sets of integers. They are read, and of the sets of
 * integers written.
 */

const ZIPLIST_HEADER_BYTES = 10;
const END = 0xff;
const COUNT_UNKNOWN = 0xffff;
const COUNT_UNKNOWN_8 = 0xfe;
/** First byte of a length of 4 bytes: in a zipmap, the next one too. */
const LONG_LENGTH = 0xfe;

/**
 * A ziplist (format: ziplist.c of Redis), numbers little-endian:
 *
 *   <bytes, 4> <offset of the last entry, 4> <entries, 2: 65535 = unknown> <entry>… 0xff
 *
 * An entry is the length of the one before it (one byte, or 0xfe and 4 bytes), then an encoding with its data:
 *
 *   00LLLLLL                      string of up to 63 bytes
 *   01LLLLLL LLLLLLLL             string of up to 16383 bytes, high bits first
 *   10______ <4 bytes>            string, length big-endian
 *   11000000, 11010000, 11100000  signed integer of 16, 32, 64 bits
 *   11110000, 11111110            signed integer of 24, 8 bits
 *   1111xxxx                      xxxx − 1, from 1 to 13
 *
 * @param visit is given each entry: a number, or bytes that share memory with the ziplist
 */
export function readZiplist(pack: Buffer, visit: (element: Int64 | Buffer) => void): void {
  const end = pack.length - 1;
  if (pack.length < ZIPLIST_HEADER_BYTES + 1 || pack.readUInt32LE(0) !== pack.length || pack[end] !== END)
    throw malformed();
  const lastAt = pack.readUInt32LE(4);
  const count = pack.readUInt16LE(8);
  let at = ZIPLIST_HEADER_BYTES;
  let previousAt = at;
  let entries = 0;
  while (pack[at] !== END) {
    const long = pack[at] === LONG_LENGTH;
    if (long && end - at < 5) throw malformed();
    const lengthBefore = long ? pack.readUInt32LE(at + 1) : pack[at]!;
    if (lengthBefore !== at - previousAt) throw malformed();
    previousAt = at;
    at = readZiplistEntry(pack, at + (long ? 5 : 1), visit);
    entries++;
  }
  const lastExpected = entries === 0 ? lastAt : previousAt;
  if (at !== end || lastAt !== lastExpected || lastAt > end) throw malformed();
  if (count !== COUNT_UNKNOWN && count !== entries) throw malformed();
}

/**
 * @param at of the encoding
 * @returns the position behind the entry, not beyond the end
 */
function readZiplistEntry(pack: Buffer, at: number, visit: (element: Int64 | Buffer) => void): number {
  const end = pack.length - 1;
  const first = pack[at]!;
  if (at >= end) throw malformed();
  if (first < 0xc0) {
    const headBytes = first < 0x40 ? 1 : first < 0x80 ? 2 : 5;
    const from = at + headBytes;
    if (from > end) throw malformed();
    const length =
      headBytes === 1
        ? first
        : headBytes === 2
          ? ((first & 0x3f) << 8) | pack[at + 1]!
          : pack.readUInt32BE(at + 1);
    if (length > end - from) throw malformed();
    visit(pack.subarray(from, from + length));
    return from + length;
  }
  if (first > 0xf0 && first < 0xfe) {
    visit((first & 15) - 1);
    return at + 1;
  }
  const bytes = ZIPLIST_INTEGER_BYTES[first];
  if (bytes === undefined || bytes > end - at - 1) throw malformed();
  visit(bytes === 8 ? toInt64(pack.readBigInt64LE(at + 1)) : pack.readIntLE(at + 1, bytes));
  return at + 1 + bytes;
}

const ZIPLIST_INTEGER_BYTES: Readonly<Record<number, number>> = { 192: 2, 208: 4, 224: 8, 240: 3, 254: 1 };

/**
 * A zipmap (format: zipmap.c of Redis): small hashes of Redis before 2.6.
 *
 *   <pairs, 1: 254 = unknown> (<length> <field> <length> <unused bytes, 1> <value> <unused>)… 0xff
 *
 * A length is one byte, or one from 254 and 4 bytes, little-endian.
 *
 * @param visit is given each pair; the bytes share memory with the zipmap
 */
export function readZipmap(pack: Buffer, visit: (field: Buffer, value: Buffer) => void): void {
  const end = pack.length - 1;
  if (pack.length < 2 || pack[end] !== END) throw malformed();
  let at = 1;
  let pairs = 0;
  /** The bytes at `at`, behind their length and some more; moves behind them. */
  const take = (moreBytes: number): Buffer => {
    const long = pack[at]! >= LONG_LENGTH;
    const from = at + (long ? 5 : 1);
    if (from > end) throw malformed();
    const length = long ? pack.readUInt32LE(at + 1) : pack[at]!;
    // The byte that may tell of unused ones is not beyond the end, as `from` is not.
    const unused = moreBytes === 0 ? 0 : pack[from]!;
    if (length + moreBytes + unused > end - from) throw malformed();
    at = from + moreBytes + length + unused;
    return pack.subarray(from + moreBytes, from + moreBytes + length);
  };
  while (pack[at] !== END) {
    const field = take(0);
    visit(field, take(1));
    pairs++;
  }
  if (pairs === 0 || (pack[0] !== COUNT_UNKNOWN_8 && pack[0] !== pairs)) throw malformed();
}

const INTSET_HEADER_BYTES = 8;

/**
 * The members of an intset (format: intset.c of Redis), all numbers little-endian, ascending:
 *
 *   <bytes of a member: 2, 4 or 8, as 4 bytes> <members, 4> <member>…
 */
export function readIntset(pack: Buffer): Int64[] {
  if (pack.length < INTSET_HEADER_BYTES) throw malformed();
  const bytes = pack.readUInt32LE(0);
  const count = pack.readUInt32LE(4);
  if ((bytes !== 2 && bytes !== 4 && bytes !== 8) || count === 0) throw malformed();
  if (pack.length !== INTSET_HEADER_BYTES + bytes * count) throw malformed();
  const members: Int64[] = [];
  for (let at = INTSET_HEADER_BYTES; at < pack.length; at += bytes) {
    const member = bytes === 8 ? toInt64(pack.readBigInt64LE(at)) : pack.readIntLE(at, bytes);
    if (members.length > 0 && member <= members[members.length - 1]!) throw malformed();
    members.push(member);
  }
  return members;
}

/** @param members distinct, in any order, at least one */
export function writeIntset(members: readonly Int64[]): Buffer {
  const sorted = [...members].sort((a, b) => (a < b ? -1 : 1));
  const fits = (bits: number) =>
    sorted[0]! >= -(2 ** (bits - 1)) && sorted[sorted.length - 1]! < 2 ** (bits - 1);
  const bytes = fits(16) ? 2 : fits(32) ? 4 : 8;
  const pack = Buffer.allocUnsafe(INTSET_HEADER_BYTES + bytes * sorted.length);
  pack.writeUInt32LE(bytes, 0);
  pack.writeUInt32LE(sorted.length, 4);
  let at = INTSET_HEADER_BYTES;
  for (const member of sorted) {
    if (bytes === 8) pack.writeBigInt64LE(BigInt(member), at);
    else pack.writeIntLE(Number(member), at, bytes);
    at += bytes;
  }
  return pack;
}
