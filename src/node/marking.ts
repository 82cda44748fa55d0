import type { Logger } from '../base/logger.js';
import { pauseFor, type Timers } from '../base/timers.js';
import { placeKey } from '../cluster/plan/duties.js';
import type { CopyPlace } from '../cluster/plan/feeds.js';
import { HOLD_MAX_MS } from '../cluster/plan/reports.js';
import type { KeyspaceEntry } from '../cluster/topology.js';
import type { FeedPosition } from '../types/feed.js';
import type { ShardRoute } from '../workers/pool.js';
import type { Copy } from './copy.js';
import { type CopyMemory, feedsTo, type OwnMark, withMark } from './copy-memory.js';
import { feedId } from './feeds/duties.js';
import type { FeedEngine } from './feeds/engine.js';
import type { FeedStatus } from './feeds/follower.js';
import { holdShard } from './holding.js';
import { heardBehind } from './last-writes.js';
import type { Memories, Notebook } from './memories.js';
import { drained } from './segments.js';

/** What copies need of their store. */
export interface CopiesHost extends Notebook {
  readonly engine: FeedEngine;
  readonly timers: Timers;
  readonly logger: Pick<Logger, 'verbose' | 'notice' | 'warning'>;
  readonly self: string;
  /** Has what the shards have committed survive the death of the machine. */
  sync(): Promise<void>;
  feeds(): readonly FeedStatus[];
  /** Follows what may be followed now. */
  follow(): void;
  /** Resolves when nothing of feeds that have ended is being applied any more. */
  settled(): Promise<void>;
  /** A mark is in the log of a shard. */
  marked(route: ShardRoute, position: FeedPosition): void;
  /** The end of a shard's log, as far as it is known. */
  headOf(route: ShardRoute): FeedPosition | undefined;
  /** Commands of a shard have waited for a hand-over. */
  paused(ms: number): void;
  /** There is something that the master should hear. */
  report(): void;
  /** How long commands wait for a shard that does not answer yet, milliseconds. */
  waitMaxMs(): number;
  /** A store as messages name it. */
  storeText(id: string): string;
}

/** How long to wait before something is tried again that a worker did not do, milliseconds. */
export const RETRY_MS = 100;

/** What marking needs of the copies. */
interface MarkingHooks {
  /** Whether a copy is not this store's any more. */
  isOver(copy: Copy): boolean;
  /** What is known of a copy has changed. */
  review(copy: Copy): void;
  /** Commands may not have to wait any more. */
  noteFlow(copy: Copy): void;
}

/** How copies hand over to each other: they hold commands, put marks into their logs, and read to those of others. */
export class Marking {
  constructor(
    private readonly host: CopiesHost,
    private readonly memories: Memories,
    private readonly hooks: MarkingHooks,
  ) {}

  /**
   * Has commands wait. The mark that others read to is not written down: it only tells that they are level, and when a
   * hold is over so is the hand-over. What counts is the mark of the takeover.
   */
  async hold(copy: Copy, epoch: number): Promise<void> {
    const { engine, timers, logger } = this.host;
    try {
      copy.pauseBegins();
      const hold = await holdShard(engine, copy.route, HOLD_MAX_MS, timers, () => this.hooks.noteFlow(copy));
      if (copy.duty?.mark !== epoch || copy.duty.held.isEmpty || this.hooks.isOver(copy)) {
        hold.release();
        return;
      }
      const held = { epoch, hold, isSafe: false };
      copy.held = held;
      this.host.marked(copy.route, hold.position);
      this.host.report();
      await this.host.sync();
      held.isSafe = true;
    } catch (error) {
      logger.verbose(`a shard cannot hold its writes: ${(error as Error).message}`);
      if (copy.duty?.mark === epoch && copy.held?.epoch !== epoch) copy.expired = epoch;
      this.hooks.noteFlow(copy);
    }
    this.host.report();
  }

  /** When all that was sent to the shard before is done, nothing more comes of the slots that others answer for now. */
  async mark(copy: Copy, epoch: number): Promise<void> {
    const { route } = copy;
    copy.marking = epoch;
    const trouble = copy.trouble('has not said yet that it takes no more writes of slots that it gave away');
    while (!this.hooks.isOver(copy) && copy.duty?.mark === epoch) {
      try {
        const log = await this.host.engine.setLogging(route, true);
        if (copy.memory.marks.some((mark) => mark.epoch === epoch && mark.log === log?.log)) return;
        await drained(route);
        const state = await this.host.engine.state(route);
        if (state.log === undefined) throw new Error('the shard does not log its changes yet');
        if (copy.duty?.mark !== epoch || this.hooks.isOver(copy)) return;
        const { log: id, sequence } = state.log;
        await this.putMark(copy, { epoch, log: id, sequence });
        trouble.isOver();
        return;
      } catch (error) {
        trouble.failed(error);
        await pauseFor(this.host.timers, RETRY_MS);
      }
    }
  }

