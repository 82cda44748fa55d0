import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ByteReader } from '../../../../src/types/binary.js';
import { SmallMembers } from '../../../../src/types/collections/small-members.js';
import { seeded } from '../../../support/replay.js';

const STEPS = 2500;
/** More and longer than what is packed, so that sets of both forms are met, and their change. */
const NAMES = Array.from({ length: 90 }, (_, index) =>
  index % 30 === 0 ? `${index}`.padEnd(index * 3, '.') : index % 11 === 0 ? `\xff${index}\0` : String(index),
).concat('');

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function readAgain(members: SmallMembers): SmallMembers {
  const target = Buffer.alloc(20_000);
  const end = members.write(target, 3);
  const reader = new ByteReader(target.subarray(0, end), 3);
  const read = SmallMembers.read(reader, members.size);
  expect(reader.isAtEnd).toBe(true);
  return read;
}

function all(members: SmallMembers): string[] {
  const seen: string[] = [];
  members.each((member) => seen.push(member) > 0);
  return seen;
}

describe('the members of a small set', () => {
  it('are those of a Set, in its order, packed or not', () =>
    seeded(3, (random) => {
      const model = new Set<string>();
      let members = new SmallMembers();
      let isGrowing = true;
      for (let step = 0; step < STEPS; step++) {
        if (random.chance(0.01)) isGrowing = !isGrowing;
        const name = NAMES[random.int(0, NAMES.length - 1)]!;
        expect(members.has(name)).toBe(model.has(name));
        if (random.chance(isGrowing ? 0.8 : 0.2)) {
          expect(members.add(name)).toBe(!model.has(name));
          model.add(name);
        } else if (model.size > 0 && random.chance(0.5)) {
          const index = random.int(0, model.size - 1);
          const taken = members.take(index);
          expect(taken).toBe([...model][index]);
          model.delete(taken);
        } else expect(members.delete(name)).toBe(model.delete(name));
        expect([members.size, members.bytes]).toEqual([model.size, [...model].join('').length]);
        if (random.chance(0.1)) {
          expect(all(members)).toEqual([...model]);
          const read = readAgain(members);
          expect(all(read)).toEqual([...model]);
          expect(read.footprintBytes).toBe(members.footprintBytes);
          if (random.chance(0.3)) members = read;
        }
        if (random.chance(0.02)) {
          const before = members;
          members = members.copy();
          before.add('only in the other one');
          before.delete(name);
        }
      }
    }));

  it('are not visited further when that is enough', () => {
    for (const count of [3, 80]) {
      const members = new SmallMembers();
      for (let index = 0; index < count; index++) members.add(`member ${index}`);
      const seen: string[] = [];
      members.each((member) => seen.push(member) < 2);
      expect(seen).toEqual(['member 0', 'member 1']);
    }
  });

  it('do not stay in memory when they have gone from among those that are left', () => {
    const SETS = 2000;
    const MEMBERS = 9;
    const before = heapBytes();
    const sets = Array.from({ length: SETS }, (_, set) => {
      const members = new SmallMembers();
      for (let member = 0; member < MEMBERS; member++) members.add(`${set} ${member} `.padEnd(100, '.'));
      return members;
    });
    const full = heapBytes() - before;
    expect(full).toBeGreaterThan(SETS * MEMBERS * 100);
    for (const members of sets) {
      for (let left = MEMBERS; left > 2; left--) members.take(0);
      members.take(1);
    }
    expect(heapBytes() - before).toBeLessThan(full / 2);
    expect(all(sets[7]!)).toEqual([`7 ${MEMBERS - 2} `.padEnd(100, '.')]);
  });
});
