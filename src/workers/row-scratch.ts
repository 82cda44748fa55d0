import { Buffer } from 'node:buffer';
import type { Row } from '../types/row.js';
import { encodeRow, encodeTtlKey, rowRoom, TTL_KEY_PREFIX_BYTES, writeLatin1 } from '../types/row-codec.js';

/*
 * The binding copies what it is given, so rows are encoded into memory that is used again for the next.
 * A view of each length is made once: making a Buffer costs as much as copying a small row.
 */
const VALUE_SCRATCH_BYTES = 16_384;
const KEY_SCRATCH_BYTES = 1024;
const scratchOfValue = Buffer.allocUnsafeSlow(VALUE_SCRATCH_BYTES);
const valueViews: (Buffer | undefined)[] = new Array(VALUE_SCRATCH_BYTES + 1);
const scratchOfKey = Buffer.allocUnsafeSlow(KEY_SCRATCH_BYTES);
const keyViews: (Buffer | undefined)[] = new Array(KEY_SCRATCH_BYTES + 1);

function view(scratch: Buffer, length: number): Buffer {
  if (scratch !== scratchOfValue) return scratch.subarray(0, length);
  let found = valueViews[length];
  if (found === undefined) {
    found = scratch.subarray(0, length);
    valueViews[length] = found;
  }
  return found;
}

/** The bytes of a key, in memory that the next call overwrites. */
export function keyScratch(key: string): Buffer {
  const { length } = key;
  if (length > KEY_SCRATCH_BYTES) return keyBytes(key);
  writeLatin1(scratchOfKey, 0, key);
  let found = keyViews[length];
  if (found === undefined) {
    found = scratchOfKey.subarray(0, length);
    keyViews[length] = found;
  }
  return found;
}

export function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

/** @param ofElement whether the time is that of an element of the key's value */
export function ttlKey(expiresAtMs: number, key: string, ofElement = false): Buffer {
  const bytes = Buffer.allocUnsafe(TTL_KEY_PREFIX_BYTES + key.length);
  encodeTtlKey(expiresAtMs, key, bytes, ofElement);
  return bytes;
}

/** The bytes of a row, in memory that the next call overwrites. */
export function rowBytes(row: Row): Buffer {
  const room = rowRoom(row);
  const scratch = room <= VALUE_SCRATCH_BYTES ? scratchOfValue : Buffer.allocUnsafe(room);
  return view(scratch, encodeRow(row, scratch));
}

/** The bytes of a text, in memory that the next call overwrites. */
export function valueScratch(text: string): Buffer {
  const { length } = text;
  if (length > VALUE_SCRATCH_BYTES) return keyBytes(text);
  writeLatin1(scratchOfValue, 0, text);
  return view(scratchOfValue, length);
}
