import { Buffer } from 'node:buffer';
import { ByteReader, RowFormatError, writeNumber } from '../binary.js';

/*
 * What has changed of a node's bytes, as a list of patches, one behind the other. Each is about the bytes that those
 * before it have left:
 *   where it begins (number), how many bytes go (number), how many come in their place (number), these
 * So whoever has the bytes of a node can bring them up to date without knowing what kind of entries they hold.
 */

/** Most bytes that a patch has beside those that come, in nodes below 2^35 bytes, if at most 2^14 come. */
export const PATCH_OVERHEAD_BYTES = 12;

/** Writes what stands before the bytes that come. Returns where they are to be written. */
export function writePatchHeader(
  target: Buffer,
  at: number,
  offset: number,
  removed: number,
  inserted: number,
): number {
  return writeNumber(target, writeNumber(target, writeNumber(target, at, offset), removed), inserted);
}

/** A node's bytes with a list of patches applied. @throws RowFormatError for patches that are not of these bytes */
export function patched(bytes: Buffer, patches: Buffer): Buffer {
  const reader = new ByteReader(patches);
  let result = bytes;
  while (!reader.isAtEnd) {
    const offset = reader.number();
    const behind = offset + reader.number();
    const inserted = reader.bytes(reader.number());
    if (behind > result.length) throw new RowFormatError('a patch of a node beyond its end');
    result = Buffer.concat([result.subarray(0, offset), inserted, result.subarray(behind)]);
  }
  return result;
}
