import { Buffer } from 'node:buffer';
import {
  encodeTtlKey,
  isElementTtlKey,
  TTL_KEY_PREFIX_BYTES,
  ttlKeyExpiry,
  ttlKeyUserKey,
} from '../types/row-codec.js';
import type { Database } from './rocksdb.js';

/** What a shard knows of its `ttl` family without looking: when the next key ends, and how far it was swept. */
export class ExpiryIndex {
  /** Lower bound of the next expiry, Unix milliseconds: when to sweep. 0 = nothing will expire. */
  nextMs = 1;
  /** No entry is earlier: where sweeps have been, RocksDB would walk over what they deleted. Unix milliseconds. */
  private sweptUntilMs = 0;

  /** @param ofElements whether it is that of collections' elements, in the same family, instead of that of keys */
  constructor(private readonly ofElements = false) {}

  /** Takes note of an expiry that is staged. */
  note(expiresAtMs: number): void {
    if (this.nextMs === 0 || expiresAtMs < this.nextMs) this.nextMs = expiresAtMs;
    if (expiresAtMs < this.sweptUntilMs) this.sweptUntilMs = expiresAtMs;
  }

  /** Whether stored keys may have ended. */
  isDue(nowMs: number): boolean {
    return this.nextMs !== 0 && this.nextMs <= nowMs;
  }

  /** There are no entries. */
  emptied(): void {
    this.nextMs = 0;
    this.sweptUntilMs = 0;
  }

  /** There may be any entries. */
  unknown(): void {
    this.nextMs = 1;
    this.sweptUntilMs = 0;
  }

  /** Visits stored entries up to a time, in order of time, until `visit` returns false. */
  each(source: Database, untilMs: number, visit: (key: string, expiresAtMs: number) => boolean): void {
    const from = Buffer.alloc(TTL_KEY_PREFIX_BYTES);
    encodeTtlKey(this.sweptUntilMs, '', from, this.ofElements);
    source.iterate({ family: 'ttl', from, values: false }, (entry) => {
      if (isElementTtlKey(entry) !== this.ofElements) return false;
      const expiresAtMs = ttlKeyExpiry(entry);
      return expiresAtMs <= untilMs && visit(ttlKeyUserKey(entry), expiresAtMs);
    });
  }

  /**
   * Takes at most `limit` keys that have ended, to be removed with the next commit.
   * @returns the keys, and whether there are more
   */
  sweep(source: Database, nowMs: number, limit: number): { due: string[]; more: boolean } {
    const due: string[] = [];
    let upcomingMs = 0;
    this.each(source, Number.MAX_SAFE_INTEGER, (key, expiresAtMs) => {
      if (expiresAtMs > nowMs || due.length === limit) {
        upcomingMs = expiresAtMs;
        return false;
      }
      due.push(key);
      this.sweptUntilMs = expiresAtMs;
      return true;
    });
    this.nextMs = upcomingMs;
    return { due, more: upcomingMs !== 0 && upcomingMs <= nowMs };
  }
}
