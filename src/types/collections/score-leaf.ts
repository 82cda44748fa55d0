import { Buffer } from 'node:buffer';
import { ByteReader } from '../binary.js';
import type { ScoredMember } from './packed-scores.js';
import {
  type EntryCodec,
  Leaf,
  type LeafKind,
  NODE_HEADER_BYTES,
  NODE_OVERHEAD_BYTES,
} from './tree-nodes.js';

/** What a leaf's Buffer costs beside its bytes: the object, its memory's, and what V8 keeps of it outside its heap. */
const CONTENT_OVERHEAD_BYTES = 400;
const SCORE_BYTES = 8;
/** Most bytes that are kept free behind the entries. */
const ROOM_BYTES_MAX = 512;
/** Memory beyond what is needed from which on it is given back. */
const WASTE_BYTES_MAX = 4096;

/** Makes the words of a score. */
const conversion = new DataView(new ArrayBuffer(SCORE_BYTES));

/** The upper word of a score, so turned that words are in the order of scores; of −0 it is −1, of 0 it is 0. */
function ordered(word: number): number {
  return word ^ ((word >> 31) & 0x7fff_ffff);
}

/** Bytes to take for a leaf that needs so many: some more, so that the next entries find room. */
function roomFor(bytes: number): number {
  return bytes + Math.min(bytes >> 2, ROOM_BYTES_MAX) + 64;
}

/**
 * A leaf of a sorted set's tree as it lies on the disk: what finds a place in it, or changes it, passes over a few lines
 * of memory side by side. Entries that are objects with their texts lie all over memory, and each look at one waits for it.
 */
class ScoreLeaf extends Leaf<ScoredMember> {
  private constructor(
    codec: EntryCodec<ScoredMember>,
    /** The encoded leaf, but for its header, and room behind it. */
    private content: Buffer,
    private count: number,
    bytes: number,
    isWhole: boolean,
  ) {
    super(codec, bytes, isWhole);
  }

  static of(codec: EntryCodec<ScoredMember>, entries: readonly ScoredMember[]): ScoreLeaf {
    let bytes = 0;
    for (const entry of entries) bytes += codec.bytes(entry);
    const content = Buffer.allocUnsafeSlow(roomFor(NODE_HEADER_BYTES + bytes));
    let at = NODE_HEADER_BYTES;
    for (const entry of entries) at = codec.write(content, at, entry);
    return new ScoreLeaf(codec, content, entries.length, bytes, true);
  }

  static read(codec: EntryCodec<ScoredMember>, bytes: Buffer, count: number): ScoreLeaf {
    const reader = new ByteReader(bytes, NODE_HEADER_BYTES);
    for (let left = count; left > 0; left--) {
      reader.skip(SCORE_BYTES);
      reader.skip(reader.number());
    }
    reader.end();
    return new ScoreLeaf(
      codec,
      copyOf(bytes, 0, bytes.length),
      count,
      bytes.length - NODE_HEADER_BYTES,
      false,
    );
  }

  get length(): number {
    return this.count;
  }

  get footprintBytes(): number {
    return NODE_OVERHEAD_BYTES + CONTENT_OVERHEAD_BYTES + this.content.length;
  }

  /** Where the entries end. */
  private get end(): number {
    return NODE_HEADER_BYTES + this.bytes;
  }

  at(offset: number): ScoredMember {
    return this.entry(this.placeOf(offset));
  }

  /** The entry that begins at a place. */
  private entry(at: number): ScoredMember {
    const start = this.memberStart(at);
    const member = this.content.latin1Slice(start, start + this.memberLength(at));
    return { score: this.content.readDoubleBE(at), member };
  }

  /** Where the entry at an offset begins; for the length itself, where the last one ends. */
  private placeOf(offset: number): number {
    if (offset === this.count) return this.end;
    let at = NODE_HEADER_BYTES;
    for (let left = offset; left > 0; left--) at = this.next(at);
    return at;
  }

  /** Where the entry that begins at a place ends. */
  private next(at: number): number {
    return this.memberStart(at) + this.memberLength(at);
  }

  private memberStart(at: number): number {
    let start = at + SCORE_BYTES;
    while (this.content[start]! >= 128) start++;
    return start + 1;
  }

  private memberLength(at: number): number {
    const { content } = this;
    let start = at + SCORE_BYTES;
    let length = content[start]! & 127;
    for (let scale = 128; content[start]! >= 128; scale *= 128) length += (content[++start]! & 127) * scale;
    return length;
  }

