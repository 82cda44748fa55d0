import { expect, test } from 'vitest';
import { CommonSubsequence } from '../../../src/types/lcs.js';
import { Random, testSeed } from '../../support/random.js';

const random = new Random(testSeed('lcs'));

function words(): Buffer {
  return Buffer.from(Array.from({ length: random.int(0, 30) }, () => random.int(97, 100)));
}

/** The length by recursion on the definition, memoized. */
function lengthOf(left: Buffer, right: Buffer): number {
  const known = new Map<string, number>();
  const visit = (i: number, j: number): number => {
    if (i === 0 || j === 0) return 0;
    const key = `${i},${j}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const length =
      left[i - 1] === right[j - 1] ? visit(i - 1, j - 1) + 1 : Math.max(visit(i - 1, j), visit(i, j - 1));
    known.set(key, length);
    return length;
  };
  return visit(left.length, right.length);
}

test('runs and bytes make up one longest subsequence of both', () => {
  for (let round = 0; round < 200; round++) {
    const left = words();
    const right = words();
    const common = new CommonSubsequence(left, right);
    expect(common.length).toBe(lengthOf(left, right));
    const bytes = Buffer.alloc(common.length);
    common.write(bytes);
    const runs = common.runs().reverse();
    const from = (text: Buffer, side: 'left' | 'right') =>
      Buffer.concat(runs.map((run) => text.subarray(run[`${side}Start`], run[`${side}End`] + 1)));
    expect(from(left, 'left').equals(bytes)).toBe(true);
    expect(from(right, 'right').equals(bytes)).toBe(true);
    for (const [index, run] of runs.entries()) {
      expect(run.leftEnd - run.leftStart).toBe(run.rightEnd - run.rightStart);
      const next = runs[index + 1];
      if (next !== undefined)
        expect(next.leftStart > run.leftEnd && next.rightStart > run.rightEnd).toBe(true);
    }
  }
});
