import { type Collection, isValue } from '../../src/types/collections/collection.js';
import { Row, RowType, type StringValue } from '../../src/types/row.js';
import type { KeyRange, ShardView } from '../../src/types/shard-view.js';
import { MemoryHost } from './memory-elements.js';

/** A shard view over a Map, for unit tests of commands and types: no disk, a clock that the test drives. */
export class MemoryView implements ShardView {
  nowMs = 1_700_000_000_000;
  readonly rows = new Map<string, Row>();
  readonly collections = new MemoryHost();
  /** Timestamps of deletions that came with an event time. */
  private readonly tombstones = new Map<string, number>();
  private readonly cursors = new Map<string, { session: number; after: string }>();
  private sessions = 0;
  private clock = 0;

  find(key: string): Row | undefined {
    const row = this.peek(key);
    if (row) row.accessedMs = this.nowMs;
    return row;
  }

  peek(key: string): Row | undefined {
    const row = this.rows.get(key);
    if (row && row.expiresAtMs !== 0 && row.expiresAtMs <= this.nowMs) {
      this.rows.delete(key);
      return undefined;
    }
    return row;
  }

  setString(key: string, value: StringValue, expiresAtMs: number, eventTimeMs?: number, flags = 0): boolean {
    const held = Math.max(this.peek(key)?.timestamp ?? 0, this.tombstones.get(key) ?? 0);
    if (eventTimeMs !== undefined && eventTimeMs * 1024 < held) return false;
    const row = new Row(key);
    row.type = RowType.String;
    row.value = value;
    row.flags = flags;
    row.expiresAtMs = expiresAtMs;
    row.accessedMs = this.nowMs;
    row.timestamp = eventTimeMs === undefined ? this.tick(held) : eventTimeMs * 1024;
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.rows.delete(key);
    else this.rows.set(key, row);
    return true;
  }

  updateString(row: Row, value: StringValue, flags = row.flags): void {
    row.value = value;
    row.flags = flags;
    row.timestamp = this.tick(row.timestamp);
  }

  setCollection(key: string, value: Collection, expiresAtMs: number): void {
    const held = Math.max(this.peek(key)?.timestamp ?? 0, this.tombstones.get(key) ?? 0);
    if (!isValue(value) || (expiresAtMs !== 0 && expiresAtMs <= this.nowMs)) {
      this.rows.delete(key);
      return;
    }
    const row = this.rows.get(key) ?? new Row(key);
    row.type = value.type;
    row.value = '';
    row.collection = value;
    row.flags = 0;
    row.expiresAtMs = expiresAtMs;
    row.accessedMs = this.nowMs;
    row.timestamp = this.tick(held);
    this.rows.set(key, row);
  }

  changed(row: Row): void {
    this.setCollection(row.key, row.collection!, row.expiresAtMs);
  }

  rename(row: Row, to: string): void {
    const { collection, value, expiresAtMs, flags } = row;
    this.rows.delete(row.key);
    if (collection === undefined) this.setString(to, value, expiresAtMs, undefined, flags);
    else this.setCollection(to, collection, expiresAtMs);
  }

  setFlags(row: Row, flags: number): void {
    row.flags = flags;
  }

  setExpiry(row: Row, expiresAtMs: number): void {
    if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.rows.delete(row.key);
    else row.expiresAtMs = expiresAtMs;
  }

  remove(key: string, eventTimeMs?: number): boolean {
    const row = this.peek(key);
    const held = Math.max(row?.timestamp ?? 0, this.tombstones.get(key) ?? 0);
    if (eventTimeMs !== undefined && eventTimeMs * 1024 < held) return false;
    if (eventTimeMs !== undefined) this.tombstones.set(key, eventTimeMs * 1024);
    this.rows.delete(key);
    return row !== undefined;
  }

  count(): number {
    let live = 0;
    this.visit({ prefix: '' }, false, () => {
      live++;
      return true;
    });
    return live;
  }

  countExpiring(): number {
    let expiring = 0;
    this.visit({ prefix: '' }, true, (_key, row) => {
      if (row!.expiresAtMs !== 0) expiring++;
      return true;
    });
    return expiring;
  }

  randomKey(): string | undefined {
    const keys: string[] = [];
    this.visit({ prefix: '' }, false, (key) => {
      keys.push(key);
      return true;
    });
    return keys[Math.floor(Math.random() * keys.length)];
  }

  visit(range: KeyRange, _withRows: boolean, visit: (key: string, row: Row | undefined) => boolean): void {
    // Code unit order of latin1 text is byte order.
    for (const key of [...this.rows.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      if (!key.startsWith(range.prefix) || (range.after !== undefined && key <= range.after)) continue;
      const row = this.peek(key);
      if (row && !visit(key, row)) return;
    }
  }

  openCursor(cursor: string): { readonly session: number; readonly after: string | undefined } | undefined {
    if (cursor === '0') return { session: ++this.sessions, after: undefined };
    return this.cursors.get(cursor);
  }

  saveCursor(session: number, after: string): string {
    const cursor = String(this.cursors.size + 1);
    this.cursors.set(cursor, { session, after });
    return cursor;
  }

  closeCursor(session: number): void {
    for (const [cursor, saved] of this.cursors) if (saved.session === session) this.cursors.delete(cursor);
  }

  readonly canFlush = true;

  flush(): void {
    this.rows.clear();
  }

  private tick(above: number): number {
    this.clock = Math.max(this.nowMs * 1024, this.clock + 1, above + 1);
    return this.clock;
  }
}
