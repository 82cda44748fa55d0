import { describe, expect, it } from 'vitest';
import { timestampOf } from '../../../src/base/clock.js';
import {
  excessDriftMs,
  heldTimestamp,
  rememberedSince,
  removalHorizon,
  takesPlace,
} from '../../../src/types/feed-rules.js';
import { RowType } from '../../../src/types/row.js';

const NOW = 1_700_000_000_000;
const RETENTION = 1000;
const held = (type: RowType, expiresAtMs: number) =>
  heldTimestamp({ type, timestamp: 7, expiresAtMs }, NOW, RETENTION);

describe('what a row holds against others', () => {
  it.each([
    ['nothing, where there is none', RowType.Absent, 0, 0],
    ['its timestamp', RowType.String, 0, 7],
    ['its timestamp until it ends', RowType.String, NOW + 1, 7],
    ['and on, as the tombstone it becomes', RowType.String, NOW - RETENTION + 1, 7],
    ['until that is forgotten', RowType.String, NOW - RETENTION, 0],
    ['its timestamp, as a tombstone', RowType.Tombstone, NOW + 1, 7],
    ['until it is forgotten', RowType.Tombstone, NOW, 0],
  ])('%s', (_, type, expiresAtMs, expected) => {
    expect(held(type, expiresAtMs)).toBe(expected);
  });
});

describe('of two rows', () => {
  const never = () => {
    throw new Error('asked for in no draw');
  };
  it('the later one counts', () => {
    expect(takesPlace(5, Buffer.from('a'), 4, never)).toBe(true);
    expect(takesPlace(4, Buffer.from('z'), 5, never)).toBe(false);
  });
  it('both sides decide alike in a draw, and a row does not replace itself', () => {
    const [a, b] = [Buffer.from('a'), Buffer.from('b')];
    expect(takesPlace(5, a, 5, () => b)).toBe(false);
    expect(takesPlace(5, b, 5, () => a)).toBe(true);
    expect(takesPlace(5, a, 5, () => a)).toBe(false);
  });
});

it('deletions are remembered for the retention, less what timestamps may be ahead, and not from before they left tombstones', () => {
  expect(rememberedSince(0, NOW, RETENTION, 60)).toBe(timestampOf(NOW - RETENTION + 60));
  expect(rememberedSince(NOW - 5, NOW, RETENTION, 60)).toBe(timestampOf(NOW - 5));
  expect(rememberedSince(0, NOW, 120, 60)).toBe(0);
});

it('nothing is removed that the source may never have had', () => {
  expect(removalHorizon(10, Number.POSITIVE_INFINITY)).toBe(10);
  expect(removalHorizon(10, 4)).toBe(4);
});

it('a timestamp may be ahead of the clock so far and no further', () => {
  expect(excessDriftMs(timestampOf(NOW + 60), NOW, 60)).toBe(0);
  expect(excessDriftMs(timestampOf(NOW + 75), NOW, 60)).toBe(15);
  expect(excessDriftMs(timestampOf(NOW - 75), NOW, 60)).toBe(0);
});
