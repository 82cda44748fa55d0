import { Buffer } from 'node:buffer';
import { unixMsOf } from '../base/clock.js';
import { FEED_APPLY_MS, FEED_APPLY_ROWS, FEEDS_PER_SHARD_MAX } from '../base/limits.js';
import {
  ElementsKind,
  eachFeedEntry,
  eachRecord,
  eachRecordEntry,
  type FeedElements,
  type FeedEntry,
  FeedFormatError,
  type FeedSlots,
  flushSlots,
  flushTimestamp,
  hasSlot,
} from '../types/feed-codec.js';
import { excessDriftMs, removalHorizon } from '../types/feed-rules.js';
import { FlushSet, includesSlots } from '../types/flush-set.js';
import { RowFormatError } from '../types/row-codec.js';
import { keySlot } from '../types/slots.js';
import { keysBetween, onlyKey, parseCursor } from './feed-cursor.js';
import type { Applied, CopyBegin, CopySlice, FeedPosition, LogChunk, Refusal } from './feed-protocol.js';
import { scanRows } from './feed-scan.js';
import { beginReplication } from './feed-source.js';
import { hasAll } from './replication.js';
import { type Feed, type FeedRecord, isSamePlace } from './replication-meta.js';
import { KeyWantedError, RowApplier, type StoredRow } from './row-applier.js';
import type { Shard } from './shard.js';
import { WritesRefusedError } from './shard-steps.js';
import { removeSlice } from './slot-removal.js';

/**
 * Does `work` between two batches of commands and, when it returns, commits what it staged. Other work, and commands,
 * run between two such steps.
 */
export type Step = <T>(work: () => T | Promise<T>) => Promise<T>;

/** Thrown for what is refused, see Refusal. */
class RefusedError extends Error {
  constructor(
    readonly refused: Refusal['refused'],
    message: string,
  ) {
    super(message);
  }
}

/** What a log says of a flush. */
interface FlushRecord {
  readonly at: number;
  /** undefined = an earlier version wrote it: all that the feed is about. */
  readonly slots: FeedSlots | undefined;
}

const NOTHING: Applied = { applied: 0, skipped: 0, removed: 0 };

/**
 * A shard as the target of one feed.
 *
 * What arrives is applied in steps, and only the last one moves the feed's position, in one batch with its rows. Should
 * it end before, the whole is applied again: rows that are there already are skipped.
 */
export class FeedTarget {
  constructor(
    private readonly shard: Shard,
    private readonly id: string,
    private readonly step: Step,
  ) {}

  /** Notes that a copy begins, see ShardFeeds. */
  begin(begin: CopyBegin, slots: FeedSlots | undefined): Promise<Refusal | undefined> {
    return orRefusal(async () => {
      await this.step(() => this.noteBegin(begin, slots));
      await this.removeEnded();
      return undefined;
    });
  }

  private noteBegin(begin: CopyBegin, slots: FeedSlots | undefined): void {
    const { shard, id } = this;
    const { replication, environment } = shard;
    const known = replication.feed(id);
    this.giveUpBuilding(known);
    if (known === undefined && replication.feedCount >= FEEDS_PER_SHARD_MAX)
      throw new Error(`shard ${shard.id} is the target of ${FEEDS_PER_SHARD_MAX} feeds already`);
    beginReplication(shard);
    // What was told of flushes is remembered: who goes on with this copy is not told again.
    const { flushes: _, flushedAt: __, ...from } = begin;
    const told = toldOf(begin, slots ?? replication.own);
    environment.clock.observe(told.latest);
    replication.remember(told, shard.nowMs);
    const { log } = replication;
    const unsent = log.isOn ? log.oldestTimestamp : Number.POSITIVE_INFINITY;
    const record: FeedRecord = {
      begin: from,
      after: undefined,
      hadAll: known !== undefined && hasAll(known.record),
      lostUntil: known === undefined ? 0 : lostUntil(known.record, begin.log),
      position: undefined,
      building: undefined,
      missing: undefined,
      rows: 0,
      bytes: 0,
      // What a first copy does not bring was never here, or somebody else has brought it.
      removeBefore: known === undefined ? 0 : removalHorizon(begin.rememberedSince, unsent),
      newest: replication.newest,
    };
    replication.setFeed(id, { record, slots });
  }

