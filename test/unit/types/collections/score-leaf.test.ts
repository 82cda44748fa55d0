import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { patched } from '../../../../src/types/collections/node-patches.js';
import { comesBefore, type ScoredMember } from '../../../../src/types/collections/packed-scores.js';
import { SCORE_LEAVES } from '../../../../src/types/collections/score-leaf.js';
import { SCORED_MEMBERS } from '../../../../src/types/collections/sorted-set.js';
import {
  decodeNode,
  type Leaf,
  NODE_PATCHES_BYTES_MAX,
} from '../../../../src/types/collections/tree-nodes.js';
import { seeded } from '../../../support/replay.js';

/** Scores whose bytes are in another order than they are, or that differ in their last bits. */
const SCORES = [
  Number.NEGATIVE_INFINITY,
  -Number.MAX_VALUE,
  -1.5,
  -1,
  -Number.MIN_VALUE,
  -0,
  0,
  Number.MIN_VALUE,
  2 ** -1022,
  1,
  1 + Number.EPSILON,
  1.5,
  2 ** 53,
  Number.POSITIVE_INFINITY,
];

function entriesOf(leaf: Leaf<ScoredMember>): ScoredMember[] {
  return Array.from({ length: leaf.length }, (_, offset) => leaf.at(offset));
}

function before(entry: ScoredMember) {
  return (other: ScoredMember) => comesBefore(other, entry);
}

it('has in order what was put in it, and its patches make what it was into what it is', () =>
  seeded(15, (random) => {
    const pick = (count: number) => Math.floor(random.float() * count);
    const randomEntry = (): ScoredMember => ({
      score: random.float() < 0.7 ? SCORES[pick(SCORES.length)]! : random.float() * 4 - 2,
      member: String.fromCharCode(97 + pick(3), 253 + pick(3)).repeat(
        random.float() < 0.05 ? 70 + pick(60) : pick(4),
      ),
    });
    let leaf = SCORE_LEAVES.of(SCORED_MEMBERS, []);
    let model: ScoredMember[] = [];
    let stored = Buffer.from(leaf.encode());
    for (let step = 0; step < 150; step++) {
      const entry = randomEntry();
      const offset = model.filter(before(entry)).length;
      expect(leaf.countBefore(before(entry), entry)).toBe(offset);
      expect(leaf.countBefore(before(entry))).toBe(offset);
      const choice = random.float();
      if (choice < 0.5 || model.length === 0) {
        leaf.insert(offset, entry);
        model.splice(offset, 0, entry);
      } else if (choice < 0.6 && offset < model.length && model[offset]!.score === entry.score) {
        expect(leaf.replace(offset, { ...entry, member: model[offset]!.member })).toEqual(model[offset]);
        model[offset] = { ...entry, member: model[offset]!.member };
      } else if (choice < 0.9) {
        const from = pick(model.length);
        const count = 1 + pick(Math.min(3, model.length - from));
        leaf.remove(from, count);
        model.splice(from, count);
      } else if (choice < 0.95) {
        const at = pick(model.length + 1);
        const right = leaf.split(at);
        expect(entriesOf(right)).toEqual(model.slice(at));
        if (random.float() < 0.5) leaf.join(right);
        else model = model.slice(0, at);
      } else leaf = decodeNode(Buffer.from(leaf.encode()), SCORED_MEMBERS) as Leaf<ScoredMember>;
      expect(entriesOf(leaf)).toEqual(model);
      expect(leaf.bytes).toBe(model.reduce((sum, each) => sum + SCORED_MEMBERS.bytes(each), 0));
      if (random.float() < 0.6 && choice < 0.95) continue;
      const bytes = Buffer.from(leaf.encode());
      if (!leaf.isWhole && choice < 0.95) {
        expect(leaf.patchBytesMax).toBeLessThanOrEqual(NODE_PATCHES_BYTES_MAX);
        const patches = Buffer.alloc(NODE_PATCHES_BYTES_MAX);
        expect(patched(stored, patches.subarray(0, leaf.writePatches(patches, 0)))).toEqual(bytes);
      }
      leaf.settled();
      stored = bytes;
    }
  }));

it('gives memory back that a long member took', () => {
  const leaf = SCORE_LEAVES.of(SCORED_MEMBERS, [{ score: 1, member: 'a' }]);
  const short = leaf.footprintBytes;
  leaf.insert(1, { score: 2, member: 'b'.repeat(1 << 20) });
  expect(leaf.footprintBytes).toBeGreaterThan(1 << 20);
  leaf.remove(1, 1);
  expect(leaf.footprintBytes).toBeLessThan(short + 8192);
  expect(leaf.at(0)).toEqual({ score: 1, member: 'a' });
});

it('refuses bytes that are no leaf', () => {
  const bytes = SCORE_LEAVES.of(SCORED_MEMBERS, [{ score: 1, member: 'abc' }]).encode();
  expect(() => decodeNode(Buffer.from(bytes.subarray(0, -1)), SCORED_MEMBERS)).toThrow();
  expect(() => decodeNode(Buffer.concat([bytes, Buffer.from('x')]), SCORED_MEMBERS)).toThrow();
});
