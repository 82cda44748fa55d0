import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clampedInteger,
  clusterPorts,
  flag,
  Invalid,
  integer,
  type Kind,
  list,
  memory,
  octalPermission,
  oneOf,
  outputBufferLimits,
  parseBytes,
  percentiles,
  savePoints,
  unboundedMemory,
} from '../../../src/base/config-values.js';
import { INT64_MAX } from '../../../src/base/numbers.js';

function reason<T>(kind: Kind<T>, current: T, ...words: string[]): string {
  const value = kind.parse(words, current);
  return value instanceof Invalid ? value.reason : `taken as ${kind.format(value)}`;
}

describe('parseBytes', () => {
  it.each([
    ['', 0n],
    ['0', 0n],
    ['100', 100n],
    ['1b', 1n],
    ['1k', 1000n],
    ['1KB', 1024n],
    ['3m', 3_000_000n],
    ['3Mb', 3n * 1024n ** 2n],
    ['2g', 2_000_000_000n],
    ['2gB', 2n * 1024n ** 3n],
    ['007', 7n],
  ])('reads %j', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(['x', '1x', '1tb', '-1', '+1', '1.5gb', ' 1', '1 kb', 'kb', '0x10'])('refuses %j', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });
});

describe('integer', () => {
  const kind = integer(0, 65535);

  it.each(['abc', '010', ' 10', '+10', '', '1kb', '1e3', '9223372036854775808'])('refuses %j', (word) => {
    expect(reason(kind, 0, word)).toBe("argument couldn't be parsed into an integer");
  });

  it('names its range', () => {
    expect(reason(kind, 0, '65536')).toBe('argument must be between 0 and 65535 inclusive');
    expect(reason(integer(-1), 0, '-2')).toBe(
      'argument must be between -1 and 9223372036854775807 inclusive',
    );
  });

  it('takes exactly one word', () => {
    expect(reason(kind, 0)).toBe('wrong number of arguments');
    expect(reason(kind, 0, '1', '2')).toBe('wrong number of arguments');
  });

  it('keeps the largest integer', () => {
    expect(reason(integer(0), 0, String(INT64_MAX))).toBe(`taken as ${INT64_MAX}`);
  });

  it('reads back what it formats', () => {
    const any = integer(-(2n ** 63n));
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: INT64_MAX }), (exact) => {
        const value = any.parse([String(exact)], 0) as number;
        expect(value).toBe(Number(exact));
        expect(any.parse([any.format(value)], 0)).toBe(value);
      }),
    );
  });
});

