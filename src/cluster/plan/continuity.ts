import { SlotSet, slotsOfShard } from '../slot-set.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import { dutiesIn } from './duties.js';
import type { CopyPlace } from './feeds.js';

/*
 * What a copy may still believe of itself when its store hears of another entry: it may have been away through any
 * number of changes, and slots may have left it and come back.
 */

/** What a copy remembers. */
export interface CopyMemory {
  /** The entry that was in force here; undefined when there was none. */
  readonly entry: KeyspaceEntry | undefined;
  /** The slots of which it had everything. */
  readonly complete: SlotSet;
  /** The latest mark in the log of another copy up to which it has everything; 0 = none. */
  readonly markFrom: (from: CopyPlace) => number;
}

/**
 * The slots that a copy has complete once another entry is in force. The others it gets anew, by its feeds, from whoever
 * is complete.
 *
 * - If the shard has been through a takeover of which the store has not heard, nothing counts.
 * - If a copy is not followed any more, and its log was not read to the mark at its end, its slots do not count: what
 *   was written there last came to others by the same log, and is not in theirs. The owner's count all the same: what it
 *   has not read by then has been given up, and there is nobody else to get them from.
 *   At the takeover a former holder keeps what it had of slots that others have now: they follow all former holders.
 * - What was filled for a change counts for that change alone: it is followed no further, and so grows old, when that
 *   is over. So does what a former holder still has of slots that others have got: these may have come back since.
 */
export function completeAfter(
  { entry: before, complete, markFrom }: CopyMemory,
  after: KeyspaceEntry,
  store: string,
  shard: number,
): SlotSet {
  const duties = dutiesIn(after, store);
  const duty = duties.shards.find((each) => each.shard === shard);
  if (duty === undefined || before === undefined || !isContinued(before, after, store, shard))
    return SlotSet.EMPTY;
  const since = before.change !== undefined && 'former' in before.change ? before.change.since : Infinity;
  const isOwner = after.shards[shard]?.stores[0] === store;
  const awaited = dutiesIn(before, store).shards.find((each) => each.shard === shard)?.awaited ?? [];
  const phase = after.change?.phase;
  let left = complete;
  for (const { from, to, slots } of dutiesIn(before, store).feeds) {
    // One that was to be filled has taken no writes.
    if (to.shard !== shard || markFrom(from) >= since || !hasHeld(before, from)) continue;
    if (isOwner && !awaited.some((each) => isPlace(each, from))) continue;
    const isFollowed = duties.feeds.some((feed) => feed.to.shard === shard && isPlace(feed.from, from));
    if (!isFollowed) left = left.without(phase === 'takeover' ? slots.within(duty.wanted) : slots);
  }
  const isGoingOn = isSameChange(before, after);
  if (!isGoingOn) left = left.within(slotsHeld(before, store, shard));
  if (phase === 'takeover') return left.within(duty.kept);
  return left.within(isGoingOn ? duty.wanted : duty.slots);
}

/** The slots that a store had of a shard, those that others have got or are to get left out. */
function slotsHeld({ shards, change }: KeyspaceEntry, store: string, shard: number): SlotSet {
  if (isHolder(shards[shard], store)) return slotsOfShard(shards.length, shard);
  const former = change !== undefined && 'former' in change ? change.former : [];
  return isHolder(former[shard], store) ? slotsOfShard(former.length, shard) : SlotSet.EMPTY;
}

/** Whether what was filled for a change, and the positions that go with it, are still of use. */
export function isSameChange(before: KeyspaceEntry, after: KeyspaceEntry): boolean {
  return before.change !== undefined && before.change.id === after.change?.id;
}

/** Whether no takeover of the shard has been missed. */
function isContinued(before: KeyspaceEntry, after: KeyspaceEntry, store: string, shard: number): boolean {
  const now = [after.shards[shard], formerIn(after, shard)];
  const then = [before.shards[shard], formerIn(before, shard)];
  if (then.some((was) => now.some((is) => isSame(was, is, store)))) return true;
  // It was being filled, and belongs to the shard now.
  const { change } = before;
  return (
    change !== undefined &&
    'target' in change &&
    isSameChange(before, after) &&
    isHolder(change.target[shard], store)
  );
}

function formerIn({ change }: KeyspaceEntry, shard: number): ShardEntry | undefined {
  return change !== undefined && 'former' in change ? change.former[shard] : undefined;
}

function isSame(was: ShardEntry | undefined, is: ShardEntry | undefined, store: string): boolean {
  return isHolder(was, store) && isHolder(is, store) && was!.since === is!.since;
}

function isHolder(shard: ShardEntry | undefined, store: string): boolean {
  return shard?.stores.includes(store) === true;
}

/** Whether a copy may have taken writes. */
function hasHeld(entry: KeyspaceEntry, { store, shard }: CopyPlace): boolean {
  return isHolder(entry.shards[shard], store) || isHolder(formerIn(entry, shard), store);
}

function isPlace(one: CopyPlace, other: CopyPlace): boolean {
  return one.store === other.store && one.shard === other.shard;
}
