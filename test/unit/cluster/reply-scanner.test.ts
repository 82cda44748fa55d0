import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  elementsOf,
  errorOf,
  integerOf,
  ReplyFormatError,
  ReplyScanner,
  stringOf,
} from '../../../src/cluster/reply-scanner.js';
import { testSeed } from '../../support/random.js';

const SEED = testSeed('reply-scanner');

/** Where replies end in a stream that comes in these chunks. */
function ends(chunks: readonly Buffer[]): number[] {
  const scanner = new ReplyScanner();
  const found: number[] = [];
  let before = 0;
  for (const chunk of chunks) {
    let at = 0;
    for (;;) {
      at = scanner.next(chunk, at);
      if (at < 0) break;
      found.push(before + at);
    }
    before += chunk.length;
  }
  return found;
}

const line = fc.string({ maxLength: 30 }).map((text) => text.replace(/[\r\n]/g, ' '));
const body = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const blob = (type: string) => body.map((text) => `${type}${text.length}\r\n${text}\r\n`);

const reply = fc.letrec<{ any: string; flat: string; many: string }>((tie) => ({
  flat: fc.oneof(
    line.map((text) => `+${text}\r\n`),
    line.map((text) => `-ERR ${text}\r\n`),
    fc.bigInt().map((value) => `:${value}\r\n`),
    fc.double().map((value) => `,${value}\r\n`),
    fc.bigInt().map((value) => `(${value}\r\n`),
    fc.constantFrom(
      '$-1\r\n',
      '*-1\r\n',
      '_\r\n',
      '#t\r\n',
      '#f\r\n',
      '*0\r\n',
      '%0\r\n',
      '$0\r\n\r\n',
      '|0\r\n_\r\n',
    ),
    blob('$'),
    blob('!'),
    blob('='),
  ),
  many: fc.oneof(
    fc
      .tuple(fc.constantFrom('*', '~', '>'), fc.array(tie('any'), { maxLength: 5 }))
      .map(([type, items]) => `${type}${items.length}\r\n${items.join('')}`),
    fc
      .array(fc.tuple(tie('any'), tie('any')), { maxLength: 4 })
      .map((pairs) => `%${pairs.length}\r\n${pairs.flat().join('')}`),
    fc
      .tuple(fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 3 }), tie('any'))
      .map(([pairs, then]) => `|${pairs.length}\r\n${pairs.flat().join('')}${then}`),
  ),
  any: fc.oneof({ maxDepth: 4 }, tie('flat'), tie('many')),
})).any;

describe('ReplyScanner', () => {
  it('finds the same ends however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(reply, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (replies, cuts) => {
          const stream = Buffer.from(replies.join(''), 'latin1');
          let at = 0;
          const expected = replies.map((each) => {
            at += each.length;
            return at;
          });
          const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
          const edges = [0, ...places, stream.length];
          const chunks = edges.slice(1).map((end, index) => stream.subarray(edges[index], end));
          expect(ends(chunks)).toEqual(expected);
          expect(ends([stream])).toEqual(expected);
          expect(ends([...stream].map((byte) => Buffer.from([byte])))).toEqual(expected);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('knows what kind of reply stands at the top', () => {
    const scanner = new ReplyScanner();
    expect(scanner.atRest).toBe(true);
    expect(scanner.next(Buffer.from('*2\r\n:1\r\n'), 0)).toBe(-1);
    expect(scanner.atRest).toBe(false);
    expect(String.fromCharCode(scanner.type)).toBe('*');
    expect(scanner.next(Buffer.from('-ERR x\r\n-MOVED'), 0)).toBe(8);
    expect(String.fromCharCode(scanner.type)).toBe('*');
    expect(scanner.next(Buffer.from('-MOVED'), 0)).toBe(-1);
    expect(String.fromCharCode(scanner.type)).toBe('-');
  });

  it('takes nothing that is no reply', () => {
    for (const bad of [
      'x',
      'GET a\r\n',
      '$a\r\n',
      '$-2\r\n',
      '$\r\n',
      '*1x\r\n',
      '+a\rb',
      '*?\r\n',
      `$${'9'.repeat(16)}\r\n`,
    ])
      expect(() => ends([Buffer.from(bad)])).toThrow(ReplyFormatError);
  });

  it('bounds how deep replies are, and how long their lines', () => {
    expect(ends([Buffer.from(`${'*1\r\n'.repeat(128)}_\r\n`)])).toEqual([128 * 4 + 3]);
    expect(() => ends([Buffer.from('*1\r\n'.repeat(129))])).toThrow('128 levels');
    expect(() => ends(Array(200).fill(Buffer.from(`+${'a'.repeat(8000)}`)))).toThrow('line without end');
  });

  it('reads what a reply holds', () => {
    expect(elementsOf(Buffer.from('*3\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n_\r\n'))?.map(String)).toEqual([
      '$1\r\na\r\n',
      '*2\r\n:1\r\n:2\r\n',
      '_\r\n',
    ]);
    expect(elementsOf(Buffer.from('*-1\r\n'))).toBeUndefined();
    expect(elementsOf(Buffer.from('*0\r\n'))).toEqual([]);
    expect(stringOf(Buffer.from('$3\r\na\r\n\r\n'))?.toString()).toBe('a\r\n');
    expect(stringOf(Buffer.from('$-1\r\n'))).toBeUndefined();
    expect(integerOf(Buffer.from(':42\r\n'))).toBe(42);
    expect(errorOf(Buffer.from('-ERR no\r\n'))).toBe('ERR no');
    expect(errorOf(Buffer.from('+OK\r\n'))).toBeUndefined();
  });
});
