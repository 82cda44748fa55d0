import type { CacheEntry } from '../types/row.js';

/**
 * The rows in memory of all shards of one worker, those of large collections' elements included, bounded in bytes. Each shard looks its rows up in a table of its
 * own; this is the common budget and the order of eviction.
 *
 * Eviction is SIEVE (Zhang et al., NSDI '24): rows stand in order of insertion, a hit only sets a bit, and a hand
 * walks from the oldest row towards the newest, sparing and unmarking rows that were hit. It keeps hot rows as well
 * as LRU does or better, survives scans, and costs nothing on a hit. Rows that wait for a commit are never evicted, nor
 * are those that only the journal has.
 */
export class RowCache {
  bytes = 0;
  /** Bytes of the rows that only the journal has. The journals keep this a part of the budget. */
  heldBytes = 0;
  evictions = 0;
  /** Rows that had to be read from disk. */
  loads = 0;
  private newest: CacheEntry | undefined;
  private oldest: CacheEntry | undefined;
  private hand: CacheEntry | undefined;
  private size = 0;
  /** Rows that came since the eviction before, at a commit: as many may wait for the hand to unmark them. */
  private added = 0;
  /** Whether the last eviction found nothing that it could evict. */
  private stuck = false;

  constructor(private bytesMax: number) {}

  get bytesLimit(): number {
    return this.bytesMax;
  }

  /** Whether rows should go. Not while only rows are left that must stay. */
  get isOver(): boolean {
    return this.bytes > this.bytesMax && !this.stuck;
  }

  /** Takes a new row in; its table must have it already. */
  add(row: CacheEntry): void {
    row.cachedBytes = row.footprintBytes;
    this.bytes += row.cachedBytes;
    if (row.journaledIn !== 0) this.heldBytes += row.cachedBytes;
    row.older = this.newest;
    row.newer = undefined;
    if (this.newest) this.newest.newer = row;
    else this.oldest = row;
    this.newest = row;
    this.size++;
    this.added++;
  }

  /** Takes note that the value of a row changed its size. */
  resized(row: CacheEntry): void {
    const now = row.footprintBytes;
    this.bytes += now - row.cachedBytes;
    if (row.journaledIn !== 0) this.heldBytes += now - row.cachedBytes;
    row.cachedBytes = now;
  }

  /** Lets a row go, from its table too. */
  remove(row: CacheEntry): void {
    if (this.hand === row) this.hand = row.newer;
    if (row.newer) row.newer.older = row.older;
    else this.newest = row.older;
    if (row.older) row.older.newer = row.newer;
    else this.oldest = row.newer;
    row.newer = undefined;
    row.older = undefined;
    this.bytes -= row.cachedBytes;
    if (row.journaledIn !== 0) this.heldBytes -= row.cachedBytes;
    this.size--;
    row.leave();
  }

  /** Changes the budget, bytes. */
  setLimit(bytesMax: number): void {
    this.bytesMax = bytesMax;
    this.evict();
  }

  /** Evicts after a commit, when rows that waited for it may go too. */
  evictCommitted(): void {
    this.stuck = false;
    this.evict(EVICTION_SPARED_MAX + SPARED_FOR_ADDED * this.added);
    this.added = 0;
  }

  /**
   * Evicts until the budget is met, or only rows are left that must stay.
   * @param sparedMax how many rows may be spared one after the other before it gives up
   */
  evict(sparedMax = EVICTION_SPARED_MAX): void {
    let spared = 0;
    while (this.bytes > this.bytesMax && this.oldest !== undefined) {
      const row: CacheEntry = this.hand ?? this.oldest;
      this.hand = row.newer;
      if (row.dirty || row.visited || row.journaledIn !== 0) {
        row.visited = false;
        // Two rounds that free nothing: none may go.
        if (++spared > Math.min(2 * this.size, sparedMax)) {
          this.stuck = true;
          return;
        }
        continue;
      }
      this.remove(row);
      this.evictions++;
      spared = 0;
    }
  }
}

/** Longest run of spared rows in one call, so that eviction never takes long; the next batch goes on. */
const EVICTION_SPARED_MAX = 50_000;

/**
 * So many more for each row that a batch has brought. The hand must walk faster than rows come: a batch may bring more than
 * {@link EVICTION_SPARED_MAX}, and if it has hit them all, none goes before the hand has been there twice.
 */
const SPARED_FOR_ADDED = 2;
