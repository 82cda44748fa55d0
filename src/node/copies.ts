import { pauseFor } from '../base/timers.js';
import { placeKey, type ShardDuty } from '../cluster/plan/duties.js';
import type { CopyReport, KeyspaceReport } from '../cluster/plan/reports.js';
import { SlotSet } from '../cluster/slot-set.js';
import { SLOTS } from '../cluster/slots.js';
import type { KeyspaceEntry, Topology } from '../cluster/topology.js';
import type { ShardRoute } from '../workers/pool.js';
import { Copy } from './copy.js';
import { type CopyMemory, dutyOf, feedsTo, firstMemory, memoryAfter } from './copy-memory.js';
import { type FeedDuty, feedId } from './feeds/duties.js';
import type { FeedStatus } from './feeds/follower.js';
import type { Copyable } from './feeds/source.js';
import { type CopiesHost, Marking, RETRY_MS } from './marking.js';
import { Memories } from './memories.js';
import type { HeldShard } from './registry.js';

interface OpenCopy extends HeldShard {
  readonly route: ShardRoute;
}

/** See {@link Copies.after}. */
export interface MemoriesAfter {
  /** By keyspace and shard. */
  readonly memories: ReadonlyMap<string, CopyMemory>;
  /** There is a mark that holds only as long as commands wait: nothing may happen before it is on the disk. */
  readonly isUrgent: boolean;
}

/**
 * The copies of shards that this store has, through changes of who holds what (docs/design/0009-changes.md): what each
 * has complete, and what follows from that and the topology. A copy answers for its slots once it has all of them; what
 * it fills, holds, marks and removes, its duty tells.
 */
export class Copies {
  private readonly copies = new Map<string, Copy>();
  private readonly memories: Memories;
  private readonly marking: Marking;
  private isClosed = false;

  constructor(private readonly host: CopiesHost) {
    this.memories = new Memories(host.timers, host);
    this.marking = new Marking(host, this.memories, {
      isOver: (copy) => this.isOver(copy),
      review: (copy) => this.review(copy),
      noteFlow: (copy) => this.noteFlow(copy),
    });
  }

  /** What a copy remembers. @param memories of some, what they are to be */
  memoryOf(
    keyspace: string,
    shard: number,
    memories?: ReadonlyMap<Copy, CopyMemory>,
  ): CopyMemory | undefined {
    const copy = this.copies.get(keyOf(keyspace, shard));
    return copy && (memories?.get(copy) ?? copy.memory);
  }

  /** A shard that is open when the store starts. */
  recall(
    { keyspace, shard, route }: OpenCopy,
    memory: CopyMemory | undefined,
    entry: KeyspaceEntry | undefined,
  ): void {
    const known = memory ?? firstMemory(entry, this.host.self, shard);
    const copy = new Copy(keyspace, shard, route, known, this.host);
    this.copies.set(keyOf(keyspace, shard), copy);
    const duty = entry && dutyOf(entry, this.host.self, shard);
    // Nothing has waited since the store was started: the hand-over has to be tried again.
    if (duty !== undefined && !duty.held.isEmpty) copy.expired = duty.mark;
    this.take(copy, entry, duty);
  }

  /**
   * What copies know under another topology. Nothing is changed yet, and nothing may change until it is written down.
   * @param shards those that are to be here
   */
  after(known: Topology, topology: Topology, shards: readonly OpenCopy[]): MemoriesAfter {
    const { self } = this.host;
    const memories = new Map<string, CopyMemory>();
    let isUrgent = false;
    for (const { keyspace, shard } of shards) {
      const entry = topology.keyspaces.get(keyspace)!;
      const held = this.memoryOf(keyspace, shard);
      const key = keyOf(keyspace, shard);
      const memory =
        held === undefined
          ? firstMemory(entry, self, shard)
          : memoryAfter(held, known.keyspaces.get(keyspace), entry, self, shard);
      const marked = this.marking.withHeldMark(memory, this.copies.get(key), entry);
      if (marked !== memory) isUrgent = true;
      memories.set(key, marked);
    }
    return { memories, isUrgent };
  }

