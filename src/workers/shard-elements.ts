import { Buffer } from 'node:buffer';
import type { CollectionLimits } from '../types/collections/collection.js';
import {
  type ElementHost,
  ElementKind,
  type ElementStore,
  type Encodable,
  nameOf,
  orderedName,
} from '../types/collections/elements.js';
import { type StringValue, stringValue, valueBytes } from '../types/row.js';
import { DeadVersions } from './dead-versions.js';
import { elementBound, elementKey, elementKeyScratch, kindOf, orderedNameOf } from './element-keys.js';
import { ElementRow, ElementTable, isDecoded } from './element-table.js';
import { NodeJournal } from './node-journal.js';
import type { Database } from './rocksdb.js';
import type { RowCache } from './row-cache.js';
import { valueScratch } from './row-scratch.js';

/** What element rows need of their shard. */
export interface ElementOwner {
  readonly limits: CollectionLimits;
  /** Where stored rows are read. */
  source(): Database;
  /** A version that no collection of the shard has had. */
  nextVersion(): number;
  /** Versions from this one on are of collections of which nothing is on the disk: they are new with the batch. */
  firstNewVersion(): number;
}

/**
 * The element rows of a shard's large collections: those in memory, those that wait for the commit of the batch, and
 * those of collections that have gone, which are removed in the background.
 */
export class ShardElements implements ElementHost {
  readonly table = new ElementTable();
  readonly dead = new DeadVersions();
  readonly nodes: NodeJournal = new NodeJournal({
    nodeInMemory: (version, id) => this.nodeInMemory(version, id),
    isDead: (version) => this.dead.has(version),
    path: () => this.owner.source().path,
  });
  dirty: ElementRow[] = [];

  constructor(
    readonly owner: ElementOwner,
    readonly cache: RowCache,
  ) {}

  get limits(): CollectionLimits {
    return this.owner.limits;
  }

  elements(version: number): ElementStore {
    return new VersionElements(this, version);
  }

  newElements(): ElementStore {
    return new VersionElements(this, this.owner.nextVersion());
  }

  /** Notes an element for the commit. */
  note(element: ElementRow): void {
    if (element.dirty) return;
    element.dirty = true;
    this.dirty.push(element);
  }

  private nodeInMemory(version: number, id: string): Encodable | undefined {
    const hash = ElementTable.hashOf(version, ElementKind.Node, id);
    const value = this.table.get(version, ElementKind.Node, id, hash)?.value;
    return value !== undefined && isDecoded(value) ? value : undefined;
  }

  /**
   * Stages all that was noted.
   * @param isJournaled whether nodes may go to the journal: not where the target is an empty instance
   */
  stage(target: Database, nowMs: number, isJournaled: boolean): void {
    const { nodes } = this;
    for (const element of this.dirty) {
      const { version, kind, name, value, stored } = element;
      if (this.dead.isDying(version)) continue;
      const isNode = isJournaled && kind === ElementKind.Node;
      if (isNode && value !== undefined && isDecoded(value) && nodes.add(target, element, value, nowMs))
        continue;
      const key = elementKeyScratch(version, kind, name);
      if (value !== undefined) target.put('elem', key, encodedElement(value));
      else if (stored) target.delete('elem', key);
      if (isNode) nodes.revoke(target, element, nowMs);
    }
    if (isJournaled) nodes.finish(target, nowMs);
    this.dead.stage(target);
  }

  /** What was noted is on disk. */
  committed(): void {
    for (const element of this.dirty) {
      element.dirty = false;
      const { value } = element;
      element.stored = value !== undefined;
      if (value !== undefined && isDecoded(value)) value.settled();
      this.cache.resized(element);
    }
    this.dirty = [];
    this.nodes.committed();
    for (const version of this.dead.ofBatch) this.nodes.drop(version);
    this.dead.committed();
  }

  /** Takes up what an instance has of collections that have gone, and of the journal of nodes. Nothing is in memory. */
  takeUp(source: Database): void {
    this.dead.read(source);
    this.nodes.read(source);
    for (const version of this.dead.all) this.nodes.drop(version);
  }

  /** The shard was emptied. */
  clear(): void {
    this.dead.clear();
    this.nodes.clear();
  }

