import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database, type IterateOptions } from '../../../src/workers/rocksdb.js';
import { temporaryDir } from '../../support/environment.js';
import { check } from '../../support/replay.js';

const ROWS = 12_000;
let database: Database;
let keys: string[];

const bytes = (text: string) => Buffer.from(text, 'latin1');

beforeAll(async () => {
  database = await Database.open(temporaryDir());
  keys = Array.from({ length: ROWS }, (_, index) => `k${String(index).padStart(5, '0')}`);
  for (const key of keys) database.put('default', bytes(key), bytes(`value of ${key}`));
  database.commit(false);
});

afterAll(() => database.close());

function visited(options: Partial<IterateOptions>, limit = Number.POSITIVE_INFINITY): string[] {
  const found: string[] = [];
  database.iterate({ family: 'default', values: false, ...options }, (key) => {
    found.push(key.latin1Slice());
    return found.length < limit;
  });
  return found;
}

describe('iterate', () => {
  it('visits all rows in order, over many chunks, with their values if asked for', () => {
    expect(visited({})).toEqual(keys);
    const values: (string | undefined)[] = [];
    database.iterate({ family: 'default', values: true }, (_key, value) => {
      values.push(value!.latin1Slice());
      return true;
    });
    expect(values).toEqual(keys.map((key) => `value of ${key}`));
    database.iterate({ family: 'default', values: false }, (_key, value) => {
      expect(value).toBeUndefined();
      return false;
    });
  });

  it.each([1, 15, 16, 17, 500, 3000, ROWS, ROWS + 1])(
    'visits no more rows than %i, if that is asked for',
    (rowsMax) => {
      expect(visited({ rowsMax })).toEqual(keys.slice(0, rowsMax));
      expect(visited({ rowsMax, after: bytes(keys[99]!) })).toEqual(keys.slice(100, 100 + rowsMax));
    },
  );

  it('visits the rows between any bounds, either way, up to any row', () => {
    const bound = fc
      .integer({ min: -10, max: ROWS + 10 })
      .map((index) => keys[index] ?? (index < 0 ? '' : 'z'));
    const optional = fc.option(bound, { nil: undefined });
    const limit = fc.oneof(fc.integer({ min: 1, max: 600 }), fc.constant(Number.POSITIVE_INFINITY));
    const property = fc.property(
      optional,
      optional,
      fc.boolean(),
      fc.boolean(),
      limit,
      (start, end, exclusive, reverse, most) => {
        const options = {
          ...(start === undefined ? {} : { [exclusive ? 'after' : 'from']: bytes(start) }),
          ...(end === undefined ? {} : { before: bytes(end) }),
          ...(reverse ? { reverse } : {}),
        };
        const within = keys.filter(
          (key) =>
            (start === undefined || (exclusive ? key > start : key >= start)) &&
            (end === undefined || key < end),
        );
        const expected = reverse ? within.reverse() : within;
        expect(visited(options, most)).toEqual(expected.slice(0, most));
      },
    );
    return check(property, 60);
  });

  it('stops when told to, at every place of a chunk', () => {
    for (const limit of [1, 15, 16, 17, 47, 48, 49, 1007, 1008, 1009])
      expect(visited({}, limit)).toHaveLength(limit);
  });

  it('ends with the exception of its visitor, and can be used again', () => {
    const failing = () => {
      throw new Error('enough');
    };
    for (let round = 0; round < 1000; round++)
      expect(() => database.iterate({ family: 'default', values: true }, failing)).toThrow('enough');
    expect(visited({}, 3)).toEqual(keys.slice(0, 3));
  });

  it('lets its visitor read, write and iterate, and shows it the rows of the beginning', () => {
    const seen: string[] = [];
    database.iterate({ family: 'default', values: true }, (key, value) => {
      if (seen.length % 1000 === 0) {
        expect(visited({ from: key }, 2)).toEqual(keys.slice(seen.length, seen.length + 2));
        expect(database.get('default', key)).toEqual(value);
        const other = bytes(`k${String(seen.length + 700).padStart(5, '0')}!`);
        database.put('default', other, bytes('new'));
        database.commit(false);
        database.delete('default', other);
        database.commit(false);
      }
      seen.push(key.latin1Slice());
      return true;
    });
    expect(seen).toEqual(keys);
  });

  it('visits nothing in an empty family or an empty range', () => {
    expect(visited({ family: 'elem' })).toEqual([]);
    expect(visited({ family: 'elem', reverse: true })).toEqual([]);
    expect(visited({ from: bytes('k5'), before: bytes('k5') })).toEqual([]);
    expect(visited({ after: bytes('z'), before: bytes('a') })).toEqual([]);
    expect(visited({ before: bytes('') })).toEqual([]);
  });

  it('takes rows larger than a chunk', () => {
    for (const key of ['a', 'b', 'c']) database.put('elem', bytes(key), Buffer.alloc(3 << 20, key));
    database.commit(false);
    const found: string[] = [];
    database.iterate({ family: 'elem', values: true }, (key, value) => {
      found.push(key.latin1Slice() + value!.length);
      return true;
    });
    expect(found).toEqual(['a', 'b', 'c'].map((key) => key + (3 << 20)));
    for (const key of ['a', 'b', 'c']) database.delete('elem', bytes(key));
    database.commit(false);
  });
});
