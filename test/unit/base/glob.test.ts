import { describe, expect, test } from 'vitest';
import { compileGlob, globMatches, literalPrefix } from '../../../src/base/glob.js';

describe('globMatches', () => {
  test.each([
    ['*', 'anything', true],
    ['*', '', true],
    ['**', '', false],
    ['**', 'a', true],
    ['', '', true],
    ['', 'a', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a*c', 'ac', true],
    ['a*c', 'abbbc', true],
    ['a*c', 'abbbcd', false],
    ['*a*b', 'xxaxxb', true],
    ['user:*:name', 'user:1:name', true],
    ['user:*:name', 'user:1:names', false],
    ['[abc]x', 'bx', true],
    ['[^abc]x', 'bx', false],
    ['[^abc]x', 'dx', true],
    ['[a-c]', 'b', true],
    ['[c-a]', 'b', true],
    ['[a-]]', 'a', true],
    ['[a-]]', 'b', false],
    ['[a-]', ']', true],
    ['[ab', 'b', true],
    ['[', 'x', false],
    ['[]', 'x', false],
    ['[^]', 'x', true],
    ['[\\]]', ']', true],
    ['[\\', '\\', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a\\', 'a\\', true],
    ['[\x01-\xff]', 'a', false],
    ['[\x01-\xff]', '\0', true],
    ['[\x80-\xff]', '\xc3', true],
    ['h?llo*w[a-z]rld', 'hello, world', true],
  ])('%j on %j: %s', (pattern, text, matches) => {
    expect(globMatches(pattern, text)).toBe(matches);
  });

  test('many stars take no exponential time', () => {
    const pattern = `${'a*'.repeat(500)}b`;
    expect(globMatches(pattern, 'a'.repeat(5000))).toBe(false);
    expect(globMatches(`${'*?'.repeat(500)}b`, 'a'.repeat(1000))).toBe(false);
  });
});

describe('literalPrefix', () => {
  test.each([
    ['user:42:*', 'user:42:', false],
    ['*', '', false],
    ['', '', true],
    ['plain', 'plain', true],
    ['a\\*b*', 'a*b', false],
    ['a\\*b', 'a*b', true],
    ['a\\', 'a\\', true],
    ['ab[cd]', 'ab', false],
    ['ab?', 'ab', false],
  ])('of %j is %j', (pattern, prefix, isLiteral) => {
    expect(literalPrefix(pattern)).toBe(prefix);
    expect(compileGlob(pattern).isLiteral).toBe(isLiteral);
  });
});

test('a long literal pattern compiles', () => {
  const text = 'x'.repeat(1_000_000);
  expect(compileGlob(`${text}*`).matches(`${text}y`)).toBe(true);
});
