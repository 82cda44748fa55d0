import type { Buffer } from 'node:buffer';
import {
  type ByteReader,
  NUMBER_BYTES_MAX,
  textBytes,
  writeNumber,
  writeText,
  writeUint64,
} from '../binary.js';
import { RowType, type StringValue, valueText } from '../row.js';
import {
  COLLECTION_OVERHEAD_BYTES,
  type Collection,
  FormFlag,
  INLINE_BYTES_MAX,
  INLINE_ENTRIES_MAX,
  sampledBytes,
} from './collection.js';
import { copyRows } from './copy-rows.js';
import {
  CountedTree,
  readTreeState,
  TREE_STATE_BYTES_MAX,
  type TreeLimits,
  type TreeState,
  writeTreeState,
} from './counted-tree.js';
import { type ElementHost, ElementKind, type ElementStore } from './elements.js';
import { MemberRows } from './member-rows.js';
import { comesBefore, PackedScores, type ScoredMember } from './packed-scores.js';
import { SCORE_LEAVES } from './score-leaf.js';
import type { EntryCodec } from './tree-nodes.js';

/*
 * Payload: the form, then
 *   inline: number of members; for each, in order: score (double), member (text)
 *   large:  version (8 bytes), state of the tree
 * A large one has a row for each member, whose value is the score as text, and an ordered tree of scores and members.
 */

/** How the tree of a large one writes its entries. */
export const SCORED_MEMBERS: EntryCodec<ScoredMember> = {
  bytes: ({ member }) => 8 + textBytes(member),
  overheadBytes: 100,
  write(target, at, { score, member }) {
    target.writeDoubleBE(score, at);
    return writeText(target, at + 8, member);
  },
  read: (reader) => ({ score: reader.double(), member: reader.text() }),
  isOrdered: true,
  leading: ({ score }) => score,
  leaves: SCORE_LEAVES,
};

/**
 * Leaves are smaller than elsewhere: a score that changes is about two of them, anywhere in the tree, each of which is
 * written whole every few changes.
 */
const TREE_LIMITS: TreeLimits = { leafEntriesMax: 24, leafBytesMax: 1024, childrenMax: 64 };

function treeOf(store: ElementStore, state: TreeState): CountedTree<ScoredMember> {
  return new CountedTree(store, SCORED_MEMBERS, state, TREE_LIMITS);
}

interface LargeForm {
  readonly store: ElementStore;
  readonly rows: MemberRows;
  readonly tree: CountedTree<ScoredMember>;
}

/** The value of a sorted set. Indexes and ranks count from the lowest score. */
export class SortedSetValue implements Collection {
  readonly type = RowType.SortedSet;
  readonly nextExpiryMs = 0;
  private inline: PackedScores | undefined = PackedScores.empty();
  private large: LargeForm | undefined;
  /** Whether Redis would have a skip list. */
  private converted = false;

  constructor(private readonly host: ElementHost) {}

  static decode(reader: ByteReader, host: ElementHost): SortedSetValue {
    const set = new SortedSetValue(host);
    const form = reader.byte();
    set.converted = (form & FormFlag.Converted) !== 0;
    if ((form & FormFlag.Large) !== 0) {
      const store = host.elements(reader.version());
      set.enlarge(store, treeOf(store, readTreeState(reader)));
    } else set.inline = PackedScores.read(reader, reader.number());
    reader.end();
    return set;
  }

  /**
   * A set of these entries, whose members are distinct. As in Redis all of them together tell whether it is a list pack.
   */
  static of(host: ElementHost, entries: readonly ScoredMember[]): SortedSetValue {
    const set = new SortedSetValue(host);
    const { sortedSetEntriesMax, sortedSetValueBytesMax } = host.limits;
    set.converted =
      entries.length > sortedSetEntriesMax ||
      entries.some(({ member }) => member.length > sortedSetValueBytesMax);
    for (const { member, score } of entries) set.put(member, undefined, score);
    return set;
  }

  private enlarge(store: ElementStore, tree: CountedTree<ScoredMember>): LargeForm {
    this.large = { store, tree, rows: new MemberRows(store, tree.size) };
    this.inline = undefined;
    return this.large;
  }

  get size(): number {
    return this.inline?.size ?? this.large!.tree.size;
  }

