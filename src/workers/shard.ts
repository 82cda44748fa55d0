import { unixMsOf } from '../base/clock.js';
import { isValue } from '../types/collections/collection.js';
import { isKey, isLive, type Row, RowType } from '../types/row.js';
import { NOTHING_COUNTED } from './counting.js';
import { ElementChanges } from './element-changes.js';
import type { Generations } from './generations.js';
import { Journal, NO_JOURNAL, readJournal } from './journal.js';
import { type Database, StorageError } from './rocksdb.js';
import type { ShardEnvironment } from './shard-environment.js';
import { openShardMeta, readShardMeta, type ShardMeta, writeShardMeta } from './shard-meta.js';
import { Rewriting, type ShardRewrite } from './shard-rewrite.js';
import { ShardRows } from './shard-rows.js';
import { stageRow } from './staged-rows.js';
import { readUnfinished, stageFinished } from './unfinished-versions.js';

/**
 * A shard: one RocksDB instance and its rows in memory, used by one thread only.
 *
 * Commands change rows in memory and have them noted; {@link commit} derives everything else — the row's bytes, its
 * entry in the `ttl` family, the number of keys — from the difference between a noted row and what is stored of it,
 * and writes it in one batch. A row whose value alone changes, and not for the first time, goes to the journal instead
 * of its place, see {@link Journal}. {@link rollback} forgets the noted rows, so that they are read from disk again, or
 * are what they were if only the journal has them.
 */
