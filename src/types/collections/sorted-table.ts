import { Buffer } from 'node:buffer';
import { ByteReader, NUMBER_BYTES_MAX, writeLatin1, writeNumber } from '../binary.js';
import { CountedTree, readTreeState, TREE_STATE_BYTES_MAX, writeTreeState } from './counted-tree.js';
import type { ElementStore } from './elements.js';
import type { EntryCodec } from './tree-nodes.js';

/** How entries are encoded, and the text by which they are found and in whose order they lie. */
export interface KeyedCodec<E> extends EntryCodec<E> {
  keyOf(entry: E): string;
}

/** Entries are encoded here to become text; longer ones stay objects. */
const scratch = Buffer.allocUnsafeSlow(16 << 10);

/**
 * Entries in order of a key that each has, inline while they are few, in an ordered tree of element rows when they
 * have become many. Entries are not changed in place: another one is {@link put}.
 *
 * Inline ones are objects, or one text as they are encoded, if they were only added to between one encoding and the
 * next: objects are looked for all over memory when they are encoded, a text is written at once.
 */
export class SortedTable<E> {
  /** Bytes of the inline entries, encoded. */
  private inlineBytes = 0;
  private inlineCount = 0;
  /** The inline entries; undefined while they are in `text`. */
  private entries: E[] | undefined;
  /** Encoded, one character a byte. */
  private text = '';
  /** Whether objects were needed since they were encoded last. */
  private needsObjects = false;
  private tree: CountedTree<E> | undefined;

  constructor(
    private readonly codec: KeyedCodec<E>,
    /** Number of the first tree node, so that several tables share the rows of one collection. */
    private readonly firstNode = 0,
  ) {}

  /** The inline entries, as objects from now on; undefined if there is a tree. */
  private get inline(): E[] | undefined {
    if (this.tree !== undefined) return undefined;
    this.needsObjects = true;
    return this.entries ?? this.unpack();
  }

  private unpack(): E[] {
    const reader = new ByteReader(Buffer.from(this.text, 'latin1'));
    const entries: E[] = [];
    while (!reader.isAtEnd) entries.push(this.codec.read(reader));
    this.entries = entries;
    this.text = '';
    return entries;
  }

  get size(): number {
    return this.tree?.size ?? this.inlineCount;
  }

  /** Bytes of its entries as they are encoded inline; 0 of a tree. */
  get bytes(): number {
    return this.inlineBytes;
  }

  /** Bytes it takes in memory, element rows left out. */
  get footprintBytes(): number {
    const { overheadBytes } = this.codec;
    return this.inlineBytes + this.inlineCount * overheadBytes;
  }

  /** Bytes that {@link encode} may write at most. */
  get encodedBytesMax(): number {
    return this.tree === undefined ? this.inlineBytes + NUMBER_BYTES_MAX : TREE_STATE_BYTES_MAX;
  }

  /** Writes the number of entries and the entries, or the state of the tree. Returns where it ends. */
  encode(target: Buffer, at: number): number {
    const { tree, entries, codec } = this;
    if (tree !== undefined) return writeTreeState(target, at, tree.state);
    const start = writeNumber(target, at, this.inlineCount);
    if (entries === undefined) {
      writeLatin1(target, start, this.text);
      return start + this.text.length;
    }
    let end = start;
    for (const entry of entries) end = codec.write(target, end, entry);
    if (!this.needsObjects) {
      this.text = target.latin1Slice(start, end);
      this.entries = undefined;
    }
    this.needsObjects = false;
    return end;
  }

  /** Reads what {@link encode} wrote. @param store the element rows, if there is a tree */
  decode(reader: ByteReader, store: ElementStore | undefined): void {
    if (store !== undefined) this.useTree(new CountedTree(store, this.codec, readTreeState(reader)));
    else {
      this.entries = [];
      for (let left = reader.number(); left > 0; left--) this.append(this.codec.read(reader));
    }
  }

  /** Becomes what another table is. @param store the copied element rows, if it has a tree */
  copyFrom(source: SortedTable<E>, store: ElementStore | undefined): void {
    if (store !== undefined) this.useTree(new CountedTree(store, this.codec, { ...source.tree!.state }));
    else {
      this.entries = source.entries && [...source.entries];
      this.text = source.text;
      this.inlineBytes = source.inlineBytes;
      this.inlineCount = source.inlineCount;
    }
  }

