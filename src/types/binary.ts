import type { Buffer } from 'node:buffer';
import { type StringValue, stringValue } from './row.js';

/*
 * The pieces that rows are encoded of. Big-endian, so that the order of bytes is that of numbers.
 *   uint64   8 bytes
 *   double   8 bytes, IEEE 754
 *   version  8 bytes: the origin of the row's last write (3 bytes, see Row.origin), and a number that is below 2^40
 *   number   7 bits a byte, low bits first, bit 7 says that more follow
 *   text     its length as a number, then its bytes
 */

const TWO_32 = 0x1_0000_0000;

/** Thrown for bytes that are not a row of this format: the disk or the program is broken. */
export class RowFormatError extends Error {
  readonly code = 'VASTO_ROW_FORMAT';
}

/** Texts up to this length are written here: calling the native method costs as much as writing them. */
const SHORT_TEXT_LENGTH = 40;

/** Writes latin1 text, for which there is room. */
export function writeLatin1(target: Buffer, at: number, text: string): void {
  const { length } = text;
  if (length > SHORT_TEXT_LENGTH) target.latin1Write(text, at);
  else for (let index = 0; index < length; index++) target[at + index] = text.charCodeAt(index);
}

/** Writes an exact unsigned integer below 2^53 as 8 bytes, big-endian. */
export function writeUint64(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  const low = value >>> 0;
  target[at] = high >>> 24;
  target[at + 1] = high >>> 16;
  target[at + 2] = high >>> 8;
  target[at + 3] = high;
  target[at + 4] = low >>> 24;
  target[at + 5] = low >>> 16;
  target[at + 6] = low >>> 8;
  target[at + 7] = low;
}

/** Reads what {@link writeUint64} wrote. */
export function readUint64(bytes: Buffer, at: number): number {
  const high = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  const low =
    ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
  return high * TWO_32 + low;
}

/** Writes an exact unsigned integer below 2^48 as 6 bytes, big-endian. Returns where it ends. */
export function writeUint48(target: Buffer, at: number, value: number): number {
  const high = Math.floor(value / TWO_32);
  const low = value >>> 0;
  target[at] = high >>> 8;
  target[at + 1] = high;
  target[at + 2] = low >>> 24;
  target[at + 3] = low >>> 16;
  target[at + 4] = low >>> 8;
  target[at + 5] = low;
  return at + 6;
}

/** Reads what {@link writeUint48} wrote. */
export function readUint48(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at, 6);
}

/** Bytes of the origin, and of the version behind it, in a row that has element rows. */
export const ORIGIN_BYTES = 3;
export const VERSION_BYTES = 5;

/** The first number that is no version. */
export const VERSION_END = 2 ** 40;
/** The first number that is no origin. */
export const ORIGIN_END = 2 ** 24;

/** Writes a version, and leaves the origin as it is. */
export function writeVersion(target: Buffer, at: number, version: number): void {
  target.writeUIntBE(version, at + ORIGIN_BYTES, VERSION_BYTES);
}

/** Reads what {@link writeVersion} wrote. */
export function readVersion(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at + ORIGIN_BYTES, VERSION_BYTES);
}

/** Writes the origin beside a version. */
export function writeOrigin(target: Buffer, at: number, origin: number): void {
  target.writeUIntBE(origin, at, ORIGIN_BYTES);
}

/** Reads what {@link writeOrigin} wrote. */
export function readOrigin(bytes: Buffer, at: number): number {
  return bytes.readUIntBE(at, ORIGIN_BYTES);
}

/** Longest encoding of a number below 2^53. */
export const NUMBER_BYTES_MAX = 8;

/** Longest encoding of a number up to this one. */
export function lengthBytesMax(max: number): number {
  return max < 1 << 14 ? 2 : NUMBER_BYTES_MAX;
}

/** Writes an exact unsigned integer below 2^53. Returns where it ends. */
export function writeNumber(target: Buffer, at: number, value: number): number {
  let rest = value;
  let position = at;
  while (rest >= 128) {
    target[position++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  target[position++] = rest;
  return position;
}

/** Length of what {@link writeNumber} writes. */
export function numberBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

/** Writes a text with its length. Returns where it ends. */
export function writeText(target: Buffer, at: number, value: StringValue): number {
  const start = writeNumber(target, at, value.length);
  if (typeof value === 'string') writeLatin1(target, start, value);
  else target.set(value, start);
  return start + value.length;
}

/** Length of what {@link writeText} writes. */
export function textBytes(value: StringValue): number {
  return numberBytes(value.length) + value.length;
}

/** Reads the pieces one after the other. Every method throws RowFormatError where the bytes end too early. */
export class ByteReader {
  constructor(
    private readonly source: Buffer,
    private at = 0,
  ) {}

  get isAtEnd(): boolean {
    return this.at === this.source.length;
  }

  /** How many bytes have been read. */
  get position(): number {
    return this.at;
  }

  byte(): number {
    const value = this.source[this.at++];
    if (value === undefined) throw cutShort();
    return value;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      if (scale > Number.MAX_SAFE_INTEGER) throw new RowFormatError('a number that is too long');
    }
  }

  /** The version of element rows, whatever origin stands beside it. */
  version(): number {
    this.need(8);
    const value = readVersion(this.source, this.at);
    this.at += 8;
    return value;
  }

  double(): number {
    this.need(8);
    const value = this.source.readDoubleBE(this.at);
    this.at += 8;
    return value;
  }

  /** Bytes as latin1 text. */
  latin1(length: number): string {
    this.need(length);
    const start = this.at;
    this.at += length;
    return this.source.latin1Slice(start, this.at);
  }

  /** Bytes, which share memory with what is read. */
  bytes(length: number): Buffer {
    this.need(length);
    const start = this.at;
    this.at += length;
    return this.source.subarray(start, this.at);
  }

  /** Passes over bytes: making a Buffer of them, as {@link bytes} does, costs more than all else about a short piece. */
  skip(length: number): void {
    this.need(length);
    this.at += length;
  }

  /** A text with its length before it. */
  text(): string {
    return this.latin1(this.number());
  }

  /** As {@link text}; a long one shares memory with what is read. */
  value(): StringValue {
    return stringValue(this.bytes(this.number()));
  }

  /** A reader of what this one has not read yet, which stays where it is. */
  ahead(): ByteReader {
    return new ByteReader(this.source, this.at);
  }

  /** @throws RowFormatError if something is left */
  end(): void {
    if (!this.isAtEnd) throw new RowFormatError('a collection with bytes behind its end');
  }

  private need(bytes: number): void {
    if (this.at + bytes > this.source.length) throw cutShort();
  }
}

function cutShort(): RowFormatError {
  return new RowFormatError('a collection that is cut short');
}