export class Shard extends ShardRows {
  private readonly journal: Journal;
  /** What the disk has of {@link meta}. */
  private stored: ShardMeta;
  /** Timestamp of the flush that waits for its commit. */
  private flushedAt = 0;
  private readonly rewriting: Rewriting;
  /** Rows whose elements have been swept since the last commit. */
  private swept: Row[] = [];

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
    id: number,
    database: Database,
    private readonly generations: Generations,
    environment: ShardEnvironment,
  ) {
    super(id, database, environment, openShardMeta(database));
    this.stored = this.meta;
    this.journal = new Journal(environment.cache);
    this.rewriting = new Rewriting(generations);
    this.takeUp(database);
  }

  /**
   * Takes up an instance's journal, and what it has of feeds and of collections that have gone. Whatever is in memory
   * makes way.
   */
  private takeUp(database: Database): void {
    this.snapshots.endAll();
    this.restores.forget();
    this.replication.open(database, Date.now());
    this.environment.clock.observe(this.replication.newest);
    this.takeUpJournal(database);
    this.collections.takeUp(database);
    this.endOrphans(database);
  }

  /** Memory has what an instance's journal has, and nothing else. */
  private takeUpJournal(database: Database): void {
    const contents = readJournal(database, this.rows.table, this.collections);
    this.forgetRows();
    this.journal.reset(contents);
    for (const row of this.journal.rows()) this.rows.keep(row);
    this.unreadable = undefined;
  }

  /** Collections that a feed or a restore was bringing, and will not bring any more, go. */
  private endOrphans(database: Database): void {
    const { dead } = this.collections;
    const unfinished = readUnfinished(database);
    const orphans = [...this.replication.orphans, ...unfinished];
    if (orphans.length === 0) return;
    for (const version of orphans) dead.add(version);
    for (const version of unfinished) stageFinished(database, version);
    dead.stage(database);
    database.commit(false);
    dead.committed();
  }

  private elementChanges(): ElementChanges | undefined {
    if (!this.replication.log.isOn) return undefined;
    return new ElementChanges(this.collections, this.database, this.firstNewVersion());
  }

  protected firstNewVersion(): number {
    return this.stored.nextVersion;
  }

  /** Whether some rows are not in their place on the disk, but in the journal and in memory. */
  get hasJournaledRows(): boolean {
    return !this.journal.isEmpty;
  }

  /** Lower bound of the next expiry, Unix milliseconds: when to sweep. 0 = nothing will expire. */
  get nextExpiryMs(): number {
    const times = [this.expiries.nextMs, this.elementExpiries.nextMs].filter((time) => time !== 0);
    return times.length === 0 ? 0 : Math.min(...times);
  }

  // ---------------------------------------------------------------- flushing

  /** Makes the next {@link flush} possible; to be awaited before it. */
  prepareFlush(): Promise<void> {
    return this.generations.prepareSpare();
  }

  /** @param at the timestamp of the flush: only what is later has not been removed by it */
  flush(at = this.flushTime()): void {
    if (this.meta.live === 0 && this.staged.rows.length === 0 && !this.meta.keepsTombstones) return;
    this.watches.allChanged((key) => this.peek(key) !== undefined);
    this.waits.allChanged();
    if (this.flushedTo === undefined) {
      this.flushedTo = this.generations.takeSpare();
      if (this.flushedTo === undefined) throw new Error(`shard ${this.id}: a flush that was not prepared`);
    }
    this.flushedAt = at;
    this.forgetRows();
    this.expiries.emptied();
    this.elementExpiries.emptied();
    this.scans.clear();
    this.restores.empty();
  }

  private flushTime(): number {
    const { isActive, newest } = this.replication;
    return isActive ? this.environment.clock.next(this.nowMs, newest) : 0;
  }

  private forgetRows(): void {
    this.staged.forget();
    this.collections.forget();
    this.rows.clear();
  }

  // ---------------------------------------------------------------- committing

  /** Whether anything waits for a commit. */
  get hasChanges(): boolean {
    const { staged, flushedTo, metaDirty, replication } = this;
    return staged.rows.length !== 0 || flushedTo !== undefined || metaDirty || replication.hasChanges;
  }

  /**
   * Writes all changes in one batch, and with them some of the rows that the journal has had for long enough. When it
   * returns they survive the death of the process.
   * @param sync also that of the machine
   * @param isLogged whether the feed log gets the changes: those of clients, not what came by a feed or what has ended
   * @throws StorageError, with nothing written; the caller then calls {@link rollback}
   */
  commit(sync: boolean, isLogged = true): void {
    const target = this.source();
    const meta: ShardMeta = { ...this.meta, ...(this.flushedTo && NOTHING_COUNTED) };
    for (const row of this.staged.rows) {
      if (this.journal.accepts(row)) this.journal.add(target, row, this.nowMs);
      else {
        stageRow(target, row, meta);
        if (row.journaledIn !== 0) this.journal.revoke(target, row, this.nowMs);
      }
    }
    this.collections.stage(target, this.nowMs, this.flushedTo === undefined);
    // After a flush nothing is accepted or revoked: no row is stored. The records end with the instance that has them.
    if (this.flushedTo === undefined) this.journal.finish(target, this.nowMs);
    if (
      this.metaDirty ||
      this.flushedTo ||
      meta.live !== this.meta.live ||
      meta.expiring !== this.meta.expiring
    )
      writeShardMeta(target, meta);
    const flushedAt = this.flushedTo && this.flushedAt;
    this.replication.stage(
      target,
      isLogged ? this.staged.rows : this.swept,
      this.elementChanges(),
      flushedAt,
    );
    const mustSync = this.flushedTo !== undefined || this.replication.needsSync;
    if (target.staged !== 0) this.write(target, sync || mustSync);
    if (this.flushedTo) {
      this.rewriting.abandon();
      this.generations.switchTo(this.flushedTo, this.database);
      this.database = this.flushedTo;
      this.flushedTo = undefined;
      this.journal.reset(NO_JOURNAL);
      this.collections.clear();
      this.hidden.forgetCount();
    } else {
      this.journal.committed();
      this.hidden.committed(this.staged.rows);
    }
    this.replication.committed();
    this.restores.committed();
    this.stored = meta;
    this.meta = meta;
    this.metaDirty = false;
    this.collections.committed();
    this.staged.committed();
    if (this.swept.length > 0) this.swept = [];
  }

  private write(target: Database, sync: boolean): void {
    try {
      target.commit(sync);
    } catch (error) {
      if (this.flushedTo === undefined) this.hidden.commitFailed(this.staged.rows);
      throw error;
    }
  }

  /**
   * Forgets all changes since the last commit: memory shows again what the disk holds, and if the journal cannot be read
   * for that, nothing, until {@link recover} finds that it can.
   * @param isNoted whether all that has changed was noted; a command that met a failed read may have changed a
   *   collection halfway, and not have said so
   */
  rollback(isNoted = false): void {
    this.waits.forgetReady();
    this.instance.discard();
    this.journal.discard();
    this.replication.discard();
    this.restores.discard();
    this.swept = [];
    this.metaDirty = false;
    if (this.flushedTo) {
      this.generations.dispose(this.flushedTo);
      this.flushedTo = undefined;
      this.orUnreadable(() => this.takeUpJournal(this.database));
    } else this.restoreRows(isNoted);
    this.collections.dead.restart();
    this.meta = this.stored;
    this.hidden.discard();
    this.expiries.unknown();
    this.elementExpiries.unknown();
  }

  private restoreRows(isNoted: boolean): void {
    const { rows, staged, journal, collections } = this;
    staged.restoreStrings();
    const changed = staged.rows.filter((row) => row.journaledIn !== 0);
    for (const row of changed) rows.resized(row);
    for (const row of staged.rows) if (row.journaledIn === 0) rows.drop(row);
    staged.forget();
    rows.dropCollections();
    collections.forget();
    // Where writes were refused, since the instance is closed, nothing has changed halfway.
    const suspects = isNoted || this.database.isClosed ? changed : journal.rows();
    this.orUnreadable(() =>
      journal.restore(
        this.database,
        [...suspects].filter((row) => row.storedType !== RowType.String),
        collections,
      ),
    );
  }

  /** Has memory show what the journal has; if it cannot be read, it shows nothing. */
  private orUnreadable(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.forgetRows();
      this.journal.reset(NO_JOURNAL);
      this.unreadable = error;
    }
  }

  /**
   * Ends keys whose time has come, at most `limit`, as changes to be committed.
   * @returns whether more are due
   */
  sweep(nowMs: number, limit: number): boolean {
    this.nowMs = nowMs;
    const { due, more } = this.expiries.sweep(this.source(), nowMs, limit);
    for (const key of due) this.sweepRow(this.load(key));
    const ended = this.elementExpiries.sweep(this.source(), nowMs, limit);
    for (const key of ended.due) this.sweepElements(this.load(key), limit);
    return more || ended.more;
  }

  /** Removes elements that have ended, from a collection that has some, and the key with the last one. */
  private sweepElements(row: Row, limit: number): void {
    const { collection } = row;
    if (collection?.removeEnded === undefined || !isLive(row, this.nowMs)) return;
    // Every copy ends keys by itself, but what has gone from a collection must be known where changes of it are applied.
    if (this.replication.isActive) {
      this.stamp(row, undefined);
      this.swept.push(row);
    }
    this.staged.add(row);
    collection.removeEnded(this.nowMs, limit);
    if (collection.nextExpiryMs !== 0) this.elementExpiries.note(collection.nextExpiryMs);
    if (!isValue(collection)) this.vanish(row, unixMsOf(row.timestamp));
    else this.rows.resized(row);
  }

  /** Whether large collections that have gone have rows left. */
  get hasDeadElements(): boolean {
    return !this.collections.dead.isEmpty;
  }

  /** Stages the removal of such rows, at most `limit`, or the next step of having their space come back. */
  sweepDeadElements(limit: number): void {
    this.collections.dead.sweep(this.database, limit, this.nowMs);
  }

  /** Stages the end of large collections of which a restore has brought a part, and nothing more for long. */
  endOverdueRestores(): void {
    this.restores.endOverdue(this.nowMs, this.collections, this.database);
  }

  private sweepRow(row: Row): void {
    if (row.expiresAtMs === 0 || row.expiresAtMs > this.nowMs) return;
    if (isKey(row.type)) this.counters.expired++;
    if (this.waits.anyTriesWhenGone) this.waits.changed(row.key);
    this.vanish(row, row.expiresAtMs);
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

  /**
   * Whether {@link sweepDeadElements} would do something, or {@link commit} write back rows of the journal or delete
   * records, though no command has changed any.
   */
  isTidyDue(nowMs: number): boolean {
    const { replication, journal, collections } = this;
    return (
      collections.dead.isDue(nowMs) ||
      replication.log.hasLeftovers ||
      journal.isDue(this.database, nowMs) ||
      collections.nodes.isDue(nowMs)
    );
  }

  /**
   * After a write or a read that failed: finds out whether the disk takes writes again.
   *
   * RocksDB refuses writes after one that failed until it has room again by its own account, or for ever; a new instance
   * on the same files does not. But where that finds no room to be opened in nothing could be read any more, so it is
   * tried only where there is some.
   * @throws StorageError while the disk takes no writes
   */
  async recover(): Promise<void> {
    try {
      this.probe();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (!this.database.isClosed) await this.database.checkRoom();
      await this.reopen();
      this.probe();
      return;
    }
    this.readAnew();
  }

  /** Takes a new instance on the same files. */
  async reopen(): Promise<void> {
    this.rewriting.abandon();
    await this.database.close();
    this.database = await this.generations.reopen();
    this.readAnew();
  }

  /**
   * The instance may hold what a write that failed was to bring. So nothing stays in memory but what its journal has,
   * and whoever waits for keys is to look.
   */
  private readAnew(): void {
    this.rewriting.abandon();
    this.stored = openShardMeta(this.database);
    this.meta = this.stored;
    this.hidden.reread(this.database, this.meta);
    this.takeUp(this.database);
    this.waits.anyChanged();
  }

  /** Writes a row of the shard's own, durably, as it is on the disk. */
  private probe(): void {
    writeShardMeta(this.database, readShardMeta(this.database));
    this.database.commit(true);
  }

  /** Closes the shard, what waits for a commit is dropped. */
  async close(): Promise<void> {
    this.rewriting.abandon();
    this.snapshots.endAll();
    if (this.hasChanges) this.rollback(true);
    this.journal.writeAllBack(this.database);
    this.replication.close(this.database);
    this.forgetRows();
    this.generations.dropSpare();
    await this.database.close();
    await this.generations.settled();
  }
}
