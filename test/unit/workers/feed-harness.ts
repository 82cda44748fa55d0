import { Buffer } from 'node:buffer';
import type { FeedSlots } from '../../../src/types/feed-codec.js';
import { Row, RowType, valueText } from '../../../src/types/row.js';
import { decodeRow } from '../../../src/types/row-codec.js';
import type { Applied, LogChunk, Refusal } from '../../../src/workers/feed-protocol.js';
import { scanRows } from '../../../src/workers/feed-scan.js';
import { copySlice, logState, readLog, stageLogging } from '../../../src/workers/feed-source.js';
import { FeedTarget, type Step } from '../../../src/workers/feed-target.js';
import type { Shard } from '../../../src/workers/shard.js';

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

/** What a row is for a comparison; undefined where it is as good as gone. */
export function described(row: Row, nowMs: number, retentionMs: number): string | undefined {
  const { type, timestamp, expiresAtMs, flags } = row;
  if (type === RowType.Absent) return undefined;
  if (type !== RowType.Tombstone && (expiresAtMs === 0 || expiresAtMs > nowMs))
    return `${valueText(row.value)} @${timestamp} until ${expiresAtMs} flags ${flags}`;
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
      decodeRow(row, Buffer.from(bytes));
      const text = described(row, shard.nowMs, tombstoneRetentionMs);
      if (text !== undefined) contents[row.key] = text;
      return true;
    });
    if (isDone) return contents;
    after = last;
  }
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
        expectApplied(await end.applyRecords(chunk));
      }
    }
  }
}

function expectApplied(answer: Applied | Refusal): void {
  if (isRefusal(answer)) throw new Error(`${answer.refused}: ${answer.message}`);
}
