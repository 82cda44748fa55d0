import type { Buffer } from 'node:buffer';
import {
  type ByteReader,
  lengthBytesMax,
  NUMBER_BYTES_MAX,
  writeNumber,
  writeText,
  writeUint64,
} from '../binary.js';
import { RowType, type StringValue } from '../row.js';
import {
  COLLECTION_OVERHEAD_BYTES,
  type Collection,
  FormFlag,
  INLINE_BYTES_MAX,
  INLINE_ENTRIES_MAX,
  INLINE_ENTRY_OVERHEAD_BYTES,
  sampledBytes,
} from './collection.js';
import { copyRows } from './copy-rows.js';
import { type ElementHost, ElementKind } from './elements.js';
import { FieldDeadlines, type FieldExpiries, InlineDeadlines } from './field-expiries.js';
import { MemberRows } from './member-rows.js';

/*
 * Payload: the form, then
 *   inline: number of fields; for each: field (text), value (text), and if fields expire: expiry (number, 0 = none)
 *   large:  version (8 bytes), number of fields, and if fields expire: number of those that do, lower bound of the first
 *           expiry (numbers)
 */

/** Fields that are picked before the live ones are counted out: nearly all have ended. */
const PICKS_MAX = 1000;

/**
 * The value of a hash. Fields may have an expiry; those that have ended are not seen, and stay until
 * {@link removeEnded} takes them away.
 */
export class HashValue implements Collection {
  readonly type = RowType.Hash;
  private inline: Map<string, StringValue> | undefined = new Map();
  /** Bytes of the inline fields and values. */
  private bytes = 0;
  private rows: MemberRows | undefined;
  /** Undefined while no field expires. */
  private expiries: FieldExpiries | undefined;
  /** Whether Redis would have a hash table. */
  private converted = false;

  constructor(private readonly host: ElementHost) {}

  static decode(reader: ByteReader, host: ElementHost): HashValue {
    const hash = new HashValue(host);
    const form = reader.byte();
    const expires = (form & FormFlag.Expires) !== 0;
    hash.converted = (form & FormFlag.Converted) !== 0;
    if ((form & FormFlag.Large) !== 0) {
      const store = host.elements(reader.version());
      hash.inline = undefined;
      hash.rows = new MemberRows(store, reader.number());
      if (expires) hash.expiries = new FieldDeadlines(store, reader.number(), reader.number());
    } else {
      const deadlines = new Map<string, number>();
      for (let left = reader.number(); left > 0; left--) {
        const field = reader.text();
        hash.setInline(hash.inline!, field, reader.value());
        const expiresAtMs = expires ? reader.number() : 0;
        if (expiresAtMs !== 0) deadlines.set(field, expiresAtMs);
      }
      if (expires) hash.expiries = new InlineDeadlines(deadlines);
    }
    reader.end();
    return hash;
  }

  /** Number of fields, those included that have ended and are still there. */
  get size(): number {
    return this.inline?.size ?? this.rows!.size;
  }

  get version(): number {
    return this.rows?.store.version ?? 0;
  }

  get encoding(): string {
    return this.converted ? 'hashtable' : 'listpack';
  }

  get nextExpiryMs(): number {
    return this.expiries?.nextMs ?? 0;
  }

  get footprintBytes(): number {
    const expiryBytes = (this.expiries?.inlineCount ?? 0) * INLINE_ENTRY_OVERHEAD_BYTES.hash;
    const fields = this.inline?.size ?? 0;
    return COLLECTION_OVERHEAD_BYTES + this.bytes + fields * INLINE_ENTRY_OVERHEAD_BYTES.hash + expiryBytes;
  }

  elementBytes(): number {
    return sampledBytes(this.rows?.store, ElementKind.Member, this.size);
  }

