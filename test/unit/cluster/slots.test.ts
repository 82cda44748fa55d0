import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { keySlot, SLOTS } from '../../../src/cluster/slots.js';
import { textSlot } from '../../../src/types/slots.js';

function slot(key: string): number {
  const found = keySlot(Buffer.from(key, 'latin1'));
  expect(textSlot(key)).toBe(found);
  return found;
}

it('is CRC16 (XMODEM) modulo 16384: its check value, and the values Redis gives', () => {
  expect(slot('123456789')).toBe(0x31c3 % SLOTS);
  expect(slot('')).toBe(0);
  expect(slot('foo')).toBe(12182);
  expect(slot('bar')).toBe(5061);
  expect(slot('\xff\x00\x80')).toBeLessThan(SLOTS);
});

it('hashes what stands in the first braces, if it is not empty', () => {
  expect(slot('{user1000}.following')).toBe(slot('user1000'));
  expect(slot('a{user1000}b{other}')).toBe(slot('user1000'));
  // The three odd cases of the Redis Cluster specification.
  expect(slot('foo{}{bar}')).toBe(8363);
  expect(slot('foo{{bar}}zap')).toBe(slot('{bar'));
  expect(slot('foo{bar}{zap}')).toBe(slot('bar'));
  expect(slot('{')).toBe(slot('{'));
  expect(slot('}{a')).not.toBe(slot('a'));
});
