import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SPACE_RETURN_EVERY_MS } from '../../../src/base/limits.js';
import { ElementKind } from '../../../src/types/collections/elements.js';
import { FAMILIES, type Family } from '../../../src/workers/column-families.js';
import { DeadVersions } from '../../../src/workers/dead-versions.js';
import { elementKey } from '../../../src/workers/element-keys.js';
import { Database } from '../../../src/workers/rocksdb.js';
import { SpaceReturn } from '../../../src/workers/space-return.js';
import { StorageError } from '../../../src/workers/storage-error.js';
import { temporaryDir, waitUntil } from '../../support/environment.js';
import { START_MS } from './shard-harness.js';

const MEMTABLE_BYTES = 1 << 20;
const EMPTY = Buffer.alloc(0);
const SLICE = 2000;

/** Writes collections of so many members each, and has them die. */
function fillAndEnd(
  database: Database,
  dead: DeadVersions,
  sizes: Readonly<Record<number, number>>,
  value = EMPTY,
): void {
  for (const [version, size] of Object.entries(sizes)) {
    for (let member = 0; member < size; member++) {
      database.put('elem', elementKey(Number(version), ElementKind.Member, `member:${member}`), value);
      if (member % SLICE === 0) database.commit(false);
    }
    dead.add(Number(version));
  }
  dead.stage(database);
  database.commit(false);
  dead.committed();
}

/** Sweeps as a worker does, until nothing is due. @returns bytes written by each step */
function sweepAll(database: Database, dead: DeadVersions, nowMs: number): number[] {
  const steps: number[] = [];
  const { put } = database;
  let bytes = 0;
  database.put = (family, key, value) => {
    bytes += value.length;
    put.call(database, family, key, value);
  };
  while (dead.isDue(nowMs)) {
    bytes = 0;
    dead.sweep(database, SLICE, nowMs);
    database.commit(false);
    dead.committed();
    steps.push(bytes);
  }
  database.put = put;
  return steps;
}

function tableBytes(path: string): number {
  return fileBytes(path, '.sst');
}

