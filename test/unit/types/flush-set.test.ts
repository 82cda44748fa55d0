import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FLUSHES_PER_SHARD_MAX } from '../../../src/base/limits.js';
import { FeedFormatError, slotSet } from '../../../src/types/feed-codec.js';
import { FlushSet, includesSlots } from '../../../src/types/flush-set.js';

const SLOTS = [0, 1, 7, 8, 500, 16_383];
const slots = fc.option(fc.subarray(SLOTS).map(slotSet), { nil: undefined });
const at = fc.integer({ min: 1, max: 6 });
const flushes = fc.array(fc.record({ at, slots, isCleared: fc.boolean() }), { maxLength: 12 });
type Flushes = typeof flushes extends fc.Arbitrary<infer Value> ? Value : never;

const known = (all: Flushes) =>
  all.reduce<FlushSet>((set, each) => set.with(each.at, each.slots, each.isCleared), FlushSet.NONE);

const has = (set: Uint8Array | undefined, slot: number) => includesSlots(set, slotSet([slot]));

/** The latest flush of a slot. */
function latest(all: Flushes, slot: number): number {
  return Math.max(0, ...all.filter((each) => has(each.slots, slot)).map((each) => each.at));
}

/** What is known of each slot. */
const facts = (set: FlushSet) =>
  SLOTS.map((slot) => [set.at(slot), set.hasCleared(set.at(slot), slotSet([slot]))]);

describe('a set of flushes', () => {
  it('has of each slot the latest, and whether that is cleared', () =>
    fc.assert(
      fc.property(flushes, (all) => {
        const set = known(all);
        for (const slot of SLOTS) {
          const time = latest(all, slot);
          expect(set.at(slot)).toBe(time);
          const isCleared = all.some((each) => each.at === time && each.isCleared && has(each.slots, slot));
          if (time > 0) expect(set.hasCleared(time, slotSet([slot]))).toBe(isCleared);
          expect(set.hasCleared(time + 1, slotSet([slot]))).toBe(false);
        }
        expect(set.latest).toBe(Math.max(0, ...set.flushes.map((each) => each.at)));
        for (const [index, one] of set.flushes.entries())
          for (const other of set.flushes.slice(index + 1)) {
            expect(SLOTS.filter((slot) => has(one.slots, slot) && has(other.slots, slot))).toEqual([]);
            expect(one.at).toBeGreaterThanOrEqual(other.at);
          }
      }),
    ));

  it('is the same after its way, and those that are not are refused', () =>
    fc.assert(
      fc.property(flushes, (all) => {
        const bytes = known(all).toBytes();
        expect(facts(FlushSet.fromBytes(bytes))).toEqual(facts(known(all)));
        if (bytes.length > 0) expect(() => FlushSet.fromBytes(bytes.subarray(1))).toThrow(FeedFormatError);
      }),
    ));

  it('takes in what others know, but not what they have removed', () =>
    fc.assert(
      fc.property(flushes, flushes, (one, other) => {
        const set = known(one).merged(known(other));
        for (const slot of SLOTS) {
          expect(set.at(slot)).toBe(latest([...one, ...other], slot));
          if (latest(other, slot) > latest(one, slot))
            expect(set.hasCleared(set.at(slot), slotSet([slot]))).toBe(false);
        }
      }),
    ));

  it('is cleared as far as something was known when removing began', () =>
    fc.assert(
      fc.property(flushes, flushes, (all, later) => {
        const before = known(all);
        const since = later.reduce<FlushSet>(
          (set, each) => set.with(each.at, each.slots, each.isCleared),
          before,
        );
        const cleared = since.cleared(before.uncleared);
        for (const slot of SLOTS) {
          const [time, set] = [since.at(slot), slotSet([slot])];
          expect(cleared.at(slot)).toBe(time);
          if (time > 0)
            expect(cleared.hasCleared(time, set)).toBe(
              since.hasCleared(time, set) || time === before.at(slot),
            );
        }
        expect(before.cleared(before.uncleared).uncleared.latest).toBe(0);
      }),
    ));

  it('knows what has ended in all of some slots', () =>
    fc.assert(
      fc.property(flushes, slots, (all, some) => {
        const set = known(all);
        const there = SLOTS.filter((slot) => has(some, slot));
        const least = there.length === 0 ? 0 : Math.min(...there.map((slot) => set.at(slot)));
        if (some !== undefined) expect(set.reachedIn(some)).toBe(least);
      }),
    ));

  it('forgets what is old, and the earliest of too many', () => {
    const set = [3, 1, 2].reduce<FlushSet>(
      (all, time) => all.with(time, slotSet([time]), false),
      FlushSet.NONE,
    );
    expect(set.since(2).flushes.map((each) => each.at)).toEqual([3, 2]);
    expect(set.since(1)).toBe(set);
    expect(set.limited(3)).toEqual({ kept: set, forgotten: 0 });
    const { kept, forgotten } = set.limited(1);
    expect([kept.flushes.map((each) => each.at), forgotten]).toEqual([[3], 2]);
  });

  it('reads no more than any store keeps', () => {
    const one = FlushSet.of(5, undefined).toBytes();
    const many = (count: number) => Buffer.concat(Array.from({ length: count }, () => one));
    expect(FlushSet.fromBytes(many(4 * FLUSHES_PER_SHARD_MAX)).latest).toBe(5);
    expect(() => FlushSet.fromBytes(many(4 * FLUSHES_PER_SHARD_MAX + 1))).toThrow(FeedFormatError);
  });

  it('says of which keys it has ended what', () => {
    const set = FlushSet.of(5, undefined);
    expect([set.hasEnded(Buffer.from('k'), 5), set.hasEnded(Buffer.from('k'), 6)]).toEqual([true, false]);
    expect(FlushSet.NONE.hasEnded(Buffer.from('k'), 0)).toBe(true);
  });
});

it('sets of slots, where undefined is all', () => {
  const [one, both] = [slotSet([1]), slotSet([1, 2])];
  expect([includesSlots(both, one), includesSlots(one, both), includesSlots(one, undefined)]).toEqual([
    true,
    false,
    false,
  ]);
  expect([includesSlots(undefined, one), includesSlots(undefined, undefined)]).toEqual([true, true]);
});
