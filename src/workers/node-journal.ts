import type { Buffer } from 'node:buffer';
import {
  JOURNAL_MEMTABLES_MAX,
  NODE_JOURNAL_AGE_MAX_MS,
  NODE_PATCHES_MAX,
  WRITE_BACK_NODES_MAX,
} from '../base/limits.js';
import { RowFormatError } from '../types/binary.js';
import { idNumber, idText } from '../types/collections/counted-tree.js';
import { ElementKind, type Encodable } from '../types/collections/elements.js';
import { patched } from '../types/collections/node-patches.js';
import { NODE_PATCHES_BYTES_MAX } from '../types/collections/tree-nodes.js';
import { elementKeyScratch, kindOf, orderedNameOf, versionOf } from './element-keys.js';
import {
  eachNodeEntry,
  NODE_LOG_END,
  NODE_LOG_FROM,
  NodeRecordWriter,
  nodeRecordKey,
  nodeRecordNumber,
} from './node-journal-codec.js';
import { type Database, StorageError } from './rocksdb.js';

/** Patches of a node in a record. */
interface Patches {
  readonly content: Buffer;
  readonly start: number;
  readonly end: number;
  /** Those before, which do not change once there are later ones: who has the last ones has what the node was then. */
  previous: Patches | undefined;
}

/** A node of which the journal has what has changed since it was written. */
export interface PatchedNode {
  readonly version: number;
  readonly id: string;
  /** The last of its patches, each of which leads to the one before: an array would lie elsewhere in memory, and grow. */
  last: Patches | undefined;
  /** How many there are, and their bytes. */
  count: number;
  bytes: number;
  /** Whether it has been written whole since, or has gone: its patches do not count. */
  isOver: boolean;
  /** Whether that is staged. */
  isEnding: boolean;
}

/** The row of a node in memory. */
interface NodeRow {
  readonly version: number;
  /** The node's id. */
  readonly name: string;
  /** The journal's own: spares it looking the node up. One that is over means nothing. */
  patched: PatchedNode | undefined;
}

/** A record that is on disk, or will be with the next commit. */
interface NodeRecord {
  readonly number: number;
  readonly content: Buffer;
  /** When it was written, Unix milliseconds. */
  readonly writtenMs: number;
  /** The nodes whose oldest patches it has. */
  readonly nodes: PatchedNode[];
}

/** What the batch at hand does to a node: adds patches, or ends what there is of them. */
interface StagedEntry {
  readonly row: NodeRow;
  /** Undefined: they end. */
  readonly patches: Patches | undefined;
  readonly record: NodeRecord;
}

/** Where the journal finds nodes that it is to write. */
export interface NodeSource {
  /** A node as it is in memory; undefined when it is not there. */
  nodeInMemory(version: number, id: string): Encodable | undefined;
  /** Whether a collection goes with the batch at hand, or has gone. */
  isDead(version: number): boolean;
  /** Where the instance is, for errors. */
  path(): string;
}

/**
 * The journal of the nodes of large collections. A command that puts one entry into a tree changes a leaf and a count in
 * each node above it, a few bytes of each; written whole, they would be some kilobytes at random places. So what has
 * changed goes, as patches, into one record for each batch, at ascending keys, and a node is written whole only when there
 * are many patches of it, or when the record with the oldest of them must go, since the journal has a bound in bytes.
 *
 * What a node is, is what stands in its place with the patches applied. Nodes of which there are patches may leave memory
 * like any others. When a node is written whole, an entry in the same batch ends its patches. Records go in the order in
 * which they came, so that an end never goes before what it ends.
 */
export class NodeJournal {
  private readonly byVersion = new Map<number, Map<string, PatchedNode>>();
  /** Those that have gone are undefined, until their places are given back. */
  private records: (NodeRecord | undefined)[] = [];
  /** Place of the oldest record in `records`. */
  private first = 0;
  private bytes = 0;
  private nextNumber = 1;
  private readonly writer = new NodeRecordWriter();
  /** What rows are of which others stand in their places; what it says changes with each commit. */
  readonly overlay = new NodeOverlay(this.byVersion, () => this.source.path());

  // What the batch at hand changes; it counts from its commit on.
  private added: NodeRecord[] = [];
  private addedNodes = 0;
  private entries: StagedEntry[] = [];
  private readonly ending: PatchedNode[] = [];
  /** Entries that stand in the record that is being written: where their patches begin and end, by their places. */
  private open: { row: NodeRow; start: number; end: number }[] = [];
  /** How many of the oldest records go. */
  private taken = 0;

  constructor(private readonly source: NodeSource) {}

  /**
   * Stages what has changed of a node, which may be nothing.
   * @returns false, with nothing staged, for a node that is to be written whole
   */
  add(target: Database, row: NodeRow, node: Encodable, nowMs: number): boolean {
    const { patchBytesMax } = node;
    if (node.isWhole || patchBytesMax > NODE_PATCHES_BYTES_MAX) return false;
    if (patchBytesMax === 0) return true;
    const known = this.patchedOf(row);
    if (known === undefined) {
      if (patchBytesMax > node.encodedBytes) return false;
    } else if (known.count >= NODE_PATCHES_MAX || known.bytes + patchBytesMax > node.encodedBytes)
      return false;
    const start = this.writer.begin(row.version, idNumber(row.name));
    const end = this.writer.end(node);
    this.open.push({ row, start, end });
    this.addedNodes++;
    if (this.writer.isFull) this.closeRecord(target, nowMs);
    return true;
  }

