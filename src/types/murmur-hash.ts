const MULTIPLIER_HIGH = 0xc6a4a793;
const MULTIPLIER_LOW = 0x5bd1e995;

/** A 64-bit integer as two unsigned 32-bit halves. */
export interface Hash64 {
  high: number;
  low: number;
}

/**
 * MurmurHash64A, written into `target`, which callers re-use: BigInt would be a hundred times slower.
 * Source of the algorithm and its constants: Austin Appleby, MurmurHash2.cpp (public domain).
 */
export function murmurHash64A(bytes: Uint8Array, seed: number, target: Hash64): void {
  const { length } = bytes;
  // The length is hashed in, times the multiplier.
  target.high = 0;
  target.low = length >>> 0;
  multiply(target);
  target.low = (target.low ^ seed) >>> 0;
  const block: Hash64 = { high: 0, low: 0 };
  const wholeBlocks = length - (length % 8);
  for (let at = 0; at < wholeBlocks; at += 8) {
    block.low = littleEndian(bytes, at);
    block.high = littleEndian(bytes, at + 4);
    multiply(block);
    fold(block);
    multiply(block);
    target.high = (target.high ^ block.high) >>> 0;
    target.low = (target.low ^ block.low) >>> 0;
    multiply(target);
  }
  if (wholeBlocks < length) {
    for (let at = wholeBlocks; at < length; at++) {
      const shift = (at - wholeBlocks) * 8;
      if (shift < 32) target.low = (target.low ^ (bytes[at]! << shift)) >>> 0;
      else target.high = (target.high ^ (bytes[at]! << (shift - 32))) >>> 0;
    }
    multiply(target);
  }
  fold(target);
  multiply(target);
  fold(target);
}

function littleEndian(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** value ^= value >>> 47 */
function fold(value: Hash64): void {
  value.low = (value.low ^ (value.high >>> 15)) >>> 0;
}

/** value *= multiplier, modulo 2^64: schoolbook multiplication of 16-bit digits for the low halves. */
function multiply(value: Hash64): void {
  const { high, low } = value;
  const a0 = low & 0xffff;
  const a1 = low >>> 16;
  const b0 = MULTIPLIER_LOW & 0xffff;
  const b1 = MULTIPLIER_LOW >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (middle & 0xffff) + a0 * b1;
  const upper = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000);
  value.high = (upper + Math.imul(high, MULTIPLIER_LOW) + Math.imul(low, MULTIPLIER_HIGH)) >>> 0;
  value.low = Math.imul(low, MULTIPLIER_LOW) >>> 0;
}
