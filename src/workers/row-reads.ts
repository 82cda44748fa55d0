import type { Buffer } from 'node:buffer';
import { ROWS_READ_BYTES } from '../base/limits.js';
import { keySlot, textSlot } from '../types/slots.js';
import { type Database, type IterateOptions, StorageError } from './rocksdb.js';
import { keyBytes } from './row-scratch.js';

/*
 * Reading many rows of a shard for what is in some of its slots. Each Buffer that the binding makes has memory of its own,
 * which V8 has to give back one by one: with two for each row that is looked at, the worker's collections of young objects
 * were what clients noticed of a resize (docs/BENCHMARKS.md). So keys come as texts where they are ASCII; and where few rows
 * are wanted, their values are asked for by themselves.
 */

export interface RowRange {
  /** The key, latin1, behind which to begin; undefined = with the first. */
  readonly after: string | undefined;
  /** The last key, latin1; undefined = to the end. */
  readonly until?: string | undefined;
  readonly rowsMax: number;
  /** Of which slots the rows are wanted; undefined = all, and the slot does not matter. */
  readonly wants: ((slot: number) => boolean) | undefined;
}

/**
 * Gets a row of a range. The bytes are valid during the call.
 * @param slot 0 where it does not matter
 * @param stored undefined only where the row is not wanted
 * @param key where there is a Buffer of it
 * @returns whether to go on
 */
export type RowVisit = (
  name: string,
  slot: number,
  stored: Buffer | undefined,
  key: Buffer | undefined,
) => boolean;

/** What the last reads of an instance were like, for how to read next. */
interface Experience {
  /** Of rows that were looked at, which part was wanted. */
  wantedShare: number;
  /** For so many reads keys are taken for bytes at once. */
  readsOfBytes: number;
}

const experiences = new WeakMap<Database, Experience>();

/**
 * Where no more of the rows are wanted, their values are asked for by themselves. Measured with rows of 120 bytes: with a
 * quarter that takes about as long as reading all values, and two fifths fewer collections; with half of them a third longer.
 */
const FEW_WANTED = 0.3;

/** After a key that is not ASCII, for so many reads: what was read as text has to be read again. */
const READS_OF_BYTES = 16;

/** Fewer rows say nothing of how many of the next are wanted. */
const EXPERIENCE_ROWS = 32;

/**
 * Looks at rows as they are stored, in key order: nothing may be committed meanwhile.
 * @returns whether there are more of the range than it looked at because of `rowsMax`
 * @throws StorageError
 */
export function readRows(source: Database, range: RowRange, visit: RowVisit): boolean {
  const { until, rowsMax, wants } = range;
  const experience = experienceOf(source);
  let [reached, rows, wanted, hasMore] = [range.after, 0, 0, false];
  const take: RowVisit = (name, slot, stored, key) => {
    if (until !== undefined && name > until) return false;
    hasMore = rows === rowsMax;
    if (hasMore) return false;
    rows++;
    if (wants === undefined || wants(slot)) wanted++;
    reached = name;
    return visit(name, slot, stored, key);
  };
  // One more tells whether there are more.
  const rest = (): IterateOptions => ({
    family: 'default',
    values: true,
    rowsMax: rowsMax + 1 - rows,
    ...(reached === undefined ? {} : { after: keyBytes(reached) }),
  });
  if (experience.readsOfBytes > 0) {
    experience.readsOfBytes--;
    readBytes(source, rest(), wants, take);
  } else if (readTexts(source, rest(), wants, take, experience)) {
    experience.readsOfBytes = READS_OF_BYTES;
    readBytes(source, rest(), wants, take);
  }
  if (rows >= EXPERIENCE_ROWS) experience.wantedShare = wanted / rows;
  return hasMore;
}

function experienceOf(source: Database): Experience {
  let experience = experiences.get(source);
  if (experience === undefined) {
    experience = { wantedShare: 1, readsOfBytes: 0 };
    experiences.set(source, experience);
  }
  return experience;
}

function readBytes(source: Database, range: IterateOptions, wants: RowRange['wants'], take: RowVisit): void {
  source.iterate(range, (key, stored) =>
    take(key.latin1Slice(), wants === undefined ? 0 : keySlot(key), stored, key),
  );
}

/** @returns whether it ended before a key that is not ASCII */
function readTexts(
  source: Database,
  range: IterateOptions,
  wants: RowRange['wants'],
  take: RowVisit,
  { wantedShare }: Experience,
): boolean {
  if (wants !== undefined && wantedShare <= FEW_WANTED)
    return source.iterateAscii({ ...range, values: false }, (rows) => takeFew(source, rows, wants, take));
  return source.iterateAscii(range, (rows) => {
    for (let at = 0; at < rows.length; at += 2) {
      const name = rows[at] as string;
      if (!take(name, wants === undefined ? 0 : textSlot(name), rows[at + 1] as Buffer, undefined))
        return false;
    }
    return true;
  });
}

/** Takes rows of which there are only the keys. @returns whether to go on */
function takeFew(
  source: Database,
  rows: readonly (string | Buffer | undefined)[],
  wants: (slot: number) => boolean,
  take: RowVisit,
): boolean {
  const slots: number[] = [];
  const keys: Buffer[] = [];
  for (let at = 0; at < rows.length; at += 2) {
    const name = rows[at] as string;
    const slot = textSlot(name);
    slots.push(slot);
    if (wants(slot)) keys.push(keyBytes(name));
  }
  const nextValue = valuesOf(source, keys);
  for (let index = 0, next = 0; index < slots.length; index++) {
    const name = rows[2 * index] as string;
    const slot = slots[index]!;
    const goesOn = wants(slot)
      ? take(name, slot, nextValue(), keys[next++])
      : take(name, slot, undefined, undefined);
    if (!goesOn) return false;
  }
  return true;
}

/** Gives the values of keys that are there one after the other, reading as many at once as are not too long together. */
function valuesOf(source: Database, keys: readonly Buffer[]): () => Buffer {
  let rest = keys;
  let read: (Buffer | undefined)[] = [];
  let next = 0;
  return () => {
    if (next === read.length) {
      rest = rest.slice(read.length);
      read = source.getFirst(rest, ROWS_READ_BYTES);
      next = 0;
    }
    const value = read[next];
    if (value === undefined)
      throw new StorageError(
        'CORRUPT',
        `${source.path} has no value of the key ${JSON.stringify(rest[next]!.latin1Slice().slice(0, 100))}`,
      );
    next++;
    return value;
  };
}