  /** Stages that a node has been written whole, or has gone. */
  revoke(target: Database, row: NodeRow, nowMs: number): void {
    const known = this.patchedOf(row);
    if (known !== undefined && !known.isEnding) this.end(target, known, nowMs);
  }

  private end(target: Database, node: PatchedNode, nowMs: number): void {
    const { version, id } = node;
    node.isEnding = true;
    this.ending.push(node);
    this.writer.addEnd(version, idNumber(id));
    this.open.push({ row: { version, name: id, patched: node }, start: 0, end: 0 });
    if (this.writer.isFull) this.closeRecord(target, nowMs);
  }

  private closeRecord(target: Database, nowMs: number): void {
    const number = this.nextNumber + this.added.length;
    const content = this.writer.take();
    target.put('log', nodeRecordKey(number), content);
    const record: NodeRecord = { number, content, writtenMs: nowMs, nodes: [] };
    this.added.push(record);
    for (const { row, start, end } of this.open)
      this.entries.push({ row, patches: end === 0 ? undefined : patchesIn(content, start, end), record });
    this.open = [];
  }

  /**
   * Ends the staging of a batch: the last record, and what must be written whole for the oldest ones to go.
   * @throws StorageError CORRUPT for a node that is not what its patches are about, and what reading throws
   */
  finish(target: Database, nowMs: number): void {
    this.stageWriteBack(target, nowMs);
    if (!this.writer.isEmpty) this.closeRecord(target, nowMs);
  }

  /** Whether nodes should be written back though there is no batch to commit. */
  isDue(nowMs: number): boolean {
    const oldest = this.records[this.first];
    return oldest !== undefined && isOld(oldest, nowMs);
  }

  private stageWriteBack(target: Database, nowMs: number): void {
    let left = Math.max(WRITE_BACK_NODES_MAX, 2 * this.addedNodes);
    let { bytes } = this;
    const bytesMax = JOURNAL_MEMTABLES_MAX * target.memtableBytes.default;
    for (const { content } of this.added) bytes += content.length;
    for (; left > 0; this.taken++) {
      const record = this.records[this.first + this.taken];
      if (record === undefined || (bytes <= bytesMax && !isOld(record, nowMs))) break;
      for (const node of record.nodes) {
        if (node.isOver || node.isEnding) continue;
        this.writeWhole(target, node, nowMs);
        left--;
      }
      target.delete('log', nodeRecordKey(record.number));
      bytes -= record.content.length;
    }
  }

  private writeWhole(target: Database, node: PatchedNode, nowMs: number): void {
    const { version, id } = node;
    if (!this.source.isDead(version)) {
      const key = elementKeyScratch(version, ElementKind.Node, id);
      const inMemory = this.source.nodeInMemory(version, id);
      const stored = inMemory === undefined ? target.get('elem', key) : undefined;
      // Where nothing is stored the collection has gone, and its rows have been removed.
      const whole = inMemory?.encode() ?? (stored && this.overlay.node(version, id, stored));
      if (whole !== undefined) target.put('elem', key, whole);
    }
    this.end(target, node, nowMs);
  }

  /** What was staged is on disk. */
  committed(): void {
    this.dropOldest(this.taken);
    for (const record of this.added) {
      this.records.push(record);
      this.bytes += record.content.length;
      this.nextNumber = record.number + 1;
    }
    for (const entry of this.entries) this.apply(entry);
    this.discard();
  }

  private apply({ row, patches, record }: StagedEntry): void {
    const known = this.patchedOf(row);
    if (patches === undefined) {
      if (known !== undefined) this.forget(known);
      return;
    }
    const node = known ?? this.remember(row.version, row.name, record);
    row.patched = node;
    patches.previous = node.last;
    node.last = patches;
    node.count++;
    node.bytes += patches.end - patches.start;
  }

  private remember(version: number, id: string, record: NodeRecord): PatchedNode {
    const node: PatchedNode = {
      version,
      id,
      last: undefined,
      count: 0,
      bytes: 0,
      isOver: false,
      isEnding: false,
    };
    record.nodes.push(node);
    const known = this.byVersion.get(version);
    if (known === undefined) this.byVersion.set(version, new Map([[id, node]]));
    else known.set(id, node);
    return node;
  }

  private forget(node: PatchedNode): void {
    finish(node);
    const nodes = this.byVersion.get(node.version);
    nodes?.delete(node.id);
    if (nodes?.size === 0) this.byVersion.delete(node.version);
  }

  /** A collection has gone. */
  drop(version: number): void {
    const nodes = this.byVersion.get(version);
    if (nodes === undefined) return;
    for (const node of nodes.values()) finish(node);
    this.byVersion.delete(version);
  }

