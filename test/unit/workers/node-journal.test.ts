import { describe, expect, it } from 'vitest';
import { numberBytes, textBytes, writeNumber, writeText } from '../../../src/types/binary.js';
import { ElementKind } from '../../../src/types/collections/elements.js';
import { SortedSetValue } from '../../../src/types/collections/sorted-set.js';
import { elementKey } from '../../../src/workers/element-keys.js';
import { NODE_LOG_END, NODE_LOG_FROM } from '../../../src/workers/node-journal-codec.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { afterCrash, databaseOf, failCommit, openShard, START_MS } from './shard-harness.js';

/** More than one leaf, and an inner node above. */
const MEMBERS = 600;

function scoreOf(index: number): number {
  return (index * 7919) % MEMBERS;
}

/** A shard with a large sorted set under 'z', committed. */
async function withSortedSet(directory: string, cacheBytes?: number): Promise<Shard> {
  const { shard } = await openShard(directory, cacheBytes);
  const set = new SortedSetValue(shard.collections);
  for (let index = 0; index < MEMBERS; index++) set.set(`m${index}`, scoreOf(index));
  shard.setCollection('z', set, 0);
  shard.commit(false);
  return shard;
}

/** The same, of which the journal has one change. */
async function withChange(directory: string): Promise<Shard> {
  const shard = await withSortedSet(directory);
  change(shard, 'm5', 99.5);
  shard.commit(false);
  return shard;
}

function setOf(shard: Shard): SortedSetValue {
  return shard.load('z').collection as SortedSetValue;
}

function change(shard: Shard, member: string, score: number): void {
  setOf(shard).set(member, score);
  shard.changed(shard.load('z'));
}

/** The members in order, and as ranks tell. */
function contents(shard: Shard): string[] {
  const set = setOf(shard);
  const found: string[] = [];
  set.each(0, set.size, ({ member, score }, index) => {
    expect(set.rankOf({ member, score })).toBe(index);
    expect(set.score(member)).toBe(score);
    return found.push(`${score} ${member}`) > 0;
  });
  return found;
}

/** What it has once these members have other scores. */
function expected(changes: ReadonlyMap<string, number>): string[] {
  return Array.from({ length: MEMBERS }, (_, index) => {
    const member = `m${index}`;
    return { member, score: changes.get(member) ?? scoreOf(index) };
  })
    .toSorted((a, b) => a.score - b.score || (a.member < b.member ? -1 : 1))
    .map(({ member, score }) => `${score} ${member}`);
}

function rows(shard: Shard, family: 'log' | 'elem'): string[] {
  const found: string[] = [];
  const range = family === 'log' ? { from: NODE_LOG_FROM, before: NODE_LOG_END } : {};
  databaseOf(shard).iterate({ family, values: true, ...range }, (key, value) => {
    if (family === 'log' || key[8] === ElementKind.Node)
      found.push(`${key.toString('hex')} ${value!.toString('hex')}`);
    return true;
  });
  return found;
}

