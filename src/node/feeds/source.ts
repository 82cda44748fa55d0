import { COPY_SLICE_BYTES, FEED_SLICE_BYTES, FEED_WINDOW_BYTES } from '../../base/limits.js';
import type { Timers } from '../../base/timers.js';
import type { FollowerMessage, FollowerStream, LogMark } from '../../cluster/feed-messages.js';
import type { CopyBegin, CopySlice, FeedPosition, FeedStart } from '../../types/feed.js';
import { FlushSet } from '../../types/flush-set.js';
import type { FeedState, LogState } from '../../workers/feed-protocol.js';
import type { ShardRoute } from '../../workers/pool.js';
import type { CopyRate } from './copy-rate.js';
import type { FeedEngine } from './engine.js';
import { EARLY_MAX_MS, LOOK_EVERY_MS, RATE_ASKED_EVERY_MS, SILENT_MAX_MS, tailEveryMs } from './timing.js';

export type OpenMessage = Extract<FollowerMessage, { kind: 'open' }>;

/** What a shard has of slots: all; a part, to which nothing comes; or nothing that can be copied now, and why. */
export type Copyable = 'whole' | 'part' | { readonly reason: string };

/** Why a feed cannot be had. */
export interface NotAdmitted {
  readonly reason: string;
  /** It may be had when this store has heard what the follower has heard already. */
  readonly isEarly: boolean;
}

/** What the sources of a store have in common. */
export interface SourceHost {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly rate: CopyRate;
  /** The shard that a feed is of, or why it cannot be had. */
  admit(open: OpenMessage): ShardRoute | NotAdmitted;
  /** The end of the shard's log, as far as it is known; undefined while it does not log. */
  headOf(route: ShardRoute): FeedPosition | undefined;
  /** The marks in a log of the shard. */
  marksIn(route: ShardRoute, log: string): readonly LogMark[];
  /** Whether a copy can be made of what the feed is about now. */
  copyable(open: OpenMessage): Copyable;
  /** The log of the shard is another one than was thought. */
  headFound(route: ShardRoute, head: FeedPosition): void;
  /** What the follower has safely. */
  acknowledged(source: FeedSource): void;
  ended(source: FeedSource): void;
}

/**
 * The source's side of one feed: sends the copy, piece by piece, and then the log, as it grows. No more is on its way
 * than the follower's acknowledgements allow; a copy gives way to clients (see Paced), and keeps to the rate that is
 * set for copies.
 */
export class FeedSource {
  open: OpenMessage | undefined;
  route: ShardRoute | undefined;
  /** The last record that the follower has safely; undefined while it copies. */
  acked: FeedPosition | undefined;
  /** What the follower will need next begins behind this record. */
  needed: FeedPosition | undefined;
  /** When the follower was last heard, Unix milliseconds. */
  heardAtMs: number;
  /** Where the feed goes on, as far as it has been sent. */
  private at: FeedStart | undefined;
  private sentBytes = 0;
  /** The last read of the log has got all that was known to be there when it was asked for. */
  private readAll = false;
  private ackedBytes = 0;
  /** When the log was read last, Unix milliseconds. */
  private readAtMs = 0;
  /** How long that took, milliseconds. */
  private readTookMs = 0;
  private isHurried = false;
  /** All that was logged has been sent. */
  private isIdle = false;
  private isOver = false;
  private wakeUp: () => void = () => undefined;

  constructor(
    private readonly stream: FollowerStream,
    private readonly host: SourceHost,
  ) {
    this.heardAtMs = host.timers.now();
    stream.onMessage = (message) => this.hear(message);
    stream.onEnd = () => this.over();
  }

  get isCopying(): boolean {
    return this.at?.phase === 'copying';
  }

  /** The shard has logged something. That is often: only who has nothing else to wait for is to hear of it. */
  logged(): void {
    if (this.isIdle) this.wakeUp();
  }

  /** Somebody waits for the follower to have what has been logged. */
  hurry(): void {
    this.isHurried = true;
    this.wakeUp();
  }

  /** A sign of life; ends the feed where the follower gives none. */
  beat(nowMs: number): void {
    // A clock that was set back must not hold anything up.
    this.heardAtMs = Math.min(this.heardAtMs, nowMs);
    if (nowMs - this.heardAtMs > SILENT_MAX_MS) {
      this.refuse(`nothing was heard of the follower for ${SILENT_MAX_MS / 1000} s`);
      return;
    }
    this.tell(nowMs);
  }

  /** Says where the log ends, and which marks are in it. */
  tell(nowMs: number): void {
    const { route, host } = this;
    const position = route && host.headOf(route);
    if (route === undefined || position === undefined || this.at === undefined) return;
    const marks = host.marksIn(route, position.log);
    this.stream.send({ kind: 'beat', position, nowMs, marks });
  }

