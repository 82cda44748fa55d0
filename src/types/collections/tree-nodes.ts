import { Buffer } from 'node:buffer';
import { ByteReader, RowFormatError, readUint48, writeLatin1, writeUint48 } from '../binary.js';
import type { Encodable } from './elements.js';
import { PATCH_OVERHEAD_BYTES, writePatchHeader } from './node-patches.js';

/** How the entries of a tree are encoded, measured and, in an ordered tree, compared. */
export interface EntryCodec<E> {
  /** Bytes that {@link write} writes. */
  bytes(entry: E): number;
  /** Bytes an entry takes in memory beside those of its text. */
  readonly overheadBytes: number;
  /** Returns where the entry ends. */
  write(target: Buffer, at: number, entry: E): number;
  read(reader: ByteReader): E;
  /** Whether inner nodes keep a bound of each child, by which entries are found: the tree is ordered. */
  readonly isOrdered: boolean;
  /** What an inner node keeps of an entry that bounds a child; without, the entry itself. */
  boundOf?(entry: E): E;
  /** What entries are in the order of first, where that is a number: inner nodes have those of their bounds side by side. */
  leading?(entry: E): number;
  /** Leaves of a kind of their own; without, they hold their entries as objects. */
  readonly leaves?: LeafKind<E>;
}

/** Makes leaves. */
export interface LeafKind<E> {
  /** A new leaf. */
  of(codec: EntryCodec<E>, entries: readonly E[]): Leaf<E>;
  /** Reads the entries of a leaf that is on disk, which end where the bytes end. @throws RowFormatError */
  read(codec: EntryCodec<E>, bytes: Buffer, count: number): Leaf<E>;
}

/** A new leaf of the kind that a tree of these entries has. */
export function newLeaf<E>(codec: EntryCodec<E>, entries: E[]): Leaf<E> {
  return codec.leaves?.of(codec, entries) ?? EntriesLeaf.of(codec, entries);
}

/** What a node costs in memory beside its entries. */
export const NODE_OVERHEAD_BYTES = 200;
/** What a child of an inner node costs in memory: its id, its count, its link, their places, its part of the encoded node. */
const CHILD_OVERHEAD_BYTES = 88;
/** A node of which more has changed between two commits is written whole. */
export const NODE_PATCHES_BYTES_MAX = 1024;

/*
 * A leaf:        2, number of entries (2 bytes), entries
 * An inner node: 3, number of children (2 bytes), for each child its id (6 bytes) and the number of entries below it (6
 *                bytes); in an ordered tree then the bounds of all children but the first
 * Before format 4:
 * A leaf:        0, number of entries, entries
 * An inner node: 1, number of children, for each child its id (text) and the number of entries below it; then as above
 */
const OLD_LEAF = 0;
const OLD_INNER = 1;
const LEAF = 2;
const INNER = 3;
/** Bytes before the entries of a leaf, or the children of an inner node. */
export const NODE_HEADER_BYTES = 3;
const COUNT_AT = 1;
const ID_BYTES = 6;
const COUNT_BYTES = 6;
const CHILD_BYTES = ID_BYTES + COUNT_BYTES;
/** A patch of a count: in inner nodes below 2^21 bytes, which is as many children as their number can tell. */
const COUNT_PATCH_BYTES_MAX = 5 + COUNT_BYTES;

/** What all nodes of trees have in common: whether they are in memory, and the link of the node above that leads to them. */
class Linked<E> {
  isStaged = false;
  row: { visited: boolean } | undefined = undefined;
  /** The node above, if it has a link to this one. */
  above: Inner<E> | undefined = undefined;

  left(): void {
    this.row = undefined;
    this.above?.unlink(this);
  }
}

/** A change of a leaf since the last commit, see node-patches.ts. */
interface Change<E> {
  readonly at: number;
  readonly removedBytes: number;
  readonly inserted: E | undefined;
  readonly insertedBytes: number;
  readonly previous: Change<E> | undefined;
}

/** A leaf, however it holds its entries. */
export abstract class Leaf<E> extends Linked<E> implements Encodable {
  readonly isLeaf = true;
  /** What has changed last since the last commit, unless the leaf is to be written whole. */
  private lastChange: Change<E> | undefined = undefined;
  patchBytesMax = 0;

  constructor(
    readonly codec: EntryCodec<E>,
    /** Sum of the encoded entries. */
    public bytes: number,
    public isWhole: boolean,
  ) {
    super();
  }