  get encodedBytesMax(): number {
    const expiryBytes = this.expiries === undefined ? 0 : NUMBER_BYTES_MAX;
    const fieldBytes = 2 * lengthBytesMax(this.bytes) + expiryBytes;
    return 10 + 3 * NUMBER_BYTES_MAX + this.bytes + (this.inline?.size ?? 0) * fieldBytes;
  }

  encode(target: Buffer, at: number): number {
    const { inline, expiries } = this;
    target[at] =
      (inline === undefined ? FormFlag.Large : 0) |
      (this.converted ? FormFlag.Converted : 0) |
      (expiries !== undefined ? FormFlag.Expires : 0);
    if (inline === undefined) {
      writeUint64(target, at + 1, this.version);
      const end = writeNumber(target, at + 9, this.rows!.size);
      return expiries === undefined
        ? end
        : writeNumber(target, writeNumber(target, end, expiries.count), expiries.nextMs);
    }
    let end = writeNumber(target, at + 1, inline.size);
    for (const [field, value] of inline) {
      end = writeText(target, writeText(target, end, field), value);
      if (expiries !== undefined) end = writeNumber(target, end, expiries.of(field));
    }
    return end;
  }

  copy(host: ElementHost): HashValue {
    const copy = new HashValue(host);
    copy.converted = this.converted;
    copy.bytes = this.bytes;
    copy.inline = this.inline && new Map(this.inline);
    const store = this.rows && copyRows(this.rows.store, host);
    copy.rows = store && new MemberRows(store, this.rows!.size);
    copy.expiries = this.expiries?.copy(store);
    return copy;
  }

  /** Number of fields that have not ended. */
  liveSize(nowMs: number): number {
    return this.size - (this.expiries?.countEnded(nowMs) ?? 0);
  }

  get(field: string, nowMs: number): StringValue | undefined {
    const value = this.inline === undefined ? this.rows!.get(field) : this.inline.get(field);
    return value === undefined || this.expiries?.hasEnded(field, nowMs) ? undefined : value;
  }

  getMany(fields: readonly string[], nowMs: number): (StringValue | undefined)[] {
    const { inline, expiries } = this;
    if (inline !== undefined || expiries !== undefined) return fields.map((field) => this.get(field, nowMs));
    return this.rows!.getMany(fields);
  }

  /** Has fields in memory that are to be set one by one. */
  prefetch(fields: readonly string[]): void {
    this.rows?.prefetch(fields);
  }

  /**
   * Sets a field; its expiry ends unless it is to stay.
   * @returns whether the field is new
   */
  set(field: string, value: StringValue, nowMs: number, keepsExpiry = false): boolean {
    if (this.expiries !== undefined) {
      if (this.expiries.hasEnded(field, nowMs)) this.discard(field);
      else if (!keepsExpiry) this.setExpiry(field, 0);
    }
    const { inline } = this;
    const isNew = inline === undefined ? this.rows!.set(field, value) : this.setInline(inline, field, value);
    if (!this.converted) {
      const { hashEntriesMax, hashValueBytesMax } = this.host.limits;
      this.converted =
        this.size > hashEntriesMax || field.length > hashValueBytesMax || value.length > hashValueBytesMax;
    }
    if (inline !== undefined && !this.hasRoom(inline)) this.promote(inline);
    return isNew;
  }

  private setInline(inline: Map<string, StringValue>, field: string, value: StringValue): boolean {
    const old = inline.get(field);
    this.bytes += value.length + (old === undefined ? field.length : -old.length);
    inline.set(field, value);
    return old === undefined;
  }

  private hasRoom(inline: ReadonlyMap<string, StringValue>): boolean {
    const entriesMax = Math.min(this.host.limits.hashEntriesMax, INLINE_ENTRIES_MAX);
    return inline.size <= entriesMax && this.bytes <= INLINE_BYTES_MAX;
  }

