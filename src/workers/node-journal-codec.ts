import { Buffer } from 'node:buffer';
import { JOURNAL_RECORD_BYTES } from '../base/limits.js';
import {
  ByteReader,
  NUMBER_BYTES_MAX,
  RowFormatError,
  readUint64,
  writeNumber,
  writeUint64,
} from '../types/binary.js';
import type { Encodable } from '../types/collections/elements.js';
import { NODE_PATCHES_BYTES_MAX } from '../types/collections/tree-nodes.js';

/*
 * A record of the journal of nodes, in the `log` family behind the feed log. Its key is 'N' and its number, 8 bytes,
 * big-endian. Its value is a list of entries, one behind the other:
 *   version of the collection (number), id of the node (number), length of the patches (2 bytes, big-endian), the patches,
 *   see types/collections/node-patches.ts. Length 0: the node was written whole, or has gone; no patches before count.
 */
const KEY_PREFIX = 0x4e;
const RECORD_KEY_BYTES = 9;
const LENGTH_BYTES = 2;
const ENTRY_BYTES_MAX = 2 * NUMBER_BYTES_MAX + LENGTH_BYTES + NODE_PATCHES_BYTES_MAX;

/** Where its keys begin in the `log` family. */
export const NODE_LOG_FROM = Buffer.from([KEY_PREFIX]);
export const NODE_LOG_END = Buffer.from([KEY_PREFIX + 1]);

/** Builds one record after the other. */
export class NodeRecordWriter {
  private readonly scratch = Buffer.allocUnsafeSlow(JOURNAL_RECORD_BYTES + ENTRY_BYTES_MAX);
  private at = 0;

  get isEmpty(): boolean {
    return this.at === 0;
  }

  get isFull(): boolean {
    return this.at >= JOURNAL_RECORD_BYTES;
  }

  /** Begins an entry; its patches are to follow, see {@link end}. Returns where they begin. */
  begin(version: number, id: number): number {
    this.at = writeNumber(this.scratch, writeNumber(this.scratch, this.at, version), id) + LENGTH_BYTES;
    return this.at;
  }

  /** Writes what has changed of the entry's node, at most {@link NODE_PATCHES_BYTES_MAX} bytes. Returns where it ends. */
  end(node: Pick<Encodable, 'writePatches'>): number {
    const start = this.at;
    this.at = node.writePatches(this.scratch, start);
    this.scratch.writeUInt16BE(this.at - start, start - LENGTH_BYTES);
    return this.at;
  }

  /** Says that the patches of a node no longer count. */
  addEnd(version: number, id: number): void {
    this.scratch.writeUInt16BE(0, this.begin(version, id) - LENGTH_BYTES);
  }

  /** The record; the next entry begins a new one. */
  take(): Buffer {
    const record = Buffer.from(this.scratch.subarray(0, this.at));
    this.at = 0;
    return record;
  }

  discard(): void {
    this.at = 0;
  }
}

/** Visits the entries of a record in order, with where their patches begin and end. @throws RowFormatError */
export function eachNodeEntry(
  record: Buffer,
  visit: (version: number, id: number, start: number, end: number) => void,
): void {
  const reader = new ByteReader(record);
  while (!reader.isAtEnd) {
    const version = reader.number();
    const id = reader.number();
    const bytes = reader.byte() * 256 + reader.byte();
    const start = reader.position;
    reader.skip(bytes);
    visit(version, id, start, start + bytes);
  }
}

/** The key of a record. */
export function nodeRecordKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(RECORD_KEY_BYTES);
  key[0] = KEY_PREFIX;
  writeUint64(key, 1, number);
  return key;
}

/** The number in the key of a record. @throws RowFormatError */
export function nodeRecordNumber(key: Buffer): number {
  if (key.length !== RECORD_KEY_BYTES) throw new RowFormatError(`a key of ${key.length} bytes`);
  return readUint64(key, 1);
}
