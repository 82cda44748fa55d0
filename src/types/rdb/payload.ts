import type { Buffer } from 'node:buffer';
import { crc64 } from '../../base/crc64.js';
import { decodeBody } from './decode.js';
import { DEFAULT_PACKING_LIMITS, earliestEnd, encodeBody, type PackingLimits } from './encode.js';
import { Budget } from './reader.js';
import type { PayloadFault, ValueData } from './values.js';

/*
 * What DUMP gives and RESTORE takes, as Redis 7.0 does (format: its rdb.c and cluster.c; the encodings are
 * described at https://rdb.fnordig.de/file_format.html):
 *
 *   offset  bytes  field
 *   0       1      type and form of the value, see PayloadType
 *   1       …      the value
 *   −10     2      version of the format, little-endian
 *   −8      8      CRC-64 of everything before it, little-endian, see base/crc64.ts
 */
const FOOTER_BYTES = 10;
/** That of Redis 7.0. */
const VERSION = 10;
/** That of Redis 7.4, the first whose hashes have fields with expiry. */
const VERSION_FIELD_EXPIRY = 12;
/** The newest that is read: what is new in it, or between, is known here, or refused as an unknown type. */
const VERSION_MAX = 12;

/**
 * The payload of a value. Redis from 7.0 takes it; hashes that have fields with expiry, from 7.4.
 * @param limits up to what size values have which form; where it matters not, Redis's defaults
 */
export function encodePayload(data: ValueData, limits: PackingLimits = DEFAULT_PACKING_LIMITS): Buffer {
  const writer = encodeBody(data, limits);
  const newer = data.kind === 'hash' && earliestEnd(data) !== 0;
  writer.unsigned(newer ? VERSION_FIELD_EXPIRY : VERSION, 2);
  const { high, low } = crc64(writer.bytes);
  writer.unsigned(low, 4);
  writer.unsigned(high, 4);
  return writer.bytes;
}

/** Whether a payload's footer is right: a version that is known, and the checksum. */
export function verifyPayload(payload: Buffer): boolean {
  if (payload.length < FOOTER_BYTES) return false;
  if (payload.readUInt16LE(payload.length - FOOTER_BYTES) > VERSION_MAX) return false;
  const { high, low } = crc64(payload, payload.length - 8);
  return (
    payload.readUInt32LE(payload.length - 8) === low && payload.readUInt32LE(payload.length - 4) === high
  );
}

/**
 * The value in a payload whose footer {@link verifyPayload} has found right, or why there is none; any bytes may be
 * given. The result shares no memory with the payload.
 * @param stringBytesMax longest string to accept
 * @param bytesMax memory that the value may take, roughly
 */
export function decodePayload(
  payload: Buffer,
  stringBytesMax: number,
  bytesMax: number,
): ValueData | PayloadFault {
  return decodeBody(payload.subarray(0, payload.length - FOOTER_BYTES), new Budget(stringBytesMax, bytesMax));
}
