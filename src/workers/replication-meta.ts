import { Buffer } from 'node:buffer';
import { FEED_SLOTS_BYTES, type FeedSlots } from '../types/feed-codec.js';
import { FlushSet } from '../types/flush-set.js';
import { type LogSettings, NO_LOG } from './feed-log.js';
import type { CopyBegin, FeedPosition } from './feed-protocol.js';
import { type Database, StorageError } from './rocksdb.js';

/*
 * Rows of the `meta` family that are about feeds, JSON in UTF-8 but for sets of slots:
 *
 *   replication    ReplicationRecord: what the shard as a whole knows
 *   feed:<id>      FeedRecord: how far it has come with a feed of which it is the target
 *   slots:<id>     the slots of that feed, 2048 bytes; absent = all
 *   flushes        what is known of flushes, see types/flush-set.ts; absent = nothing
 */
const STATE_KEY = Buffer.from('replication');
const FEED_PREFIX = 'feed:';
const SLOTS_PREFIX = 'slots:';
const FLUSHES_KEY = Buffer.from('flushes');

/** What a shard keeps of feeds beside rows and records. */
export interface ReplicationRecord {
  readonly log: LogSettings;
  /** No row of the shard had a later timestamp when this was written. */
  readonly newest: number;
  /**
   * Of earlier versions, until it is known of which slots it is: rows of the shard up to this timestamp are gone, those too
   * that still arrive, by its last flush; absent = there was none, or it is among the flushes.
   */
  readonly flushedAt?: number;
  /** As {@link flushedAt}: rows up to this timestamp are removed from the disk, too. */
  readonly clearedAt?: number;
  /** Which start of the machine wrote it; '' after the shard was closed, with all of it on the disk. */
  readonly machine: string;
  /** Feeds that bring back what the machine lost, see Replication.isRecovering; absent = none. */
  readonly recovering?: readonly string[];
}

/** How far a shard has come with a feed. */
export interface FeedRecord {
  /** While copying: where the copy began. */
  readonly begin: CopyBegin | undefined;
  /** While copying: up to where it is done, see feed-cursor.ts. */
  readonly after: string | undefined;
  /** While copying: whether that is not the first time, and the copy before was done. */
  readonly hadAll?: boolean;
  /** While copying: rows up to this timestamp may be here that the source has lost, see FeedTarget; absent = none. */
  readonly lostUntil?: number;
  /** While tailing. */
  readonly position: FeedPosition | undefined;
  /** The large collection that comes piece by piece: its elements are here under a version that no row has yet. */
  readonly building:
    | { readonly key: string; readonly version: number; readonly timestamp: number }
    | undefined;
  /** A key that was to be copied by itself, and that the source has not any more. */
  readonly missing: string | undefined;
  /** Rows and bytes that the copy has brought. */
  readonly rows: number;
  readonly bytes: number;
  /** While copying: rows that the source lacks go if they are older than this timestamp. */
  readonly removeBefore: number;
  /** Of a feed of some slots, and of earlier versions: rows of these up to this timestamp are gone. */
  readonly flushedAt?: number;
  /** The latest timestamp that the feed brought. */
  readonly newest: number;
}

/** Whether a feed has come as far by one record as by the other. */
export function isSamePlace(one: FeedRecord, other: FeedRecord): boolean {
  const [at, otherAt] = [one.position ?? one.begin, other.position ?? other.begin];
  const isSamePhase = (one.position === undefined) === (other.position === undefined);
  return (
    isSamePhase && one.after === other.after && at?.log === otherAt?.log && at?.sequence === otherAt?.sequence
  );
}

/** A feed, and the slots it is about; undefined = all. */
export interface Feed {
  readonly record: FeedRecord;
  readonly slots: FeedSlots | undefined;
}

export const NO_REPLICATION: ReplicationRecord = {
  log: NO_LOG,
  newest: 0,
  machine: '',
};

export interface ReplicationContents {
  /** undefined where the shard has never had to do with feeds. */
  readonly record: ReplicationRecord | undefined;
  readonly feeds: ReadonlyMap<string, Feed>;
  /** undefined where an earlier version wrote what there is. */
  readonly flushes: FlushSet | undefined;
}

/** @throws StorageError CORRUPT, and what reading throws */
export function readReplication(database: Database): ReplicationContents {
  const state = database.get('meta', STATE_KEY);
  const feeds = new Map<string, Feed>();
  const from = Buffer.from(FEED_PREFIX);
  database.iterate({ family: 'meta', from, values: true }, (key, value) => {
    const name = key.toString();
    if (!name.startsWith(FEED_PREFIX)) return false;
    const id = name.slice(FEED_PREFIX.length);
    const slots = database.get('meta', Buffer.from(SLOTS_PREFIX + id));
    if (slots !== undefined && slots.length !== FEED_SLOTS_BYTES)
      throw new StorageError(
        'CORRUPT',
        `${database.path}: the slots of feed ${id} have ${slots.length} bytes`,
      );
    feeds.set(id, { record: parse<FeedRecord>(database, name, value!), slots });
    return true;
  });
  const flushes = database.get('meta', FLUSHES_KEY);
  return {
    record: state && parse<ReplicationRecord>(database, 'replication', state),
    feeds,
    flushes: flushes && parseFlushes(database, flushes),
  };
}

function parseFlushes(database: Database, bytes: Buffer): FlushSet {
  try {
    return FlushSet.fromBytes(bytes);
  } catch (cause) {
    throw new StorageError('CORRUPT', `${database.path}: the row flushes of meta cannot be read`, { cause });
  }
}

export function writeFlushes(target: Database, flushes: FlushSet): void {
  target.put('meta', FLUSHES_KEY, Buffer.from(flushes.toBytes()));
}

function parse<T>(database: Database, what: string, bytes: Buffer): T {
  try {
    // Written by this file; a missing field is one that was undefined.
    return JSON.parse(bytes.toString()) as T;
  } catch (cause) {
    throw new StorageError('CORRUPT', `${database.path}: the row ${what} of meta cannot be read`, { cause });
  }
}

export function writeReplication(target: Database, record: ReplicationRecord): void {
  target.put('meta', STATE_KEY, Buffer.from(JSON.stringify(record)));
}

export function writeFeed(target: Database, id: string, { record }: Feed): void {
  target.put('meta', Buffer.from(FEED_PREFIX + id), Buffer.from(JSON.stringify(record)));
}

export function writeSlots(target: Database, id: string, slots: FeedSlots | undefined): void {
  const key = Buffer.from(SLOTS_PREFIX + id);
  if (slots === undefined) target.delete('meta', key);
  else target.put('meta', key, Buffer.from(slots));
}

export function deleteFeed(target: Database, id: string): void {
  target.delete('meta', Buffer.from(FEED_PREFIX + id));
  target.delete('meta', Buffer.from(SLOTS_PREFIX + id));
}
