import { Buffer } from 'node:buffer';

/*
 * Replies of RESP2 and RESP3 are cut out of the stream here and looked at in place: a reply that is only compared
 * needs no JavaScript value made of it. (redis-parser makes one of each, and does not know RESP3.)
 */

/** What a server sent is not the Redis protocol. */
export class ProtocolError extends Error {}

const CR = 0x0d;
const DEPTH_MAX = 32;
/** Replies larger than this end the connection. */
const FRAME_BYTES_MAX = 2 ** 30;

const INCOMPLETE = -1;
const BULK_TYPES = '$!=';
const ARRAY_TYPES = '*~>';
const MAP_TYPES = '%|';

const enumerate = (types: string) => new Set([...types].map((type) => type.charCodeAt(0)));
const ARRAYS = enumerate(ARRAY_TYPES);
const MAPS = enumerate(MAP_TYPES);
const LINES = enumerate('+-:,#(_');
const ATTRIBUTE = 0x7c;
const PUSH = 0x3e;
export const BULK = 0x24;
export const ERROR = 0x2d;
export const INTEGER = 0x3a;
export const ARRAY = 0x2a;
const STATUS = 0x2b;
const NULL = 0x5f;
const MINUS = 0x2d;

/** Where the line that begins at `at` ends, after its CR LF; INCOMPLETE if it is not all there. */
function lineEnd(buffer: Buffer, at: number, end: number): number {
  for (let i = at; i < end - 1; i++) if (buffer[i] === CR) return i + 2;
  return INCOMPLETE;
}

