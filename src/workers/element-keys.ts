import { Buffer } from 'node:buffer';
import { readUint64, writeLatin1, writeUint64 } from '../types/binary.js';
import { ElementKind, memberHash } from '../types/collections/elements.js';

/*
 * The key of a row in the `elem` family:
 *   0   8   version of the collection
 *   8   1   kind, see ElementKind
 *   9   4   of members: their hash
 *   9|13 …  name
 */
const VERSION_BYTES = 8;
export const ELEMENT_PREFIX_BYTES = VERSION_BYTES + 1;
const HASH_BYTES = 4;
const SCRATCH_BYTES = 1024;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const views: (Buffer | undefined)[] = new Array(SCRATCH_BYTES + 1);

function length(kind: ElementKind, name: string): number {
  return ELEMENT_PREFIX_BYTES + name.length + (kind === ElementKind.Member ? HASH_BYTES : 0);
}

function write(target: Buffer, version: number, kind: ElementKind, name: string): void {
  writeUint64(target, 0, version);
  target[VERSION_BYTES] = kind;
  let at = ELEMENT_PREFIX_BYTES;
  if (kind === ElementKind.Member) {
    target.writeUInt32BE(memberHash(name), at);
    at += HASH_BYTES;
  }
  writeLatin1(target, at, name);
}

/** The key of an element row. */
export function elementKey(version: number, kind: ElementKind, name: string): Buffer {
  const key = Buffer.allocUnsafe(length(kind, name));
  write(key, version, kind, name);
  return key;
}

/** The same, in memory that the next call overwrites. */
export function elementKeyScratch(version: number, kind: ElementKind, name: string): Buffer {
  const bytes = length(kind, name);
  if (bytes > SCRATCH_BYTES) return elementKey(version, kind, name);
  write(scratch, version, kind, name);
  let view = views[bytes];
  if (view === undefined) {
    view = scratch.subarray(0, bytes);
    views[bytes] = view;
  }
  return view;
}

/** The first key that a row of a collection may have: of any kind, or of one, from a place in its order on. */
export function elementBound(version: number, kind: number = 0, from = ''): Buffer {
  const bound = Buffer.allocUnsafe(ELEMENT_PREFIX_BYTES + from.length);
  writeUint64(bound, 0, version);
  bound[VERSION_BYTES] = kind;
  writeLatin1(bound, ELEMENT_PREFIX_BYTES, from);
  return bound;
}

/** The version in a key. */
export function versionOf(key: Buffer): number {
  return readUint64(key, 0);
}

/** The kind in a key. */
export function kindOf(key: Buffer): ElementKind {
  return key[VERSION_BYTES] as ElementKind;
}

/** What stands in a key behind version and kind. */
export function orderedNameOf(key: Buffer): string {
  return key.latin1Slice(ELEMENT_PREFIX_BYTES);
}
