import { timestampOf } from '../../src/base/clock.js';
import type { StoredRow } from './disk.js';

/** Something that a client has asked for, and that changes a key. */
export interface Write {
  /** Its number, which is the value that it writes. */
  readonly id: number;
  readonly key: string;
  readonly isDeletion: boolean;
  /** It is what a flush was for this key. */
  readonly isFlush: boolean;
  /** Its own time, Unix milliseconds; undefined = it is of when it comes. */
  readonly eventTimeMs: number | undefined;
  /** Its value ends by itself after so long, milliseconds; 0 = never. */
  readonly ttlMs: number;
  /** From then on, by the simulation's clock, its value may be gone; undefined = it stays, or has not taken effect. */
  mayEndAtMs: number | undefined;
  /** The timestamp that it was given; undefined = it has not taken effect, as far as anybody knows, or has been flushed for good. */
  at: number | undefined;
  /** Where it took effect. */
  store: string;
  /** It is a deletion that left no trace: nobody had to know of it. */
  isTraceless: boolean;
  /** The client has been told that it took effect. */
  isAcknowledged: boolean;
  /** Asynchronous replication may lose it: why, for people; '' = it may not. */
  excuse: string;
}

/** Everything that clients were told, and what must be true at the end because of it. */
export class Ledger {
  readonly writes: Write[] = [];
  private readonly byKey = new Map<string, Write[]>();

  /** @param nowMs the simulation's clock */
  constructor(private readonly nowMs: () => number) {}

  begin(
    key: string,
    { isDeletion = false, isFlush = false, ttlMs = 0, eventTimeMs = undefined as number | undefined },
  ): Write {
    const write: Write = {
      id: this.writes.length,
      key,
      isDeletion,
      isFlush,
      eventTimeMs,
      ttlMs,
      mayEndAtMs: undefined,
      at: undefined,
      store: '',
      isTraceless: false,
      isAcknowledged: false,
      excuse: '',
    };
    this.writes.push(write);
    const others = this.byKey.get(key);
    if (others === undefined) this.byKey.set(key, [write]);
    else others.push(write);
    return write;
  }

  /**
   * A store has flushed a shard.
   * @param at its timestamp; 0 = nobody else has anything of the shard: it ends what there was, and nobody has to know later
   * @returns what it was for each key that later writes, and earlier ones, are compared with
   */
  flushed(keys: readonly string[], at: number, store: string): readonly Write[] {
    if (at === 0) {
      for (const write of keys.flatMap((key) => this.of(key))) if (!write.isFlush) write.at = undefined;
      return [];
    }
    return keys.map((key) =>
      Object.assign(this.begin(key, { isDeletion: true, isFlush: true }), { at, store }),
    );
  }

  /**
   * A write has found nothing of its key, not even that it was deleted. A deletion that left no trace, and what it ended,
   * counts less then though its time may be later: a shard that gets the slot never hears of it, and its clock may be
   * behind.
   */
  foundNothing(write: Write): void {
    const deletion = latestOf(
      this.of(write.key).filter(({ isTraceless, at }) => isTraceless && at !== undefined),
    );
    if (deletion === undefined) return;
    for (const each of this.of(write.key))
      if (each.at !== undefined && isBefore(write, each) && !isBefore(deletion, each))
        each.excuse ||= 'a deletion that left no trace ended it, and another write came then';
  }

  /** Whether there is a reason to take a write as having come too late. */
  isLate({ key, eventTimeMs }: Write): boolean {
    return this.of(key).some(({ at }) => at !== undefined && at > timestampOf(eventTimeMs!));
  }

  /** The latest of the writes of a key that clients may rely on. */
  latest(key: string): Write | undefined {
    return latestOf(
      this.of(key).filter(
        ({ isAcknowledged, excuse, at }) => isAcknowledged && excuse === '' && at !== undefined,
      ),
    );
  }

  private of(key: string): readonly Write[] {
    return this.byKey.get(key) ?? [];
  }

  /**
   * Whether a row, or that there is none, is what may be after a write.
   * @returns what is wrong with it
   */
  fault(key: string, row: StoredRow | undefined, write = this.latest(key)): string | undefined {
    const found = row === undefined ? undefined : this.writes[row.write];
    if (row !== undefined && (found?.key !== key || found.at !== row.at))
      return `${key} has a row that nobody wrote: ${JSON.stringify(row)}`;
    // What was flushed where nobody else had it counts no more; nor may what has been excused since the client began.
    if (write?.at === undefined || write.excuse !== '') return undefined;
    const is =
      found ?? latestOf(this.of(key).filter((each) => each.at !== undefined && this.mayBeGone(each)));
    if (is !== undefined && !isBefore(is, write)) return undefined;
    return `${key} ${row === undefined ? 'is not there' : `is as write ${row.write} left it`}, but ${describe(write)}`;
  }

  /** Whether that there is nothing of its key tells of a write: nothing may be there after it, or after a later one. */
  isOver(write: Write): boolean {
    return this.of(write.key).some(
      (each) => each.at !== undefined && this.mayBeGone(each) && !isBefore(each, write),
    );
  }

  /** Whether there may be nothing after a write. */
  mayBeGone({ isDeletion, mayEndAtMs }: Write): boolean {
    return isDeletion || (mayEndAtMs !== undefined && mayEndAtMs <= this.nowMs());
  }

  /** Whether a row tells of a write of its key: it is that, or what took its place. */
  tells({ write: id }: StoredRow, write: Write): boolean {
    return write.at !== undefined && !isBefore(this.writes[id]!, write);
  }

  get keys(): IterableIterator<string> {
    return this.byKey.keys();
  }
}

function describe({ id, at, store, isDeletion, isFlush }: Write): string {
  return `write ${id} (${isFlush ? 'a flush' : isDeletion ? 'a deletion' : 'a value'}, at ${store}, time ${at}) was acknowledged`;
}

/** Whether one counts less than the other. Both have taken effect. */
function isBefore(one: Write, other: Write): boolean {
  if (one.at !== other.at) return one.at! < other.at!;
  return one.isFlush === other.isFlush ? one.id < other.id : other.isFlush;
}

function latestOf(writes: readonly Write[]): Write | undefined {
  let latest: Write | undefined;
  for (const write of writes) if (latest === undefined || isBefore(latest, write)) latest = write;
  return latest;
}
