import type { Buffer } from 'node:buffer';
import { type ByteReader, NUMBER_BYTES_MAX, RowFormatError, writeNumber } from '../binary.js';
import { type ElementStore, uint64Text } from './elements.js';
import { decodeNode, type EntryCodec, Inner, type Leaf, newLeaf, type TreeNode } from './tree-nodes.js';

/** Bounds of a node; see {@link DEFAULT_TREE_LIMITS}. */
export interface TreeLimits {
  /** Entries of a leaf, and bytes of one that has more than one. */
  readonly leafEntriesMax: number;
  readonly leafBytesMax: number;
  readonly childrenMax: number;
}

export const DEFAULT_TREE_LIMITS: TreeLimits = { leafEntriesMax: 64, leafBytesMax: 2048, childrenMax: 64 };

/** Where a tree begins: kept in the row of its collection. */
export interface TreeState {
  root: string;
  /** Entries of the whole tree. */
  size: number;
  /** Levels of inner nodes above the leaves. */
  height: number;
  /** Number of the next node's id. */
  nextId: number;
}

/** Most bytes that {@link writeTreeState} writes. */
export const TREE_STATE_BYTES_MAX = 4 * NUMBER_BYTES_MAX;

export function writeTreeState(target: Buffer, at: number, state: TreeState): number {
  let end = writeNumber(target, at, idNumber(state.root));
  end = writeNumber(target, end, state.size);
  end = writeNumber(target, end, state.height);
  return writeNumber(target, end, state.nextId);
}

export function readTreeState(reader: ByteReader): TreeState {
  const root = idText(reader.number());
  return { root, size: reader.number(), height: reader.number(), nextId: reader.number() };
}

/** Leaves that a visit of many entries keeps in memory. */
const LEAVES_KEPT_MAX = 32;

const ID_BYTES = 6;

/** The name of a node's row. @param number its id, below 2^48 */
export function idText(number: number): string {
  return uint64Text(number).slice(-ID_BYTES);
}

/** The id in the name of a node's row. */
export function idNumber(id: string): number {
  let value = 0;
  for (let index = 0; index < id.length; index++) value = value * 256 + id.charCodeAt(index);
  return value;
}

/** A step of the way from the root to a leaf. */
interface Step<E> {
  readonly id: string;
  readonly node: Inner<E>;
  /** The child that the way goes on to. */
  slot: number;
}

/** A leaf, the way to it, and a position in it. */
interface Place<E> {
  readonly path: Step<E>[];
  readonly id: string;
  readonly leaf: Leaf<E>;
  /** Position in the leaf. */
  readonly offset: number;
}

/**
 * A B+tree whose inner nodes know how many entries are below each child: entries are reached by their index in
 * logarithmic time, and in an ordered tree by their order as well. Nodes are element rows that live decoded.
 *
 * Every method reads first what it needs on the way down; then nodes are changed in place and staged. A node that has
 * become small is joined with a neighbour if both fit one with room to spare, so that the tree does not wear out.
 */
export class CountedTree<E> {
  constructor(
    private readonly store: ElementStore,
    private readonly codec: EntryCodec<E>,
    readonly state: TreeState,
    private readonly limits: TreeLimits = DEFAULT_TREE_LIMITS,
  ) {}

  /**
   * An empty tree, staged.
   * @param firstId number of its first node: trees that share a store must never come to the numbers of each other
   */
  static create<E>(
    store: ElementStore,
    codec: EntryCodec<E>,
    limits: TreeLimits = DEFAULT_TREE_LIMITS,
    firstId = 0,
  ): CountedTree<E> {
    const state: TreeState = { root: idText(firstId), size: 0, height: 0, nextId: firstId + 1 };
    store.setNode(state.root, newLeaf(codec, []));
    return new CountedTree(store, codec, state, limits);
  }

  get size(): number {
    return this.state.size;
  }

  /** The entry at an index from 0 to size − 1. */
  at(index: number): E {
    const { leaf, offset } = this.place(index);
    return leaf.at(offset);
  }

  /**
   * How many entries come before a place in the order.
   * @param isBefore true for entries before the place, false for those behind: of an ordered tree
   * @param entry the one whose place it is, where there is one: then fewer entries are looked at
   */
  rank(isBefore: (entry: E) => boolean, entry?: E): number {
    let rank = 0;
    let node = this.node(this.state.root);
    while (!node.isLeaf) {
      const slot = node.slotBefore(isBefore, entry);
      for (let left = 0; left < slot; left++) rank += node.counts[left]!;
      node = this.child(node, slot);
    }
    return rank + node.countBefore(isBefore, entry);
  }

