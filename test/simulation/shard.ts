import { Buffer } from 'node:buffer';
import { type HybridClock, timestampOf, unixMsOf } from '../../src/base/clock.js';
import type { CopyBegin, CopySlice, FeedPosition, LogChunk } from '../../src/types/feed.js';
import { ALL_SLOTS, type FeedSlots, hasSlot } from '../../src/types/feed-codec.js';
import { rememberedSince, removalHorizon } from '../../src/types/feed-rules.js';
import { FlushSet, includesSlots } from '../../src/types/flush-set.js';
import type {
  Applied,
  FeedProgress,
  FeedState,
  LogGone,
  LogState,
  Refusal,
  SlotsRemoval,
} from '../../src/workers/feed-protocol.js';
import {
  type Disk,
  isFlush,
  isFlushed,
  type StoredFeed,
  type StoredFlush,
  type StoredRecord,
  type StoredRow,
  type StoredShard,
} from './disk.js';
import type { Write } from './ledger.js';

/** Deletions are remembered for longer than any simulation lasts. */
const RETENTION_MS = 86_400_000;
const DRIFT_MAX_MS = 60_000;
/** Rows of a slice, records of a chunk, and rows that are removed in one step. */
const BATCH_ROWS = 6;

const NOTHING: Applied = { applied: 0, skipped: 0, removed: 0 };

/** Rows and records on their way: the values themselves stand for their bytes. */
class RowBytes extends Uint8Array {
  constructor(readonly records: readonly StoredRecord[]) {
    super(records.length * 32);
  }
}

function recordsOf(bytes: Uint8Array): readonly StoredRecord[] {
  // The copy of nothing has none.
  return bytes.length === 0 ? [] : (bytes as RowBytes).records;
}

function rowsOf(bytes: Uint8Array): readonly StoredRow[] {
  return recordsOf(bytes).filter((record): record is StoredRow => !isFlush(record));
}

const timeOf = (record: StoredRecord) => (isFlush(record) ? record.flushedAt : record.at);

const isIn = (slots: FeedSlots | undefined, slot: number) => slots === undefined || hasSlot(slots, slot);

/**
 * A shard that a worker has open: what workers/shard.ts and its feeds do, by the rules of docs/design/0011-feeds.md, with
 * maps in place of RocksDB. What it changes is written at once.
 */
export class SimulatedShard {
  /** Rows of slots that commands do not see have to stay: nothing is flushed. */
  keepsOthers = false;
  /** The slots that are the shard's; undefined = all. */
  own: FeedSlots | undefined;

  constructor(
    private readonly disk: Disk,
    private readonly path: string,
    private readonly clock: HybridClock,
    private readonly now: () => number,
  ) {
    const { stored } = this;
    if (stored.machine === '' || stored.machine === disk.machine) return;
    // The machine went down: what was lost others may have, under numbers that would be used again.
    if (stored.log !== undefined) {
      this.beginLog(stored.log.sinceMs, this.now());
      for (const [id, { position }] of stored.feeds) if (position !== undefined) stored.recovering.add(id);
    }
    stored.feeds.clear();
    this.changed();
  }

  get stored(): StoredShard {
    return this.disk.directory(this.path).written;
  }

  private changed(): void {
    const directory = this.disk.directory(this.path);
    directory.isDirty = true;
    const { stored } = this;
    if (stored.keepsTombstones) stored.machine = this.disk.machine;
  }

  // ---------------------------------------------------------------- commands

  read(key: string): StoredRow | undefined {
    const row = this.stored.rows.get(key);
    return row?.isTombstone === true ? undefined : row;
  }