  /** Ends the feed; the follower is told why. */
  refuse(reason: string): void {
    if (this.isOver) return;
    this.stream.send({ kind: 'refused', reason });
    this.stream.end();
    this.over();
  }

  private over(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.wakeUp();
    this.host.ended(this);
  }

  private hear(message: FollowerMessage): void {
    this.heardAtMs = this.host.timers.now();
    if (message.kind === 'open') {
      if (this.open !== undefined) this.refuse('the feed has been opened already');
      else void this.serve(message);
      return;
    }
    this.ackedBytes = message.bytes;
    if (message.position !== undefined) {
      this.acked = message.position;
      this.needed = message.position;
    }
    if (this.route !== undefined) this.host.acknowledged(this);
    this.wakeUp();
  }

  /** What is admitted may be another by now. */
  admissionChanged(): void {
    if (this.route === undefined) this.wakeUp();
  }

  /** Followers that heard of a change first are not sent away to come back who knows when: news is on its way. */
  private async admitted(open: OpenMessage): Promise<ShardRoute | NotAdmitted> {
    const { host } = this;
    const sinceMs = host.timers.now();
    for (;;) {
      const answer = host.admit(open);
      const waitedMs = host.timers.now() - sinceMs;
      // A clock that was set back must not hold anything up.
      const leftMs = waitedMs < 0 ? 0 : EARLY_MAX_MS - waitedMs;
      if (!('isEarly' in answer && answer.isEarly) || leftMs <= 0 || this.isOver) return answer;
      await this.pause(leftMs);
    }
  }

  private async serve(open: OpenMessage): Promise<void> {
    this.open = open;
    const route = await this.admitted(open);
    if (this.isOver) return;
    if ('reason' in route) {
      this.refuse(route.reason);
      return;
    }
    this.route = route;
    try {
      const state = await this.host.engine.state(route);
      if (!this.isOver) this.begin(state, open.resume);
      while (!this.isOver) {
        const at = this.at!;
        if (this.mustWait) await this.pause(LOOK_EVERY_MS);
        else if (at.phase === 'copying') await this.copy(route, open, at);
        else if (this.isLevel(route, at.position)) await this.idle();
        else if (this.restMs > 0) await this.pause(this.restMs);
        else await this.tail(route, open, at.position);
      }
    } catch (error) {
      this.refuse((error as Error).message);
    }
  }

  /**
   * Records go one read at a time: while one is on its way more come together for the next, so that reads get larger
   * exactly when there is load. Full ones need not wait for each other, so that distance costs nothing.
   */
  private get mustWait(): boolean {
    const onTheirWay = this.sentBytes - this.ackedBytes;
    return onTheirWay >= FEED_WINDOW_BYTES || (this.readAll && !this.isCopying && onTheirWay > 0);
  }

  /**
   * How long the next read of the log waits for more to come together: each costs both stores about as much as a hundred
   * rows do. The first after a while does not wait.
   */
  private get restMs(): number {
    if (!this.readAll || this.isHurried) return 0;
    const sinceMs = this.host.timers.now() - this.readAtMs;
    // A clock that was set back must not hold anything up.
    return sinceMs < 0 ? 0 : tailEveryMs(this.readTookMs) - sinceMs;
  }

  /** Tells the follower what comes: what it lacks of the log, if that is there, or else a copy. */
  private begin({ log }: FeedState, resume: FeedStart | undefined): void {
    if (log === undefined) throw new Error('the shard does not log its changes yet: try again');
    this.host.headFound(this.route!, log);
    const { sequence } = log;
    if (resume === undefined && this.open!.fromBeginning && log.firstSequence === 1 && log.lostMs === 0) {
      this.beginWithFirst(log);
      return;
    }
    const copyable = this.host.copyable(this.open!);
    // What is not here may be elsewhere: that it is missing tells nothing.
    const rememberedSince = copyable === 'whole' ? log.rememberedSince : 0;
    const begin: CopyBegin = { log: log.log, sequence, rememberedSince, ...this.flushesOf(log) };
    const from: FeedStart =
      resume !== undefined && reaches(log, positionOf(resume))
        ? resume
        : { phase: 'copying', begin, after: undefined };
    if (from.phase === 'copying' && typeof copyable === 'object') throw new Error(copyable.reason);
    if (from.phase === 'copying' && copyable === 'part' && !this.open!.partWillDo)
      throw new Error('the shard has not all of it');
    this.goOn(from);
  }

