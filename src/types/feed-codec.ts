import { SLOTS } from './slots.js';

/** A set of slots: a bit for each, slot `n` is bit `n & 7` of byte `n >> 3`. */
export type FeedSlots = Uint8Array;

export const FEED_SLOTS_BYTES = SLOTS / 8;

export function hasSlot(slots: FeedSlots, slot: number): boolean {
  return (slots[slot >> 3]! & (1 << (slot & 7))) !== 0;
}

/** The set of these slots. */
export function slotSet(slots: Iterable<number>): FeedSlots {
  const set = new Uint8Array(FEED_SLOTS_BYTES);
  for (const slot of slots) set[slot >> 3]! |= 1 << (slot & 7);
  return set;
}
