import { Buffer } from 'node:buffer';
import { type Int64, parseInt64 } from '../../base/numbers.js';
import { type StringValue, valueText } from '../row.js';
import { malformed } from './reader.js';
import { ByteWriter } from './writer.js';

/*
 * A listpack (format: listpack.c of Redis, https://github.com/antirez/listpack/blob/master/listpack.md):
 *
 *   <bytes, 4> <elements, 2: 65535 = unknown> <element>… 0xff        both numbers little-endian
 *
 * An element is an encoding, with its data, and its own length once more behind it, so that lists can be walked backwards:
 *
 *   0xxxxxxx             0 … 127
 *   10LLLLLL             string of up to 63 bytes
 *   110xxxxx xxxxxxxx    signed integer of 13 bits, high bits first
 *   1110LLLL LLLLLLLL    string of up to 4095 bytes, high bits first
 *   11110000 <4 bytes>   string, length little-endian
 *   11110001 … 11110100  signed integer of 16, 24, 32, 64 bits, little-endian
 *
 * The length behind it has 7 bits in a byte, high ones first; all bytes but the first have their top bit set.
 */
const HEADER_BYTES = 6;
const END = 0xff;
/** Bytes of a listpack without elements. */
export const LISTPACK_FRAME_BYTES = HEADER_BYTES + 1;
/** Number of elements that stands for "count them". */
const ELEMENTS_UNKNOWN = 0xffff;
const STRING_6 = 0x80;
const INT_13 = 0xc0;
const STRING_12 = 0xe0;
const STRING_32 = 0xf0;
const INT_16 = 0xf1;
const INT_64 = 0xf4;

/** Walks over the elements of a listpack, whose every byte it checks. */
export class ListpackReader {
  #at = HEADER_BYTES;
  readonly #end: number;
  #elements = 0;

