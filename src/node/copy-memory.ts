import { Buffer } from 'node:buffer';
import { completeAfter, isSameChange } from '../cluster/plan/continuity.js';
import { dutiesIn, placeKey, type ShardDuty } from '../cluster/plan/duties.js';
import type { Feed } from '../cluster/plan/feeds.js';
import { SlotSet, slotsOfShard } from '../cluster/slot-set.js';
import type { KeyspaceEntry } from '../cluster/topology.js';
import { feedId } from './feeds/duties.js';

/** A mark in a copy's own log: nothing of the slots that it has let go of comes behind that record. */
export interface OwnMark {
  /** That of the phase for which it was put. */
  readonly epoch: number;
  /** The log that it is in. */
  readonly log: string;
  /** Number of the last record before it. */
  readonly sequence: number;
}

/** What a store remembers of its copy of a shard, besides what is in the shard. It is replaced, never changed. */
export interface CopyMemory {
  /** Slots of which everything is here, as of some time. */
  readonly complete: SlotSet;
  /** Slots whose rows are to be removed, before they may be filled again. None of them is complete. */
  readonly leftover: SlotSet;
  readonly marks: readonly OwnMark[];
  /** By place of another copy, the latest mark up to which all of its log is here. */
  readonly read: ReadonlyMap<string, number>;
  /** Feeds whose positions are to be forgotten, so that they begin with a copy. */
  readonly anew: readonly string[];
}

/** What is kept of it on the disk. */
export interface CopyRecord {
  readonly complete: string;
  readonly leftover: string;
  readonly marks: readonly OwnMark[];
  readonly read: Readonly<Record<string, number>>;
  readonly anew: readonly string[];
}

/** Marks of its own that a copy remembers: a takeover has one, and another for each log that is begun anew meanwhile. */
const MARKS_MAX = 16;

/**
 * What a store knows of a copy that it has not had before. It has everything only where the shard is as it was made:
 * then nothing was written without this store.
 */
export function firstMemory(entry: KeyspaceEntry | undefined, store: string, shard: number): CopyMemory {
  const held = entry?.shards[shard];
  const isAsMade = held !== undefined && held.since === undefined && held.stores.includes(store);
  const complete = isAsMade ? slotsOfShard(entry!.shards.length, shard) : SlotSet.EMPTY;
  return { complete, leftover: SlotSet.EMPTY, marks: [], read: new Map(), anew: [] };
}

/** What still holds of it when another entry of the keyspace comes into force. */
export function memoryAfter(
  memory: CopyMemory,
  before: KeyspaceEntry | undefined,
  after: KeyspaceEntry,
  store: string,
  shard: number,
): CopyMemory {
  if (before === after) return memory;
  const markFrom = (from: Feed['from']) => memory.read.get(placeKey(from)) ?? 0;
  const was = before && dutyOf(before, store, shard);
  const is = dutyOf(after, store, shard);
  const kept = is?.kept ?? SlotSet.EMPTY;
  const leftover = memory.leftover.with((was?.kept ?? SlotSet.EMPTY).without(kept));
  const known = { entry: before, complete: memory.complete, markFrom };
  const complete = completeAfter(known, after, store, shard).without(leftover);
  const isGoingOn = before !== undefined && isSameChange(before, after);
  const feeds = feedsTo(after, store, shard);
  const places = new Set(feeds.map(({ from }) => placeKey(from)));
  const followed = before === undefined ? [] : feedsTo(before, store, shard);
  const isNew = ({ from }: Feed) => !followed.some((each) => placeKey(each.from) === placeKey(from));
  const lacking = (is?.wanted ?? SlotSet.EMPTY).without(complete);
  const lackedBefore = (was?.wanted ?? SlotSet.EMPTY).without(memory.complete);
  /** Of what a feed has come to bring just now, its position says nothing. What it was bringing already goes on. */
  const mustCopy = ({ from, slots, start }: Feed) => {
    if (start !== 'copy') return false;
    const same = followed.find((each) => each.start === 'copy' && placeKey(each.from) === placeKey(from));
    const brought = same === undefined ? SlotSet.EMPTY : same.slots.within(lackedBefore);
    return !brought.includes(slots.within(lacking));
  };
  const anew = feeds
    .filter((feed) => isNew(feed) || mustCopy(feed))
    .map(({ from }) => feedId(from, shard, after.change?.id));
  return {
    complete,
    leftover,
    marks: isGoingOn ? memory.marks : [],
    read: new Map([...memory.read].filter(([place]) => places.has(place))),
    anew: [...new Set([...memory.anew, ...anew])],
  };
}

export function withMark(memory: CopyMemory, mark: OwnMark): CopyMemory {
  return { ...memory, marks: [...memory.marks, mark].slice(-MARKS_MAX) };
}

export function dutyOf(entry: KeyspaceEntry, store: string, shard: number): ShardDuty | undefined {
  return dutiesIn(entry, store).shards.find((each) => each.shard === shard);
}

/** The feeds of which a copy is the target. */
export function feedsTo(entry: KeyspaceEntry, store: string, shard: number): Feed[] {
  return dutiesIn(entry, store).feeds.filter(({ to }) => to.shard === shard);
}

/** @param shards of the keyspace as it is now: a set that is the share of one is short on the disk */
export function toCopyRecord(memory: CopyMemory, shards: number, shard: number): CopyRecord {
  const { complete, leftover, marks, read, anew } = memory;
  return {
    complete: toText(complete, shards, shard),
    leftover: toText(leftover, shards, shard),
    marks,
    read: Object.fromEntries(read),
    anew,
  };
}

export function fromCopyRecord({ complete, leftover, marks, read, anew }: CopyRecord): CopyMemory {
  return {
    complete: fromText(complete),
    leftover: fromText(leftover),
    marks,
    read: new Map(Object.entries(read)),
    anew,
  };
}

/** Nothing for no slot, `shard/shards` for the share of a shard, or else the set in base64. */
function toText(slots: SlotSet, shards: number, shard: number): string {
  if (slots.isEmpty) return '';
  if (shard < shards && slots.equals(slotsOfShard(shards, shard))) return `${shard}/${shards}`;
  return `=${Buffer.from(slots.toBytes()).toString('base64')}`;
}

function fromText(text: string): SlotSet {
  if (text === '') return SlotSet.EMPTY;
  if (text.startsWith('=')) return SlotSet.fromBytes(Buffer.from(text.slice(1), 'base64'));
  const [shard, shards] = text.split('/').map(Number);
  return slotsOfShard(shards!, shard!);
}
