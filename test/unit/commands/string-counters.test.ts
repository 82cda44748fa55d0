import { beforeEach, describe, expect, test } from 'vitest';
import { RowFlag } from '../../../src/types/row.js';
import { StringHarness } from './string-harness.js';

const NOT_AN_INTEGER = '-ERR value is not an integer or out of range';
const OVERFLOW = '-ERR increment or decrement would overflow';
const NOT_A_FLOAT = '-ERR value is not a valid float';

let harness: StringHarness;
beforeEach(() => {
  harness = new StringHarness();
});

describe('INCR and its kin', () => {
  test('an absent key counts as 0', () => {
    expect(harness.run('INCR a')).toBe(':1');
    expect(harness.run('DECR b')).toBe(':-1');
    expect(harness.run('INCRBY a 41')).toBe(':42');
    expect(harness.run('DECRBY a 42')).toBe(':0');
    expect(harness.run('DECRBY a 0')).toBe(':0');
    expect(harness.value('a')).toBe('0');
  });

  test('keep the expiry, and end the encoding raw', () => {
    harness.view.setString('k', '1', harness.view.nowMs + 10, undefined, RowFlag.Raw);
    harness.run('INCR k');
    expect(harness.view.peek('k')).toMatchObject({ expiresAtMs: harness.view.nowMs + 10, flags: 0 });
  });

  test.each([
    ['9007199254740991', '1', '9007199254740992'],
    ['9007199254740993', '-3', '9007199254740990'],
    ['9223372036854775806', '1', '9223372036854775807'],
    ['-9223372036854775807', '-1', '-9223372036854775808'],
    ['9223372036854775807', '-9223372036854775808', '-1'],
  ])('%s + %s, exactly', (value, increment, expected) => {
    harness.set('k', value);
    expect(harness.run(`INCRBY k ${increment}`)).toBe(`:${expected}`);
    expect(harness.value('k')).toBe(expected);
  });

  test('overflow changes nothing', () => {
    harness.set('k', '9223372036854775807');
    expect(harness.run('INCR k')).toBe(OVERFLOW);
    harness.set('l', '-9223372036854775808');
    expect(harness.run('DECR l')).toBe(OVERFLOW);
    expect(harness.run('DECRBY l -9223372036854775808')).toBe('-ERR decrement would overflow');
    expect(harness.value('l')).toBe('-9223372036854775808');
  });

  test.each(['', ' 1', '1 ', '+1', '01', '-0', '1.0', 'x', '9223372036854775808', 'y'.repeat(2000)])(
    'no integer: %j',
    (value) => {
      harness.set('k', value);
      expect(harness.run('INCR k')).toBe(NOT_AN_INTEGER);
      expect(harness.rendered('INCRBY', 'none', value)).toBe(NOT_AN_INTEGER);
    },
  );
});

describe('INCRBYFLOAT', () => {
  // As redis-server 7.0.15 replies on x86-64.
  test.each([
    ['0.1', '0.2', '0.3'],
    ['10.5', '0.1', '10.6'],
    ['5.0e3', '2.0e2', '5200'],
    ['3.0e3', '-3000', '0'],
    ['0', '0x1p3', '8'],
    ['1', '-1.00000000000000000001', '0'],
    ['0', '0.000000000000000005', '0'],
    ['0', '0.0000000000000000051', '0.00000000000000001'],
  ])('%s + %s = %s', (value, increment, expected) => {
    harness.set('k', value, harness.view.nowMs + 10);
    expect(harness.run(`INCRBYFLOAT k ${increment}`)).toBe(`$"${expected}"`);
    expect(harness.value('k')).toBe(expected);
    expect(harness.view.peek('k')!.expiresAtMs).toBe(harness.view.nowMs + 10);
  });

  test('errors', () => {
    harness.setList('l');
    expect(harness.run('INCRBYFLOAT l x')).toMatch(/^-WRONGTYPE/);
    expect(harness.run('INCRBYFLOAT k x')).toBe(NOT_A_FLOAT);
    expect(harness.run('INCRBYFLOAT k nan')).toBe(NOT_A_FLOAT);
    expect(harness.run('INCRBYFLOAT k -inf')).toBe('-ERR increment would produce NaN or Infinity');
    harness.set('k', '1e4932');
    expect(harness.run('INCRBYFLOAT k 1e4932')).toBe('-ERR increment would produce NaN or Infinity');
    harness.set('k', ' 1');
    expect(harness.run('INCRBYFLOAT k 1')).toBe(NOT_A_FLOAT);
  });
});
