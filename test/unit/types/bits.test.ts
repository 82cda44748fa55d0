import { describe, expect, test } from 'vitest';
import { addToField, type FieldType, readField, writeField } from '../../../src/types/bit-fields.js';
import { type Bit, bitAt, combineBits, countBits, findBit } from '../../../src/types/bits.js';
import { Random, testSeed } from '../../support/random.js';

const random = new Random(testSeed('bits'));

/** Random bytes at a random alignment, sparse enough that runs of equal words occur. */
function randomBytes(length: number): Buffer {
  const offset = random.int(0, 7);
  const bytes = Buffer.alloc(length + offset).subarray(offset);
  const filler = random.pick([0, 0xff, 0x5a]);
  for (let at = 0; at < length; at++) bytes[at] = random.chance(0.2) ? random.int(0, 255) : filler;
  return bytes;
}

function bitsOf(bytes: Buffer): Bit[] {
  return Array.from({ length: bytes.length * 8 }, (_, offset) => bitAt(bytes, offset));
}

describe('against bit by bit', () => {
  test('countBits and findBit', () => {
    for (let round = 0; round < 300; round++) {
      const bytes = randomBytes(random.int(1, 60));
      const bits = bitsOf(bytes);
      const first = random.int(0, bits.length - 1);
      const last = random.int(first, bits.length - 1);
      const range = bits.slice(first, last + 1);
      expect(countBits(bytes, first, last)).toBe(range.filter((bit) => bit === 1).length);
      for (const bit of [0, 1] as const) {
        const at = range.indexOf(bit);
        expect(findBit(bytes, bit, first, last)).toBe(at < 0 ? -1 : first + at);
      }
    }
  });

  test('combineBits', () => {
    for (let round = 0; round < 200; round++) {
      const sources = Array.from({ length: random.int(1, 4) }, () => randomBytes(random.int(0, 40)));
      const length = Math.max(...sources.map((source) => source.length));
      for (const [name, apply] of [
        ['AND', (left: number, right: number) => left & right],
        ['OR', (left: number, right: number) => left | right],
        ['XOR', (left: number, right: number) => left ^ right],
      ] as const) {
        const expected = Array.from({ length }, (_, at) =>
          sources.map((source) => source[at] ?? 0).reduce((left, right) => apply(left, right)),
        );
        expect([...combineBits(name, sources)]).toEqual(expected);
      }
      expect([...combineBits('NOT', [sources[0]!])]).toEqual([...sources[0]!].map((byte) => 255 - byte));
    }
  });

  test('fields keep their neighbours', () => {
    for (let round = 0; round < 300; round++) {
      const bytes = randomBytes(30);
      const signed = random.chance(0.5);
      const type: FieldType = { signed, bits: random.int(1, signed ? 64 : 63) };
      const offset = random.int(0, 240 - type.bits);
      const before = bitsOf(bytes);
      const value = BigInt(random.int(-1e9, 1e9)) * BigInt(random.int(-1e9, 1e9));
      writeField(bytes, offset, type, value);
      const wrapped = signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value);
      expect(readField(bytes, offset, type)).toBe(wrapped);
      const after = bitsOf(bytes);
      expect(after.slice(0, offset)).toEqual(before.slice(0, offset));
      expect(after.slice(offset + type.bits)).toEqual(before.slice(offset + type.bits));
    }
  });
});

test('fields behind the end are 0', () => {
  expect(readField(Buffer.from([0xff]), 4, { signed: false, bits: 8 })).toBe(0xf0n);
  expect(readField(Buffer.alloc(0), 1000, { signed: true, bits: 64 })).toBe(0n);
});

// As redis-server 7.0.15 replies.
test.each([
  ['i8', 100n, 100n, 'WRAP', -56n],
  ['i8', 100n, 100n, 'SAT', 127n],
  ['i8', -100n, -100n, 'SAT', -128n],
  ['i8', -100n, -100n, 'FAIL', undefined],
  ['u8', 3n, -5n, 'SAT', 0n],
  ['u8', 3n, -5n, 'WRAP', 254n],
  ['u8', -1n, 0n, 'SAT', 255n],
  ['i8', -1000n, 0n, 'SAT', -128n],
  ['i8', -(2n ** 63n), 0n, 'SAT', 127n],
  ['i64', 2n ** 63n - 1n, 1n, 'WRAP', -(2n ** 63n)],
  ['i64', -(2n ** 63n), -1n, 'SAT', -(2n ** 63n)],
] as const)('%s: %s + %s, %s', (text, value, increment, rule, expected) => {
  const type = { signed: text[0] === 'i', bits: Number(text.slice(1)) };
  expect(addToField(type, value, increment, rule)).toBe(expected);
});