  /** Puts an entry before the one at `index`; the size itself puts it at the end. */
  insertAt(index: number, entry: E): void {
    this.insertInto(this.place(index), entry);
  }

  /** Puts an entry in its place in the order, where `isBefore` is true of those before it. */
  insert(entry: E, isBefore: (entry: E) => boolean): void {
    this.insertInto(this.placeInOrder(isBefore, entry), entry);
  }

  /** Removes an entry that is there: the first of which `isBefore` is not true. */
  removeEntry(entry: E, isBefore: (entry: E) => boolean): void {
    const place = this.placeInOrder(isBefore, entry);
    if (place.offset < place.leaf.length) this.removeFrom(place, 1);
    // It is the first of the next leaf.
    else this.removeAt(this.rank(isBefore, entry));
  }

  /** Puts another entry in the place of the one at `index`: in an ordered tree, one that belongs there as well. */
  replaceAt(index: number, entry: E): E {
    const { id, leaf, offset, path } = this.place(index);
    this.store.setNode(id, leaf);
    const old = leaf.replace(offset, entry);
    if (this.isTooLarge(leaf)) this.splitLeaf(path, id, leaf, offset);
    return old;
  }

  removeAt(index: number): E {
    const place = this.place(index);
    const entry = place.leaf.at(place.offset);
    this.removeFrom(place, 1);
    return entry;
  }

  /**
   * Removes the entries from `from` to before `to`.
   * @param visit is given each of them
   */
  removeRange(from: number, to: number, visit?: (entry: E) => void): void {
    for (let left = to - from; left > 0; ) {
      const place = this.place(from);
      const count = Math.min(left, place.leaf.length - place.offset);
      if (visit !== undefined)
        for (let index = 0; index < count; index++) visit(place.leaf.at(place.offset + index));
      this.removeFrom(place, count);
      left -= count;
    }
  }

  /**
   * Visits the entries from `from` to before `to` until `visit` returns false. The tree must not change meanwhile. Leaves
   * of a long way are not kept in memory: they would drive out what is used again, and all be there until the command ends.
   */
  each(from: number, to: number, visit: (entry: E, index: number) => boolean): void {
    let leaves = 0;
    for (let index = from; index < to; ) {
      const { leaf, offset } = this.place(index, ++leaves > LEAVES_KEPT_MAX);
      const end = Math.min(leaf.length, offset + to - index);
      for (let at = offset; at < end; at++) if (!visit(leaf.at(at), index++)) return;
    }
  }

  /** As {@link each}, from the entry before `to` down to `from`. */
  eachReverse(from: number, to: number, visit: (entry: E, index: number) => boolean): void {
    let leaves = 0;
    for (let index = to - 1; index >= from; ) {
      const { leaf, offset } = this.place(index, ++leaves > LEAVES_KEPT_MAX);
      for (let at = offset; at >= 0 && index >= from; at--) if (!visit(leaf.at(at), index--)) return;
    }
  }

  /** Appends many entries. */
  append(entries: Iterable<E>): void {
    for (const entry of entries) this.insertAt(this.state.size, entry);
  }

  // ---------------------------------------------------------------- finding

  private node(id: string, isPeek = false): TreeNode<E> {
    const decode = (bytes: Buffer) => decodeNode(bytes, this.codec);
    const node = isPeek ? this.store.peekNode(id, decode) : this.store.node(id, decode);
    if (node === undefined) throw new RowFormatError(`a tree without its node ${idNumber(id)}`);
    return node;
  }

  private child(node: Inner<E>, slot: number, isPeek = false): TreeNode<E> {
    const linked = node.linked(slot);
    if (linked !== undefined) return linked;
    const child = this.node(node.children[slot]!, isPeek);
    node.link(slot, child);
    return child;
  }

  /** The place of the entry at `index`, or behind the last one. With `isPeek` the leaf is only read, and not kept. */
  private place(index: number, isPeek = false): Place<E> {
    if (!(index >= 0 && index <= this.state.size))
      throw new RangeError(`index ${index} in a tree of ${this.state.size}`);
    const path: Step<E>[] = [];
    let offset = index;
    let id = this.state.root;
    let node = this.node(id);
    while (!node.isLeaf) {
      const { counts } = node;
      let slot = 0;
      if (index === this.state.size) {
        slot = counts.length - 1;
        for (let left = 0; left < slot; left++) offset -= counts[left]!;
      } else while (offset >= counts[slot]!) offset -= counts[slot++]!;
      path.push({ id, node, slot });
      id = node.children[slot]!;
      node = this.child(node, slot, isPeek && path.length === this.state.height);
    }
    return { path, id, leaf: node, offset };
  }

