import { Buffer } from 'node:buffer';
import {
  ByteReader,
  numberBytes,
  RowFormatError,
  textBytes,
  writeLatin1,
  writeNumber,
  writeText,
} from '../binary.js';
import { type StringValue, stringValue, valueBytes } from '../row.js';
import type { StreamId } from '../stream-id.js';
import { ElementKind, type ElementStore, uint64Text } from './elements.js';
import type { KeyedCodec } from './sorted-table.js';

/** Bytes of an id. */
export const STREAM_ID_BYTES = 16;
/** Longest entry in a leaf, without its id: one that is longer has a row of its own. */
const FIELDS_BYTES_MAX = 1000;

/** An entry of a stream as its table has it. */
export interface StoredEntry {
  readonly id: StreamId;
  /** Fields and values by turns, or the number of the row that has them. */
  readonly fields: readonly StringValue[] | number;
}

/*
 * An entry: id (16 bytes); then 1 + the number of fields and values, and those (texts); or 0 and the number of the row of
 * kind 2 that has them.
 */
export const ENTRY_CODEC: KeyedCodec<StoredEntry> = {
  keyOf: ({ id }) => id,
  bytes: ({ fields }) =>
    STREAM_ID_BYTES + (typeof fields === 'number' ? 1 + numberBytes(fields) : fieldsBytes(fields)),
  overheadBytes: 150,
  write(target, at, { id, fields }) {
    writeLatin1(target, at, id);
    if (typeof fields !== 'number') return writeFields(target, at + STREAM_ID_BYTES, fields);
    target[at + STREAM_ID_BYTES] = 0;
    return writeNumber(target, at + STREAM_ID_BYTES + 1, fields);
  },
  read(reader) {
    const id = reader.latin1(STREAM_ID_BYTES);
    const count = reader.number();
    return { id, fields: count === 0 ? reader.number() : readFields(reader, count - 1) };
  },
  // What bounds a node is the id: inner nodes change with every entry, and are not to have entries in them.
  boundOf: ({ id }) => ({ id, fields: NO_FIELDS }),
  isOrdered: true,
};

const NO_FIELDS: readonly StringValue[] = [];

function fieldsBytes(fields: readonly StringValue[]): number {
  let bytes = numberBytes(fields.length + 1);
  for (const field of fields) bytes += textBytes(field);
  return bytes;
}

function writeFields(target: Buffer, at: number, fields: readonly StringValue[]): number {
  let end = writeNumber(target, at, fields.length + 1);
  for (const field of fields) end = writeText(target, end, field);
  return end;
}

function readFields(reader: ByteReader, count: number): StringValue[] {
  const fields: StringValue[] = [];
  for (let left = count; left > 0; left--) fields.push(reader.value());
  return fields;
}

/** The rows of a large stream's entries that are too long to stand in a leaf. */
export class LongEntries {
  constructor(
    private readonly store: ElementStore,
    /** Number of the next row. */
    public next = 1,
  ) {}

  /** What stands in a leaf for an entry. */
  stored({ id, fields }: StoredEntry): StoredEntry {
    if (typeof fields === 'number') return { id, fields };
    const bytes = fieldsBytes(fields);
    if (bytes <= FIELDS_BYTES_MAX) return { id, fields };
    const row = Buffer.allocUnsafe(bytes);
    writeFields(row, 0, fields);
    const number = this.next++;
    this.store.set(ElementKind.Value, uint64Text(number), stringValue(row));
    return { id, fields: number };
  }

  read(number: number): readonly StringValue[] {
    const row = this.store.get(ElementKind.Value, uint64Text(number));
    if (row === undefined) throw new RowFormatError(`a stream without its entry ${number}`);
    const reader = new ByteReader(valueBytes(row));
    return readFields(reader, reader.number() - 1);
  }

  /** An entry has gone: its row goes, too. */
  discard({ fields }: StoredEntry): void {
    if (typeof fields === 'number') this.store.delete(ElementKind.Value, uint64Text(fields));
  }
}
