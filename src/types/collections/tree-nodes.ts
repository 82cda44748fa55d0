import { Buffer } from 'node:buffer';
import { ByteReader, numberBytes, RowFormatError, textBytes, writeNumber, writeText } from '../binary.js';
import type { Encodable } from './elements.js';

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
}

/** What a node costs in memory beside its entries. */
const NODE_OVERHEAD_BYTES = 120;
/** What a child of an inner node costs in memory: its id, its count, their places. */
const CHILD_OVERHEAD_BYTES = 60;

/*
 * A leaf:        0, number of entries, entries
 * An inner node: 1, number of children, for each child its id (text) and the number of entries below it;
 *                in an ordered tree then the bounds of all children but the first
 */
const LEAF = 0;
const INNER = 1;

export class Leaf<E> implements Encodable {
  readonly isLeaf = true;

  constructor(
    readonly codec: EntryCodec<E>,
    readonly entries: E[],
    /** Sum of the encoded entries. */
    public bytes: number,
  ) {}

  static of<E>(codec: EntryCodec<E>, entries: E[]): Leaf<E> {
    return new Leaf(
      codec,
      entries,
      entries.reduce((sum, entry) => sum + codec.bytes(entry), 0),
    );
  }

  get footprintBytes(): number {
    return NODE_OVERHEAD_BYTES + this.bytes + this.entries.length * this.codec.overheadBytes;
  }

  encode(): Buffer {
    const { codec, entries } = this;
    const target = Buffer.allocUnsafe(1 + numberBytes(entries.length) + this.bytes);
    target[0] = LEAF;
    let at = writeNumber(target, 1, entries.length);
    for (const entry of entries) at = codec.write(target, at, entry);
    return target;
  }
}

export class Inner<E> implements Encodable {
  readonly isLeaf = false;

  constructor(
    readonly codec: EntryCodec<E>,
    /** Ids of the children. */
    readonly children: string[],
    /** Entries below each child. */
    readonly counts: number[],
    /**
     * In an ordered tree a bound of each child but the first, whose place holds undefined: no entry below the child
     * comes before it, and none below the children to the left comes behind it.
     */
    readonly bounds: (E | undefined)[],
  ) {}

  get footprintBytes(): number {
    let bytes = NODE_OVERHEAD_BYTES + this.children.length * CHILD_OVERHEAD_BYTES;
    for (const bound of this.bounds)
      if (bound !== undefined) bytes += this.codec.bytes(bound) + this.codec.overheadBytes;
    return bytes;
  }

  encode(): Buffer {
    const { codec, children, counts, bounds } = this;
    let bytes = 1 + numberBytes(children.length);
    for (const [slot, child] of children.entries()) bytes += textBytes(child) + numberBytes(counts[slot]!);
    for (const bound of bounds) if (bound !== undefined) bytes += codec.bytes(bound);
    const target = Buffer.allocUnsafe(bytes);
    target[0] = INNER;
    let at = writeNumber(target, 1, children.length);
    for (const [slot, child] of children.entries()) {
      at = writeText(target, at, child);
      at = writeNumber(target, at, counts[slot]!);
    }
    for (const bound of bounds) if (bound !== undefined) at = codec.write(target, at, bound);
    return target;
  }
}

export type TreeNode<E> = Leaf<E> | Inner<E>;

/** @throws RowFormatError for bytes that are no node */
export function decodeNode<E>(bytes: Buffer, codec: EntryCodec<E>): TreeNode<E> {
  const reader = new ByteReader(bytes);
  const form = reader.byte();
  const count = reader.number();
  if (form === LEAF) {
    const entries: E[] = [];
    for (let index = 0; index < count; index++) entries.push(codec.read(reader));
    reader.end();
    return Leaf.of(codec, entries);
  }
  if (form !== INNER) throw new RowFormatError(`a tree's node of form ${form}`);
  const node = new Inner<E>(codec, [], [], []);
  for (let slot = 0; slot < count; slot++) {
    node.children.push(reader.text());
    node.counts.push(reader.number());
  }
  if (codec.isOrdered)
    for (let slot = 0; slot < count; slot++) node.bounds.push(slot === 0 ? undefined : codec.read(reader));
  reader.end();
  return node;
}
