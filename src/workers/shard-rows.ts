import { VERSION_END } from '../types/binary.js';
import { type Collection, isValue } from '../types/collections/collection.js';
import { endRow, isKey, isLive, type Row, RowType, type StringValue } from '../types/row.js';
import type { KeyRange, ShardView } from '../types/shard-view.js';
import { CachedRows } from './cached-rows.js';
import { averageTtlMs, NOTHING_COUNTED, type Tally, tallyStaged } from './counting.js';
import { ExpiryIndex } from './expiry-index.js';
import type { Shown } from './feed-protocol.js';
import { HiddenRows } from './hidden-rows.js';
import { Replication } from './replication.js';
import { Restores } from './restore-target.js';
import type { Database, StorageError } from './rocksdb.js';
import { ScanSessions } from './scan-sessions.js';
import { ShardElements } from './shard-elements.js';
import type { ShardCounters, ShardEnvironment } from './shard-environment.js';
import type { ShardMeta } from './shard-meta.js';
import { ShardSnapshots } from './shard-snapshots.js';
import { StagedRows } from './staged-rows.js';
import { Stamping } from './stamping.js';
import { pickKey, type VisitedShard, visitRange } from './visiting.js';
import { WaitTable } from './wait-table.js';
import { WatchTable } from './watch-table.js';

/** What commands see of a shard and change of it: its rows in memory, over those of its instance. */
export abstract class ShardRows implements ShardView {
  nowMs = 0;
  /** Whether reads count as accesses: not those of a client that said CLIENT NO-TOUCH. */
  countsAccess = true;
  /** Whether looking a key up is a hit or a miss: only while a command runs that reads, see the executor. */
  countsLookups = false;
  readonly counters: ShardCounters = { keyspaceHits: 0, keyspaceMisses: 0, expired: 0 };
  readonly watches = new WatchTable();
  readonly waits = new WaitTable();
  readonly collections: ShardElements;

  readonly replication: Replication;
  readonly hidden = new HiddenRows((text) => console.error(`shard ${this.id}: ${text}`));
  readonly snapshots = new ShardSnapshots();
  readonly restores = new Restores();

  // Also for what comes by feeds, see RowApplier.
  readonly rows: CachedRows;
  readonly staged = new StagedRows();
  readonly expiries = new ExpiryIndex();
  readonly elementExpiries = new ExpiryIndex(true);

  private readonly stamping: Stamping;
  protected readonly scans: ScanSessions;
  /** With the changes that wait for their commit as far as they are noted there. */
  protected meta: ShardMeta;
  protected metaDirty = false;
  /** The empty instance that the next commit switches to: the shard was flushed. */
  protected flushedTo: Database | undefined;
  /** Why the journal could not be read that memory should show; until it is, nothing can be. */
  protected unreadable: StorageError | undefined;

  constructor(
    readonly id: number,
    protected database: Database,
    readonly environment: ShardEnvironment,
    meta: ShardMeta,
  ) {
    const owner = {
      get limits() {
        return environment.knobs.collections;
      },
      source: () => this.source(),
      nextVersion: () => this.nextVersion(),
      firstNewVersion: () => this.firstNewVersion(),
    };
    this.collections = new ShardElements(owner, environment.cache);
    this.rows = new CachedRows(environment.cache, this.collections);
    this.meta = meta;
    this.replication = new Replication(environment);
    this.stamping = new Stamping(environment, this.replication);
    this.scans = new ScanSessions(Math.random() * 2 ** 30, environment.knobs.scanIdleMaxMs);
  }

  /** See {@link ShardView}. */
  abstract flush(): void;

  /** See ShardFeeds.show. Scans that are under way have not seen what comes into sight: they are to begin again. */
  show(shown: Shown | undefined): void {
    if (this.hidden.show(shown, this.nowMs)) this.scans.clear();
  }

  get canFlush(): boolean {
    return !this.hidden.areKept;
  }

  // ---------------------------------------------------------------- reading

  find(key: string): Row | undefined {
    const row = this.load(key);
    if (!isLive(row, this.nowMs)) {
      if (this.countsLookups) this.counters.keyspaceMisses++;
      return undefined;
    }
    if (this.countsLookups) this.counters.keyspaceHits++;
    if (this.countsAccess) row.accessedMs = this.nowMs;
    return row;
  }

  peek(key: string): Row | undefined {
    const row = this.load(key);
    const live = isLive(row, this.nowMs);
    if (this.countsLookups) this.counters[live ? 'keyspaceHits' : 'keyspaceMisses']++;
    return live ? row : undefined;
  }

  /** Whether a row is in memory, so that reading it costs no call to RocksDB. */
  isCached(key: string): boolean {
    return this.rows.table.has(key);
  }

  /** Brings rows into memory with one call. */
  prefetch(keys: readonly string[]): void {
    this.rows.prefetch(keys, this.source(), this.nowMs);
  }

