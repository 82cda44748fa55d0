import { beforeEach, describe, expect, test } from 'vitest';
import { KeyHarness } from './key-harness.js';

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
  harness.set('a', '1');
});

describe('EXPIRE and its kin', () => {
  test.each([
    ['EXPIRE a 100', 100_000],
    ['PEXPIRE a 1500', 1500],
    ['EXPIREAT a 1700000100', 100_000],
    ['PEXPIREAT a 1700000000001', 1],
  ])('%s', (line, remainingMs) => {
    expect(harness.run(line)).toBe(':1');
    expect(harness.run('PTTL a')).toBe(`:${remainingMs}`);
    harness.nowMs += remainingMs;
    expect(harness.run('EXISTS a')).toBe(':0');
  });

  test.each(['EXPIRE a 0', 'EXPIRE a -1', 'PEXPIREAT a 0', 'EXPIREAT a 1', 'PEXPIREAT a 1700000000000'])(
    '%s removes the key',
    (line) => {
      expect(harness.run(line)).toBe(':1');
      expect(harness.run('EXISTS a')).toBe(':0');
    },
  );

  test('a missing key is 0, after the checks of the arguments', () => {
    expect(harness.run('EXPIRE none 100')).toBe(':0');
    expect(harness.run('EXPIRE none x')).toBe('-ERR value is not an integer or out of range');
    expect(harness.run('EXPIRE none x bogus')).toBe('-ERR Unsupported option bogus');
  });

  test('times beyond 64 bits', () => {
    const invalid = (name: string) => `-ERR invalid expire time in '${name}' command`;
    expect(harness.run('EXPIRE a 9223372036854775807')).toBe(invalid('expire'));
    expect(harness.run('EXPIRE a 9223372036854775')).toBe(invalid('expire'));
    expect(harness.run('PEXPIRE a 9223372036854775807')).toBe(invalid('pexpire'));
    expect(harness.run('EXPIREAT a -9223372036854776')).toBe(invalid('expireat'));
    expect(harness.run('EXPIREAT a 9223372036854775')).toBe(':1');
    expect(harness.run('PEXPIREAT a 9223372036854775807')).toBe(':1');
    expect(harness.run('PEXPIRETIME a')).toBe(':9223372036854775807');
    expect(harness.run('EXPIRETIME a')).toBe(':9223372036854776');
    expect(harness.run('PEXPIREAT a -9223372036854775808')).toBe(':1');
    expect(harness.run('EXISTS a')).toBe(':0');
  });

  test('option conflicts', () => {
    const conflict = '-ERR NX and XX, GT or LT options at the same time are not compatible';
    expect(harness.run('EXPIRE a 1 nx XX')).toBe(conflict);
    expect(harness.run('EXPIRE a 1 GT NX')).toBe(conflict);
    expect(harness.run('EXPIRE a 1 GT LT')).toBe(
      '-ERR GT and LT options at the same time are not compatible',
    );
    expect(harness.run('EXPIRE a 1 nx nx')).toBe(':1');
  });

  test.each([
    ['NX', ':1', ':0'],
    ['XX', ':0', ':1'],
    ['GT', ':0', ':1'],
    ['LT', ':1', ':0'],
    ['XX GT', ':0', ':1'],
    ['XX LT', ':0', ':0'],
  ])('%s without and with an earlier expiry', (option, without, withEarlier) => {
    expect(harness.run(`EXPIRE a 200 ${option}`)).toBe(without);
    harness.run('EXPIRE a 100');
    expect(harness.run(`EXPIRE a 200 ${option}`)).toBe(withEarlier);
    expect(harness.run(`EXPIRE a ${withEarlier === ':1' ? 200 : 100} GT`)).toBe(':0');
  });
});

describe('TTL and its kin', () => {
  test('without key and without expiry', () => {
    for (const name of ['TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME']) {
      expect(harness.run(`${name} none`)).toBe(':-2');
      expect(harness.run(`${name} a`)).toBe(':-1');
    }
  });

  test('seconds are rounded, half up', () => {
    for (const [remainingMs, seconds] of [
      [499, 0],
      [500, 1],
      [1499, 1],
      [1500, 2],
    ]) {
      harness.run(`PEXPIRE a ${remainingMs}`);
      expect(harness.run('TTL a')).toBe(`:${seconds}`);
    }
    harness.run('PEXPIREAT a 1700000001500');
    expect(harness.run('EXPIRETIME a')).toBe(':1700000002');
  });

  test('PERSIST', () => {
    expect(harness.run('PERSIST a')).toBe(':0');
    expect(harness.run('PERSIST none')).toBe(':0');
    harness.run('EXPIRE a 100');
    expect(harness.run('PERSIST a')).toBe(':1');
    expect(harness.run('TTL a')).toBe(':-1');
  });
});