  /** Notes of which slots the feed is from now on, see ShardFeeds. */
  resume(slots: FeedSlots | undefined): Promise<Refusal | undefined> {
    return orRefusal(() =>
      this.step(() => {
        const { record, slots: before } = this.known();
        if (isSameSlots(before, slots)) return undefined;
        this.shard.replication.setFeed(this.id, { record, slots });
        return undefined;
      }),
    );
  }

  // ---------------------------------------------------------------- copying

  /** Applies a slice, see ShardFeeds. */
  applyCopy(slice: CopySlice): Promise<Applied | Refusal> {
    return orRefusal(async () => {
      const feed = this.known();
      const { begin, after } = feed.record;
      if (begin === undefined || (after !== undefined && slice.last === after)) return NOTHING;
      if (slice.after !== after)
        throw new RefusedError(
          'position',
          `the copy of feed ${this.id} goes on behind ${place(after)}, not ${place(slice.after)}`,
        );
      const rows: FeedEntry[] = [];
      eachFeedEntry(bufferOf(slice.rows), 0, (entry) => rows.push(entry));
      await this.checkClock(rows);
      // The process may have ended in the middle of that when the copy began.
      await this.removeEnded();
      const { log } = this.shard.replication;
      const loggedBefore = log.last;
      const removed = await this.removeMissing(feed, slice, rows);
      await this.passOnLost(feed, slice, rows);
      const moved = this.movedFrom(feed.record, (record) => movedBy(record, begin, slice, rows.length));
      const [first] = rows;
      const counts = isPiece(first?.elements)
        ? await this.applyPiece(first!, first!.elements!, moved)
        : await this.applyRows(rows, moved);
      return { ...counts, removed, ...(log.last > loggedBefore && { logged: log.last }) };
    });
  }

  /** Removes what the range of a slice has here and the source has not any more. */
  private async removeMissing(feed: Feed, slice: CopySlice, rows: readonly FeedEntry[]): Promise<number> {
    const { removeBefore } = feed.record;
    const range = keysBetween(slice.after, slice.last);
    if (removeBefore === 0 || range === undefined) return 0;
    const there = new Set(rows.map(({ name }) => name));
    return this.removeRange(
      range.from,
      range.until,
      feed.slots,
      (key, timestamp) => timestamp < removeBefore && !there.has(key.latin1Slice()),
    );
  }

  /**
   * Has others get what the source has lost of the range of a slice. It came by a feed, so it is in no log, and they may
   * have begun to follow the source when it had lost it.
   */
  private async passOnLost(feed: Feed, slice: CopySlice, rows: readonly FeedEntry[]): Promise<void> {
    const { shard } = this;
    const { lostUntil = 0 } = feed.record;
    const range = keysBetween(slice.after, slice.last);
    if (lostUntil === 0 || range === undefined) return;
    const sent = new Map(rows.map((row) => [row.name, row]));
    const applier = new RowApplier(shard);
    for (let after = range.from; ; ) {
      const { last, isDone } = await this.step(() => {
        const ahead: StoredRow[] = [];
        const scanned = scanRows(shard, after, range.until, feed.slots, (key, bytes, timestamp, name) => {
          if (timestamp <= lostUntil && applier.isAhead(key, bytes, sent.get(name)))
            ahead.push({ key: Buffer.from(key), bytes: Buffer.from(bytes) });
          return true;
        });
        shard.replication.passOn(ahead);
        return scanned;
      });
      if (isDone) return;
      after = last;
    }
  }

