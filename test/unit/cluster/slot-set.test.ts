import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import { SlotSet, slotsOfShard } from '../../../src/cluster/slot-set.js';
import { SLOTS } from '../../../src/cluster/slots.js';
import { check } from '../../support/replay.js';

const slots = fc.uniqueArray(fc.integer({ min: 0, max: SLOTS - 1 }), { maxLength: 40 });

describe('SlotSet', () => {
  it('is a set', () => {
    void check(
      fc.property(slots, slots, (one, other) => {
        const [a, b] = [SlotSet.of(one), SlotSet.of(other)];
        const sorted = (some: Iterable<number>) => [...new Set(some)].sort((x, y) => x - y);
        expect([...a]).toEqual(sorted(one));
        expect(a.size).toBe(one.length);
        expect([...a.with(b)]).toEqual(sorted([...one, ...other]));
        expect([...a.without(b)]).toEqual(sorted(one.filter((slot) => !other.includes(slot))));
        expect([...a.within(b)]).toEqual(sorted(one.filter((slot) => other.includes(slot))));
        expect(a.with(b).size).toBe(sorted([...one, ...other]).length);
        expect(a.includes(b)).toBe(other.every((slot) => one.includes(slot)));
        expect(a.equals(SlotSet.where((slot) => one.includes(slot)))).toBe(true);
        expect(SlotSet.fromBytes(a.toBytes()).equals(a)).toBe(true);
        expect(a.isEmpty).toBe(one.length === 0);
      }),
      50,
    );
    expect(SlotSet.ALL.size).toBe(SLOTS);
    expect(SlotSet.EMPTY.size).toBe(0);
    expect(SlotSet.of([9]).toBytes()[1]).toBe(2);
    expect(() => SlotSet.fromBytes(new Uint8Array(7))).toThrow(/2048 bytes, not 7/);
  });

  it('of a shard has what jump hashing gives it', () => {
    for (const count of [1, 2, 7, 100]) {
      const homes = shardsOfSlots(count);
      for (let shard = 0; shard < count; shard += 3)
        expect([...slotsOfShard(count, shard)]).toEqual(
          [...homes.keys()].filter((slot) => homes[slot] === shard),
        );
    }
  });
});