  get version(): number {
    return this.large?.store.version ?? 0;
  }

  get encoding(): string {
    return this.converted ? 'skiplist' : 'listpack';
  }

  get footprintBytes(): number {
    return COLLECTION_OVERHEAD_BYTES + (this.inline?.bytes ?? 0);
  }

  elementBytes(): number {
    return 2 * sampledBytes(this.large?.store, ElementKind.Member, this.size);
  }

  get encodedBytesMax(): number {
    const { inline } = this;
    return inline === undefined ? 10 + TREE_STATE_BYTES_MAX : 1 + NUMBER_BYTES_MAX + inline.bytes;
  }

  encode(target: Buffer, at: number): number {
    const { inline, large } = this;
    target[at] = (large !== undefined ? FormFlag.Large : 0) | (this.converted ? FormFlag.Converted : 0);
    if (inline === undefined) {
      writeUint64(target, at + 1, this.version);
      return writeTreeState(target, at + 9, large!.tree.state);
    }
    return inline.write(target, writeNumber(target, at + 1, inline.size));
  }

  copy(host: ElementHost): SortedSetValue {
    const copy = new SortedSetValue(host);
    copy.converted = this.converted;
    const { inline, large } = this;
    if (inline === undefined) {
      const store = copyRows(large!.store, host);
      copy.enlarge(store, treeOf(store, { ...large!.tree.state }));
    } else copy.inline = inline.copy();
    return copy;
  }

  /** The score of a member; undefined where it is none. */
  score(member: string): number | undefined {
    const { inline } = this;
    if (inline === undefined) return scoreOf(this.large!.rows.get(member));
    const at = inline.find(member);
    return at < 0 ? undefined : inline.score(at);
  }

  scoresOf(members: readonly string[]): (number | undefined)[] {
    if (this.inline !== undefined) return members.map((member) => this.score(member));
    return this.large!.rows.getMany(members).map(scoreOf);
  }

  /** Has the rows of members in memory that are to be given scores one by one. */
  prefetch(members: readonly string[]): void {
    this.large?.rows.prefetch(members);
  }

  /**
   * Gives a member a score, which is not NaN.
   * @returns the score it had; undefined if it is new
   */
  set(member: string, score: number): number | undefined {
    const old = this.score(member);
    this.put(member, old, score);
    return old;
  }

  /**
   * As {@link set}, for who knows the score that the member has; undefined if it is new. Of both zeros, which are equal,
   * a member keeps the one it has; and as in Redis a list pack has only the positive one.
   */
  put(member: string, old: number | undefined, score: number): void {
    if (old !== undefined) {
      if (old !== score) this.move({ member, score: old }, { member, score: this.kept(score) });
      return;
    }
    const { inline } = this;
    if (!this.converted) {
      const { sortedSetEntriesMax, sortedSetValueBytesMax } = this.host.limits;
      this.converted = this.size + 1 > sortedSetEntriesMax || member.length > sortedSetValueBytesMax;
    }
    if (inline !== undefined && !this.hasRoom(inline, member)) this.promote(inline);
    this.place({ member, score: this.kept(score) });
  }

  private kept(score: number): number {
    return score === 0 && !this.converted ? 0 : score;
  }

  private hasRoom(inline: PackedScores, member: string): boolean {
    const entriesMax = Math.min(this.host.limits.sortedSetEntriesMax, INLINE_ENTRIES_MAX);
    return inline.size < entriesMax && inline.bytes + member.length <= INLINE_BYTES_MAX;
  }

  /** Puts an entry in whose member is not there. */
  private place(entry: ScoredMember): void {
    const { inline } = this;
    if (inline === undefined) {
      const { rows, tree } = this.large!;
      rows.add(entry.member, scoreText(entry.score));
      tree.insert(entry, (other) => comesBefore(other, entry));
      return;
    }
    inline.insert(entry);
  }

  private move(from: ScoredMember, to: ScoredMember): void {
    const { inline } = this;
    if (inline === undefined) {
      const { rows, tree } = this.large!;
      tree.removeEntry(from, (other) => comesBefore(other, from));
      tree.insert(to, (other) => comesBefore(other, to));
      rows.replace(to.member, scoreText(to.score));
      return;
    }
    removeMember(inline, from.member);
    inline.insert(to);
  }

