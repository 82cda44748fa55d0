import { expect, it, vi } from 'vitest';
import { JOURNAL_AGE_MAX_MS } from '../../../src/base/limits.js';
import { stringValue, valueText } from '../../../src/types/row.js';
import type { KeyRange } from '../../../src/types/shard-view.js';
import { temporaryDir } from '../../support/environment.js';
import { MemoryView } from '../../support/memory-view.js';
import { envNumber, type Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import { auditDisk, databaseOf, openShard, type Rig, START_MS } from './shard-harness.js';
import { ShardModel } from './shard-model.js';

// So that rewritings take many steps.
vi.mock('../../../src/base/limits.js', async (original) => ({
  ...(await original<typeof import('../../../src/base/limits.js')>()),
  REWRITE_SLICE_ROWS: 3,
}));

const KEYS = [
  '',
  '\0',
  '\0\0',
  'a',
  'a\0',
  'a\xff',
  'a\xffb',
  'ab',
  'b',
  'user:1',
  'user:10',
  'user:2',
  '\xfe',
  '\xff',
  '\xff\0',
  '\xff\xff',
  'k'.repeat(1500),
];
const PREFIXES = ['', '', 'a', 'a\xff', 'user:', '\xff', '\xff\xff', '\0', 'none'];
const RETENTION_MS = 60;
const STEPS = 250;
/** Rounds of each test; more for a long run. */
const ROUNDS = envNumber('VASTO_SHARD_ROUNDS', 3);

/** A shard and its model, driven side by side. */
class Pair {
  rig!: Rig;
  /** How often the shard was rewritten to the end. */
  rewritten = 0;
  readonly model = new ShardModel(RETENTION_MS);

  constructor(
    private readonly random: Random,
    private readonly directory: string,
    private readonly cacheBytes: number,
    private readonly eventTimes: boolean,
  ) {
    this.model.nowMs = START_MS;
  }

  async open(): Promise<void> {
    this.rig = await openShard(this.directory, this.cacheBytes);
    this.rig.knobs.tombstoneRetentionMs = RETENTION_MS;
  }

  async step(): Promise<void> {
    const { random, model, rig } = this;
    if (random.chance(0.3)) model.nowMs += random.int(0, 15);
    // What the journal has is old then.
    if (random.chance(0.01)) model.nowMs += JOURNAL_AGE_MAX_MS;
    rig.shard.nowMs = model.nowMs;
    if (random.chance(0.15)) await this.rewrite();
    const choice = random.int(0, 99);
    if (choice < 30) this.set();
    else if (choice < 38) this.update();
    else if (choice < 48) this.expire();
    else if (choice < 60) this.remove();
    else if (choice < 70) this.read();
    else if (choice < 82) this.compareRange();
    else if (choice < 88) this.commit();
    else if (choice < 91) this.rollback();
    else if (choice < 96) this.sweep();
    else if (choice < 97) await this.flush();
    else if (choice < 98) await this.reopen(random.chance(0.5));
    else this.compareAll();
    // As between commands: rows that do not wait for a commit come and go.
    rig.cache.evict();
  }

  private key(): string {
    return this.random.pick(KEYS);
  }

  private value(): string {
    return this.random.bytes(this.random.chance(0.1) ? this.random.int(1000, 3000) : this.random.int(0, 20));
  }

  private expiry(): number {
    return this.random.chance(0.5) ? 0 : this.model.nowMs + this.random.int(-3, 40);
  }

  private eventTime(): number | undefined {
    if (!this.eventTimes || this.random.chance(0.6)) return undefined;
    return this.model.nowMs + this.random.int(-40, 20);
  }

  private set(): void {
    const { rig, model } = this;
    const [key, value, expiry, flags] = [this.key(), this.value(), this.expiry(), this.random.int(0, 1)];
    const time = this.eventTime();
    const stored = rig.shard.setString(key, stringValue(value), expiry, time, flags);
    expect(stored).toBe(model.setString(key, value, expiry, time, flags));
    this.compareKey(key);
  }

  private update(): void {
    const key = this.key();
    const row = this.rig.shard.find(key);
    if (row === undefined) return;
    const value = this.value();
    this.rig.shard.updateString(row, stringValue(value));
    this.model.updateString(key, value);
    this.compareKey(key);
  }

  private expire(): void {
    const key = this.key();
    const row = this.rig.shard.find(key);
    if (row === undefined) return;
    const expiry = this.expiry();
    this.rig.shard.setExpiry(row, expiry);
    this.model.setExpiry(key, expiry);
    this.compareKey(key);
  }

  private remove(): void {
    const key = this.key();
    const time = this.eventTime();
    expect(this.rig.shard.remove(key, time)).toBe(this.model.remove(key, time));
    this.compareKey(key);
  }

  private read(): void {
    const { shard } = this.rig;
    if (this.random.chance(0.3))
      shard.prefetch([...new Set([this.key() || 'a', this.key() || 'b', 'never'])]);
    this.compareKey(this.key());
    const { keyspaceHits, keyspaceMisses } = shard.counters;
    shard.countsLookups = true;
    const hit = shard.find(this.key()) !== undefined;
    shard.countsLookups = false;
    expect(shard.counters).toMatchObject({
      keyspaceHits: keyspaceHits + Number(hit),
      keyspaceMisses: keyspaceMisses + Number(!hit),
    });
  }

  private compareKey(key: string): void {
    const row = this.rig.shard.peek(key);
    const expected = this.model.live(key);
    const found = row && {
      value: valueText(row.value),
      flags: row.flags,
      timestamp: row.timestamp,
      expiresAtMs: row.expiresAtMs,
    };
    const { tombstone: _, ...wanted } = expected ?? { tombstone: false };
    expect(found).toEqual(expected && wanted);
  }

  private compareRange(): void {
    const { random, rig, model } = this;
    const range: KeyRange = {
      prefix: random.pick(PREFIXES),
      ...(random.chance(0.5) ? { after: this.key() } : {}),
    };
    const limit = random.chance(0.3) ? random.int(1, 4) : Number.POSITIVE_INFINITY;
    const withRows = random.chance(0.5);
    const keys: string[] = [];
    rig.shard.visit(range, withRows, (key, row) => {
      keys.push(key);
      if (withRows) expect(valueText(row!.value)).toBe(model.live(key)?.value);
      return keys.length < limit;
    });
    expect(keys).toEqual(model.keys(range).slice(0, limit));
  }

  compareAll(): void {
    const { rig, model } = this;
    for (const key of KEYS) this.compareKey(key);
    expect(rig.shard.count()).toBe(model.keys().length);
    expect(rig.shard.countExpiring()).toBe(model.countExpiring());
    const random = rig.shard.randomKey();
    if (model.keys().length === 0) expect(random).toBeUndefined();
    else expect(model.keys()).toContain(random);
  }

  private commit(): void {
    this.rig.shard.commit(false);
    this.model.commit();
    expect(this.rig.shard.hasChanges).toBe(false);
    auditDisk(this.rig.shard);
    this.compareAll();
  }

  private rollback(): void {
    this.rig.shard.rollback();
    this.model.rollback();
    expect(this.rig.shard.hasChanges).toBe(false);
    auditDisk(this.rig.shard);
    this.compareAll();
  }

  /** As the worker does it: between batches. */
  sweep(limit = this.random.int(1, 6)): boolean {
    this.commit();
    const more = this.rig.shard.sweep(this.model.nowMs, limit);
    expect(more).toBe(this.model.sweep(limit));
    if (this.random.chance(0.2)) this.rollback();
    else this.commit();
    return more;
  }

  /** The next step of a rewriting, between batches. */
  async rewrite(): Promise<void> {
    const { shard } = this.rig;
    this.commit();
    if (this.random.chance(0.02)) shard.abandonRewrite();
    const rewrite = await shard.rewriteSlice();
    if (!rewrite.isCopied) return;
    await rewrite.sync();
    this.set();
    this.commit();
    expect(shard.finishRewrite(rewrite)).toBe(true);
    expect(databaseOf(shard)).toBe(rewrite.target);
    auditDisk(shard);
    this.compareAll();
    this.rewritten++;
  }

  private async flush(): Promise<void> {
    await this.rig.shard.prepareFlush();
    this.rig.shard.flush();
    this.model.flush();
    this.compareAll();
  }

  private async reopen(crashed: boolean): Promise<void> {
    // Between batches no flush waits for its commit: see shard.bug.test.ts.
    if (Reflect.get(this.rig.shard, 'flushedTo') !== undefined) this.rollback();
    if (crashed) await databaseOf(this.rig.shard).close();
    await this.rig.shard.close();
    expect([this.rig.cache.bytes, this.rig.cache.heldBytes]).toEqual([0, 0]);
    expect(this.rig.cleanupErrors).toEqual([]);
    // Left-over generations are removed in the background.
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.model.reopen();
    await this.open();
    this.rig.shard.nowMs = this.model.nowMs;
    this.compareAll();
  }

  /** When everything has expired, nothing is left. */
  async finish(): Promise<void> {
    for (const key of this.model.keys()) {
      this.rig.shard.setExpiry(this.rig.shard.find(key)!, this.model.nowMs + 5);
      this.model.setExpiry(key, this.model.nowMs + 5);
    }
    this.commit();
    this.model.nowMs += 1000;
    this.rig.shard.nowMs = this.model.nowMs;
    this.compareAll();
    expect(this.rig.shard.count()).toBe(0);
    for (let rounds = 0; rounds < 100 && (this.sweep(3) || this.rig.shard.nextExpiryMs !== 0); rounds++);
    expect(auditDisk(this.rig.shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
    await this.rig.shard.close();
    expect([this.rig.cache.bytes, this.rig.cache.heldBytes]).toEqual([0, 0]);
  }
}

async function run(random: Random, cacheBytes: number, eventTimes: boolean): Promise<void> {
  const pair = new Pair(random, temporaryDir(), cacheBytes, eventTimes);
  await pair.open();
  for (let step = 0; step < STEPS; step++) await pair.step();
  while (pair.rewritten === 0) await pair.rewrite();
  await pair.finish();
}

it('a shard does what its model does, with rows in memory', () =>
  seeded(ROUNDS, (random) => run(random, 1 << 20, false)));

it('a shard does what its model does, with rows that come and go', () =>
  seeded(ROUNDS, (random) => run(random, 1500, false)));

it('a shard does what its model does, with event times and tombstones', () =>
  seeded(ROUNDS, (random, at) => run(random, at % 2 === 0 ? 1 << 20 : 1000, true)));

it('the view that the tests of commands use does what a shard does', () =>
  seeded(2, async (random) => {
    const { shard } = await openShard(temporaryDir());
    const view = new MemoryView();
    shard.nowMs = view.nowMs;
    for (let step = 0; step < 300; step++) {
      if (random.chance(0.2)) view.nowMs += random.int(0, 20);
      shard.nowMs = view.nowMs;
      const key = random.pick(KEYS);
      const expiry = random.chance(0.5) ? 0 : view.nowMs + random.int(-2, 30);
      const choice = random.int(0, 4);
      for (const each of [shard, view]) {
        const row = each.find(key);
        if (choice < 2) each.setString(key, `v${step}`, expiry);
        else if (choice === 2) each.remove(key);
        else if (row !== undefined && choice === 3) each.setExpiry(row, expiry);
        else if (row !== undefined) each.updateString(row, `u${step}`);
      }
      if (random.chance(0.1)) shard.commit(false);
      const seen = [shard, view].map((each) => {
        const rows: string[] = [];
        each.visit(
          { prefix: '' },
          true,
          (found, row) => rows.push(`${found}=${valueText(row!.value)}@${row!.expiresAtMs}`) > 0,
        );
        return { rows, count: each.count(), expiring: each.countExpiring() };
      });
      expect(seen[0]).toEqual(seen[1]);
    }
    await shard.close();
  }));
