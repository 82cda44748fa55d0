import { describe, expect, it } from 'vitest';
import { type Arguments, FrameArguments, ListArguments } from '../../../src/base/arguments.js';
import { seeded } from '../../support/replay.js';

const WORDS = ['SET', 'key', '', '\0\xff', 'ex', 'x'.repeat(5000)];

function framed(words: readonly string[]): FrameArguments {
  const bytes = Buffer.from(`??${words.join('!')}`, 'latin1');
  const table = new Int32Array(4 + 2 * words.length);
  let offset = 2;
  words.forEach((word, index) => {
    table.set([offset, word.length], 4 + 2 * index);
    offset += word.length + 1;
  });
  const args = new FrameArguments();
  args.point(bytes, table, 4, words.length);
  return args;
}

describe.each([
  ['of a list', (words: readonly string[]): Arguments => ListArguments.of(...words)],
  ['of a frame', (words: readonly string[]): Arguments => framed(words)],
])('arguments %s', (_name, make) => {
  it('are told as text, bytes and lengths', () => {
    const args = make(WORDS);
    expect(args.count).toBe(WORDS.length);
    WORDS.forEach((word, index) => {
      expect(args.text(index)).toBe(word);
      expect(args.bytes(index).equals(Buffer.from(word, 'latin1'))).toBe(true);
      expect(args.copy(index).equals(Buffer.from(word, 'latin1'))).toBe(true);
      expect(args.byteLength(index)).toBe(word.length);
    });
    expect(args.token(4)).toBe('EX');
  });

  it('give copies that do not change with what they were copied from', () => {
    const args = make(['value']);
    const copy = args.copy(0);
    args.bytes(0).fill(0);
    expect(copy.latin1Slice()).toBe('value');
    expect(args.text(0)).toBe('\0'.repeat(5));
  });

  it('have any bytes', () =>
    seeded(50, (random) => {
      const words = Array.from({ length: random.int(1, 9) }, () => random.bytes(random.int(0, 30)));
      const args = make(words);
      expect(words.map((_, index) => args.text(index))).toEqual(words);
    }));
});

it('arguments of a list refuse a place they do not have', () => {
  expect(() => ListArguments.of('a').text(1)).toThrow(RangeError);
  expect(ListArguments.of(Buffer.from([1, 2]), 'b').bytes(0)).toEqual(Buffer.from([1, 2]));
});

it('a token changes ASCII letters only', () => {
  expect(ListArguments.of('ex-Px_1').token(0)).toBe('EX-PX_1');
  // 'ß'.toUpperCase() is 'SS': two ASCII letters that nobody sent.
  for (const text of ['\xdf', '\xff', '\xb5', '\xe4']) expect(ListArguments.of(text).token(0)).toBe(text);
});
