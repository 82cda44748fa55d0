import { expect, test } from 'vitest';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../../src/types/long-double.js';

// Values as `%.17Lf` prints them on x86-64, zeros at the end left out.
test.each([
  ['0.1', '0.1'],
  ['-0', '0'],
  ['-1e-30', '0'],
  ['+.5e-3', '0.0005'],
  ['5.', '5'],
  ['1e21', '1000000000000000000000'],
  ['0x.8p-2', '0.125'],
  ['0e99999999999', '0'],
  // 65 bits do not fit: to nearest, ties to even.
  ['18446744073709551616.5', '18446744073709551616'],
  ['36893488147419103231', '36893488147419103232'],
  ['36893488147419103233', '36893488147419103232'],
  ['36893488147419103235', '36893488147419103236'],
  ['1e-4950', '0'],
])('%s reads as %s', (text, expected) => {
  expect(formatLongDouble(parseLongDouble(text)!)).toBe(expected);
});

test.each([
  '',
  '.',
  'e5',
  '1e',
  '0x',
  '0x.p1',
  ' 1',
  '1 ',
  '1\0',
  '--1',
  'nan',
  'infin',
  '1,5',
  '1e4933',
  '1e-4952',
  '1e99999999999',
  '0x1p99999',
])('%j is no long double', (text) => {
  expect(parseLongDouble(text)).toBeUndefined();
});

test('text of 5120 characters is too long', () => {
  expect(parseLongDouble('0'.repeat(5119))).toBeDefined();
  expect(parseLongDouble('0'.repeat(5120))).toBeUndefined();
});

test('the limits of the format', () => {
  const largest = parseLongDouble('1.18973149535723176502e4932')!;
  expect(largest).toEqual({ mantissa: 2n ** 64n - 1n, exponent: 16320, finite: true });
  expect(addLongDoubles(largest, largest).finite).toBe(false);
  expect(parseLongDouble('0x1p-16445')).toEqual({ mantissa: 1n, exponent: -16445, finite: true });
  expect(parseLongDouble('0x1p-16446')).toBeUndefined();
  expect(parseLongDouble('-Infinity')!.finite).toBe(false);
});

test('sums of numbers far apart are rounded once', () => {
  const sum = addLongDoubles(parseLongDouble('1e30')!, parseLongDouble('-1e-30')!);
  expect(formatLongDouble(sum)).toBe(formatLongDouble(parseLongDouble('1e30')!));
  const back = addLongDoubles(sum, parseLongDouble('-1e30')!);
  expect(back.mantissa).toBe(0n);
});