  /** Takes a piece of a large collection. Only with the last one is there a row that names it. */
  private async applyPiece(
    row: FeedEntry,
    elements: FeedElements,
    moved: (feed: Feed) => FeedRecord,
  ): Promise<Applied> {
    const { shard } = this;
    const { name: key, timestamp } = row;
    const applier = new RowApplier(shard);
    await this.step(() => {
      const feed = this.known();
      let { building } = feed.record;
      if (elements.kind === ElementsKind.First) {
        this.giveUpBuilding(feed);
        building = { key, version: shard.collections.newElements().version, timestamp };
      }
      if (building === undefined || building.key !== key || building.timestamp !== timestamp)
        throw new RefusedError(
          'position',
          `a piece of ${place(key)} that does not follow on what came before`,
        );
      applier.storeElements(building.version, elements);
      const isLast = elements.kind === ElementsKind.Last;
      if (isLast && !applier.applyBuilt(row, building.version)) shard.collections.dead.add(building.version);
      else if (isLast) this.passOn([row]);
      const now = building;
      this.setRecord((each) => ({ ...moved(each), building: isLast ? undefined : now }));
    });
    return { applied: applier.applied, skipped: applier.skipped, removed: 0 };
  }

  /** What was there of a collection that came piece by piece goes. */
  private giveUpBuilding(feed: Feed | undefined): void {
    const building = feed?.record.building;
    if (building !== undefined) this.shard.collections.dead.add(building.version);
  }

  /** Ends the feed; what it has brought stays. */
  end(): Promise<void> {
    const { replication } = this.shard;
    return this.step(() => {
      this.giveUpBuilding(replication.feed(this.id));
      replication.endFeed(this.id);
    });
  }

  /** Removes what flushes have ended, as far as that is not done. */
  private async removeEnded(): Promise<number> {
    const { replication } = this.shard;
    const ended = replication.flushes.uncleared;
    if (ended.latest === 0) return 0;
    const removed = await this.removeRange(undefined, undefined, undefined, (key, timestamp) =>
      ended.hasEnded(key, timestamp),
    );
    await this.step(() => replication.setCleared(ended));
    return removed;
  }

  private async removeRange(
    from: string | undefined,
    until: string | undefined,
    slots: FeedSlots | undefined,
    isOver: (key: Buffer, timestamp: number) => boolean,
  ): Promise<number> {
    let removed = 0;
    for (let after = from; ; ) {
      const { last, isDone, count } = await this.step(() =>
        removeSlice(this.shard, after, until, slots, isOver),
      );
      removed += count;
      if (isDone) return removed;
      after = last;
    }
  }

  // ---------------------------------------------------------------- following

  /** Applies records, see ShardFeeds. */
  applyRecords(chunk: LogChunk): Promise<Applied | Refusal> {
    return orRefusal(async () => {
      const before = this.known().record;
      const { position } = before;
      if (position === undefined)
        throw new RefusedError('position', `feed ${this.id} is being copied: records come after it`);
      const { after, last } = chunk;
      if (after.log !== position.log || last.log !== position.log || after.sequence > position.sequence)
        throw new RefusedError(
          'position',
          `feed ${this.id} is at ${position.sequence} of log ${position.log}: records behind ${after.sequence} of ${after.log} do not follow on it`,
        );
      if (last.sequence <= position.sequence) return NOTHING;
      const rows: FeedEntry[] = [];
      let flush: FlushRecord | undefined;
      eachRecord(bufferOf(chunk.records), (record) => {
        const timestamp = flushTimestamp(record);
        if (flush !== undefined || (timestamp !== undefined && rows.length > 0))
          throw new FeedFormatError('a flush that is not alone');
        if (timestamp === undefined) eachRecordEntry(record, (entry) => rows.push(entry));
        else flush = { at: timestamp, slots: flushSlots(record) };
      });
      const moved = this.movedFrom(before, (record) => ({ ...record, position: last, missing: undefined }));
      if (flush !== undefined) return this.applyFlush(flush, moved);
      await this.checkClock(rows);
      try {
        return await this.applyRows(rows, moved, true);
      } catch (error) {
        if (!(error instanceof KeyWantedError)) throw error;
        await this.copyFirst(error.key, position);
        throw new RefusedError('copy', error.message);
      }
    });
  }

