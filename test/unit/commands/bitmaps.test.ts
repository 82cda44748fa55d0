import { beforeEach, describe, expect, test } from 'vitest';
import { RowFlag } from '../../../src/types/row.js';
import { StringHarness } from './string-harness.js';

const SYNTAX = '-ERR syntax error';
const NOT_AN_INTEGER = '-ERR value is not an integer or out of range';
const BAD_OFFSET = '-ERR bit offset is not an integer or out of range';

let harness: StringHarness;
beforeEach(() => {
  harness = new StringHarness();
});

describe('SETBIT, GETBIT', () => {
  test('bit 0 is the highest of the first byte', () => {
    expect(harness.run('SETBIT k 1 1')).toBe(':0');
    expect(harness.run('SETBIT k 15 1')).toBe(':0');
    expect(harness.value('k')).toBe('\x40\x01');
    expect(harness.view.peek('k')!.flags).toBe(RowFlag.Raw);
    expect(harness.run('SETBIT k 1 0')).toBe(':1');
    expect(harness.run('GETBIT k 15')).toBe(':1');
    expect(harness.run('GETBIT k 14')).toBe(':0');
    expect(harness.run('GETBIT k 9999')).toBe(':0');
    expect(harness.run('GETBIT none 0')).toBe(':0');
  });

  test('an absent key gets its bytes even for a 0', () => {
    expect(harness.run('SETBIT k 17 0')).toBe(':0');
    expect(harness.value('k')).toBe('\0\0\0');
  });

  test('long strings are not changed in place', () => {
    harness.rendered('SET', 'k', '\0'.repeat(3000));
    const before = harness.view.peek('k')!.value as Buffer;
    expect(harness.run('SETBIT k 20000 1')).toBe(':0');
    expect(before.every((byte) => byte === 0)).toBe(true);
    expect(harness.run('GETBIT k 20000')).toBe(':1');
  });

  test('errors', () => {
    harness.setList('l');
    expect(harness.run('SETBIT k x 2')).toBe(BAD_OFFSET);
    expect(harness.run('SETBIT k -1 1')).toBe(BAD_OFFSET);
    expect(harness.run(`SETBIT k ${8 * 1024 * 1024} 1`)).toBe(BAD_OFFSET);
    expect(harness.run(`SETBIT k ${8 * 1024 * 1024 - 1} 1`)).toBe(':0');
    expect(harness.run('SETBIT l 1 2')).toBe('-ERR bit is not an integer or out of range');
    expect(harness.run('SETBIT l 1 1')).toMatch(/^-WRONGTYPE/);
    expect(harness.run('GETBIT l #1')).toBe(BAD_OFFSET);
  });
});

describe('BITCOUNT', () => {
  beforeEach(() => harness.set('k', 'foobar'));

  test.each([
    ['', 26],
    ['0 0', 4],
    ['1 1 BYTE', 6],
    ['5 30 BIT', 17],
    ['-2 -1', 7],
    ['-100 -200', 0],
    ['-100 2', 16],
    ['3 1', 0],
    ['6 7', 0],
    ['-7 -8 BOGUS', 0],
  ])('of foobar, %s', (range, count) => {
    expect(harness.run(`BITCOUNT k ${range}`.trim())).toBe(`:${count}`);
  });

  test('errors', () => {
    expect(harness.run('BITCOUNT k 1')).toBe(SYNTAX);
    expect(harness.run('BITCOUNT k 1 2 BOGUS')).toBe(SYNTAX);
    expect(harness.run('BITCOUNT k 1 2 BIT x')).toBe(SYNTAX);
    expect(harness.run('BITCOUNT k x 2')).toBe(NOT_AN_INTEGER);
    expect(harness.run('BITCOUNT none x')).toBe(':0');
  });
});

describe('BITPOS', () => {
  test.each([
    ['\xff\xf0\0', '0', 12],
    ['\0\xff\xf0', '1 0', 8],
    ['\0\xff\xf0', '1 2', 16],
    ['\xff\xff\xff', '0', 24],
    ['\xff\xff\xff', '0 1', 24],
    ['\xff\xff\xff', '0 0 -1', -1],
    ['\xff\xff\xff', '0 3', -1],
    ['\0\0', '1', -1],
    ['\0\xff\xf0', '1 7 15 BIT', 8],
    ['\0\xff\xf0', '0 9 11 BIT', -1],
    ['\0\xff\xf0', '1 7 7 BIT', -1],
    ['', '0', -1],
    ['\xff', '1 -100 -200', 0],
  ])('in %j, %s', (value, options, position) => {
    harness.set('k', value);
    expect(harness.run(`BITPOS k ${options}`)).toBe(`:${position}`);
  });

  test('an absent key is all zeros', () => {
    expect(harness.run('BITPOS none 0')).toBe(':0');
    expect(harness.run('BITPOS none 1')).toBe(':-1');
    expect(harness.run('BITPOS none 2')).toBe('-ERR The bit argument must be 1 or 0.');
    expect(harness.run('BITPOS none x')).toBe(NOT_AN_INTEGER);
    expect(harness.run('BITPOS none 0 x y z')).toBe(':0');
  });
});