  /** How many entries it has. */
  abstract readonly length: number;
  abstract readonly footprintBytes: number;
  /** The entry at an offset below the length. */
  abstract at(offset: number): E;
  /**
   * How many entries come before a place in the order.
   * @param entry the one whose place it is, where there is one: then `isBefore` may be spared
   */
  abstract countBefore(isBefore: (entry: E) => boolean, entry?: E): number;
  abstract insert(offset: number, entry: E): void;
  /** Puts another entry in the place of one. @returns that one */
  abstract replace(offset: number, entry: E): E;
  abstract remove(offset: number, count: number): void;
  /** Takes the entries from an offset on away, for another leaf. */
  abstract split(offset: number): Leaf<E>;
  /** Takes over all entries of the leaf behind it, which is of the same kind. */
  abstract join(right: Leaf<E>): void;
  abstract encode(): Buffer;

  get encodedBytes(): number {
    return NODE_HEADER_BYTES + this.bytes;
  }

  /** Notes a change. @param at where it begins in the encoded leaf */
  protected note(at: number, removedBytes: number, inserted: E | undefined, insertedBytes: number): void {
    if (this.isWhole) return;
    if (this.patchBytesMax === 0) this.patchBytesMax = PATCH_OVERHEAD_BYTES;
    this.patchBytesMax += PATCH_OVERHEAD_BYTES + insertedBytes;
    if (this.patchBytesMax > NODE_PATCHES_BYTES_MAX) {
      this.becomeWhole();
      return;
    }
    this.lastChange = { at, removedBytes, inserted, insertedBytes, previous: this.lastChange };
  }

  private forgetChanges(): void {
    this.lastChange = undefined;
    this.patchBytesMax = 0;
  }

  protected becomeWhole(): void {
    this.forgetChanges();
    this.isWhole = true;
  }

  settled(): void {
    this.forgetChanges();
    this.isWhole = false;
    this.isStaged = false;
  }

  writePatches(target: Buffer, at: number): number {
    if (this.lastChange === undefined) return at;
    let end = this.writeChange(target, at, this.lastChange);
    end = writePatchHeader(target, end, COUNT_AT, 2, 2);
    return target.writeUInt16BE(this.length, end);
  }

  /** Writes a change behind those before it. Returns where it ends. */
  private writeChange(target: Buffer, at: number, change: Change<E>): number {
    const { previous, removedBytes, inserted, insertedBytes } = change;
    const start = previous === undefined ? at : this.writeChange(target, at, previous);
    const end = writePatchHeader(target, start, change.at, removedBytes, insertedBytes);
    return inserted === undefined ? end : this.codec.write(target, end, inserted);
  }

  /** Writes what stands before the entries. */
  protected writeHeader(target: Buffer): void {
    target[0] = LEAF;
    target.writeUInt16BE(this.length, COUNT_AT);
  }
}

/** A leaf whose entries are objects. */
export class EntriesLeaf<E> extends Leaf<E> {
  private constructor(
    codec: EntryCodec<E>,
    private readonly entries: E[],
    isWhole: boolean,
  ) {
    super(codec, sumOfBytes(codec, entries), isWhole);
  }

  /** A new leaf. */
  static of<E>(codec: EntryCodec<E>, entries: E[]): EntriesLeaf<E> {
    return new EntriesLeaf(codec, entries, true);
  }

  /** One that is on disk. */
  static stored<E>(codec: EntryCodec<E>, entries: E[]): EntriesLeaf<E> {
    return new EntriesLeaf(codec, entries, false);
  }

  get length(): number {
    return this.entries.length;
  }

  get footprintBytes(): number {
    return NODE_OVERHEAD_BYTES + this.bytes + this.entries.length * this.codec.overheadBytes;
  }

  at(offset: number): E {
    return this.entries[offset]!;
  }

