import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  type IncludeReader,
  linesOfFlags,
  linesOfText,
  nearestName,
  quoteWord,
  splitWords,
} from '../../../src/base/config-text.js';

const NO_FILES: IncludeReader = {
  read: (path) => {
    throw new ConfigError(`no ${path}`);
  },
};

function flags(...words: string[]): (readonly string[])[] {
  return linesOfFlags(words, NO_FILES).map((line) => line.words);
}

describe('splitWords', () => {
  it.each<[string, string[]]>([
    ['', []],
    ['  a\tb  ', ['a', 'b']],
    ['save ""', ['save', '']],
    ["a 'b c'", ['a', 'b c']],
    ["a 'it\\'s \\n'", ['a', "it's \\n"]],
    ['"a\\x41\\n\\r\\t\\b\\a\\"\\\\\\q"', ['aA\n\r\t\b\x07"\\q']],
    ['"\\xc3\\xa9é"', ['éé']],
    ['"\\xzz"', ['xzz']],
    ['pre"fix ed"', ['prefix ed']],
  ])('splits %j', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  it.each(['"a', "'a", '"a"b', "'a'b", '"a\\"', '"'])('refuses %j', (line) => {
    expect(splitWords(line)).toBeUndefined();
  });

  it('reads back what quoteWord writes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), (words) => {
        expect(splitWords(words.map(quoteWord).join(' '))).toEqual(words);
      }),
    );
  });

  it('quotes only what needs it', () => {
    expect(['127.0.0.1', '-::1', '', 'a b', '#', 'a"b', '\n'].map(quoteWord)).toEqual([
      '127.0.0.1',
      '-::1',
      '""',
      '"a b"',
      '"#"',
      '"a\\"b"',
      '"\\x0a"',
    ]);
  });
});

describe('linesOfText', () => {
  it('skips comments and empty lines, and says where each directive stands', () => {
    expect(linesOfText('# port 1\n\n  # x\r\n  port 2\r\nsave ""', 'f', NO_FILES)).toEqual([
      { where: 'f, line 4', words: ['port', '2'] },
      { where: 'f, line 5', words: ['save', ''] },
    ]);
  });

  it('puts included files in their place', () => {
    const includes: IncludeReader = { read: (path) => [{ path, text: 'hz 2' }] };
    expect(linesOfText('hz 1\nInclude more.conf\nhz 3', 'f', includes)).toEqual([
      { where: 'f, line 1', words: ['hz', '1'] },
      { where: 'more.conf, line 1', words: ['hz', '2'] },
      { where: 'f, line 3', words: ['hz', '3'] },
    ]);
  });

  it('ends a circle of includes', () => {
    const circle: IncludeReader = { read: (path) => [{ path, text: 'include f' }] };
    expect(() => linesOfText('include f', 'f', circle)).toThrow(/more than 16 deep/);
  });

  it('does not show a line with unbalanced quotes, which may be a password', () => {
    expect(() => linesOfText('hz 1\nrequirepass "hunter2', 'f', NO_FILES)).toThrow(
      /^f, line 2: a quote is not closed, or has no space after it$/,
    );
  });
});

describe('linesOfFlags', () => {
  it('gathers the words of each directive', () => {
    expect(flags('--port', '7000', '--bind', '127.0.0.1', '-::1', '--save', '')).toEqual([
      ['port', '7000'],
      ['bind', '127.0.0.1', '-::1'],
      ['save', ''],
    ]);
  });

  it('takes the word after a name as its value even with --', () => {
    expect(flags('--requirepass', '--x', '--port', '1')).toEqual([
      ['requirepass', '--x'],
      ['port', '1'],
    ]);
  });

  it('takes --save without a value as --save ""', () => {
    expect(flags('--save', '--port', '1')).toEqual([
      ['save', ''],
      ['port', '1'],
    ]);
    expect(flags('--save')).toEqual([['save', '']]);
  });

  it('leaves quotes in values alone, the shell has taken its own away', () => {
    expect(flags('--requirepass', '"a b"')).toEqual([['requirepass', '"a b"']]);
  });

  it('refuses words before the first name', () => {
    expect(() => flags('-p', '1')).toThrow("'-p' is not a directive; directives are written '--name value'");
    expect(() => flags('--', '1')).toThrow("'--' names no directive");
  });
});

describe('nearestName', () => {
  const names = ['port', 'maxmemory', 'maxmemory-policy', 'hz'];

  it.each([
    ['prt', 'port'],
    ['PORT', 'port'],
    ['max-memory', 'maxmemory'],
    ['maxmemory_policy', 'maxmemory-policy'],
    ['replicaof', undefined],
    ['', undefined],
  ])('of %j is %j', (mistyped, nearest) => {
    expect(nearestName(mistyped, names)).toBe(nearest);
  });
});