/** The integer of a header or an integer reply, from after its type byte to its CR. */
export function readInteger(buffer: Buffer, at: number): number {
  let i = at;
  const negative = buffer[i] === MINUS;
  if (negative) i++;
  let value = 0;
  for (; buffer[i] !== CR; i++) {
    const digit = buffer[i]! - 48;
    if (!(digit >= 0 && digit <= 9)) throw new ProtocolError('a number with other characters than digits');
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

/** Where the reply that begins at `at` ends, or -1 if it is not all there. */
export function frameEnd(buffer: Buffer, at: number, end: number, depth = 0): number {
  if (at >= end) return INCOMPLETE;
  const type = buffer[at]!;
  const headerEnd = lineEnd(buffer, at, end);
  if (headerEnd === INCOMPLETE) return INCOMPLETE;
  if (type === BULK) {
    const length = readInteger(buffer, at + 1);
    if (length < 0) return headerEnd;
    return headerEnd + length + 2 <= end ? headerEnd + length + 2 : INCOMPLETE;
  }
  if (LINES.has(type)) return headerEnd;
  return aggregateEnd(buffer, at, headerEnd, end, depth);
}

function aggregateEnd(buffer: Buffer, at: number, headerEnd: number, end: number, depth: number): number {
  const type = buffer[at]!;
  if (BULK_TYPES.includes(String.fromCharCode(type))) {
    const blobEnd = headerEnd + readInteger(buffer, at + 1) + 2;
    return blobEnd <= end ? blobEnd : INCOMPLETE;
  }
  if (!ARRAYS.has(type) && !MAPS.has(type)) {
    throw new ProtocolError(`a reply that begins with ${JSON.stringify(String.fromCharCode(type))}`);
  }
  if (depth === DEPTH_MAX) throw new ProtocolError(`arrays nested more than ${DEPTH_MAX} deep`);
  const count = readInteger(buffer, at + 1) * (MAPS.has(type) ? 2 : 1);
  let place = headerEnd;
  // What an attribute says is about the reply that follows.
  const replies = type === ATTRIBUTE ? count + 1 : count;
  for (let i = 0; i < replies; i++) {
    place = frameEnd(buffer, place, end, depth + 1);
    if (place === INCOMPLETE) return INCOMPLETE;
  }
  return place;
}

/** Whether the reply at `at` is a null of either protocol. */
export function isNull(buffer: Buffer, at: number): boolean {
  return buffer[at] === NULL || ((buffer[at] === BULK || buffer[at] === ARRAY) && buffer[at + 1] === MINUS);
}

/** Where the bytes of the bulk string that begins at `at` begin; they end 2 before the frame does. */
export function bulkStart(buffer: Buffer, at: number): number {
  let i = at + 1;
  while (buffer[i] !== CR) i++;
  return i + 2;
}

/** The text of a status, an error or a bulk string. */
export function readText(buffer: Buffer, at: number, end: number): string {
  const start = buffer[at] === BULK ? bulkStart(buffer, at) : at + 1;
  return buffer.toString('utf8', start, end - 2);
}

export type Decoded = string | number | null | readonly Decoded[];

/** A reply as a value, for those that are not worth looking at in place; errors and maps come as text and flat arrays. */
export function decode(buffer: Buffer, at: number): Decoded {
  return decodeFrom(buffer, at).value;
}

function decodeFrom(buffer: Buffer, at: number): { value: Decoded; end: number } {
  const type = buffer[at]!;
  const end = frameEnd(buffer, at, buffer.length);
  if (isNull(buffer, at)) return { value: null, end };
  if (type === INTEGER) return { value: readInteger(buffer, at + 1), end };
  if (!ARRAYS.has(type) && !MAPS.has(type)) return { value: readText(buffer, at, end), end };
  const values: Decoded[] = [];
  let place = lineEnd(buffer, at, buffer.length);
  while (place < end) {
    const element = decodeFrom(buffer, place);
    values.push(element.value);
    place = element.end;
  }
  return { value: values, end };
}

/** Whether the status at `at` is `+OK`. */
export function isOk(buffer: Buffer, at: number): boolean {
  return buffer[at] === STATUS && buffer[at + 1] === 0x4f && buffer[at + 2] === 0x4b && buffer[at + 3] === CR;
}

/** Hands on each whole reply of a stream: `buffer` from `start` to `end`, valid until it returns. */
export type OnReply = (buffer: Buffer, start: number, end: number) => void;

/** Cuts a stream into replies. Chunks are not kept: what is incomplete is copied, so their memory may be used again. */
export class ReplyReader {
  #held = Buffer.alloc(0);
  #heldLength = 0;

  constructor(readonly onReply: OnReply) {}

  /** @throws ProtocolError */
  push(chunk: Buffer, length = chunk.length): void {
    if (this.#heldLength === 0) {
      const used = this.#cut(chunk, length);
      if (used < length) this.#hold(chunk, used, length);
      return;
    }
    this.#hold(chunk, 0, length);
    const held = this.#held;
    const heldLength = this.#heldLength;
    const used = this.#cut(held, heldLength);
    if (used === 0) return;
    this.#held.copyWithin(0, used, heldLength);
    this.#heldLength = heldLength - used;
  }

  #cut(buffer: Buffer, length: number): number {
    let at = 0;
    while (at < length) {
      const end = frameEnd(buffer, at, length);
      if (end === INCOMPLETE) break;
      let start = at;
      at = end;
      if (buffer[start] === PUSH) continue;
      while (buffer[start] === ATTRIBUTE) start = attributeEnd(buffer, start, end);
      this.onReply(buffer, start, end);
    }
    return at;
  }

  #hold(chunk: Buffer, from: number, to: number): void {
    const needed = this.#heldLength + to - from;
    if (needed > FRAME_BYTES_MAX) throw new ProtocolError(`a reply of more than ${FRAME_BYTES_MAX} bytes`);
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, needed * 2));
      this.#held.copy(grown, 0, 0, this.#heldLength);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldLength, from, to);
    this.#heldLength = needed;
  }
}

function attributeEnd(buffer: Buffer, at: number, end: number): number {
  let place = lineEnd(buffer, at, end);
  for (let i = readInteger(buffer, at + 1) * 2; i > 0; i--) place = frameEnd(buffer, place, end);
  return place;
}
