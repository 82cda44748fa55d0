import { CommandError, CommandRejected } from '../base/command-errors.js';
import type { Timers } from '../base/timers.js';
import { placeKey, type ShardDuty } from '../cluster/plan/duties.js';
import type { CopyPlace } from '../cluster/plan/feeds.js';
import { isSameSet, SlotSet, slotsOfShard } from '../cluster/slot-set.js';
import type { KeyspaceEntry } from '../cluster/topology.js';
import type { ShardRoute } from '../workers/pool.js';
import { type CopyMemory, feedsTo, type OwnMark } from './copy-memory.js';
import type { HeldShard } from './holding.js';
import { Trouble, type TroubleHost } from './trouble.js';

/** What commands are to see of a shard, see Shown; undefined = all, because there is nothing else. */
interface ShownSlots {
  readonly slots: SlotSet | undefined;
  /** See Shown. */
  readonly staying?: SlotSet | undefined;
  /** See Shown. */
  readonly keepsOthers: boolean;
}

/** Writes are held, so that another owner gets all of them. */
interface HandOver {
  /** That of the phase for which they are. */
  readonly epoch: number;
  readonly hold: HeldShard;
  /** All that was written before is on the disk. */
  isSafe: boolean;
}

/** What has the commands of a shard wait. */
interface Gate {
  open(): void;
  /** Has those that wait get an error. */
  refuse(reason: Error): void;
  callOff(): void;
  isOverdue: boolean;
}

/** What copies need of their surroundings. */
interface CopyHost extends TroubleHost {
  readonly timers: Timers;
}

/** A copy of a shard on this store: what it remembers, what it is to do, and what is going on with it. */
export class Copy {
  /** Under the entry in force. */
  duty: ShardDuty | undefined;
  entry: KeyspaceEntry | undefined;
  /** The hand-over for which writes are, or were, held. */
  held: HandOver | undefined;
  /**
   * By place of another copy, the latest mark up to which all of its log has been applied here. What CopyMemory says is
   * on the disk, too.
   */
  reached: ReadonlyMap<string, number> = new Map();
  /** By place of a former holder, the epoch of the takeover for which its rows are, or were, copied once more. */
  readonly copiedAgain = new Map<string, number>();
  /** Marks that are being noted, by place and epoch. */
  readonly noting = new Set<string>();
  /** Epoch of the hand-over for which holding was tried last. */
  attempt = 0;
  /** Epoch of the last hand-over for which writes did not wait long enough. */
  expired = 0;
  /** What the worker has been told to show. */
  showing: ShownSlots | undefined;
  /** The slots that the worker takes for the shard's own, which is what a flush of it is about. */
  told = SlotSet.ALL;
  isReviewing = false;
  isReviewDue = false;
  isRemoving = false;
  /** Epoch of the mark that is being put. */
  marking = 0;
  isEnded = false;
  private gate: Gate | undefined;
  /** Since when commands wait. */
  private pausedAtMs: number | undefined;
  private readonly timers: Timers;
  /** What it has to do is not done. */
  readonly reviewTrouble: Trouble;
  readonly removeTrouble: Trouble;

  constructor(
    readonly keyspace: string,
    readonly shard: number,
    readonly route: ShardRoute,
    public memory: CopyMemory,
    private readonly host: CopyHost,
  ) {
    this.timers = host.timers;
    this.reviewTrouble = this.trouble('does not go on');
    this.removeTrouble = this.trouble('keeps rows that are not its own any more');
  }

  /** @param what is wrong with it, for people */
  trouble(what: string): Trouble {
    return new Trouble(
      this.host,
      () => `shard ${this.shard} of keyspace ${this.entry?.name ?? this.keyspace} ${what}`,
    );
  }

  /**
   * Whether commands get what they should: all of its slots are here, nobody else takes writes of them, and rows of
   * other slots are out of their reach.
   */
  get isAnswering(): boolean {
    const { duty, memory } = this;
    if (duty === undefined || duty.role !== 'owner') return true;
    if (!memory.complete.includes(duty.slots) || this.unread.length > 0) return false;
    return this.showsItsOwn;
  }

  /** Whether reads get what they should, but for what is on its way: one that is being filled shows nothing yet. */
  get isReadable(): boolean {
    const { duty, memory } = this;
    return duty?.role === 'copy' && memory.complete.includes(duty.slots) && this.showsItsOwn;
  }

  /** Whether commands see the rows of its slots, and none of others. */
  private get showsItsOwn(): boolean {
    const { shown, showing, duty } = this;
    if (!isSameSet(this.own, this.told)) return false;
    if (shown !== undefined) return isSameSet(shown.slots, showing?.slots);
    return showing?.slots === undefined || showing.slots.includes(duty!.slots);
  }

  /** Copies whose logs it has to read to a mark before it may answer. */
  private get unread(): readonly CopyPlace[] {
    return this.duty?.awaited.filter((each) => this.markFrom(each) < each.mark) ?? [];
  }

  /** The latest mark in the log of another copy up to which everything is here, though perhaps not safely; 0 = none. */
  markFrom(place: CopyPlace): number {
    const key = placeKey(place);
    return Math.max(this.memory.read.get(key) ?? 0, this.reached.get(key) ?? 0);
  }

