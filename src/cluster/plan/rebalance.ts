import { FREE_SHARE_MIN } from '../placement.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import {
  addressIn,
  busyReason,
  type Goal,
  isLess,
  isSameShards,
  type Plan,
  type PlanContext,
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
  const alive = entries.filter(({ deleted }) => !deleted);
  const explanation: string[] = [];
  const boards = alive.map((entry) => {
    const reason = busyReason(entry, context);
    if (reason !== undefined) explanation.push(`left as it is: ${reason}`);
    return new Board(entry, reason === undefined);
  });
  const search = new Search(boards, context);
  while (search.improve());
  const free = boards.filter(({ isFree }) => isFree);
  const goals = free.map(({ entry, shards }): Goal => {
    const target = entry.shards.map((held, shard): ShardEntry => ({ ...held, stores: shards[shard]! }));
    return { entry, target, explanation: differences(entry, target, context) };
  });
  const plan = planOf(
    'rebalance',
    goals.filter(({ entry, target }) => !isSameShards(entry.shards, target)),
    context,
  );
  return 'reason' in plan ? plan : { ...plan, explanation: [...explanation, ...plan.explanation] };
}

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

/** How many there are, by store. */
class Tally {
  private readonly counts = new Map<string, number>();

  of(store: string): number {
    return this.counts.get(store) ?? 0;
  }

  add(store: string, count: number): void {
    this.counts.set(store, this.of(store) + count);
  }

  /** By how much the sum of squares changes when one goes from a store to another. */
  change(from: string, to: string): number {
    return from === to ? 0 : 2 * (this.of(to) - this.of(from) + 1);
  }
}

/** A keyspace during the search. */
class Board {
  /** By shard its holders, the owner first. */
  readonly shards: string[][];
  readonly copies = new Tally();
  readonly owners = new Tally();

  constructor(
    readonly entry: KeyspaceEntry,
    /** Whether it may be changed. */
    readonly isFree: boolean,
  ) {
    // One that is being changed counts as it will be.
    const { change, shards } = entry;
    const held =
      change !== undefined && 'target' in change && change.phase !== 'undo' ? change.target : shards;
    this.shards = held.map(({ stores }) => [...stores]);
    for (const stores of this.shards)
      for (const [place, store] of stores.entries()) {
        this.copies.add(store, 1);
        if (place === 0) this.owners.add(store, 1);
      }
  }
}

/** A step: `to` in the place of the holder at `place`; where it is a holder, they change places. */
interface Move {
  readonly board: Board;
  readonly shard: number;
  readonly place: number;
  readonly to: string;
  readonly gain: readonly number[];
}

class Search {
  private readonly copies = new Tally();
  private readonly owners = new Tally();
  private readonly zones: ReadonlyMap<string, string>;
  private readonly tags: ReadonlyMap<string, readonly string[]>;
  /** Stores that may get something, in order of their ids. */
  private readonly takers: readonly string[];
  private readonly alive: ReadonlySet<string>;
  private readonly incoming = new Tally();
  private readonly room: ReadonlyMap<string, number>;

  constructor(
    private readonly boards: readonly Board[],
    private readonly context: PlanContext,
  ) {
    const { stores } = context;
    this.zones = new Map(stores.map(({ id, zone }) => [id, zone]));
    this.tags = new Map(stores.map(({ id, tags }) => [id, tags]));
    this.alive = new Set(stores.filter(({ alive }) => alive).map(({ id }) => id));
    this.takers = stores
      .filter(({ alive, freeBytes, totalBytes }) => alive && freeBytes >= totalBytes * FREE_SHARE_MIN)
      .map(({ id }) => id)
      .sort();
    this.room = new Map(
      stores.map(({ id, freeBytes, totalBytes }) => [
        id,
        totalBytes === 0 ? Number.POSITIVE_INFINITY : freeBytes / ROOM_FACTOR,
      ]),
    );
    for (const { shards } of boards)
      for (const holders of shards)
        for (const [place, store] of holders.entries()) {
          this.copies.add(store, 1);
          if (place === 0) this.owners.add(store, 1);
        }
  }

  /** Takes the best step. @returns false when there is none that makes anything better */
  improve(): boolean {
    let best: Move | undefined;
    for (const board of this.boards)
      if (board.isFree)
        // What waits for a store to come back is not moved meanwhile.
        for (const [shard, holders] of board.shards.entries())
          if (board.entry.shards[shard]!.home === undefined)
            for (const place of holders.keys())
              for (const move of this.movesOf(board, shard, place))
                if (isLess(move.gain, best?.gain ?? NO_GAIN)) best = move;
    if (best === undefined) return false;
    this.make(best);
    return true;
  }

  private *movesOf(board: Board, shard: number, place: number): Generator<Move> {
    const holders = board.shards[shard]!;
    const from = holders[place]!;
    if (!this.alive.has(from)) return;
    if (place > 0) {
      const gain = this.ownerGain(board, holders[0]!, from);
      if (this.alive.has(holders[0]!)) yield { board, shard, place: 0, to: from, gain: [0, 0, 0, ...gain] };
    }
    for (const to of this.takers) {
      if (holders.includes(to) || !this.hasRoom(board, shard, to)) continue;
      const gain = [
        this.faults(board, holders, place, to) - this.faults(board, holders, place, from),
        board.copies.change(from, to),
        this.copies.change(from, to),
        ...(place === 0 ? this.ownerGain(board, from, to) : [0, 0]),
      ];
      yield { board, shard, place, to, gain };
    }
  }

  private ownerGain(board: Board, from: string, to: string): number[] {
    return [board.owners.change(from, to), this.owners.change(from, to)];
  }

  /** What is wrong with a store as a holder beside the others. */
  private faults({ entry }: Board, holders: readonly string[], place: number, store: string): number {
    const zone = this.zones.get(store);
    const together = holders.filter((other, at) => at !== place && this.zones.get(other) === zone).length;
    const tags = this.tags.get(store) ?? [];
    return together + (entry.tags.every((tag) => tags.includes(tag)) ? 0 : holders.length + 1);
  }

  private hasRoom({ entry }: Board, shard: number, to: string): boolean {
    if (entry.shards[shard]!.stores.includes(to)) return true;
    const bytes = this.incoming.of(to) + this.context.bytesOf(entry.id, shard);
    return bytes <= this.room.get(to)!;
  }

  private make({ board, shard, place, to }: Move): void {
    const holders = board.shards[shard]!;
    const from = holders[place]!;
    const at = holders.indexOf(to);
    holders[place] = to;
    if (at >= 0) holders[at] = from;
    else {
      this.shift([board.copies, this.copies], from, to);
      const bytes = this.context.bytesOf(board.entry.id, shard);
      const { stores } = board.entry.shards[shard]!;
      if (!stores.includes(to)) this.incoming.add(to, bytes);
      if (!stores.includes(from)) this.incoming.add(from, -bytes);
    }
    if (place === 0) this.shift([board.owners, this.owners], from, to);
  }

  private shift(tallies: readonly Tally[], from: string, to: string): void {
    for (const tally of tallies) {
      tally.add(from, -1);
      tally.add(to, 1);
    }
  }
}

const NO_GAIN: readonly number[] = [0, 0, 0, 0, 0];
