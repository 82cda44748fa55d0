import { type Int64, toInt64 } from '../base/numbers.js';

/**
 * The id of a stream's entry: 16 characters of latin1, the bytes of two unsigned 64-bit numbers, big-endian:
 * milliseconds, then the sequence number within one. So ids compare with `<` and `===`, are the keys of trees as they
 * are, and cover the whole range of Redis's, which a pair of JavaScript numbers would not.
 */
export type StreamId = string;

const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
const HALF = 8;
const TWO_32 = 0x1_0000_0000;
/** Upper words below it leave a number safe. */
const SAFE_HIGH = 0x20_0000;
/** Redis copies an id into a buffer of this size, with a terminating zero. */
const TEXT_LENGTH_MAX = 127;

/** An unsigned 64-bit number as 8 characters; larger ones wrap around, as do negative ones. */
function encodeHalf(value: Int64): string {
  const safe = typeof value === 'number' && value >= 0;
  const wide = safe ? 0n : BigInt(value);
  const high = safe ? Math.floor(value / TWO_32) : Number((wide >> 32n) & 0xffff_ffffn);
  const low = safe ? value % TWO_32 : Number(wide & 0xffff_ffffn);
  return String.fromCharCode(
    high >>> 24,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 24,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}

function word(id: StreamId, at: number): number {
  return (
    ((id.charCodeAt(at) << 24) |
      (id.charCodeAt(at + 1) << 16) |
      (id.charCodeAt(at + 2) << 8) |
      id.charCodeAt(at + 3)) >>>
    0
  );
}

function decodeHalf(id: StreamId, at: number): Int64 {
  const high = word(id, at);
  const low = word(id, at + 4);
  return high < SAFE_HIGH ? high * TWO_32 + low : toInt64((BigInt(high) << 32n) | BigInt(low));
}

/** An id of its parts, which are taken modulo 2^64. */
export function streamId(ms: Int64, sequence: Int64): StreamId {
  return encodeHalf(ms) + encodeHalf(sequence);
}

/** Unsigned, whole: a bigint beyond 2^53. */
export function streamIdMs(id: StreamId): Int64 {
  return decodeHalf(id, 0);
}

/** Unsigned, whole: a bigint beyond 2^53. */
export function streamIdSequence(id: StreamId): Int64 {
  return decodeHalf(id, HALF);
}

/** Below all ids of entries: no entry has it. */
export const STREAM_ID_MIN: StreamId = streamId(0, 0);
export const STREAM_ID_MAX: StreamId = streamId(UINT64_MAX, UINT64_MAX);

/** `ms-sequence`, both decimal. */
export function formatStreamId(id: StreamId): string {
  return `${streamIdMs(id)}-${streamIdSequence(id)}`;
}

/** The least id above; undefined above the greatest. */
export function nextStreamId(id: StreamId): StreamId | undefined {
  if (id === STREAM_ID_MAX) return undefined;
  const sequence = BigInt(streamIdSequence(id));
  if (sequence < UINT64_MAX) return streamId(streamIdMs(id), toInt64(sequence + 1n));
  return streamId(toInt64(BigInt(streamIdMs(id)) + 1n), 0);
}

/** The greatest id below; undefined below the least. */
export function previousStreamId(id: StreamId): StreamId | undefined {
  if (id === STREAM_ID_MIN) return undefined;
  const sequence = BigInt(streamIdSequence(id));
  if (sequence > 0n) return streamId(streamIdMs(id), toInt64(sequence - 1n));
  return streamId(toInt64(BigInt(streamIdMs(id)) - 1n), UINT64_MAX);
}

/** The parts of one id less those of another, each a signed number modulo 2^64. */
export interface StreamIdDistance {
  readonly ms: Int64;
  readonly sequence: Int64;
}

export function streamIdDistance(from: StreamId, to: StreamId): StreamIdDistance {
  return {
    ms: difference(decodeHalf(to, 0), decodeHalf(from, 0)),
    sequence: difference(decodeHalf(to, HALF), decodeHalf(from, HALF)),
  };
}

/** The id at a distance. */
export function streamIdAt(from: StreamId, { ms, sequence }: StreamIdDistance): StreamId {
  return streamId(sum(decodeHalf(from, 0), ms), sum(decodeHalf(from, HALF), sequence));
}

function difference(left: Int64, right: Int64): Int64 {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  return toInt64(BigInt.asIntN(64, BigInt(left) - BigInt(right)));
}

function sum(left: Int64, right: Int64): Int64 {
  if (typeof left === 'number' && typeof right === 'number') {
    const exact = left + right;
    if (Number.isSafeInteger(exact)) return exact;
  }
  return BigInt(left) + BigInt(right);
}

/** What an id without `-sequence` means. */
export type MissingSequence = 'first' | 'last';

const UNSIGNED = /^[\t-\r ]*([+-]?)(\d+)$/;

/**
 * What C's strtoull reads whole, but for canonical negative numbers: a rule of Redis. Others are negated modulo 2^64.
 */
function parseUnsigned(text: string): Int64 | undefined {
  const match = UNSIGNED.exec(text);
  if (match === null || /^-[1-9]/.test(text)) return undefined;
  const value = BigInt(match[2]!);
  if (value > UINT64_MAX) return undefined;
  return toInt64(match[1] === '-' ? BigInt.asUintN(64, -value) : value);
}

/**
 * Reads `ms-sequence`, or `ms` alone; not `-`, `+` or `*`.
 * @returns undefined for anything else ("Invalid stream ID specified as stream command argument")
 */
export function parseStreamId(text: string, missing: MissingSequence): StreamId | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  const dash = text.indexOf('-');
  const ms = parseUnsigned(dash < 0 ? text : text.slice(0, dash));
  const missingSequence = missing === 'first' ? 0 : UINT64_MAX;
  const sequence = dash < 0 ? missingSequence : parseUnsigned(text.slice(dash + 1));
  return ms === undefined || sequence === undefined ? undefined : streamId(ms, sequence);
}