describe('the other kinds', () => {
  it('clamps instead of refusing', () => {
    const kind = clampedInteger(1, 500);
    expect(reason(kind, 10, '0')).toBe('taken as 1');
    expect(reason(kind, 10, '1000')).toBe('taken as 500');
    expect(reason(kind, 10, 'x')).toBe("argument couldn't be parsed into an integer");
  });

  it('bounds sizes, or lets them be as large as Redis can say', () => {
    expect(reason(memory(1024), 0, '1kb')).toBe('taken as 1024');
    expect(reason(memory(1024), 0, '1')).toBe(
      'argument must be between 1024 and 9223372036854775807 inclusive',
    );
    expect(reason(memory(), 0, '1zb')).toBe('argument must be a memory value');
    expect(reason(unboundedMemory(), 0, '99999999999999999999')).toBe('taken as 18446744073709551615');
  });

  it('reads yes and no in any case', () => {
    expect(reason(flag(), false, 'YES')).toBe('taken as yes');
    expect(reason(flag(), true, 'No')).toBe('taken as no');
    expect(reason(flag(), true, '1')).toBe("argument must be 'yes' or 'no'");
  });

  it('reads one of some words', () => {
    const kind = oneOf('everysec', 'always', 'no');
    expect(reason(kind, 'no', 'ALWAYS')).toBe('taken as always');
    expect(reason(kind, 'no', 'x')).toBe('argument(s) must be one of the following: everysec, always, no');
  });

  it('reads permissions', () => {
    expect(octalPermission().parse(['700'], 0)).toBe(0o700);
    expect(reason(octalPermission(), 0, '0770')).toBe('taken as 770');
    expect(reason(octalPermission(), 0, '999')).toBe("argument couldn't be parsed as an octal number");
    expect(reason(octalPermission(), 0, '77777')).toBe('argument must be between 0 and 777 inclusive');
  });

  it('bounds lists', () => {
    expect(reason(list('words', 2), [], 'a', 'b')).toBe('taken as a b');
    expect(reason(list('words', 2), ['a'], '')).toBe('taken as ');
    expect(reason(list('words', 2), [], 'a', 'b', 'c')).toBe('wrong number of arguments');
    expect(reason(list('words', 2), [])).toBe('wrong number of arguments');
  });

  it('reads percentiles', () => {
    const kind = percentiles('p');
    expect(reason(kind, [], '50', '99.123456789', '1e1')).toBe('taken as 50 99.123457 10');
    expect(reason(kind, [], '100')).toBe('taken as 100');
    expect(reason(kind, [], '')).toBe('taken as ');
    expect(reason(kind, [], '50', '')).toBe('Invalid p parameters');
    expect(reason(kind, [], '101')).toBe('p parameters should sit between [0.0,100.0]');
  });

  it('adds cluster ports up, the last word on a port counting', () => {
    const kind = clusterPorts();
    expect(reason(kind, [], '7000')).toBe('taken as 7000 db0');
    expect(reason(kind, [], '7000', '7001', 'orders')).toBe('taken as 7000 db0 7001 orders');
    expect(reason(kind, [], '')).toBe('taken as ');
    expect(reason(kind, [], '0')).toBe('taken as ');
    const first = [{ port: 7000, keyspace: 'db0' }];
    const later = [
      { port: 7001, keyspace: 'orders' },
      { port: 7000, keyspace: 'users' },
    ];
    expect(kind.format(kind.combine!(first, later))).toBe('7000 users 7001 orders');
    expect(kind.combine!(first, [])).toEqual([]);
    expect(kind.lines(later)).toEqual([
      ['7001', 'orders'],
      ['7000', 'users'],
    ]);
    expect(reason(kind, [], '70000')).toBe('argument must be between 1 and 65535 inclusive');
    expect(reason(kind, [], '7000', 'a', 'b')).toBe('port 7000 has two keyspaces');
    expect(reason(kind, [], '7000', 'a b')).toBe("'a b' cannot be the name of a keyspace");
    expect(reason(kind, [], 'orders')).toBe("'orders' is not a port");
  });

  it('adds save points up until the empty one', () => {
    const kind = savePoints();
    const first = kind.parse(['900', '1'], []) as ReturnType<typeof kind.combine & object>;
    const second = kind.parse(['60', '0', '5', '5'], []) as typeof first;
    expect(kind.format(kind.combine!(first, second))).toBe('900 1 60 0 5 5');
    expect(kind.combine!(first, [])).toEqual([]);
    for (const words of [['1'], ['0', '0'], ['60', '-1'], ['x', '1'], ['', '60', '1']]) {
      expect(reason(kind, [], ...words)).toBe('Invalid save parameters');
    }
  });

  it('changes the output limits of the classes that are named', () => {
    const kind = outputBufferLimits();
    const none = { hardBytes: 0, softBytes: 0, softSeconds: 0 };
    const limits = { normal: none, replica: none, pubsub: none };
    expect(reason(kind, limits, 'REPLICA', '1mb', '1k', '60')).toBe(
      'taken as normal 0 0 0 slave 1048576 1000 60 pubsub 0 0 0',
    );
    expect(reason(kind, limits, 'slave', '1', '2', '3', 'pubsub', '4', '5', '6')).toBe(
      'taken as normal 0 0 0 slave 1 2 3 pubsub 4 5 6',
    );
    expect(reason(kind, limits, 'normal', '1', '2')).toContain('Wrong number of arguments');
    expect(reason(kind, limits, 'other', '1', '2', '3')).toContain('Invalid client class');
    expect(reason(kind, limits, 'normal', '-1', '2', '3')).toContain('Error in hard, soft or soft_seconds');
  });
});