  /**
   * A topology is about to come into force, and is on the disk: from here on no command reaches a shard that does not
   * answer for it. To be called right before it is routed by.
   */
  apply(topology: Topology, shards: readonly OpenCopy[], memories: ReadonlyMap<string, CopyMemory>): void {
    for (const [key, copy] of this.copies) {
      if (memories.has(key)) continue;
      copy.end();
      this.copies.delete(key);
    }
    for (const { keyspace, shard, route } of shards) {
      const key = keyOf(keyspace, shard);
      const memory = memories.get(key)!;
      let copy = this.copies.get(key);
      if (copy === undefined) {
        copy = new Copy(keyspace, shard, route, memory, this.host);
        this.copies.set(key, copy);
      } else copy.memory = memory;
      const entry = topology.keyspaces.get(keyspace)!;
      this.take(copy, entry, dutyOf(entry, this.host.self, shard));
    }
  }

  /** Shards whose clients' watches do not hold any more: some of their slots have gone to others. */
  givers(): ShardRoute[] {
    return [...this.copies.values()]
      .filter(({ duty }) => duty !== undefined && !duty.given.isEmpty)
      .map(({ route }) => route);
  }

  private take(copy: Copy, entry: KeyspaceEntry | undefined, duty: ShardDuty | undefined): void {
    const before = copy.duty;
    copy.duty = duty;
    copy.entry = entry;
    copy.forgetReached(this.host.self);
    if (!copy.isAnswering) {
      if (before !== undefined) copy.pauseBegins();
      copy.shut(this.host.waitMaxMs(), () => copy.whyShut(this.host.self, (id) => this.host.storeText(id)));
    }
    if (before?.mark !== duty?.mark || duty?.held.isEmpty !== false) copy.letGo();
    this.noteFlow(copy);
    if (duty === undefined) return;
    if (!duty.held.isEmpty) {
      if (copy.attempt !== duty.mark && copy.expired !== duty.mark) {
        copy.attempt = duty.mark;
        void this.marking.hold(copy, duty.mark);
      }
    } else if (duty.mark !== 0 && copy.marking !== duty.mark) {
      const put = copy.memory.marks.find(({ epoch }) => epoch === duty.mark);
      if (put !== undefined) this.host.marked(copy.route, put);
      void this.marking.mark(copy, duty.mark);
    }
  }

  // ---------------------------------------------------------------- what is done

  /** To be called when a topology is in force, and when feeds have come on. */
  look(): void {
    if (this.isClosed) return;
    for (const copy of this.copies.values()) this.review(copy);
  }

  private review(copy: Copy): void {
    if (copy.isReviewing) {
      copy.isReviewDue = true;
      return;
    }
    copy.isReviewing = true;
    void this.reviewAll(copy).finally(() => {
      copy.isReviewing = false;
      if (copy.isReviewDue && !this.isOver(copy)) this.review(copy);
    });
  }

  private async reviewAll(copy: Copy): Promise<void> {
    copy.isReviewDue = false;
    try {
      await this.noteComplete(copy);
      await this.forgetOld(copy);
      await this.show(copy);
      if (copy.isAnswering) copy.open();
      this.noteFlow(copy);
      if (!copy.memory.leftover.isEmpty) void this.remove(copy);
      copy.reviewTrouble.isOver();
      this.host.report();
    } catch (error) {
      if (this.isOver(copy)) return;
      copy.reviewTrouble.failed(error);
      copy.isReviewDue = true;
      await this.pause(RETRY_MS);
    }
  }

  private pause(ms: number): Promise<void> {
    return pauseFor(this.host.timers, ms);
  }

  /** Takes note of how long commands have waited, if they no longer do. */
  private noteFlow(copy: Copy): void {
    const ms = copy.pauseOver();
    if (ms !== undefined) this.host.paused(ms);
  }

  private isOver(copy: Copy): boolean {
    return this.isClosed || copy.isEnded;
  }

  /** Slots whose copy has come are complete, once their rows survive whatever happens to the machine. */
  private async noteComplete(copy: Copy): Promise<void> {
    const come = this.filledIn(copy);
    if (come.isEmpty) return;
    await this.host.sync();
    await this.memories.remember(copy, ({ complete }) => {
      // Another topology may have come into force meanwhile.
      const filled = this.isOver(copy) ? SlotSet.EMPTY : come.within(this.filledIn(copy));
      return filled.isEmpty ? undefined : { complete: complete.with(filled) };
    });
  }