  /** What a client does. @returns the row that there is then; undefined = what has a later time than the write's own holds */
  write({ key, id, isDeletion, ttlMs, eventTimeMs }: Write, slot: number): StoredRow | undefined {
    const { stored } = this;
    this.sweep();
    const held = Math.max(stored.rows.get(key)?.at ?? 0, stored.flushes.at(slot));
    const at =
      eventTimeMs === undefined ? this.clock.next(this.now(), held) : this.timeOfEvent(eventTimeMs, held);
    if (at === undefined) return undefined;
    if (eventTimeMs !== undefined) stored.keepsTombstones = true;
    const expiresAtMs = ttlMs === 0 ? 0 : this.now() + ttlMs;
    const row: StoredRow = { key, slot, at, write: id, isTombstone: isDeletion, expiresAtMs };
    if (isDeletion && !stored.keepsTombstones) stored.rows.delete(key);
    else stored.rows.set(key, row);
    stored.newest = Math.max(stored.newest, at);
    stored.log?.records.push(row);
    this.changed();
    return row;
  }

  private timeOfEvent(eventTimeMs: number, held: number): number | undefined {
    let at = timestampOf(eventTimeMs);
    // Where nobody else has the row the worker lets both have one time; here they are to be told apart.
    if (at === held || (this.isActive && unixMsOf(held) === eventTimeMs)) at = held + 1;
    if (at < held) return undefined;
    this.clock.observe(at);
    return at;
  }

  /** Whether others have, or bring, what is here. */
  private get isActive(): boolean {
    return this.stored.log !== undefined || this.stored.feeds.size > 0;
  }

  /**
   * What a client's FLUSHDB does.
   * @returns its timestamp, 0 where nobody has to know; undefined = it is refused
   */
  flush(): number | undefined {
    if (this.keepsOthers) return undefined;
    const at = this.isActive ? this.clock.next(this.now(), this.stored.newest) : 0;
    this.empty(at);
    return at;
  }

  /** Begins a fresh generation, which is on the disk when it counts. */
  private empty(at: number): void {
    const { stored } = this;
    const { log } = stored;
    stored.rows.clear();
    stored.flushes = stored.flushes.with(at, this.own, true);
    stored.newest = Math.max(stored.newest, at);
    if (log !== undefined) {
      log.first = this.sequence + 1;
      log.overrun = undefined;
      log.records.splice(0, log.records.length, { flushedAt: at, slots: this.own ?? ALL_SLOTS });
    }
    this.changed();
    this.disk.syncDirectory(this.path);
  }

  /** What has ended becomes a tombstone of the same time, here as everywhere. */
  private sweep(): void {
    const { rows, keepsTombstones } = this.stored;
    for (const [key, row] of rows) {
      if (row.isTombstone || row.expiresAtMs === 0 || row.expiresAtMs > this.now()) continue;
      if (keepsTombstones) rows.set(key, { ...row, isTombstone: true });
      else rows.delete(key);
      this.changed();
    }
  }

  get sequence(): number {
    const { log } = this.stored;
    return log === undefined ? 0 : log.first + log.records.length - 1;
  }

  // ---------------------------------------------------------------- at the source

  setLogging(on: boolean): LogState | undefined {
    const { stored } = this;
    if (on && stored.log === undefined) {
      this.beginReplication();
      this.beginLog(this.now(), 0);
      this.changed();
      // Nobody hears of it before it is safe.
      this.disk.syncDirectory(this.path);
    } else if (!on && stored.log !== undefined) {
      stored.log = undefined;
      this.changed();
    }
    return this.logState();
  }

  private beginReplication(): void {
    const { stored } = this;
    stored.keepsTombstones = true;
    // Until now nobody has kept account of the latest time.
    if (!this.isActive) stored.newest = Math.max(stored.newest, this.clock.latest, timestampOf(this.now()));
  }

  private beginLog(sinceMs: number, lostMs: number): void {
    const first = this.sequence + 1;
    const id = `${this.disk.name}-log-${++this.disk.logs}`;
    this.stored.log = { id, sinceMs, lostMs, first, records: [], overrun: undefined };
  }

