import type { Buffer } from 'node:buffer';
import { ByteReader, RowFormatError } from '../binary.js';
import { RowType } from '../row.js';
import type { Collection } from './collection.js';
import type { ElementHost } from './elements.js';
import { HashValue } from './hash.js';
import { ListValue } from './list.js';
import { SetValue } from './set.js';
import { SortedSetValue } from './sorted-set.js';
import { StreamValue } from './stream.js';

/** How each type reads its payload. */
const DECODERS: Partial<Record<RowType, (reader: ByteReader, host: ElementHost) => Collection>> = {
  [RowType.Hash]: HashValue.decode,
  [RowType.List]: ListValue.decode,
  [RowType.Set]: SetValue.decode,
  [RowType.SortedSet]: SortedSetValue.decode,
  [RowType.Stream]: StreamValue.decode,
};

/** The collection in a row's payload. @throws RowFormatError */
export function decodeCollection(type: RowType, bytes: Buffer, at: number, host: ElementHost): Collection {
  const decode = DECODERS[type];
  if (decode === undefined)
    throw new RowFormatError(`a row of type ${type}, which this version does not know`);
  return decode(new ByteReader(bytes, at), host);
}
