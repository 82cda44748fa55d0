import { shardsOfSlots } from '../../../../src/cluster/jump-hash.js';
import { completeAfter, isSameChange } from '../../../../src/cluster/plan/continuity.js';
import { dutiesIn, placeKey, type ShardDuty } from '../../../../src/cluster/plan/duties.js';
import { planFailback, planFailover } from '../../../../src/cluster/plan/failover.js';
import type { CopyPlace, Feed } from '../../../../src/cluster/plan/feeds.js';
import type {
  CopyReport,
  FeedReport,
  KeyspaceReport,
  KeyspaceReports,
} from '../../../../src/cluster/plan/reports.js';
import { nextStep, type StepContext } from '../../../../src/cluster/plan/steps.js';
import { SlotSet } from '../../../../src/cluster/slot-set.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';

/** Slots that hold a row each: enough that each shard has some, few enough to be quick. */
export const SAMPLE: readonly number[] = Array.from({ length: 40 }, (_, index) => index * 409);

interface Position {
  /** Which log it is in: one that is begun anew is another. */
  readonly log: number;
  at: number;
  /** The latest mark up to there, as it was when the log was read last. */
  mark: number;
}

/** A copy of a shard, in memory: what a real one keeps durably. */
class Copy {
  static logs = 0;
  /** Time of the latest write, by slot: the latest wins. */
  readonly rows = new Map<number, number>();
  /** Writes that clients made here. */
  readonly log: { readonly slot: number; readonly time: number }[] = [];
  readonly logNumber = ++Copy.logs;
  /** Where in the log the marks are. */
  readonly marks = new Map<number, number>();
  complete: SlotSet = SlotSet.EMPTY;
  /** In the logs of others. */
  readonly positions = new Map<string, Position>();
  holding = 0;
  expired = 0;

  write(slot: number, time: number): void {
    if (time > (this.rows.get(slot) ?? 0)) this.rows.set(slot, time);
  }

  markAt(position: number): number {
    let latest = 0;
    for (const [mark, at] of this.marks) if (at <= position && mark > latest) latest = mark;
    return latest;
  }
}

/** A store that does its duties: one at a time, when the schedule says so. */
export class SimulatedStore {
  isAlive = true;
  entry: KeyspaceEntry | undefined;
  readonly copies = new Map<number, Copy>();

  constructor(
    readonly id: string,
    private readonly others: ReadonlyMap<string, SimulatedStore>,
    private readonly journal: string[],
  ) {}

  duty(shard: number): ShardDuty | undefined {
    return this.entry && dutiesIn(this.entry, this.id).shards.find((each) => each.shard === shard);
  }

  /** @param isNew whether the keyspace is made just now, so that its shards are complete with nothing in them */
  apply(entry: KeyspaceEntry, isNew = false): void {
    const before = this.entry;
    if (before !== undefined && entry.epoch <= before.epoch) return;
    this.journal.push(`${this.id} applies ${entry.epoch}`);
    const { shards, feeds } = dutiesIn(entry, this.id);
    for (const shard of this.copies.keys())
      if (!shards.some((duty) => duty.shard === shard)) this.copies.delete(shard);
    for (const { shard, wanted, mark } of shards) {
      let copy = this.copies.get(shard);
      if (copy === undefined) {
        copy = new Copy();
        if (isNew) copy.complete = wanted;
        this.copies.set(shard, copy);
      } else this.remember(copy, before, entry, shard);
      copy.holding = entry.change?.phase === 'handover' ? mark : 0;
      if (mark !== 0 && !copy.marks.has(mark)) copy.marks.set(mark, copy.log.length);
      for (const key of copy.positions.keys())
        if (!feeds.some((feed) => feed.to.shard === shard && placeKey(feed.from) === key))
          copy.positions.delete(key);
    }
    this.entry = entry;
  }

