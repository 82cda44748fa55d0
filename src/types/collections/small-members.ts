import type { Buffer } from 'node:buffer';
import { type ByteReader, writeLatin1, writeText } from '../binary.js';
import { INLINE_ENTRY_OVERHEAD_BYTES } from './collection.js';
import { findMember, lengthAt, lengthCharacters, lengthEnd, ownText } from './packed-text.js';

/** Most members that are packed, and bytes of them: a place is found by passing over those before it, and a change makes a new text. */
const PACKED_MEMBERS_MAX = 64;
const PACKED_BYTES_MAX = 1024;

/**
 * The members of a small set, in the order in which they came. A few of them are one latin1 text, as they lie in the row —
 * for each its length and its bytes —, which is in few lines of memory and is written as it is; more of them are a Set. How many there are
 * decides, so that what is read again is as it was.
 */
export class SmallMembers {
  /** Undefined while {@link names} has them. */
  private text: string | undefined = '';
  private names: Set<string> | undefined;
  private count = 0;
  /** Length of the text that this one may be a piece of, see {@link ownText}. */
  private heldLength = 0;
  /** Bytes of the members. */
  bytes = 0;

  /** Reads what {@link write} wrote. @throws RowFormatError */
  static read(reader: ByteReader, count: number): SmallMembers {
    const members = new SmallMembers();
    const { position } = reader;
    const ahead = reader.ahead();
    for (let left = count; left > 0; left--) {
      const length = ahead.number();
      ahead.skip(length);
      members.bytes += length;
    }
    members.count = count;
    members.text = reader.latin1(ahead.position - position);
    members.heldLength = members.text.length;
    if (!members.isPackable) members.unpack(members.text);
    return members;
  }

  /** Writes the members, for which there is room. Returns where they end. */
  write(target: Buffer, at: number): number {
    const { text } = this;
    if (text !== undefined) {
      writeLatin1(target, at, text);
      return at + text.length;
    }
    let end = at;
    for (const member of this.names!) end = writeText(target, end, member);
    return end;
  }

  copy(): SmallMembers {
    const copy = new SmallMembers();
    copy.text = this.text;
    copy.names = this.names && new Set(this.names);
    copy.count = this.count;
    copy.bytes = this.bytes;
    copy.heldLength = this.heldLength;
    return copy;
  }

  get size(): number {
    return this.count;
  }

  /** Bytes it takes in memory. */
  get footprintBytes(): number {
    return this.text?.length ?? this.bytes + this.count * INLINE_ENTRY_OVERHEAD_BYTES.set;
  }

  private get isPackable(): boolean {
    return this.count <= PACKED_MEMBERS_MAX && this.bytes <= PACKED_BYTES_MAX;
  }

  has(member: string): boolean {
    return this.text === undefined ? this.names!.has(member) : findMember(this.text, member, 0) >= 0;
  }

  /** @returns whether it was not there */
  add(member: string): boolean {
    const { text } = this;
    if (this.has(member)) return false;
    this.count++;
    this.bytes += member.length;
    if (text === undefined) this.names!.add(member);
    else if (this.isPackable) {
      this.text = text + lengthCharacters(member.length) + member;
      this.heldLength = this.text.length;
    } else this.unpack(text).add(member);
    return true;
  }

  /** @returns whether it was there */
  delete(member: string): boolean {
    const { text } = this;
    if (text === undefined) {
      if (!this.names!.delete(member)) return false;
      this.gone(member);
      if (this.isPackable) this.pack(this.names!);
      return true;
    }
    const at = findMember(text, member, 0);
    if (at < 0) return false;
    this.cut(text, at, member);
    return true;
  }

  /** Removes the member at an index below the size, and gives it. */
  take(index: number): string {
    const member = this.at(index);
    this.delete(member);
    return member;
  }

  /** The member at an index below the size. */
  at(index: number): string {
    const { text } = this;
    let left = index;
    if (text !== undefined) {
      let at = 0;
      for (; left > 0; left--) at = next(text, at);
      return memberAt(text, at);
    }
    for (const member of this.names!) if (left-- === 0) return member;
    throw new RangeError(`member ${index} of ${this.count}`);
  }

  /** Visits the members until `visit` returns false; nothing must change meanwhile. */
  each(visit: (member: string) => boolean): void {
    const { text } = this;
    if (text === undefined) {
      for (const member of this.names!) if (!visit(member)) return;
      return;
    }
    for (let at = 0; at < text.length; at = next(text, at)) if (!visit(memberAt(text, at))) return;
  }

  private gone(member: string): void {
    this.count--;
    this.bytes -= member.length;
  }

  /** Takes a member out that stands at a place. */
  private cut(text: string, at: number, member: string): void {
    const left = text.slice(0, at) + text.slice(next(text, at));
    const isSmall = left.length * 2 < this.heldLength;
    this.text = isSmall ? ownText(left) : left;
    if (isSmall) this.heldLength = left.length;
    this.gone(member);
  }

  private unpack(text: string): Set<string> {
    const names = new Set<string>();
    // What is cut of a text of some length would hold all of it.
    for (let at = 0; at < text.length; at = next(text, at)) names.add(ownText(memberAt(text, at)));
    this.text = undefined;
    this.names = names;
    return names;
  }

  private pack(names: Set<string>): void {
    let text = '';
    for (const member of names) text += lengthCharacters(member.length) + member;
    this.names = undefined;
    this.text = text;
    this.heldLength = text.length;
  }
}

/** The place behind the member at a place. */
function next(text: string, at: number): number {
  return lengthEnd(text, at) + lengthAt(text, at);
}

function memberAt(text: string, at: number): string {
  const start = lengthEnd(text, at);
  return text.slice(start, start + lengthAt(text, at));
}