/**
 * Reads one end of a range: an id, `-` for the least, `+` for the greatest, or `(` and an id that is left out itself.
 * @returns the first or last id of the range; `malformed` where there is no id, `empty` where nothing is on the
 *   range's side of the id that is left out
 */
export function parseStreamRangeEnd(text: string, end: 'start' | 'stop'): StreamId | 'malformed' | 'empty' {
  if (text === '-') return STREAM_ID_MIN;
  if (text === '+') return STREAM_ID_MAX;
  const exclusive = text.length > 1 && text.startsWith('(');
  const id = parseStreamId(exclusive ? text.slice(1) : text, end === 'start' ? 'first' : 'last');
  if (id === undefined) return 'malformed';
  if (!exclusive) return id;
  return (end === 'start' ? nextStreamId(id) : previousStreamId(id)) ?? 'empty';
}

/** What XADD is told of a new entry's id: `*`, `ms-*`, or the whole of it. */
export type NewStreamId =
  | { readonly kind: 'automatic' }
  | { readonly kind: 'automatic-sequence'; readonly ms: Int64 }
  | { readonly kind: 'explicit'; readonly id: StreamId };

/** @returns undefined where the text is none of these */
export function parseNewStreamId(text: string): NewStreamId | undefined {
  if (text === '*') return { kind: 'automatic' };
  if (text.endsWith('-*') && text.indexOf('-') === text.length - 2) {
    const ms = text.length > TEXT_LENGTH_MAX ? undefined : parseUnsigned(text.slice(0, -2));
    return ms === undefined ? undefined : { kind: 'automatic-sequence', ms };
  }
  const id = parseStreamId(text, 'first');
  return id === undefined ? undefined : { kind: 'explicit', id };
}

/**
 * The id that a new entry gets.
 * @param lastId the greatest that the stream ever had
 * @param nowMs Unix time
 * @returns undefined where it would not be greater than `lastId`
 */
export function resolveNewStreamId(
  wanted: NewStreamId,
  lastId: StreamId,
  nowMs: number,
): StreamId | undefined {
  if (wanted.kind === 'explicit') return wanted.id > lastId ? wanted.id : undefined;
  if (wanted.kind === 'automatic') {
    const id = streamId(nowMs, 0);
    return id > lastId ? id : nextStreamId(lastId);
  }
  const id = streamId(wanted.ms, 0);
  if (id > lastId) return id;
  const next = nextStreamId(lastId);
  return next !== undefined && next.slice(0, HALF) === id.slice(0, HALF) ? next : undefined;
}
