import { Backoff } from '../../base/backoff.js';
import type { Logger } from '../../base/logger.js';
import type { Timers } from '../../base/timers.js';
import type { SourceStream } from '../../cluster/feed-messages.js';
import { LEVEL_LAG_MAX_MS } from '../../cluster/plan/reports.js';
import type { StoreEntry } from '../../cluster/topology.js';
import type { FeedPosition, FeedStart } from '../../types/feed.js';
import type { FeedProgress } from '../../workers/feed-protocol.js';
import type { ShardRoute } from '../../workers/pool.js';
import { FeedConversation, NotApplied } from './conversation.js';
import type { FeedDuty } from './duties.js';
import type { FeedEngine } from './engine.js';
import { FeedMeter } from './feed-meter.js';

/** What the followers of a store have in common. */
export interface FollowerHost {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly logger: Pick<Logger, 'notice' | 'warning' | 'verbose'>;
  readonly self: string;
  clusterId(): string;
  /** A shard that is open here. */
  route(keyspace: string, shard: number): ShardRoute | undefined;
  store(id: string): StoreEntry | undefined;
  /** How people call a keyspace. */
  nameOf(keyspace: string): string;
  /** Whether a feed may begin that is not followed yet. */
  mayBegin(duty: FeedDuty): boolean;
  /** Whether one that is followed has to end, because it is to begin with a copy. */
  mustEnd(duty: FeedDuty): boolean;
  /** A feed has come to another state, or has its copy. */
  changed(): void;
  /** All up to the mark of an epoch in the source's log is here. */
  reachedMark(duty: FeedDuty, epoch: number): void;
  /** Begins a conversation with a store. @throws Error where that cannot be, with a message for people */
  connect(store: StoreEntry): SourceStream;
}

/** How a feed goes. */
export interface FeedStatus {
  readonly duty: FeedDuty;
  /** `connecting`: the source cannot be reached, or does not give the feed. */
  readonly state: 'connecting' | 'copying' | 'tailing';
  /** Why the feed is not under way; '' while it is. */
  readonly problem: string;
  /** It had everything that the source had when that was last heard of. */
  readonly isLevel: boolean;
  /** As {@link isLevel}, or it has come to lack something so shortly before that a hand-over can wait for it. */
  readonly isNearlyLevel: boolean;
  /** Something of it has come once. */
  readonly hasBegun: boolean;
  /** Why what the source sends is not taken here; '' while it is. */
  readonly refusal: string;
  /** The last record of the source's log that is here; undefined while it copies. */
  readonly position: FeedPosition | undefined;
  readonly lagRecords: number;
  /** For how long the source has had something that is not here, milliseconds. */
  readonly lagMs: number;
  /** Of the copy that was made last, or is being made. */
  readonly copiedRows: number;
  readonly copiedBytes: number;
}

/** Follows one feed, for as long as it is wanted: one conversation after the other, each going on where the last was. */
export class FeedFollower {
  /** Resolves when the feed is not followed any more, and nothing of it is being applied. */
  readonly stopped: Promise<void>;
  private readonly meter = new FeedMeter();
  private readonly backoff: Backoff;
  private conversation: FeedConversation | undefined;
  private isConversing = false;
  private isClosed = false;
  private problem = '';
  private refusal = '';
  private at: FeedStart | undefined;
  private copiedRows = 0;
  private copiedBytes = 0;
  /** Since when the source has not been heard, Unix milliseconds. */
  private lostAtMs: number;
  private wakeUp: () => void = () => undefined;

  constructor(
    public duty: FeedDuty,
    private readonly host: FollowerHost,
    random: () => number = Math.random,
  ) {
    this.backoff = new Backoff(random);
    this.lostAtMs = host.timers.now();
    this.stopped = this.run();
  }

  /** Has the feed followed no more. */
  close(): void {
    this.isClosed = true;
    this.conversation?.end(undefined);
    this.wakeUp();
  }

  /**
   * Tries again at once, if it waits: the store may be reached another way now.
   * @param duty the same feed, under the topology that is in force now
   */
  retry(duty: FeedDuty): void {
    this.duty = duty;
    this.backoff.reset();
    this.wakeUp();
  }

  /** Whether all that the source once had is here. */
  get hasCopy(): boolean {
    return this.at?.phase === 'tailing';
  }

  get status(): FeedStatus {
    const { duty, meter, at, isConversing, problem, copiedRows, copiedBytes } = this;
    const nowMs = this.host.timers.now();
    const position = at?.phase === 'tailing' ? at.position : undefined;
    const state = !isConversing ? 'connecting' : position === undefined ? 'copying' : 'tailing';
    return {
      duty,
      state,
      problem,
      isLevel: isConversing && meter.isLevel,
      isNearlyLevel: isConversing && meter.isWithin(LEVEL_LAG_MAX_MS, nowMs),
      hasBegun: at !== undefined,
      refusal: this.refusal,
      position,
      lagRecords: meter.records,
      lagMs: isConversing ? meter.lagMs(nowMs) : nowMs - this.lostAtMs,
      copiedRows,
      copiedBytes,
    };
  }

