import { describe, expect, it } from 'vitest';
import { CounterTracker, WriteTracker } from '../../../../src/cli/bench/tracker.js';
import { Random, testSeed } from '../../../support/random.js';

const ROUNDS = 300;
const STEPS = 60;

/** Sends a write to key 0; gives a function that acknowledges it. */
function write(tracker: WriteTracker): { stamp: number; done: () => void } {
  const stamp = tracker.nextStamp();
  const dominated = tracker.sent(0, stamp);
  return { stamp, done: () => tracker.acknowledged(0, stamp, dominated) };
}

describe('the floor of reads', () => {
  it('rises with each write of a sequence', () => {
    const tracker = new WriteTracker(1);
    expect(tracker.floor(0)).toBe(0);
    for (let i = 0; i < 5; i++) {
      const { stamp, done } = write(tracker);
      done();
      expect(tracker.floor(0)).toBe(stamp);
    }
  });

  it('leaves writes that overlap alive', () => {
    const tracker = new WriteTracker(1);
    const [first, second] = [write(tracker), write(tracker)];
    second.done();
    first.done();
    expect(tracker.floor(0)).toBe(first.stamp);
  });

  it('rises though a key is never at rest', () => {
    const tracker = new WriteTracker(1);
    let before = write(tracker);
    for (let i = 0; i < 100; i++) {
      const next = write(tracker);
      before.done();
      before = next;
    }
    expect(tracker.floor(0)).toBeGreaterThan(90);
  });

  it('never rises above a write that a linearizable server may still show', () => {
    const random = new Random(testSeed('bench tracker'));
    for (let round = 0; round < ROUNDS; round++) {
      const tracker = new WriteTracker(1);
      // A server that applies each write at some moment between sending and acknowledgement; some are never answered.
      const sent: { stamp: number; done: () => void; applied: boolean }[] = [];
      let visible = 0;
      for (let step = 0; step < STEPS; step++) {
        const each = sent.length > 0 ? random.pick(sent) : undefined;
        if (each === undefined || random.chance(0.35)) sent.push({ ...write(tracker), applied: false });
        else if (!each.applied) {
          each.applied = true;
          visible = each.stamp;
        } else if (random.chance(0.8)) {
          each.done();
          sent.splice(sent.indexOf(each), 1);
        }
        expect([round, step, visible >= tracker.floor(0)]).toEqual([round, step, true]);
      }
    }
  });

  it('allows absence where a deletion may have come last', () => {
    const tracker = new WriteTracker(1);
    expect(tracker.mayBeAbsent(0, 0)).toBe(true);
    write(tracker).done();
    expect(tracker.mayBeAbsent(0, tracker.floor(0))).toBe(false);
    const deletion = write(tracker);
    tracker.deletionSent(0, deletion.stamp);
    expect(tracker.mayBeAbsent(0, tracker.floor(0))).toBe(true);
    deletion.done();
    write(tracker).done();
    expect(tracker.mayBeAbsent(0, tracker.floor(0))).toBe(false);
  });
});

describe('counters', () => {
  it('may be what was there and was acknowledged, and as much more as is unknown', () => {
    const counters = new CounterTracker(2);
    counters.setBase(1, 10);
    expect(counters.wasTouched(1)).toBe(false);
    counters.acknowledged(1, 11);
    counters.unknown(1);
    expect(counters.wasTouched(1)).toBe(true);
    expect(counters.range(1)).toEqual([11, 12]);
    expect(counters.highest(1)).toBe(11);
  });
});
