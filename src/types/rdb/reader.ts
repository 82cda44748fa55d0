import { Buffer } from 'node:buffer';
import { lzfDecompress } from '../../base/lzf.js';
import { type StringValue, stringValue, valueText } from '../row.js';
import type { PayloadFault } from './values.js';

/*
 * A string or a number begins with a length, whose first two bits tell the form:
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
export const LENGTH_32 = 0x80;
export const LENGTH_64 = 0x81;
export const INT8 = 0xc0;
export const INT16 = 0xc1;
export const INT32 = 0xc2;
export const LZF = 0xc3;

/** Bytes that an element takes in memory besides its own, roughly: string header, slot, an object around it. */
const ELEMENT_OVERHEAD_BYTES = 64;

/**
 * What ends the reading of a payload; decodePayload catches it, so it never leaves this folder. Readers of formats this
 * deep would otherwise have to pass failures up after every byte.
 */
export class PayloadError extends Error {
  constructor(readonly fault: PayloadFault) {
    super(fault.kind);
  }
}

export function malformed(): PayloadError {
  return new PayloadError({ kind: 'malformed' });
}

/** How much may be made of a payload. */
export class Budget {
  #bytesLeft: number;

  /**
   * @param stringBytesMax longest string to accept
   * @param bytesMax what all elements may take in memory, roughly
   */
  constructor(
    readonly stringBytesMax: number,
    bytesMax: number,
  ) {
    this.#bytesLeft = bytesMax;
  }

  /** Takes what an element of so many bytes costs. */
  spend(bytes: number): void {
    this.#bytesLeft -= bytes + ELEMENT_OVERHEAD_BYTES;
    if (this.#bytesLeft < 0) throw new PayloadError({ kind: 'too-large' });
  }

  /** Refuses a string that is too long by itself or with all before, before it is made. */
  admit(bytes: number): void {
    if (bytes > this.stringBytesMax) throw new PayloadError({ kind: 'too-long' });
    if (bytes > this.#bytesLeft) throw new PayloadError({ kind: 'too-large' });
  }
}

/** A value of its own memory; counted against the budget. */
export function ownValue(bytes: Buffer, budget: Budget): StringValue {
  budget.spend(bytes.length);
  const value = stringValue(bytes);
  return typeof value === 'string' ? value : Buffer.from(value);
}

/** Reads the body of a payload front to back; every method throws {@link PayloadError} where there is nothing. */
export class PayloadReader {
  #at = 0;

  constructor(
    private readonly body: Buffer,
    readonly budget: Budget,
  ) {}

  /** Bytes read so far. */
  get position(): number {
    return this.#at;
  }

  /** Moves behind the next bytes, and gives where they begin. */
  #skip(bytes: number): number {
    const at = this.#at;
    if (bytes > this.body.length - at) throw malformed();
    this.#at = at + bytes;
    return at;
  }

  /** Shares memory with the payload. */
  raw(bytes: number): Buffer {
    const at = this.#skip(bytes);
    return this.body.subarray(at, at + bytes);
  }

  byte(): number {
    return this.body[this.#skip(1)]!;
  }

  double(): number {
    return this.body.readDoubleLE(this.#skip(8));
  }

  /** Unix time in milliseconds, or what stands for it: signed, rounded beyond 2^53. */
  time(): number {
    return Number(this.body.readBigInt64LE(this.#skip(8)));
  }

  /** An unsigned 64-bit number, rounded beyond 2^53. */
  length(): number {
    return this.#length(this.byte());
  }

  /** A number of events, of 63 bits, rounded beyond 2^53. */
  counter(): number {
    const counter = this.length();
    if (counter >= 2 ** 63) throw malformed();
    return counter;
  }

  /** An unsigned 64-bit number, whole. */
  unsigned(): bigint {
    const first = this.byte();
    return first === LENGTH_64 ? this.body.readBigUInt64BE(this.#skip(8)) : BigInt(this.#length(first));
  }

  #length(first: number): number {
    // Where a length is wanted, Redis takes the first byte of an integer or LZF as one of 6 bits.
    if (first < 0x40 || first >= INT8) return first & 0x3f;
    if (first < LENGTH_32) return ((first & 0x3f) << 8) | this.byte();
    if (first === LENGTH_32) return this.body.readUInt32BE(this.#skip(4));
    if (first === LENGTH_64) return Number(this.body.readBigUInt64BE(this.#skip(8)));
    throw malformed();
  }

  /** Number of elements that follow: at least one, and no more than there are bytes. */
  count(): number {
    const count = this.length();
    if (count === 0 || count > this.body.length - this.#at) throw malformed();
    return count;
  }

  /** The bytes of a string; they share memory with the payload unless they had to be made. */
  bytes(): Buffer {
    const first = this.byte();
    if (first === INT8) return decimal(this.body.readInt8(this.#skip(1)));
    if (first === INT16) return decimal(this.body.readInt16LE(this.#skip(2)));
    if (first === INT32) return decimal(this.body.readInt32LE(this.#skip(4)));
    if (first === LZF) return this.#compressed();
    if (first > LZF) throw malformed();
    const length = this.#length(first);
    if (length > this.body.length - this.#at) throw malformed();
    this.budget.admit(length);
    return this.raw(length);
  }

  #compressed(): Buffer {
    const compressedBytes = this.length();
    const plainBytes = this.length();
    const compressed = this.raw(compressedBytes);
    this.budget.admit(plainBytes);
    const plain = lzfDecompress(compressed, plainBytes);
    if (plain === undefined) throw malformed();
    return plain;
  }

  /** A string of its own memory. */
  value(): StringValue {
    return ownValue(this.bytes(), this.budget);
  }
}

function decimal(value: number): Buffer {
  return Buffer.from(String(value), 'latin1');
}

/** What a Set of JavaScript holds, and a string of it, at least: beyond, there would be exceptions. */
const DISTINCT_ELEMENTS_MAX = 2 ** 24 - 1;
const DISTINCT_BYTES_MAX = 2 ** 28;

/** Refuses elements that come twice. */
export class Distinct {
  readonly #seen = new Set<string>();

  add(value: StringValue): StringValue {
    if (value.length > DISTINCT_BYTES_MAX || this.#seen.size === DISTINCT_ELEMENTS_MAX)
      throw new PayloadError({ kind: 'too-large' });
    const text = valueText(value);
    if (this.#seen.has(text)) throw malformed();
    this.#seen.add(text);
    return value;
  }
}
