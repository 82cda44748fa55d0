import { afterEach, describe, expect, it } from 'vitest';
import { ROWS_READ_BYTES } from '../../../src/base/limits.js';
import { keySlot } from '../../../src/types/slots.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import { type RowRange, readRows } from '../../../src/workers/row-reads.js';
import { temporaryDir } from '../../support/environment.js';
import type { Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const slotOf = (name: string) => keySlot(bytes(name));

const open: Database[] = [];

async function databaseWith(rows: Iterable<readonly [name: string, value: string]>): Promise<Database> {
  const database = await Database.open(temporaryDir());
  open.push(database);
  for (const [name, value] of rows) database.put('default', bytes(name), bytes(value));
  database.commit(false);
  return database;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((database) => database.close()));
});

const ASCII = ['\0', 'a', 'b', 'k1', 'k2', '{', '}', '{t}', '\x7f', ':'];
/** Bytes that are none of UTF-8, valid sequences of two, three and four bytes, and the mark that texts may begin with. */
const OTHERS = [
  '\x80',
  '\xff',
  '\xc3',
  '\xc3\xa9',
  '\xe2\x82\xac',
  '\xf0\x9f\x98\x80',
  '\xef\xbb\xbf',
  '\xed\xa0\x80',
];

function randomName(random: Random, parts: readonly string[]): string {
  return Array.from({ length: random.int(0, 4) }, () => random.pick(parts)).join('');
}

/** What is seen of a range: of rows that are wanted with their value. */
function expected(
  rows: ReadonlyMap<string, string>,
  { after, until, rowsMax, wants }: RowRange,
  stopsAfter: number,
): { seen: string[]; hasMore: boolean } {
  const within = [...rows.keys()]
    .sort()
    .filter((name) => (after === undefined || name > after) && (until === undefined || name <= until));
  const seen = within.slice(0, Math.min(rowsMax, stopsAfter)).map((name) => {
    const isWanted = wants === undefined || wants(slotOf(name));
    return `${name}=${isWanted ? rows.get(name) : 'unwanted'}`;
  });
  return { seen, hasMore: seen.length === rowsMax && within.length > rowsMax && stopsAfter > rowsMax };
}

function looked(database: Database, range: RowRange, stopsAfter: number): ReturnType<typeof expected> {
  const seen: string[] = [];
  const { wants } = range;
  const hasMore = readRows(database, range, (name, slot, stored, key) => {
    if (wants !== undefined && slot !== slotOf(name)) seen.push(`slot ${slot} of ${name}`);
    if (key !== undefined && key.latin1Slice() !== name) seen.push(`key ${key.latin1Slice()} of ${name}`);
    const isWanted = wants === undefined || wants(slot);
    seen.push(`${name}=${isWanted ? stored?.latin1Slice() : 'unwanted'}`);
    return seen.length < stopsAfter;
  });
  return { seen, hasMore };
}

describe('readRows', () => {
  it.each([
    ['ASCII', 1],
    ['mostly ASCII', 0.98],
    ['any bytes', 0.5],
  ])('sees the same rows however it reads them, of keys of %s', (_name, asciiShare) =>
    seeded(3, async (random) => {
      const rows = new Map<string, string>();
      for (let n = 0; n < 500; n++) {
        const name = `${randomName(random, random.float() < asciiShare ? ASCII : OTHERS)}${randomName(random, ASCII)}`;
        rows.set(name, `value ${n}`);
      }
      const database = await databaseWith(rows);
      const names = [...rows.keys(), '\xff\xff', ''];
      for (let read = 0; read < 50; read++) {
        // Each several times, as a scan does: how rows are read depends on what the reads before found.
        const [part, whole] = [random.int(0, 6), random.float() < 0.1];
        const wants = whole ? undefined : (slot: number) => slot % 6 < part;
        for (let again = 0; again < 3; again++) {
          const range: RowRange = {
            after: random.float() < 0.3 ? undefined : random.pick(names),
            until: random.float() < 0.7 ? undefined : random.pick(names),
            rowsMax: random.pick([1, 15, 16, 33, 250, 5000]),
            wants,
          };
          const stopsAfter = random.pick([1, 20, 100, Number.POSITIVE_INFINITY]);
          expect(looked(database, range, stopsAfter)).toEqual(expected(rows, range, stopsAfter));
        }
      }
    }),
  );

  it('reads long values some at a time, from memory and files', async () => {
    const value = 'v'.repeat(ROWS_READ_BYTES / 3);
    const rows = new Map(Array.from({ length: 120 }, (_, n) => [`k${String(n).padStart(3, '0')}`, value]));
    // One that is longer than what is read at once, and the empty key, which has to be read by itself.
    rows.set('k050', value.repeat(5)).set('', 'empty');
    const inFiles = [...rows].filter((_row, index) => index % 2 === 0);
    const first = await databaseWith(inFiles);
    await first.close();
    const database = await Database.open(first.path);
    open.push(database);
    for (const [name, text] of rows)
      if (!inFiles.some(([other]) => other === name)) database.put('default', bytes(name), bytes(text));
    database.commit(false);
    const names = [...rows.keys()].sort();
    const few = new Set(
      names
        .filter((_name, index) => index % 4 < 1)
        .concat('', 'k050')
        .map(slotOf),
    );
    for (const wants of [() => false, (slot: number) => few.has(slot)]) {
      const range = { after: undefined, rowsMax: 1000, wants };
      expect(looked(database, range, 1000)).toEqual(expected(rows, range, 1000));
    }
  });

  it('says so where a key has no value', async () => {
    const database = await databaseWith(Array.from({ length: 50 }, (_, n) => [`k${n}`, 'v'] as const));
    const range = { after: undefined, rowsMax: 100, wants: (slot: number) => slot === slotOf('k7') };
    const see = () => looked(database, range, 100).seen.length;
    expect(see()).toBe(50);
    const { getFirst } = database;
    database.getFirst = (keys) => keys.map(() => undefined);
    expect(see).toThrow(StorageError);
    expect(see).toThrow('no value of the key "k7"');
    database.getFirst = getFirst;
    expect(see()).toBe(50);
  });
});
