import { Buffer } from 'node:buffer';
import { readUint64, writeUint64 } from '../types/row-codec.js';
import { type Database, StorageError } from './rocksdb.js';

/** What a shard knows of itself; written in the batch that changes it. */
export interface ShardMeta {
  /** Keys stored, those included whose expiry has come but that were not swept yet. */
  live: number;
  /** Those of them that have an expiry. */
  expiring: number;
  /** Whether deletions must be remembered: some write brought its own event time. */
  keepsTombstones: boolean;
  /** Version that the next large collection gets. */
  nextVersion: number;
}

/** What a shard without a record knows. */
const NOTHING_KNOWN: ShardMeta = { live: 0, expiring: 0, keepsTombstones: false, nextVersion: 1 };

/**
 * Version of everything a shard has on disk: rows, `ttl` keys, this record. docs/DATA_FORMAT.md describes each.
 * A shard of a later version is refused; one of an earlier version is brought forward when it is opened.
 */
export const FORMAT_VERSION = 7;

/*
 * The record under the key `shard` of the `meta` family:
 *   0  4  format version, unsigned, big-endian
 *   4  8  live
 *   12 8  expiring
 *   20 1  bit 0: keepsTombstones
 *   21 8  nextVersion; not before format 3
 */
const KEY = Buffer.from('shard');
const RECORD_BYTES = 29;
const RECORD_BYTES_BEFORE_3 = 21;
const KEEPS_TOMBSTONES = 1;

/** Reads the record when a shard is opened, and brings it to this format. @throws what {@link readShardMeta} does, and for a write that fails */
export function openShardMeta(database: Database): ShardMeta {
  const meta = readShardMeta(database);
  const record = database.get('meta', KEY);
  // From here on there may be what an earlier format does not have: journals, large collections.
  if (record !== undefined && record.readUInt32BE(0) < FORMAT_VERSION) {
    writeShardMeta(database, meta);
    database.commit(true);
  }
  return meta;
}

/** @throws StorageError CORRUPT for a record that cannot be read, OTHER for a later format */
export function readShardMeta(database: Database): ShardMeta {
  const record = database.get('meta', KEY);
  if (record === undefined) return NOTHING_KNOWN;
  if (record.length < 4)
    throw new StorageError('CORRUPT', `${database.path}: the shard's record is cut short`);
  const version = record.readUInt32BE(0);
  if (version > FORMAT_VERSION)
    throw new StorageError(
      'OTHER',
      `${database.path} has data format ${version}; this program knows formats up to ${FORMAT_VERSION}. Use a later version of Vasto.`,
    );
  if (record.length !== (version < 3 ? RECORD_BYTES_BEFORE_3 : RECORD_BYTES))
    throw new StorageError('CORRUPT', `${database.path}: the shard's record has ${record.length} bytes`);
  return {
    live: readUint64(record, 4),
    expiring: readUint64(record, 12),
    keepsTombstones: (record[20]! & KEEPS_TOMBSTONES) !== 0,
    nextVersion: version < 3 ? NOTHING_KNOWN.nextVersion : readUint64(record, 21),
  };
}

/** Stages the record. */
export function writeShardMeta(database: Database, meta: ShardMeta): void {
  const record = Buffer.alloc(RECORD_BYTES);
  record.writeUInt32BE(FORMAT_VERSION, 0);
  writeUint64(record, 4, meta.live);
  writeUint64(record, 12, meta.expiring);
  record[20] = meta.keepsTombstones ? KEEPS_TOMBSTONES : 0;
  writeUint64(record, 21, meta.nextVersion);
  database.put('meta', KEY, record);
}