  private logState(): LogState | undefined {
    const { log, feeds } = this.stored;
    if (log === undefined) return undefined;
    const isIncomplete = [...feeds.values()].some(({ position }) => position === undefined);
    const isUnsure = isIncomplete || (log.lostMs !== 0 && this.now() - log.lostMs < RETENTION_MS);
    return {
      log: log.id,
      sequence: this.sequence,
      firstSequence: log.first,
      bytes: log.records.length * 32,
      flushes: this.stored.flushes.toBytes(),
      lostMs: log.lostMs,
      rememberedSince: isUnsure ? 0 : rememberedSince(log.sinceMs, this.now(), RETENTION_MS, DRIFT_MAX_MS),
    };
  }

  state(): FeedState {
    const feeds = [...this.stored.feeds].map(([id, feed]) => [id, progressOf(feed)] as const);
    return { log: this.logState(), feeds: Object.fromEntries(feeds) };
  }

  readLog(after: FeedPosition, slots: FeedSlots | undefined): LogChunk | LogGone {
    const { log } = this.stored;
    if (log === undefined || log.id !== after.log) return { gone: true };
    if (after.sequence > this.sequence) return { gone: true };
    let { sequence } = after;
    if (sequence < log.first - 1) {
      // What a flush removed nobody needs any more.
      const [first] = log.records;
      if (first === undefined || !isFlush(first)) return { gone: true };
      sequence = log.first - 1;
    }
    const from = sequence + 1 - log.first;
    let records = log.records.slice(from, from + BATCH_ROWS);
    const flushAt = records.findIndex(isFlush);
    if (flushAt >= 0) records = records.slice(0, Math.max(1, flushAt));
    const last = { log: log.id, sequence: sequence + records.length };
    const wanted = records.filter((record) => isFlush(record) || isIn(slots, record.slot));
    return { after, records: new RowBytes(wanted), last };
  }

  trimLog(through: number): void {
    const { log } = this.stored;
    this.sweep();
    if (log === undefined) return;
    const gone = Math.min(log.records.length, through - log.first + 1);
    if (gone <= 0) return;
    log.records.splice(0, gone);
    log.first += gone;
    if (log.overrun !== undefined && log.overrun.sequence <= through) log.overrun = undefined;
    this.changed();
  }

  /** Records go for which there is no room, whoever may need them. */
  overrun(): void {
    const { log } = this.stored;
    if (log === undefined || log.records.length === 0) return;
    const at = Math.min(log.overrun?.at ?? Number.POSITIVE_INFINITY, ...log.records.map(timeOf));
    log.overrun = { sequence: this.sequence, at };
    log.first = this.sequence + 1;
    log.records.length = 0;
    this.changed();
  }

  copySlice(after: string | undefined, slots: FeedSlots | undefined): CopySlice {
    const keys = this.keysBehind(after);
    const piece = keys.slice(0, BATCH_ROWS);
    const isDone = piece.length === keys.length;
    const rows = piece
      .map((key) => this.stored.rows.get(key)!)
      .filter(({ slot, at }) => isIn(slots, slot) && !isFlushed(this.stored, slot, at));
    const last = isDone ? undefined : piece.at(-1);
    return { after, last, rows: new RowBytes(rows), rowCount: rows.length, isDone };
  }

  private keysBehind(after: string | undefined): string[] {
    const keys = [...this.stored.rows.keys()].sort();
    return after === undefined ? keys : keys.filter((key) => key > after);
  }

  // ---------------------------------------------------------------- at the target

  beginCopy(id: string, begin: CopyBegin, slots: FeedSlots | undefined): void {
    const { stored } = this;
    const known = stored.feeds.get(id);
    this.beginReplication();
    const { flushes = new Uint8Array(), ...from } = begin;
    const told = FlushSet.fromBytes(flushes);
    this.clock.observe(told.latest);
    stored.flushes = stored.flushes.merged(told);
    stored.newest = Math.max(stored.newest, told.latest);
    // A first copy removes nothing: what it does not bring was never here, or somebody else has brought it.
    const removeBefore = known === undefined ? 0 : removalHorizon(begin.rememberedSince, this.oldestUnsent());
    this.setFeed(id, {
      slots,
      begin: from,
      after: undefined,
      position: undefined,
      rows: 0,
      removeBefore,
      lostUntil: known === undefined ? 0 : lostUntil(known, begin.log),
    });
  }

