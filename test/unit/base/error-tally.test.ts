import { expect, test } from 'vitest';
import { ErrorTally } from '../../../src/base/error-tally.js';
import { ReplyWriter } from '../../../src/base/reply-writer.js';

test('counts error replies by their first word', () => {
  const tally = new ErrorTally();
  const writer = new ReplyWriter(16, tally);
  writer.error('ERR syntax error');
  writer.error('ERR no such key');
  writer.error('WRONGTYPE Operation against a key holding the wrong kind of value');
  expect([...tally.counts]).toEqual([
    ['ERR', 2],
    ['WRONGTYPE', 1],
  ]);
  tally.clear();
  expect(tally.counts.size).toBe(0);
});

test('a text without a code word counts as ERR', () => {
  const tally = new ErrorTally();
  tally.count('foo');
  tally.count(`${'x'.repeat(40)} y`);
  expect([...tally.counts]).toEqual([['ERR', 2]]);
});

test('counts at most so many different codes', () => {
  const tally = new ErrorTally();
  for (let index = 0; index < 1000; index++) tally.count(`CODE${index} x`);
  expect(tally.counts.size).toBe(128);
  tally.count('CODE0 y');
  expect(tally.counts.get('CODE0')).toBe(2);
});
