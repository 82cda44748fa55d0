import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { memoryOf, movable } from '../../../src/workers/moving.js';

it('moves memory that has hardly anything else', () => {
  const message = new Uint8Array(1000);
  const bytes = message.subarray(30, 990);
  expect(movable(bytes)).toBe(bytes);
  expect(memoryOf(bytes)).toEqual([message.buffer]);
});

it('copies out of memory that has more', () => {
  const pool = Buffer.alloc(8192, 1);
  const bytes = pool.subarray(8, 4000);
  const copy = movable(bytes);
  expect(Buffer.from(copy)).toEqual(bytes);
  expect(memoryOf(copy)).toEqual([copy.buffer]);
  expect(copy.buffer.byteLength).toBe(bytes.length);
});

it('moves no memory where there are no bytes', () => {
  expect(memoryOf(movable(new Uint8Array(0)))).toEqual([]);
});
