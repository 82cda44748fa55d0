import { Buffer } from 'node:buffer';
import type { ErrorTally } from '../base/error-tally.js';
import { BATCHES_IN_FLIGHT_MAX, REPLY_MEMORY_REUSED_MIN } from '../base/limits.js';
import { ReplyWriter } from '../base/reply-writer.js';
import type { ReplyMessage, SlowCommand } from './protocol.js';
import { WIRE_ROOM_BYTES } from './reply-wire.js';
import type { Shard } from './shard.js';

const REPLY_BYTES_MIN = 4096;
const WORD_BYTES = 4;
/** Words of an entry of the reply table, see ReplyMessage. */
const ENTRY_WORDS = 3;

/** What a part holds of one segment. */
export interface PartEntry {
  readonly segment: number;
  /** Where its bytes lie in the part. */
  readonly start: number;
  readonly end: number;
  /** Whether the segment's last reply is among them. */
  readonly complete: boolean;
  /** Commands and instructions of the segment that are done with it. */
  readonly done: number;
  /** Commands among them. */
  readonly answered: number;
  /** Shards that the segment touched. */
  readonly involved: readonly Shard[];
  /** Word at which the segment's next command stands. */
  readonly nextAt: number;
  /** The shard that it is for, unless it is told to use another. */
  readonly nextShard: number;
}

/** Replies that are gathered until what they tell of is committed, with the table that says whose they are. */
export class ReplyPart {
  readonly writer: ReplyWriter;
  private entries: PartEntry[] = [];
  private entryStart = 0;
  private expectedBytes = REPLY_BYTES_MIN;
  private readonly spares: ArrayBuffer[] = [];

  constructor(errors: ErrorTally) {
    this.writer = new ReplyWriter(undefined, errors);
  }

  /** Takes memory for later parts. */
  reuse(memory: ArrayBuffer): void {
    if (this.spares.length < BATCHES_IN_FLIGHT_MAX) this.spares.push(memory);
  }

  /** Forgets everything: nothing of it was sent. */
  restart(): void {
    // The memory of replies that were large lately is of no use to small ones, which get new memory at little cost.
    const spare = this.expectedBytes < REPLY_MEMORY_REUSED_MIN ? undefined : this.spares.pop();
    if (spare === undefined) this.writer.take(this.expectedBytes);
    else this.writer.reuse(Buffer.from(spare));
    this.entries = [];
    this.entryStart = 0;
  }

  /** What has been gathered, for a second attempt; the part is empty then. */
  withdraw(): { readonly bytes: Buffer; readonly entries: readonly PartEntry[] } {
    const { entries } = this;
    const bytes = this.writer.take(this.expectedBytes);
    this.entries = [];
    this.entryStart = 0;
    return { bytes, entries };
  }

  /** Ends the entry of a segment: what was written since the last one is its. */
  close(
    segment: number,
    complete: boolean,
    done: number,
    answered: number,
    nextAt: number,
    nextShard: number,
    involved: readonly Shard[],
  ): void {
    const end = this.writer.position;
    const start = this.entryStart;
    this.entries.push({ segment, start, end, complete, done, answered, nextAt, nextShard, involved });
    this.entryStart = end;
  }

  /** The message that carries the part; the part is empty then. */
  message(last: boolean, slow: readonly SlowCommand[]): ReplyMessage {
    const { writer, entries } = this;
    const bytes = writer.position;
    const tableOffset = (bytes + WORD_BYTES - 1) & ~(WORD_BYTES - 1);
    const tableWords = entries.length * ENTRY_WORDS;
    writer.reserve(tableOffset - bytes + tableWords * WORD_BYTES + WIRE_ROOM_BYTES);
    const buffer = writer.take(0).buffer as ArrayBuffer;
    const table = new Int32Array(buffer, tableOffset, tableWords);
    let at = 0;
    for (const entry of entries) {
      table[at++] = entry.segment;
      table[at++] = entry.end - entry.start;
      table[at++] = entry.complete ? 0 : entry.answered;
    }
    this.expectedBytes = Math.max(
      REPLY_BYTES_MIN,
      bytes + (bytes >> 2) + tableWords * WORD_BYTES + WIRE_ROOM_BYTES,
    );
    const message = { buffer, tableOffset, entries: entries.length, last };
    return slow.length > 0 ? { ...message, slow } : message;
  }
}
