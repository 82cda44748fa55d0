import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  formatScore,
  isMemberAbove,
  isMemberBelow,
  isScoreAbove,
  isScoreBelow,
  parseLexBound,
  parseScore,
  parseScoreBound,
} from '../../../src/types/score.js';
import type { RawClient } from '../../support/client.js';
import { haveTool } from '../../support/environment.js';
import { Random, testSeed } from '../../support/random.js';
import { type Reply, render, textOf } from '../../support/reply.js';
import { TestServer } from '../../support/server.js';

// Replies of redis-server 7.0.15.
test.each([
  ['0x10', '16'],
  ['-0x1.8p1', '-3'],
  ['0x.8', '0.5'],
  ['+.5e-3', '0.00050000000000000001'],
  ['1.', '1'],
  ['00012', '12'],
  ['1e-320', '9.9998886718268301e-321'],
  ['5e-324', '4.9406564584124654e-324'],
  ['1000000000000000.25', '1000000000000000.2'],
  ['1000000000000000.75', '1000000000000000.8'],
  ['0.00001', '1.0000000000000001e-05'],
  ['1e16', '10000000000000000'],
  ['1e17', '1e+17'],
  ['-Infinity', '-inf'],
  ['+INF', 'inf'],
  ['-0', '-0'],
  // Hexadecimal digits beyond the 53 bits: to nearest, ties to even, whatever is far behind.
  ['0x1.00000000000008p0', '1'],
  ['0x1.00000000000018p0', '1.0000000000000004'],
  [`0x1.00000000000008${'0'.repeat(60)}1p0`, '1.0000000000000002'],
  [`0x${'f'.repeat(40)}p-160`, '1'],
  ['0x0.8p-1073', '4.9406564584124654e-324'],
  ['0x1.fffffffffffffp1023', '1.7976931348623157e+308'],
  ['0x0p99999999999999999999', '0'],
])('%s reads as %s', (text, expected) => {
  expect(formatScore(parseScore(text)!)).toBe(expected);
});

test.each(
  ['', '.', '-', 'e5', '1e', '0x', '0x.p1', ' 1', '1 ', '1\0', '1_0', 'nan', 'nan(x)', 'infin', '--1'].concat(
    [
      '1e400',
      '-1e400',
      '1e-400',
      '4.9e-325'.replace('4.9', '2'),
      '0x1p-1076',
      '0x1p1024',
      '0x1p99999999999999999999',
    ],
    ['0x1p-99999999999999999999'],
  ),
)('%j is no score', (text) => {
  expect(parseScore(text)).toBeUndefined();
});

test('long text is read, or refused, at once', () => {
  const long = 2_000_000;
  expect(parseScore(`${'1'.repeat(long)}x`)).toBeUndefined();
  expect(parseScore(`0x${'1'.repeat(long)}g`)).toBeUndefined();
  expect(parseScore('1'.repeat(long))).toBeUndefined();
  expect(parseScore(`0.${'0'.repeat(long)}1`)).toBeUndefined();
  expect(parseScore(`1${'0'.repeat(long)}e-${long}`)).toBe(1);
  expect(parseScore(`0x1${'0'.repeat(long)}p-${long * 4}`)).toBe(1);
  expect(parseScoreBound(`(${' '.repeat(long)}x`)).toBeUndefined();
});

test('ends of ranges of scores', () => {
  expect(parseScoreBound('')).toEqual({ score: 0, exclusive: false });
  expect(parseScoreBound('(')).toEqual({ score: 0, exclusive: true });
  expect(parseScoreBound('( 1')).toEqual({ score: 1, exclusive: true });
  expect(parseScoreBound('-1e999')).toEqual({ score: Number.NEGATIVE_INFINITY, exclusive: false });
  expect(parseScoreBound('(1e-999')).toEqual({ score: 0, exclusive: true });
  for (const text of ['nan', '(nan', '1 ', '((1', '1x', ' ', '[1'])
    expect(parseScoreBound(text)).toBeUndefined();
});

