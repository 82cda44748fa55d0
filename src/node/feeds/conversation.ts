import { FEED_WINDOW_BYTES } from '../../base/limits.js';
import type { Timers } from '../../base/timers.js';
import type { LogMark, SourceMessage, SourceStream } from '../../cluster/feed-messages.js';
import type { CopySlice, FeedPosition, FeedStart, LogChunk } from '../../types/feed.js';
import type { Applied, Refusal } from '../../workers/feed-protocol.js';
import type { ShardRoute } from '../../workers/pool.js';
import type { FeedDuty } from './duties.js';
import type { FeedEngine } from './engine.js';
import type { FeedMeter } from './feed-meter.js';
import { BEAT_EVERY_MS, COPYING_SILENT_MAX_MS, SILENT_MAX_MS } from './timing.js';

/** So many messages wait only where a source sends more signs of life than it has to. */
const QUEUE_MESSAGES_MAX = 10_000;

/** What a conversation tells of how it goes. */
export interface ConversationEvents {
  /** The copy begins, goes on, or is done. */
  progress(at: FeedStart, rows: number, bytes: number): void;
  /** The source has answered. */
  begun(): void;
  /** All up to the mark of an epoch in the source's log is here. */
  reachedMark(epoch: number): void;
}

/** What a conversation needs. */
export interface ConversationParts {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly meter: FeedMeter;
  readonly events: ConversationEvents;
}

/**
 * The follower's side of one conversation: what comes is applied in order, one message after the other, and then
 * acknowledged. It is over when the source is silent, sends what does not fit, or something cannot be applied.
 */
export class FeedConversation {
  /** Resolves when it is over and nothing is being applied any more, with the reason; undefined = it was ended here. */
  readonly over: Promise<Error | undefined>;
  private resolveOver: (reason: Error | undefined) => void = () => undefined;
  private waiting: SourceMessage[] = [];
  private isApplying = false;
  private ending: { readonly reason: Error | undefined } | undefined;
  private heardAtMs: number;
  /** Of rows and records: that have come, and that have been applied. */
  private heardBytes = 0;
  private bytes = 0;
  private at: FeedStart | undefined;
  /** Those that the source told last, and the log that they are in. */
  private marks: { readonly log: string; readonly marks: readonly LogMark[] } | undefined;
  private markReached = 0;
  private stopTimer: () => void = () => undefined;
  private stopResting: () => void = () => undefined;

  constructor(
    private readonly duty: FeedDuty,
    private readonly route: ShardRoute,
    private readonly stream: SourceStream,
    private readonly parts: ConversationParts,
  ) {
    this.over = new Promise((resolve) => {
      this.resolveOver = resolve;
    });
    this.heardAtMs = parts.timers.now();
    stream.onMessage = (message) => this.hear(message);
    stream.onEnd = (error) => this.end(error ?? new Error('the source has ended the feed'));
    this.beatLater();
  }

  /** Ends it. */
  end(reason: Error | undefined): void {
    if (this.ending !== undefined) return;
    this.ending = { reason };
    this.stopTimer();
    this.stopResting();
    this.waiting = [];
    this.stream.end();
    if (!this.isApplying) this.resolveOver(reason);
  }

  private beatLater(): void {
    this.stopTimer = this.parts.timers.after(BEAT_EVERY_MS, () => this.beat());
  }

  private beat(): void {
    const silentMaxMs = this.at?.phase === 'copying' ? COPYING_SILENT_MAX_MS : SILENT_MAX_MS;
    const nowMs = this.parts.timers.now();
    // A clock that was set back must not hold anything up.
    this.heardAtMs = Math.min(this.heardAtMs, nowMs);
    if (nowMs - this.heardAtMs > silentMaxMs) {
      this.end(new Error(`nothing was heard for ${silentMaxMs / 1000} s`));
      return;
    }
    this.acknowledge();
    this.beatLater();
  }

  private acknowledge(): void {
    const { at } = this;
    const position = at?.phase === 'tailing' ? at.position : undefined;
    this.stream.send({ kind: 'ack', position, bytes: this.bytes });
  }

  private hear(message: SourceMessage): void {
    if (this.ending !== undefined) return;
    this.heardAtMs = this.parts.timers.now();
    if (message.kind === 'refused') {
      this.end(new Error(message.reason));
      return;
    }
    const bytes = bytesOf(message);
    // The last one may be as large as a commit is; the source sends nothing more before there is room again.
    if (bytes > 0 && this.heardBytes - this.bytes >= FEED_WINDOW_BYTES) {
      this.end(
        new Error(`the source sends more than the ${FEED_WINDOW_BYTES} bytes that may be on their way`),
      );
      return;
    }
    if (this.waiting.length >= QUEUE_MESSAGES_MAX) {
      this.end(new Error(`${QUEUE_MESSAGES_MAX} messages of the source wait already`));
      return;
    }
    this.heardBytes += bytes;
    this.waiting.push(message);
    if (!this.isApplying) void this.applyAll();
  }

