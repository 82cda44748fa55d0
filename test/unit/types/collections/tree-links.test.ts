import { expect, it } from 'vitest';
import { textBytes, writeText } from '../../../../src/types/binary.js';
import { EntriesLeaf, type EntryCodec, Inner } from '../../../../src/types/collections/tree-nodes.js';

const CODEC: EntryCodec<string> = {
  bytes: textBytes,
  overheadBytes: 10,
  write: writeText,
  read: (reader) => reader.text(),
  isOrdered: false,
};

/** A node with two leaves, all in memory and linked. */
function family() {
  const leaves = [EntriesLeaf.of(CODEC, ['a']), EntriesLeaf.of(CODEC, ['b'])] as const;
  const above = new Inner(CODEC, ['000001', '000002'], [1, 1], []);
  for (const node of [above, ...leaves]) node.row = { visited: false };
  for (const [slot, leaf] of leaves.entries()) above.link(slot, leaf);
  return { above, leaves };
}

it('a link leads to a child, and tells its row that it is in use', () => {
  const { above, leaves } = family();
  expect(above.linked(1)).toBe(leaves[1]);
  expect(leaves.map(({ row }) => row?.visited)).toEqual([false, true]);
});

it('nothing leads to a child that has left memory, but to the others', () => {
  const { above, leaves } = family();
  leaves[0].left();
  expect(above.linked(0)).toBe(undefined);
  expect(leaves[0].above).toBe(undefined);
  expect(above.linked(1)).toBe(leaves[1]);
});

it('children do not keep a node that has left memory', () => {
  const { above, leaves } = family();
  above.left();
  expect(leaves.map((leaf) => leaf.above)).toEqual([undefined, undefined]);
});

it('a node whose children are about to change has no links', () => {
  const { above, leaves } = family();
  above.restructure();
  expect([above.linked(0), above.linked(1)]).toEqual([undefined, undefined]);
  expect(leaves[0].above).toBe(undefined);
});

it('a node that is not in memory is not linked', () => {
  const { above } = family();
  const leaf = EntriesLeaf.of(CODEC, ['c']);
  above.link(0, leaf);
  expect(leaf.above).toBe(undefined);
});