  private promote(inline: ReadonlyMap<string, StringValue>): void {
    const store = this.host.newElements();
    const rows = new MemberRows(store, 0);
    for (const [field, value] of inline) rows.add(field, value);
    this.rows = rows;
    this.inline = undefined;
    this.bytes = 0;
    if (this.expiries === undefined) return;
    const deadlines = new FieldDeadlines(store, 0, 0);
    this.expiries.each((field, atMs) => deadlines.set(field, atMs));
    this.expiries = deadlines;
  }

  /** Removes a field. @returns whether it was there; one that has ended was not */
  delete(field: string, nowMs: number): boolean {
    return !this.expiries?.hasEnded(field, nowMs) && this.discard(field);
  }

  /** Removes a field, ended or not. @returns whether it was there */
  private discard(field: string): boolean {
    const { inline } = this;
    if (inline === undefined) {
      if (!this.rows!.delete(field)) return false;
    } else {
      const value = inline.get(field);
      if (value === undefined) return false;
      this.bytes -= field.length + value.length;
      inline.delete(field);
    }
    this.setExpiry(field, 0);
    return true;
  }

  /** Visits live fields until `visit` returns false; nothing must change meanwhile. */
  each(nowMs: number, visit: (field: string, value: StringValue) => boolean): void {
    const { inline, expiries } = this;
    const seen = (field: string, value: StringValue): boolean =>
      expiries?.hasEnded(field, nowMs) ? true : visit(field, value);
    if (inline === undefined) this.rows!.each(true, expiries === undefined ? visit : seen);
    else for (const [field, value] of inline) if (!seen(field, value)) return;
  }

  /** As {@link each}, without the values, which is faster on a large hash. */
  eachName(nowMs: number, visit: (field: string) => boolean): void {
    const { inline, expiries } = this;
    const seen = (field: string): boolean => (expiries?.hasEnded(field, nowMs) ? true : visit(field));
    if (inline === undefined) this.rows!.each(false, expiries === undefined ? visit : seen);
    else for (const field of inline.keys()) if (!seen(field)) return;
  }

  /** See {@link MemberRows.scan}; a small hash is given whole. */
  scan(
    cursor: number,
    count: number,
    nowMs: number,
    visit: (field: string, value: StringValue) => void,
  ): number {
    if (this.inline !== undefined) {
      this.each(nowMs, (field, value) => {
        visit(field, value);
        return true;
      });
      return 0;
    }
    return this.rows!.scan(cursor, count, true, (field, value) => {
      if (!this.expiries?.hasEnded(field, nowMs)) visit(field, value);
    });
  }

  /** A random live field of a hash that has any. @param random in [0, 1) */
  pick(random: () => number, nowMs: number): string {
    const { inline, expiries } = this;
    if (inline === undefined) {
      for (let tries = 0; tries < PICKS_MAX; tries++) {
        const field = this.rows!.pick(random);
        if (!expiries?.hasEnded(field, nowMs)) return field;
      }
    }
    let left = Math.floor(random() * this.liveSize(nowMs));
    let found: string | undefined;
    this.each(nowMs, (field) => {
      found = field;
      return left-- > 0;
    });
    if (found === undefined) throw new Error('a pick from an empty hash');
    return found;
  }

  // ---------------------------------------------------------------- expiry

  /** When a field that is there ends, Unix milliseconds; 0 = never. */
  expiryOf(field: string): number {
    return this.expiries?.of(field) ?? 0;
  }

  /** Sets when a field that is there ends, Unix milliseconds; 0 = never. */
  setExpiry(field: string, expiresAtMs: number): void {
    if (this.expiries === undefined) {
      if (expiresAtMs === 0) return;
      this.expiries =
        this.rows === undefined ? new InlineDeadlines(new Map()) : new FieldDeadlines(this.rows.store, 0, 0);
    }
    this.expiries.set(field, expiresAtMs);
    if (this.expiries.count === 0) this.expiries = undefined;
  }

  removeEnded(nowMs: number, limit: number): number {
    const ended = this.expiries?.ended(nowMs, limit) ?? [];
    for (const field of ended) this.discard(field);
    return ended.length;
  }
}