  /** Lets all go, what was noted included. */
  forget(): void {
    for (const element of this.dirty) element.dirty = false;
    this.dirty = [];
    this.nodes.discard();
    this.dead.forget();
    for (const element of [...this.table.values()]) this.cache.remove(element);
  }
}

/** The bytes of an element row, in memory that the next call overwrites. */
export function encodedElement(value: StringValue | Encodable): Buffer {
  if (typeof value === 'string') return valueScratch(value);
  return isDecoded(value) ? value.encode() : value;
}

/** The rows of one collection. */
class VersionElements implements ElementStore {
  constructor(
    private readonly shard: ShardElements,
    readonly version: number,
  ) {}

  get(kind: ElementKind, name: string): StringValue | undefined {
    return this.load(kind, name).value as StringValue | undefined;
  }

  getMany(kind: ElementKind, names: readonly string[]): (StringValue | undefined)[] {
    const { version, shard } = this;
    const known = names.map((name) => this.hit(kind, name));
    const missing = names.filter((_, index) => known[index] === undefined);
    if (missing.length > 1 && !this.isNew) {
      const keys = missing.map((name) => elementKey(version, kind, name));
      const stored = shard.owner.source().getMany('elem', keys);
      for (const [index, name] of missing.entries())
        if (this.cached(kind, name) === undefined) this.admit(kind, name, stored[index]);
    }
    // What has just come was not hit: it may be the first to go.
    return names.map((name, index) => {
      const element = known[index] ?? this.cached(kind, name) ?? this.load(kind, name);
      return element.value as StringValue | undefined;
    });
  }

  set(kind: ElementKind, name: string, value: StringValue): void {
    this.stage(kind, name, value);
  }

  exchange(kind: ElementKind, name: string, value: StringValue): StringValue | undefined {
    const element = this.load(kind, name);
    const old = element.value as StringValue | undefined;
    element.value = value;
    this.shard.note(element);
    return old;
  }

  insert(kind: ElementKind, name: string, value: StringValue): boolean {
    const element = this.load(kind, name);
    if (element.value !== undefined) return false;
    element.value = value;
    this.shard.note(element);
    return true;
  }

  delete(kind: ElementKind, name: string): void {
    this.stage(kind, name, undefined);
  }

  node<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined {
    const element = this.load(ElementKind.Node, id);
    const { value } = element;
    if (value === undefined || isDecoded(value)) return value as N | undefined;
    const node = decode(valueBytes(value));
    // What the batch itself has put there is not on disk: patches would be of nothing.
    if (element.dirty) {
      node.isWhole = true;
      node.isStaged = true;
    }
    element.value = node;
    this.shard.cache.resized(element);
    return node;
  }

  peekNode<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined {
    if (this.cached(ElementKind.Node, id) !== undefined) return this.node(id, decode);
    const stored = this.stored(ElementKind.Node, id);
    return stored && decode(stored);
  }

  setNode(id: string, node: Encodable): void {
    if (node.isStaged) return;
    node.isStaged = true;
    // What nodes are told of their rows is these.
    if (node.row !== undefined) this.shard.note(node.row as ElementRow);
    else this.stage(ElementKind.Node, id, node);
  }

  deleteNode(id: string): void {
    this.stage(ElementKind.Node, id, undefined);
  }

  iterate(
    kind: ElementKind,
    from: string,
    withValues: boolean,
    visit: (name: string, value: StringValue) => boolean,
  ): void {
    const staged = this.stagedFrom(kind, from);
    let next = 0;
    let stopped = false;
    /** Visits staged rows up to a place in the order; returns whether the row at the place is one of them. */
    const visitStaged = (ordered: string | undefined): boolean => {
      while (
        !stopped &&
        next < staged.length &&
        (ordered === undefined || staged[next]!.ordered <= ordered)
      ) {
        const { ordered: at, element } = staged[next++]!;
        const value = element.value as StringValue | undefined;
        if (value !== undefined && !visit(element.name, value)) stopped = true;
        if (at === ordered) return true;
      }
      return false;
    };
    const bounds = {
      from: elementBound(this.version, kind, from),
      before: elementBound(this.version, kind + 1),
    };
    this.shard.owner.source().iterate({ family: 'elem', values: withValues, ...bounds }, (key, stored) => {
      const ordered = orderedNameOf(key);
      if (staged.length > 0 && (visitStaged(ordered) || stopped)) return !stopped;
      stopped = !visit(nameOf(kind, ordered), stored === undefined ? '' : stringValue(stored));
      return !stopped;
    });
    if (!stopped) visitStaged(undefined);
  }