  countBefore(isBefore: (entry: ScoredMember) => boolean, entry?: ScoredMember): number {
    if (entry !== undefined) return this.countBeforeEntry(entry);
    const places: number[] = [];
    for (let at = NODE_HEADER_BYTES; at < this.end; at = this.next(at)) places.push(at);
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.entry(places[middle]!))) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private countBeforeEntry({ score, member }: ScoredMember): number {
    const { content, end } = this;
    conversion.setFloat64(0, score);
    const wanted = ordered(conversion.getInt32(0));
    let count = 0;
    for (let at = NODE_HEADER_BYTES; at < end; at = this.next(at), count++) {
      const word = ordered(
        (content[at]! << 24) | (content[at + 1]! << 16) | (content[at + 2]! << 8) | content[at + 3]!,
      );
      if (word < wanted - 1) continue;
      if (word > wanted + 1) break;
      // The upper words do not tell, or only one of two zeros, which are equal, is below 0.
      const other = content.readDoubleBE(at);
      if (other > score || (other === score && !this.isMemberBefore(at, member))) break;
    }
    return count;
  }

  /** Whether the member of the entry at a place comes before another, byte by byte. */
  private isMemberBefore(at: number, member: string): boolean {
    const { content } = this;
    const start = this.memberStart(at);
    const length = this.memberLength(at);
    const common = Math.min(length, member.length);
    for (let index = 0; index < common; index++) {
      const difference = content[start + index]! - member.charCodeAt(index);
      if (difference !== 0) return difference < 0;
    }
    return length < member.length;
  }

  insert(offset: number, entry: ScoredMember): void {
    this.exchange(this.placeOf(offset), 0, entry);
    this.count++;
  }

  replace(offset: number, entry: ScoredMember): ScoredMember {
    const at = this.placeOf(offset);
    const old = this.entry(at);
    this.exchange(at, this.next(at) - at, entry);
    return old;
  }

  remove(offset: number, count: number): void {
    const from = this.placeOf(offset);
    let to = from;
    for (let left = count; left > 0; left--) to = this.next(to);
    this.exchange(from, to - from, undefined);
    this.count -= count;
  }

  /** Puts an entry, or nothing, in the place of some bytes. */
  private exchange(at: number, removedBytes: number, entry: ScoredMember | undefined): void {
    const { codec, end } = this;
    const bytes = entry === undefined ? 0 : codec.bytes(entry);
    this.note(at, removedBytes, entry, bytes);
    const newEnd = end + bytes - removedBytes;
    this.makeRoom(Math.max(end, newEnd));
    this.content.copyWithin(at + bytes, at + removedBytes, end);
    if (entry !== undefined) codec.write(this.content, at, entry);
    this.bytes = newEnd - NODE_HEADER_BYTES;
    if (this.content.length > roomFor(newEnd) + WASTE_BYTES_MAX)
      this.content = copyOf(this.content, 0, newEnd);
  }

  private makeRoom(bytes: number): void {
    if (bytes <= this.content.length) return;
    const content = Buffer.allocUnsafeSlow(roomFor(bytes));
    this.content.copy(content, 0, 0, this.end);
    this.content = content;
  }

  split(offset: number): ScoreLeaf {
    this.becomeWhole();
    const { codec, content, count, end } = this;
    const at = this.placeOf(offset);
    const right = copyOf(content, at - NODE_HEADER_BYTES, end);
    this.content = copyOf(content, 0, at);
    this.bytes = at - NODE_HEADER_BYTES;
    this.count = offset;
    return new ScoreLeaf(codec, right, count - offset, end - at, true);
  }

  join(right: ScoreLeaf): void {
    this.becomeWhole();
    const { end } = this;
    this.makeRoom(end + right.bytes);
    right.content.copy(this.content, end, NODE_HEADER_BYTES, right.end);
    this.bytes += right.bytes;
    this.count += right.count;
  }

  encode(): Buffer {
    this.writeHeader(this.content);
    return this.content.subarray(0, this.end);
  }
}

/** A copy of bytes, in memory of its own with some room. */
function copyOf(source: Buffer, from: number, to: number): Buffer {
  const content = Buffer.allocUnsafeSlow(roomFor(to - from));
  source.copy(content, 0, from, to);
  return content;
}

/** The leaves of sorted sets. */
export const SCORE_LEAVES: LeafKind<ScoredMember> = {
  of: ScoreLeaf.of,
  read: ScoreLeaf.read,
};