describe('the journal of nodes', () => {
  it('has what has changed of nodes, which stay as they are, and is there after a crash', async () => {
    const directory = temporaryDir();
    let shard = await withSortedSet(directory);
    const before = rows(shard, 'elem');
    const changes = new Map<string, number>();
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 10; index++) {
        changes.set(`m${index * 50 + round}`, round * 100 + index * 13 + 0.5);
        change(shard, `m${index * 50 + round}`, round * 100 + index * 13 + 0.5);
      }
      shard.commit(false);
      expect(rows(shard, 'log').length).toBe(round + 1);
    }
    expect(rows(shard, 'elem')).toEqual(before);
    expect(contents(shard)).toEqual(expected(changes));
    ({ shard } = await afterCrash(shard, directory));
    expect(contents(shard)).toEqual(expected(changes));
    await shard.close();
  });

  it('is written back in time, and then nodes are whole', async () => {
    const directory = temporaryDir();
    let shard = await withChange(directory);
    change(shard, 'm77', -1);
    shard.commit(false);
    expect(shard.isTidyDue(START_MS + 1000)).toBe(false);
    shard.nowMs = START_MS + 3_600_000;
    expect(shard.isTidyDue(shard.nowMs)).toBe(true);
    // The record that ends what the others have is there until it is old itself.
    shard.commit(false);
    expect(rows(shard, 'log').length).toBe(1);
    shard.nowMs += 3_600_000;
    shard.commit(false);
    expect(rows(shard, 'log')).toEqual([]);
    expect(shard.isTidyDue(shard.nowMs)).toBe(false);
    ({ shard } = await afterCrash(shard, directory));
    expect(contents(shard)).toEqual(
      expected(
        new Map([
          ['m5', 99.5],
          ['m77', -1],
        ]),
      ),
    );
    await shard.close();
  });

  it('applies to nodes that have left memory', async () => {
    const shard = await withSortedSet(temporaryDir(), 1);
    const { cache } = shard.collections;
    const changes = new Map<string, number>();
    for (let index = 0; index < 200; index++) {
      changes.set(`m${index}`, index + 0.25);
      change(shard, `m${index}`, index + 0.25);
      shard.commit(false);
      cache.evict();
    }
    expect(contents(shard)).toEqual(expected(changes));
    await shard.close();
  });

  it('is what it was when a commit fails', async () => {
    const shard = await withChange(temporaryDir());
    const before = rows(shard, 'log');
    failCommit(shard);
    shard.nowMs = START_MS + 3_600_000;
    change(shard, 'm6', 98.5);
    expect(() => shard.commit(false)).toThrow(StorageError);
    shard.rollback();
    expect(rows(shard, 'log')).toEqual(before);
    expect(contents(shard)).toEqual(expected(new Map([['m5', 99.5]])));
    change(shard, 'm6', 97.5);
    shard.commit(false);
    expect(contents(shard)).toEqual(
      expected(
        new Map([
          ['m5', 99.5],
          ['m6', 97.5],
        ]),
      ),
    );
    await shard.close();
  });

  it('tells for a reading bit by bit what nodes were when it began', async () => {
    const shard = await withChange(temporaryDir());
    const then = new Map<string, string>();
    shard.collections.elements(setOf(shard).version).eachRow((kind, name, value) => {
      if (kind === ElementKind.Node) then.set(name, Buffer.from(value as string, 'latin1').toString('hex'));
    });
    const overlay = shard.collections.nodes.overlayNow();
    const reader = databaseOf(shard).openReader({ family: 'elem', values: true });
    for (let index = 0; index < 100; index++) {
      change(shard, `m${index}`, -index);
      shard.commit(false);
    }
    const { rows: read } = reader.next(10 * MEMBERS);
    for (let at = 0; at < read.length; at += 2) {
      const key = read[at]!;
      if (key[8] === ElementKind.Node)
        expect(overlay.row(key, read[at + 1]!).toString('hex')).toBe(then.get(key.latin1Slice(9)));
    }
    reader.close();
    await shard.close();
  });

  it('brings no node back of a collection that has gone', async () => {
    const directory = temporaryDir();
    let shard = await withChange(directory);
    shard.remove('z');
    shard.commit(false);
    while (shard.hasDeadElements) {
      shard.sweepDeadElements(1000);
      shard.commit(false);
    }
    ({ shard } = await afterCrash(shard, directory));
    expect(rows(shard, 'log').length).toBe(1);
    shard.nowMs = START_MS + 3_600_000;
    for (let round = 0; round < 2; round++) {
      shard.nowMs += 3_600_000;
      shard.commit(false);
    }
    expect(rows(shard, 'log')).toEqual([]);
    expect(rows(shard, 'elem')).toEqual([]);
    await shard.close();
  });

  it('tells what is broken', async () => {
    const directory = temporaryDir();
    const shard = await withChange(directory);
    const database = databaseOf(shard);
    database.put('log', Buffer.concat([NODE_LOG_FROM, Buffer.alloc(8, 1)]), Buffer.from([1]));
    database.commit(false);
    await expect(afterCrash(shard, directory)).rejects.toThrow(
      /record \d+ of the journal of nodes cannot be read/,
    );
  });

  it('reports nodes that are not what it is about as damage of the shard, when they are read and when they are written back', async () => {
    const directory = temporaryDir();
    const before = await withChange(directory);
    const database = databaseOf(before);
    database.iterate({ family: 'elem', values: false }, (key) => {
      if (key[8] === ElementKind.Node) database.put('elem', Buffer.from(key), Buffer.from([2, 0, 0]));
      return true;
    });
    database.commit(false);
    const { shard } = await afterCrash(before, directory);
    const damage = {
      name: 'StorageError',
      code: 'CORRUPT',
      message: expect.stringMatching(
        /^\S+\/g1: node \d+ of collection \d+ is not what the journal of nodes is about: .*Restore the shard/,
      ),
    };
    expect(() => contents(shard)).toThrow(expect.objectContaining(damage));
    shard.nowMs = START_MS + 3_600_000;
    expect(() => shard.commit(false)).toThrow(expect.objectContaining(damage));
    shard.rollback();
    expect(rows(shard, 'log').length).toBe(1);
    const { overlay } = shard.collections.nodes;
    const read = () => {
      for (const row of rows(shard, 'elem')) {
        const [key, stored] = row.split(' ').map((hex) => Buffer.from(hex, 'hex'));
        overlay.row(key!, stored!);
      }
    };
    expect(read).toThrow(expect.objectContaining(damage));
    await shard.close();
  });

  it('keeps nothing of records that have gone', async () => {
    const shard = await withChange(temporaryDir());
    shard.nowMs = START_MS + 3_600_000;
    shard.commit(false);
    const records = Reflect.get(shard.collections.nodes, 'records') as unknown[];
    expect(records.filter((record) => record !== undefined).length).toBe(1);
    await shard.close();
  });
});