  countBefore(isBefore: (entry: E) => boolean): number {
    const { entries } = this;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(entries[middle]!)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(offset: number, entry: E): void {
    const { entries } = this;
    const bytes = this.codec.bytes(entry);
    if (!this.isWhole) this.note(this.placeOf(offset), 0, entry, bytes);
    this.bytes += bytes;
    if (offset === entries.length) entries.push(entry);
    else if (offset === 0) entries.unshift(entry);
    else entries.splice(offset, 0, entry);
  }

  replace(offset: number, entry: E): E {
    const { codec, entries } = this;
    const old = entries[offset]!;
    const [oldBytes, bytes] = [codec.bytes(old), codec.bytes(entry)];
    if (!this.isWhole) this.note(this.placeOf(offset), oldBytes, entry, bytes);
    this.bytes += bytes - oldBytes;
    entries[offset] = entry;
    return old;
  }

  remove(offset: number, count: number): void {
    const { codec, entries } = this;
    let bytes = 0;
    for (let index = offset; index < offset + count; index++) bytes += codec.bytes(entries[index]!);
    if (!this.isWhole) this.note(this.placeOf(offset), bytes, undefined, 0);
    this.bytes -= bytes;
    if (count > 1) entries.splice(offset, count);
    else if (offset === 0) entries.shift();
    else if (offset === entries.length - 1) entries.pop();
    else entries.splice(offset, 1);
  }

  split(offset: number): EntriesLeaf<E> {
    this.becomeWhole();
    const right = EntriesLeaf.of(this.codec, this.entries.splice(offset));
    this.bytes -= right.bytes;
    return right;
  }

  join({ entries, bytes }: EntriesLeaf<E>): void {
    this.becomeWhole();
    this.entries.push(...entries);
    this.bytes += bytes;
  }

  /** Where the entry at an offset begins in the encoded leaf. */
  private placeOf(offset: number): number {
    const { codec, entries } = this;
    if (offset === entries.length) return NODE_HEADER_BYTES + this.bytes;
    let at = NODE_HEADER_BYTES;
    for (let index = 0; index < offset; index++) at += codec.bytes(entries[index]!);
    return at;
  }

  encode(): Buffer {
    const target = Buffer.allocUnsafe(this.encodedBytes);
    this.writeHeader(target);
    let at = NODE_HEADER_BYTES;
    for (const entry of this.entries) at = this.codec.write(target, at, entry);
    return target;
  }
}

export class Inner<E> extends Linked<E> implements Encodable {
  readonly isLeaf = false;
  /** Children in memory that have been come to by {@link link}, at their places: looking them up costs more. */
  private readonly links: (TreeNode<E> | undefined)[] = [];
  /** Children whose counts have changed since the last commit, unless the node is to be written whole. */
  private readonly counted: number[] = [];
  /** Bytes of the encoded bounds; −1: not known. */
  private knownBoundBytes = -1;
  /** The node as it was encoded last, in which counts alone may have changed; undefined: there is more. */
  private image: Buffer | undefined = undefined;
  /** What the bounds are in the order of first, side by side; undefined: not known. */
  private knownLeadings: readonly number[] | undefined = undefined;

  constructor(
    readonly codec: EntryCodec<E>,
    /** Ids of the children. Whoever changes them, or bounds, says {@link restructure} before. */
    readonly children: string[],
    /** Entries below each child. */
    readonly counts: number[],
    /**
     * In an ordered tree a bound of each child but the first, whose place holds undefined: no entry below the child
     * comes before it, and none below the children to the left comes behind it.
     */
    readonly bounds: (E | undefined)[],
    public isWhole = true,
  ) {
    super();
  }

  /** A child that has been linked and is in memory still. */
  linked(slot: number): TreeNode<E> | undefined {
    const child = this.links[slot];
    if (child !== undefined) child.row!.visited = true;
    return child;
  }

  /** Remembers where a child is, as long as it stays in memory. */
  link(slot: number, child: TreeNode<E>): void {
    if (child.row === undefined || this.row === undefined) return;
    child.above = this;
    this.links[slot] = child;
  }

  /** A child has left memory. */
  unlink(child: Linked<E>): void {
    child.above = undefined;
    const slot = (this.links as (Linked<E> | undefined)[]).indexOf(child);
    if (slot >= 0) this.links[slot] = undefined;
  }

  private unlinkAll(): void {
    for (const child of this.links) if (child !== undefined) child.above = undefined;
    this.links.length = 0;
  }

  override left(): void {
    super.left();
    this.unlinkAll();
  }

  private get boundBytes(): number {
    if (this.knownBoundBytes < 0) this.knownBoundBytes = sumOfBytes(this.codec, this.bounds);
    return this.knownBoundBytes;
  }

  get footprintBytes(): number {
    const { children, bounds, codec } = this;
    const overheadBytes = children.length * CHILD_OVERHEAD_BYTES + bounds.length * codec.overheadBytes;
    return NODE_OVERHEAD_BYTES + overheadBytes + 2 * this.boundBytes;
  }

  get encodedBytes(): number {
    return NODE_HEADER_BYTES + this.children.length * CHILD_BYTES + this.boundBytes;
  }

  /** Adds to the number of entries below a child. */
  addCount(slot: number, count: number): void {
    this.counts[slot]! += count;
    if (!this.isWhole && !this.counted.includes(slot)) this.counted.push(slot);
  }

