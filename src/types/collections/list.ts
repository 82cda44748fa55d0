import type { Buffer } from 'node:buffer';
import {
  type ByteReader,
  lengthBytesMax,
  NUMBER_BYTES_MAX,
  numberBytes,
  RowFormatError,
  textBytes,
  writeLatin1,
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
  sampledEntryBytes,
} from './collection.js';
import { copyRows } from './copy-rows.js';
import { CountedTree, readTreeState, TREE_STATE_BYTES_MAX, writeTreeState } from './counted-tree.js';
import { type ElementHost, ElementKind, type ElementStore, uint64Text } from './elements.js';
import type { EntryCodec } from './tree-nodes.js';

/*
 * Payload: the form, then
 *   inline: number of values, values (texts)
 *   large:  version (8 bytes), state of the tree, number of the next value row
 * In a leaf a value is twice its length (a number) and its bytes; one that is longer than VALUE_BYTES_MAX has a row of
 * its own, and in the leaf the number of the row, doubled, plus 1.
 */

/** Longest value in a leaf. */
const VALUE_BYTES_MAX = 1000;

/** A value in a leaf, or the number of the row that has it. */
type ListEntry = StringValue | number;

const CODEC: EntryCodec<ListEntry> = {
  bytes: (entry) =>
    typeof entry === 'number' ? numberBytes(entry * 2 + 1) : numberBytes(entry.length * 2) + entry.length,
  overheadBytes: 40,
  write(target, at, entry) {
    if (typeof entry === 'number') return writeNumber(target, at, entry * 2 + 1);
    const start = writeNumber(target, at, entry.length * 2);
    if (typeof entry === 'string') writeLatin1(target, start, entry);
    else target.set(entry, start);
    return start + entry.length;
  },
  read(reader) {
    const number = reader.number();
    return number % 2 === 1 ? (number - 1) / 2 : reader.latin1(number / 2);
  },
  isOrdered: false,
};

interface LargeForm {
  readonly store: ElementStore;
  readonly tree: CountedTree<ListEntry>;
  nextValue: number;
}

/** The value of a list. */
export class ListValue implements Collection {
  readonly type = RowType.List;
  readonly nextExpiryMs = 0;
  readonly encoding = 'quicklist';
  private inline: StringValue[] | undefined = [];
  /** Bytes of the inline values. */
  private bytes = 0;
  private large: LargeForm | undefined;

  constructor(private readonly host: ElementHost) {}

  static decode(reader: ByteReader, host: ElementHost): ListValue {
    const list = new ListValue(host);
    if ((reader.byte() & FormFlag.Large) !== 0) {
      const store = host.elements(reader.version());
      const tree = new CountedTree(store, CODEC, readTreeState(reader));
      list.inline = undefined;
      list.large = { store, tree, nextValue: reader.number() };
    } else
      for (let left = reader.number(); left > 0; left--) {
        const value = reader.value();
        list.inline!.push(value);
        list.bytes += value.length;
      }
    reader.end();
    return list;
  }

  get size(): number {
    return this.inline?.length ?? this.large!.tree.size;
  }

  get version(): number {
    return this.large?.store.version ?? 0;
  }

  get footprintBytes(): number {
    return (
      COLLECTION_OVERHEAD_BYTES + this.bytes + (this.inline?.length ?? 0) * INLINE_ENTRY_OVERHEAD_BYTES.list
    );
  }

  elementBytes(): number {
    if (this.large === undefined) return 0;
    return sampledEntryBytes(this.size, (count) => {
      let bytes = 0;
      this.each(0, count, (value) => {
        bytes += textBytes(value);
        return true;
      });
      return bytes;
    });
  }

  get encodedBytesMax(): number {
    const { bytes, inline } = this;
    if (inline === undefined) return 10 + TREE_STATE_BYTES_MAX + NUMBER_BYTES_MAX;
    return 1 + NUMBER_BYTES_MAX + bytes + inline.length * lengthBytesMax(bytes);
  }

  encode(target: Buffer, at: number): number {
    const { inline, large } = this;
    target[at] = large === undefined ? 0 : FormFlag.Large;
    if (inline === undefined) {
      writeUint64(target, at + 1, this.version);
      return writeNumber(target, writeTreeState(target, at + 9, large!.tree.state), large!.nextValue);
    }
    let end = writeNumber(target, at + 1, inline.length);
    for (const value of inline) end = writeText(target, end, value);
    return end;
  }

  copy(host: ElementHost): ListValue {
    const copy = new ListValue(host);
    copy.bytes = this.bytes;
    copy.inline = this.inline && [...this.inline];
    if (this.large !== undefined) {
      const { store: source, tree, nextValue } = this.large;
      const store = copyRows(source, host);
      copy.large = { store, tree: new CountedTree(store, CODEC, { ...tree.state }), nextValue };
    }
    return copy;
  }

