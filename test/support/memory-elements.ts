import type { CollectionLimits } from '../../src/types/collections/collection.js';
import {
  type ElementHost,
  ElementKind,
  type ElementStore,
  type Encodable,
  nameOf,
  orderedName,
} from '../../src/types/collections/elements.js';
import { patched } from '../../src/types/collections/node-patches.js';
import { type StringValue, stringValue, valueBytes } from '../../src/types/row.js';

/** Element rows of one collection in a Map, for tests. Nodes are encoded at {@link settle}, as a commit does. */
export class MemoryElements implements ElementStore {
  /** By kind and ordered name. */
  readonly rows = new Map<string, StringValue>();
  readonly nodes = new Map<string, Encodable>();

  constructor(readonly version: number) {}

  get(kind: ElementKind, name: string): StringValue | undefined {
    return this.rows.get(rowKey(kind, name));
  }

  getMany(kind: ElementKind, names: readonly string[]): (StringValue | undefined)[] {
    return names.map((name) => this.get(kind, name));
  }

  set(kind: ElementKind, name: string, value: StringValue): void {
    this.rows.set(rowKey(kind, name), value);
  }

  exchange(kind: ElementKind, name: string, value: StringValue): StringValue | undefined {
    const old = this.get(kind, name);
    this.set(kind, name, value);
    return old;
  }

  insert(kind: ElementKind, name: string, value: StringValue): boolean {
    const isNew = this.get(kind, name) === undefined;
    if (isNew) this.set(kind, name, value);
    return isNew;
  }

  delete(kind: ElementKind, name: string): void {
    this.rows.delete(rowKey(kind, name));
  }

  node<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined {
    const known = this.nodes.get(id);
    if (known !== undefined) return known as N;
    const stored = this.rows.get(rowKey(ElementKind.Node, id));
    if (stored === undefined) return undefined;
    const node = decode(valueBytes(stored));
    this.setNode(id, node);
    return node;
  }

  peekNode<N extends Encodable>(id: string, decode: (bytes: Buffer) => N): N | undefined {
    const known = this.nodes.get(id);
    if (known !== undefined) return known as N;
    const stored = this.rows.get(rowKey(ElementKind.Node, id));
    return stored === undefined ? undefined : decode(valueBytes(stored));
  }

  setNode(id: string, node: Encodable): void {
    node.row ??= { visited: false };
    this.nodes.set(id, node);
  }

  deleteNode(id: string): void {
    this.nodes.get(id)?.left();
    this.nodes.delete(id);
    this.rows.delete(rowKey(ElementKind.Node, id));
  }

  iterate(
    kind: ElementKind,
    from: string,
    withValues: boolean,
    visit: (name: string, value: StringValue) => boolean,
  ): void {
    const prefix = String.fromCharCode(kind);
    const keys = [...this.rows.keys()].filter((key) => key.startsWith(prefix) && key.slice(1) >= from);
    for (const key of keys.sort((a, b) => (a < b ? -1 : 1)))
      if (!visit(nameOf(kind, key.slice(1)), withValues ? this.rows.get(key)! : '')) return;
  }

  eachRow(visit: (kind: ElementKind, name: string, value: StringValue) => void): void {
    this.settle();
    for (const [key, value] of this.rows) {
      const kind = key.charCodeAt(0) as ElementKind;
      visit(kind, nameOf(kind, key.slice(1)), value);
    }
  }

  /**
   * Encodes the nodes, or patches what is stored of them; those that change from now on without being staged again are lost.
   */
  settle(): void {
    for (const [id, node] of this.nodes) {
      const key = rowKey(ElementKind.Node, id);
      const bytes = node.encode();
      if (bytes.length !== node.encodedBytes) throw new Error(`node ${id} has ${bytes.length} bytes`);
      if (!node.isWhole && !patchedNode(node, valueBytes(this.rows.get(key)!)).equals(bytes))
        throw new Error(`the patches of node ${id} do not make it what it is`);
      this.rows.set(key, stringValue(bytes));
      node.settled();
      node.left();
    }
    this.nodes.clear();
  }
}

function patchedNode(node: Encodable, stored: Buffer): Buffer {
  const patches = Buffer.alloc(node.patchBytesMax);
  return patched(stored, patches.subarray(0, node.writePatches(patches, 0)));
}

function rowKey(kind: ElementKind, name: string): string {
  return String.fromCharCode(kind) + orderedName(kind, name);
}

/** What redis.conf says. */
export const REDIS_LIMITS: CollectionLimits = {
  hashEntriesMax: 512,
  hashValueBytesMax: 64,
  setIntegersMax: 512,
  setEntriesMax: 128,
  sortedSetEntriesMax: 128,
  sortedSetValueBytesMax: 64,
  listNodeSize: -2,
  streamNodeEntries: 100,
  streamNodeBytes: 4096,
};

/** Such that everything but the smallest collections becomes element rows. */
export const LOW_LIMITS: CollectionLimits = {
  hashEntriesMax: 3,
  hashValueBytesMax: 8,
  setIntegersMax: 4,
  setEntriesMax: 3,
  sortedSetEntriesMax: 3,
  sortedSetValueBytesMax: 8,
  listNodeSize: 3,
  streamNodeEntries: 3,
  streamNodeBytes: 100,
};

/** Makes and keeps such stores. */
export class MemoryHost implements ElementHost {
  limits: CollectionLimits = { ...REDIS_LIMITS };
  readonly stores = new Map<number, MemoryElements>();
  private versions = 0;

  elements(version: number): MemoryElements {
    let store = this.stores.get(version);
    if (store === undefined) {
      store = new MemoryElements(version);
      this.stores.set(version, store);
    }
    return store;
  }

  newElements(): MemoryElements {
    return this.elements(++this.versions);
  }
}
