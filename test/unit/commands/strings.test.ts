import { beforeEach, describe, expect, test } from 'vitest';
import { RowFlag, TEXT_BYTES_MAX } from '../../../src/types/row.js';
import { StringHarness } from './string-harness.js';

const SYNTAX = '-ERR syntax error';
const WRONG_TYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value';
const NOT_AN_INTEGER = '-ERR value is not an integer or out of range';
const NIL = '$-1';

let harness: StringHarness;
beforeEach(() => {
  harness = new StringHarness();
});

function expiryOf(key: string): number {
  return harness.view.peek(key)!.expiresAtMs;
}

describe('SET', () => {
  test('keeps any bytes, as text up to the limit and as a Buffer beyond', () => {
    for (const value of ['', '\r\n\0\xff', 'x'.repeat(TEXT_BYTES_MAX), 'y'.repeat(TEXT_BYTES_MAX + 1)]) {
      expect(harness.rendered('set', 'k', value)).toBe('+OK');
      expect(harness.value('k')).toBe(value);
      expect(typeof harness.view.find('k')!.value).toBe(value.length <= TEXT_BYTES_MAX ? 'string' : 'object');
    }
  });

  test('a long value shares no memory with the command', () => {
    const bytes = Buffer.alloc(5000, 'a');
    harness.reply('set', 'k', bytes);
    bytes.fill('b');
    expect(harness.value('k')).toBe('a'.repeat(5000));
  });

  test.each([
    ['EX 100', 100_000],
    ['px 1', 1],
    ['EXAT 1700000001', 1000],
    ['PXAT 1700000000001', 1],
    ['EX 5 EX 7', 7000],
  ])('SET with %s', (options, remainingMs) => {
    expect(harness.run(`SET k v ${options}`)).toBe('+OK');
    expect(expiryOf('k') - harness.view.nowMs).toBe(remainingMs);
  });

  test('KEEPTTL keeps the expiry, an ordinary SET takes it away', () => {
    harness.run('SET k v EX 100');
    harness.run('SET k w KEEPTTL');
    expect(expiryOf('k')).toBe(harness.view.nowMs + 100_000);
    harness.run('SET k w');
    expect(expiryOf('k')).toBe(0);
  });

  test('an expiry in the past leaves no key', () => {
    harness.set('k', 'old');
    expect(harness.run('SET k v PXAT 1700000000000')).toBe('+OK');
    expect(harness.value('k')).toBeUndefined();
  });

  test.each([
    'NX XX',
    'XX NX',
    'EX',
    'EX 1 PX 1',
    'EX 1 KEEPTTL',
    'KEEPTTL PXAT 1',
    'PERSIST',
    'BOGUS',
    'EVENTTIME',
    'GET GET NX X',
  ])('SET with %s is a syntax error', (options) => {
    expect(harness.run(`SET k v ${options}`)).toBe(SYNTAX);
    expect(harness.value('k')).toBeUndefined();
  });

  test.each(['EX 0', 'EX -1', 'EX 9223372036854775', 'PX 9223372036854775807', 'EXAT 9223372036854776'])(
    'SET with %s is no valid expiry',
    (options) => {
      expect(harness.run(`SET k v ${options}`)).toBe("-ERR invalid expire time in 'set' command");
    },
  );

  test('the expiry is checked before type and condition', () => {
    harness.setList('l');
    expect(harness.run('SET l v GET EX x')).toBe(NOT_AN_INTEGER);
    expect(harness.run('SET l v GET EX 0')).toBe("-ERR invalid expire time in 'set' command");
    expect(harness.run('SET l v GET')).toBe(WRONG_TYPE);
    expect(harness.run('SET l v NX')).toBe(NIL);
    expect(harness.run('SET l v XX')).toBe('+OK');
  });

  test('GET replies the old value, whether or not the condition holds', () => {
    expect(harness.run('SET k a XX GET')).toBe(NIL);
    expect(harness.value('k')).toBeUndefined();
    expect(harness.run('SET k a NX GET')).toBe(NIL);
    expect(harness.run('SET k b NX GET')).toBe('$"a"');
    expect(harness.value('k')).toBe('a');
    expect(harness.run('SET k b GET')).toBe('$"a"');
    expect(harness.value('k')).toBe('b');
  });
});

