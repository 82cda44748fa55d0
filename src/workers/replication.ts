import type { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { timestampOf } from '../base/clock.js';
import { FLUSHES_PER_SHARD_MAX } from '../base/limits.js';
import { ALL_SLOTS, type FeedSlots } from '../types/feed-codec.js';
import { FlushSet } from '../types/flush-set.js';
import type { Row } from '../types/row.js';
import { textSlot } from '../types/slots.js';
import { CollectionCopies } from './collection-copies.js';
import type { ElementChanges } from './element-changes.js';
import { againInside } from './feed-cursor.js';
import { FeedLog } from './feed-log.js';
import type { FeedProgress } from './feed-protocol.js';
import {
  deleteFeed,
  type Feed,
  NO_REPLICATION,
  type ReplicationRecord,
  readReplication,
  writeFeed,
  writeFlushes,
  writeReplication,
  writeSlots,
} from './replication-meta.js';
import { type Database, StorageError } from './rocksdb.js';

/** What feeds need of the shard's surroundings. */
export interface ReplicationEnvironment {
  /** Which start of the machine this is. */
  readonly machine: string;
  readonly knobs: { readonly feedLogBytesMax: number; readonly tombstoneRetentionMs: number };
}

/**
 * What a shard knows of feeds: its log, how far it is with those it is the target of, and what a flush has ended.
 * Changes are staged into the shard's batch with {@link stage}, and count from {@link committed} on.
 */
export class Replication {
  readonly log = new FeedLog();
  /** Large collections that are read for the copies of others. */
  readonly copies = new CollectionCopies();
  /** Versions of collections that feeds were bringing when they were given up on opening. */
  orphans: readonly number[] = [];
  private feeds: ReadonlyMap<string, Feed> = new Map();
  private remembered = FlushSet.NONE;
  private stagedFlushes: FlushSet | undefined;
  /** The flush of the whole shard that an earlier version wrote down without its slots, and what feeds knew beside it. */
  private unplaced:
    | { readonly at: number; readonly clearedAt: number; readonly others: FlushSet }
    | undefined;
  /** Whether {@link remembered} has that flush with its slots, and the disk does not. */
  private isPlaced = false;
  private ownSlots: FeedSlots | undefined;
  private latest = 0;
  private stagedLatest = 0;
  /** undefined = the feed ends. */
  private readonly stagedFeeds = new Map<string, Feed | undefined>();
  private isKnownOnDisk = false;
  /** Whether the record on disk is that of another start of the machine, or of a clean stop. */
  private isRecordStale = false;
  private isStartStaged = false;
  private recovering: ReadonlySet<string> = new Set();
  private stagedRecovering: ReadonlySet<string> | undefined;
  /** Staged rows that the log is to have though a feed brought them. */
  private passedOn: { readonly key: Buffer; readonly bytes: Buffer }[] = [];
  /** Whether rows are staged that no log tells the timestamps of. */
  private hasUnlogged = false;

  constructor(private readonly environment: ReplicationEnvironment) {}

  /**
   * Takes up what an instance has.
   *
   * If the machine has gone down since without the shard having been closed, commits may be lost that were answered, as
   * `appendfsync` allows. Followers may have records of them, and the numbers would be used again: so the log begins
   * anew, for all to copy; and this shard copies from the others, which may have what it lost. Those that have it not may
   * have copied this shard by then: so what it gets back it logs.
   */
  open(database: Database, nowMs: number): void {
    this.discard();
    const { record, feeds, flushes } = readReplication(database);
    const { log, newest, machine, recovering } = record ?? NO_REPLICATION;
    const wasLost = machine !== '' && machine !== this.environment.machine;
    this.isKnownOnDisk = record !== undefined;
    this.feeds = feeds;
    this.recovering = new Set(recovering);
    this.unplaced = undefined;
    this.isPlaced = false;
    if (flushes === undefined) this.takeUnplaced(record ?? NO_REPLICATION);
    else this.remembered = flushes;
    this.latest = Math.max(newest, this.remembered.latest, this.log.open(database, log));
    for (const feed of feeds.values()) this.latest = Math.max(this.latest, feed.record.newest);
    this.orphans = [];
    // From the first commit on it must be told whether what follows could have been lost.
    this.isRecordStale = record !== undefined && machine !== this.environment.machine;
    if (!wasLost) return;
    this.orphans = [...feeds.values()].flatMap((feed) => feed.record.building?.version ?? []);
    if (this.log.isOn) {
      this.log.begin(newLogId(), log.sinceMs, nowMs);
      const followed = [...feeds].filter(([, { record }]) => hasAll(record));
      this.stagedRecovering = new Set([...this.recovering, ...followed.map(([id]) => id)]);
    }
    for (const id of feeds.keys()) this.stagedFeeds.set(id, undefined);
    this.stage(database, [], undefined, undefined);
    database.commit(false);
    this.committed();
  }

  /** What an earlier version knew of flushes. */
  private takeUnplaced({ flushedAt = 0, clearedAt = 0 }: ReplicationRecord): void {
    let others = FlushSet.NONE;
    for (const { record, slots } of this.feeds.values())
      others = others.with(record.flushedAt ?? 0, slots, false);
    this.unplaced = flushedAt === 0 ? undefined : { at: flushedAt, clearedAt, others };
    this.remembered = others;
    this.isPlaced = others !== FlushSet.NONE;
    this.place();
  }

  private place(): void {
    if (this.unplaced === undefined) return;
    const { at, clearedAt, others } = this.unplaced;
    this.remembered = others.with(at, this.ownSlots, clearedAt >= at);
    if (this.ownSlots === undefined) return;
    this.unplaced = undefined;
    this.isPlaced = true;
  }

  /** The slots that are the shard's, and that a flush of it is about; undefined = all. */
  get own(): FeedSlots | undefined {
    return this.ownSlots;
  }

  /** To be called when the shard is opened, and when it comes to have other slots. */
  setOwn(slots: FeedSlots | undefined): void {
    this.ownSlots = slots;
    this.place();
  }

  /** Whether others have, or bring, what this shard has: then expired keys leave tombstones. */
  get isActive(): boolean {
    return this.log.isOn || this.feeds.size > 0;
  }

  /** No row of the shard has a later timestamp; only while {@link isActive}. */
  get newest(): number {
    return Math.max(this.latest, this.stagedLatest);
  }

  /** What is known of flushes. */
  get flushes(): FlushSet {
    return this.stagedFlushes ?? this.remembered;
  }

  /** Whether a flush has ended all rows of a key up to a timestamp. */
  isFlushed(key: Buffer, timestamp: number): boolean {
    return this.flushes.hasEnded(key, timestamp);
  }

  /** Up to which timestamp {@link isFlushed} holds for a key, latin1; 0 = for none. */
  flushOf(key: string): number {
    return this.latestFlush === 0 ? 0 : this.flushes.at(textSlot(key));
  }

  /** No flush that {@link isFlushed} tells of is later. */
  get latestFlush(): number {
    return this.flushes.latest;
  }

  feed(id: string): Feed | undefined {
    return this.stagedFeeds.has(id) ? this.stagedFeeds.get(id) : this.feeds.get(id);
  }

  get feedCount(): number {
    return this.feeds.size;
  }

  /** Whether what is here is still being copied. */
  get isIncomplete(): boolean {
    return [...this.feeds.values()].some(({ record }) => record.position === undefined);
  }

  /**
   * Whether a feed brings back what the machine lost. What clients had written here only that follower may have, so the
   * log gets it once more. A first copy that was not done when the machine went down is none of these: it brings all.
   */
  isRecovering(id: string): boolean {
    return (this.stagedRecovering ?? this.recovering).has(id);
  }

  progress(): Record<string, FeedProgress> {
    return Object.fromEntries([...this.feeds].map(([id, { record }]) => [id, progressOf(record)]));
  }

  // ---------------------------------------------------------------- changing

  /** Stages how far a feed has come. */
  setFeed(id: string, feed: Feed): void {
    this.stagedFeeds.set(id, feed);
    if (feed.record.position !== undefined) this.recovered(id);
  }

  /** Stages the end of a feed. */
  endFeed(id: string): void {
    if (this.feed(id) !== undefined) this.stagedFeeds.set(id, undefined);
    this.recovered(id);
  }

  private recovered(id: string): void {
    if (!this.isRecovering(id)) return;
    const left = new Set(this.stagedRecovering ?? this.recovering);
    left.delete(id);
    this.stagedRecovering = left;
  }

  /** Stages rows that a feed has brought into the log, if there is one. */
  passOn(rows: readonly { readonly key: Buffer; readonly bytes: Buffer }[]): void {
    if (this.log.isOn) this.passedOn.push(...rows);
  }

  /**
   * Stages which start of the machine this is, unless the disk has it: without, a loss of all that has been written since
   * a clean stop would go unnoticed.
   */
  noteStart(): void {
    this.isStartStaged = this.isRecordStale;
  }

  /**
   * Whether the commit at hand must survive the machine: followers of a log from before a clean stop may get its records,
   * and the disk does not have yet that those behind could be lost, see {@link noteStart}.
   */
  get needsSync(): boolean {
    return this.isRecordStale && this.log.isOn;
  }

  /**
   * Stages flushes that are known besides, also such as another one has told of long after. They are remembered for as long
   * as deletions are, also when the feed that told of them ends.
   */
  remember(flushes: FlushSet, nowMs: number): void {
    if (flushes.latest === 0) return;
    const oldest = timestampOf(Math.max(0, nowMs - this.environment.knobs.tombstoneRetentionMs));
    this.stageFlushes(this.flushes.since(oldest).merged(flushes));
    this.saw(this.latestFlush);
  }

  /** Stages that what some flushes had ended is removed. */
  setCleared(flushes: FlushSet): void {
    this.stageFlushes(this.flushes.cleared(flushes));
  }

  private stageFlushes(flushes: FlushSet): void {
    const { kept, forgotten } = flushes.limited(FLUSHES_PER_SHARD_MAX);
    // Whoever was away at that flush would else keep what it has from before.
    if (forgotten !== 0) this.log.forget(forgotten);
    this.stagedFlushes = kept;
  }

  /** Takes note of the timestamp of a row that is staged. */
  saw(timestamp: number): void {
    if (timestamp > this.stagedLatest) this.stagedLatest = timestamp;
  }

  /** Rows are staged of whose timestamps neither the log tells nor the record of a feed. */
  sawUnlogged(): void {
    if (this.isActive) this.hasUnlogged = true;
  }

  /** Whether anything waits for the commit. */
  get hasChanges(): boolean {
    return this.stagedFeeds.size > 0 || this.passedOn.length > 0 || this.recordHasChanged;
  }

  /**
   * Stages into the batch what changes with it.
   * @param rows what the log is to have
   * @param changes of the large collections among them; undefined where there is no log
   * @param flushedAt the target is an empty instance, because of a flush with this timestamp
   */
  stage(
    target: Database,
    rows: readonly Row[],
    changes: ElementChanges | undefined,
    flushedAt: number | undefined,
  ): void {
    if (!this.isKnownOnDisk && !this.hasChanges) return;
    if (flushedAt !== undefined) this.stageFlush(target, flushedAt);
    if (this.stagedFlushes !== undefined || this.isPlaced) writeFlushes(target, this.flushes);
    for (const [id, feed] of this.stagedFeeds) this.stageFeed(target, id, feed, flushedAt !== undefined);
    const { feedLogBytesMax } = this.environment.knobs;
    if (rows.length > 0 && changes !== undefined)
      this.saw(this.log.append(target, rows, changes, this.newest, feedLogBytesMax));
    else if (rows.length > 0 && this.isActive) {
      this.hasUnlogged = true;
      for (const { timestamp } of rows) this.saw(timestamp);
    }
    if (this.passedOn.length > 0) this.log.appendStored(target, this.passedOn, this.newest, feedLogBytesMax);
    this.log.stageDeletions(target);
    if (this.recordChanges) writeReplication(target, this.record(this.environment.machine));
  }

  /** The target is to have all that is kept, not only what changes. */
  private stageFlush(target: Database, flushedAt: number): void {
    const known = this.flushes;
    this.stageFlushes(this.isActive ? known.with(flushedAt, this.own, true) : known);
    this.saw(flushedAt);
    this.log.flush(target, flushedAt, this.own ?? ALL_SLOTS);
    for (const id of this.feeds.keys()) {
      const feed = this.feed(id);
      if (feed === undefined) continue;
      const { record } = feed;
      // What was there of a collection has gone: it is copied from its beginning.
      const isInside = record.building !== undefined;
      const kept = isInside ? { ...record, building: undefined, after: againInside(record.after) } : record;
      this.stagedFeeds.set(id, { ...feed, record: kept });
    }
  }

  private get recordHasChanged(): boolean {
    const hasStaged =
      this.stagedFlushes !== undefined || this.isPlaced || this.stagedRecovering !== undefined;
    return hasStaged || this.isStartStaged || this.log.keptHasChanged;
  }

  /** Whether the record of the shard as a whole goes with the batch. */
  private get recordChanges(): boolean {
    if (!this.isKnownOnDisk || this.isRecordStale || this.recordHasChanged || this.hasUnlogged) return true;
    // With a feed goes what it told of the latest timestamp.
    for (const feed of this.stagedFeeds.values()) if (feed === undefined) return true;
    return false;
  }

  private stageFeed(target: Database, id: string, feed: Feed | undefined, isNew: boolean): void {
    if (feed === undefined) {
      deleteFeed(target, id);
      return;
    }
    writeFeed(target, id, feed);
    if (isNew || this.feeds.get(id)?.slots !== feed.slots) writeSlots(target, id, feed.slots);
  }

  private record(machine: string): ReplicationRecord {
    const { log, newest, unplaced } = this;
    const recovering = [...(this.stagedRecovering ?? this.recovering)];
    return {
      log: log.kept,
      newest,
      ...(unplaced !== undefined &&
        this.stagedFlushes === undefined && { flushedAt: unplaced.at, clearedAt: unplaced.clearedAt }),
      machine,
      ...(recovering.length > 0 && { recovering }),
    };
  }

  /** What was staged is on disk. */
  committed(): void {
    this.isKnownOnDisk ||= this.hasChanges;
    this.isRecordStale = false;
    if (this.stagedFeeds.size > 0) {
      const feeds = new Map(this.feeds);
      for (const [id, feed] of this.stagedFeeds) {
        if (feed === undefined) feeds.delete(id);
        else feeds.set(id, feed);
      }
      this.feeds = feeds;
    }
    if (this.stagedFlushes !== undefined) this.unplaced = undefined;
    this.isPlaced = false;
    this.remembered = this.flushes;
    this.recovering = this.stagedRecovering ?? this.recovering;
    this.latest = this.newest;
    this.log.committed(this.environment.knobs.feedLogBytesMax);
    this.discard();
  }

  /** Forgets what was staged. */
  discard(): void {
    this.stagedFlushes = undefined;
    this.stagedRecovering = undefined;
    this.stagedLatest = 0;
    this.isStartStaged = false;
    this.hasUnlogged = false;
    if (this.passedOn.length > 0) this.passedOn = [];
    if (this.stagedFeeds.size > 0) this.stagedFeeds.clear();
    this.log.discard();
  }

  /** Notes that the shard is closed with everything on the disk. */
  close(database: Database): void {
    this.copies.endAll();
    if (!this.isKnownOnDisk) return;
    try {
      writeReplication(database, this.record(''));
      database.commit(true);
    } catch (error) {
      // Where the disk takes no writes it is as after a crash.
      if (!(error instanceof StorageError)) throw error;
    }
  }
}

function progressOf({ begin, after, position, rows, bytes }: Feed['record']): FeedProgress {
  return position === undefined
    ? { phase: 'copying', begin: begin!, after, rows, bytes }
    : { phase: 'tailing', position };
}

/** Whether a feed has brought all that its source had, once. */
export function hasAll({ position, hadAll }: Feed['record']): boolean {
  return position !== undefined || hadAll === true;
}

/** A name for a log that no other has. */
export function newLogId(): string {
  return randomBytes(16).toString('hex');
}