  load(key: string): Row {
    return this.rows.load(key, this.source(), this.nowMs);
  }

  /**
   * Where stored rows are read: after a flush that waits for its commit, an empty instance.
   * @throws StorageError while it is not known what the journal has instead of some of them
   */
  source(): Database {
    if (this.unreadable !== undefined) throw this.unreadable;
    return this.instance;
  }

  /** The same, for whoever looks at no rows. */
  get instance(): Database {
    return this.flushedTo ?? this.database;
  }

  // ---------------------------------------------------------------- changing

  setString(key: string, value: StringValue, expiresAtMs: number, eventTimeMs?: number, flags = 0): boolean {
    const row = this.load(key);
    if (!this.stamp(row, eventTimeMs)) return false;
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) {
      this.erase(row);
      return true;
    }
    this.dropCollection(row);
    row.type = RowType.String;
    row.value = value;
    row.flags = flags;
    row.accessedMs = this.nowMs;
    this.placed(row, expiresAtMs);
    return true;
  }

  setCollection(key: string, value: Collection, expiresAtMs: number): void {
    const row = this.load(key);
    this.stamp(row, undefined);
    if (row.collection !== value) this.dropCollection(row);
    row.collection = value;
    if (!isValue(value) || (expiresAtMs !== 0 && expiresAtMs <= this.nowMs)) {
      this.erase(row);
      return;
    }
    row.type = value.type;
    row.value = '';
    row.flags = 0;
    row.accessedMs = this.nowMs;
    if (value.nextExpiryMs !== 0) this.elementExpiries.note(value.nextExpiryMs);
    this.placed(row, expiresAtMs);
  }

  changed(row: Row): void {
    this.setCollection(row.key, row.collection!, row.expiresAtMs);
  }

  rename(row: Row, to: string): void {
    const { collection, value, expiresAtMs, flags } = row;
    // The old row is removed without what it has: that lives on.
    row.collection = undefined;
    this.remove(row.key);
    if (collection === undefined) this.setString(to, value, expiresAtMs, undefined, flags);
    else this.setCollection(to, collection, expiresAtMs);
  }

  /** A row has a new value: gives it its expiry. */
  private placed(row: Row, expiresAtMs: number): void {
    row.expiresAtMs = expiresAtMs;
    if (expiresAtMs !== 0) this.expiries.note(expiresAtMs);
    this.note(row);
  }

  /** Takes the collection of a row that gets another value, or none. */
  dropCollection(row: Row): void {
    if (row.collection === undefined) return;
    if (row.collection.version !== 0) this.collections.dead.add(row.collection.version);
    row.collection = undefined;
  }

  /** See ElementOwner. */
  protected abstract firstNewVersion(): number;

  protected nextVersion(): number {
    const { nextVersion } = this.meta;
    if (nextVersion >= VERSION_END) throw new Error('all versions of large collections are used up');
    this.meta = { ...this.meta, nextVersion: nextVersion + 1 };
    this.metaDirty = true;
    return nextVersion;
  }

  updateString(row: Row, value: StringValue, flags = row.flags): void {
    this.stamp(row, undefined);
    row.value = value;
    row.flags = flags;
    this.note(row);
  }

  setFlags(row: Row, flags: number): void {
    if (row.flags === flags) return;
    // Others must be able to tell which of the two is the later one.
    if (this.replication.isActive) this.stamp(row, undefined);
    this.staged.add(row);
    row.flags = flags;
  }

  setExpiry(row: Row, expiresAtMs: number): void {
    this.stamp(row, undefined);
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) {
      this.erase(row);
      return;
    }
    this.placed(row, expiresAtMs);
  }

  remove(key: string, eventTimeMs?: number): boolean {
    const row = this.load(key);
    const live = isLive(row, this.nowMs);
    if (!live && eventTimeMs === undefined) return false;
    if (!this.stamp(row, eventTimeMs)) return false;
    this.erase(row);
    return live;
  }

  /** Notes a row, and gives it the timestamp of the write at hand. Returns false if a later one holds. */
  protected stamp(row: Row, eventTimeMs: number | undefined): boolean {
    const { nowMs, stamping } = this;
    const timestamp =
      eventTimeMs === undefined ? stamping.now(row, nowMs) : stamping.at(eventTimeMs, row, nowMs);
    if (timestamp === undefined) return false;
    this.staged.add(row);
    row.timestamp = timestamp;
    row.origin = this.environment.origin;
    if (eventTimeMs !== undefined) this.keepTombstones();
    return true;
  }

  /** Whether deletions leave tombstones. */
  get keepsTombstones(): boolean {
    return this.meta.keepsTombstones;
  }

  /** From now on deletions leave tombstones. */
  keepTombstones(): void {
    if (this.meta.keepsTombstones) return;
    this.meta = { ...this.meta, keepsTombstones: true };
    this.metaDirty = true;
  }

  /** Ends a row: a tombstone where older writes may still arrive, nothing otherwise. */
  private erase(row: Row): void {
    const { tombstoneRetentionMs } = this.environment.knobs;
    this.dropCollection(row);
    endRow(row, this.meta.keepsTombstones ? this.nowMs + tombstoneRetentionMs : 0);
    if (row.expiresAtMs !== 0) this.expiries.note(row.expiresAtMs);
    this.note(row);
  }

  /**
   * Ends a row because of time, which every copy does by itself. Not a change to those who watch the key: they ask
   * whether it is still there.
   * @param endedMs when it ended, Unix milliseconds, the same on every copy
   */
  protected vanish(row: Row, endedMs: number): void {
    this.staged.add(row);
    this.dropCollection(row);
    endRow(row, isKey(row.type) ? this.stamping.rememberedUntilMs(endedMs, this.nowMs) : 0);
    if (row.expiresAtMs !== 0) this.expiries.note(row.expiresAtMs);
    this.rows.resized(row);
  }

  /** Takes note of changes in the numbers of keys that no staged row tells of. */
  counted(live: number, expiring: number): void {
    if (live === 0 && expiring === 0) return;
    this.meta = { ...this.meta, live: this.meta.live + live, expiring: this.meta.expiring + expiring };
    this.metaDirty = true;
  }

  /** A noted row has changed. */
  note(row: Row): void {
    this.rows.resized(row);
    this.keyChanged(row.key);
  }

  /** Tells those who watch a key, or wait for it. */
  keyChanged(key: string): void {
    if (this.watches.size !== 0) this.watches.changed(key);
    if (this.waits.size !== 0) this.waits.changed(key);
  }

  // ---------------------------------------------------------------- counting and visiting

  count(): number {
    return this.tally().live;
  }

  countExpiring(): number {
    return this.tally().expiring;
  }

  /** Keys, and those that expire, at once: hidden ones that are not counted yet are among them. */
  countRoughly(): Tally {
    return this.tally(!this.hidden.isCounting);
  }

  /**
   * Stored counts, less what is due but not swept, with the noted rows' changes.
   * @param looksOn whether hidden rows may be looked at, if they are not counted yet
   */
  private tally(looksOn = true): Tally {
    const { live, expiring } = this.flushedTo ? NOTHING_COUNTED : this.meta;
    const hidden = this.flushedTo
      ? NOTHING_COUNTED
      : this.hidden.tally({ live, expiring }, looksOn ? this.source() : undefined);
    const tally = { live: live - hidden.live, expiring: expiring - hidden.expiring };
    this.eachEnded((key) => {
      if (!this.hidden.showsName(key)) return;
      tally.live--;
      tally.expiring--;
    });
    return tallyStaged(tally, this.shownStaged(), this.nowMs);
  }

  private shownStaged(): readonly Row[] {
    const { rows } = this.staged;
    return this.hidden.slots === undefined ? rows : rows.filter(({ key }) => this.hidden.showsName(key));
  }

  /** Mean time until the keys that expire do, see {@link averageTtlMs}. */
  averageTtlMs(): number {
    return this.countExpiring() === 0
      ? 0
      : averageTtlMs(this, this.expiries, this.source(), this.meta.keepsTombstones);
  }

  /** Visits stored keys whose expiry has come, tombstones left out, in order of expiry. */
  private eachEnded(visit: (key: string) => void): void {
    if (!this.expiries.isDue(this.nowMs)) return;
    this.expiries.each(this.source(), this.nowMs, (key) => {
      // A tombstone's entry is in the same family; its row tells.
      if (!this.meta.keepsTombstones || isKey(this.load(key).storedType)) visit(key);
      return true;
    });
  }

  randomKey(): string | undefined {
    return this.count() === 0 ? undefined : pickKey(this.visited());
  }

  visit(range: KeyRange, withRows: boolean, visit: (key: string, row: Row | undefined) => boolean): void {
    visitRange(this.visited(), range, withRows, visit);
  }

  private visited(): VisitedShard {
    const ended = this.expiries.isDue(this.nowMs) ? new Set<string>() : undefined;
    if (ended !== undefined) this.eachEnded((key) => ended.add(key));
    return {
      nowMs: this.nowMs,
      source: this.source(),
      elements: this.collections,
      cached: this.rows.table,
      staged: this.shownStaged(),
      ended,
      keepsTombstones: this.meta.keepsTombstones,
      hidden: this.hidden,
    };
  }

  openCursor(cursor: string): { readonly session: number; readonly after: string | undefined } | undefined {
    this.scans.idleMaxMs = this.environment.knobs.scanIdleMaxMs;
    return this.scans.open(cursor, this.nowMs);
  }

  saveCursor(session: number, after: string): string {
    return this.scans.save(session, after);
  }

  closeCursor(session: number): void {
    this.scans.close(session);
  }
}
