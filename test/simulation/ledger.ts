import type { StoredRow } from './disk.js';

/** Something that a client has asked for, and that changes a key. */
export interface Write {
  /** Its number, which is the value that it writes. */
  readonly id: number;
  readonly key: string;
  readonly isDeletion: boolean;
  /** Its value ends by itself after so long, milliseconds; 0 = never. */
  readonly ttlMs: number;
  /** From then on, by the simulation's clock, its value may be gone; undefined = it stays, or has not taken effect. */
  mayEndAtMs: number | undefined;
  /** The timestamp that it was given; undefined = it has not taken effect, as far as anybody knows. */
  at: number | undefined;
  /** Where it took effect. */
  store: string;
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

  begin(key: string, isDeletion: boolean, ttlMs: number): Write {
    const write = {
      id: this.writes.length,
      key,
      isDeletion,
      ttlMs,
      mayEndAtMs: undefined,
      at: undefined,
      store: '',
      isAcknowledged: false,
      excuse: '',
    };
    this.writes.push(write);
    const others = this.byKey.get(key);
    if (others === undefined) this.byKey.set(key, [write]);
    else others.push(write);
    return write;
  }

  /** The latest of the writes of a key that clients may rely on. */
  latest(key: string): Write | undefined {
    return latestOf(this.of(key).filter(({ isAcknowledged, excuse }) => isAcknowledged && excuse === ''));
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
    if (write === undefined) return undefined;
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

function describe({ id, at, store, isDeletion }: Write): string {
  return `write ${id} (${isDeletion ? 'a deletion' : 'a value'}, at ${store}, time ${at}) was acknowledged`;
}

/** Whether one counts less than the other. Both have taken effect. */
function isBefore(one: Write, other: Write): boolean {
  return one.at === other.at ? one.id < other.id : one.at! < other.at!;
}

function latestOf(writes: readonly Write[]): Write | undefined {
  let latest: Write | undefined;
  for (const write of writes) if (latest === undefined || isBefore(latest, write)) latest = write;
  return latest;
}