  private setFeed(id: string, feed: Omit<StoredFeed, 'newest'>): void {
    const { feeds, newest } = this.stored;
    feeds.set(id, { ...feed, newest });
    this.changed();
  }

  resumeFeed(id: string, slots: FeedSlots | undefined): void {
    const feed = this.stored.feeds.get(id);
    if (feed === undefined) throw new Error(`there is no feed ${id} to go on with`);
    if (isSameSlots(feed.slots, slots)) return;
    this.setFeed(id, { ...feed, slots });
  }

  private oldestUnsent(): number {
    const { log } = this.stored;
    if (log === undefined) return Number.POSITIVE_INFINITY;
    return Math.min(log.overrun?.at ?? Number.POSITIVE_INFINITY, ...log.records.map(timeOf));
  }

  applyCopy(id: string, slice: CopySlice): Applied | Refusal {
    const feed = this.stored.feeds.get(id);
    if (feed === undefined) return { refused: 'position', message: `no feed ${id}: copy first` };
    if (feed.begin === undefined || (feed.after !== undefined && slice.last === feed.after)) return NOTHING;
    if (slice.after !== feed.after) return { refused: 'position', message: 'the copy is elsewhere' };
    this.removeMissing(feed, slice);
    const loggedBefore = this.sequence;
    this.passOnLost(feed, slice);
    for (const row of rowsOf(slice.rows))
      if (this.take(row) && this.stored.recovering.has(id) && isIn(feed.slots, row.slot))
        this.stored.log?.records.push(row);
    if (slice.isDone) this.stored.recovering.delete(id);
    const rows = feed.rows + slice.rowCount;
    const { log, sequence } = feed.begin;
    const next: StoredFeed = slice.isDone
      ? { ...feed, rows, begin: undefined, after: undefined, position: { log, sequence }, lostUntil: 0 }
      : { ...feed, rows, after: slice.last };
    this.setFeed(id, next);
    return { ...NOTHING, ...(this.sequence > loggedBefore && { logged: this.sequence }) };
  }

  private removeMissing(feed: StoredFeed, slice: CopySlice): void {
    const there = new Set(rowsOf(slice.rows).map(({ key }) => key));
    for (const { key, at } of this.rowsAt(feed, slice))
      if (at < feed.removeBefore && !there.has(key)) this.stored.rows.delete(key);
  }

  /** Removes what flushes have ended, as far as that is not done. */
  removeEnded(): void {
    const { stored } = this;
    const ended = stored.flushes.uncleared;
    if (ended.latest === 0) return;
    for (const { key, slot, at } of [...stored.rows.values()])
      if (at <= ended.at(slot)) stored.rows.delete(key);
    stored.flushes = stored.flushes.cleared(ended);
    this.changed();
  }

  /** What the source has lost others get from here. */
  private passOnLost(feed: StoredFeed, slice: CopySlice): void {
    const sent = new Map(rowsOf(slice.rows).map((row) => [row.key, row]));
    for (const row of this.rowsAt(feed, slice)) {
      const other = sent.get(row.key);
      if (row.at <= feed.lostUntil && (other === undefined || isLater(row, other)))
        this.stored.log?.records.push(row);
    }
  }

  /** What is here of what a slice has all of. */
  private rowsAt({ slots }: StoredFeed, { after, last }: CopySlice): StoredRow[] {
    return this.keysBehind(after)
      .filter((key) => last === undefined || key <= last)
      .map((key) => this.stored.rows.get(key)!)
      .filter(({ slot }) => isIn(slots, slot));
  }