/** A tree's nodes as formats before 4 had them, of what is there. */
function oldLeaf(entries: readonly { score: number; member: string }[]): Buffer {
  const bytes = entries.reduce(
    (sum, { member }) => sum + 8 + textBytes(member),
    1 + numberBytes(entries.length),
  );
  const leaf = Buffer.alloc(bytes);
  let at = writeNumber(leaf, 1, entries.length);
  for (const { score, member } of entries) at = writeText(leaf, leaf.writeDoubleBE(score, at), member);
  return leaf;
}

it('nodes of earlier formats are read, and written anew once they change', async () => {
  const directory = temporaryDir();
  let { shard } = await openShard(directory);
  const set = new SortedSetValue(shard.collections);
  const long = 'm'.repeat(2000);
  for (let index = 0; index < 10; index++) set.set(`${long}${index}`, index);
  shard.setCollection('z', set, 0);
  shard.commit(false);
  const { version } = set;
  expect(version).not.toBe(0);
  const database = databaseOf(shard);
  const nodes: Buffer[] = [];
  database.iterate({ family: 'elem', values: true }, (key, value) => {
    if (key[8] === ElementKind.Node && value![0] === 2) nodes.push(key);
    return true;
  });
  let index = 0;
  const leafKeys = nodes.map((key) => elementKey(version, ElementKind.Node, key.latin1Slice(9)));
  expect(leafKeys).toEqual(nodes);
  for (const key of leafKeys) {
    const count = database.get('elem', key)!.readUInt16BE(1);
    const entries = Array.from({ length: count }, () => ({ score: index, member: `${long}${index++}` }));
    database.put('elem', key, oldLeaf(entries));
  }
  database.commit(false);
  ({ shard } = await afterCrash(shard, directory));
  const read = () => {
    const found: number[] = [];
    setOf(shard).each(0, setOf(shard).size, ({ score }) => found.push(score) > 0);
    return found;
  };
  expect(read()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  change(shard, `${long}4`, 20);
  shard.commit(false);
  ({ shard } = await afterCrash(shard, directory));
  expect(read()).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 20]);
  await shard.close();
});
