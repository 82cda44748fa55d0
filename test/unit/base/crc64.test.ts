import { Buffer } from 'node:buffer';
import { expect, test } from 'vitest';
import { crc64 } from '../../../src/base/crc64.js';

test('the check value of CRC-64/REDIS', () => {
  expect(crc64(Buffer.from('123456789'))).toEqual({ high: 0xe9c6d914, low: 0xc4b8d9ca });
});

test('of nothing is 0; only the first bytes count when told', () => {
  expect(crc64(Buffer.alloc(0))).toEqual({ high: 0, low: 0 });
  expect(crc64(Buffer.from('123456789 and more'), 9)).toEqual(crc64(Buffer.from('123456789')));
});