  private remember(copy: Copy, before: KeyspaceEntry | undefined, after: KeyspaceEntry, shard: number): void {
    const markFrom = (from: CopyPlace) => this.markOf(copy, from);
    const was = copy.complete;
    copy.complete = completeAfter({ entry: before, complete: was, markFrom }, after, this.id, shard);
    if (before === undefined || isSameChange(before, after)) return;
    // Positions of what was filled for another change go with it.
    for (const { from, to, purpose } of dutiesIn(before, this.id).feeds)
      if (to.shard === shard && purpose === 'fill') copy.positions.delete(placeKey(from));
  }

  private markOf(copy: Copy, from: CopyPlace): number {
    return copy.positions.get(placeKey(from))?.mark ?? 0;
  }

  /** Whether a write of a slot would be taken here now. */
  takes(slot: number): Copy | undefined {
    if (!this.isAlive || this.entry === undefined || this.entry.deleted) return undefined;
    const shard = shardsOfSlots(this.entry.shards.length)[slot]!;
    const duty = this.duty(shard);
    const copy = this.copies.get(shard);
    if (duty?.role !== 'owner' || copy === undefined || !duty.slots.has(slot)) return undefined;
    if (!copy.complete.has(slot)) return undefined;
    if (duty.held.has(slot) && copy.holding !== 0) return undefined;
    const waits = duty.awaited.some((each) => each.slots.has(slot) && this.markOf(copy, each) < each.mark);
    return waits ? undefined : copy;
  }

  /** What waits for a hand-over goes on. */
  expire(): void {
    for (const copy of this.copies.values()) {
      if (copy.holding === 0) continue;
      copy.expired = copy.holding;
      copy.holding = 0;
    }
  }

  crash(): void {
    this.isAlive = false;
    this.expire();
  }

  /** Removes rows that are not to be here. */
  sweep(): void {
    for (const [shard, copy] of this.copies) {
      const kept = this.duty(shard)!.kept;
      for (const slot of copy.rows.keys()) if (!kept.has(slot)) copy.rows.delete(slot);
    }
  }

  /** Goes on with a feed. @param most entries of the log at most */
  follow({ from, to, slots, start }: Feed, most: number): void {
    const source = this.others.get(from.store)!;
    const copy = this.copies.get(to.shard);
    const read = source.copies.get(from.shard);
    if (!source.isAlive || copy === undefined || read === undefined) return;
    const wanted = slots.within(this.duty(to.shard)!.wanted);
    let position = copy.positions.get(placeKey(from));
    if (position !== undefined && position.log !== read.logNumber) {
      copy.positions.delete(placeKey(from));
      copy.complete = copy.complete.without(slots);
      position = undefined;
    }
    const lacks = !copy.complete.includes(wanted);
    if (position === undefined && (start === 'beginning' || !lacks)) {
      position = { log: read.logNumber, at: 0, mark: 0 };
      copy.positions.set(placeKey(from), position);
    } else if (start === 'copy' && lacks) {
      if (read.complete.includes(wanted)) this.copy(copy, source, read, { from, to }, wanted);
      return;
    }
    if (position === undefined) return;
    for (const entry of read.log.slice(position.at, position.at + most)) {
      if (slots.has(entry.slot)) copy.write(entry.slot, entry.time);
      position.at++;
    }
    position.mark = read.markAt(position.at);
  }

  private copy(
    copy: Copy,
    source: SimulatedStore,
    read: Copy,
    { from, to }: Pick<Feed, 'from' | 'to'>,
    wanted: SlotSet,
  ): void {
    for (const [slot, time] of read.rows) if (wanted.has(slot)) copy.write(slot, time);
    copy.complete = copy.complete.with(wanted);
    this.reach(copy, from, { log: read.logNumber, at: read.log.length, mark: read.markAt(read.log.length) });
    // The positions that the source has in the logs of others come with its rows.
    for (const feed of dutiesIn(this.entry!, this.id).feeds) {
      if (feed.to.shard !== to.shard || feed.from.shard !== from.shard || feed.from.store === source.id)
        continue;
      const position = read.positions.get(placeKey(feed.from));
      if (position !== undefined) this.reach(copy, feed.from, { ...position });
    }
  }