describe('BITOP', () => {
  beforeEach(() => {
    harness.set('a', '\xff\x0f\x55\x01\x02');
    harness.set('b', '\x0f\xff');
  });

  test.each([
    ['AND d a b', '\x0f\x0f\0\0\0'],
    ['or d a b', '\xff\xff\x55\x01\x02'],
    ['XOR d a b none', '\xf0\xf0\x55\x01\x02'],
    ['AND d a b none', '\0\0\0\0\0'],
    ['NOT d b', '\xf0\0'],
    ['OR a a b', '\xff\xff\x55\x01\x02'],
  ])('%s', (line, result) => {
    expect(harness.run(`BITOP ${line}`)).toBe(`:${result.length}`);
    expect(harness.value(line.split(' ')[1]!)).toBe(result);
  });

  test('an empty result deletes the destination', () => {
    harness.set('d', 'x');
    expect(harness.run('BITOP AND d none none')).toBe(':0');
    expect(harness.value('d')).toBeUndefined();
  });

  test('the destination may be of any type and loses its expiry; sources may not', () => {
    harness.setList('l');
    expect(harness.run('BITOP OR d a l')).toMatch(/^-WRONGTYPE/);
    expect(harness.run('BITOP OR l a')).toBe(':5');
    expect(harness.run('BITOP NOT d a b')).toBe('-ERR BITOP NOT must be called with a single source key.');
    expect(harness.run('BITOP NAND d a b')).toBe(SYNTAX);
  });
});

describe('BITFIELD', () => {
  test('overflow rules hold for what follows them', () => {
    expect(
      harness.run(
        'BITFIELD k SET u8 0 200 INCRBY u8 0 100 OVERFLOW SAT INCRBY u8 0 300 ' +
          'OVERFLOW FAIL INCRBY u8 0 1 GET i4 0',
      ),
    ).toBe('*[:0 :44 :255 $-1 :-1]');
    expect(harness.view.peek('k')!.flags).toBe(RowFlag.Raw);
  });

  test('whole and odd widths, # offsets', () => {
    expect(harness.run('BITFIELD k SET i64 #1 -1 GET u63 #1 GET i64 1')).toBe(
      '*[:0 :4611686018427387903 :1]',
    );
    expect(harness.run('BITFIELD k SET u1 #70 1 GET u3 69 INCRBY i5 126 -17')).toBe('*[:1 :7 :7]');
  });

  test('reading alone makes no key', () => {
    expect(harness.run('BITFIELD none GET u8 100')).toBe('*[:0]');
    expect(harness.run('BITFIELD none')).toBe('*[]');
    expect(harness.run('BITFIELD_RO none GET i64 5')).toBe('*[:0]');
    expect(harness.value('none')).toBeUndefined();
  });

  test('a failed write lengthens the string all the same', () => {
    expect(harness.run('BITFIELD k OVERFLOW FAIL SET u2 14 9')).toBe('*[$-1]');
    expect(harness.value('k')).toBe('\0\0');
  });

  test.each([
    [
      'GET u64 0',
      '-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.',
    ],
    [
      'GET u08 0',
      '-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.',
    ],
    ['GET u8 -1', BAD_OFFSET],
    ['GET u8 #', BAD_OFFSET],
    ['SET u8 0 x', NOT_AN_INTEGER],
    ['OVERFLOW BOGUS', '-ERR Invalid OVERFLOW type specified'],
    ['GET u8', SYNTAX],
    ['OVERFLOW', SYNTAX],
  ])('%s is refused', (operations, error) => {
    expect(harness.run(`BITFIELD k ${operations}`)).toBe(error);
    expect(harness.run(`BITFIELD k SET u8 0 1 ${operations}`)).toBe(error);
    expect(harness.value('k')).toBeUndefined();
  });

  test('BITFIELD_RO', () => {
    expect(harness.run('BITFIELD_RO k GET u8 0 SET u8 0 1')).toBe(
      '-ERR BITFIELD_RO only supports the GET subcommand',
    );
    expect(harness.run('BITFIELD_RO k OVERFLOW SAT GET u8 0')).toBe('*[:0]');
  });
});
