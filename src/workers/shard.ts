import { timestampOf } from '../base/clock.js';
import { isKey, isLive, type Row, RowType, type StringValue } from '../types/row.js';
import type { KeyRange, ShardView } from '../types/shard-view.js';
import { CachedRows } from './cached-rows.js';
import { averageTtlMs, type Tally, tallyStaged } from './counting.js';
import { ExpiryIndex } from './expiry-index.js';
import type { Generations } from './generations.js';
import { Journal, NO_JOURNAL, readJournal } from './journal.js';
import type { Database } from './rocksdb.js';
import { ScanSessions } from './scan-sessions.js';
import type { ShardCounters, ShardEnvironment } from './shard-environment.js';
import { openShardMeta, type ShardMeta, writeShardMeta } from './shard-meta.js';
import { Rewriting, type ShardRewrite } from './shard-rewrite.js';
import { StagedRows, stageRow } from './staged-rows.js';
import { pickKey, type VisitedShard, visitRange } from './visiting.js';
import { WatchTable } from './watch-table.js';

/**
 * A shard: one RocksDB instance and its rows in memory, used by one thread only.
 *
 * Commands change rows in memory and have them noted; {@link commit} derives everything else — the row's bytes, its
 * entry in the `ttl` family, the number of keys — from the difference between a noted row and what is stored of it,
 * and writes it in one batch. A row whose value alone changes, and not for the first time, goes to the journal instead
 * of its place, see {@link Journal}. {@link rollback} forgets the noted rows, so that they are read from disk again, or
 * are what they were if only the journal has them.
 */
export class Shard implements ShardView {
  nowMs = 0;
  /** Whether reads count as accesses: not those of a client that said CLIENT NO-TOUCH. */
  countsAccess = true;
  /** Whether looking a key up is a hit or a miss: only while a command runs that reads, see the executor. */
  countsLookups = false;
  readonly counters: ShardCounters = { keyspaceHits: 0, keyspaceMisses: 0, expired: 0 };
  readonly watches = new WatchTable();

  private readonly rows: CachedRows;
  private readonly staged = new StagedRows();
  private readonly expiries = new ExpiryIndex();
  private readonly journal: Journal;
  /** With the changes that wait for their commit as far as they are noted there; `stored` is what the disk has. */
  private meta: ShardMeta;
  private stored: ShardMeta;
  private metaDirty = false;
  private readonly scans: ScanSessions;
  /** The empty instance that the next commit switches to: the shard was flushed. */
  private flushedTo: Database | undefined;
  private spare: Database | undefined;
  private readonly rewriting: Rewriting;
  /** The rows that only the journal had before the flush, which is where they are again should its commit fail. */
  private journaledBefore: readonly Row[] = [];

