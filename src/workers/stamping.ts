import { timestampOf, unixMsOf } from '../base/clock.js';
import { heldTimestamp } from '../types/feed-rules.js';
import type { Row } from '../types/row.js';
import type { Replication } from './replication.js';
import type { ShardEnvironment } from './shard-environment.js';

/** Gives the writes of clients their timestamps. */
export class Stamping {
  constructor(
    private readonly environment: ShardEnvironment,
    private readonly replication: Replication,
  ) {}

  /** @returns the timestamp of a write that happens now */
  now(row: Row, nowMs: number): number {
    // Whether the latest flush was of its slot makes no difference: the clock has seen it.
    return this.environment.clock.next(
      nowMs,
      Math.max(this.replication.latestFlush, this.heldBy(row, nowMs)),
    );
  }

  /** @returns the timestamp of a write that brought its own time; undefined if a later one holds */
  at(eventTimeMs: number, row: Row, nowMs: number): number | undefined {
    let timestamp = timestampOf(eventTimeMs);
    // A flush is remembered longer than others follow: what is older would be left out of the next copy.
    const held = Math.max(this.replication.flushOf(row.key), this.heldBy(row, nowMs));
    // Where others have the row no two writes of it may look alike: the last one to come here is the later one.
    if (this.replication.isActive && unixMsOf(held) === eventTimeMs) timestamp = held + 1;
    if (timestamp < held) return undefined;
    this.environment.clock.observe(timestamp);
    return timestamp;
  }

  /** The timestamp of the row that a write must beat. What has ended and is not remembered competes no more, swept or not. */
  private heldBy(row: Row, nowMs: number): number {
    const { isActive } = this.replication;
    const retentionMs = isActive ? this.environment.knobs.tombstoneRetentionMs : 0;
    return heldTimestamp(row, nowMs, retentionMs);
  }

  /** Until when a row that has ended by itself is remembered as a tombstone, Unix milliseconds; 0 = it is not. */
  rememberedUntilMs(endedMs: number, nowMs: number): number {
    // An older write that comes from elsewhere must not bring it back.
    const untilMs = endedMs + this.environment.knobs.tombstoneRetentionMs;
    return this.replication.isActive && untilMs > nowMs ? untilMs : 0;
  }
}
