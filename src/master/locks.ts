import { ManagerError } from '../cluster/manager.js';

/** A change under way. */
export interface Lock {
  /** What is going on, after "is being ". */
  readonly doing: 'created' | 'deleted' | 'swapped' | 'compacted';
  readonly finished: Promise<unknown>;
}

/** Who is being changed: one change at a time for each key. Bounded by the requests that wait for an answer. */
export class Locks<L extends Lock> {
  private readonly held = new Map<string, L>();

  /** The first lock on any of the keys. */
  find(keys: readonly string[]): L | undefined {
    for (const key of keys) {
      const lock = this.held.get(key);
      if (lock !== undefined) return lock;
    }
    return undefined;
  }

  /** Holds the keys until the lock's promise is settled. None may be held. */
  hold(keys: readonly string[], lock: L): void {
    for (const key of keys) this.held.set(key, lock);
    const release = () => {
      for (const key of keys) this.held.delete(key);
    };
    lock.finished.then(release, release);
  }
}

export function busy(subject: string, { doing }: Lock): ManagerError {
  return new ManagerError('BUSY', `${subject} is being ${doing}: try again when that is done`);
}