  /** The place in the order of what comes behind all entries of which `isBefore` is true; it may be at a leaf's end. */
  private placeInOrder(isBefore: (entry: E) => boolean, entry: E): Place<E> {
    const path: Step<E>[] = [];
    let id = this.state.root;
    let node = this.node(id);
    while (!node.isLeaf) {
      const slot = node.slotBefore(isBefore, entry);
      path.push({ id, node, slot });
      id = node.children[slot]!;
      node = this.child(node, slot);
    }
    return { path, id, leaf: node, offset: node.countBefore(isBefore, entry) };
  }

  // ---------------------------------------------------------------- growing

  private newId(): string {
    return idText(this.state.nextId++);
  }

  private insertInto({ path, id, leaf, offset }: Place<E>, entry: E): void {
    this.addToCounts(path, 1);
    this.store.setNode(id, leaf);
    leaf.insert(offset, entry);
    if (this.isTooLarge(leaf)) this.splitLeaf(path, id, leaf, offset);
  }

  private addToCounts(path: readonly Step<E>[], count: number): void {
    this.state.size += count;
    for (const { id, node, slot } of path) {
      this.store.setNode(id, node);
      node.addCount(slot, count);
    }
  }

  private isTooLarge(leaf: Leaf<E>): boolean {
    const { leafEntriesMax, leafBytesMax } = this.limits;
    return leaf.length > leafEntriesMax || (leaf.bytes > leafBytesMax && leaf.length > 1);
  }

  /**
   * Makes two leaves of one. Where the entry that was too much is at an end of the tree, it goes alone, so that leaves
   * which are filled in order stay full. A half that is still too large, because of one long entry, is left so: what is
   * put into it next splits it.
   */
  private splitLeaf(path: Step<E>[], id: string, leaf: Leaf<E>, offset: number): void {
    const { length } = leaf;
    let at: number;
    if (offset === length - 1 && isLast(path)) at = length - 1;
    else if (offset === 0 && isFirst(path)) at = 1;
    else at = this.halfOf(leaf);
    const right = leaf.split(at);
    const rightId = this.newId();
    this.store.setNode(id, leaf);
    this.store.setNode(rightId, right);
    const first = right.at(0);
    const bound = this.codec.boundOf?.(first) ?? first;
    this.addChild(path, id, leaf.length, rightId, right.length, bound);
  }

  /** Where half of a leaf's bytes are to the left; at least one entry stays on either side. */
  private halfOf(leaf: Leaf<E>): number {
    if (leaf.bytes <= this.limits.leafBytesMax) return leaf.length >> 1;
    let at = 1;
    for (let bytes = this.codec.bytes(leaf.at(0)); at < leaf.length - 1; at++) {
      bytes += this.codec.bytes(leaf.at(at));
      if (bytes * 2 > leaf.bytes) break;
    }
    return at;
  }

  /** Puts a node beside the one that it was split from. */
  private addChild(
    path: Step<E>[],
    leftId: string,
    leftCount: number,
    rightId: string,
    rightCount: number,
    bound: E,
  ): void {
    const step = path.at(-1);
    const { isOrdered } = this.codec;
    if (step === undefined) {
      const root = new Inner(
        this.codec,
        [leftId, rightId],
        [leftCount, rightCount],
        isOrdered ? [undefined, bound] : [],
      );
      this.state.root = this.newId();
      this.state.height++;
      this.store.setNode(this.state.root, root);
      return;
    }
    const { id, node, slot } = step;
    this.store.setNode(id, node);
    node.restructure();
    node.counts[slot] = leftCount;
    node.children.splice(slot + 1, 0, rightId);
    node.counts.splice(slot + 1, 0, rightCount);
    if (isOrdered) node.bounds.splice(slot + 1, 0, bound);
    if (node.children.length > this.limits.childrenMax) this.splitInner(path.slice(0, -1), id, node, slot);
  }

