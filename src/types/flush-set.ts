import { Buffer } from 'node:buffer';
import { FLUSHES_PER_SHARD_MAX } from '../base/limits.js';
import { ALL_SLOTS, FEED_SLOTS_BYTES, FeedFormatError, type FeedSlots, hasSlot } from './feed-codec.js';
import { readUint64, writeUint64 } from './row-codec.js';
import { keySlot } from './slots.js';

/** That all rows of some slots up to a timestamp are gone, those too that still arrive. */
export interface Flush {
  readonly at: number;
  readonly slots: FeedSlots;
  /** No such row is on the disk any more. */
  readonly isCleared: boolean;
}

/*
 * Flushes as bytes, one behind the other, the latest first:
 *
 *   offset  bytes  field
 *   0       8      timestamp, big-endian
 *   8       1      1 = no row up to it is on the disk any more, else 0
 *   9       2048   the slots, a bit for each: see FeedSlots
 */
const FLAG_AT = 8;
const SLOTS_AT = 9;
const FLUSH_BYTES = SLOTS_AT + FEED_SLOTS_BYTES;

/** More than any store keeps: each is compared with all others. */
const FLUSHES_READ_MAX = 4 * FLUSHES_PER_SHARD_MAX;

/**
 * What a shard knows of flushes: for each slot the latest one. It does not change. Sets of slots are given as with feeds,
 * where undefined is all of them.
 */
export class FlushSet {
  static readonly NONE = new FlushSet([]);

  /** @param flushes the latest first; no slot is in two of them */
  private constructor(readonly flushes: readonly Flush[]) {}

  static of(at: number, slots: FeedSlots | undefined, isCleared = false): FlushSet {
    return FlushSet.NONE.with(at, slots, isCleared);
  }

  /** @throws FeedFormatError for bytes that {@link toBytes} did not give */
  static fromBytes(bytes: Uint8Array): FlushSet {
    if (bytes.length % FLUSH_BYTES !== 0)
      throw new FeedFormatError(`flushes in ${bytes.length} bytes, of which each has ${FLUSH_BYTES}`);
    if (bytes.length > FLUSHES_READ_MAX * FLUSH_BYTES)
      throw new FeedFormatError(
        `${bytes.length / FLUSH_BYTES} flushes, of which ${FLUSHES_READ_MAX} are read`,
      );
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let known = FlushSet.NONE;
    for (let from = 0; from < buffer.length; from += FLUSH_BYTES) {
      // In memory of its own: the rest is not to be kept for it.
      const slots = new Uint8Array(buffer.subarray(from + SLOTS_AT, from + FLUSH_BYTES));
      known = known.with(readUint64(buffer, from), slots, buffer[from + FLAG_AT] === 1);
    }
    return known;
  }

  toBytes(): Uint8Array {
    const bytes = Buffer.alloc(this.flushes.length * FLUSH_BYTES);
    for (const [index, { at, slots, isCleared }] of this.flushes.entries()) {
      const from = index * FLUSH_BYTES;
      writeUint64(bytes, from, at);
      bytes[from + FLAG_AT] = isCleared ? 1 : 0;
      bytes.set(slots, from + SLOTS_AT);
    }
    return bytes;
  }

  /** The timestamp of the latest flush of any slot; 0 = there was none. */
  get latest(): number {
    return this.flushes[0]?.at ?? 0;
  }

  /** Those of which rows that do not count may still be on the disk. */
  get uncleared(): FlushSet {
    return new FlushSet(this.flushes.filter(({ isCleared }) => !isCleared));
  }

  /** The timestamp of the latest flush of a slot; 0 = there was none. */
  at(slot: number): number {
    return this.flushes.find(({ slots }) => hasSlot(slots, slot))?.at ?? 0;
  }

  /** Whether a flush has ended all rows of a key up to a timestamp. */
  hasEnded(key: Buffer, timestamp: number): boolean {
    return timestamp <= this.latest && timestamp <= this.at(keySlot(key));
  }

  /** The timestamp up to which rows of each of some slots are gone; 0 = not of each, or there are none. */
  reachedIn(slots: FeedSlots | undefined): number {
    let left = slots ?? ALL_SLOTS;
    if (isNone(left)) return 0;
    for (const flush of this.flushes) {
      left = without(left, flush.slots);
      if (isNone(left)) return flush.at;
    }
    return 0;
  }

  /** Whether rows up to a timestamp have been removed from all of some slots. */
  hasCleared(at: number, slots: FeedSlots | undefined): boolean {
    let left = slots ?? ALL_SLOTS;
    for (const flush of this.flushes)
      if (flush.at >= at && flush.isCleared) left = without(left, flush.slots);
    return isNone(left);
  }

  /** With one more: of each slot the later counts. */
  with(at: number, slots: FeedSlots | undefined, isCleared: boolean): FlushSet {
    let left = slots ?? ALL_SLOTS;
    const others: Flush[] = [];
    for (const flush of this.flushes) {
      const counts = flush.at > at || (flush.at === at && (flush.isCleared || !isCleared));
      if (counts) left = without(left, flush.slots);
      others.push(counts ? flush : { ...flush, slots: without(flush.slots, left) });
    }
    const same = others.findIndex((flush) => flush.at === at && flush.isCleared === isCleared);
    const added = { at, slots: same < 0 ? left : union(left, others[same]!.slots), isCleared };
    const all = same < 0 ? [...others, added] : others.with(same, added);
    return new FlushSet(
      all.filter((flush) => flush.at > 0 && !isNone(flush.slots)).sort((one, other) => other.at - one.at),
    );
  }

  /** With all of others, too. What they have cleared is cleared there. */
  merged(others: FlushSet): FlushSet {
    return others.flushes.reduce<FlushSet>((known, { at, slots }) => known.with(at, slots, false), this);
  }

  /** As it is when rows that some flushes had ended have been removed. Later ones may have come to be known since. */
  cleared({ flushes }: FlushSet): FlushSet {
    let known: FlushSet = this;
    for (const { at, slots } of flushes)
      for (const flush of known.flushes)
        if (flush.at <= at) known = known.with(flush.at, common(flush.slots, slots), true);
    return known;
  }

  /** Without those before a timestamp. */
  since(oldest: number): FlushSet {
    const kept = this.flushes.filter(({ at }) => at >= oldest);
    return kept.length === this.flushes.length ? this : new FlushSet(kept);
  }

  /**
   * Without the earliest, if there are too many.
   * @returns `forgotten`: the latest of these, 0 where there are none
   */
  limited(countMax: number): { readonly kept: FlushSet; readonly forgotten: number } {
    const forgotten = this.flushes[countMax]?.at ?? 0;
    return { kept: forgotten === 0 ? this : new FlushSet(this.flushes.slice(0, countMax)), forgotten };
  }
}

/** Whether a set has all slots of another one, where undefined is all. */
export function includesSlots(all: FeedSlots | undefined, some: FeedSlots | undefined): boolean {
  return all === undefined || isNone(without(some ?? ALL_SLOTS, all));
}

function common(one: FeedSlots, other: FeedSlots): FeedSlots {
  return one.map((bits, index) => bits & other[index]!);
}

function without(one: FeedSlots, other: FeedSlots): FeedSlots {
  return one.map((bits, index) => bits & ~other[index]!);
}

function union(one: FeedSlots, other: FeedSlots): FeedSlots {
  return one.map((bits, index) => bits | other[index]!);
}

function isNone(slots: FeedSlots): boolean {
  return slots.every((bits) => bits === 0);
}