  /** Has the copy of one key come first, and the records behind a position once more after it. */
  private copyFirst(key: string, position: FeedPosition): Promise<void> {
    const begin: CopyBegin = { ...position, rememberedSince: 0, flushedAt: 0 };
    return this.step(() =>
      this.setRecord(({ record }) => ({
        ...record,
        begin,
        hadAll: true,
        position: undefined,
        after: onlyKey(key),
        removeBefore: 0,
        missing: undefined,
      })),
    );
  }

  private async applyFlush(flush: FlushRecord, moved: (feed: Feed) => FeedRecord): Promise<Applied> {
    const { shard } = this;
    const { replication, environment, hidden } = shard;
    const { at } = flush;
    const isOver = await this.step(async () => {
      this.checkTimestamp(at);
      environment.clock.observe(at);
      const feed = this.known();
      const slots = flush.slots ?? feed.slots ?? replication.own;
      const isKnown = replication.flushes.hasCleared(at, slots);
      const isWhole = feed.slots === undefined && !hidden.areKept && includesSlots(slots, replication.own);
      // Nothing here is later: a fresh instance is all that is left, as at the source.
      const isFresh = !isKnown && isWhole && at >= replication.newest;
      if (isFresh) {
        await shard.prepareFlush();
        shard.flush(at);
      }
      // From now on nothing so old is taken in. What is here of it goes step by step.
      else if (!isKnown) replication.remember(FlushSet.of(at, slots), shard.nowMs);
      if (isKnown || isFresh) this.setRecord(moved);
      return isKnown || isFresh;
    });
    if (isOver) return NOTHING;
    const removed = await this.removeEnded();
    await this.step(() => this.setRecord(moved));
    return { ...NOTHING, removed };
  }

  // ---------------------------------------------------------------- both

  private known(): Feed {
    const feed = this.shard.replication.feed(this.id);
    if (feed === undefined)
      throw new RefusedError('position', `shard ${this.shard.id} knows no feed ${this.id}: copy first`);
    return feed;
  }

  private setRecord(moved: (feed: Feed) => FeedRecord): void {
    const { replication } = this.shard;
    const feed = this.known();
    replication.setFeed(this.id, { ...feed, record: { ...moved(feed), newest: replication.newest } });
  }

  /** Where the feed is after what is being applied, unless it has begun anew meanwhile: what is left of before is over. */
  private movedFrom(before: FeedRecord, moved: (record: FeedRecord) => FeedRecord) {
    return ({ record }: Feed): FeedRecord => {
      if (isSamePlace(record, before)) return moved(record);
      throw new RefusedError('position', `feed ${this.id} has begun anew meanwhile, or gone on`);
    };
  }

  /** @param stays whether the rows are to be in memory afterwards: then a step takes as many as its time allows */
  private async applyRows(
    rows: readonly FeedEntry[],
    moved: (feed: Feed) => FeedRecord,
    stays = false,
  ): Promise<Applied> {
    let [applied, skipped] = [0, 0];
    let from = 0;
    do {
      await this.step(() => {
        const applier = new RowApplier(this.shard, this.known().record.missing);
        const endMs = performance.now() + (stays ? FEED_APPLY_MS : 0);
        do {
          const part = rows.slice(from, from + FEED_APPLY_ROWS);
          from += FEED_APPLY_ROWS;
          if (part.length > 0) this.passOn(applier.apply(part, stays));
        } while (from < rows.length && performance.now() < endMs);
        const { environment, replication } = this.shard;
        environment.clock.observe(replication.newest);
        // The last step tells of the timestamps of all, but may not come.
        if (from >= rows.length) this.setRecord(moved);
        else replication.sawUnlogged();
        applied += applier.applied;
        skipped += applier.skipped;
      });
    } while (from < rows.length);
    return { applied, skipped, removed: 0 };
  }