describe.skipIf(!haveTool('redis-server'))('scores against redis-server', () => {
  let server: TestServer;
  let client: RawClient;
  let client3: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
    client = await server.connect();
    client3 = await server.connect3();
  });

  afterAll(() => server.stop());

  /** What ZSCORE replies for each score that ZADD took, else the error. */
  async function stored(texts: readonly string[], reader: RawClient = client): Promise<Reply[]> {
    await client.command('DEL', 'z');
    const added = await client.pipeline(texts.map((text, index) => ['ZADD', 'z', text, `m${index}`]));
    const scores = await reader.pipeline(texts.map((_, index) => ['ZSCORE', 'z', `m${index}`]));
    return added.map((reply, index) => (reply.type === 'error' ? reply : scores[index]!));
  }

  test('doubles are printed alike, in both versions of the protocol', async () => {
    const random = new Random(testSeed('printed scores'));
    const bits = new DataView(new ArrayBuffer(8));
    const scores: number[] = [];
    while (scores.length < 12_000) {
      bits.setUint32(0, random.int(0, 0xffff_ffff));
      bits.setUint32(4, random.int(0, 0xffff_ffff));
      const halves = random.int(1, 2 ** 50) + random.pick([0.5, 0.25, 0.75, 0.125, 0.375]);
      const decimals = random.int(-(10 ** 9), 10 ** 9) / 10 ** random.int(0, 20);
      const wide = random.int(2 ** 52, 2 ** 53) * 2 ** random.int(0, 12);
      const power = 10 ** random.int(-30, 30);
      scores.push(
        ...[bits.getFloat64(0), halves, decimals, wide, power].filter((each) => !Number.isNaN(each)),
      );
    }
    for (const reader of [client, client3]) {
      const replies = await stored(scores.map(String), reader);
      for (const [index, reply] of replies.entries()) {
        const text = reply.type === 'double' ? reply.text : textOf(reply);
        expect([scores[index], text]).toEqual([scores[index], formatScore(scores[index]!)]);
      }
    }
  });

  test('texts are read alike', async () => {
    const random = new Random(testSeed('read scores'));
    const digits = (most: number) =>
      Array.from({ length: random.int(0, most) }, () => random.int(0, 9)).join('');
    const hexadecimal = (most: number) =>
      Array.from({ length: random.int(0, most) }, () => random.pick([...'0123456789abcdefF'])).join('');
    const texts = Array.from({ length: 6000 }, () => {
      const sign = random.pick(['', '', '-', '+']);
      const point = random.pick(['', '.']);
      const text = random.chance(0.6)
        ? sign +
          digits(25) +
          point +
          digits(25) +
          random.pick(['', `e${random.int(-340, 330)}`, `E+${digits(2)}`])
        : `${sign}0x${hexadecimal(30)}${point}${hexadecimal(20)}${random.pick(['', `p${random.int(-1150, 1030)}`])}`;
      if (random.chance(0.9)) return text;
      const at = random.int(0, text.length);
      return (
        text.slice(0, at) + random.pick([' ', 'e', 'x', 'inf', 'nan', '.', '-', '0']) + text.slice(at + 1)
      );
    });
    const replies = await stored(texts);
    for (const [index, reply] of replies.entries()) {
      const score = parseScore(texts[index]!);
      const own = score === undefined ? '-ERR value is not a valid float' : `$"${formatScore(score)}"`;
      expect([texts[index], own]).toEqual([texts[index], render(reply)]);
    }
  });

  test('ranges hold the same', async () => {
    await client.command('DEL', 'z', 'l');
    const scores = [Number.NEGATIVE_INFINITY, -1, -0.5, 0, 1, 2, 16, Number.POSITIVE_INFINITY];
    const members = ['', '\0', 'a', 'ab', 'b', '\xff'];
    for (const score of scores) await client.command('ZADD', 'z', formatScore(score), `m${score}`);
    for (const member of members) await client.command('ZADD', 'l', 0, member);
    const bounds = [
      '',
      '(',
      '1',
      '(1',
      ' -1',
      '(0x10',
      '-inf',
      '(-inf',
      '+inf',
      '(inf',
      '1e999',
      'x',
      '(nan',
      '-.5',
    ];
    const lex = ['-', '+', '[', '(', '[a', '(a', '[ab', '(\xff', 'a', '', '-a', '[\0', '([a'];
    for (const min of bounds)
      for (const max of bounds) {
        const from = parseScoreBound(min);
        const to = parseScoreBound(max);
        const own =
          from === undefined || to === undefined
            ? '-ERR min or max is not a float'
            : `:${scores.filter((score) => isScoreAbove(score, from) && isScoreBelow(score, to)).length}`;
        expect([min, max, own]).toEqual([min, max, await client.rendered('ZCOUNT', 'z', min, max)]);
      }
    for (const min of lex)
      for (const max of lex) {
        const from = parseLexBound(min);
        const to = parseLexBound(max);
        const own =
          from === undefined || to === undefined
            ? '-ERR min or max not valid string range item'
            : `:${members.filter((member) => isMemberAbove(member, from) && isMemberBelow(member, to)).length}`;
        expect([min, max, own]).toEqual([min, max, await client.rendered('ZLEXCOUNT', 'l', min, max)]);
      }
  });
});
