import { FREE_SHARE_MIN } from '../placement.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import { storesConcerned } from './duties.js';
import {
  addressIn,
  busyReason,
  type Goal,
  isSameShards,
  type Plan,
  type PlanContext,
  type PlanStore,
  planOf,
  ROOM_FACTOR,
} from './plan.js';

/**
 * Spreads what there is evenly over the stores, with few moves. A search that takes the best single step until none makes it better; a step
 * is another store for one copy, or another owner among the copies of a shard. What counts, the most important first:
 *
 * 1. copies of a shard in one zone, and copies on stores without the tags that their keyspace asks for,
 * 2. copies of each keyspace, and then of all, spread evenly (the sum of the squares),
 * 3. the same of owners.
 *
 * Each step makes the first of these figures that changes less, so it ends, and the result is never worse than what there was.
 * @param entries all keyspaces; those that are being changed stay as they are
 */
export function planRebalance(entries: readonly KeyspaceEntry[], context: PlanContext): Plan {
  const explanation: string[] = [];
  const all = entries
    .filter(({ deleted }) => !deleted)
    .map((entry) => {
      const reason = busyReason(entry, context);
      if (reason !== undefined) explanation.push(`left as it is: ${reason}`);
      return { entry, isFree: reason === undefined };
    });
  const stores = storesOf(entries, context);
  const search = new Search(all, context, stores);
  while (search.improve());
  const free = search.boards.filter(({ isFree }) => isFree);
  const goals = free.map(({ entry, shards }): Goal => {
    const target = entry.shards.map(
      (held, shard): ShardEntry => ({
        ...held,
        stores: shards[shard]!.map((number) => stores[number]!.id),
      }),
    );
    return { entry, target, explanation: differences(entry, target, context) };
  });
  const plan = planOf(
    'rebalance',
    goals.filter(({ entry, target }) => !isSameShards(entry.shards, target)),
    context,
  );
  return 'reason' in plan ? plan : { ...plan, explanation: [...explanation, ...plan.explanation] };
}

