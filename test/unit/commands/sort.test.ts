import { beforeEach, describe, expect, test } from 'vitest';
import { CollectionHarness } from './collection-harness.js';

/** What random sessions against redis-server do not meet; the rest is theirs. */

let harness: CollectionHarness;
const run = (line: string): string => harness.run(line);

beforeEach(() => {
  harness = new CollectionHarness();
});

test('by the text of other keys: those without any come first, in the order they had', () => {
  run('ZADD z 1 a 2 b 3 c 4 d');
  run('SET t:b 20');
  run('SET t:d 3');
  expect(run('SORT z BY t:* ALPHA')).toBe('*[$"a" $"c" $"b" $"d"]');
  expect(run('SORT z BY t:* ALPHA DESC GET # GET t:*')).toBe(
    `*[$"d" $"3" $"b" $"20" $"a" ${run('GET none')} $"c" ${run('GET none')}]`,
  );
});

describe('numbers', () => {
  test.each([
    ['1e400', false],
    ['1e-400', false],
    ['nan', false],
    ['', true],
    [' 3', true],
    ['3 ', false],
    ['0x10', true],
    ['-inf', true],
    ['4\0rest', true],
  ])('%j', (text, isNumber) => {
    run('SADD s a');
    harness.view.setString('w:a', text, 0);
    const reply = run('SORT s BY w:*');
    expect(reply).toBe(isNumber ? '*[$"a"]' : "-ERR One or more scores can't be converted into double");
  });
});

test('a sorted set is kept as it was', () => {
  run('ZADD z 3 a 2 b');
  expect(run('SORT z ALPHA DESC LIMIT 0 1')).toBe('*[$"b"]');
  expect(run('OBJECT ENCODING z')).toBe('$"listpack"');
});

test('what is stored replaces what was there, its expiry too', () => {
  run('SADD s 3 1 2');
  run('SET d x EX 100');
  expect(run('SORT s DESC STORE d')).toBe(':3');
  expect(run('TTL d')).toBe(':-1');
  expect(run('SORT d BY nosort')).toBe('*[$"3" $"2" $"1"]');
  expect(run('SORT nothing STORE d')).toBe(':0');
  expect(run('EXISTS d')).toBe(':0');
});
