import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { crc64 } from '../../../src/base/crc64.js';
import { decodePayload, encodeStringPayload, verifyPayload } from '../../../src/types/rdb-payload.js';
import { Random, testSeed } from '../../support/random.js';

const LIMIT = 2 ** 29;

/** A payload of these bytes with a right footer. */
function sealed(body: readonly number[], version = 10): Buffer {
  const payload = Buffer.concat([Buffer.from(body), Buffer.of(version, 0), Buffer.alloc(8)]);
  const { high, low } = crc64(payload, payload.length - 8);
  payload.writeUInt32LE(low, payload.length - 8);
  payload.writeUInt32LE(high, payload.length - 4);
  return payload;
}

function roundTrip(text: string): string {
  const payload = encodeStringPayload(Buffer.from(text, 'latin1'));
  expect(verifyPayload(payload)).toBe(true);
  const content = decodePayload(payload, LIMIT);
  return content.kind === 'string' ? content.value.latin1Slice() : content.kind;
}

describe('strings', () => {
  // Payloads of redis-server 7.0.15.
  test.each([
    ['0', '00c0000a009840a778f8500308'],
    ['127', '00c07f0a000db5eb315254c514'],
    ['128', '00c180000a00eb7ab3b510cf4b65'],
    ['hello', '000568656c6c6f0a006372df766534200a'],
    ['a'.repeat(31), '00c3091f016161e012000161610a006e8e6aacf3cb420c'],
  ])('%s gives the bytes of Redis', (text, hexadecimal) => {
    expect(encodeStringPayload(Buffer.from(text)).toString('hex')).toBe(hexadecimal);
  });

  test.each([
    '',
    '-0',
    '007',
    '+1',
    ' 1',
    '-128',
    '-129',
    '32767',
    '32768',
    '2147483647',
    '-2147483648',
    '2147483648',
    '-2147483649',
    '9223372036854775807',
    'hello',
    'a'.repeat(31),
    'x'.repeat(63),
    'ab'.repeat(8191),
    '\0\xff\r\n',
  ])('%j comes back', (text) => {
    expect(roundTrip(text)).toBe(text);
  });

  test('random strings of every length class come back', () => {
    const random = new Random(testSeed('rdb payload'));
    for (const length of [1, 20, 21, 63, 64, 16_383, 16_384, 100_000]) {
      const noise = random.bytes(length);
      expect(roundTrip(noise) === noise).toBe(true);
    }
  });

  test('64-bit lengths are read', () => {
    const payload = sealed([0, 0x81, 0, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]);
    expect(decodePayload(payload, LIMIT)).toEqual({ kind: 'string', value: Buffer.from('hi') });
  });
});

describe('what is refused', () => {
  test('a wrong checksum, a newer version, a short payload', () => {
    const payload = encodeStringPayload(Buffer.from('value'));
    expect(verifyPayload(payload)).toBe(true);
    for (let at = 0; at < payload.length; at++) {
      const broken = Buffer.from(payload);
      broken[at]! ^= 1;
      expect(verifyPayload(broken)).toBe(false);
    }
    expect(verifyPayload(sealed([0, 1, 0x61], 11))).toBe(false);
    expect(verifyPayload(sealed([0, 1, 0x61], 9))).toBe(true);
    expect(verifyPayload(Buffer.alloc(9))).toBe(false);
  });

  test.each([
    ['nothing', []],
    ['no string', [0]],
    ['a string cut off', [0, 5, 0x61]],
    ['an integer cut off', [0, 0xc2, 1]],
    ['a length cut off', [0, 0x80, 0]],
    ['an unknown encoding', [0, 0xc4, 0]],
    ['an unknown length form', [0, 0x82, 0, 0, 0, 0]],
    ['LZF cut off', [0, 0xc3, 9, 30, 0]],
    ['LZF of another length', [0, 0xc3, 2, 30, 0, 0x61]],
    ['an unknown type', [8, 0]],
    ['a type of later versions', [20, 0]],
  ])('%s', (_what, body) => {
    expect(decodePayload(sealed(body), LIMIT).kind).toBe('malformed');
  });

  test('strings beyond the limit', () => {
    expect(decodePayload(encodeStringPayload(Buffer.from('abcdef')), 5).kind).toBe('too-long');
    expect(decodePayload(encodeStringPayload(Buffer.alloc(1000)), 999).kind).toBe('too-long');
  });

  test('other types are named', () => {
    expect(decodePayload(sealed([18, 1, 2]), LIMIT)).toEqual({ kind: 'unsupported', type: 'list' });
  });
});