  private reach(copy: Copy, from: CopyPlace, position: Position): void {
    const known = copy.positions.get(placeKey(from));
    if (known === undefined || known.log !== position.log || known.at < position.at)
      copy.positions.set(placeKey(from), position);
  }

  report(): KeyspaceReport {
    const copies = [...this.copies].map(([shard, copy]): CopyReport => {
      const { wanted, kept } = this.duty(shard)!;
      return {
        shard,
        failure: '',
        isComplete: copy.complete.includes(wanted),
        isClean: [...copy.rows.keys()].every((slot) => kept.has(slot)),
        holding: copy.holding,
        expired: copy.expired,
        feeds: dutiesIn(this.entry!, this.id)
          .feeds.filter(({ to }) => to.shard === shard)
          .flatMap(({ from }) => this.feedReport(copy, from)),
      };
    });
    return { epoch: this.entry?.epoch ?? 0, copies };
  }

  private feedReport(copy: Copy, from: CopyPlace): FeedReport[] {
    const position = copy.positions.get(placeKey(from));
    const source = this.others.get(from.store)!.copies.get(from.shard);
    if (position === undefined || source === undefined || source.logNumber !== position.log) return [];
    const isLevel = position.at === source.log.length;
    return [{ from, isLevel, mark: this.markOf(copy, from), position: position.at }];
  }
}

/** An entry in one line: shards with their owners first, `<` before a home, `@` before the epoch of a takeover. */
function entryLine({ epoch, change, shards }: KeyspaceEntry): string {
  const list = (held: KeyspaceEntry['shards']) =>
    held
      .map(({ stores, home, since }) =>
        [stores.join(''), home && `<${home}`, since && `@${since}`].filter(Boolean).join(''),
      )
      .join(' ');
  if (change === undefined) return `epoch ${epoch} settled ${list(shards)}`;
  const other = 'target' in change ? `to ${list(change.target)}` : `from ${list(change.former)}`;
  return `epoch ${epoch} ${change.kind} ${change.phase} ${list(shards)} ${other}`;
}

/** A keyspace with its stores and their master, in memory; whoever drives it says what happens when. */
export class Simulation {
  readonly stores: ReadonlyMap<string, SimulatedStore>;
  /** The latest write that was acknowledged, by slot. */
  readonly ledger = new Map<number, number>();
  /** All entries that were published, in order. */
  readonly published: KeyspaceEntry[];
  /** What the master knows; undefined while there is none. */
  entry: KeyspaceEntry | undefined;
  private reports = new Map<string, KeyspaceReport>();
  private heard = new Set<string>();
  private time = 0;
  private epoch: number;
  nowMs = 0;
  readonly journal: string[] = [];
  /** Why entries were published, by epoch. */
  readonly reasons = new Map<number, string>();

  constructor(ids: readonly string[], entry: KeyspaceEntry) {
    const stores = new Map<string, SimulatedStore>();
    for (const id of ids) stores.set(id, new SimulatedStore(id, stores, this.journal));
    this.stores = stores;
    this.entry = entry;
    this.epoch = entry.epoch;
    this.published = [entry];
    for (const store of stores.values()) store.apply(entry, true);
    for (const id of ids) this.hear(id);
  }

  get context(): StepContext {
    return {
      newEpoch: () => ++this.epoch,
      nowMs: this.nowMs,
      hasHeard: (id) => this.heard.has(id),
      storeText: (id) => id,
    };
  }

  /** What the master has been told by those that it takes to be alive. */
  get living(): KeyspaceReports {
    return this.reports;
  }

  publish(entry: KeyspaceEntry, why: string): void {
    this.entry = entry;
    this.published.push(entry);
    this.reasons.set(entry.epoch, why);
    this.journal.push(`${entryLine(entry)}: ${why}`);
  }

  /** The master takes its next step, if there is one. */
  step(): boolean {
    if (this.entry === undefined) return false;
    const step = nextStep(this.entry, this.reports, this.context);
    if (step.kind !== 'enter') return false;
    this.publish(step.entry, step.why);
    return true;
  }

