import { Buffer } from 'node:buffer';
import { type HybridClock, timestampOf } from '../base/clock.js';
import { Row, RowType, type StringValue } from '../types/row.js';
import {
  decodeRow,
  encodeTtlKey,
  TTL_KEY_PREFIX_BYTES,
  ttlKeyExpiry,
  ttlKeyUserKey,
} from '../types/row-codec.js';
import { RowTable } from '../types/row-table.js';
import type { KeyRange, ShardView } from '../types/shard-view.js';
import type { Generations } from './generations.js';
import { bounds, randomBetween } from './key-ranges.js';
import type { Database } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import { keyBytes, keyScratch, rowBytes, ttlKey } from './row-scratch.js';
import { ScanSessions } from './scan-sessions.js';
import { readShardMeta, type ShardMeta, writeShardMeta } from './shard-meta.js';
import { ShardRewrite } from './shard-rewrite.js';
import { WatchTable } from './watch-table.js';

/** Knobs of a shard, kept current by CONFIG SET. */
export interface ShardKnobs {
  tombstoneRetentionMs: number;
  scanIdleMaxMs: number;
}

/** What the shards of one worker share. */
export interface ShardEnvironment {
  readonly clock: HybridClock;
  readonly cache: RowCache;
  readonly knobs: ShardKnobs;
}

/** Counters since the worker began. */
export interface ShardCounters {
  keyspaceHits: number;
  keyspaceMisses: number;
  expired: number;
}

/**
 * A shard: one RocksDB instance and its rows in memory, used by one thread only.
 *
 * Commands change rows in memory and have them noted; {@link commit} derives everything else — the row's bytes, its
 * entry in the `ttl` family, the number of keys — from the difference between a noted row and what is stored of it,
 * and writes it in one batch. {@link rollback} forgets the noted rows, so that they are read from disk again.
 */
export class Shard implements ShardView {
  nowMs = 0;
  /** Whether reads count as accesses: not those of a client that said CLIENT NO-TOUCH. */
  countsAccess = true;
  /** Whether looking a key up is a hit or a miss: only while a command runs that reads, see the executor. */
  countsLookups = false;
  readonly counters: ShardCounters = { keyspaceHits: 0, keyspaceMisses: 0, expired: 0 };
  readonly watches = new WatchTable();
  /** Lower bound of the next expiry, Unix milliseconds: when to sweep. 0 = nothing will expire. */
  nextExpiryMs = 1;

  private readonly rows = new RowTable();
  private dirty: Row[] = [];
  /** With the changes that wait for their commit as far as they are noted there; `stored` is what the disk has. */
  private meta: ShardMeta;
  private stored: ShardMeta;
  private metaDirty = false;
  private readonly scans: ScanSessions;
  /** The empty instance that the next commit switches to: the shard was flushed. */
  private flushedTo: Database | undefined;
  private spare: Database | undefined;
  private rewriting: ShardRewrite | undefined;
  private sweptUntilMs = 0;

  constructor(
    readonly id: number,
    private database: Database,
    private readonly generations: Generations,
    private readonly environment: ShardEnvironment,
  ) {
    this.stored = readShardMeta(database);
    this.meta = this.stored;
    this.scans = new ScanSessions(Math.random() * 2 ** 30, environment.knobs.scanIdleMaxMs);
  }

  // ---------------------------------------------------------------- reading

  find(key: string): Row | undefined {
    const row = this.load(key);
    if (!this.isLive(row)) {
      if (this.countsLookups) this.counters.keyspaceMisses++;
      return undefined;
    }
    if (this.countsLookups) this.counters.keyspaceHits++;
    if (this.countsAccess) row.accessedMs = this.nowMs;
    return row;
  }

  peek(key: string): Row | undefined {
    const row = this.load(key);
    const live = this.isLive(row);
    if (this.countsLookups) this.counters[live ? 'keyspaceHits' : 'keyspaceMisses']++;
    return live ? row : undefined;
  }

  /** Whether a row is in memory, so that reading it costs no call to RocksDB. */
  isCached(key: string): boolean {
    return this.rows.has(key);
  }

