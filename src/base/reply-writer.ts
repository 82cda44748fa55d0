import { Buffer } from 'node:buffer';
import type { CommandError } from './command-errors.js';
import type { ErrorTally } from './error-tally.js';
import type { Int64 } from './numbers.js';

const CR = 13;
const LF = 10;
const INITIAL_BYTES = 4096;

/** Integers up to this one are written digit by digit. */
const SMALL_INTEGER_MAX = 999_999_999;
const SMALL_INTEGER_BYTES_MAX = 12;
/** Texts up to this length are written here: calling the native method costs as much as writing them. */
const SHORT_TEXT_LENGTH = 40;

/** Version of the protocol a client speaks: 2 until it says HELLO 3. */
export type RespVersion = 2 | 3;

/**
 * Encodes replies straight into one growing buffer, in the protocol version of the client at hand.
 * Aggregates are announced by their length; their elements follow as further calls.
 */
export class ReplyWriter {
  version: RespVersion = 2;
  /** Bytes written so far: a reply is what lies between two readings of it. */
  position = 0;
  /** Error replies written so far, for statistics. */
  errorCount = 0;
  private buffer: Buffer;

  /** @param tally counts error replies by their code, if given */
  constructor(
    capacityBytes = INITIAL_BYTES,
    private readonly tally?: ErrorTally,
  ) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  /** What has been written; shares memory with the writer. */
  written(): Buffer {
    return this.buffer.subarray(0, this.position);
  }

  /** Hands the memory over and starts afresh with `nextCapacityBytes`. */
  take(nextCapacityBytes = INITIAL_BYTES): Buffer {
    const taken = this.written();
    this.buffer = Buffer.allocUnsafeSlow(nextCapacityBytes);
    this.position = 0;
    return taken;
  }

  /** Forgets everything, and goes on in the memory of `buffer`. */
  reuse(buffer: Buffer): void {
    this.buffer = buffer;
    this.position = 0;
  }

  /** Forgets everything written after `position`. */
  rewind(position: number): void {
    this.position = position;
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
  }

  ok(): void {
    this.raw('+OK\r\n');
  }

  /** A status line; `text` has no line breaks. */
  simple(text: string): void {
    this.raw(`+${text}\r\n`);
  }

  /** An error reply: the text with its code word first, as in `ERR syntax error`. */
  error(error: CommandError | string): void {
    const text = typeof error === 'string' ? error : error.text;
    this.errorCount++;
    this.tally?.count(text);
    this.raw(`-${/[\r\n]/.test(text) ? text.replace(/[\r\n]+$/, '').replace(/[\r\n]/g, ' ') : text}\r\n`);
  }

  integer(value: Int64): void {
    if (typeof value !== 'number' || value < 0 || value > SMALL_INTEGER_MAX) {
      this.raw(`:${value}\r\n`);
      return;
    }
    this.reserve(SMALL_INTEGER_BYTES_MAX);
    this.header(58, value);
  }

  /** A bulk string; a `string` is latin1, one character a byte. */
  bulk(value: string | Buffer): void {
    const { length } = value;
    this.reserve(SMALL_INTEGER_BYTES_MAX + length + 2);
    this.header(36, length);
    if (typeof value === 'string') this.buffer.latin1Write(value, this.position);
    else this.buffer.set(value, this.position);
    const end = this.position + length;
    this.buffer[end] = CR;
    this.buffer[end + 1] = LF;
    this.position = end + 2;
  }

  /** A bulk string of text that may hold any character, encoded as UTF-8. */
  text(value: string): void {
    this.bulk(Buffer.from(value, 'utf8'));
  }

  bulkOrNil(value: string | Buffer | undefined): void {
    if (value === undefined) this.nil();
    else this.bulk(value);
  }

  /** The absent value: `$-1` in RESP2, `_` in RESP3. */
  nil(): void {
    this.raw(this.version === 3 ? '_\r\n' : '$-1\r\n');
  }

  /** The absent array, which EXEC and blocking pops reply: `*-1` in RESP2, `_` in RESP3. */
  nilArray(): void {
    this.raw(this.version === 3 ? '_\r\n' : '*-1\r\n');
  }

  array(length: number): void {
    this.reserve(SMALL_INTEGER_BYTES_MAX);
    this.header(42, length);
  }

  /** A map of `pairs` key-value pairs; a flat array of twice as many elements in RESP2. */
  map(pairs: number): void {
    this.reserve(SMALL_INTEGER_BYTES_MAX);
    if (this.version === 3) this.header(37, pairs);
    else this.header(42, pairs * 2);
  }

  /** A set; an array in RESP2. */
  set(length: number): void {
    this.reserve(SMALL_INTEGER_BYTES_MAX);
    this.header(this.version === 3 ? 126 : 42, length);
  }

  /** A double; a bulk string in RESP2. */
  double(value: number): void {
    const text =
      value === Number.POSITIVE_INFINITY
        ? 'inf'
        : value === Number.NEGATIVE_INFINITY
          ? '-inf'
          : formatDouble(value);
    if (this.version === 3) this.raw(`,${text}\r\n`);
    else this.bulk(text);
  }

  /** A boolean; 1 or 0 in RESP2. */
  boolean(value: boolean): void {
    if (this.version === 3) this.raw(value ? '#t\r\n' : '#f\r\n');
    else this.integer(value ? 1 : 0);
  }

  /** Text for people: a verbatim string in RESP3, a bulk string in RESP2. */
  verbatim(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    if (this.version === 3) {
      this.raw(`=${bytes.length + 4}\r\ntxt:`);
      this.bytes(bytes);
      this.raw('\r\n');
    } else this.bulk(bytes);
  }

  /** Bytes that are protocol already. */
  bytes(encoded: Uint8Array): void {
    this.reserve(encoded.length);
    this.buffer.set(encoded, this.position);
    this.position += encoded.length;
  }

  /** ASCII text that is protocol already. */
  raw(encoded: string): void {
    const { length } = encoded;
    this.reserve(length);
    const { buffer, position } = this;
    if (length > SHORT_TEXT_LENGTH) buffer.latin1Write(encoded, position);
    else for (let index = 0; index < length; index++) buffer[position + index] = encoded.charCodeAt(index);
    this.position = position + length;
  }

  /** A `type` byte, a number up to SMALL_INTEGER_MAX, CRLF; the caller has reserved SMALL_INTEGER_BYTES_MAX. */
  private header(type: number, number: number): void {
    const { buffer, position } = this;
    buffer[position] = type;
    let digits = 1;
    for (let power = 10; power <= number; power *= 10) digits++;
    let rest = number;
    for (let at = position + digits; at > position; at--) {
      buffer[at] = 48 + (rest % 10);
      rest = (rest / 10) | 0;
    }
    const end = position + digits + 1;
    buffer[end] = CR;
    buffer[end + 1] = LF;
    this.position = end + 2;
  }
}

/** The shortest decimal that reads back as the same double, in C's `%.17g` style of exponents. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (Object.is(value, -0)) return '-0';
  const text = String(value);
  const exponentAt = text.indexOf('e');
  if (exponentAt < 0) return text;
  const sign = text[exponentAt + 1];
  const digits = text.slice(exponentAt + 2);
  return `${text.slice(0, exponentAt)}e${sign}${digits.length < 2 ? '0' : ''}${digits}`;
}
