import { expect, it } from 'vitest';
import { ListArguments } from '../../../src/base/arguments.js';

it('a token changes ASCII letters only', () => {
  // 'ß'.toUpperCase() is 'SS': two ASCII letters that nobody sent.
  for (const text of ['\xdf', '\xff', '\xb5', '\xe4']) expect(ListArguments.of(text).token(0)).toBe(text);
});
