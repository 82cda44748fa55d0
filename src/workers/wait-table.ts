import type { RespVersion } from '../base/reply-writer.js';
import type { Wait } from '../commands/definition.js';

/** A client whose command waits for one of its keys. A client waits for one command at a time. */
export interface Waiter {
  readonly clientId: number;
  readonly version: RespVersion;
  readonly wait: Wait;
  /** Who has a lower number has waited for longer. */
  readonly order: number;
}

/**
 * The clients that wait for keys of one shard, those of a key in the order in which they came. A change of a key only
 * notes it as ready; who runs the commands then asks. It costs writes nothing while nobody waits.
 */
export class WaitTable {
  private readonly byKey = new Map<string, Set<Waiter>>();
  private readonly byClient = new Map<number, Waiter>();
  private readonly ready = new Set<string>();
  private nextOrder = 1;
  /** How many would like to know that a key has gone. */
  private triesWhenGone = 0;
  /** Keys that are waited for, each as often as there are clients that do. */
  waitedKeys = 0;

  /** Number of clients that wait. */
  get size(): number {
    return this.byClient.size;
  }

  get hasReady(): boolean {
    return this.ready.size !== 0;
  }

  get anyTriesWhenGone(): boolean {
    return this.triesWhenGone !== 0;
  }

  /** Puts a client at the end of the lines of its keys. */
  begin(waiter: Omit<Waiter, 'order'>): Waiter {
    const placed = { ...waiter, order: this.nextOrder++ };
    this.add(placed);
    return placed;
  }

  private add(waiter: Waiter): void {
    this.byClient.set(waiter.clientId, waiter);
    if (waiter.wait.triesWhenGone) this.triesWhenGone++;
    for (const key of new Set(waiter.wait.keys)) {
      const line = this.byKey.get(key);
      if (line === undefined) this.byKey.set(key, new Set([waiter]));
      else line.add(waiter);
      this.waitedKeys++;
    }
  }

  /** Gives back their places to clients that were taken out since the last commit. */
  restore(waiters: readonly Waiter[]): void {
    for (const waiter of waiters) {
      this.add(waiter);
      for (const key of new Set(waiter.wait.keys))
        this.byKey.set(key, new Set([...this.byKey.get(key)!].sort((one, other) => one.order - other.order)));
    }
  }

  remove(waiter: Waiter): void {
    if (!this.byClient.delete(waiter.clientId)) return;
    if (waiter.wait.triesWhenGone) this.triesWhenGone--;
    for (const key of new Set(waiter.wait.keys)) {
      const line = this.byKey.get(key)!;
      line.delete(waiter);
      this.waitedKeys--;
      if (line.size === 0) this.byKey.delete(key);
    }
  }

  of(clientId: number): Waiter | undefined {
    return this.byClient.get(clientId);
  }

  /** A key has changed. */
  changed(key: string): void {
    if (this.byKey.has(key)) this.ready.add(key);
  }

  /** Nobody knows which keys have changed. */
  anyChanged(): void {
    for (const key of this.byKey.keys()) this.ready.add(key);
  }

  /** All keys have gone at once. */
  allChanged(): void {
    if (this.triesWhenGone !== 0) this.anyChanged();
  }

  /** The key that has been ready for longest; it is not any more. */
  takeReady(): string | undefined {
    const [key] = this.ready;
    if (key !== undefined) this.ready.delete(key);
    return key;
  }

  /** Changes have been undone. */
  forgetReady(): void {
    this.ready.clear();
  }

  /** Those who wait for a key, first come first. */
  line(key: string): Iterable<Waiter> {
    return this.byKey.get(key) ?? [];
  }

  /** Has everybody leave; in the order in which they came. */
  takeAll(): Waiter[] {
    const all = [...this.byClient.values()].sort((one, other) => one.order - other.order);
    for (const waiter of all) this.remove(waiter);
    return all;
  }
}