  /** @returns why nothing of it is applied */
  refusalOf(id: string, { after, last }: LogChunk): Refusal | undefined {
    const position = this.stored.feeds.get(id)?.position;
    const isNext =
      position !== undefined &&
      after.log === position.log &&
      last.log === position.log &&
      after.sequence <= position.sequence;
    return isNext ? undefined : { refused: 'position', message: `feed ${id} is elsewhere` };
  }

  /** A part of the rows of a chunk; the last one moves the position. */
  applyRecords(id: string, { records, last }: LogChunk, from: number, isLast: boolean): void {
    const feed = this.stored.feeds.get(id);
    if (feed?.position === undefined || last.sequence <= feed.position.sequence) return;
    const [first] = recordsOf(records);
    if (first !== undefined && isFlush(first)) {
      this.applyFlush(id, feed, first, last, isLast);
      return;
    }
    for (const row of rowsOf(records).slice(from, isLast ? undefined : from + 1)) this.take(row);
    if (isLast) this.setFeed(id, { ...feed, position: last });
    this.changed();
  }

  /** What a flush removed goes here, too: at once, where nothing is later, or in two parts. */
  private applyFlush(
    id: string,
    feed: StoredFeed,
    { flushedAt: at, slots }: StoredFlush,
    last: FeedPosition,
    isLast: boolean,
  ): void {
    const { stored, own } = this;
    const isWhole = feed.slots === undefined && !this.keepsOthers && includesSlots(slots, own);
    this.clock.observe(at);
    if (stored.flushes.hasCleared(at, slots)) this.setFeed(id, { ...feed, position: last });
    else if (isWhole && at >= stored.newest) {
      this.setFeed(id, { ...feed, position: last });
      this.empty(at);
    } else if (!isLast) {
      stored.newest = Math.max(stored.newest, at);
      stored.flushes = stored.flushes.with(at, slots, false);
      this.changed();
    } else {
      this.removeEnded();
      this.setFeed(id, { ...feed, position: last });
    }
  }

  /** @returns whether it counts more than what there was */
  private take(row: StoredRow): boolean {
    this.clock.observe(row.at);
    if (isFlushed(this.stored, row.slot, row.at)) return false;
    const held = this.stored.rows.get(row.key);
    if (held !== undefined && !isLater(row, held)) return false;
    this.stored.rows.set(row.key, row);
    this.stored.newest = Math.max(this.stored.newest, row.at);
    return true;
  }

  forgetFeed(id: string): void {
    const { feeds, recovering } = this.stored;
    if ([feeds.delete(id), recovering.delete(id)].includes(true)) this.changed();
  }

  removeSlots(slots: FeedSlots, after: string | undefined): SlotsRemoval {
    const keys = this.keysBehind(after);
    const piece = keys.slice(0, BATCH_ROWS);
    let removed = 0;
    for (const key of piece) {
      if (!hasSlot(slots, this.stored.rows.get(key)!.slot)) continue;
      this.stored.rows.delete(key);
      removed++;
    }
    if (removed > 0) this.changed();
    return { removed, last: piece.at(-1), isDone: piece.length === keys.length };
  }

  /** With everything on the disk. */
  close(): void {
    this.disk.directory(this.path).written.machine = '';
  }
}

function isSameSlots(one: FeedSlots | undefined, other: FeedSlots | undefined): boolean {
  return one === undefined || other === undefined ? one === other : Buffer.compare(one, other) === 0;
}

/** Up to which time rows may be here that a source with another log than before has lost. */
function lostUntil({ begin, position, newest, lostUntil }: StoredFeed, log: string): number {
  return (position ?? begin)?.log === log ? lostUntil : newest;
}

function progressOf({ begin, after, position, rows }: StoredFeed): FeedProgress {
  return position === undefined
    ? { phase: 'copying', begin: begin!, after, rows, bytes: 32 * rows }
    : { phase: 'tailing', position };
}

/** Which of two rows of a key counts. */
export function isLater(one: StoredRow, other: StoredRow): boolean {
  return one.at === other.at ? one.write > other.write : one.at > other.at;
}