  private async putMark(copy: Copy, mark: OwnMark): Promise<void> {
    await this.host.sync();
    const isPut = await this.memories.remember(copy, (memory) =>
      copy.duty?.mark !== mark.epoch || this.hooks.isOver(copy) ? undefined : withMark(memory, mark),
    );
    if (isPut) this.host.marked(copy.route, { log: mark.log, sequence: mark.sequence });
  }

  /**
   * All of another copy's log up to a mark is here. From then on it may be answered for: should it be lost with the
   * machine, it is read once more. The master hears of it when it survives whatever happens to the machine, for then the
   * former owner lets go of it, and when what that one had of other holders is here, too.
   */
  reached(copy: Copy, place: CopyPlace, epoch: number): void {
    copy.hasReached(place, epoch);
    if (copy.entry?.change?.phase === 'handover' && copy.entry.change.since === epoch) {
      this.host.report();
      // There will be less to write when the mark of the takeover has been reached.
      this.host.sync().catch((error: Error) => {
        this.host.logger.verbose(`rows are not on the disk yet: ${error.message}`);
      });
      return;
    }
    if (copy.isAnswering) copy.open();
    this.hooks.noteFlow(copy);
    const noted = `${placeKey(place)} ${epoch}`;
    if (copy.noting.has(noted)) return;
    copy.noting.add(noted);
    void this.noteMark(copy, place, epoch).finally(() => copy.noting.delete(noted));
  }

  private async noteMark(copy: Copy, from: CopyPlace, epoch: number): Promise<void> {
    const trouble = copy.trouble('cannot write down that it has the last writes of a former holder');
    const place = placeKey(from);
    const isKnown = (read: CopyMemory['read']) => (read.get(place) ?? 0) >= epoch;
    const isFollowed = () =>
      copy.entry !== undefined &&
      feedsTo(copy.entry, this.host.self, copy.shard).some((feed) => placeKey(feed.from) === place);
    while (!isKnown(copy.memory.read) && isFollowed() && !this.hooks.isOver(copy)) {
      try {
        const heard = heardBehind(copy, from, epoch, this.host.self, this.host.feeds());
        if (heard !== 'all') {
          if (heard === 'copy') await this.copyAgain(copy, from, epoch);
          await pauseFor(this.host.timers, RETRY_MS);
          continue;
        }
        await this.host.sync();
        const isNoted = await this.memories.remember(copy, ({ read }) =>
          isKnown(read) || !isFollowed() || this.hooks.isOver(copy)
            ? undefined
            : { read: new Map(read).set(place, epoch) },
        );
        trouble.isOver();
        if (isNoted) this.hooks.review(copy);
        return;
      } catch (error) {
        trouble.failed(error);
        await pauseFor(this.host.timers, RETRY_MS);
      }
    }
  }

  /** What a former holder had of others may never come from those: its rows are copied once more. */
  private async copyAgain(copy: Copy, place: CopyPlace, epoch: number): Promise<void> {
    const feed = feedId(place, copy.shard, copy.entry?.change?.id);
    const isOrdered = await this.memories.remember(copy, ({ anew }) =>
      this.hooks.isOver(copy) ? undefined : { anew: [...new Set([...anew, feed])] },
    );
    if (!isOrdered) return;
    copy.copiedAgain.set(placeKey(place), epoch);
    const where = `shard ${place.shard} on ${this.host.storeText(place.store)}`;
    this.host.logger.notice(
      `shard ${copy.shard} of keyspace ${copy.entry?.name} copies ${where} once more: another former holder is away, and that one may have read more of it`,
    );
    this.host.follow();
    this.hooks.review(copy);
  }

  /**
   * Where commands wait for a hand-over that now becomes a takeover, the end of the log is where the mark of that goes:
   * it is known, and on the disk. So there is nothing to wait for but the topology itself.
   */
  withHeldMark(memory: CopyMemory, copy: Copy | undefined, entry: KeyspaceEntry): CopyMemory {
    const { change } = entry;
    if (copy?.heldAt === undefined || !copy.held!.isSafe || change?.phase !== 'takeover') return memory;
    if (copy.entry?.change?.id !== change.id || memory.marks.some(({ epoch }) => epoch === change.since))
      return memory;
    const { log, sequence } = copy.heldAt;
    const head = this.host.headOf(copy.route);
    // Rows that a feed has brought may have let clients go on that waited for them.
    if (head?.log !== log || head.sequence !== sequence) return memory;
    return withMark(memory, { epoch: change.since, log, sequence });
  }
}