  /** Has others get what comes back of what the machine lost. */
  private passOn(winners: readonly FeedEntry[]): void {
    const { replication } = this.shard;
    if (!replication.isRecovering(this.id)) return;
    // What comes of other slots than those that the feed is about is only being gathered here.
    const { slots } = this.known();
    replication.passOn(winners.filter(({ key }) => slots === undefined || hasSlot(slots, keySlot(key))));
  }

  private checkClock(rows: readonly FeedEntry[]): Promise<void> {
    let newest = 0;
    for (const row of rows) newest = Math.max(newest, row.timestamp);
    return this.step(() => this.checkTimestamp(newest));
  }

  /** @throws RefusedError for one that is too far ahead of this store's clock */
  private checkTimestamp(timestamp: number): void {
    const { nowMs, environment } = this.shard;
    const { feedDriftMaxMs } = environment.knobs;
    if (excessDriftMs(timestamp, nowMs, feedDriftMaxMs) === 0) return;
    throw new RefusedError(
      'clock',
      `feed ${this.id} brought a write from ${unixMsOf(timestamp) - nowMs} ms in the future, more than feed-clock-drift-max-ms (${feedDriftMaxMs}) allows: compare the clocks of both stores`,
    );
  }
}

/**
 * What a source knows of flushes.
 * @param slots those that it is about if an earlier version says it, which does not tell
 */
function toldOf({ flushes, flushedAt = 0 }: CopyBegin, slots: FeedSlots | undefined): FlushSet {
  return flushes === undefined ? FlushSet.of(flushedAt, slots) : FlushSet.fromBytes(flushes);
}

async function orRefusal<T>(work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RefusedError) return { refused: error.refused, message: error.message };
    if (error instanceof FeedFormatError || error instanceof RowFormatError)
      return { refused: 'format', message: error.message };
    if (error instanceof WritesRefusedError)
      return { refused: 'disk', message: error.refusal.text.replace(/^MISCONF /, '') };
    throw error;
  }
}

function place(cursor: string | undefined): string {
  return cursor === undefined ? 'nothing' : JSON.stringify(cursor.slice(0, 100));
}

/**
 * Up to which timestamp a shard may have rows of a source that this has lost: its log began anew. Later ones did not come
 * by the feed. 0 = none.
 */
function lostUntil({ begin, position, newest, lostUntil = 0 }: FeedRecord, log: string): number {
  return (position ?? begin)?.log === log ? lostUntil : newest;
}

function isPiece(elements: FeedElements | undefined): boolean {
  const kind = elements?.kind;
  return kind === ElementsKind.First || kind === ElementsKind.Middle || kind === ElementsKind.Last;
}

/** Where a feed is after a slice. */
function movedBy(record: FeedRecord, begin: CopyBegin, slice: CopySlice, rowCount: number): FeedRecord {
  const arrived = { rows: record.rows + rowCount, bytes: record.bytes + slice.rows.length };
  if (!slice.isDone) return { ...record, ...arrived, after: slice.last };
  const { log, sequence } = begin;
  const cursor = parseCursor(slice.after);
  // A key that was wanted by itself and is not there any more is not to be wanted again.
  const missing = cursor.kind === 'only' && rowCount === 0 ? cursor.key : undefined;
  const position = { log, sequence };
  return { ...record, ...arrived, begin: undefined, after: undefined, lostUntil: 0, position, missing };
}

function isSameSlots(one: FeedSlots | undefined, other: FeedSlots | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return bufferOf(one).equals(other);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