  /** The value at an index from 0 to size − 1. */
  at(index: number): StringValue {
    return this.inline === undefined ? this.read(this.large!.tree.at(index)) : this.inline[index]!;
  }

  /** Puts a value before the one at `index`; 0 and the size itself put it at the ends. */
  insertAt(index: number, value: StringValue): void {
    if (this.inline !== undefined && !this.hasRoom(this.inline.length + 1, this.bytes + value.length))
      this.promote(this.inline);
    const { inline } = this;
    if (inline === undefined) {
      this.large!.tree.insertAt(index, this.stored(value));
      return;
    }
    this.bytes += value.length;
    if (index === inline.length) inline.push(value);
    else if (index === 0) inline.unshift(value);
    else inline.splice(index, 0, value);
  }

  private hasRoom(entries: number, bytes: number): boolean {
    const { listNodeSize } = this.host.limits;
    const entriesMax = listNodeSize > 0 ? Math.min(listNodeSize, INLINE_ENTRIES_MAX) : INLINE_ENTRIES_MAX;
    const bytesMax =
      listNodeSize < 0 ? Math.min(2048 * 2 ** -listNodeSize, INLINE_BYTES_MAX) : INLINE_BYTES_MAX;
    return entries <= entriesMax && bytes <= bytesMax;
  }

  private promote(inline: readonly StringValue[]): void {
    const store = this.host.newElements();
    this.large = { store, tree: CountedTree.create(store, CODEC), nextValue: 1 };
    this.inline = undefined;
    this.bytes = 0;
    for (const value of inline) this.large.tree.insertAt(this.large.tree.size, this.stored(value));
  }

  /** Puts another value in the place of the one at `index`. */
  replaceAt(index: number, value: StringValue): void {
    const { inline } = this;
    if (inline === undefined) {
      this.discard(this.large!.tree.replaceAt(index, this.stored(value)));
      return;
    }
    const bytes = this.bytes + value.length - inline[index]!.length;
    if (!this.hasRoom(inline.length, bytes)) {
      this.promote(inline);
      this.replaceAt(index, value);
      return;
    }
    this.bytes = bytes;
    inline[index] = value;
  }

  removeAt(index: number): StringValue {
    const { inline } = this;
    if (inline === undefined) {
      const entry = this.large!.tree.removeAt(index);
      const value = this.read(entry);
      this.discard(entry);
      return value;
    }
    const last = inline.length - 1;
    const value =
      index === last ? inline.pop()! : index === 0 ? inline.shift()! : inline.splice(index, 1)[0]!;
    this.bytes -= value.length;
    return value;
  }

  /** Removes `count` values from an index on. */
  removeRange(from: number, count: number): void {
    const { inline } = this;
    if (inline === undefined)
      this.large!.tree.removeRange(from, from + count, (entry) => this.discard(entry));
    else for (const value of inline.splice(from, count)) this.bytes -= value.length;
  }

  /** Visits values from index `from` to before `to` until `visit` returns false; nothing must change meanwhile. */
  each(from: number, to: number, visit: (value: StringValue, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined)
      this.large!.tree.each(from, to, (entry, index) => visit(this.read(entry), index));
    else for (let index = from; index < to; index++) if (!visit(inline[index]!, index)) return;
  }

  /** As {@link each}, from the value before `to` down to `from`. */
  eachReverse(from: number, to: number, visit: (value: StringValue, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined)
      this.large!.tree.eachReverse(from, to, (entry, index) => visit(this.read(entry), index));
    else for (let index = to - 1; index >= from; index--) if (!visit(inline[index]!, index)) return;
  }

  /** The value of a leaf's entry. */
  private read(entry: ListEntry): StringValue {
    if (typeof entry !== 'number') return entry;
    const value = this.large!.store.get(ElementKind.Value, uint64Text(entry));
    if (value === undefined) throw new RowFormatError(`a list without its value ${entry}`);
    return value;
  }

  /** What stands in a leaf for a value. */
  private stored(value: StringValue): ListEntry {
    if (value.length <= VALUE_BYTES_MAX) return value;
    const { store } = this.large!;
    const number = this.large!.nextValue++;
    store.set(ElementKind.Value, uint64Text(number), value);
    return number;
  }

  /** An entry has gone: its value goes, too. */
  private discard(entry: ListEntry): void {
    if (typeof entry === 'number') this.large!.store.delete(ElementKind.Value, uint64Text(entry));
  }
}
