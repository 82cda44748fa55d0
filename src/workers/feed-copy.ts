import { Buffer } from 'node:buffer';
import { ElementsKind, type FeedSlots, FeedWriter } from '../types/feed-codec.js';
import { RowType } from '../types/row.js';
import { elementVersion, rowHeader } from '../types/row-codec.js';
import type { CollectionCopy } from './collection-copies.js';
import { elementNameOf } from './element-changes.js';
import { elementBound } from './element-keys.js';
import { behindKey, insideKey, parseCursor } from './feed-cursor.js';
import type { CopySlice } from './feed-protocol.js';
import { committedBytes, scanRows } from './feed-scan.js';
import { StorageError } from './rocksdb.js';
import { keyBytes } from './row-scratch.js';
import type { Shard } from './shard.js';

/*
 * A shard as the source of copies. Rows go in key order, a slice at a time. A large collection goes whole if it fits into
 * the slice; if not, piece by piece, from a reading that sees it as it was with its row, and each piece is a slice.
 */

/** Element rows that are read at once. */
const ELEMENTS_READ = 64;

const writer = new FeedWriter();

/** The next slice of a copy, see ShardFeeds. To be called between batches. */
export function copySlice(
  shard: Shard,
  after: string | undefined,
  slots: FeedSlots | undefined,
  bytesMax: number,
): CopySlice {
  writer.discard();
  const cursor = parseCursor(after);
  switch (cursor.kind) {
    case 'begin':
      return copyRows(shard, after, undefined, slots, bytesMax);
    case 'behind':
      return copyRows(shard, after, cursor.key, slots, bytesMax);
    case 'only':
      return copyKey(shard, after, cursor.key, true, bytesMax);
    case 'inside': {
      const { session, key, piece, isOnly } = cursor;
      const copy = shard.replication.copies.at(session, key, piece, shard.nowMs);
      return (
        (copy && copyPiece(shard, copy, after, bytesMax)) ?? copyKey(shard, after, key, isOnly, bytesMax)
      );
    }
  }
}

/** Whether {@link copyMore} may go on behind a slice: it has whole keys only, and ends behind one. */
export function canGrow({ after, last, isDone }: CopySlice): boolean {
  const begin = parseCursor(after).kind;
  return !isDone && parseCursor(last).kind === 'behind' && (begin === 'begin' || begin === 'behind');
}

/**
 * The rows behind a slice that {@link canGrow}, to be {@link joined} with it. To be called between batches.
 * @param bytesMax of them together; a row is read whole
 * @returns undefined where a large collection comes first that does not fit: it has slices of its own
 */
export function copyMore(
  shard: Shard,
  { last: after }: CopySlice,
  slots: FeedSlots | undefined,
  bytesMax: number,
): CopySlice | undefined {
  const cursor = parseCursor(after);
  if (cursor.kind !== 'behind') throw new Error('only a slice that ends behind a key can grow');
  writer.discard();
  const more = copyRows(shard, after, cursor.key, slots, bytesMax, false);
  return !more.isDone && more.last === after ? undefined : more;
}

/** One slice of what several have, each of which goes on where the one before ends. */
export function joined(slices: readonly CopySlice[]): CopySlice {
  if (slices.length === 1) return slices[0]!;
  const { last, isDone } = slices.at(-1)!;
  // Not from a pool, all of which would go along to the other thread.
  const rows = new Uint8Array(slices.reduce((sum, slice) => sum + slice.rows.length, 0));
  let [end, rowCount] = [0, 0];
  for (const slice of slices) {
    rows.set(slice.rows, end);
    end += slice.rows.length;
    rowCount += slice.rowCount;
  }
  return { after: slices[0]!.after, last, rowCount, rows, isDone };
}

function sliceOf(after: string | undefined, last: string | undefined, isDone: boolean): CopySlice {
  const { rowCount } = writer;
  return { after, last, rowCount, rows: new Uint8Array(writer.take()), isDone };
}

function copyRows(
  shard: Shard,
  after: string | undefined,
  key: string | undefined,
  slots: FeedSlots | undefined,
  bytesMax: number,
  canCopyKey = true,
): CopySlice {
  let before = key;
  let tooLarge: string | undefined;
  const { last, isDone } = scanRows(shard, key, undefined, slots, (stored, bytes, _timestamp, name) => {
    if (isForgotten(shard, stored, bytes)) return true;
    const version = elementVersion(bytes);
    if (version === 0) writer.addStored(stored, bytes);
    else if (!addWhole(shard, stored, bytes, version, bytesMax)) {
      tooLarge = name;
      return false;
    }
    before = name;
    return writer.byteLength < bytesMax;
  });
  if (tooLarge === undefined) return sliceOf(after, isDone ? undefined : behindKey(last!), isDone);
  // What comes before it goes first.
  if (writer.rowCount > 0 || !canCopyKey) return sliceOf(after, behindKey(before!), false);
  return copyKey(shard, after, tooLarge, false, bytesMax);
}