  /** A store reports, or is found dead. */
  hear(id: string): void {
    const store = this.stores.get(id)!;
    if (!store.isAlive) {
      this.reports.delete(id);
      return;
    }
    this.heard.add(id);
    this.reports.set(id, store.report());
    if (this.entry === undefined || store.entry!.epoch <= this.entry.epoch) return;
    this.journal.push(`the master learns ${store.entry!.epoch} from ${id}`);
    this.entry = store.entry;
  }

  /** Another master begins, and learns from the stores that are there. */
  restartMaster(): void {
    this.entry = undefined;
    this.reports = new Map();
    this.heard = new Set();
    this.journal.push('another master');
    const living = [...this.stores.values()].filter(({ isAlive }) => isAlive);
    for (const { entry } of living)
      if (entry !== undefined && entry.epoch > (this.entry?.epoch ?? 0)) this.entry = entry;
    for (const { id } of living) this.hear(id);
  }

  /**
   * A client writes.
   * @param choice which of those that would take it, if there are several
   * @returns whether it was acknowledged
   */
  write(slot: number, choice = 0): boolean {
    const copies = [...this.stores.values()].flatMap((store) => store.takes(slot) ?? []);
    const copy = copies[choice % copies.length];
    if (copy === undefined) return false;
    const time = ++this.time;
    copy.write(slot, time);
    copy.log.push({ slot, time });
    this.ledger.set(slot, time);
    return true;
  }

  /** The master hears nothing of a store, alive or not. */
  miss(id: string): void {
    this.reports.delete(id);
  }

  /** The master has others own what those own that it does not hear of. */
  failOver(): void {
    if (this.entry === undefined) return;
    const { entry, explanation } = planFailover(this.entry, this.reports, this.context);
    if (entry !== undefined) this.publish(entry, explanation.join('; '));
  }

  /** The master gives back what is level again. */
  failBack(): void {
    if (this.entry === undefined) return;
    const context = { ...this.context, id: `change ${++this.epoch}` };
    const entry = planFailback(this.entry, this.reports, context);
    if (entry !== undefined) this.publish(entry, 'failback');
  }

  /** What happened, for people. */
  story(): string {
    const stores = [...this.stores.values()].map(({ id, copies, entry }) => {
      const texts = [...copies].map(
        ([shard, { complete, rows }]) => `${shard} (${complete.size} slots, ${rows.size} rows)`,
      );
      return `${id} at epoch ${entry?.epoch}: ${texts.join(', ')}`;
    });
    return [...this.journal, ...stores].join('\n');
  }

  /** Everything that a living store can do, once. */
  work(store: SimulatedStore): void {
    if (!store.isAlive || store.entry === undefined) return;
    for (const feed of dutiesIn(store.entry, store.id).feeds) store.follow(feed, Number.POSITIVE_INFINITY);
    store.sweep();
  }

  /** All come back, and go on until nothing changes any more. @throws Error if that does not come */
  settle(): void {
    for (const store of this.stores.values()) store.isAlive = true;
    this.goOn();
    if (this.entry!.change === undefined) return;
    const step = nextStep(this.entry!, this.reports, this.context);
    throw new Error(`it does not come to an end: ${JSON.stringify(step)}\n${this.story()}`);
  }

  /** Those that are alive go on until nothing changes any more. */
  goOn(): void {
    for (let round = 0, quiet = 0; round < 200 && quiet < 4; round++) {
      this.nowMs += this.entry!.change?.phase === 'prepare' ? 60_000 : 10;
      const all = [...this.stores.values()].filter(({ isAlive }) => isAlive);
      for (const store of all) store.apply(this.entry!);
      for (const store of [...all, ...all]) this.work(store);
      for (const { id } of this.stores.values()) this.hear(id);
      const { epoch } = this.entry!;
      if (!this.step()) this.failBack();
      quiet = this.entry!.epoch === epoch ? quiet + 1 : 0;
    }
  }
}
