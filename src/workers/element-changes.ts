import type { Buffer } from 'node:buffer';
import { FEED_ELEMENTS_BYTES_MAX } from '../base/limits.js';
import { ElementsKind, type FeedWriter } from '../types/feed-codec.js';
import type { Row } from '../types/row.js';
import { elementOrigin, elementVersion, rowHeader } from '../types/row-codec.js';
import { elementKey } from './element-keys.js';
import type { ElementRow } from './element-table.js';
import type { Database } from './rocksdb.js';
import { keyBytes, keyScratch, rowBytes } from './row-scratch.js';
import { encodedElement, type ShardElements } from './shard-elements.js';

/** Bytes of the version in the key of an element row: every shard has its own. */
export const ELEMENT_VERSION_BYTES = 8;

/** What the batch at hand changes of large collections, for the feed log. */
export class ElementChanges {
  private byVersion: Map<number, ElementRow[]> | undefined;

  /** @param firstNew versions from this one on are new with the batch */
  constructor(
    private readonly collections: ShardElements,
    private readonly database: Database,
    private readonly firstNew: number,
  ) {}

  /** Writes the entry of a row whose collection has element rows. */
  write(writer: FeedWriter, row: Row): void {
    const { version } = row.collection!;
    const key = keyBytes(row.key);
    const { kind, base, origin } = this.changeOf(row, version);
    const start = writer.byteLength;
    writer.beginElements(key, rowBytes(row), kind, base, origin);
    const elementsStart = writer.byteLength;
    for (const { kind: elementKind, name, value } of kind === ElementsKind.None ? [] : this.of(version)) {
      if (writer.byteLength - elementsStart > FEED_ELEMENTS_BYTES_MAX) break;
      const elementName = elementKey(version, elementKind, name).subarray(ELEMENT_VERSION_BYTES);
      if (value !== undefined || kind === ElementsKind.Changes)
        writer.addElement(elementName, value === undefined ? undefined : encodedElement(value));
    }
    if (writer.byteLength - elementsStart > FEED_ELEMENTS_BYTES_MAX) {
      writer.rewind(start);
      writer.beginElements(key, rowBytes(row), ElementsKind.None);
    }
    writer.endElements();
  }

  private changeOf(row: Row, version: number): { kind: ElementsKind; base: number; origin: number } {
    if (version >= this.firstNew) return { kind: ElementsKind.All, base: 0, origin: 0 };
    const stored = this.database.get('default', keyScratch(row.key));
    // A collection that has come from another key is there, under that one, but who follows may not have it so.
    if (stored === undefined || elementVersion(stored) !== version)
      return { kind: ElementsKind.None, base: 0, origin: 0 };
    return {
      kind: ElementsKind.Changes,
      base: rowHeader(stored).timestamp,
      origin: elementOrigin(stored),
    };
  }

  private of(version: number): readonly ElementRow[] {
    if (this.byVersion === undefined) {
      this.byVersion = new Map();
      for (const element of this.collections.dirty) {
        const known = this.byVersion.get(element.version);
        if (known === undefined) this.byVersion.set(element.version, [element]);
        else known.push(element);
      }
    }
    return this.byVersion.get(version) ?? [];
  }
}

/** The name of an element row on its way: its key without the version. */
export function elementNameOf(key: Buffer): Buffer {
  return key.subarray(ELEMENT_VERSION_BYTES);
}
