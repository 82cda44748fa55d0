import type { Buffer } from 'node:buffer';
import { type FeedSlots, hasSlot, slotSet } from '../types/feed-codec.js';
import { type Row, RowType } from '../types/row.js';
import { keySlot, textSlot } from '../types/slots.js';
import type { Tally } from './counting.js';
import type { Shown } from './feed-protocol.js';
import { type Database, StorageError } from './rocksdb.js';
import { keyBytes } from './row-scratch.js';
import { type Counted, SlotTallies } from './slot-tallies.js';

/** What is stored of a key, and what will be. */
interface Replacement {
  readonly name: string;
  readonly before: Counted;
  readonly after: Counted;
}

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
  /** When rows were last counted by the way, or could not be, Unix milliseconds. */
  private lookedAtMs = 0;
  /** Whether the disk could not be read when rows were to be counted between batches. */
  private hasFailed = false;
  private isTold = false;
  /** What counts from the commit on. */
  private staged: Replacement[] = [];
  /** What was stored of the keys of a commit that failed, which may have come to the disk all the same. */
  private readonly unsure = new Map<string, Counted>();

  /** @param warn says for people, in the log, what is wrong with the shard */
  constructor(private readonly warn: (text: string) => void) {}

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
   * @param nowMs Unix milliseconds: whoever will look at all rows has some time from then on to come
   * @returns whether rows come into sight that were hidden
   */
  show(shown: Shown | undefined, nowMs = 0): boolean {
    const reveals = this.reveals(shown?.slots);
    this.shown = shown;
    if (shown === undefined) this.restart(undefined);
    else if (this.tallies?.covers(shown.slots ?? shown.staying) !== true) {
      this.restart(this.noTallies(shown.slots === undefined ? shown.staying : undefined));
      this.lookedAtMs = nowMs;
    }
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
    return this.slots === undefined || hasSlot(this.slots, textSlot(name));
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

  /**
   * For somebody who is about to look at all rows behind a key, as latin1 text: where these are to be counted he can do it
   * by the way, which is cheaper than to read them twice.
   */
  countedBy(after: string | undefined, nowMs: number): SlotTallies | undefined {
    const { tallies } = this;
    if (tallies?.goesOn(after) !== true) return undefined;
    this.lookedAtMs = nowMs;
    return tallies;
  }

  /** Whether there is something to count that nobody counts by the way. */
  isCountDue(nowMs: number): boolean {
    const sinceMs = nowMs - this.lookedAtMs;
    // A clock that was set back must not hold anything up.
    const restMs = this.hasFailed ? COUNTED_AGAIN_MS : COUNTED_BY_THE_WAY_MS;
    return this.isCounting && (sinceMs < 0 || sinceMs >= restMs);
  }

  /**
   * Counts some more keys: to be called between batches. Where the disk cannot be read it does nothing for a while: nobody
   * has asked yet, and whoever does hears of it.
   */
  countOn(source: Database, rowsMax = COUNTED_AT_ONCE, nowMs = 0): void {
    try {
      this.tallies?.lookOn(source, rowsMax);
      this.hasFailed = false;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.hasFailed = true;
      this.lookedAtMs = nowMs;
      this.warnOnce(`its keys cannot be counted: ${error.message}`);
    }
  }

  private noTallies(uncounted: FeedSlots | undefined): SlotTallies {
    return new SlotTallies(
      (name, { message }) =>
        this.warnOnce(
          `the key ${JSON.stringify(name.slice(0, 100))} passes for one that does not expire where keys are counted: ${message}. Restore the shard from a copy`,
        ),
      uncounted,
    );
  }

  private warnOnce(text: string): void {
    if (!this.isTold) this.warn(text);
    this.isTold = true;
  }

  /** Takes note that what is stored of a key, of whatever slot, gives way with the commit at hand, beside the noted rows. */
  replaced(name: string, before: Counted, after: Counted): void {
    if (this.tallies !== undefined) this.staged.push({ name, before, after });
  }

  /** What was staged is on disk. @param rows those that were noted, with what was stored of them before */
  committed(rows: readonly Row[]): void {
    if (this.tallies === undefined) return;
    for (const { name, before, after } of this.staged) this.count(name, before, after);
    this.discard();
    for (const row of rows) this.count(row.key, storedOf(row), row);
  }

  private count(name: string, before: Counted, after: Counted): void {
    const slot = textSlot(name);
    this.tallies!.counted(name, slot, before, -1);
    this.tallies!.counted(name, slot, after, 1);
  }

  /** What was to be committed may be on disk or not, until {@link reread} finds out. */
  commitFailed(rows: readonly Row[]): void {
    if (this.tallies === undefined) return;
    const note = (name: string, before: Counted) => {
      if (!this.unsure.has(name)) this.unsure.set(name, before);
    };
    for (const { name, before } of this.staged) note(name, before);
    for (const row of rows) note(row.key, storedOf(row));
  }

  /** Forgets what was staged. */
  discard(): void {
    if (this.staged.length > 0) this.staged = [];
  }

  /**
   * The shard is read anew after a failure: what was counted stands if it agrees with what is stored, so that not all rows
   * have to be looked at again.
   * @param all what is stored of all slots
   */
  reread(source: Database, all: Tally): void {
    const { tallies } = this;
    if (tallies === undefined) return;
    for (const [name, before] of this.unsure) {
      const stored = source.get('default', keyBytes(name));
      this.count(name, before, stored === undefined ? ABSENT : tallies.read(name, stored));
    }
    this.unsure.clear();
    const { live, expiring } = tallies.outside(slotSet([]));
    // Where some slots are not counted there is nothing to compare with.
    const isWhole = tallies.isComplete && tallies.uncounted === undefined;
    if (!isWhole || live !== all.live || expiring !== all.expiring) this.forgetCount();
  }

  /** What was counted does not hold any more. */
  forgetCount(): void {
    if (this.tallies !== undefined) this.restart(this.noTallies(this.tallies.uncounted));
  }

  private restart(tallies: SlotTallies | undefined): void {
    this.tallies = tallies;
    this.staged = [];
    this.unsure.clear();
  }
}

function storedOf({ storedType, storedExpiresAtMs }: Row): Counted {
  return { type: storedType, expiresAtMs: storedExpiresAtMs };
}

const ABSENT: Counted = { type: RowType.Absent, expiresAtMs: 0 };

/** For so long after rows were counted by the way it is left to whoever does that to come back: a copy rests for up to a second. */
const COUNTED_BY_THE_WAY_MS = 2000;
/** And for so long after the disk could not be read. */
const COUNTED_AGAIN_MS = 60_000;

/** Rows that are looked at in a row, between batches, 100 times a second: half a millisecond. */
const COUNTED_AT_ONCE = 250;

const NONE: Tally = { live: 0, expiring: 0 };
