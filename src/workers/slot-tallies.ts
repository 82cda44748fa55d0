import type { Buffer } from 'node:buffer';
import { RowFormatError } from '../types/binary.js';
import { type FeedSlots, hasSlot } from '../types/feed-codec.js';
import { isKey, type Row, RowType } from '../types/row.js';
import { rowHeader } from '../types/row-codec.js';
import { SLOTS } from '../types/slots.js';
import type { Tally } from './counting.js';
import type { Database } from './rocksdb.js';
import { readRows } from './row-reads.js';

export type Counted = Pick<Row, 'type' | 'expiresAtMs'>;

/**
 * How many stored keys a shard has of each slot, those that have ended included.
 *
 * They are found out by looking at all rows in key order, a piece at a time: changes of keys up to where that has come
 * are counted, and those of keys behind it will be seen. So it is exact once it has come to the end, whatever changes
 * meanwhile. 128 KB while it lasts. A row that cannot be read stays as it is, whatever is written: it passes for a key that
 * does not expire, which most are.
 */
export class SlotTallies {
  private readonly live = new Int32Array(SLOTS);
  private readonly expiring = new Int32Array(SLOTS);
  /** The last key that was looked at; undefined = none. */
  private reached: string | undefined;
  private isDone = false;

  /**
   * @param unreadable is told of rows that cannot be read
   * @param uncounted slots whose keys are not counted: so their rows need not be read; undefined = none
   */
  constructor(
    private readonly unreadable: (name: string, error: RowFormatError) => void,
    readonly uncounted?: FeedSlots,
  ) {}

  /** Whether all rows have been looked at. */
  get isComplete(): boolean {
    return this.isDone;
  }

  /** Looks at the next rows as they are stored. */
  lookOn(source: Database, rowsMax: number): void {
    if (this.isDone) return;
    const wants = (slot: number) => this.counts(slot);
    const hasMore = readRows(source, { after: this.reached, rowsMax, wants }, (name, slot, stored) => {
      this.look(name, slot, stored);
      return true;
    });
    this.isDone = !hasMore;
  }

  /** Whether somebody who looks at all rows behind a key, as latin1 text, sees the next ones that are to be counted. */
  goesOn(after: string | undefined): boolean {
    if (this.isDone) return false;
    return after === undefined || (this.reached !== undefined && after <= this.reached);
  }

  /** Whether the keys of a slot are counted. */
  counts(slot: number): boolean {
    return this.uncounted === undefined || !hasSlot(this.uncounted, slot);
  }

  /** Whether what is not counted is not asked for. @param shown of these slots the keys are never hidden; undefined = no slot is sure */
  covers(shown: FeedSlots | undefined): boolean {
    return this.uncounted?.every((bits, index) => (bits & ~(shown?.[index] ?? 0)) === 0) !== false;
  }

  /**
   * Counts a row as it is stored, unless that has been done, for somebody who {@link goesOn} and leaves none out.
   * @param stored may be missing where the slot's keys are not counted
   */
  look(name: string, slot: number, stored: Buffer | undefined): void {
    if (this.reached !== undefined && name <= this.reached) return;
    if (this.counts(slot)) this.add(slot, this.read(name, stored!), 1);
    this.reached = name;
  }

  /** What counts of a row as it is stored. */
  read(name: string, stored: Buffer): Counted {
    try {
      return rowHeader(stored);
    } catch (error) {
      if (!(error instanceof RowFormatError)) throw error;
      this.unreadable(name, error);
      return UNREADABLE;
    }
  }

  /** Nothing is behind what was looked at last by somebody who {@link goesOn}. */
  end(): void {
    this.isDone = true;
  }

  /** Takes note that what is stored of a key, as latin1 text, is there from now on (`by` 1), or is not any more (−1). */
  counted(name: string, slot: number, row: Counted, by: 1 | -1): void {
    if (!this.counts(slot)) return;
    if (this.isDone || (this.reached !== undefined && name <= this.reached)) this.add(slot, row, by);
  }

  private add(slot: number, { type, expiresAtMs }: Counted, by: 1 | -1): void {
    if (!isKey(type)) return;
    this.live[slot]! += by;
    if (expiresAtMs !== 0) this.expiring[slot]! += by;
  }

  /** The keys of all slots but these, among which are those that are not counted. */
  outside(slots: FeedSlots): Tally {
    const tally = { live: 0, expiring: 0 };
    for (let slot = 0; slot < SLOTS; slot++) {
      if (hasSlot(slots, slot)) continue;
      tally.live += this.live[slot]!;
      tally.expiring += this.expiring[slot]!;
    }
    return tally;
  }
}

const UNREADABLE: Counted = { type: RowType.String, expiresAtMs: 0 };
