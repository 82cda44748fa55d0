import { expect, it } from 'vitest';
import { ByteReader, textBytes, writeText } from '../../../../src/types/binary.js';
import {
  CountedTree,
  readTreeState,
  TREE_STATE_BYTES_MAX,
  type TreeLimits,
  writeTreeState,
} from '../../../../src/types/collections/counted-tree.js';
import { decodeNode, type EntryCodec } from '../../../../src/types/collections/tree-nodes.js';
import { MemoryElements } from '../../../support/memory-elements.js';
import { envNumber, type Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';

function codecOf(isOrdered: boolean): EntryCodec<string> {
  return {
    bytes: textBytes,
    overheadBytes: 10,
    write: writeText,
    read: (reader) => reader.text(),
    isOrdered,
  };
}

const LIMITS: readonly TreeLimits[] = [
  { leafEntriesMax: 4, leafBytesMax: 60, childrenMax: 4 },
  { leafEntriesMax: 8, leafBytesMax: 1000, childrenMax: 5 },
  { leafEntriesMax: 64, leafBytesMax: 2048, childrenMax: 64 },
];
const STEPS = envNumber('VASTO_TREE_STEPS', 3000);

/** Checks the whole tree and returns its entries. */
function audit(
  store: MemoryElements,
  tree: CountedTree<string>,
  codec: EntryCodec<string>,
  limits: TreeLimits,
): string[] {
  const reached = new Set<string>();
  const walk = (id: string, level: number, low: string | undefined, high: string | undefined): string[] => {
    expect(reached.has(id)).toBe(false);
    reached.add(id);
    const node = store.node(id, (bytes) => decodeNode(bytes, codec))!;
    expect(node.isLeaf).toBe(level === 0);
    if (node.isLeaf) {
      const entries = Array.from({ length: node.length }, (_, offset) => node.at(offset));
      if (tree.state.height > 0) expect(node.length).toBeGreaterThan(0);
      expect(node.length).toBeLessThanOrEqual(limits.leafEntriesMax);
      expect(node.bytes).toBe(entries.reduce((sum, entry) => sum + codec.bytes(entry), 0));
      if (codec.isOrdered)
        for (const entry of entries) {
          expect(low === undefined || low <= entry).toBe(true);
          expect(high === undefined || entry <= high).toBe(true);
        }
      return entries;
    }
    expect(node.children.length).toBeGreaterThan(0);
    expect(node.children.length).toBeLessThanOrEqual(limits.childrenMax);
    expect(node.counts.length).toBe(node.children.length);
    expect(node.bounds.length).toBe(codec.isOrdered ? node.children.length : 0);
    return node.children.flatMap((child, slot) => {
      const below = walk(
        child,
        level - 1,
        slot === 0 ? low : node.bounds[slot],
        node.bounds[slot + 1] ?? high,
      );
      expect(below.length).toBe(node.counts[slot]);
      return below;
    });
  };
  const { root, height } = tree.state;
  const entries = walk(root, height, undefined, undefined);
  store.settle();
  expect(store.rows.size).toBe(reached.size);
  if (height > 0)
    expect(
      (store.node(root, (bytes) => decodeNode(bytes, codec)) as { children?: string[] }).children!.length,
    ).toBeGreaterThan(1);
  return entries;
}

function entryOf(random: Random): string {
  return random.chance(0.03) ? random.bytes(random.int(50, 3000)) : random.bytes(random.int(0, 12));
}

/** A tree that is now and then read again from what is stored of it. */
function reopened(
  store: MemoryElements,
  tree: CountedTree<string>,
  codec: EntryCodec<string>,
  limits: TreeLimits,
) {
  store.settle();
  const bytes = Buffer.alloc(TREE_STATE_BYTES_MAX);
  const end = writeTreeState(bytes, 0, tree.state);
  const state = readTreeState(new ByteReader(bytes.subarray(0, end)));
  expect(state).toEqual(tree.state);
  return new CountedTree(store, codec, state, limits);
}

function range(random: Random, size: number): [number, number] {
  const from = random.int(0, size);
  return [from, random.chance(0.2) ? size : Math.min(size, from + random.int(0, 20))];
}

it('a positional tree does what an array does', () =>
  seeded(6, (random, run) => {
    const limits = LIMITS[run % LIMITS.length]!;
    const codec = codecOf(false);
    const store = new MemoryElements(1);
    let tree = CountedTree.create(store, codec, limits);
    const model: string[] = [];
    for (let step = 0; step < STEPS; step++) {
      // Phases in which it grows, and in which it shrinks.
      const grows = random.chance(step % 1500 < 900 ? 0.7 : 0.25);
      const choice = random.int(0, 9);
      if (grows || model.length === 0) {
        const entry = entryOf(random);
        const index = choice < 4 ? model.length : choice < 7 ? 0 : random.int(0, model.length);
        tree.insertAt(index, entry);
        model.splice(index, 0, entry);
      } else if (choice < 6) {
        const index = choice < 2 ? 0 : choice < 4 ? model.length - 1 : random.int(0, model.length - 1);
        expect(tree.removeAt(index)).toBe(model.splice(index, 1)[0]);
      } else if (choice < 8) {
        const index = random.int(0, model.length - 1);
        const entry = entryOf(random);
        expect(tree.replaceAt(index, entry)).toBe(model[index]);
        model[index] = entry;
      } else if (random.chance(0.3)) {
        const [from, to] = range(random, model.length);
        const seen: string[] = [];
        tree.removeRange(from, to, (entry) => seen.push(entry));
        expect(seen).toEqual(model.splice(from, to - from));
      }
      expect(tree.size).toBe(model.length);
      if (model.length > 0) {
        const index = random.int(0, model.length - 1);
        expect(tree.at(index)).toBe(model[index]);
      }
      if (random.chance(0.05)) {
        const [from, to] = range(random, model.length);
        const forward: string[] = [];
        tree.each(from, to, (entry, index) => {
          expect(entry).toBe(model[index]);
          return forward.push(entry) > 0;
        });
        expect(forward).toEqual(model.slice(from, to));
        const backward: string[] = [];
        tree.eachReverse(from, to, (entry, index) => {
          expect(entry).toBe(model[index]);
          return backward.push(entry) > 0;
        });
        expect(backward).toEqual(model.slice(from, to).reverse());
      }
      if (random.chance(0.02)) expect(audit(store, tree, codec, limits)).toEqual(model);
      if (random.chance(0.02)) tree = reopened(store, tree, codec, limits);
    }
    tree.removeRange(0, tree.size);
    expect(audit(store, tree, codec, limits)).toEqual([]);
    expect(store.rows.size).toBe(1);
  }));

it('an ordered tree does what a sorted array does', () =>
  seeded(6, (random, run) => {
    const limits = LIMITS[run % LIMITS.length]!;
    const codec = codecOf(true);
    const store = new MemoryElements(1);
    let tree = CountedTree.create(store, codec, limits);
    const model: string[] = [];
    const place = (entry: string) => model.filter((other) => other < entry).length;
    for (let step = 0; step < STEPS; step++) {
      const grows = random.chance(step % 1500 < 900 ? 0.7 : 0.25);
      const entry = entryOf(random);
      const rank = tree.rank((other) => other < entry);
      expect(rank).toBe(place(entry));
      if (grows || model.length === 0) {
        if (model[rank] !== entry) {
          tree.insert(entry, (other) => other < entry);
          model.splice(rank, 0, entry);
        }
      } else if (random.chance(0.9)) {
        const index = random.chance(0.3) ? 0 : random.int(0, model.length - 1);
        const wanted = model[index]!;
        expect(tree.removeAt(tree.rank((other) => other < wanted))).toBe(wanted);
        model.splice(index, 1);
        // What a bound may still be made of comes back.
        if (random.chance(0.2)) {
          tree.insert(wanted, (other) => other < wanted);
          model.splice(index, 0, wanted);
        }
      } else {
        const [from, to] = range(random, model.length);
        tree.removeRange(from, to);
        model.splice(from, to - from);
      }
      if (random.chance(0.02)) expect(audit(store, tree, codec, limits)).toEqual(model);
      if (random.chance(0.02)) tree = reopened(store, tree, codec, limits);
    }
    expect(audit(store, tree, codec, limits)).toEqual(model);
  }));

it('leaves that are filled in order, from either end, stay full', () => {
  for (const front of [false, true]) {
    const store = new MemoryElements(1);
    const codec = codecOf(false);
    const tree = CountedTree.create(store, codec);
    for (let index = 0; index < 10_000; index++) tree.insertAt(front ? 0 : tree.size, `${index}`);
    expect(store.nodes.size).toBeLessThan((10_000 / 64) * 1.1);
    expect(tree.state.height).toBe(2);
  }
});
