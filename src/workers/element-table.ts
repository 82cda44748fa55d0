import { ElementKind, type Encodable } from '../types/collections/elements.js';
import { OpenTable, tableHash } from '../types/open-table.js';
import type { CacheEntry, StringValue } from '../types/row.js';
import type { PatchedNode } from './node-journal.js';

/**
 * What a cached element costs beside its name and value: the object, two string headers, its place in the table.
 * Measured with 200,000 elements and `--expose-gc`.
 */
const ELEMENT_OVERHEAD_BYTES = 200;

/** An element row of a large collection as it lives in memory. */
export class ElementRow implements CacheEntry {
  private held: StringValue | Encodable | undefined = undefined;
  /** If it is a node: what the journal was last known to have of it. */
  patched: PatchedNode | undefined = undefined;
  dirty = false;
  readonly journaledIn = 0;
  cachedBytes = 0;
  visited = false;
  newer: CacheEntry | undefined = undefined;
  older: CacheEntry | undefined = undefined;

  constructor(
    private readonly home: ElementTable,
    readonly version: number,
    readonly kind: ElementKind,
    readonly name: string,
    /** Its hash in the table. */
    readonly hash: number,
    /** Whether the disk may have it. */
    public stored: boolean,
  ) {}

  get footprintBytes(): number {
    const { value } = this;
    const bytes = ELEMENT_OVERHEAD_BYTES + this.name.length;
    if (value === undefined) return bytes;
    return bytes + (isDecoded(value) ? value.footprintBytes : value.length);
  }

  /** Undefined: there is no such row. */
  get value(): StringValue | Encodable | undefined {
    return this.held;
  }

  set value(value: StringValue | Encodable | undefined) {
    if (this.kind === ElementKind.Node && value !== this.held) {
      this.letNodeGo();
      if (value !== undefined && isDecoded(value)) value.row = this;
    }
    this.held = value;
  }

  private letNodeGo(): void {
    const { held } = this;
    if (this.kind === ElementKind.Node && held !== undefined && isDecoded(held)) held.left();
  }

  leave(): void {
    this.letNodeGo();
    this.home.delete(this);
  }
}

/** Whether a value is a node that lives decoded. */
export function isDecoded(value: StringValue | Encodable): value is Encodable {
  return typeof value !== 'string' && 'encode' in value;
}

/** The element rows of a shard that are in memory, by collection, kind and name. */
export class ElementTable extends OpenTable<ElementRow> {
  static hashOf(version: number, kind: ElementKind, name: string): number {
    return tableHash(name, Math.imul(version, 0x9e3779b1) + kind);
  }

  get(version: number, kind: ElementKind, name: string, hash: number): ElementRow | undefined {
    const { hashes, mask } = this;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const found = hashes[slot]!;
      if (found === hash) {
        const element = this.entries[slot]!;
        if (element.name === name && element.version === version && element.kind === kind) return element;
      } else if (found === 0) return undefined;
    }
  }

  protected hashOf(element: ElementRow): number {
    return element.hash;
  }
}
