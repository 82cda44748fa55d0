import { Buffer } from 'node:buffer';
import { expect } from 'vitest';
import { HashValue } from '../../../src/types/collections/hash.js';
import { ListValue } from '../../../src/types/collections/list.js';
import { SetValue } from '../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../src/types/collections/sorted-set.js';
import type { FeedSlots } from '../../../src/types/feed-codec.js';
import { Row, RowType, stringValue, valueText } from '../../../src/types/row.js';
import { decodeRow, elementVersion, readUint64 } from '../../../src/types/row-codec.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import type { Applied, LogChunk, Refusal } from '../../../src/workers/feed-protocol.js';
import { scanRows } from '../../../src/workers/feed-scan.js';
import { logState, readLog, stageLogging } from '../../../src/workers/feed-source.js';
import { FeedTarget, type Step } from '../../../src/workers/feed-target.js';
import { readReplication } from '../../../src/workers/replication-meta.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { openShard, type Rig } from './shard-harness.js';

/** Steps as a worker does them, without one. */
export function stepOf(shard: Shard): Step {
  return async (work) => {
    try {
      const result = await work();
      if (shard.hasChanges || shard.source().staged !== 0) shard.commit(false, false);
      return result;
    } catch (error) {
      shard.rollback();
      throw error;
    }
  };
}

/** Rows as everybody should have them, by key: what has ended is the tombstone that it leaves. */
export type Contents = Readonly<Record<string, string>>;

/** What a row holds, whatever version its elements have. */
export function contentOf({ collection, value }: Row, nowMs: number): string {
  if (collection === undefined) return valueText(value);
  const parts: string[] = [];
  if (collection instanceof SetValue) parts.push(...collection.members().sort());
  else if (collection instanceof HashValue)
    collection.each(nowMs, (field, text) => parts.push(`${field}=${valueText(text)}`) > 0);
  else if (collection instanceof SortedSetValue)
    collection.each(0, collection.size, ({ member, score }) => parts.push(`${score} ${member}`) > 0);
  else if (collection instanceof ListValue)
    collection.each(0, collection.size, (text) => parts.push(valueText(text)) > 0);
  if (collection instanceof HashValue) parts.sort();
  return `${collection.type} of ${collection.size}: ${JSON.stringify(parts)}`;
}

/** What a row is for a comparison; undefined where it is as good as gone. */
export function described(
  row: Pick<Row, 'type' | 'timestamp' | 'expiresAtMs' | 'flags'>,
  content: string,
  nowMs: number,
  retentionMs: number,
): string | undefined {
  const { type, timestamp, expiresAtMs, flags } = row;
  if (type === RowType.Absent) return undefined;
  if (type !== RowType.Tombstone && (expiresAtMs === 0 || expiresAtMs > nowMs))
    return `${content} @${timestamp} until ${expiresAtMs} flags ${flags}`;
  const untilMs = type === RowType.Tombstone ? expiresAtMs : expiresAtMs + retentionMs;
  return untilMs <= nowMs ? undefined : `gone @${timestamp} until ${untilMs}`;
}

/** Everything that a shard has committed. */
export function contentsOf(shard: Shard): Contents {
  const { tombstoneRetentionMs } = shard.environment.knobs;
  const contents: Record<string, string> = {};
  for (let after: string | undefined; ; ) {
    const { last, isDone } = scanRows(shard, after, undefined, undefined, (key, bytes) => {
      const row = new Row(key.latin1Slice());
      decodeRow(row, Buffer.from(bytes), shard.collections);
      const content = contentOf(row, shard.nowMs);
      const text = described(row, content, shard.nowMs, tombstoneRetentionMs);
      if (text !== undefined) contents[row.key] = text;
      return true;
    });
    if (isDone) return contents;
    after = last;
  }
}

/** Element rows are those of collections that are there, that are being brought, or that have gone. */
export function auditElements(shard: Shard): void {
  const known = new Set<number>();
  const source = shard.source();
  source.iterate({ family: 'default', values: true }, (_, bytes) => {
    const version = elementVersion(bytes!);
    if (version !== 0) {
      expect(known.has(version), `version ${version} is in two rows`).toBe(false);
      known.add(version);
    }
    return true;
  });
  source.iterate({ family: 'meta', from: Buffer.from('dead'), values: false }, (key) => {
    if (key.toString('latin1', 0, 4) !== 'dead') return false;
    known.add(readUint64(key, 4));
    return true;
  });
  for (const { record } of readReplication(source).feeds.values())
    if (record.building !== undefined) known.add(record.building.version);
  source.iterate({ family: 'elem', values: false }, (key) => {
    expect([...known]).toContain(readUint64(key, 0));
    return true;
  });
}

/** Has a shard log. */
export async function startLogging(shard: Shard): Promise<void> {
  await stepOf(shard)(() => stageLogging(shard, true));
}

export function isRefusal(answer: Applied | Refusal): answer is Refusal {
  return 'refused' in answer;
}

/** Follows a source to the end of its log, as a node would, copying where need be. @returns the chunks on the way */
export async function followToEnd(
  source: Shard,
  target: Shard,
  feed: string,
  slots?: FeedSlots,
  bytesMax = 1000,
): Promise<LogChunk[]> {
  const chunks: LogChunk[] = [];
  for (;;) {
    const end = new FeedTarget(target, feed, stepOf(target));
    const progress = target.replication.progress()[feed];
    if (progress === undefined) await end.begin(logState(source)!, slots);
    else if (progress.phase === 'copying')
      expectApplied(await end.applyCopy(copySlice(source, progress.after, slots, bytesMax)));
    else {
      const chunk = readLog(source, progress.position, bytesMax, slots);
      if ('gone' in chunk) await end.begin(logState(source)!, slots);
      else if (chunk.last.sequence === progress.position.sequence) return chunks;
      else {
        chunks.push(chunk);
        const answer = await end.applyRecords(chunk);
        if (!isRefusal(answer) || answer.refused !== 'copy') expectApplied(answer);
      }
    }
  }
}

function expectApplied(answer: Applied | Refusal): void {
  if (isRefusal(answer)) throw new Error(`${answer.refused}: ${answer.message}`);
}

/** Tombstone retention of the copies of {@link openCopy}. */
export const RETENTION_MS = 200_000;

export async function openCopy(directory = temporaryDir(), machine?: string): Promise<Rig> {
  const rig = await openShard(directory, 1 << 20, 1, undefined, machine);
  rig.knobs.tombstoneRetentionMs = RETENTION_MS;
  return rig;
}

/** A shard that logs, and one that follows it. */
export async function pair(): Promise<{ source: Shard; target: Shard; rigs: Rig[] }> {
  const rigs = [await openCopy(), await openCopy()];
  const [source, target] = rigs.map(({ shard }) => shard) as [Shard, Shard];
  await startLogging(source);
  return { source, target, rigs };
}

export function write(shard: Shard, ...rows: [string, string][]): void {
  for (const [key, value] of rows) shard.setString(key, stringValue(value), 0);
  shard.commit(false);
}

export function textOf(shard: Shard, key: string): string | undefined {
  const row = shard.peek(key);
  return row && valueText(row.value);
}

export const targetOf = (shard: Shard, feed = 'f') => new FeedTarget(shard, feed, stepOf(shard));

/** The records of a source's log behind one. */
export function chunkOf(source: Shard, sequence: number, bytesMax = 1 << 20): LogChunk {
  const chunk = readLog(source, { log: logState(source)!.log, sequence }, bytesMax, undefined);
  if ('gone' in chunk) throw new Error(`${sequence} is gone`);
  return chunk;
}
