import type { Buffer } from 'node:buffer';
import { type ByteReader, writeLatin1 } from '../binary.js';
import { findMember, lengthAt, lengthCharacters, lengthEnd, ownText } from './packed-text.js';

/** A member of a sorted set, and what it is sorted by. */
export interface ScoredMember {
  readonly score: number;
  readonly member: string;
}

/** Whether one comes before another: by score, then by the bytes of the member. Both zeros are equal. */
export function comesBefore(left: ScoredMember, right: ScoredMember): boolean {
  return left.score < right.score || (left.score === right.score && left.member < right.member);
}

const SCORE_BYTES = 8;

/** Makes scores of eight characters, and the reverse. */
const conversion = new DataView(new ArrayBuffer(SCORE_BYTES));

function scoreCharacters(score: number): string {
  conversion.setFloat64(0, score);
  return String.fromCharCode(
    conversion.getUint8(0),
    conversion.getUint8(1),
    conversion.getUint8(2),
    conversion.getUint8(3),
    conversion.getUint8(4),
    conversion.getUint8(5),
    conversion.getUint8(6),
    conversion.getUint8(7),
  );
}

/**
 * The members of a small sorted set as they lie in its row, as one latin1 text: for each, in order, its score (a double,
 * big-endian), the length of the member (a number as in binary.ts), the member. As in Redis's list packs a member is found by passing over those before it; that
 * one text is in few lines of memory, and is written as it is, makes that faster than objects would be.
 *
 * Places are offsets of entries in the text; they hold until something changes.
 */
export class PackedScores {
  /** Length of the text that this one may be a piece of, see {@link ownText}. */
  private heldLength: number;

  private constructor(
    private text: string,
    private count: number,
  ) {
    this.heldLength = text.length;
  }

  static empty(): PackedScores {
    return new PackedScores('', 0);
  }

  /** Reads what {@link write} wrote. @throws RowFormatError */
  static read(reader: ByteReader, count: number): PackedScores {
    const entries = reader.ahead();
    let bytes = 0;
    for (let left = count; left > 0; left--) {
      const start = entries.position;
      entries.skip(SCORE_BYTES);
      entries.skip(entries.number());
      bytes += entries.position - start;
    }
    return new PackedScores(reader.latin1(bytes), count);
  }

  /** Writes the entries, for which there is room. Returns where they end. */
  write(target: Buffer, at: number): number {
    writeLatin1(target, at, this.text);
    return at + this.text.length;
  }

  copy(): PackedScores {
    const copy = new PackedScores(this.text, this.count);
    copy.heldLength = this.heldLength;
    return copy;
  }

  get size(): number {
    return this.count;
  }

  /** Bytes of all of it. */
  get bytes(): number {
    return this.text.length;
  }

  /** The place of a member; −1 where it is none. */
  find(member: string): number {
    return findMember(this.text, member, SCORE_BYTES);
  }

  score(at: number): number {
    const { text } = this;
    for (let index = 0; index < SCORE_BYTES; index++) conversion.setUint8(index, text.charCodeAt(at + index));
    return conversion.getFloat64(0);
  }

  entry(at: number): ScoredMember {
    const start = this.memberStart(at);
    return { score: this.score(at), member: this.text.slice(start, start + this.memberLength(at)) };
  }

  /** The place behind the entry at a place. */
  next(at: number): number {
    return this.memberStart(at) + this.memberLength(at);
  }

  /** The place of the entry at an index from 0 to the size, which is that behind the last one. */
  place(index: number): number {
    let at = 0;
    for (let left = index; left > 0; left--) at = this.next(at);
    return at;
  }

  /** How many entries stand before the first that `isBefore` is false for. */
  rank(isBefore: (entry: ScoredMember) => boolean): number {
    let rank = 0;
    for (let at = 0; at < this.text.length && isBefore(this.entry(at)); at = this.next(at)) rank++;
    return rank;
  }

  /** Puts an entry in its place in the order; its member is not there. */
  insert(entry: ScoredMember): void {
    const { score, member } = entry;
    const { text } = this;
    let at = 0;
    while (at < text.length) {
      const other = this.score(at);
      if (other > score || (other === score && !comesBefore(this.entry(at), entry))) break;
      at = this.next(at);
    }
    const added = scoreCharacters(score) + lengthCharacters(member.length) + member;
    this.text = text.slice(0, at) + added + text.slice(at);
    this.heldLength = this.text.length;
    this.count++;
  }

  /** Takes out `count` entries, which lie between two places. */
  remove(from: number, to: number, count: number): void {
    const left = this.text.slice(0, from) + this.text.slice(to);
    const isSmall = left.length * 2 < this.heldLength;
    this.text = isSmall ? ownText(left) : left;
    if (isSmall) this.heldLength = left.length;
    this.count -= count;
  }

  private memberStart(at: number): number {
    return lengthEnd(this.text, at + SCORE_BYTES);
  }

  private memberLength(at: number): number {
    return lengthAt(this.text, at + SCORE_BYTES);
  }
}