  /** What has just been applied here of another copy's log goes to a mark. */
  hasReached(place: CopyPlace, epoch: number): void {
    this.reached = new Map(this.reached).set(placeKey(place), Math.max(epoch, this.markFrom(place)));
  }

  /** Forgets what was reached in logs that are not followed any more, and which of their holders were copied once more. */
  forgetReached(self: string): void {
    if ((this.reached.size === 0 && this.copiedAgain.size === 0) || this.entry === undefined) return;
    const places = new Set(feedsTo(this.entry, self, this.shard).map(({ from }) => placeKey(from)));
    this.reached = new Map([...this.reached].filter(([place]) => places.has(place)));
    for (const place of this.copiedAgain.keys()) if (!places.has(place)) this.copiedAgain.delete(place);
  }

  /** The end of the log while commands wait for a hand-over; undefined = they do not. */
  get heldAt(): OwnMark | undefined {
    const { held } = this;
    return held?.hold.isInForce === true ? { epoch: held.epoch, ...held.hold.position } : undefined;
  }

  /** Commands wait from now on. */
  pauseBegins(): void {
    this.pausedAtMs ??= this.timers.now();
  }

  /** @returns for how long commands have waited, if they no longer do, milliseconds */
  pauseOver(): number | undefined {
    const { pausedAtMs, route } = this;
    if (pausedAtMs === undefined || route.ready !== undefined) return undefined;
    this.pausedAtMs = undefined;
    // The clock may have been set back.
    return Math.max(0, this.timers.now() - pausedAtMs);
  }

  /** Whether the worker shows what it should. */
  get isShowing(): boolean {
    const { shown, showing } = this;
    if (!isSameSet(this.own, this.told)) return false;
    if (shown === undefined || showing === undefined) return shown === showing;
    return (
      shown.keepsOthers === showing.keepsOthers &&
      isSameSet(shown.slots, showing.slots) &&
      isSameSet(shown.staying, showing.staying)
    );
  }

  /** The slots that are the shard's. */
  get own(): SlotSet {
    return this.duty?.slots ?? SlotSet.ALL;
  }

  get shown(): ShownSlots | undefined {
    const { duty, memory } = this;
    if (duty === undefined) return undefined;
    const slots = duty.slots.within(memory.complete);
    const keepsOthers = !slots.includes(duty.kept);
    if (keepsOthers || !memory.leftover.isEmpty) return { slots, keepsOthers };
    const { staying } = this;
    return staying && { slots: undefined, staying, keepsOthers };
  }

  /** Slots that a change which has begun, and which will leave it fewer, leaves it. */
  private get staying(): SlotSet | undefined {
    const { entry, duty } = this;
    if (entry?.change === undefined || !('target' in entry.change) || duty?.role !== 'owner')
      return undefined;
    const { length } = entry.change.target;
    if (length <= entry.shards.length || entry.change.phase === 'undo') return undefined;
    return duty.slots.within(slotsOfShard(length, duty.shard));
  }

  /**
   * Has commands wait until {@link open}. If that takes longer than `maxMs`, they get an error, and so do further ones at
   * once.
   * @param why what is waited for, for people
   */
  shut(maxMs: number, why: () => string): void {
    if (this.gate === undefined) {
      let [open, refuse]: [() => void, (reason: Error) => void] = [() => undefined, () => undefined];
      this.haveWait(
        new Promise((resolve, reject) => {
          [open, refuse] = [resolve, reject];
        }),
      );
      const callOff = this.timers.after(maxMs, () => this.refuse(why()));
      this.gate = { open, refuse, callOff, isOverdue: false };
    } else if (this.gate.isOverdue) this.refuse(why());
  }

  private refuse(why: string): void {
    const error = new CommandRejected(new CommandError(`CLUSTERDOWN ${why}`));
    this.gate!.isOverdue = true;
    this.haveWait(Promise.reject(error));
    this.gate!.refuse(error);
  }

  private haveWait(until: Promise<void>): void {
    // Perhaps nobody waits.
    until.catch(() => undefined);
    this.route.gate = until;
  }

  open(): void {
    this.gate?.callOff();
    this.route.gate = undefined;
    this.gate?.open();
    this.gate = undefined;
  }

  /** Why it does not answer, for people. */
  whyShut(self: string, storeText: (id: string) => string): string {
    const { entry, shard, memory, duty, unread } = this;
    const name = `shard ${shard} of keyspace ${entry?.name ?? this.keyspace} does not answer yet`;
    const texts = (places: readonly CopyPlace[]) =>
      places.map((each) => `shard ${each.shard} on ${storeText(each.store)}`).join(', ');
    const lacking = duty?.slots.without(memory.complete);
    if (entry !== undefined && lacking?.isEmpty === false) {
      const feeds = feedsTo(entry, self, shard).filter(({ slots }) => !slots.within(lacking).isEmpty);
      const sources = texts(feeds.map(({ from }) => from));
      return `${name}: it has not got all rows yet, which come from ${sources || 'nobody'}`;
    }
    if (unread.length > 0)
      return `${name}: it waits for the last writes of ${texts(unread)}, and goes on when that store is running`;
    return `${name}: its worker is behind`;
  }

  /** Writes need not wait any more. */
  letGo(): void {
    this.held?.hold.release();
    this.held = undefined;
  }

  /** It is not this store's any more. */
  end(): void {
    this.isEnded = true;
    this.letGo();
    this.open();
  }
}
