import { Buffer } from 'node:buffer';
import { readUint64, writeUint64 } from '../types/binary.js';
import type { Database } from './rocksdb.js';

/*
 * A row of the `meta` family for each large collection of which a restore has brought a part, and which no row names:
 *   key    `restoring`, version (8 bytes)
 *   value  empty
 * It is written with the first piece, and deleted with the last. Those that a start finds will not be finished.
 */
const PREFIX = Buffer.from('restoring');
const KEY_BYTES = PREFIX.length + 8;
const EMPTY = Buffer.alloc(0);

/** Stages that a collection is being brought. */
export function stageUnfinished(target: Database, version: number): void {
  target.put('meta', unfinishedKey(version), EMPTY);
}

/** Stages that it is complete, or has gone. */
export function stageFinished(target: Database, version: number): void {
  target.delete('meta', unfinishedKey(version));
}

/** Those that an instance has. */
export function readUnfinished(source: Database): number[] {
  const versions: number[] = [];
  source.iterate({ family: 'meta', from: PREFIX, values: false }, (key) => {
    if (key.length !== KEY_BYTES || !key.subarray(0, PREFIX.length).equals(PREFIX)) return false;
    versions.push(readUint64(key, PREFIX.length));
    return true;
  });
  return versions;
}

function unfinishedKey(version: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  PREFIX.copy(key);
  writeUint64(key, PREFIX.length, version);
  return key;
}