  private splitInner(path: Step<E>[], id: string, node: Inner<E>, slot: number): void {
    const { length } = node.children;
    let at = length >> 1;
    if (slot >= length - 2 && isLast(path)) at = length - 1;
    else if (slot === 0 && isFirst(path)) at = 1;
    node.restructure();
    const bounds = node.bounds.splice(at);
    const bound = bounds[0] as E;
    if (bounds.length > 0) bounds[0] = undefined;
    const right = new Inner(this.codec, node.children.splice(at), node.counts.splice(at), bounds);
    const rightId = this.newId();
    this.store.setNode(rightId, right);
    this.addChild(path, id, sum(node.counts), rightId, sum(right.counts), bound);
  }

  // ---------------------------------------------------------------- shrinking

  private removeFrom({ path, id, leaf, offset }: Place<E>, count: number): void {
    this.addToCounts(path, -count);
    this.store.setNode(id, leaf);
    leaf.remove(offset, count);
    this.shrunk(path, leaf);
  }

  /** A node has lost entries or children: removes it when it is empty, joins it with a neighbour when it is small. */
  private shrunk(path: Step<E>[], node: TreeNode<E>): void {
    const step = path.at(-1);
    if (step === undefined) {
      this.collapse();
      return;
    }
    const isEmpty = node.isLeaf ? node.length === 0 : node.children.length === 0;
    if (isEmpty) {
      this.removeChild(step, step.slot);
      this.shrunk(path.slice(0, -1), step.node);
      return;
    }
    if (!this.isSmall(node)) return;
    const { length } = step.node.children;
    for (const slot of [step.slot - 1, step.slot]) {
      if (slot < 0 || slot + 1 >= length) continue;
      const left = this.child(step.node, slot);
      const right = this.child(step.node, slot + 1);
      if (!this.fits(left, right)) continue;
      this.join(step, slot, left, right);
      this.shrunk(path.slice(0, -1), step.node);
      return;
    }
  }

  private isSmall(node: TreeNode<E>): boolean {
    const { leafEntriesMax, leafBytesMax, childrenMax } = this.limits;
    if (!node.isLeaf) return node.children.length * 4 <= childrenMax;
    return node.length * 4 <= leafEntriesMax && node.bytes * 2 <= leafBytesMax;
  }

  /** Whether two neighbours fit one node with room to spare. */
  private fits(left: TreeNode<E>, right: TreeNode<E>): boolean {
    const { leafEntriesMax, leafBytesMax, childrenMax } = this.limits;
    if (left.isLeaf && right.isLeaf)
      return (
        (left.length + right.length) * 4 <= leafEntriesMax * 3 && left.bytes + right.bytes <= leafBytesMax
      );
    return (
      !left.isLeaf && !right.isLeaf && (left.children.length + right.children.length) * 4 <= childrenMax * 3
    );
  }

  /** Moves all of the right of two neighbours into the left. */
  private join(step: Step<E>, slot: number, left: TreeNode<E>, right: TreeNode<E>): void {
    const { node } = step;
    const leftId = node.children[slot]!;
    this.store.setNode(leftId, left);
    if (left.isLeaf && right.isLeaf) left.join(right);
    else if (!left.isLeaf && !right.isLeaf) {
      left.restructure();
      left.children.push(...right.children);
      left.counts.push(...right.counts);
      if (this.codec.isOrdered) left.bounds.push(node.bounds[slot + 1]!, ...right.bounds.slice(1));
    }
    const count = node.counts[slot]! + node.counts[slot + 1]!;
    this.removeChild(step, slot + 1);
    node.counts[slot] = count;
  }

  private removeChild({ id, node }: Step<E>, slot: number): void {
    this.store.setNode(id, node);
    node.restructure();
    this.store.deleteNode(node.children[slot]!);
    node.children.splice(slot, 1);
    node.counts.splice(slot, 1);
    if (!this.codec.isOrdered) return;
    node.bounds.splice(slot, 1);
    if (slot === 0 && node.bounds.length > 0) node.bounds[0] = undefined;
  }

  /** Takes inner roots away that have one child, and makes a leaf of one that has none. */
  private collapse(): void {
    const { state } = this;
    for (let node = this.node(state.root); !node.isLeaf && node.children.length < 2; ) {
      const [child] = node.children;
      this.store.deleteNode(state.root);
      if (child === undefined) {
        state.root = this.newId();
        state.height = 0;
        this.store.setNode(state.root, newLeaf(this.codec, []));
        return;
      }
      state.root = child;
      state.height--;
      node = this.node(child);
    }
  }
}

function isLast<E>(path: readonly Step<E>[]): boolean {
  return path.every(({ node, slot }) => slot === node.children.length - 1);
}

function isFirst<E>(path: readonly Step<E>[]): boolean {
  return path.every(({ slot }) => slot === 0);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
