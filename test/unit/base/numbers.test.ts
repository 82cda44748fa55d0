import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INT64_MAX, INT64_MIN, parseInt64, parseInteger, toInt64 } from '../../../src/base/numbers.js';
import { check } from '../../support/replay.js';

describe('parseInt64', () => {
  it('reads back every integer of the range', () => {
    const any = fc.oneof(
      fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
      fc.bigInt({ min: -1000n, max: 1000n }),
    );
    const property = fc.property(any, (value) => {
      const parsed = parseInt64(String(value));
      expect(BigInt(parsed!)).toBe(value);
      expect(typeof parsed).toBe(
        Number.isSafeInteger(Number(value)) && BigInt(Number(value)) === value ? 'number' : 'bigint',
      );
      expect(parsed).toBe(toInt64(value));
      expect(parseInteger(String(value))).toBe(Number(value));
    });
    return check(property, 2000);
  });

  it('knows the ends of the range', () => {
    expect(parseInt64('9223372036854775807')).toBe(INT64_MAX);
    expect(parseInt64('-9223372036854775808')).toBe(INT64_MIN);
    expect(parseInt64('9223372036854775808')).toBeUndefined();
    expect(parseInt64('-9223372036854775809')).toBeUndefined();
    expect(parseInt64('18446744073709551616')).toBeUndefined();
    expect(parseInt64('99999999999999999999')).toBeUndefined();
    expect(parseInt64('9007199254740991')).toBe(9007199254740991);
    expect(parseInt64('9007199254740992')).toBe(9007199254740992n);
    expect(parseInt64('-9007199254740992')).toBe(-9007199254740992n);
  });

  it('takes the canonical form only', () => {
    const wrong = [
      '',
      '-',
      '-0',
      '+1',
      '01',
      '-01',
      '00',
      ' 1',
      '1 ',
      '1.0',
      '1e3',
      '0x1',
      '١',
      '1_0',
      '--1',
      'a',
      '1a',
      '\0',
    ];
    for (const text of wrong) expect(parseInt64(text)).toBeUndefined();
    expect(parseInt64('0')).toBe(0);
    expect(Object.is(parseInt64('0'), 0)).toBe(true);
  });

  it('agrees with BigInt on any text', () => {
    const text = fc.string({ unit: fc.constantFrom('-', '0', '1', '9', ' ', '.', 'e', '+'), maxLength: 22 });
    const property = fc.property(text, (digits) => {
      const canonical = /^(0|-?[1-9]\d*)$/.test(digits);
      const exact = canonical ? BigInt(digits) : undefined;
      const within = exact !== undefined && exact >= INT64_MIN && exact <= INT64_MAX;
      const parsed = parseInt64(digits);
      expect(parsed === undefined ? undefined : BigInt(parsed)).toBe(within ? exact : undefined);
    });
    return check(property, 5000);
  });
});