  private patchedOf(row: NodeRow): PatchedNode | undefined {
    if (row.patched === undefined || row.patched.isOver)
      row.patched = this.byVersion.get(row.version)?.get(row.name);
    return row.patched;
  }

  private dropOldest(count: number): void {
    for (let left = count; left > 0; left--) {
      this.bytes -= this.records[this.first]!.content.length;
      // Its place may stay for long, but not what it has.
      this.records[this.first++] = undefined;
    }
    if (this.first < RECORDS_MOVED_MIN || this.first * 2 < this.records.length) return;
    this.records = this.records.slice(this.first);
    this.first = 0;
  }

  /** Forgets what was staged. */
  discard(): void {
    for (const node of this.ending) node.isEnding = false;
    this.ending.length = 0;
    if (this.added.length > 0) this.added = [];
    if (this.entries.length > 0) this.entries = [];
    if (this.open.length > 0) this.open = [];
    this.addedNodes = 0;
    this.taken = 0;
    this.writer.discard();
  }

  /** As {@link overlay}, of this moment, for who reads from the disk bit by bit: of one collection, or of all. */
  overlayNow(version?: number): NodeOverlay {
    const copy = new Map<number, Map<string, Pick<PatchedNode, 'last'>>>();
    for (const [known, nodes] of this.byVersion) {
      if (version !== undefined && version !== known) continue;
      copy.set(known, new Map([...nodes].map(([id, { last }]) => [id, { last }])));
    }
    const path = this.source.path();
    return new NodeOverlay(copy, () => path);
  }

  /** It is empty: the instance is another one, without any records. */
  clear(): void {
    this.discard();
    for (const version of [...this.byVersion.keys()]) this.drop(version);
    this.records = [];
    this.first = 0;
    this.bytes = 0;
  }

  /**
   * Takes up what an instance has.
   * @throws StorageError CORRUPT for what is not a journal, and what reading throws
   */
  read(database: Database): void {
    this.clear();
    let number = 0;
    try {
      const range = { from: NODE_LOG_FROM, before: NODE_LOG_END };
      database.iterate({ family: 'log', ...range, values: true }, (key, value) => {
        number = nodeRecordNumber(key);
        const content = value!;
        // As old as can be, so that what they are about is written back soon.
        const record: NodeRecord = { number, content, writtenMs: 0, nodes: [] };
        this.records.push(record);
        this.bytes += content.length;
        eachNodeEntry(content, (version, idOf, start, end) => {
          const patches = end === start ? undefined : patchesIn(content, start, end);
          this.apply({ row: { version, name: idText(idOf), patched: undefined }, patches, record });
        });
        return true;
      });
    } catch (cause) {
      if (!(cause instanceof RowFormatError)) throw cause;
      throw new StorageError(
        'CORRUPT',
        `${database.path}: record ${number} of the journal of nodes cannot be read: ${cause.message}. Restore the shard from a copy.`,
        { cause },
      );
    }
    this.nextNumber = number + 1;
  }
}

/** What the journal has of nodes, over what stands in their places. */
export class NodeOverlay {
  constructor(
    private readonly byVersion: ReadonlyMap<number, ReadonlyMap<string, Pick<PatchedNode, 'last'>>>,
    /** Where the instance is, for errors. */
    private readonly path: () => string,
  ) {}

  /**
   * What a node is of which this stands in its place.
   * @throws StorageError CORRUPT where that is not what its patches are about
   */
  node(version: number, id: string, stored: Buffer): Buffer {
    const node = this.byVersion.get(version)?.get(id);
    if (node === undefined) return stored;
    try {
      return withPatches(stored, node);
    } catch (cause) {
      if (!(cause instanceof RowFormatError)) throw cause;
      throw new StorageError(
        'CORRUPT',
        `${this.path()}: node ${idNumber(id)} of collection ${version} is not what the journal of nodes is about: ${cause.message}. Restore the shard from a copy`,
        { cause },
      );
    }
  }

  /** What an element row is of which this stands in its place. @throws StorageError as {@link node} */
  row(key: Buffer, stored: Buffer): Buffer {
    if (this.byVersion.size === 0 || kindOf(key) !== ElementKind.Node) return stored;
    return this.node(versionOf(key), orderedNameOf(key), stored);
  }
}

function patchesIn(content: Buffer, start: number, end: number): Patches {
  return { content, start, end, previous: undefined };
}

function withPatches(stored: Buffer, { last }: Pick<PatchedNode, 'last'>): Buffer {
  const inOrder: Patches[] = [];
  for (let each = last; each !== undefined; each = each.previous) inOrder.push(each);
  let bytes = stored;
  for (const { content, start, end } of inOrder.reverse())
    bytes = patched(bytes, content.subarray(start, end));
  return bytes;
}

/** The patches of a node no longer count. Its row may know it for long, but not the records that have them. */
function finish(node: PatchedNode): void {
  node.isOver = true;
  node.last = undefined;
}

function isOld(record: NodeRecord, nowMs: number): boolean {
  return record.writtenMs + NODE_JOURNAL_AGE_MAX_MS <= nowMs;
}

/** Records done with from which on their places are given back. */
const RECORDS_MOVED_MIN = 256;