describe('SET … EVENTTIME', () => {
  test('the later event wins, in whatever order they arrive', () => {
    const now = harness.view.nowMs;
    expect(harness.run(`SET k a EVENTTIME ${now - 1000}`)).toBe('+OK');
    expect(harness.run(`SET k b EVENTTIME ${now - 2000}`)).toBe(NIL);
    expect(harness.run(`SET k b EVENTTIME ${now - 2000} GET`)).toBe('$"a"');
    expect(harness.value('k')).toBe('a');
    expect(harness.run(`SET k c EVENTTIME ${now - 500} EX 10`)).toBe('+OK');
    expect(harness.value('k')).toBe('c');
  });

  test('a later deletion holds', () => {
    harness.view.remove('k', harness.view.nowMs - 1000);
    expect(harness.run(`SET k a EVENTTIME ${harness.view.nowMs - 2000}`)).toBe(NIL);
    expect(harness.run(`SET k a EVENTTIME ${harness.view.nowMs}`)).toBe('+OK');
  });

  test.each(['x', '0', '-5', '1.5', '9223372036854775807'])('%s is no event time', (time) => {
    expect(harness.run(`SET k v EVENTTIME ${time}`)).toBe("-ERR invalid event time in 'set' command");
  });

  test('times too far ahead are refused, with the name of the limit', () => {
    const limit = harness.view.nowMs + 60_000;
    expect(harness.run(`SET k v EVENTTIME ${limit}`)).toBe('+OK');
    expect(harness.run(`SET k v EVENTTIME ${limit + 1}`)).toMatch(
      /^-ERR event time .* 60001 ms ahead .*event-time-drift-max-ms \(60000\)/,
    );
  });
});

describe('the other writers', () => {
  test('SETNX, SETEX, PSETEX', () => {
    expect(harness.run('SETNX k a')).toBe(':1');
    expect(harness.run('SETNX k b')).toBe(':0');
    expect(harness.run('SETEX k 10 c')).toBe('+OK');
    expect(expiryOf('k')).toBe(harness.view.nowMs + 10_000);
    expect(harness.run('PSETEX k 10 d')).toBe('+OK');
    expect(expiryOf('k')).toBe(harness.view.nowMs + 10);
    expect(harness.run('SETEX k 0 c')).toBe("-ERR invalid expire time in 'setex' command");
    expect(harness.run('PSETEX k -1 c')).toBe("-ERR invalid expire time in 'psetex' command");
    expect(harness.value('k')).toBe('d');
  });

  test('GETSET takes the expiry away, GETDEL the key', () => {
    harness.run('SET k a EX 10');
    expect(harness.run('GETSET k b')).toBe('$"a"');
    expect(expiryOf('k')).toBe(0);
    expect(harness.run('GETDEL k')).toBe('$"b"');
    expect(harness.run('GETDEL k')).toBe(NIL);
    harness.setList('l');
    expect(harness.run('GETSET l x')).toBe(WRONG_TYPE);
    expect(harness.run('GETDEL l')).toBe(WRONG_TYPE);
  });

  test('GETEX', () => {
    harness.set('k', 'v');
    expect(harness.run('GETEX k EX 10')).toBe('$"v"');
    expect(expiryOf('k')).toBe(harness.view.nowMs + 10_000);
    expect(harness.run('GETEX k')).toBe('$"v"');
    expect(expiryOf('k')).not.toBe(0);
    expect(harness.run('GETEX k PERSIST')).toBe('$"v"');
    expect(expiryOf('k')).toBe(0);
    expect(harness.run('GETEX k EX 0')).toBe("-ERR invalid expire time in 'getex' command");
    expect(harness.run('GETEX k EX 1 PERSIST')).toBe(SYNTAX);
    expect(harness.run('GETEX k KEEPTTL')).toBe(SYNTAX);
    expect(harness.run('GETEX none EX x')).toBe(NIL);
    expect(harness.run('GETEX k EXAT 1')).toBe('$"v"');
    expect(harness.value('k')).toBeUndefined();
  });

  test('MGET, MSET, MSETNX', () => {
    harness.setList('l');
    expect(harness.run('MSET a 1 b 2 a 3')).toBe('+OK');
    expect(harness.run('MGET a l none b')).toBe('*[$"3" $-1 $-1 $"2"]');
    expect(harness.run('MSETNX c 1 b 9')).toBe(':0');
    expect(harness.value('c')).toBeUndefined();
    expect(harness.run('MSETNX c 1 d 2')).toBe(':1');
    expect(harness.run('MSET a 1 b')).toBe("-ERR wrong number of arguments for 'mset' command");
    expect(harness.run('MSETNX a 1 b')).toBe("-ERR wrong number of arguments for 'msetnx' command");
  });
});

