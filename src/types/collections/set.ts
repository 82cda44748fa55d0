import type { Buffer } from 'node:buffer';
import { parseInt64 } from '../../base/numbers.js';
import { type ByteReader, lengthBytesMax, NUMBER_BYTES_MAX, writeNumber, writeUint64 } from '../binary.js';
import { RowType } from '../row.js';
import {
  COLLECTION_OVERHEAD_BYTES,
  type Collection,
  FormFlag,
  INLINE_BYTES_MAX,
  INLINE_ENTRIES_MAX,
  sampledBytes,
} from './collection.js';
import { copyRows } from './copy-rows.js';
import { type ElementHost, ElementKind } from './elements.js';
import { MemberRows } from './member-rows.js';
import { SmallMembers } from './small-members.js';

/*
 * Payload: the form, then
 *   inline: number of members, members (texts)
 *   large:  version (8 bytes), number of members
 */

/** The value of a set. */
export class SetValue implements Collection {
  readonly type = RowType.Set;
  readonly nextExpiryMs = 0;
  private inline: SmallMembers | undefined = new SmallMembers();
  private rows: MemberRows | undefined;
  /** Whether Redis would have a hash table. */
  private converted = false;

  constructor(private readonly host: ElementHost) {}

  static decode(reader: ByteReader, host: ElementHost): SetValue {
    const set = new SetValue(host);
    const form = reader.byte();
    set.converted = (form & FormFlag.Converted) !== 0;
    if ((form & FormFlag.Large) !== 0) {
      set.inline = undefined;
      set.rows = new MemberRows(host.elements(reader.version()), reader.number());
    } else set.inline = SmallMembers.read(reader, reader.number());
    reader.end();
    return set;
  }

  get size(): number {
    return this.inline?.size ?? this.rows!.size;
  }

  get version(): number {
    return this.rows?.store.version ?? 0;
  }

  get encoding(): string {
    return this.converted ? 'hashtable' : 'intset';
  }

  get footprintBytes(): number {
    return COLLECTION_OVERHEAD_BYTES + (this.inline?.footprintBytes ?? 0);
  }

  elementBytes(): number {
    return sampledBytes(this.rows?.store, ElementKind.Member, this.size);
  }

  get encodedBytesMax(): number {
    const { bytes, size } = this.inline ?? NO_MEMBERS;
    return 2 + 2 * NUMBER_BYTES_MAX + bytes + size * lengthBytesMax(bytes);
  }

  encode(target: Buffer, at: number): number {
    const { inline } = this;
    target[at] = (inline === undefined ? FormFlag.Large : 0) | (this.converted ? FormFlag.Converted : 0);
    if (inline === undefined) {
      writeUint64(target, at + 1, this.version);
      return writeNumber(target, at + 9, this.rows!.size);
    }
    return inline.write(target, writeNumber(target, at + 1, inline.size));
  }

  copy(host: ElementHost): SetValue {
    const copy = new SetValue(host);
    copy.converted = this.converted;
    copy.inline = this.inline?.copy();
    copy.rows = this.rows && new MemberRows(copyRows(this.rows.store, host), this.rows.size);
    return copy;
  }

  has(member: string): boolean {
    return this.inline?.has(member) ?? this.rows!.has(member);
  }

  hasMany(members: readonly string[]): boolean[] {
    const { inline } = this;
    if (inline !== undefined) return members.map((member) => inline.has(member));
    return this.rows!.getMany(members).map((value) => value !== undefined);
  }

  /** Has the rows of members in memory that are to be added one by one. */
  prefetch(members: readonly string[]): void {
    this.rows?.prefetch(members);
  }

  /** @returns whether it was not there */
  add(member: string): boolean {
    if (this.inline === undefined) {
      if (!this.rows!.insert(member, '')) return false;
    } else if (!this.inline.add(member)) return false;
    const { limits } = this.host;
    if (!this.converted)
      this.converted = this.size > limits.setIntegersMax || parseInt64(member) === undefined;
    if (this.inline !== undefined) {
      const entriesMax = this.converted ? limits.setEntriesMax : limits.setIntegersMax;
      if (this.inline.size > Math.min(entriesMax, INLINE_ENTRIES_MAX) || this.inline.bytes > INLINE_BYTES_MAX)
        this.promote(this.inline);
    }
    return true;
  }

  private promote(inline: SmallMembers): void {
    const rows = new MemberRows(this.host.newElements(), 0);
    inline.each((member) => {
      rows.add(member, '');
      return true;
    });
    this.rows = rows;
    this.inline = undefined;
  }

  /** @returns whether it was there */
  delete(member: string): boolean {
    return this.inline?.delete(member) ?? this.rows!.delete(member);
  }

  /** Visits the members until `visit` returns false; the set must not change meanwhile. */
  each(visit: (member: string) => boolean): void {
    const { inline } = this;
    if (inline === undefined) this.rows!.each(false, visit);
    else inline.each(visit);
  }

  /** The members; of a large set, in memory all at once. */
  members(): string[] {
    const members: string[] = [];
    this.each((member) => members.push(member) > 0);
    return members;
  }

  /** See {@link MemberRows.scan}; a small set is given whole. */
  scan(cursor: number, count: number, visit: (member: string) => void): number {
    if (this.inline === undefined) return this.rows!.scan(cursor, count, false, (member) => visit(member));
    this.inline.each((member) => {
      visit(member);
      return true;
    });
    return 0;
  }

  /** Removes a random member of a set that has any, and gives it. @param random in [0, 1) */
  take(random: () => number): string {
    const { inline } = this;
    return inline === undefined ? this.rows!.take(random) : inline.take(Math.floor(random() * inline.size));
  }

  /** A random member of a set that has any. @param random in [0, 1) */
  pick(random: () => number): string {
    const { inline } = this;
    return inline === undefined ? this.rows!.pick(random) : inline.at(Math.floor(random() * inline.size));
  }
}

const NO_MEMBERS = { bytes: 0, size: 0 };