/** All that are known or named, in order of their ids. */
function storesOf(entries: readonly KeyspaceEntry[], { stores }: PlanContext): PlanStore[] {
  const known = new Map(stores.map((store) => [store.id, store]));
  for (const id of entries.flatMap(storesConcerned))
    if (!known.has(id)) known.set(id, { ...UNKNOWN, id, address: id.slice(0, 8) });
  return [...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

const UNKNOWN = { zone: '', tags: [], shards: 0, freeBytes: 0, totalBytes: 0, alive: false };

function differences(
  { name, shards }: KeyspaceEntry,
  target: readonly ShardEntry[],
  context: PlanContext,
): string[] {
  const lines: string[] = [];
  for (const [shard, { stores }] of shards.entries()) {
    const after = target[shard]!.stores;
    const gone = stores.filter((id) => !after.includes(id));
    const come = after.filter((id) => !stores.includes(id));
    for (const [index, id] of gone.entries())
      lines.push(
        `keyspace ${name}: shard ${shard} goes from ${addressIn(context, id)} to ${addressIn(context, come[index]!)}`,
      );
    if (after[0] !== stores[0] && !come.includes(after[0]!))
      lines.push(`keyspace ${name}: shard ${shard} is owned by ${addressIn(context, after[0]!)}`);
  }
  return lines;
}

/** How many each store has, by its number in the search. */
class Tally {
  private readonly counts: Int32Array;

  constructor(stores: number) {
    this.counts = new Int32Array(stores);
  }

  add(store: number, count: number): void {
    this.counts[store]! += count;
  }

  shift(from: number, to: number): void {
    this.add(from, -1);
    this.add(to, 1);
  }

  /** By how much the sum of squares changes when one goes from a store to another. */
  change(from: number, to: number): number {
    return 2 * (this.counts[to]! - this.counts[from]! + 1);
  }
}

/** A keyspace during the search, with numbers in the place of ids. */
interface Board {
  readonly entry: KeyspaceEntry;
  /** Whether it may be changed. */
  readonly isFree: boolean;
  /** By shard its holders, the owner first. */
  readonly shards: number[][];
  readonly copies: Tally;
  readonly owners: Tally;
  /** By store whether it has the tags. */
  readonly fits: readonly boolean[];
}

/** Another store in the place of a holder; where it is a holder, they change places. */
interface Step {
  readonly board: Board;
  readonly shard: number;
  readonly place: number;
  readonly to: number;
}

/** What a step changes, the most important first; less is better. */
const FIGURES = 5;
const NO_GAIN: readonly number[] = Array.from({ length: FIGURES }, () => 0);

class Search {
  readonly boards: readonly Board[];
  private readonly copies: Tally;
  private readonly owners: Tally;
  private readonly zones: readonly number[];
  private readonly isAlive: readonly boolean[];
  /** Those that may get something. */
  private readonly takers: readonly number[];
  /** Bytes that may still come, by store. */
  private readonly room: number[];
  private best: Step | undefined;
  private bestGain = NO_GAIN;

  constructor(
    entries: readonly { readonly entry: KeyspaceEntry; readonly isFree: boolean }[],
    private readonly context: PlanContext,
    /** In order of their ids. */
    private readonly stores: readonly PlanStore[],
  ) {
    const zoneNames = [...new Set(stores.map(({ zone }) => zone))];
    this.zones = stores.map(({ zone }) => zoneNames.indexOf(zone));
    this.isAlive = stores.map(({ alive }) => alive);
    this.takers = [...stores.keys()].filter((number) => {
      const { alive, freeBytes, totalBytes, isDrained } = stores[number]!;
      return alive && isDrained !== true && freeBytes >= totalBytes * FREE_SHARE_MIN;
    });
    this.room = stores.map(({ freeBytes, totalBytes }) =>
      totalBytes === 0 ? Number.POSITIVE_INFINITY : freeBytes / ROOM_FACTOR,
    );
    this.copies = new Tally(stores.length);
    this.owners = new Tally(stores.length);
    const numbers = new Map(stores.map(({ id }, number) => [id, number]));
    this.boards = entries.map(({ entry, isFree }) => this.boardOf(entry, isFree, numbers));
  }

  private boardOf(entry: KeyspaceEntry, isFree: boolean, numbers: ReadonlyMap<string, number>): Board {
    const { change, shards, tags } = entry;
    // One that is being changed counts as it will be.
    const held =
      change !== undefined && 'target' in change && change.phase !== 'undo' ? change.target : shards;
    const board: Board = {
      entry,
      isFree,
      shards: held.map(({ stores }) => stores.map((id) => numbers.get(id)!)),
      copies: new Tally(this.stores.length),
      owners: new Tally(this.stores.length),
      fits: this.stores.map((store) => tags.every((tag) => store.tags.includes(tag))),
    };
    for (const holders of board.shards)
      for (const [place, store] of holders.entries()) {
        for (const tally of [board.copies, this.copies]) tally.add(store, 1);
        if (place === 0) for (const tally of [board.owners, this.owners]) tally.add(store, 1);
      }
    return board;
  }

  /** Takes the best step. @returns false when there is none that makes anything better */
  improve(): boolean {
    this.best = undefined;
    this.bestGain = NO_GAIN;
    for (const board of this.boards) {
      if (!board.isFree) continue;
      for (let shard = 0; shard < board.shards.length; shard++)
        // What waits for a store to come back is not moved meanwhile.
        if (board.entry.shards[shard]!.home === undefined) this.consider(board, shard);
    }
    if (this.best === undefined) return false;
    this.take(this.best);
    return true;
  }

  private consider(board: Board, shard: number): void {
    const holders = board.shards[shard]!;
    const [owner] = holders;
    for (let place = 0; place < holders.length; place++) {
      const from = holders[place]!;
      if (!this.isAlive[from]) continue;
      if (place > 0 && this.isAlive[owner!]) this.compare(board, shard, 0, from);
      for (const to of this.takers) if (!holders.includes(to)) this.compare(board, shard, place, to);
    }
  }

  /** Figures are worked out only as long as they are as good as those of the best step. */
  private compare(board: Board, shard: number, place: number, to: number): void {
    for (let figure = 0; figure < FIGURES; figure++) {
      const change = this.figureOf(board, shard, place, to, figure);
      const best = this.bestGain[figure]!;
      if (change === best) continue;
      if (change > best || !this.hasRoom(board, shard, to)) return;
      this.best = { board, shard, place, to };
      this.bestGain = NO_GAIN.map((_, index) => this.figureOf(board, shard, place, to, index));
      return;
    }
  }

  private figureOf(board: Board, shard: number, place: number, to: number, figure: number): number {
    const holders = board.shards[shard]!;
    const from = holders[place]!;
    const isSwap = holders.includes(to);
    switch (figure) {
      case 0:
        return isSwap ? 0 : this.faults(board, holders, place, to) - this.faults(board, holders, place, from);
      case 1:
        return isSwap ? 0 : board.copies.change(from, to);
      case 2:
        return isSwap ? 0 : this.copies.change(from, to);
      case 3:
        return place > 0 ? 0 : board.owners.change(from, to);
      default:
        return place > 0 ? 0 : this.owners.change(from, to);
    }
  }

  /** What is wrong with a store as a holder beside the others. */
  private faults({ fits }: Board, holders: readonly number[], place: number, store: number): number {
    let faults = fits[store] ? 0 : holders.length + 1;
    for (let other = 0; other < holders.length; other++)
      if (other !== place && this.zones[holders[other]!] === this.zones[store]) faults++;
    return faults;
  }

  private hasRoom({ entry, shards }: Board, shard: number, to: number): boolean {
    if (shards[shard]!.includes(to) || this.isAtHome(entry, shard, to)) return true;
    return this.context.bytesOf(entry.id, shard) <= this.room[to]!;
  }

  /** Whether a store has a copy already, before anything is moved. */
  private isAtHome(entry: KeyspaceEntry, shard: number, store: number): boolean {
    return entry.shards[shard]!.stores.includes(this.stores[store]!.id);
  }

  private take({ board, shard, place, to }: Step): void {
    const holders = board.shards[shard]!;
    const from = holders[place]!;
    const at = holders.indexOf(to);
    holders[place] = to;
    if (at >= 0) holders[at] = from;
    else {
      for (const tally of [board.copies, this.copies]) tally.shift(from, to);
      const bytes = this.context.bytesOf(board.entry.id, shard);
      if (!this.isAtHome(board.entry, shard, to)) this.room[to]! -= bytes;
      if (!this.isAtHome(board.entry, shard, from)) this.room[from]! += bytes;
    }
    if (place === 0) for (const tally of [board.owners, this.owners]) tally.shift(from, to);
  }
}