function fileBytes(path: string, suffix: '.sst' | '.log'): number {
  return readdirSync(path)
    .filter((name) => name.endsWith(suffix))
    .reduce((sum, name) => sum + (statSync(join(path, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

function rowsOf(database: Database, family: Family): number {
  let rows = 0;
  database.iterate({ family, values: false }, () => ++rows > 0);
  return rows;
}

describe('large collections that have gone', () => {
  it('give their space back, though nobody writes any more', async () => {
    const path = temporaryDir();
    const database = await Database.open(path, { memtableBytes: MEMTABLE_BYTES });
    const dead = new DeadVersions();
    fillAndEnd(database, dead, { 1: 200_000 });
    // Compactions of what was written may be under way.
    const full = 4 << 20;
    await waitUntil('the rows are in files', () => tableBytes(path) > full);
    const steps = sweepAll(database, dead, START_MS);
    expect(steps.length).toBeLessThan(30);
    expect(Math.max(...steps)).toBeLessThanOrEqual(256 << 10);
    expect(rowsOf(database, 'elem')).toBe(0);
    expect(rowsOf(database, 'meta')).toBe(0);
    await waitUntil('the space is back', () => tableBytes(path) < full / 10, 30_000);
    await database.close();
  });

  it('have the write-ahead log go where it is long, and families that hardly anything is written to hold it', async () => {
    const path = temporaryDir();
    const database = await Database.open(path, { memtableBytes: MEMTABLE_BYTES });
    const held: [Family, Buffer][] = FAMILIES.map((family) => [family, Buffer.from([1, 2, 3])]);
    for (const [family, key] of held) database.put(family, key, EMPTY);
    database.commit(false);
    const dead = new DeadVersions();
    fillAndEnd(database, dead, { 1: 20_000 }, Buffer.alloc(2000));
    const long = 38 << 20;
    expect(fileBytes(path, '.log')).toBeGreaterThan(long);
    const steps = sweepAll(database, dead, START_MS);
    expect(Math.max(...steps)).toBeLessThanOrEqual(256 << 10);
    await waitUntil('the log is gone', () => fileBytes(path, '.log') < long / 2, 30_000);
    for (const [family, key] of held) expect(database.get(family, key)).toEqual(EMPTY);
    expect(FAMILIES.map((family) => rowsOf(database, family))).toEqual(FAMILIES.map(() => 1));
    await database.close();
  });

  it('are trouble of their shard alone where its directory cannot be read', () => {
    const space = new SpaceReturn();
    space.want();
    const memtableBytes = Object.fromEntries(FAMILIES.map((family) => [family, MEMTABLE_BYTES]));
    const gone = { path: join(temporaryDir(), 'gone'), memtableBytes } as unknown as Database;
    expect(() => space.step(gone, START_MS)).toThrow(StorageError);
  });

  it('leave the others alone, and ask for their space together and not too often', async () => {
    const database = await Database.open(temporaryDir(), { memtableBytes: MEMTABLE_BYTES });
    const dead = new DeadVersions();
    fillAndEnd(database, dead, { 1: 15_000, 3: 15_000, 4: 100 });
    database.put('elem', elementKey(2, ElementKind.Member, 'stays'), EMPTY);
    database.put('elem', elementKey(5, ElementKind.Member, 'stays'), EMPTY);
    database.commit(false);
    const written = (steps: number[]) => steps.reduce((sum, bytes) => sum + bytes, 0);
    const once = written(sweepAll(database, dead, START_MS));
    expect(once).toBeGreaterThan(2 * MEMTABLE_BYTES);
    expect(once).toBeLessThan(4 * MEMTABLE_BYTES);
    fillAndEnd(database, dead, { 6: 15_000, 7: 5000 });
    expect(written(sweepAll(database, dead, START_MS + 1))).toBe(0);
    expect(written(sweepAll(database, dead, START_MS + SPACE_RETURN_EVERY_MS))).toBe(once);
    // The clock may be set back.
    fillAndEnd(database, dead, { 8: 15_000 });
    expect(written(sweepAll(database, dead, START_MS))).toBe(once);
    expect(rowsOf(database, 'elem')).toBe(2);
    expect(rowsOf(database, 'meta')).toBe(0);
    await database.close();
  });

  it('are known until their removal is on the disk, in the order in which they went', async () => {
    const database = await Database.open(temporaryDir(), { memtableBytes: MEMTABLE_BYTES });
    const dead = new DeadVersions();
    const versions = Array.from({ length: 9 }, (_, index) => index + 1);
    fillAndEnd(database, dead, Object.fromEntries(versions.map((version) => [version, 10])));
    const known = () => versions.filter((version) => dead.has(version));
    // The rows of five, and one row of the sixth.
    dead.sweep(database, 51, START_MS);
    expect(known()).toEqual(versions);
    expect(dead.all).toEqual([6, 7, 8, 9]);
    database.discard();
    dead.restart();
    expect(dead.all).toEqual(versions);
    dead.sweep(database, 51, START_MS);
    database.commit(false);
    dead.committed();
    expect(known()).toEqual([6, 7, 8, 9]);
    const again = new DeadVersions();
    again.read(database);
    expect([again.all, dead.all]).toEqual([known(), known()]);
    sweepAll(database, dead, START_MS);
    expect([dead.isEmpty, known(), rowsOf(database, 'meta')]).toEqual([true, [], 0]);
    await database.close();
  });

  it('are removed from the beginning after a write that failed', async () => {
    const database = await Database.open(temporaryDir(), { memtableBytes: MEMTABLE_BYTES });
    const dead = new DeadVersions();
    fillAndEnd(database, dead, { 1: 15_000, 2: 15_000 });
    for (let step = 0; step < 7; step++) {
      dead.sweep(database, SLICE, START_MS);
      database.discard();
      dead.restart();
      dead.sweep(database, SLICE, START_MS);
      database.commit(false);
      dead.committed();
    }
    sweepAll(database, dead, START_MS);
    expect(rowsOf(database, 'elem')).toBe(0);
    expect(rowsOf(database, 'meta')).toBe(0);
    await database.close();
  });
});
