import { beforeEach, describe, expect, test } from 'vitest';
import { LOW_LIMITS, REDIS_LIMITS } from '../../support/memory-elements.js';
import { CollectionHarness } from './collection-harness.js';

/** Redis 7.0 has no fields that end: this is what the documentation of 7.4 says. */
describe.each([
  ['inline', REDIS_LIMITS],
  ['as element rows', LOW_LIMITS],
])('fields of a hash that end, %s', (_name, limits) => {
  let harness: CollectionHarness;

  beforeEach(() => {
    harness = new CollectionHarness();
    harness.view.collections.limits = { ...limits };
    harness.run('HSET h a 1 b 2 c 3 d 4 e 5');
  });

  test('HEXPIRE, HTTL, HPERSIST, and what they say of fields that are not there', () => {
    expect(harness.run('HEXPIRE h 100 FIELDS 3 a b none')).toBe('*[:1 :1 :-2]');
    expect(harness.run('HTTL h FIELDS 3 a c none')).toBe('*[:100 :-1 :-2]');
    expect(harness.run('HPTTL h FIELDS 1 a')).toBe('*[:100000]');
    const { nowMs } = harness.view;
    expect(harness.run('HPEXPIRETIME h FIELDS 1 a')).toBe(`*[:${nowMs + 100_000}]`);
    expect(harness.run('HEXPIRETIME h FIELDS 1 a')).toBe(`*[:${Math.ceil((nowMs + 100_000) / 1000)}]`);
    expect(harness.run('HPERSIST h FIELDS 3 a c none')).toBe('*[:1 :-1 :-2]');
    expect(harness.run('HTTL h FIELDS 2 a b')).toBe('*[:-1 :100]');
    expect(harness.run('HEXPIRE nokey 100 FIELDS 2 a b')).toBe('*[:-2 :-2]');
    expect(harness.run('HTTL nokey FIELDS 1 a')).toBe('*[:-2]');
    expect(harness.run('HPERSIST nokey FIELDS 1 a')).toBe('*[:-2]');
  });

  test('conditions', () => {
    expect(harness.run('HPEXPIRE h 5000 XX FIELDS 1 a')).toBe('*[:0]');
    expect(harness.run('HPEXPIRE h 5000 GT FIELDS 1 a')).toBe('*[:0]');
    expect(harness.run('HPEXPIRE h 5000 LT FIELDS 1 a')).toBe('*[:1]');
    expect(harness.run('HPEXPIRE h 6000 NX FIELDS 2 a b')).toBe('*[:0 :1]');
    expect(harness.run('HPEXPIRE h 5500 GT FIELDS 2 a b')).toBe('*[:1 :0]');
    expect(harness.run('HPEXPIRE h 5400 lt FIELDS 2 a b')).toBe('*[:1 :1]');
    expect(harness.run('HPTTL h FIELDS 2 a b')).toBe('*[:5400 :5400]');
  });

  test('nobody sees a field whose time has come', () => {
    harness.run('HPEXPIRE h 1000 FIELDS 2 a b');
    harness.view.nowMs += 1000;
    expect(harness.run('HGET h a')).toBe('$-1');
    expect(harness.run('HMGET h a c')).toBe('*[$-1 $"3"]');
    expect(harness.run('HLEN h')).toBe(':3');
    expect(harness.run('HEXISTS h b')).toBe(':0');
    expect(harness.run('HSTRLEN h b')).toBe(':0');
    expect(harness.run('HDEL h a')).toBe(':0');
    expect(harness.run('HTTL h FIELDS 1 a')).toBe('*[:-2]');
    for (const command of ['HKEYS h', 'HGETALL h', 'HSCAN h 0 COUNT 100', 'HRANDFIELD h 10'])
      expect(harness.run(command)).not.toMatch(/"[ab]"/);
    expect(harness.run('HINCRBY h a 5')).toBe(':5');
    expect(harness.run('HSETNX h b 6')).toBe(':1');
    expect(harness.run('HTTL h FIELDS 2 a b')).toBe('*[:-1 :-1]');
    expect(harness.run('HLEN h')).toBe(':5');
  });

  test('HSET ends the expiry, HINCRBY and HINCRBYFLOAT keep it', () => {
    harness.run('HEXPIRE h 50 FIELDS 3 a b c');
    harness.run('HSET h a 9');
    harness.run('HINCRBY h b 1');
    harness.run('HINCRBYFLOAT h c 1');
    expect(harness.run('HTTL h FIELDS 3 a b c')).toBe('*[:-1 :50 :50]');
  });

  test('a time that has passed removes the field, and the last one the key', () => {
    expect(harness.run('HPEXPIREAT h 1000 FIELDS 2 a none')).toBe('*[:2 :-2]');
    expect(harness.run('HEXPIRE h 0 FIELDS 1 b')).toBe('*[:2]');
    expect(harness.run('HLEN h')).toBe(':3');
    expect(harness.run('HEXPIREAT h 1 FIELDS 3 c d e')).toBe('*[:2 :2 :2]');
    expect(harness.run('EXISTS h')).toBe(':0');
  });

  test('RENAME, COPY and DUMP take expiries along', () => {
    harness.run('HEXPIRE h 50 FIELDS 1 a');
    harness.run('COPY h twin');
    harness.run('RENAME h other');
    expect(harness.run('HTTL twin FIELDS 2 a b')).toBe('*[:50 :-1]');
    expect(harness.run('HTTL other FIELDS 2 a b')).toBe('*[:50 :-1]');
    harness.run('HPERSIST twin FIELDS 1 a');
    expect(harness.run('HTTL other FIELDS 1 a')).toBe('*[:50]');
  });
});

describe('errors', () => {
  const harness = new CollectionHarness();
  harness.run('HSET h a 1');
  harness.run('SET s 1');

  test.each([
    ['HEXPIRE h x FIELDS 1 a', '-ERR value is not an integer or out of range'],
    ['HEXPIRE h -1 FIELDS 1 a', '-ERR invalid expire time, must be >= 0'],
    ['HEXPIRE h 99999999999999 FIELDS 1 a', "-ERR invalid expire time in 'hexpire' command"],
    ['HEXPIRE h 1 FIELD 1 a', '-ERR Mandatory argument FIELDS is missing or not at the right position'],
    ['HEXPIRE h 1 YY FIELDS 1 a', '-ERR Mandatory argument FIELDS is missing or not at the right position'],
    ['HEXPIRE h 1 FIELDS 0 a', '-ERR Number of fields must be a positive integer'],
    ['HEXPIRE h 1 FIELDS 2 a', '-ERR The `numfields` parameter must match the number of arguments'],
    ['HTTL h FIELDS x a', '-ERR Number of fields must be a positive integer'],
    ['HPERSIST h FIELDS 1 a b', '-ERR The `numfields` parameter must match the number of arguments'],
    ['HTTL s FIELDS 1 a', '-WRONGTYPE Operation against a key holding the wrong kind of value'],
  ])('%s', (line, reply) => {
    expect(harness.run(line)).toBe(reply);
  });
});
