/**
 * WATCH on one shard: which client waits for which key to change. A change only marks; EXEC asks.
 * It costs writes nothing while nobody watches.
 */
export class WatchTable {
  private byKey = new Map<string, Set<Watch>>();
  private byClient = new Map<number, Map<string, Watch>>();

  /** Number of watched keys. */
  get size(): number {
    return this.byKey.size;
  }

  /** @param live whether the key exists now; its disappearance by expiry counts as a change only if it does */
  watch(clientId: number, key: string, live: boolean): void {
    let watches = this.byClient.get(clientId);
    if (watches === undefined) {
      watches = new Map();
      this.byClient.set(clientId, watches);
    }
    if (watches.has(key)) return;
    const watch = { live, changed: false };
    watches.set(key, watch);
    const watchers = this.byKey.get(key);
    if (watchers) watchers.add(watch);
    else this.byKey.set(key, new Set([watch]));
  }

  changed(key: string): void {
    const watchers = this.byKey.get(key);
    if (watchers) for (const watch of watchers) watch.changed = true;
  }

  /** All keys go at once: those that exist now, or were seen to exist, have changed. */
  allChanged(exists: (key: string) => boolean): void {
    for (const [key, watchers] of this.byKey) {
      const now = exists(key);
      for (const watch of watchers) if (now || watch.live) watch.changed = true;
    }
  }

  /** Two databases change places: watches stay with the number, and break where either has the key. */
  exchange(other: WatchTable, exists: (key: string) => boolean): void {
    this.allChanged(exists);
    other.allChanged(exists);
    [this.byKey, other.byKey] = [other.byKey, this.byKey];
    [this.byClient, other.byClient] = [other.byClient, this.byClient];
  }

  /** Whether a key the client watches has changed, or has expired since. */
  isBroken(clientId: number, exists: (key: string) => boolean): boolean {
    for (const [key, watch] of this.byClient.get(clientId) ?? [])
      if (watch.changed || (watch.live && !exists(key))) return true;
    return false;
  }

  /** Has the client's next EXEC fail. */
  breakAll(clientId: number): void {
    this.watch(clientId, '', false);
    for (const watch of this.byClient.get(clientId)!.values()) watch.changed = true;
  }

  unwatch(clientId: number): void {
    const watches = this.byClient.get(clientId);
    if (watches === undefined) return;
    this.byClient.delete(clientId);
    for (const [key, watch] of watches) {
      const watchers = this.byKey.get(key);
      watchers?.delete(watch);
      if (watchers?.size === 0) this.byKey.delete(key);
    }
  }

  /** What another owner of the shard must know: for moving it. */
  export(): WatchRecord[] {
    return [...this.byClient.keys()].flatMap((clientId) => this.exportOf(clientId));
  }

  /** What one client watches. */
  exportOf(clientId: number): WatchRecord[] {
    const records: WatchRecord[] = [];
    for (const [key, watch] of this.byClient.get(clientId) ?? []) records.push({ clientId, key, ...watch });
    return records;
  }

  import(records: readonly WatchRecord[]): void {
    for (const { clientId, key, live, changed } of records) {
      this.watch(clientId, key, live);
      if (changed) this.byClient.get(clientId)!.get(key)!.changed = true;
    }
  }
}

interface Watch {
  readonly live: boolean;
  changed: boolean;
}

/** A client's watch of a key, as it moves with its shard. */
export interface WatchRecord extends Watch {
  readonly clientId: number;
  readonly key: string;
}