  private goOn(from: FeedStart): void {
    this.at = from;
    this.needed = positionOf(from);
    this.acked = from.phase === 'copying' ? undefined : from.position;
    this.stream.send({ kind: 'begin', from });
    this.tell(this.host.timers.now());
    this.host.acknowledged(this);
  }

  /**
   * Nothing that clients wrote here has left the log: what the follower lacks is in it. So it gets a copy of nothing, of
   * which it may conclude nothing, and then all of the log. Not so where this machine has lost something: what it has of
   * others these may have lost at the same time, and it has forgotten that it is ahead of them.
   */
  private beginWithFirst(state: LogState): void {
    const position = { log: state.log, sequence: 0 };
    const begin: CopyBegin = { ...position, rememberedSince: 0, ...this.flushesOf(state) };
    this.goOn({ phase: 'copying', begin, after: undefined });
    this.stream.send({ kind: 'slice', slice: NOTHING_COPIED });
    this.at = { phase: 'tailing', position };
  }

  /** What is said of flushes; `flushedAt` is what followers of earlier versions understand. */
  private flushesOf({ flushes }: LogState): Pick<CopyBegin, 'flushedAt' | 'flushes'> {
    return { flushedAt: FlushSet.fromBytes(flushes).reachedIn(this.open!.slots), flushes };
  }

  private async copy(
    route: ShardRoute,
    open: OpenMessage,
    at: Extract<FeedStart, { phase: 'copying' }>,
  ): Promise<void> {
    const { engine, timers, rate } = this.host;
    const { restMs, ...slice } = await engine.copySlice(route, at.after, open.slots, COPY_SLICE_BYTES);
    this.stream.send({ kind: 'slice', slice });
    this.sentBytes += slice.rows.length;
    const { log, sequence } = at.begin;
    this.at = slice.isDone ? { phase: 'tailing', position: { log, sequence } } : { ...at, after: slice.last };
    rate.spend(slice.rows.length, timers.now());
    if (!slice.isDone) await this.rest(restMs);
  }

  private async tail(route: ShardRoute, open: OpenMessage, after: FeedPosition): Promise<void> {
    this.isHurried = false;
    this.readAtMs = this.host.timers.now();
    const head = this.host.headOf(route);
    const chunk = await this.host.engine.readLog(route, after, FEED_SLICE_BYTES, open.slots);
    this.readTookMs = this.host.timers.now() - this.readAtMs;
    if ('gone' in chunk) {
      const state = await this.host.engine.state(route);
      if (!this.isOver) this.begin(state, undefined);
      return;
    }
    if (this.isOver) return;
    if (chunk.last.sequence > after.sequence) {
      this.stream.send({ kind: 'records', chunk });
      this.sentBytes += chunk.records.length;
      this.readAll = head?.log !== chunk.last.log || chunk.last.sequence >= head.sequence;
      this.at = { phase: 'tailing', position: chunk.last };
    }
  }

  /** Whether nothing has been logged behind a position, as far as is known; now and then that is looked at. */
  private isLevel(route: ShardRoute, { log, sequence }: FeedPosition): boolean {
    const head = this.host.headOf(route);
    const sinceMs = this.host.timers.now() - this.readAtMs;
    if (sinceMs < 0 || sinceMs >= LOOK_EVERY_MS) return false;
    return head === undefined || (head.log === log && head.sequence <= sequence);
  }

  private async idle(): Promise<void> {
    this.isIdle = true;
    await this.pause(LOOK_EVERY_MS);
    this.isIdle = false;
  }

  /** For so long, and until what was sent is within the rate, which may be changed meanwhile. */
  private async rest(ms: number): Promise<void> {
    const { timers, rate } = this.host;
    const sinceMs = timers.now();
    for (;;) {
      const waitMs = rate.waitMs(ms, sinceMs, timers.now());
      if (this.isOver || waitMs <= 0) return;
      await this.pause(Math.min(waitMs, RATE_ASKED_EVERY_MS));
    }
  }

  /** Until something happens, at most for so long. */
  private pause(ms: number): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const callOff = this.host.timers.after(ms, () => this.wakeUp());
      this.wakeUp = () => {
        callOff();
        this.wakeUp = () => undefined;
        resolve();
      };
    });
  }
}

const NOTHING_COPIED: CopySlice = {
  after: undefined,
  last: undefined,
  rows: new Uint8Array(0),
  rowCount: 0,
  isDone: true,
};

function positionOf(start: FeedStart): FeedPosition {
  return start.phase === 'copying' ? start.begin : start.position;
}

/** Whether a log has all records behind a position. */
function reaches(
  { log, sequence, firstSequence }: NonNullable<FeedState['log']>,
  position: FeedPosition,
): boolean {
  return position.log === log && position.sequence >= firstSequence - 1 && position.sequence <= sequence;
}