/** Whether a row is as good as gone. */
function isForgotten(shard: Shard, key: Buffer, bytes: Buffer): boolean {
  const { type, expiresAtMs, timestamp } = rowHeader(bytes);
  return (
    (type === RowType.Tombstone && expiresAtMs <= shard.nowMs) || shard.replication.isFlushed(key, timestamp)
  );
}

/** Adds a large collection if the slice is not longer than it may be then. */
function addWhole(shard: Shard, key: Buffer, bytes: Buffer, version: number, bytesMax: number): boolean {
  const start = writer.byteLength;
  writer.beginElements(key, bytes, ElementsKind.All);
  const { overlay } = shard.collections.nodes;
  const bounds = { from: elementBound(version), before: elementBound(version + 1) };
  shard.source().iterate({ family: 'elem', values: true, ...bounds }, (name, value) => {
    writer.addElement(elementNameOf(name), overlay.row(name, value!));
    return writer.byteLength <= bytesMax;
  });
  if (writer.byteLength > bytesMax) {
    writer.rewind(start);
    return false;
  }
  writer.endElements();
  return true;
}

/** A slice of one key: all of it, or its first piece. */
function copyKey(
  shard: Shard,
  after: string | undefined,
  key: string,
  isOnly: boolean,
  bytesMax: number,
): CopySlice {
  const name = keyBytes(key);
  const stored = shard.source().get('default', name);
  const last = isOnly ? undefined : behindKey(key);
  if (stored === undefined) return sliceOf(after, last, isOnly);
  const bytes = committedBytes(shard, key, stored);
  const version = elementVersion(bytes);
  if (version !== 0 && !addWhole(shard, name, bytes, version, bytesMax)) {
    const { copies } = shard.replication;
    const row = Buffer.from(bytes);
    const overlay = shard.collections.nodes.overlayNow(version);
    const copy = copies.begin(shard.source(), { key, row, overlay, isOnly }, version, shard.nowMs);
    return copyPiece(shard, copy, after, bytesMax)!;
  }
  if (version === 0) writer.addStored(name, bytes);
  return sliceOf(after, last, isOnly);
}

/** The next piece of a large collection; undefined when its reading has been ended. */
function copyPiece(
  shard: Shard,
  copy: CollectionCopy,
  after: string | undefined,
  bytesMax: number,
): CopySlice | undefined {
  const { key, row, isOnly, session } = copy;
  const isFirst = copy.piece === 0;
  writer.beginElements(keyBytes(key), row, isFirst ? ElementsKind.First : ElementsKind.Middle);
  const isEnd = addPiece(copy, bytesMax);
  if (isEnd === undefined) {
    shard.replication.copies.end(copy);
    writer.discard();
    return undefined;
  }
  if (!isEnd) {
    writer.endElements();
    copy.piece++;
    return sliceOf(after, insideKey(key, session, copy.piece, isOnly), false);
  }
  shard.replication.copies.end(copy);
  // What was too large to go whole has more than one piece: a first one that is the last holds all of it.
  writer.endElements(isFirst ? ElementsKind.All : ElementsKind.Last);
  return sliceOf(after, isOnly ? undefined : behindKey(key), isOnly);
}

/** Adds elements up to the bound. @returns whether those were the last; undefined when the reading has been ended */
function addPiece({ reader, overlay }: CollectionCopy, bytesMax: number): boolean | undefined {
  try {
    for (;;) {
      const { rows, finished } = reader.next(ELEMENTS_READ);
      for (let at = 0; at < rows.length; at += 2) {
        const key = rows[at]!;
        writer.addElement(elementNameOf(key), overlay.row(key, rows[at + 1]!));
      }
      if (finished) return true;
      if (writer.byteLength >= bytesMax) return false;
    }
  } catch (error) {
    // The instance was closed: the shard was emptied, or opened anew.
    if (!(error instanceof StorageError) || error.code !== 'CLOSED') throw error;
    return undefined;
  }
}
