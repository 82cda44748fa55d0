import { describe, expect, it } from 'vitest';
import { Values } from '../../../../src/cli/bench/values.js';

const LARGE = 600_000;

function value(length: number, key: number, stamp: number, values = new Values('p:', 9, 1)): Buffer {
  const bytes = Buffer.alloc(length);
  values.write(bytes, 0, length, key, stamp);
  return bytes;
}

const check = (bytes: Buffer, key: number, values = new Values('p:', 9, 1)) =>
  values.check(bytes, 0, bytes.length, key);

describe('values', () => {
  it.each([32, 33, 100, LARGE])('of %d bytes tell who wrote them', (length) => {
    const values = new Values('p:', 0xfedcba98, 3);
    const stamp = 2 ** 40 + 5;
    expect(values.check(value(length, 2 ** 32 - 1, stamp, values), 0, length, 2 ** 32 - 1)).toBeUndefined();
    expect(values.origin).toEqual({ run: 0xfedcba98, thread: 3, stamp });
  });

  it('of another key or prefix are found out', () => {
    expect(check(value(100, 1, 1), 2)).toBe('wrong key');
    expect(check(value(100, 1, 1, new Values('q:', 9, 1)), 1)).toBe('wrong key');
  });

  it('made of two are found out, wherever they are joined', () => {
    const [first, second] = [value(100, 1, 1), value(100, 1, 2)];
    for (let at = 1; at < 100; at++) {
      const torn = Buffer.concat([first.subarray(0, at), second.subarray(at)]);
      if (torn.equals(first) || torn.equals(second)) continue;
      expect([at, check(torn, 1)]).not.toEqual([at, undefined]);
    }
  });

  it('with any byte changed are found out', () => {
    const good = value(100, 1, 1);
    for (let at = 0; at < 100; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1;
      expect([at, check(bad, 1)]).not.toEqual([at, undefined]);
    }
  });

  it('cut, lengthened, empty or of somebody else are found out', () => {
    const good = value(100, 1, 1);
    expect(check(good.subarray(0, 99), 1)).toBe('torn');
    expect(check(Buffer.concat([good, good]), 1)).toBe('torn');
    expect(check(Buffer.alloc(0), 1)).toBe('corrupt');
    expect(check(Buffer.from('x'.repeat(100)), 1)).toBe('corrupt');
    const large = value(LARGE, 1, 1);
    large[LARGE - 1]! ^= 1;
    expect(check(large, 1)).toBe('torn');
  });
});