  private promote(inline: PackedScores): void {
    const entries: ScoredMember[] = [];
    for (let at = 0; at < inline.bytes; at = inline.next(at)) entries.push(inline.entry(at));
    const store = this.host.newElements();
    const { rows, tree } = this.enlarge(store, CountedTree.create(store, SCORED_MEMBERS, TREE_LIMITS));
    for (const { member, score } of entries) rows.add(member, scoreText(score));
    tree.append(entries);
  }

  /** @returns the score that the removed member had; undefined where it is none */
  delete(member: string): number | undefined {
    const score = this.score(member);
    if (score === undefined) return undefined;
    if (this.inline !== undefined) removeMember(this.inline, member);
    else {
      const { rows, tree } = this.large!;
      const entry = { member, score };
      rows.remove(member);
      tree.removeEntry(entry, (other) => comesBefore(other, entry));
    }
    return score;
  }

  /** How many entries come before an entry, which need not be there. */
  rankOf(entry: ScoredMember): number {
    const isBefore = (other: ScoredMember) => comesBefore(other, entry);
    return this.large?.tree.rank(isBefore, entry) ?? this.rank(isBefore);
  }

  /**
   * How many entries come before a place in the order.
   * @param isBefore true for entries before the place, false for those behind it
   */
  rank(isBefore: (entry: ScoredMember) => boolean): number {
    const { inline } = this;
    return inline === undefined ? this.large!.tree.rank(isBefore) : inline.rank(isBefore);
  }

  /** The entry at an index from 0 to size − 1. */
  at(index: number): ScoredMember {
    const { inline } = this;
    return inline === undefined ? this.large!.tree.at(index) : inline.entry(inline.place(index));
  }

  /** Visits entries from index `from` to before `to` until `visit` returns false; nothing must change meanwhile. */
  each(from: number, to: number, visit: (entry: ScoredMember, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined) {
      this.large!.tree.each(from, to, visit);
      return;
    }
    let at = inline.place(from);
    for (let index = from; index < to && visit(inline.entry(at), index); index++) at = inline.next(at);
  }

  /** As {@link each}, from the entry before `to` down to `from`. */
  eachReverse(from: number, to: number, visit: (entry: ScoredMember, index: number) => boolean): void {
    const { inline } = this;
    if (inline === undefined) {
      this.large!.tree.eachReverse(from, to, visit);
      return;
    }
    const places: number[] = [];
    for (let index = from, at = inline.place(from); index < to; index++, at = inline.next(at))
      places.push(at);
    for (let index = to - 1; index >= from && visit(inline.entry(places[index - from]!), index); index--);
  }

  /** Removes `count` entries from an index on, and gives each to `visit`. */
  removeRange(from: number, count: number, visit?: (entry: ScoredMember) => void): void {
    const { inline } = this;
    if (inline === undefined) {
      const { rows, tree } = this.large!;
      tree.removeRange(from, from + count, (entry) => {
        rows.remove(entry.member);
        visit?.(entry);
      });
      return;
    }
    const start = inline.place(from);
    let end = start;
    for (let left = count; left > 0; left--) {
      visit?.(inline.entry(end));
      end = inline.next(end);
    }
    inline.remove(start, end, count);
  }

  /** See {@link MemberRows.scan}; a small one is given whole, in order. */
  scan(cursor: number, count: number, visit: (entry: ScoredMember) => void): number {
    if (this.inline === undefined)
      return this.large!.rows.scan(cursor, count, true, (member, value) =>
        visit({ member, score: Number(value) }),
      );
    const { inline } = this;
    for (let at = 0; at < inline.bytes; at = inline.next(at)) visit(inline.entry(at));
    return 0;
  }

  /** A random entry of a set that has any. @param random in [0, 1) */
  pick(random: () => number): ScoredMember {
    return this.at(Math.floor(random() * this.size));
  }
}

/** A score as the value of a row: text that reads back as the same double. */
function scoreText(score: number): string {
  return Object.is(score, -0) ? '-0' : String(score);
}

function scoreOf(value: StringValue | undefined): number | undefined {
  return value === undefined ? undefined : Number(valueText(value));
}

function removeMember(inline: PackedScores, member: string): void {
  const at = inline.find(member);
  inline.remove(at, inline.next(at), 1);
}