  /** Slots that a copy lacks as far as it has noted, and whose rows have come. */
  private filledIn({ entry, duty, memory: { complete }, shard, keyspace }: Copy): SlotSet {
    let filled = SlotSet.EMPTY;
    if (entry === undefined || duty === undefined || complete.includes(duty.wanted)) return filled;
    const statuses = this.host.feeds();
    for (const { from, slots, start } of feedsTo(entry, this.host.self, shard)) {
      const lacking = slots.within(duty.wanted).without(complete);
      if (start !== 'copy' || lacking.isEmpty) continue;
      const feed = feedId(from, shard, entry.change?.id);
      if (!this.mayFollow({ keyspace, targetShard: shard, feed, asked: slots.toBytes() })) continue;
      const status = statuses.find((each) => isFeed(each, keyspace, shard, feed));
      if (status?.position !== undefined) filled = filled.with(lacking);
    }
    return filled;
  }

  private async forgetOld(copy: Copy): Promise<void> {
    const { anew } = copy.memory;
    if (anew.length === 0) return;
    await this.host.settled();
    for (const feed of anew) await this.host.engine.forgetFeed(copy.route, feed);
    const isForgotten = await this.memories.remember(copy, (memory) =>
      this.isOver(copy) ? undefined : { anew: memory.anew.filter((feed) => !anew.includes(feed)) },
    );
    if (isForgotten) this.host.follow();
  }

  private async show(copy: Copy): Promise<void> {
    if (copy.isShowing) return;
    const { shown, own } = copy;
    // A flush that comes by a feed as it was before is about all rows.
    if (shown?.keepsOthers) await this.host.settled();
    const slots = shown && {
      ...shown,
      slots: shown.slots?.toBytes(),
      staying: shown.staying?.toBytes(),
    };
    await this.host.engine.show(copy.route, slots, own.size === SLOTS ? undefined : own.toBytes());
    copy.showing = shown;
    copy.told = own;
    this.host.follow();
  }

  /** Removes what is not to be here, step by step, giving way to clients. */
  private async remove(copy: Copy): Promise<void> {
    if (copy.isRemoving) return;
    copy.isRemoving = true;
    const { leftover } = copy.memory;
    try {
      await this.host.settled();
      let after: string | undefined;
      for (;;) {
        const step = await this.host.engine.removeSlots(copy.route, leftover.toBytes(), after);
        if (this.isOver(copy)) return;
        if (step.isDone) break;
        after = step.last;
        await this.pause(step.restMs);
      }
      // Rows that a machine brings back when it goes down would stay for ever.
      await this.host.sync();
      const isRemoved = await this.memories.remember(copy, (memory) =>
        this.isOver(copy) ? undefined : { leftover: memory.leftover.without(leftover) },
      );
      copy.removeTrouble.isOver();
      if (isRemoved) this.host.follow();
    } catch (error) {
      if (this.isOver(copy)) return;
      copy.removeTrouble.failed(error);
      await this.pause(RETRY_MS);
    } finally {
      copy.isRemoving = false;
    }
    if (!this.isOver(copy)) this.review(copy);
  }

  // ---------------------------------------------------------------- what others ask

  /** All of another copy's log up to a mark is here. */
  reachedMark({ keyspace, targetShard, sourceStore, sourceShard }: FeedDuty, epoch: number): void {
    const copy = this.copies.get(keyOf(keyspace, targetShard));
    if (copy !== undefined) this.marking.reached(copy, { store: sourceStore, shard: sourceShard }, epoch);
  }

  /** Whether a feed may begin to come into its shard now. */
  mayFollow({
    keyspace,
    targetShard,
    feed,
    asked,
    whole = asked,
  }: Pick<FeedDuty, 'keyspace' | 'targetShard' | 'feed' | 'asked'> &
    Partial<Pick<FeedDuty, 'whole'>>): boolean {
    const copy = this.copies.get(keyOf(keyspace, targetShard));
    if (copy === undefined) return false;
    const { leftover, anew } = copy.memory;
    if (anew.includes(feed) || !copy.isShowing) return false;
    if (leftover.isEmpty) return true;
    return whole !== undefined && SlotSet.fromBytes(whole).within(leftover).isEmpty;
  }

