import { Buffer } from 'node:buffer';
import type { WireSourceMessage } from './wire.js';

/*
 * Messages of a source that bring rows or records, put together by hand. protobufjs makes new memory for each, and gRPC
 * copies that to new memory again: enough of both has V8 mark the whole heap.
 *
 * In SourceMessage, as peer.proto has it: the tag of the field, the length of what follows, all of the inner message
 * but the bytes, the tag of the bytes, their length, they themselves. Fields may come in any order.
 */

/** Field numbers of peer.proto. */
const SLICE = 2;
const SLICE_ROWS = 1;
const RECORDS = 3;
const RECORDS_RECORDS = 2;

const LENGTH_DELIMITED = 2;
/** Set in each byte of a length but the last: lower bits come first. */
const VARINT_MORE = 0x80;
/** Two tags, and two lengths below 2^35. */
const HEADS_BYTES_MAX = 2 + 2 * 5;

/** As much as most messages have. */
const SCRATCH_BYTES = 1 << 20;

/** What serializes other messages, and the inner ones without their bytes. */
export interface Serializers {
  readonly message: (message: WireSourceMessage) => Buffer;
  readonly slice: (message: object) => Buffer;
  readonly records: (message: object) => Buffer;
}

/**
 * Serializes what a source says. The bytes are in memory that the next call overwrites: gRPC puts its own header in front of
 * them, for which it copies them before it returns.
 */
export function sourceSerializer(of: Serializers): (message: WireSourceMessage) => Buffer {
  const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  return (message) => {
    const { slice, records } = message;
    if (records) {
      const { records: bytes, ...rest } = records;
      return withBytes(scratch, RECORDS, of.records(rest), RECORDS_RECORDS, bytes);
    }
    if (slice) {
      const { rows: bytes, ...rest } = slice;
      return withBytes(scratch, SLICE, of.slice(rest), SLICE_ROWS, bytes);
    }
    return of.message(message);
  };
}

function withBytes(
  scratch: Buffer,
  field: number,
  rest: Buffer,
  bytesField: number,
  bytes: Uint8Array,
): Buffer {
  const needed = HEADS_BYTES_MAX + rest.length + bytes.length;
  const target = needed <= scratch.length ? scratch : Buffer.allocUnsafeSlow(needed);
  const bytesHead = 1 + varintLength(bytes.length);
  let at = writeHead(target, 0, field, rest.length + bytesHead + bytes.length);
  target.set(rest, at);
  at = writeHead(target, at + rest.length, bytesField, bytes.length);
  target.set(bytes, at);
  return target.subarray(0, at + bytes.length);
}

/** Writes a tag, and the length of what it is for. @returns where they end */
function writeHead(target: Buffer, start: number, field: number, length: number): number {
  let at = start;
  target[at++] = (field << 3) | LENGTH_DELIMITED;
  let left = length;
  for (; left >= VARINT_MORE; left = Math.floor(left / VARINT_MORE))
    target[at++] = (left % VARINT_MORE) | VARINT_MORE;
  target[at++] = left;
  return at;
}

function varintLength(value: number): number {
  let length = 1;
  for (let left = value; left >= VARINT_MORE; left = Math.floor(left / VARINT_MORE)) length++;
  return length;
}
