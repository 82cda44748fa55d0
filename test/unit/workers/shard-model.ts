import { timestampOf } from '../../../src/base/clock.js';
import type { KeyRange } from '../../../src/types/shard-view.js';

interface ModelRow {
  readonly tombstone: boolean;
  readonly value: string;
  readonly flags: number;
  readonly timestamp: number;
  readonly expiresAtMs: number;
}

/** What a shard must do, over a Map: rows and tombstones, a staged state over a committed one. */
export class ShardModel {
  nowMs = 0;
  keepsTombstones = false;
  private rows = new Map<string, ModelRow>();
  private committed = new Map<string, ModelRow>();
  private committedKeepsTombstones = false;
  private clock = 0;

  constructor(private readonly retentionMs: number) {}

  live(key: string): ModelRow | undefined {
    const row = this.rows.get(key);
    if (row === undefined || row.tombstone || this.isDue(row)) return undefined;
    return row;
  }

  private isDue(row: ModelRow): boolean {
    return row.expiresAtMs !== 0 && row.expiresAtMs <= this.nowMs;
  }

  /** The timestamp of a write, or undefined if a later one holds. */
  private stamp(key: string, eventTimeMs: number | undefined): number | undefined {
    const row = this.rows.get(key);
    // What has expired competes no more, a tombstone included.
    const held = row === undefined || this.isDue(row) ? 0 : row.timestamp;
    if (eventTimeMs === undefined) {
      this.clock = Math.max(this.nowMs * 1024, Math.max(held, this.clock) + 1);
      return this.clock;
    }
    const timestamp = timestampOf(eventTimeMs);
    if (timestamp < held) return undefined;
    this.clock = Math.max(this.clock, timestamp);
    this.keepsTombstones = true;
    return timestamp;
  }

  private erase(key: string, timestamp: number): void {
    if (!this.keepsTombstones) {
      this.rows.delete(key);
      return;
    }
    const expiresAtMs = this.nowMs + this.retentionMs;
    this.rows.set(key, { tombstone: true, value: '', flags: 0, timestamp, expiresAtMs });
  }

  setString(key: string, value: string, expiresAtMs: number, eventTimeMs?: number, flags = 0): boolean {
    const timestamp = this.stamp(key, eventTimeMs);
    if (timestamp === undefined) return false;
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.erase(key, timestamp);
    else this.rows.set(key, { tombstone: false, value, flags, timestamp, expiresAtMs });
    return true;
  }

  updateString(key: string, value: string): void {
    const row = this.rows.get(key)!;
    this.rows.set(key, { ...row, value, timestamp: this.stamp(key, undefined)! });
  }

  setExpiry(key: string, expiresAtMs: number): void {
    const timestamp = this.stamp(key, undefined)!;
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.erase(key, timestamp);
    else this.rows.set(key, { ...this.rows.get(key)!, timestamp, expiresAtMs });
  }

  remove(key: string, eventTimeMs?: number): boolean {
    const live = this.live(key) !== undefined;
    if (!live && eventTimeMs === undefined) return false;
    const timestamp = this.stamp(key, eventTimeMs);
    if (timestamp === undefined) return false;
    this.erase(key, timestamp);
    return live;
  }

  flush(): void {
    this.rows.clear();
  }

  /** Ends the first `limit` rows that are due. Returns whether there are more. */
  sweep(limit: number): boolean {
    const due = [...this.rows].filter(([, row]) => this.isDue(row));
    due.sort(([a, first], [b, second]) => first.expiresAtMs - second.expiresAtMs || (a < b ? -1 : 1));
    for (const [key] of due.slice(0, limit)) this.rows.delete(key);
    return due.length > limit;
  }

  commit(): void {
    this.committed = new Map(this.rows);
    this.committedKeepsTombstones = this.keepsTombstones;
  }

  rollback(): void {
    this.rows = new Map(this.committed);
    this.keepsTombstones = this.committedKeepsTombstones;
  }

  /** The shard is opened anew, with a clock of its own. */
  reopen(): void {
    this.rollback();
    this.clock = 0;
  }

  keys(range: KeyRange = { prefix: '' }): string[] {
    return [...this.rows.keys()]
      .filter(
        (key) =>
          this.live(key) && key.startsWith(range.prefix) && (range.after === undefined || key > range.after),
      )
      .sort((a, b) => (a < b ? -1 : 1));
  }

  countExpiring(): number {
    return this.keys().filter((key) => this.rows.get(key)!.expiresAtMs !== 0).length;
  }
}
