import type { Buffer } from 'node:buffer';
import { timestampOf } from '../base/clock.js';
import {
  eachRecordEntry,
  type FeedSlots,
  FeedWriter,
  flushTimestamp,
  hasSlot,
  joinRecords,
} from '../types/feed-codec.js';
import { rememberedSince } from '../types/feed-rules.js';
import { keySlot } from '../types/slots.js';
import type { FeedPosition, FeedState, LogChunk, LogGone, LogState } from './feed-protocol.js';
import { newLogId } from './replication.js';
import type { Shard } from './shard.js';

/*
 * A shard as the source of feeds. All is to be called between batches; what changes anything is staged, for a commit.
 */

/** Stages that the shard logs what its clients write, or no more. */
export function stageLogging(shard: Shard, on: boolean): void {
  const { log } = shard.replication;
  if (on === log.isOn) {
    if (on) shard.replication.noteStart();
    return;
  }
  if (!on) {
    log.end();
    return;
  }
  beginReplication(shard);
  log.begin(newLogId(), shard.nowMs);
}

/** Stages what is to be from the moment on that a shard has to do with feeds. */
export function beginReplication(shard: Shard): void {
  const { replication, environment } = shard;
  shard.keepTombstones();
  // Until now nobody has kept account of the latest timestamp in the shard.
  if (!replication.isActive) replication.saw(Math.max(environment.clock.latest, timestampOf(shard.nowMs)));
}

/** @returns undefined while the shard does not log */
export function logState(shard: Shard): LogState | undefined {
  const { replication, environment, nowMs } = shard;
  const { log, flushes } = replication;
  if (!log.isOn) return undefined;
  const { tombstoneRetentionMs, feedDriftMaxMs } = environment.knobs;
  return {
    log: log.id,
    sequence: log.last,
    firstSequence: log.first,
    bytes: log.bytes,
    lostMs: log.lostMs,
    flushes: flushes.toBytes(),
    // What is still being copied, or has lost something, does not tell of what it lacks.
    rememberedSince:
      replication.isIncomplete || (log.lostMs !== 0 && nowMs - log.lostMs < tombstoneRetentionMs)
        ? 0
        : rememberedSince(log.sinceMs, nowMs, tombstoneRetentionMs, feedDriftMaxMs),
  };
}

export function feedState(shard: Shard): FeedState {
  return { log: logState(shard), feeds: shard.replication.progress() };
}

export function readLog(
  shard: Shard,
  after: FeedPosition,
  bytesMax: number,
  slots: FeedSlots | undefined,
): LogChunk | LogGone {
  const { log } = shard.replication;
  const read = log.read(shard.source(), after, bytesMax);
  if (read === undefined) return { gone: true };
  const records =
    slots === undefined ? read.records : read.records.flatMap((record) => inSlots(record, slots));
  return { after, records: joinRecords(records), last: { log: log.id, sequence: read.last } };
}

const filter = new FeedWriter();

/** The rows of a record that are in the slots, as a record; none where there are none. */
function inSlots(record: Buffer, slots: FeedSlots): Uint8Array[] {
  if (flushTimestamp(record) !== undefined) return [record];
  let isWhole = true;
  eachRecordEntry(record, ({ key }) => {
    isWhole &&= hasSlot(slots, keySlot(key));
  });
  if (isWhole) return [record];
  filter.beginRows();
  eachRecordEntry(record, ({ key, entry }) => {
    if (hasSlot(slots, keySlot(key))) filter.addEntry(entry);
  });
  if (filter.rowCount === 0) {
    filter.discard();
    return [];
  }
  return [Uint8Array.from(filter.take())];
}