  private async applyAll(): Promise<void> {
    this.isApplying = true;
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift())
        await this.apply(next);
    } catch (error) {
      this.isApplying = false;
      this.end(error as Error);
    }
    this.isApplying = false;
    if (this.ending !== undefined) this.resolveOver(this.ending.reason);
  }

  private async apply(message: SourceMessage): Promise<void> {
    switch (message.kind) {
      case 'begin':
        await this.begin(message.from);
        break;
      case 'slice':
        await this.applySlice(message.slice);
        break;
      case 'records':
        await this.applyRecords(message.chunk);
        break;
      case 'beat':
        this.heardHead(message.position, message.marks);
        return;
      case 'refused':
        return;
    }
    if (this.ending === undefined) this.acknowledge();
    this.lookForMarks();
  }

  private lookForMarks(): void {
    const { at, marks } = this;
    if (at?.phase !== 'tailing' || at.position.log !== marks?.log) return;
    const { sequence } = at.position;
    for (const mark of marks.marks)
      if (mark.sequence <= sequence && mark.epoch > this.markReached) {
        this.markReached = mark.epoch;
        this.parts.events.reachedMark(mark.epoch);
      }
  }

  private async begin(from: FeedStart): Promise<void> {
    const { engine, meter, events } = this.parts;
    const { feed, slots } = this.duty;
    if (from.phase === 'copying' && from.after === undefined)
      refuseNothing(await engine.beginCopy(this.route, feed, from.begin, slots));
    else refuseNothing(await engine.resumeFeed(this.route, feed, slots));
    this.at = from;
    if (from.phase === 'copying') meter.copying();
    else meter.tailing(from.position.sequence);
    events.begun();
    events.progress(from, 0, 0);
  }

  private async applySlice(slice: CopySlice): Promise<void> {
    const { engine, meter, events } = this.parts;
    const { at, duty } = this;
    if (at?.phase !== 'copying' || at.after !== slice.after)
      throw new Error('the source sent a piece of a copy that does not belong here');
    const bytes = slice.rows.length;
    const applied = await engine.applyCopy(this.route, duty.feed, slice);
    refuseNothing(applied);
    this.bytes += bytes;
    const { log, sequence } = at.begin;
    this.at = slice.isDone ? { phase: 'tailing', position: { log, sequence } } : { ...at, after: slice.last };
    if (slice.isDone) meter.tailing(sequence);
    events.progress(this.at, slice.rowCount, bytes);
    if (!slice.isDone) await this.rest(applied.restMs);
  }

  /** For so long, or until it is ended. */
  private rest(ms: number): Promise<void> {
    if (this.ending !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const callOff = this.parts.timers.after(ms, resolve);
      this.stopResting = () => {
        callOff();
        resolve();
      };
    });
  }

  private async applyRecords(chunk: LogChunk): Promise<void> {
    const { engine, meter, events } = this.parts;
    const { at, duty } = this;
    if (at?.phase !== 'tailing' || !isSame(at.position, chunk.after) || chunk.last.log !== at.position.log)
      throw new Error('the source sent records of its log that do not belong here');
    const bytes = chunk.records.length;
    refuseNothing(await engine.applyRecords(this.route, duty.feed, chunk));
    this.bytes += bytes;
    this.at = { phase: 'tailing', position: chunk.last };
    meter.reached(chunk.last.sequence);
    events.progress(this.at, 0, bytes);
  }

  private heardHead(position: FeedPosition, marks: readonly LogMark[]): void {
    const { at } = this;
    this.marks = { log: position.log, marks };
    this.lookForMarks();
    const log = at?.phase === 'copying' ? at.begin.log : at?.position.log;
    if (log === position.log) this.parts.meter.headIs(position.sequence, this.parts.timers.now());
  }
}

/** What counts of a message against the window. */
function bytesOf(message: SourceMessage): number {
  if (message.kind === 'slice') return message.slice.rows.length;
  return message.kind === 'records' ? message.chunk.records.length : 0;
}

/** The shard here does not take what came. What is said is for operators. */
export class NotApplied extends Error {}

function refuseNothing(applied: Applied | Refusal | undefined): void {
  if (applied === undefined || !('refused' in applied)) return;
  // A key is to come by itself first: the next conversation begins with that.
  if (applied.refused === 'copy') throw new Error(applied.message);
  throw new NotApplied(applied.message);
}

function isSame(one: FeedPosition, other: FeedPosition): boolean {
  return one.log === other.log && one.sequence === other.sequence;
}