  /** Whether a feed has to end, to begin anew with a copy. */
  mustEnd({ keyspace, targetShard, feed }: FeedDuty): boolean {
    return this.memoryOf(keyspace, targetShard)?.anew.includes(feed) === true;
  }

  /** Why a copy does not answer for its slots yet; undefined where it does. */
  notAnswering(keyspace: string, shard: number): string | undefined {
    const copy = this.copies.get(keyOf(keyspace, shard));
    if (copy === undefined || copy.isAnswering) return undefined;
    return copy.whyShut(this.host.self, (id) => this.host.storeText(id));
  }

  /** Whether a copy answers reads of those who take what may be behind. */
  isReadable(keyspace: string, shard: number): boolean {
    return this.copies.get(keyOf(keyspace, shard))?.isReadable === true;
  }

  /** Whether slots can be copied from here, see SourceHost. @param slots undefined = those of the shard */
  copyable(keyspace: string, shard: number, slots: Uint8Array | undefined): Copyable {
    const { entry, duty, memory } = this.copies.get(keyOf(keyspace, shard)) ?? {};
    if (duty === undefined || memory === undefined) return 'whole';
    const asked = slots === undefined ? duty.wanted : SlotSet.fromBytes(slots);
    if (memory.complete.includes(asked)) return 'whole';
    // What a former holder has is wanted because nobody else may have it; more does not come to it.
    const isFormer = entry?.change !== undefined && 'former' in entry.change;
    if (isFormer && asked.within(duty.wanted).isEmpty) return 'part';
    return { reason: 'the shard has not everything itself yet' };
  }

  marksIn(route: ShardRoute, log: string): CopyMemory['marks'] {
    for (const copy of this.copies.values())
      if (copy.route === route) {
        const { heldAt, memory } = copy;
        const marks = heldAt === undefined ? memory.marks : [...memory.marks, heldAt];
        return marks.filter((mark) => mark.log === log);
      }
    return [];
  }

  /** What the master needs to know of a keyspace. */
  reportOf(entry: KeyspaceEntry, open: readonly HeldShard[]): KeyspaceReport {
    const statuses = this.host.feeds();
    return {
      epoch: entry.epoch,
      copies: open
        .filter(({ keyspace }) => keyspace === entry.id)
        .map(({ shard }) => this.reportCopy(entry, shard, statuses)),
    };
  }

  private reportCopy(entry: KeyspaceEntry, shard: number, statuses: readonly FeedStatus[]): CopyReport {
    const copy = this.copies.get(keyOf(entry.id, shard));
    if (copy === undefined || copy.duty === undefined)
      return { shard, failure: '', isComplete: false, isClean: false, holding: 0, expired: 0, feeds: [] };
    const { memory, duty, held } = copy;
    if (held !== undefined && !held.hold.isInForce) copy.expired = held.epoch;
    const isHandover = entry.change?.phase === 'handover';
    const mine = feedsTo(entry, this.host.self, shard).map(({ from }) => {
      const feed = feedId(from, shard, entry.change?.id);
      return { from, status: statuses.find((each) => isFeed(each, entry.id, shard, feed)) };
    });
    return {
      shard,
      failure: mine.map(({ status }) => status?.refusal ?? '').find((text) => text !== '') ?? '',
      isComplete: memory.complete.includes(duty.wanted),
      isClean: memory.leftover.isEmpty,
      holding: copy.heldAt?.epoch ?? 0,
      expired: copy.expired,
      feeds: mine.map(({ from, status }) => ({
        from,
        isLevel: status?.isNearlyLevel === true,
        mark: isHandover ? copy.markFrom(from) : (memory.read.get(placeKey(from)) ?? 0),
        position: status?.position?.sequence ?? 0,
      })),
    };
  }

  close(): void {
    this.isClosed = true;
    for (const copy of this.copies.values()) copy.end();
  }
}

function keyOf(keyspace: string, shard: number): string {
  return `${keyspace}/${shard}`;
}

function isFeed({ duty }: FeedStatus, keyspace: string, shard: number, feed: string): boolean {
  return duty.keyspace === keyspace && duty.targetShard === shard && duty.feed === feed;
}