  private useTree(tree: CountedTree<E>): void {
    this.tree = tree;
    this.entries = undefined;
    this.text = '';
    this.inlineBytes = 0;
    this.inlineCount = 0;
  }

  /** Turns an array into a tree. @param convert gives what an entry becomes in the tree */
  promote(store: ElementStore, convert: (entry: E) => E): void {
    const entries = this.inline!;
    this.useTree(CountedTree.create(store, this.codec, undefined, this.firstNode));
    for (const entry of entries) this.tree!.insertAt(this.tree!.size, convert(entry));
  }

  /** How many entries have keys before this one. */
  rank(key: string): number {
    const { inline, codec } = this;
    if (inline === undefined) return this.tree!.rank((entry) => codec.keyOf(entry) < key);
    let low = 0;
    let high = inline.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (codec.keyOf(inline[middle]!) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The entry at an index from 0 to size − 1. */
  at(index: number): E {
    return this.inline?.[index] ?? this.tree!.at(index);
  }

  /** Where the entry of a key is; −1 where there is none. */
  indexOf(key: string): number {
    const index = this.rank(key);
    return index < this.size && this.codec.keyOf(this.at(index)) === key ? index : -1;
  }

  get(key: string): E | undefined {
    const index = this.rank(key);
    const entry = index < this.size ? this.at(index) : undefined;
    return entry !== undefined && this.codec.keyOf(entry) === key ? entry : undefined;
  }

  /** Adds an entry, or puts it in the place of the one with its key. */
  put(entry: E): void {
    const { codec, inline } = this;
    const key = codec.keyOf(entry);
    const index = this.rank(key);
    const isThere = index < this.size && codec.keyOf(this.at(index)) === key;
    if (inline === undefined) {
      if (isThere) this.tree!.replaceAt(index, entry);
      else this.tree!.insert(entry, (other) => codec.keyOf(other) < key);
    } else if (isThere) {
      this.inlineBytes += codec.bytes(entry) - codec.bytes(inline[index]!);
      inline[index] = entry;
    } else {
      this.inlineBytes += codec.bytes(entry);
      this.inlineCount++;
      inline.splice(index, 0, entry);
    }
  }

  /** Adds an entry whose key comes behind all others. */
  append(entry: E): void {
    const { tree, codec } = this;
    if (tree !== undefined) {
      tree.insertAt(tree.size, entry);
      return;
    }
    const bytes = codec.bytes(entry);
    this.inlineBytes += bytes;
    this.inlineCount++;
    if (this.entries === undefined && bytes <= scratch.length) {
      codec.write(scratch, 0, entry);
      this.text += scratch.latin1Slice(0, bytes);
    } else (this.entries ?? this.unpack()).push(entry);
  }

  /** @returns whether there was one */
  delete(key: string): boolean {
    const index = this.indexOf(key);
    if (index >= 0) this.removeRange(index, index + 1);
    return index >= 0;
  }

  /** Removes the entries from index `from` to before `to`, and gives each to `visit`. */
  removeRange(from: number, to: number, visit?: (entry: E) => void): void {
    const { inline } = this;
    if (inline === undefined) {
      this.tree!.removeRange(from, to, visit);
      return;
    }
    for (const entry of inline.splice(from, to - from)) {
      this.inlineBytes -= this.codec.bytes(entry);
      this.inlineCount--;
      visit?.(entry);
    }
  }

  /** Visits entries from index `from` to before `to` until `visit` returns false; nothing must change meanwhile. */
  each(from: number, to: number, visit: (entry: E, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined) this.tree!.each(from, to, visit);
    else for (let index = from; index < to; index++) if (!visit(inline[index]!, index)) return;
  }

  /** As {@link each}, from the entry before `to` down to `from`. */
  eachReverse(from: number, to: number, visit: (entry: E, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined) this.tree!.eachReverse(from, to, visit);
    else for (let index = to - 1; index >= from; index--) if (!visit(inline[index]!, index)) return;
  }
}
