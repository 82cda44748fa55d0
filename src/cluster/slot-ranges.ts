import { SLOTS } from './slots.js';

/** Neighbouring slots that belong together, both ends inclusive. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  /** What they belong to: what the function that was asked said of each of them. */
  readonly group: number;
}

/**
 * The longest runs of slots of one group, in order of the slots; those of group −1 are left out.
 * Jump hashing scatters the slots of a shard, so a keyspace on three stores has some 11,000 runs.
 * @param groupOf the number of the group a slot belongs to
 */
export function slotRanges(groupOf: (slot: number) => number): SlotRange[] {
  const ranges: SlotRange[] = [];
  let first = 0;
  let group = groupOf(0);
  for (let slot = 1; slot <= SLOTS; slot++) {
    const next = slot === SLOTS ? NEVER : groupOf(slot);
    if (next === group) continue;
    if (group !== NO_GROUP) ranges.push({ first, last: slot - 1, group });
    first = slot;
    group = next;
  }
  return ranges;
}

export const NO_GROUP = -1;
const NEVER = -2;
