import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { PackedScores } from '../../../../src/types/collections/packed-scores.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

it('members that have gone do not stay in memory with those that are left', () => {
  const SETS = 500;
  const MEMBERS = 60;
  const before = heapBytes();
  const sets = Array.from({ length: SETS }, (_, set) => {
    const scores = PackedScores.empty();
    for (let member = 0; member < MEMBERS; member++)
      scores.insert({ score: member, member: `${set} ${member} `.padEnd(100, '.') });
    return scores;
  });
  const full = heapBytes() - before;
  expect(full).toBeGreaterThan(SETS * MEMBERS * 100);
  for (const scores of sets) {
    // From the front, one by one, as a queue is emptied; and from the end.
    for (let left = MEMBERS; left > 2; left--) scores.remove(0, scores.place(1), 1);
    scores.remove(scores.place(1), scores.place(2), 1);
  }
  expect(heapBytes() - before).toBeLessThan(full / 4);
  for (const [set, scores] of sets.entries()) {
    const member = `${set} ${MEMBERS - 2} `.padEnd(100, '.');
    expect([scores.size, scores.entry(0)]).toEqual([1, { score: MEMBERS - 2, member }]);
  }
});
