import { beforeEach, describe, expect, test } from 'vitest';
import { CollectionHarness } from './collection-harness.js';

/** What random sessions against redis-server do not meet; the rest is theirs. */

let harness: CollectionHarness;
const run = (line: string): string => harness.run(line);

beforeEach(() => {
  harness = new CollectionHarness();
});

describe('ZRANK and ZREVRANK with WITHSCORE, which is of Redis 7.2', () => {
  test.each([2, 3] as const)('RESP%s', (version) => {
    harness.version = version;
    run('ZADD z 1 a 2.5 b 3 c');
    const score = version === 3 ? ',2.5' : '$"2.5"';
    expect(run('ZRANK z b WITHSCORE')).toBe(`*[:1 ${score}]`);
    expect(run('ZREVRANK z c withscore')).toBe(`*[:0 ${version === 3 ? ',3' : '$"3"'}]`);
    expect(run('ZRANK z b')).toBe(':1');
  });

  test('nothing is a nil array in RESP2', () => {
    run('ZADD z 1 a');
    expect(run('ZRANK z x WITHSCORE')).toBe(run('ZMPOP 1 nothing MIN'));
    expect(run('ZRANK nothing x WITHSCORE')).toBe(run('ZMPOP 1 nothing MIN'));
    expect(run('ZRANK z x')).toBe(run('GET nothing'));
  });

  test('errors', () => {
    expect(run('ZRANK z a WITHSCORES')).toBe('-ERR syntax error');
    expect(run('ZREVRANK z a WITHSCORE x')).toBe("-ERR wrong number of arguments for 'zrevrank' command");
    run('SET s x');
    expect(run('ZRANK s a WITHSCORE')).toMatch(/^-WRONGTYPE/);
  });
});

describe('picks at random', () => {
  test('come with their scores, are different, or are as many as asked for', () => {
    const members = Array.from({ length: 300 }, (_, index) => `${index} m${index}`);
    run(`ZADD z ${members.join(' ')}`);
    harness.version = 3;
    for (const [count, expected] of [
      [5, 5],
      [250, 250],
      [1000, 300],
      [-7, 7],
      [-700, 700],
    ] as const) {
      const reply = run(`ZRANDMEMBER z ${count} WITHSCORES`);
      const pairs = [...reply.matchAll(/"m(\d+)" ,(\d+)/g)];
      expect(pairs.length).toBe(expected);
      expect(pairs.every(([, member, score]) => member === score)).toBe(true);
      if (count > 0) expect(new Set(pairs.map(([pair]) => pair)).size).toBe(expected);
    }
  });
});

describe('the negative zero', () => {
  test('is kept by a skip list only', () => {
    run('ZADD small -0 a');
    expect(run('ZSCORE small a')).toBe('$"0"');
    run(`ZADD large -0 ${'x'.repeat(65)}`);
    expect(run(`ZSCORE large ${'x'.repeat(65)}`)).toBe('$"-0"');
    expect(run('ZADD small CH -0 a')).toBe(':0');
  });

  test('is kept by what is a skip list when it is stored', () => {
    const long = 'x'.repeat(65);
    run(`ZADD large 1 ${long} 1 a`);
    run('ZUNIONSTORE stored 1 large WEIGHTS -0');
    expect(run('ZMSCORE stored a')).toBe('*[$"-0"]');
    run(`ZREM large ${long}`);
    run('ZUNIONSTORE stored 1 large WEIGHTS -0');
    expect(run('ZMSCORE stored a')).toBe('*[$"0"]');
  });
});