describe('parts of strings', () => {
  test('APPEND makes a present string raw, and never changes stored bytes', () => {
    expect(harness.run('APPEND k ab')).toBe(':2');
    expect(harness.view.peek('k')!.flags).toBe(0);
    expect(harness.run('APPEND k cd')).toBe(':4');
    expect(harness.view.peek('k')!.flags).toBe(RowFlag.Raw);
    expect(harness.rendered('APPEND', 'k', 'x'.repeat(TEXT_BYTES_MAX))).toBe(`:${TEXT_BYTES_MAX + 4}`);
    const before = harness.view.peek('k')!.value;
    harness.run('APPEND k end');
    expect(before.length).toBe(TEXT_BYTES_MAX + 4);
    expect(harness.value('k')).toBe(`abcd${'x'.repeat(TEXT_BYTES_MAX)}end`);
  });

  test('the limit is proto-max-bulk-len', () => {
    const tooLong = '-ERR string exceeds maximum allowed size (proto-max-bulk-len)';
    harness.settings = { ...harness.settings, protoMaxBulkBytes: 10 };
    harness.set('k', '12345678');
    expect(harness.run('APPEND k 90')).toBe(':10');
    expect(harness.run('APPEND k x')).toBe(tooLong);
    expect(harness.run('SETRANGE k 9 xy')).toBe(tooLong);
    expect(harness.run('SETRANGE k 9 x')).toBe(':10');
    expect(harness.run('SETRANGE k 9223372036854775807 x')).toBe(tooLong);
  });

  test.each([
    ['0 -1', 'This is a string'],
    ['0 3', 'This'],
    ['-3 -1', 'ing'],
    ['10 100', 'string'],
    ['-100 3', 'This'],
    ['5 3', ''],
    ['-1 -100', ''],
    ['-99 -100', ''],
    ['-9007199254740993 -9007199254740992', 'T'],
    ['-9007199254740992 -9007199254740993', ''],
    ['16 20', ''],
  ])('GETRANGE %s', (range, part) => {
    harness.set('k', 'This is a string');
    expect(harness.rendered('GETRANGE', 'k', ...range.split(' '))).toBe(`$"${part}"`);
    harness.rendered('SET', 'k', `This is a string${'.'.repeat(TEXT_BYTES_MAX)}`);
    if (!range.includes('-')) expect(harness.run(`SUBSTR k ${range}`).length).toBeGreaterThan(2);
  });

  test('GETRANGE checks its numbers before the key', () => {
    harness.setList('l');
    expect(harness.run('GETRANGE l x 1')).toBe(NOT_AN_INTEGER);
    expect(harness.run('GETRANGE l 0 1')).toBe(WRONG_TYPE);
    expect(harness.run('GETRANGE none 0 1')).toBe('$""');
  });

  test('SETRANGE', () => {
    expect(harness.rendered('SETRANGE', 'none', '5', '')).toBe(':0');
    expect(harness.value('none')).toBeUndefined();
    expect(harness.run('SETRANGE none -1 x')).toBe('-ERR offset is out of range');
    expect(harness.run('SETRANGE k 3 abc')).toBe(':6');
    expect(harness.value('k')).toBe('\0\0\0abc');
    expect(harness.view.peek('k')!.flags).toBe(RowFlag.Raw);
    expect(harness.run('SETRANGE k 1 xy')).toBe(':6');
    expect(harness.value('k')).toBe('\0xyabc');
    expect(harness.run('SETRANGE k 2000 z')).toBe(':2001');
    expect(harness.value('k')).toBe(`\0xyabc${'\0'.repeat(1994)}z`);
  });

  test('STRLEN', () => {
    harness.set('k', 'abc');
    harness.setList('l');
    expect(harness.run('STRLEN k')).toBe(':3');
    expect(harness.run('STRLEN none')).toBe(':0');
    expect(harness.run('STRLEN l')).toBe(WRONG_TYPE);
  });
});

describe('LCS', () => {
  beforeEach(() => {
    harness.run('MSET a ohmytext b mynewtext');
  });

  test('in its forms', () => {
    expect(harness.run('LCS a b')).toBe('$"mytext"');
    expect(harness.run('LCS a b LEN')).toBe(':6');
    expect(harness.run('LCS a none')).toBe('$""');
    const runs = '*[*[*[:4 :7] *[:5 :8]] *[*[:2 :3] *[:0 :1]]]';
    expect(harness.run('LCS a b IDX')).toBe(`*[$"matches" ${runs} $"len" :6]`);
    harness.version = 3;
    expect(harness.run('LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN')).toBe(
      '%[$"matches" *[*[*[:4 :7] *[:5 :8] :4]] $"len" :6]',
    );
  });

  test('errors', () => {
    harness.setList('l');
    expect(harness.run('LCS a b IDX LEN')).toBe(
      '-ERR If you want both the length and indexes, please just use IDX.',
    );
    expect(harness.run('LCS a b MINMATCHLEN')).toBe(SYNTAX);
    expect(harness.run('LCS a b MINMATCHLEN x')).toBe(NOT_AN_INTEGER);
    expect(harness.run('LCS a l BOGUS')).toBe('-ERR The specified keys must contain string values');
    harness.settings = { ...harness.settings, protoMaxBulkBytes: 9 * 10 * 4 - 1 };
    expect(harness.run('LCS a b')).toBe(
      '-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len',
    );
  });
});