  /** Brings rows into memory with one call. */
  prefetch(keys: readonly string[]): void {
    const stored = this.source().getMany('default', keys.map(keyBytes));
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]!;
      if (!this.rows.has(key)) this.admit(key, stored[index]);
    }
  }

  private load(key: string): Row {
    const row = this.rows.get(key);
    if (row !== undefined) {
      row.visited = true;
      return row;
    }
    return this.admit(key, this.source().get('default', keyScratch(key)));
  }

  /** Takes a row into the cache. A key without a row is remembered as absent, so that asking again is as cheap. */
  private admit(key: string, stored: Buffer | undefined): Row {
    const row = new Row(key, this.rows);
    if (stored !== undefined) decodeRow(row, stored);
    row.accessedMs = this.nowMs;
    this.rows.add(row);
    this.environment.cache.add(row);
    this.environment.cache.loads++;
    return row;
  }

  private isLive(row: Row): boolean {
    return (
      row.type !== RowType.Absent &&
      row.type !== RowType.Tombstone &&
      (row.expiresAtMs === 0 || row.expiresAtMs > this.nowMs)
    );
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
    if (expiresAtMs !== 0) this.noteExpiry(expiresAtMs);
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
    row.flags = flags;
    this.stage(row);
  }

  setExpiry(row: Row, expiresAtMs: number): void {
    this.stamp(row, undefined);
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) {
      this.erase(row);
      return;
    }
    row.expiresAtMs = expiresAtMs;
    if (expiresAtMs !== 0) this.noteExpiry(expiresAtMs);
    this.note(row);
  }

  remove(key: string, eventTimeMs?: number): boolean {
    const row = this.load(key);
    const live = this.isLive(row);
    if (!live && eventTimeMs === undefined) return false;
    if (!this.stamp(row, eventTimeMs)) return false;
    this.erase(row);
    return live;
  }

  /** Gives a row the timestamp of the write at hand. Returns false if a later one holds. */
  private stamp(row: Row, eventTimeMs: number | undefined): boolean {
    const { clock } = this.environment;
    // What has ended, and left no tombstone or one that may be forgotten, competes no more: whether it is still in
    // memory, or was not swept yet, must make no difference.
    const isForgotten = row.expiresAtMs !== 0 && row.expiresAtMs <= this.nowMs;
    const held = row.type === RowType.Absent || isForgotten ? 0 : row.timestamp;
    if (eventTimeMs === undefined) {
      row.timestamp = clock.next(this.nowMs, held);
      return true;
    }
    const timestamp = timestampOf(eventTimeMs);
    if (timestamp < held) return false;
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
      this.noteExpiry(row.expiresAtMs);
    }
    this.note(row);
  }

  private note(row: Row): void {
    this.stage(row);
    if (this.watches.size !== 0) this.watches.changed(row.key);
  }

  private stage(row: Row): void {
    if (!row.dirty) {
      row.dirty = true;
      this.dirty.push(row);
    }
    this.environment.cache.resized(row);
  }

  private noteExpiry(expiresAtMs: number): void {
    if (this.nextExpiryMs === 0 || expiresAtMs < this.nextExpiryMs) this.nextExpiryMs = expiresAtMs;
    if (expiresAtMs < this.sweptUntilMs) this.sweptUntilMs = expiresAtMs;
  }

  // ---------------------------------------------------------------- counting and visiting

  count(): number {
    return this.tally().live;
  }

  countExpiring(): number {
    return this.tally().expiring;
  }

  /** Stored counts, less what is due but not swept, with the noted rows' changes. */
  private tally(): { live: number; expiring: number } {
    let { live, expiring } = this.flushedTo ? { live: 0, expiring: 0 } : this.meta;
    this.eachDue(Number.POSITIVE_INFINITY, () => {
      live--;
      expiring--;
    });
    for (const row of this.dirty) {
      if (isCounted(row.storedType) && (row.storedExpiresAtMs === 0 || row.storedExpiresAtMs > this.nowMs)) {
        live--;
        if (row.storedExpiresAtMs !== 0) expiring--;
      }
      if (this.isLive(row)) {
        live++;
        if (row.expiresAtMs !== 0) expiring++;
      }
    }
    return { live, expiring };
  }

  /**
   * Mean time until the keys that expire do: exact for few, from a random sample of keys for many. 0 when there are
   * none, or the sample has none.
   */
  averageTtlMs(): number {
    if (this.countExpiring() === 0) return 0;
    let expiries: number[] = [];
    this.eachTtlEntry(Number.MAX_SAFE_INTEGER, (key, expiresAtMs) => {
      if (
        expiresAtMs > this.nowMs &&
        (!this.meta.keepsTombstones || this.peek(key)?.expiresAtMs === expiresAtMs)
      )
        expiries.push(expiresAtMs);
      return expiries.length <= EXPIRIES_COUNTED_MAX;
    });
    if (expiries.length > EXPIRIES_COUNTED_MAX) {
      const rows = Array.from({ length: EXPIRIES_SAMPLED }, () => this.peek(this.randomKey() ?? ''));
      expiries = rows.flatMap((row) => (row !== undefined && row.expiresAtMs !== 0 ? [row.expiresAtMs] : []));
    }
    if (expiries.length === 0) return 0;
    return Math.round(expiries.reduce((sum, at) => sum + at - this.nowMs, 0) / expiries.length);
  }

  /** Visits stored keys whose expiry has come, tombstones left out, in order of expiry. */
  private eachDue(limit: number, visit: (key: string) => void): void {
    if (this.nextExpiryMs === 0 || this.nextExpiryMs > this.nowMs) return;
    let seen = 0;
    this.eachTtlEntry(this.nowMs, (key) => {
      // A tombstone's entry is in the same family; its row tells.
      if (this.meta.keepsTombstones && !isCounted(this.load(key).storedType)) return true;
      visit(key);
      return ++seen < limit;
    });
  }

  private eachTtlEntry(untilMs: number, visit: (key: string, expiresAtMs: number) => boolean): void {
    const from = Buffer.alloc(TTL_KEY_PREFIX_BYTES);
    encodeTtlKey(this.sweptUntilMs, '', from);
    this.source().iterate({ family: 'ttl', from, values: false }, (entry) => {
      const expiresAtMs = ttlKeyExpiry(entry);
      return expiresAtMs <= untilMs && visit(ttlKeyUserKey(entry), expiresAtMs);
    });
  }

  randomKey(): string | undefined {
    if (this.count() === 0) return undefined;
    const first = this.firstKey({ prefix: '' });
    const last = this.lastStoredKey() ?? first;
    if (first === undefined) return undefined;
    const skip = Math.floor(Math.random() * RANDOM_SKIP_MAX);
    const target = randomBetween(first, last ?? first);
    return this.keyAfterSkip(target, skip) ?? this.keyAfterSkip(undefined, skip) ?? first;
  }

  /** The `skip`-th live key behind `after`, or the last one there is before that. */
  private keyAfterSkip(after: string | undefined, skip: number): string | undefined {
    let left = skip;
    let found: string | undefined;
    this.visit({ prefix: '', ...(after === undefined ? {} : { after }) }, false, (key) => {
      found = key;
      return left-- > 0;
    });
    return found;
  }

  private firstKey(range: KeyRange): string | undefined {
    let first: string | undefined;
    this.visit(range, false, (key) => {
      first = key;
      return false;
    });
    return first;
  }

  private lastStoredKey(): string | undefined {
    let last: string | undefined;
    this.source().iterate({ family: 'default', reverse: true, values: false }, (key) => {
      last = key.latin1Slice();
      return false;
    });
    return last;
  }

  visit(range: KeyRange, withRows: boolean, visit: (key: string, row: Row | undefined) => boolean): void {
    const staged = this.dirtyIn(range);
    const hidden = this.dueKeys();
    let next = 0;
    let stopped = false;
    /** Visits the noted rows up to `key`; returns whether `key` is one of them. */
    const visitStaged = (key: string | undefined): boolean => {
      while (!stopped && next < staged.length && (key === undefined || staged[next]!.key <= key)) {
        const row = staged[next++]!;
        if (this.isLive(row) && !visit(row.key, row)) stopped = true;
        if (row.key === key) return true;
      }
      return false;
    };
    const values = withRows || this.meta.keepsTombstones;
    this.source().iterate({ family: 'default', values, ...bounds(range) }, (keyBytesStored, stored) => {
      const key = keyBytesStored.latin1Slice();
      if (visitStaged(key) || stopped) return !stopped;
      if (hidden?.has(key)) return true;
      let row: Row | undefined;
      if (stored !== undefined) {
        row = this.rows.get(key);
        if (row === undefined) {
          row = new Row(key);
          decodeRow(row, stored);
          row.accessedMs = this.nowMs;
        }
        if (!this.isLive(row)) return true;
      }
      if (!visit(key, row)) stopped = true;
      return !stopped;
    });
    if (!stopped) visitStaged(undefined);
  }

  private dirtyIn(range: KeyRange): Row[] {
    const { prefix, after } = range;
    return this.dirty
      .filter((row) => row.key.startsWith(prefix) && (after === undefined || row.key > after))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  private dueKeys(): Set<string> | undefined {
    if (this.nextExpiryMs === 0 || this.nextExpiryMs > this.nowMs) return undefined;
    const due = new Set<string>();
    this.eachDue(Number.POSITIVE_INFINITY, (key) => due.add(key));
    return due;
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
    if (this.meta.live === 0 && this.dirty.length === 0 && !this.meta.keepsTombstones) return;
    this.watches.allChanged((key) => this.peek(key) !== undefined);
    this.forgetRows();
    if (this.flushedTo === undefined) {
      if (this.spare === undefined) throw new Error(`shard ${this.id}: a flush that was not prepared`);
      this.flushedTo = this.spare;
      this.spare = undefined;
    }
    this.nextExpiryMs = 0;
    this.sweptUntilMs = 0;
    this.scans.clear();
  }

  private forgetRows(): void {
    for (const row of this.dirty) row.dirty = false;
    this.dirty = [];
    for (const row of [...this.rows.values()]) this.environment.cache.remove(row);
  }

  // ---------------------------------------------------------------- committing

  /** Whether anything waits for a commit. */
  get hasChanges(): boolean {
    return this.dirty.length !== 0 || this.flushedTo !== undefined || this.metaDirty;
  }

  /**
   * Writes all changes in one batch. When it returns they survive the death of the process.
   * @param sync also that of the machine
   * @throws StorageError, with nothing written; the caller then calls {@link rollback}
   */
  commit(sync: boolean): void {
    const target = this.source();
    const meta: ShardMeta = { ...this.meta };
    if (this.flushedTo) Object.assign(meta, { live: 0, expiring: 0 });
    for (const row of this.dirty) this.stageRow(target, row, meta);
    if (
      this.metaDirty ||
      this.flushedTo ||
      meta.live !== this.meta.live ||
      meta.expiring !== this.meta.expiring
    )
      writeShardMeta(target, meta);
    if (target.staged !== 0) target.commit(sync || this.flushedTo !== undefined);
    if (this.flushedTo) {
      this.abandonRewrite();
      this.generations.switchTo(this.flushedTo, this.database);
      this.database = this.flushedTo;
      this.flushedTo = undefined;
    }
    this.stored = meta;
    this.meta = meta;
    this.metaDirty = false;
    for (const row of this.dirty) {
      row.dirty = false;
      row.storedType = row.type;
      row.storedExpiresAtMs = row.expiresAtMs;
    }
    this.dirty = [];
  }

  private stageRow(target: Database, row: Row, meta: ShardMeta): void {
    const key = keyScratch(row.key);
    if (row.type === RowType.Absent) {
      if (row.storedType !== RowType.Absent) target.delete('default', key);
    } else {
      target.put('default', key, rowBytes(row));
    }
    if (row.expiresAtMs !== row.storedExpiresAtMs) {
      if (row.storedExpiresAtMs !== 0) target.delete('ttl', ttlKey(row.storedExpiresAtMs, row.key));
      if (row.expiresAtMs !== 0) target.put('ttl', ttlKey(row.expiresAtMs, row.key), EMPTY);
    }
    if (isCounted(row.storedType)) {
      meta.live--;
      if (row.storedExpiresAtMs !== 0) meta.expiring--;
    }
    if (isCounted(row.type)) {
      meta.live++;
      if (row.expiresAtMs !== 0) meta.expiring++;
    }
  }

  /** Forgets all changes since the last commit: memory shows again what the disk holds. */
  rollback(): void {
    this.source().discard();
    for (const row of this.dirty) {
      row.dirty = false;
      this.environment.cache.remove(row);
    }
    this.dirty = [];
    this.metaDirty = false;
    if (this.flushedTo) {
      this.forgetRows();
      this.generations.dispose(this.flushedTo);
      this.flushedTo = undefined;
    }
    this.meta = this.stored;
    this.nextExpiryMs = 1;
    this.sweptUntilMs = 0;
  }

  /**
   * Ends keys whose time has come, at most `limit`, as changes to be committed.
   * @returns whether more are due
   */
  sweep(nowMs: number, limit: number): boolean {
    this.nowMs = nowMs;
    let taken = 0;
    let upcomingMs = 0;
    const due: string[] = [];
    this.eachTtlEntry(Number.MAX_SAFE_INTEGER, (key, expiresAtMs) => {
      if (expiresAtMs > nowMs || taken === limit) {
        upcomingMs = expiresAtMs;
        return false;
      }
      due.push(key);
      this.sweptUntilMs = expiresAtMs;
      taken++;
      return true;
    });
    for (const key of due) this.sweepRow(this.load(key));
    this.nextExpiryMs = upcomingMs;
    return upcomingMs !== 0 && upcomingMs <= nowMs;
  }

  private sweepRow(row: Row): void {
    if (row.expiresAtMs === 0 || row.expiresAtMs > this.nowMs) return;
    if (isCounted(row.type)) this.counters.expired++;
    row.type = RowType.Absent;
    row.value = '';
    row.expiresAtMs = 0;
    // Not a change to those who watch the key: they ask whether it is still there.
    this.stage(row);
  }

  // ---------------------------------------------------------------- rewriting

  /**
   * Copies the next slice into the instance that is to take this one's place, begun if need be. To be called between
   * batches.
   * @returns what is left to be done
   * @throws StorageError, and then nothing has changed
   */
  async rewriteSlice(): Promise<ShardRewrite> {
    this.rewriting ??= await ShardRewrite.begin(this.database, this.generations);
    const { rewriting } = this;
    this.orAbandon(() => rewriting.copySlice());
    return rewriting;
  }

  /**
   * Puts the copy in the shard's place. To be called between batches.
   * @returns whether it was: a shard that has been emptied since is another one
   * @throws StorageError, and then the shard is as before
   */
  finishRewrite(rewrite: ShardRewrite): boolean {
    if (this.rewriting !== rewrite) return false;
    // A generation that was prepared before would come after this one in time, but not in number.
    if (this.spare !== undefined) this.generations.dispose(this.spare);
    this.spare = undefined;
    this.orAbandon(() => {
      rewrite.finish();
      this.generations.switchTo(rewrite.target, this.database);
    });
    this.database = rewrite.target;
    this.rewriting = undefined;
    return true;
  }

  /** Gives up a rewriting, if one is under way. */
  abandonRewrite(): void {
    if (this.rewriting === undefined) return;
    this.rewriting.abandon();
    this.generations.dispose(this.rewriting.target);
    this.rewriting = undefined;
  }

  private orAbandon(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.abandonRewrite();
      throw error;
    }
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

  /** After a failed write RocksDB refuses further ones; a new instance on the same files does not. */
  async reopen(): Promise<void> {
    this.abandonRewrite();
    await this.database.close();
    this.database = await this.generations.reopen();
    this.stored = readShardMeta(this.database);
    this.meta = this.stored;
  }

  /** Writes a row of the shard's own, durably, to see whether the disk takes writes. */
  probe(): void {
    writeShardMeta(this.database, this.meta);
    this.database.commit(true);
  }

  async close(): Promise<void> {
    this.abandonRewrite();
    this.forgetRows();
    for (const unused of [this.spare, this.flushedTo]) if (unused) this.generations.dispose(unused);
    await this.database.close();
    await this.generations.settled();
  }
}

const EMPTY = Buffer.alloc(0);
const RANDOM_SKIP_MAX = 16;
/** Expiries that are averaged one by one; of more, a sample is. */
const EXPIRIES_COUNTED_MAX = 500;
const EXPIRIES_SAMPLED = 20;

/** Whether a stored type is a key to its users. */
function isCounted(type: RowType): boolean {
  return type !== RowType.Absent && type !== RowType.Tombstone;
}
