import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import type { Collection } from '../../../../src/types/collections/collection.js';
import { HashValue } from '../../../../src/types/collections/hash.js';
import { ListValue } from '../../../../src/types/collections/list.js';
import { SetValue } from '../../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../../src/types/collections/sorted-set.js';
import { StreamValue } from '../../../../src/types/collections/stream.js';
import { Row } from '../../../../src/types/row.js';
import {
  decodeRow,
  elementOrigin,
  elementVersion,
  encodeRow,
  rowRoom,
  withVersion,
} from '../../../../src/types/row-codec.js';
import { LOW_LIMITS, MemoryHost } from '../../../support/memory-elements.js';

/** What each kind of collection is filled with. */
const FILL: readonly [name: string, (host: MemoryHost) => Collection][] = [
  ['hash', (host) => filled(new HashValue(host), (hash, index) => hash.set(`f${index}`, 'v', 0))],
  ['set', (host) => filled(new SetValue(host), (set, index) => set.add(`m${index}`))],
  ['list', (host) => filled(new ListValue(host), (list, index) => list.insertAt(index, 'v'.repeat(50)))],
  ['sorted set', (host) => filled(new SortedSetValue(host), (set, index) => set.set(`m${index}`, index))],
  [
    'stream',
    (host) =>
      filled(new StreamValue(host), (stream, index) =>
        stream.append(String.fromCharCode(...new Array(15).fill(0), index % 256), ['f', 'v'.repeat(200)]),
      ),
  ],
];

function filled<C extends Collection>(collection: C, add: (collection: C, index: number) => unknown): C {
  for (let index = 1; collection.version === 0 && index < 1000; index++)
    add(collection, collection instanceof ListValue ? index - 1 : index);
  return collection;
}

it.each(FILL)('the row of a large %s begins with where its elements are', (_, make) => {
  const host = new MemoryHost();
  host.limits = LOW_LIMITS;
  const collection = make(host);
  expect(collection.version).not.toBe(0);
  const row = new Row('k');
  Object.assign(row, { type: collection.type, collection, origin: 0xfedcba });
  for (const expiresAtMs of [0, 99]) {
    row.expiresAtMs = expiresAtMs;
    const scratch = Buffer.alloc(rowRoom(row));
    const bytes = scratch.subarray(0, encodeRow(row, scratch));
    expect(elementVersion(bytes)).toBe(collection.version);
    const other = withVersion(bytes, 7_777_777);
    expect(elementVersion(other)).toBe(7_777_777);
    expect([bytes, other].map(elementOrigin)).toEqual([0xfedcba, 0xfedcba]);
    const read = new Row('k');
    decodeRow(read, other, host);
    expect(read.collection!.version).toBe(7_777_777);
    expect(read.origin).toBe(0xfedcba);
    expect(read.collection!.size).toBe(collection.size);
  }
});
