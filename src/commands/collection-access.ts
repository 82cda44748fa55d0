import { CommandError, WRONG_TYPE } from '../base/command-errors.js';
import { type Collection, isValue } from '../types/collections/collection.js';
import { HashValue } from '../types/collections/hash.js';
import { ListValue } from '../types/collections/list.js';
import { SetValue } from '../types/collections/set.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import { StreamValue } from '../types/collections/stream.js';
import type { Row, RowType } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import type { ShardContext } from './definition.js';

/*
 * How commands get at collections. A command that reads:
 *
 *   const row = findRow(view, key, RowType.Set);           // undefined: no key; an error: another type
 *   if (row instanceof CommandError) return reply.error(row);
 *   const set = row && setOf(row);
 *
 * One that writes reads, and checks all its arguments, before it changes the value; then, if something changed, it calls
 * `save(view, key, row, value)`, once.
 */

/** The live row of a key; undefined where there is no key, an error where the key is of another type. */
export function findRow(view: ShardView, key: string, type: RowType): Row | undefined | CommandError {
  const row = view.find(key);
  return row !== undefined && row.type !== type ? WRONG_TYPE : row;
}

/**
 * Has `take` reply from the first of several keys that is there; one of another type is an error.
 * @returns whether any is there
 */
export function takeFromFirst(
  { view, reply }: ShardContext,
  keys: readonly string[],
  type: RowType,
  take: (row: Row) => void,
): boolean {
  for (const key of keys) {
    const row = findRow(view, key, type);
    if (row === undefined) continue;
    if (row instanceof CommandError) reply.error(row);
    else take(row);
    return true;
  }
  return false;
}

/** The hash in a row of that type. */
export function hashOf(row: Row): HashValue {
  return row.collection as HashValue;
}

export function setOf(row: Row): SetValue {
  return row.collection as SetValue;
}

export function listOf(row: Row): ListValue {
  return row.collection as ListValue;
}

export function sortedSetOf(row: Row): SortedSetValue {
  return row.collection as SortedSetValue;
}

export function streamOf(row: Row): StreamValue {
  return row.collection as StreamValue;
}

/** The hash of a key, or an empty one to be saved. */
export function hashToWrite(view: ShardView, row: Row | undefined): HashValue {
  return row === undefined ? new HashValue(view.collections) : hashOf(row);
}

export function setToWrite(view: ShardView, row: Row | undefined): SetValue {
  return row === undefined ? new SetValue(view.collections) : setOf(row);
}

export function listToWrite(view: ShardView, row: Row | undefined): ListValue {
  return row === undefined ? new ListValue(view.collections) : listOf(row);
}

export function sortedSetToWrite(view: ShardView, row: Row | undefined): SortedSetValue {
  return row === undefined ? new SortedSetValue(view.collections) : sortedSetOf(row);
}

export function streamToWrite(view: ShardView, row: Row | undefined): StreamValue {
  return row === undefined ? new StreamValue(view.collections) : streamOf(row);
}

/** Stages a value that was changed: that of the key's row, or one made for a key without. */
export function save(view: ShardView, key: string, row: Row | undefined, value: Collection): void {
  if (row !== undefined) view.changed(row);
  else if (isValue(value)) view.setCollection(key, value, 0);
}

/** Stages a result in place of whatever a key holds; an empty one removes it. */
export function replace(view: ShardView, key: string, value: Collection): void {
  if (value.size > 0) view.setCollection(key, value, 0);
  else view.remove(key);
}
