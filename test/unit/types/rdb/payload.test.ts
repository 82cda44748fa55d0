import { describe, expect, test } from 'vitest';
import { decodePayload, encodePayload, verifyPayload } from '../../../../src/types/rdb/payload.js';
import type { PayloadFault, ValueData } from '../../../../src/types/rdb/values.js';
import { stringValue, TEXT_BYTES_MAX, valueText } from '../../../../src/types/row.js';
import { sealedPayload } from '../../../support/payload.js';
import { Random, testSeed } from '../../../support/random.js';

const LIMIT = 2 ** 29;

function encodeString(text: string): Buffer {
  return encodePayload({ kind: 'string', value: stringValue(text) });
}

function decode(payload: Buffer): ValueData | PayloadFault {
  return decodePayload(payload, LIMIT, LIMIT);
}

function roundTrip(text: string): string {
  const payload = encodeString(text);
  expect(verifyPayload(payload)).toBe(true);
  const content = decode(payload);
  return content.kind === 'string' ? valueText(content.value) : content.kind;
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
    expect(encodeString(text).toString('hex')).toBe(hexadecimal);
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
    const payload = sealedPayload([0, 0x81, 0, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]);
    expect(decode(payload)).toEqual({ kind: 'string', value: 'hi' });
  });

  test('a long string shares no memory with the payload', () => {
    const text = Buffer.from(new Random(1).bytes(TEXT_BYTES_MAX + 1), 'latin1');
    const payload = encodeString(text.latin1Slice());
    const content = decode(payload);
    payload.fill(0);
    expect(content).toEqual({ kind: 'string', value: text });
  });
});

describe('what is refused', () => {
  test('a wrong checksum, a newer version, a short payload', () => {
    const payload = encodeString('value');
    expect(verifyPayload(payload)).toBe(true);
    for (let at = 0; at < payload.length; at++) {
      const broken = Buffer.from(payload);
      broken[at]! ^= 1;
      expect(verifyPayload(broken)).toBe(false);
    }
    expect(verifyPayload(sealedPayload([0, 1, 0x61], 13))).toBe(false);
    expect(verifyPayload(sealedPayload([0, 1, 0x61], 12))).toBe(true);
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
    ['a type of later versions', [26, 0]],
    ['a type that was never released', [23, 0]],
  ])('%s', (_what, body) => {
    expect(decode(sealedPayload(body)).kind).toBe('malformed');
  });

  test('strings beyond the limit', () => {
    expect(decodePayload(encodeString('abcdef'), 5, LIMIT).kind).toBe('too-long');
    expect(decodePayload(encodeString('a'.repeat(1000)), 999, LIMIT).kind).toBe('too-long');
  });

  test('values that take too much memory, before they take it', () => {
    expect(decodePayload(encodeString('a'.repeat(1000)), LIMIT, 999).kind).toBe('too-large');
    const list = encodePayload({ kind: 'list', elements: Array.from({ length: 1000 }, () => '') });
    expect(decodePayload(list, LIMIT, 10_000).kind).toBe('too-large');
    expect(decodePayload(list, LIMIT, 100_000).kind).toBe('list');
    // 264 times the bytes, as LZF at its best: 1 GB asked for by a few bytes is just not there.
    expect(decode(sealedPayload([0, 0xc3, 1, 0x80, 0x40, 0, 0, 0, 0])).kind).toBe('too-long');
  });

  test.each([6, 7])('values of modules (type %i)', (type) => {
    expect(decode(sealedPayload([type, 1, 2]))).toEqual({ kind: 'unsupported', type: 'module' });
  });
});