  /** @throws StorageError when what the instance holds cannot be read; it is closed then */
  static async open(
    id: number,
    database: Database,
    generations: Generations,
    environment: ShardEnvironment,
  ): Promise<Shard> {
    try {
      return new Shard(id, database, generations, environment);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  constructor(
    readonly id: number,
    private database: Database,
    private readonly generations: Generations,
    private readonly environment: ShardEnvironment,
  ) {
    this.rows = new CachedRows(environment.cache);
    this.journal = new Journal(environment.cache);
    this.rewriting = new Rewriting(generations);
    this.stored = openShardMeta(database);
    this.meta = this.stored;
    this.takeJournal(database);
    this.scans = new ScanSessions(Math.random() * 2 ** 30, environment.knobs.scanIdleMaxMs);
  }

  /** Takes an instance's journal up. Whatever is in memory makes way for it. */
  private takeJournal(database: Database): void {
    const contents = readJournal(database, this.rows.table);
    this.forgetRows();
    this.journal.reset(contents);
    for (const row of this.journal.rows()) this.rows.keep(row);
  }

  /** Lower bound of the next expiry, Unix milliseconds: when to sweep. 0 = nothing will expire. */
  get nextExpiryMs(): number {
    return this.expiries.nextMs;
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

  private load(key: string): Row {
    return this.rows.load(key, this.source(), this.nowMs);
  }

  /** Where stored rows are read: after a flush that waits for its commit, an empty instance. */
  private source(): Database {
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
    row.type = RowType.String;
    row.flags = flags;
    row.value = value;
    row.expiresAtMs = expiresAtMs;
    row.accessedMs = this.nowMs;
    if (expiresAtMs !== 0) this.expiries.note(expiresAtMs);
    this.note(row);
    return true;
  }

  updateString(row: Row, value: StringValue, flags = row.flags): void {
    this.stamp(row, undefined);
    row.value = value;
    row.flags = flags;
    this.note(row);
  }

  setFlags(row: Row, flags: number): void {
    if (row.flags === flags) return;
    this.staged.add(row);
    row.flags = flags;
  }

  setExpiry(row: Row, expiresAtMs: number): void {
    this.stamp(row, undefined);
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) {
      this.erase(row);
      return;
    }
    row.expiresAtMs = expiresAtMs;
    if (expiresAtMs !== 0) this.expiries.note(expiresAtMs);
    this.note(row);
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
  private stamp(row: Row, eventTimeMs: number | undefined): boolean {
    const { clock } = this.environment;
    // What has ended, and left no tombstone or one that may be forgotten, competes no more: whether it is still in
    // memory, or was not swept yet, must make no difference.
    const isForgotten = row.expiresAtMs !== 0 && row.expiresAtMs <= this.nowMs;
    const held = row.type === RowType.Absent || isForgotten ? 0 : row.timestamp;
    if (eventTimeMs === undefined) {
      this.staged.add(row);
      row.timestamp = clock.next(this.nowMs, held);
      return true;
    }
    const timestamp = timestampOf(eventTimeMs);
    if (timestamp < held) return false;
    this.staged.add(row);
    clock.observe(timestamp);
    row.timestamp = timestamp;
    if (!this.meta.keepsTombstones) {
      this.meta = { ...this.meta, keepsTombstones: true };
      this.metaDirty = true;
    }
    return true;
  }

  /** Ends a row: a tombstone where older writes may still arrive, nothing otherwise. */
  private erase(row: Row): void {
    row.type = this.meta.keepsTombstones ? RowType.Tombstone : RowType.Absent;
    row.value = '';
    row.flags = 0;
    row.expiresAtMs = 0;
    if (row.type === RowType.Tombstone) {
      row.expiresAtMs = this.nowMs + this.environment.knobs.tombstoneRetentionMs;
      this.expiries.note(row.expiresAtMs);
    }
    this.note(row);
  }

  /** A noted row has changed. */
  private note(row: Row): void {
    this.rows.resized(row);
    if (this.watches.size !== 0) this.watches.changed(row.key);
  }

  // ---------------------------------------------------------------- counting and visiting

  count(): number {
    return this.tally().live;
  }

  countExpiring(): number {
    return this.tally().expiring;
  }

  /** Stored counts, less what is due but not swept, with the noted rows' changes. */
  private tally(): Tally {
    const { live, expiring } = this.flushedTo ? NOTHING_COUNTED : this.meta;
    const tally = { live, expiring };
    this.eachEnded(() => {
      tally.live--;
      tally.expiring--;
    });
    return tallyStaged(tally, this.staged.rows, this.nowMs);
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
      cached: this.rows.table,
      staged: this.staged.rows,
      ended,
      keepsTombstones: this.meta.keepsTombstones,
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

  // ---------------------------------------------------------------- flushing

  /** Makes the next {@link flush} possible; to be awaited before it. */
  async prepareFlush(): Promise<void> {
    if (this.spare === undefined) this.spare = await this.generations.prepare();
  }

  flush(): void {
    if (this.meta.live === 0 && this.staged.rows.length === 0 && !this.meta.keepsTombstones) return;
    this.watches.allChanged((key) => this.peek(key) !== undefined);
    if (this.flushedTo === undefined) {
      if (this.spare === undefined) throw new Error(`shard ${this.id}: a flush that was not prepared`);
      this.flushedTo = this.spare;
      this.spare = undefined;
      this.staged.restoreJournaled();
      this.journaledBefore = [...this.journal.rows()];
    }
    this.forgetRows();
    this.expiries.emptied();
    this.scans.clear();
  }

  private forgetRows(): void {
    this.staged.forget();
    this.rows.clear();
  }

  // ---------------------------------------------------------------- committing

  /** Whether anything waits for a commit. */
  get hasChanges(): boolean {
    return this.staged.rows.length !== 0 || this.flushedTo !== undefined || this.metaDirty;
  }

  /**
   * Writes all changes in one batch, and with them some of the rows that the journal has had for long enough. When it
   * returns they survive the death of the process.
   * @param sync also that of the machine
   * @throws StorageError, with nothing written; the caller then calls {@link rollback}
   */
  commit(sync: boolean): void {
    const target = this.source();
    const meta: ShardMeta = { ...this.meta, ...(this.flushedTo && NOTHING_COUNTED) };
    for (const row of this.staged.rows) {
      if (this.journal.accepts(row)) this.journal.add(target, row, this.nowMs);
      else {
        stageRow(target, row, meta);
        if (row.journaledIn !== 0) this.journal.revoke(target, row, this.nowMs);
      }
    }
    // After a flush nothing is accepted or revoked: no row is stored. The records end with the instance that has them.
    if (this.flushedTo === undefined) this.journal.finish(target, this.nowMs);
    if (
      this.metaDirty ||
      this.flushedTo ||
      meta.live !== this.meta.live ||
      meta.expiring !== this.meta.expiring
    )
      writeShardMeta(target, meta);
    if (target.staged !== 0) target.commit(sync || this.flushedTo !== undefined);
    if (this.flushedTo) {
      this.rewriting.abandon();
      this.generations.switchTo(this.flushedTo, this.database);
      this.database = this.flushedTo;
      this.flushedTo = undefined;
      this.journaledBefore = [];
      this.journal.reset(NO_JOURNAL);
    } else this.journal.committed();
    this.stored = meta;
    this.meta = meta;
    this.metaDirty = false;
    this.staged.committed();
  }

  /** Forgets all changes since the last commit: memory shows again what the disk holds. */
  rollback(): void {
    this.source().discard();
    this.journal.discard();
    this.metaDirty = false;
    if (this.flushedTo) {
      this.forgetRows();
      this.generations.dispose(this.flushedTo);
      this.flushedTo = undefined;
      for (const row of this.journaledBefore) this.rows.keep(row);
      this.journaledBefore = [];
    } else {
      this.staged.restoreJournaled();
      for (const row of this.staged.rows) {
        if (row.journaledIn === 0) this.rows.drop(row);
        else this.rows.resized(row);
      }
      this.staged.forget();
    }
    this.meta = this.stored;
    this.expiries.unknown();
  }

  /**
   * Ends keys whose time has come, at most `limit`, as changes to be committed.
   * @returns whether more are due
   */
  sweep(nowMs: number, limit: number): boolean {
    this.nowMs = nowMs;
    const { due, more } = this.expiries.sweep(this.source(), nowMs, limit);
    for (const key of due) this.sweepRow(this.load(key));
    return more;
  }

  private sweepRow(row: Row): void {
    if (row.expiresAtMs === 0 || row.expiresAtMs > this.nowMs) return;
    if (isKey(row.type)) this.counters.expired++;
    this.staged.add(row);
    row.type = RowType.Absent;
    row.value = '';
    row.expiresAtMs = 0;
    // Not a change to those who watch the key: they ask whether it is still there.
    this.rows.resized(row);
  }

  // ---------------------------------------------------------------- rewriting

  /** Copies the next slice of a rewriting, which is begun if need be, see {@link Rewriting}. */
  rewriteSlice(): Promise<ShardRewrite> {
    return this.rewriting.slice(this.database);
  }

  /**
   * Puts the copy in the shard's place, the journal included. To be called between batches.
   * @returns whether it was: a shard that has been emptied since is another one
   * @throws StorageError, and then the shard is as before
   */
  finishRewrite(rewrite: ShardRewrite): boolean {
    if (!this.rewriting.isUnderWay(rewrite)) return false;
    // A generation that was prepared before would come after this one in time, but not in number.
    if (this.spare !== undefined) this.generations.dispose(this.spare);
    this.spare = undefined;
    this.rewriting.finish(this.database);
    this.database = rewrite.target;
    return true;
  }

  /** Gives up a rewriting, if one is under way. */
  abandonRewrite(): void {
    this.rewriting.abandon();
  }

  // ---------------------------------------------------------------- keeping

  /** Makes everything committed survive the death of the machine, off this thread. */
  syncLog(): Promise<void> {
    return this.database.syncLog();
  }

  /** A RocksDB property of the shard's instance. */
  property(name: string): string {
    return this.database.property(name);
  }

  /** Whether {@link commit} would write rows back from the journal though no command has changed any. */
  isWriteBackDue(nowMs: number): boolean {
    return this.journal.isDue(this.database, nowMs);
  }

  /**
   * After a failed write RocksDB refuses further ones; a new instance on the same files does not. It may hold what the
   * failed write was to bring, so nothing stays in memory but what its journal has.
   */
  async reopen(): Promise<void> {
    this.rewriting.abandon();
    await this.database.close();
    this.database = await this.generations.reopen();
    this.stored = openShardMeta(this.database);
    this.meta = this.stored;
    this.takeJournal(this.database);
  }

  /** Writes a row of the shard's own, durably, to see whether the disk takes writes. */
  probe(): void {
    writeShardMeta(this.database, this.meta);
    this.database.commit(true);
  }

  /** Closes the shard, what waits for a commit is dropped. */
  async close(): Promise<void> {
    this.rewriting.abandon();
    if (this.hasChanges) this.rollback();
    this.journal.writeAllBack(this.database);
    this.forgetRows();
    if (this.spare) this.generations.dispose(this.spare);
    await this.database.close();
    await this.generations.settled();
  }
}

const NOTHING_COUNTED: Tally = { live: 0, expiring: 0 };
