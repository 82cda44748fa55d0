import { Buffer } from 'node:buffer';
import { lzfCompress } from '../../base/lzf.js';
import { parseInt64 } from '../../base/numbers.js';
import { type StringValue, valueBytes } from '../row.js';
import type { StreamId } from '../stream-id.js';
import { INT8, INT16, INT32, LENGTH_32, LENGTH_64, LZF } from './reader.js';

/** Longer texts are not tried as an integer: no 32-bit integer has more characters. */
const INTEGER_TEXT_BYTES_MAX = 11;
/** Strings up to this length are never compressed. */
const UNCOMPRESSED_BYTES_MAX = 20;
const INITIAL_BYTES = 64;

/** Bytes in one growing buffer, with numbers in the byte orders that the formats need. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was written; shares memory with the writer. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Room for so many bytes, and where it begins. */
  #room(bytes: number): number {
    const at = this.#length;
    this.#length = at + bytes;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }

  byte(value: number): void {
    const at = this.#room(1);
    this.#buffer[at] = value;
  }

  /** @param bytes 1 to 4 */
  unsigned(value: number, bytes: number): void {
    const at = this.#room(bytes);
    this.#buffer.writeUIntLE(value, at, bytes);
  }

  /** @param bytes 1 to 4 */
  signed(value: number, bytes: number): void {
    const at = this.#room(bytes);
    this.#buffer.writeIntLE(value, at, bytes);
  }

  signed64(value: bigint): void {
    const at = this.#room(8);
    this.#buffer.writeBigInt64LE(value, at);
  }

  /** Big-endian. */
  unsigned32High(value: number): void {
    const at = this.#room(4);
    this.#buffer.writeUInt32BE(value, at);
  }

  /** Big-endian. */
  unsigned64High(value: bigint): void {
    const at = this.#room(8);
    this.#buffer.writeBigUInt64BE(value, at);
  }

  double(value: number): void {
    const at = this.#room(8);
    this.#buffer.writeDoubleLE(value, at);
  }

  /** The bytes of a value, and nothing else. */
  raw(value: StringValue): void {
    const at = this.#room(value.length);
    if (typeof value === 'string') this.#buffer.latin1Write(value, at);
    else value.copy(this.#buffer, at);
  }

  /** Overwrites 32 bits, little-endian. */
  patch32(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value, at);
  }

  /** Overwrites 16 bits, little-endian. */
  patch16(at: number, value: number): void {
    this.#buffer.writeUInt16LE(value, at);
  }
}

const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
const INT64_MAX = 0x7fff_ffff_ffff_ffffn;

/** The body of a payload: numbers and strings as reader.ts describes them. */
export class PayloadWriter extends ByteWriter {
  /** An unsigned number of up to 64 bits; what was rounded up beyond a signed one is cut to the largest of those. */
  size(value: number): void {
    if (value < 0x40) this.byte(value);
    else if (value < 0x4000) {
      this.byte(0x40 | (value >> 8));
      this.byte(value & 255);
    } else if (value <= 0xffff_ffff) {
      this.byte(LENGTH_32);
      this.unsigned32High(value);
    } else {
      const wide = BigInt(value);
      this.#wide(wide > INT64_MAX ? INT64_MAX : wide);
    }
  }

  /** A number of events; the largest of all numbers stands for one that is not known. */
  counter(value: number | undefined): void {
    if (value === undefined) this.#wide(UINT64_MAX);
    else this.size(value);
  }

  #wide(value: bigint): void {
    this.byte(LENGTH_64);
    this.unsigned64High(value);
  }

  /** The two numbers of a stream's id. */
  streamId(id: StreamId): void {
    const bytes = Buffer.from(id, 'latin1');
    for (const at of [0, 8]) {
      const half = bytes.readBigUInt64BE(at);
      if (half <= 0xffff_ffffn) this.size(Number(half));
      else this.#wide(half);
    }
  }

  /** @param atMs Unix time in milliseconds, whole */
  time(atMs: number): void {
    this.signed64(BigInt(atMs));
  }

  /** A string, as an integer or compressed where that is shorter. */
  string(value: StringValue): void {
    if (value.length <= INTEGER_TEXT_BYTES_MAX && this.#integer(value)) return;
    if (value.length > UNCOMPRESSED_BYTES_MAX) {
      const compressed = lzfCompress(valueBytes(value));
      if (compressed !== undefined) {
        this.byte(LZF);
        this.size(compressed.length);
        this.size(value.length);
        this.raw(compressed);
        return;
      }
    }
    this.size(value.length);
    this.raw(value);
  }

  /** @returns whether the text is that of an integer of 32 bits, and was written as one */
  #integer(value: StringValue): boolean {
    const integer = parseInt64(typeof value === 'string' ? value : value.latin1Slice());
    if (typeof integer !== 'number' || integer !== (integer | 0)) return false;
    const bytes = integer === (integer << 24) >> 24 ? 1 : integer === (integer << 16) >> 16 ? 2 : 4;
    this.byte(bytes === 1 ? INT8 : bytes === 2 ? INT16 : INT32);
    this.signed(integer, bytes);
    return true;
  }
}