  /** @throws PayloadError if the frame is not that of a listpack of just these bytes */
  constructor(private readonly pack: Buffer) {
    this.#end = pack.length - 1;
    if (pack.length < LISTPACK_FRAME_BYTES || pack.readUInt32LE(0) !== pack.length || pack[this.#end] !== END)
      throw malformed();
  }

  /** Whether all elements have been read; then their number is what the header says. */
  get done(): boolean {
    if (this.pack[this.#at] !== END) return false;
    const elements = this.pack.readUInt16LE(4);
    if (this.#at !== this.#end || (elements !== ELEMENTS_UNKNOWN && elements !== this.#elements))
      throw malformed();
    return true;
  }

  /** The next element: a number, or bytes that share memory with the listpack. */
  next(): Int64 | Buffer {
    const { pack } = this;
    const at = this.#at;
    const first = pack[at]!;
    if (at >= this.#end) throw malformed();
    if (first < STRING_6) return this.#passed(1, first);
    if (first < INT_13) return this.#string(1, first & 0x3f);
    if (first >= STRING_32) return this.#wide(first);
    if (at + 1 >= this.#end) throw malformed();
    const short = ((first & 0x1f) << 8) | pack[at + 1]!;
    if (first < STRING_12) return this.#passed(2, (short << 19) >> 19);
    return this.#string(2, short & 0xfff);
  }

  #wide(first: number): Int64 | Buffer {
    const { pack } = this;
    const at = this.#at + 1;
    const rest = this.#end - at;
    if (first === STRING_32) {
      if (rest < 4) throw malformed();
      return this.#string(5, pack.readUInt32LE(at));
    }
    if (first > INT_64) throw malformed();
    const bytes = first === INT_64 ? 8 : first - INT_16 + 2;
    if (rest < bytes) throw malformed();
    if (first !== INT_64) return this.#passed(1 + bytes, pack.readIntLE(at, bytes));
    const wide = pack.readBigInt64LE(at);
    const value = Number(wide);
    return this.#passed(9, Number.isSafeInteger(value) ? value : wide);
  }

  #string(headBytes: number, length: number): Buffer {
    const from = this.#at + headBytes;
    if (length > this.#end - from) throw malformed();
    return this.#passed(headBytes + length, this.pack.subarray(from, from + length));
  }

  /** Moves behind an element of so many bytes, whose length must stand behind it. */
  #passed<T>(bytes: number, element: T): T {
    const at = this.#at + bytes + backLengthBytes(bytes);
    if (at > this.#end || this.#backLength(at - 1) !== bytes) throw malformed();
    this.#at = at;
    this.#elements++;
    return element;
  }

  /** The length whose last byte is at `at`. */
  #backLength(at: number): number {
    let length = 0;
    for (let group = 0; group < 5; group++) {
      const byte = this.pack[at - group]!;
      length += (byte & 127) * 2 ** (7 * group);
      if (byte < 128) return length;
    }
    throw malformed();
  }

  /** The next element, which must be an integer, or the text of one. */
  integer(): Int64 {
    const element = this.next();
    const integer = Buffer.isBuffer(element) ? integerOf(element) : element;
    if (integer === undefined) throw malformed();
    return integer;
  }

  /** The next element, which must be an integer from 0 to `max`. */
  count(max: number): number {
    const count = this.integer();
    if (typeof count === 'bigint' || count < 0 || count > max) throw malformed();
    return count;
  }
}

/** Longer text is no 64-bit integer. */
const INTEGER_TEXT_BYTES_MAX = 20;

/** The integer that a value is the canonical text of, if it is. */
export function integerOf(value: StringValue): Int64 | undefined {
  return value.length > INTEGER_TEXT_BYTES_MAX ? undefined : parseInt64(valueText(value));
}

/** Bytes of the length behind an element of so many bytes; the odd limits are those of Redis. */
function backLengthBytes(bytes: number): number {
  if (bytes <= 127) return 1;
  if (bytes < 16_383) return 2;
  if (bytes < 2_097_151) return 3;
  return bytes < 268_435_455 ? 4 : 5;
}

/** Bytes that a small integer takes as an element. @param value from 0 to 2^31 − 1 */
export function integerBytes(value: number): number {
  if (value < 128) return 2;
  if (value < 4096) return 3;
  return value < 2 ** 15 ? 4 : value < 2 ** 23 ? 5 : 6;
}

/** Builds listpacks one after the other. */
export class ListpackWriter {
  #writer = new ByteWriter();
  #elements = 0;

  constructor() {
    this.#writer.raw('\0'.repeat(HEADER_BYTES));
  }

  get elements(): number {
    return this.#elements;
  }

  /** What {@link finish} would give, in bytes. */
  get byteLength(): number {
    return this.#writer.length + 1;
  }

  /** A string; as a number where it is the text of one. */
  string(value: StringValue): void {
    const integer = integerOf(value);
    if (integer !== undefined) {
      this.integer(integer);
      return;
    }
    const writer = this.#writer;
    const start = writer.length;
    const { length } = value;
    if (length < 0x40) writer.byte(STRING_6 | length);
    else if (length < 0x1000) {
      writer.byte(STRING_12 | (length >> 8));
      writer.byte(length & 255);
    } else {
      writer.byte(STRING_32);
      writer.unsigned(length, 4);
    }
    writer.raw(value);
    this.#close(start);
  }

  integer(value: Int64): void {
    const writer = this.#writer;
    const start = writer.length;
    if (value >= 0 && value < 128) writer.byte(Number(value));
    else if (value >= -4096 && value < 4096) {
      writer.byte(INT_13 | ((Number(value) >> 8) & 0x1f));
      writer.byte(Number(value) & 255);
    } else this.#wideInteger(value);
    this.#close(start);
  }

  #wideInteger(value: Int64): void {
    const writer = this.#writer;
    for (const bytes of [2, 3, 4]) {
      const limit = 2 ** (bytes * 8 - 1);
      if (value < -limit || value >= limit) continue;
      writer.byte(INT_16 + bytes - 2);
      writer.signed(Number(value), bytes);
      return;
    }
    writer.byte(INT_64);
    writer.signed64(BigInt(value));
  }

  /** Writes the length of the element that began at `start`. */
  #close(start: number): void {
    const writer = this.#writer;
    const bytes = writer.length - start;
    for (let group = backLengthBytes(bytes) - 1; group >= 0; group--) {
      const bits = Math.floor(bytes / 2 ** (7 * group)) & 127;
      writer.byte(group === backLengthBytes(bytes) - 1 ? bits : bits | 128);
    }
    this.#elements++;
  }

  /** All elements of another listpack, which is not finished. */
  append(other: ListpackWriter): void {
    this.#writer.raw(other.#writer.bytes.subarray(HEADER_BYTES));
    this.#elements += other.#elements;
  }

  /** The listpack. The writer is not used any more. */
  finish(): Buffer {
    const writer = this.#writer;
    writer.byte(END);
    writer.patch32(0, writer.length);
    writer.patch16(4, Math.min(this.#elements, ELEMENTS_UNKNOWN));
    return writer.bytes;
  }
}