  private stagedFrom(kind: ElementKind, from: string): { ordered: string; element: ElementRow }[] {
    return this.shard.dirty
      .filter((element) => element.version === this.version && element.kind === kind)
      .map((element) => ({ ordered: orderedName(kind, element.name), element }))
      .filter(({ ordered }) => ordered >= from)
      .sort((a, b) => (a.ordered < b.ordered ? -1 : 1));
  }

  eachRow(visit: (kind: ElementKind, name: string, value: StringValue) => void): void {
    const { version, shard } = this;
    const staged = shard.dirty.filter((element) => element.version === version);
    const hidden = new Set(staged.map(({ kind, name }) => `${kind}${name}`));
    const bounds = { from: elementBound(version), before: elementBound(version + 1) };
    shard.owner.source().iterate({ family: 'elem', values: true, ...bounds }, (key, stored) => {
      const kind = kindOf(key);
      const name = nameOf(kind, orderedNameOf(key));
      if (!hidden.has(`${kind}${name}`)) visit(kind, name, stringValue(this.current(kind, name, stored!)));
      return true;
    });
    for (const { kind, name, value } of staged)
      if (value !== undefined)
        visit(kind, name, isDecoded(value) ? stringValue(Buffer.from(value.encode())) : value);
  }

  private cached(kind: ElementKind, name: string): ElementRow | undefined {
    const { version } = this;
    return this.shard.table.get(version, kind, name, ElementTable.hashOf(version, kind, name));
  }

  private hit(
    kind: ElementKind,
    name: string,
    hash = ElementTable.hashOf(this.version, kind, name),
  ): ElementRow | undefined {
    const element = this.shard.table.get(this.version, kind, name, hash);
    if (element !== undefined) element.visited = true;
    return element;
  }

  private load(kind: ElementKind, name: string): ElementRow {
    const hash = ElementTable.hashOf(this.version, kind, name);
    const known = this.hit(kind, name, hash);
    if (known !== undefined) return known;
    const stored = this.stored(kind, name);
    const value = stored && stringValue(stored);
    return this.keep(kind, name, hash, value, stored !== undefined);
  }

  private get isNew(): boolean {
    return this.version >= this.shard.owner.firstNewVersion();
  }

  /** A row as it is on the disk, with what the journal has of it. */
  private stored(kind: ElementKind, name: string): Buffer | undefined {
    if (this.isNew) return undefined;
    const stored = this.shard.owner.source().get('elem', elementKeyScratch(this.version, kind, name));
    return stored && this.current(kind, name, stored);
  }

  /** What a row is of which this stands in its place. */
  private current(kind: ElementKind, name: string, stored: Buffer): Buffer {
    return kind === ElementKind.Node ? this.shard.nodes.overlay.node(this.version, name, stored) : stored;
  }

  /** Takes a stored row in. One that is not there is remembered so, that asking again is as cheap. */
  private admit(kind: ElementKind, name: string, stored: Buffer | undefined): ElementRow {
    const hash = ElementTable.hashOf(this.version, kind, name);
    const value = stored && stringValue(this.current(kind, name, stored));
    return this.keep(kind, name, hash, value, stored !== undefined);
  }

  private keep(
    kind: ElementKind,
    name: string,
    hash: number,
    value: StringValue | Encodable | undefined,
    stored: boolean,
  ): ElementRow {
    const { shard, version } = this;
    const element = new ElementRow(shard.table, version, kind, name, hash, stored);
    element.value = value;
    shard.table.add(element);
    shard.cache.add(element);
    return element;
  }

  private stage(kind: ElementKind, name: string, value: StringValue | Encodable | undefined): void {
    // One that is not in memory may be on disk or not: it does not matter to what is written over it.
    const { version, shard } = this;
    const hash = ElementTable.hashOf(version, kind, name);
    const known = shard.table.get(version, kind, name, hash);
    const element = known ?? this.keep(kind, name, hash, value, true);
    element.value = value;
    shard.note(element);
  }
}
