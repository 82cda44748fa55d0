import { beforeEach, describe, expect, test } from 'vitest';
import { CollectionHarness } from './collection-harness.js';

/** What random sessions against redis-server seldom meet; the rest is theirs. */

const INT64_MIN = '-9223372036854775808';

let harness: CollectionHarness;
const run = (line: string): string => harness.run(line);

beforeEach(() => {
  harness = new CollectionHarness();
});

describe('the smallest integer, which has no opposite', () => {
  test('LREM removes all', () => {
    run('RPUSH list a b a c a');
    expect(run(`LREM list ${INT64_MIN} a`)).toBe(':3');
    expect(run('LRANGE list 0 -1')).toBe('*[$"b" $"c"]');
    expect(run(`LREM nothing ${INT64_MIN} a`)).toBe(':0');
  });

  test('LPOS skips nothing, from the end', () => {
    run('RPUSH list a b a');
    expect(run(`LPOS list a RANK ${INT64_MIN}`)).toBe(':2');
    expect(run(`LPOS list a RANK ${INT64_MIN} COUNT 0`)).toBe('*[:2 :0]');
    expect(run('LPOS list a RANK -9223372036854775807')).toBe(run('GET nothing'));
  });

  test('one beyond is no integer', () => {
    expect(run('LREM list -9223372036854775809 a')).toBe('-ERR value is not an integer or out of range');
    expect(run('LPOS list a RANK 9223372036854775808')).toBe('-ERR value is not an integer or out of range');
  });
});