  private async run(): Promise<void> {
    while (!this.isClosed) {
      let reason: Error | undefined;
      try {
        reason = await this.converse();
      } catch (error) {
        reason = error as Error;
      }
      if (this.isConversing) {
        this.lostAtMs = this.host.timers.now();
        this.backoff.reset();
      }
      this.isConversing = false;
      this.conversation = undefined;
      if (this.isClosed) return;
      this.hasFailed(reason ?? new Error('it was ended'));
      this.backoff.grow();
      await this.pause(this.backoff.delayMs);
    }
  }

  /** Stores go and come; but what is not taken here somebody has to see to. */
  private hasFailed(reason: Error): void {
    const { duty, host } = this;
    const { message } = reason;
    // A clock that was set back must not hide for how long it has been away.
    this.lostAtMs = Math.min(this.lostAtMs, host.timers.now());
    if (message !== this.problem) {
      const text = `${describeFeed(duty, host)} is not under way: ${message}; trying again and again`;
      if (reason instanceof NotApplied) host.logger.warning(text);
      else host.logger.verbose(text);
    }
    this.problem = message;
    this.refusal = reason instanceof NotApplied ? message : '';
    host.changed();
  }

  private async converse(): Promise<Error | undefined> {
    const { duty, host, meter } = this;
    const { engine, timers } = host;
    const source = host.store(duty.sourceStore);
    if (source === undefined) throw new Error(`store ${duty.sourceStore} is not known here`);
    const route = host.route(duty.keyspace, duty.targetShard);
    if (route === undefined) throw new Error('the shard to be filled is not open here yet');
    const { feeds, log } = await engine.state(route);
    if (this.isClosed) return undefined;
    this.recall(feeds[duty.feed]);
    const stream = host.connect(source);
    const events = {
      begun: () => this.begun(),
      progress: (at: FeedStart, rows: number, bytes: number) => this.progressed(at, rows, bytes),
      reachedMark: (epoch: number) => host.reachedMark(duty, epoch),
    };
    this.conversation = new FeedConversation(duty, route, stream, { engine, timers, meter, events });
    const { feed, keyspace, sourceShard, asked, whole, start } = duty;
    stream.send({
      kind: 'open',
      clusterId: host.clusterId(),
      follower: host.self,
      source: source.id,
      feed,
      keyspace,
      shard: sourceShard,
      slots: asked,
      whole,
      partWillDo: start !== 'copy',
      // What the machine lost here came to the source by a feed, and so is not in its log.
      fromBeginning: start === 'beginning' && log?.lostMs === 0,
      resume: this.at,
    });
    return this.conversation.over;
  }

  private begun(): void {
    const { duty, host } = this;
    if (this.problem !== '') host.logger.verbose(`${describeFeed(duty, host)} is under way`);
    this.problem = '';
    this.isConversing = true;
    host.changed();
  }

  /** Where the feed was before the conversation, as it is on the disk. */
  private recall(progress: FeedProgress | undefined): void {
    if (progress?.phase === 'copying') {
      const { phase, begin, after, rows, bytes } = progress;
      this.at = { phase, begin, after };
      this.copiedRows = rows;
      this.copiedBytes = bytes;
    } else this.at = progress;
  }

  private progressed(at: FeedStart, rows: number, bytes: number): void {
    const { duty, host, at: before } = this;
    this.at = at;
    this.refusal = '';
    if (at.phase === 'copying' && at.after === undefined) {
      this.copiedRows = 0;
      this.copiedBytes = 0;
      const why = before?.phase === 'tailing' ? ' anew, because its log does not reach back' : '';
      host.logger.notice(`${describeFeed(duty, host)} begins with a copy${why}`);
      return;
    }
    if (before?.phase !== 'copying') return;
    this.copiedRows += rows;
    this.copiedBytes += bytes;
    if (at.phase === 'tailing')
      host.logger.notice(
        `${describeFeed(duty, host)} has its copy: ${this.copiedRows} rows, ${this.copiedBytes} bytes`,
      );
    if (at.phase === 'tailing') host.changed();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.host.timers.after(ms, () => this.wakeUp());
      this.wakeUp = () => {
        callOff();
        this.wakeUp = () => undefined;
        resolve();
      };
      if (this.isClosed) this.wakeUp();
    });
  }
}

/** For people. */
function describeFeed(
  { keyspace, sourceStore, sourceShard, targetShard }: FeedDuty,
  host: Pick<FollowerHost, 'nameOf' | 'store'>,
): string {
  const source = host.store(sourceStore);
  const where = source === undefined ? sourceStore : `${source.host}:${source.port || source.tlsPort}`;
  const target = sourceShard === targetShard ? '' : ` into shard ${targetShard}`;
  return `the feed of shard ${sourceShard} of keyspace ${host.nameOf(keyspace)} from ${where}${target}`;
}