  /** More than counts is about to change. */
  restructure(): void {
    this.unlinkAll();
    this.counted.length = 0;
    this.isWhole = true;
    this.knownBoundBytes = -1;
    this.knownLeadings = undefined;
    this.image = undefined;
  }

  /**
   * The last child whose bound comes before the place: all entries before the place are below it or to its left.
   * @param entry the one whose place it is, where there is one: then most bounds need not be looked at
   */
  slotBefore(isBefore: (entry: E) => boolean, entry?: E): number {
    const { bounds, codec } = this;
    const leading = entry === undefined ? undefined : codec.leading?.(entry);
    const leadings = leading === undefined ? undefined : this.leadings(codec);
    let low = 0;
    let high = this.children.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const known = leadings?.[middle];
      // Numbers that are equal, and none at all, do not tell.
      if (known! < leading! || (!(known! > leading!) && isBefore(bounds[middle] as E))) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private leadings(codec: EntryCodec<E>): readonly number[] {
    if (this.knownLeadings !== undefined) return this.knownLeadings;
    const leadings = [Number.NEGATIVE_INFINITY];
    for (let slot = 1; slot < this.bounds.length; slot++)
      leadings.push(codec.leading!(this.bounds[slot] as E));
    this.knownLeadings = leadings;
    return leadings;
  }

  get patchBytesMax(): number {
    return this.counted.length * COUNT_PATCH_BYTES_MAX;
  }

  settled(): void {
    this.isWhole = false;
    this.isStaged = false;
    this.counted.length = 0;
  }

  writePatches(target: Buffer, at: number): number {
    const { counts, counted } = this;
    let end = at;
    for (const slot of counted) {
      const offset = NODE_HEADER_BYTES + slot * CHILD_BYTES + ID_BYTES;
      end = writePatchHeader(target, end, offset, COUNT_BYTES, COUNT_BYTES);
      end = writeUint48(target, end, counts[slot]!);
    }
    return end;
  }

  encode(): Buffer {
    const { counts } = this;
    this.image ??= this.withoutCounts();
    let at = NODE_HEADER_BYTES + ID_BYTES;
    for (let slot = 0; slot < counts.length; slot++, at += CHILD_BYTES)
      writeUint48(this.image, at, counts[slot]!);
    return this.image;
  }

  /** The encoded node, with counts yet to be written. */
  private withoutCounts(): Buffer {
    const { codec, children, bounds } = this;
    const target = Buffer.allocUnsafeSlow(this.encodedBytes);
    target[0] = INNER;
    let at = target.writeUInt16BE(children.length, COUNT_AT);
    for (const child of children) {
      writeLatin1(target, at, child);
      at += CHILD_BYTES;
    }
    for (const bound of bounds) if (bound !== undefined) at = codec.write(target, at, bound);
    return target;
  }
}

export type TreeNode<E> = Leaf<E> | Inner<E>;

function sumOfBytes<E>(codec: EntryCodec<E>, entries: readonly (E | undefined)[]): number {
  let bytes = 0;
  for (const entry of entries) if (entry !== undefined) bytes += codec.bytes(entry);
  return bytes;
}

/** @throws RowFormatError for bytes that are no node */
export function decodeNode<E>(bytes: Buffer, codec: EntryCodec<E>): TreeNode<E> {
  const reader = new ByteReader(bytes);
  const form = reader.byte();
  if (form > INNER) throw new RowFormatError(`a tree's node of form ${form}`);
  const isOld = form < LEAF;
  const count = isOld ? reader.number() : reader.byte() * 256 + reader.byte();
  if (form === LEAF && codec.leaves !== undefined) return codec.leaves.read(codec, bytes, count);
  if (form === LEAF || form === OLD_LEAF) {
    const entries: E[] = [];
    for (let index = 0; index < count; index++) entries.push(codec.read(reader));
    reader.end();
    // What is there is not what patches are about, if it has another form: then the leaf is to be written whole.
    return isOld ? newLeaf(codec, entries) : EntriesLeaf.stored(codec, entries);
  }
  const node = new Inner<E>(codec, [], [], [], form === OLD_INNER);
  for (let slot = 0; slot < count; slot++) {
    node.children.push(isOld ? reader.text() : reader.latin1(ID_BYTES));
    node.counts.push(isOld ? reader.number() : readUint48(reader.bytes(COUNT_BYTES), 0));
  }
  if (codec.isOrdered)
    for (let slot = 0; slot < count; slot++) node.bounds.push(slot === 0 ? undefined : codec.read(reader));
  reader.end();
  return node;
}
