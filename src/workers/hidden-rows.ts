import { Buffer } from 'node:buffer';
import { type FeedSlots, hasSlot } from '../types/feed-codec.js';
import type { Row } from '../types/row.js';
import { keySlot } from '../types/slots.js';
import type { Tally } from './counting.js';
import type { Shown } from './feed-protocol.js';
import type { Database } from './rocksdb.js';
import { type Counted, SlotTallies } from './slot-tallies.js';

/**
 * The rows of a shard that commands do not see, because their slots are not, or not yet, this shard's: while rows come
 * from other shards, and until those that have gone elsewhere are removed.
 *
 * How many there are follows from the numbers of keys of each slot. These are found out step by step from when it is
 * first said what is shown, which is long before rows are hidden, so that hiding and showing costs nothing.
 */
export class HiddenRows {
  private shown: Shown | undefined;
  private tallies: SlotTallies | undefined;

  /** The slots that commands see; undefined = all. */
  get slots(): FeedSlots | undefined {
    return this.shown?.slots;
  }

  /** Whether rows that are hidden, and the log that tells of them, have to stay. */
  get areKept(): boolean {
    return this.shown?.keepsOthers === true;
  }

  /** Whether keys are still to be counted, see {@link countOn}. */
  get isCounting(): boolean {
    return this.tallies?.isComplete === false;
  }

  /**
   * @param shown undefined = all, and that is not about to change
   * @returns whether rows come into sight that were hidden
   */
  show(shown: Shown | undefined): boolean {
    const reveals = this.reveals(shown?.slots);
    this.shown = shown;
    if (shown === undefined) this.tallies = undefined;
    else this.tallies ??= new SlotTallies();
    return reveals;
  }

  private reveals(after: FeedSlots | undefined): boolean {
    const { slots: before, tallies } = this;
    if (before === undefined || tallies === undefined) return false;
    if (after !== undefined) return after.some((bits, index) => (bits & ~before[index]!) !== 0);
    return !tallies.isComplete || tallies.outside(before).live > 0;
  }

  /** Whether commands see a key, if it is there. */
  shows(key: Buffer): boolean {
    const { slots } = this;
    return slots === undefined || hasSlot(slots, keySlot(key));
  }

  /** As {@link shows}, of a key as latin1 text. */
  showsName(name: string): boolean {
    return this.slots === undefined || this.shows(Buffer.from(name, 'latin1'));
  }

  /**
   * How many stored rows are hidden, those that have ended included.
   * @param all what is stored of all slots
   * @param source where keys are still being counted, the rest of them are looked at now; undefined = they are left out
   */
  tally(all: Tally, source: Database | undefined): Tally {
    const { slots, tallies } = this;
    if (slots === undefined || tallies === undefined) return NONE;
    if (slots.every((bits) => bits === 0)) return all;
    if (source !== undefined) tallies.lookOn(source, Number.POSITIVE_INFINITY);
    return tallies.outside(slots);
  }

  /** Counts some more keys: to be called between batches. */
  countOn(source: Database, rowsMax = COUNTED_AT_ONCE): void {
    this.tallies?.lookOn(source, rowsMax);
  }

  /** Takes note that a stored row, of whatever key, is there from now on (`by` 1), or is not any more (−1). */
  counted(name: string, row: Counted, by: 1 | -1): void {
    this.tallies?.counted(name, keySlot(Buffer.from(name, 'latin1')), row, by);
  }

  /** Takes note of what rows are stored as from now on. */
  stored(rows: readonly Row[]): void {
    const { tallies } = this;
    if (tallies === undefined) return;
    for (const row of rows) {
      const slot = keySlot(Buffer.from(row.key, 'latin1'));
      tallies.counted(row.key, slot, { type: row.storedType, expiresAtMs: row.storedExpiresAtMs }, -1);
      tallies.counted(row.key, slot, row, 1);
    }
  }

  /** What was counted does not hold any more. */
  forgetCount(): void {
    if (this.tallies !== undefined) this.tallies = new SlotTallies();
  }
}

/** Rows that are looked at in a row, between batches: some milliseconds. */
const COUNTED_AT_ONCE = 1000;

const NONE: Tally = { live: 0, expiring: 0 };
