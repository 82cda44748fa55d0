import { shardsOfSlots } from './jump-hash.js';
import { SLOTS } from './slots.js';

/** A set of slots that does not change. */
export class SlotSet {
  /** The set without a slot. */
  static readonly EMPTY = SlotSet.where(() => false);
  /** The set of all slots. */
  static readonly ALL = SlotSet.where(() => true);

  private constructor(
    private readonly bits: Uint8Array,
    /** How many slots are in it. */
    readonly size: number,
  ) {}

  static where(isIn: (slot: number) => boolean): SlotSet {
    const bits = new Uint8Array(SLOTS / 8);
    let size = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      if (!isIn(slot)) continue;
      bits[slot >> 3]! |= 1 << (slot & 7);
      size++;
    }
    return new SlotSet(bits, size);
  }

  static of(slots: Iterable<number>): SlotSet {
    const bits = new Uint8Array(SLOTS / 8);
    let size = 0;
    for (const slot of slots) {
      const bit = 1 << (slot & 7);
      if ((bits[slot >> 3]! & bit) === 0) size++;
      bits[slot >> 3]! |= bit;
    }
    return new SlotSet(bits, size);
  }

  /** All slots, divided into so many sets. @param parts for each slot the number of the set that it is in */
  static partition(count: number, parts: Uint16Array): SlotSet[] {
    const bits = Array.from({ length: count }, () => new Uint8Array(SLOTS / 8));
    const sizes = new Array<number>(count).fill(0);
    for (let slot = 0; slot < SLOTS; slot++) {
      const part = parts[slot]!;
      bits[part]![slot >> 3]! |= 1 << (slot & 7);
      sizes[part]!++;
    }
    return bits.map((each, part) => new SlotSet(each, sizes[part]!));
  }

  /**
   * From what {@link toBytes} gave.
   * @throws RangeError for another length
   */
  static fromBytes(bytes: Uint8Array): SlotSet {
    if (bytes.length !== SLOTS / 8)
      throw new RangeError(`a set of slots has ${SLOTS / 8} bytes, not ${bytes.length}`);
    const bits = new Uint8Array(bytes);
    let size = 0;
    for (const word of wordsOf(bits)) size += onesIn(word);
    return new SlotSet(bits, size);
  }

  /** A bit for each slot, that of slot 0 the lowest of the first byte. */
  toBytes(): Uint8Array {
    return this.bits.slice();
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  has(slot: number): boolean {
    return (this.bits[slot >> 3]! & (1 << (slot & 7))) !== 0;
  }

  /** Those in this or the other. */
  with(other: SlotSet): SlotSet {
    if (other === this || other.isEmpty) return this;
    return this.combine(other, (mine, theirs) => mine | theirs);
  }

  /** Those in this and not in the other. */
  without(other: SlotSet): SlotSet {
    if (this.isEmpty || other.isEmpty) return this;
    return this.combine(other, (mine, theirs) => mine & ~theirs);
  }

  /** Those in this and in the other. */
  within(other: SlotSet): SlotSet {
    if (other === this || this.isEmpty) return this;
    return this.combine(other, (mine, theirs) => mine & theirs);
  }

  private combine(other: SlotSet, wordOf: (mine: number, theirs: number) => number): SlotSet {
    const bits = new Uint8Array(SLOTS / 8);
    const [words, mine, theirs] = [wordsOf(bits), wordsOf(this.bits), wordsOf(other.bits)];
    let size = 0;
    for (let at = 0; at < words.length; at++) {
      const word = wordOf(mine[at]!, theirs[at]!);
      words[at] = word;
      if (word !== 0) size += onesIn(word);
    }
    return new SlotSet(bits, size);
  }

  includes(other: SlotSet): boolean {
    if (other === this || other.isEmpty) return true;
    if (other.size > this.size) return false;
    const [mine, theirs] = [wordsOf(this.bits), wordsOf(other.bits)];
    for (let at = 0; at < mine.length; at++) if ((theirs[at]! & ~mine[at]!) !== 0) return false;
    return true;
  }

  equals(other: SlotSet): boolean {
    return this.size === other.size && this.includes(other);
  }

  *[Symbol.iterator](): Generator<number> {
    for (let slot = 0; slot < SLOTS; slot++) if (this.has(slot)) yield slot;
  }
}

/** Whether both are the same set, or both are undefined. */
export function isSameSet(one: SlotSet | undefined, other: SlotSet | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.equals(other);
}

/** Sets are combined 32 slots at a time: what a copy is asked about it is asked often. */
function wordsOf(bits: Uint8Array): Uint32Array {
  return new Uint32Array(bits.buffer, bits.byteOffset, bits.length / 4);
}

/** How many bits of a word of 32 are set. */
function onesIn(word: number): number {
  let pairs = word - ((word >>> 1) & 0x55555555);
  pairs = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((pairs + (pairs >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Numbers of shards whose sets are kept: a change knows two, and few keyspaces change at a time. */
const COUNTS_KEPT_MAX = 8;
const shares = new Map<number, readonly SlotSet[]>();

/** The slots of one shard out of so many. */
export function slotsOfShard(shardCount: number, shard: number): SlotSet {
  let sets = shares.get(shardCount);
  if (sets === undefined) {
    sets = SlotSet.partition(shardCount, shardsOfSlots(shardCount));
    keepBounded(shares, shardCount, sets);
  }
  return sets[shard]!;
}

/** The slots that go from one shard to another when the number of shards changes. */
export interface Flow {
  readonly from: number;
  readonly to: number;
  readonly slots: SlotSet;
}

const flows = new Map<number, readonly Flow[]>();

/**
 * Where the slots of a keyspace of `before` shards are when it has `after`: each slot is in one flow, also those that
 * stay where they are. Jump hashing has slots go only to new shards, or only from those that go, so there are at most
 * `before` × `after` flows and never more than there are slots.
 */
export function flowsBetween(before: number, after: number): readonly Flow[] {
  const key = before * 65536 + after;
  const known = flows.get(key);
  if (known !== undefined) return known;
  const was = shardsOfSlots(before);
  const is = shardsOfSlots(after);
  // By pair of shards the number of their flow, counted from 1: a map would be asked for each slot twice.
  const numbers = new Uint16Array(before * after);
  for (let slot = 0; slot < SLOTS; slot++) numbers[was[slot]! * after + is[slot]!] = 1;
  const pairs: number[] = [];
  for (let pair = 0; pair < numbers.length; pair++) if (numbers[pair] !== 0) numbers[pair] = pairs.push(pair);
  const parts = new Uint16Array(SLOTS);
  for (let slot = 0; slot < SLOTS; slot++) parts[slot] = numbers[was[slot]! * after + is[slot]!]! - 1;
  const sets = SlotSet.partition(pairs.length, parts);
  const found = pairs.map((pair, index): Flow => {
    return { from: Math.floor(pair / after), to: pair % after, slots: sets[index]! };
  });
  keepBounded(flows, key, found);
  return found;
}

function keepBounded<Value>(cache: Map<number, Value>, key: number, value: Value): void {
  const [oldest] = cache.keys();
  if (oldest !== undefined && cache.size >= COUNTS_KEPT_MAX) cache.delete(oldest);
  cache.set(key, value);
}
