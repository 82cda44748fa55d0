import { Buffer } from 'node:buffer';
import type { StringValue } from './row.js';

/**
 * Bits of a string, counted as Redis counts them: bit 0 is the highest bit of the first byte, bit 8 the highest of
 * the second. Bits behind the end are 0.
 */
export type Bit = 0 | 1;

export type BitOperation = 'AND' | 'OR' | 'XOR' | 'NOT';

export function bitAt(value: StringValue, offset: number): Bit {
  const index = Math.floor(offset / 8);
  if (index >= value.length) return 0;
  const byte = typeof value === 'string' ? value.charCodeAt(index) : value[index]!;
  return ((byte >> (7 - (offset % 8))) & 1) as Bit;
}

/** Number of ones from `first` to `last`, both inclusive and inside the string. */
export function countBits(bytes: Buffer, first: number, last: number): number {
  const firstByte = Math.floor(first / 8);
  const lastByte = Math.floor(last / 8);
  const headMask = 0xff >> (first % 8);
  const tailMask = (0xff << (7 - (last % 8))) & 0xff;
  if (firstByte === lastByte) return ones(bytes[firstByte]! & headMask & tailMask);
  const edges = ones(bytes[firstByte]! & headMask) + ones(bytes[lastByte]! & tailMask);
  return edges + countBytes(bytes, firstByte + 1, lastByte);
}

/** Ones in the bytes from `start` to before `end`, four at a time where they are aligned. */
function countBytes(bytes: Buffer, start: number, end: number): number {
  let total = 0;
  let at = start;
  while (at < end && (bytes.byteOffset + at) % 4 !== 0) total += ones(bytes[at++]!);
  const words = Math.floor((end - at) / 4);
  if (words > 0) {
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + at, words);
    for (let index = 0; index < words; index++) total += ones(view[index]!);
    at += words * 4;
  }
  while (at < end) total += ones(bytes[at++]!);
  return total;
}

/**
 * Ones in a 32-bit word: sums of neighbours of 1, 2 and 4 bits, then of the bytes by a multiplication.
 * Source: H. S. Warren, "Hacker's Delight", chapter 5.
 */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const quads = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((quads + (quads >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * The first bit equal to `bit` from `first` to `last`, both inclusive and inside the string.
 * @returns -1 if there is none
 */
export function findBit(bytes: Buffer, bit: Bit, first: number, last: number): number {
  // Inverted where zeros are sought, so that the search is always for a one.
  const invert = bit === 1 ? 0 : 0xff;
  let at = Math.floor(first / 8);
  const lastByte = Math.floor(last / 8);
  let byte = (bytes[at]! ^ invert) & (0xff >> (first % 8));
  if (byte === 0) {
    at = skipBytes(bytes, invert, at + 1, lastByte + 1);
    if (at > lastByte) return -1;
    byte = bytes[at]! ^ invert;
  }
  const position = at * 8 + Math.clz32(byte) - 24;
  return position <= last ? position : -1;
}

/** The first byte from `start` on that is not `skipped`; `end` if there is none. */
function skipBytes(bytes: Buffer, skipped: number, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes.byteOffset + at) % 4 !== 0) {
    if (bytes[at] !== skipped) return at;
    at++;
  }
  const words = Math.floor((end - at) / 4);
  if (words > 0) {
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + at, words);
    const skippedWord = skipped === 0 ? 0 : 0xffffffff;
    let index = 0;
    while (index < words && view[index] === skippedWord) index++;
    at += index * 4;
  }
  while (at < end && bytes[at] === skipped) at++;
  return at;
}

/**
 * Combines strings bit by bit. The result is as long as the longest; shorter ones count as padded with zeros.
 * NOT takes one source.
 */
export function combineBits(operation: BitOperation, sources: readonly Buffer[]): Buffer {
  const length = sources.reduce((longest, source) => Math.max(longest, source.length), 0);
  const result = Buffer.alloc(length);
  const [first, ...others] = sources;
  if (first === undefined) return result;
  result.set(first);
  if (operation === 'NOT') {
    combine(result, undefined, operation);
    return result;
  }
  for (const source of others) {
    combine(result, source, operation);
    if (operation === 'AND') result.fill(0, source.length);
  }
  return result;
}

/** Combines `source` into the beginning of `target`: word by word if both are aligned, then byte by byte. */
function combine(target: Buffer, source: Buffer | undefined, operation: BitOperation): void {
  const other = source ?? target;
  const { length } = other;
  let at = 0;
  if (target.byteOffset % 4 === 0 && other.byteOffset % 4 === 0) {
    const words = Math.floor(length / 4);
    combineCells(
      new Uint32Array(target.buffer, target.byteOffset, words),
      new Uint32Array(other.buffer, other.byteOffset, words),
      operation,
    );
    at = words * 4;
  }
  combineCells(target.subarray(at, length), other.subarray(at), operation);
}

type Cells = Uint32Array | Uint8Array;

function combineCells(target: Cells, source: Cells, operation: BitOperation): void {
  const { length } = target;
  switch (operation) {
    case 'AND':
      for (let index = 0; index < length; index++) target[index]! &= source[index]!;
      break;
    case 'OR':
      for (let index = 0; index < length; index++) target[index]! |= source[index]!;
      break;
    case 'XOR':
      for (let index = 0; index < length; index++) target[index]! ^= source[index]!;
      break;
    case 'NOT':
      for (let index = 0; index < length; index++) target[index] = ~source[index]!;
      break;
  }
}
