import { describe, expect, it, vi } from 'vitest';
import { JOURNAL_AGE_MAX_MS } from '../../../src/base/limits.js';
import { readUint64 } from '../../../src/types/binary.js';
import type { CollectionLimits } from '../../../src/types/collections/collection.js';
import { ElementKind } from '../../../src/types/collections/elements.js';
import { HashValue } from '../../../src/types/collections/hash.js';
import { ListValue } from '../../../src/types/collections/list.js';
import { SetValue } from '../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../src/types/collections/sorted-set.js';
import { Row, type RowType, stringValue, valueText } from '../../../src/types/row.js';
import { decodeRow, isElementTtlKey, ttlKeyExpiry, ttlKeyUserKey } from '../../../src/types/row-codec.js';
import { kindOf } from '../../../src/workers/element-keys.js';
import type { Journal } from '../../../src/workers/journal.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { LOW_LIMITS } from '../../support/memory-elements.js';
import { envNumber, type Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import { auditDisk, databaseOf, failCommit, openShard, type Rig, START_MS } from './shard-harness.js';

// So that rewritings take many steps, nodes are written back all the time, and collections go as ranges, too.
vi.mock('../../../src/base/limits.js', async (original) => ({
  ...(await original<typeof import('../../../src/base/limits.js')>()),
  REWRITE_SLICE_ROWS: 7,
  NODE_JOURNAL_AGE_MAX_MS: 100,
  NODE_PATCHES_MAX: 5,
  DEAD_ROWS_SINGLE_MAX: 30,
  SPACE_RETURN_ROW_BYTES: 100,
}));

const KEYS = ['a', 'b', 'c', 'd', 'e', 'long'.repeat(300)];
const STEPS = envNumber('VASTO_SHARD_STEPS', 500);
const TIMEOUT_MS = 200 * STEPS;
const NAMES = 60;

/** What a key holds, as text: a set's members, a hash's pairs, a list's values, a sorted set's entries, a string. */
type Held =
  | { readonly type: 'set'; readonly members: Set<string> }
  | { readonly type: 'hash'; readonly fields: Map<string, { text: string; endsMs: number }> }
  | { readonly type: 'list'; readonly values: string[] }
  | { readonly type: 'zset'; readonly scores: Map<string, number> }
  | { readonly type: 'string'; readonly text: string };

type State = Map<string, { held: Held; expiresAtMs: number }>;

function copyOf(state: State): State {
  return structuredClone(state);
}

/** The content of a live row in the form of {@link canonical}. */
function contentOf(row: Row, nowMs: number): string {
  const { collection } = row;
  if (collection === undefined) return `string ${valueText(row.value)}`;
  const parts: string[] = [];
  if (collection instanceof SetValue) parts.push(...collection.members());
  else if (collection instanceof HashValue)
    collection.each(nowMs, (field, value) => parts.push(`${field}=${valueText(value)}`) > 0);
  else if (collection instanceof SortedSetValue)
    collection.each(0, collection.size, ({ member, score }) => parts.push(`${score} ${member}`) > 0);
  else if (collection instanceof ListValue) {
    collection.each(0, collection.size, (value) => parts.push(valueText(value)) > 0);
    return `list ${JSON.stringify(parts)}`;
  }
  return `${collection.type} ${JSON.stringify(parts.sort())}`;
}

function canonical(held: Held, nowMs: number): string {
  if (held.type === 'string') return `string ${held.text}`;
  if (held.type === 'list') return `list ${JSON.stringify(held.values)}`;
  const parts =
    held.type === 'set'
      ? [...held.members]
      : held.type === 'hash'
        ? [...held.fields].flatMap(([field, { text, endsMs }]) =>
            endsMs !== 0 && endsMs <= nowMs ? [] : [`${field}=${text}`],
          )
        : [...held.scores].map(([member, score]) => `${score} ${member}`);
  return `${{ set: 4, hash: 2, zset: 5 }[held.type]} ${JSON.stringify(parts.sort())}`;
}

class Pair {
  rig!: Rig;
  rewritten = 0;
  /** Types of rows that the journal has had. */
  readonly seenJournaled = new Set<RowType>();
  private state: State = new Map();
  private committed: State = new Map();
  private nowMs = START_MS;

  constructor(
    private readonly random: Random,
    private readonly directory: string,
    private readonly cacheBytes: number,
    private readonly limits: CollectionLimits,
  ) {}

  get shard(): Shard {
    return this.rig.shard;
  }

  async open(): Promise<void> {
    this.rig = await openShard(this.directory, this.cacheBytes);
    this.rig.knobs.collections = this.limits;
    this.shard.nowMs = this.nowMs;
  }

  async step(): Promise<void> {
    const { random } = this;
    if (random.chance(0.2)) this.nowMs += random.int(0, 10);
    // What the journal has is old then.
    if (random.chance(0.01)) this.nowMs += JOURNAL_AGE_MAX_MS;
    this.shard.nowMs = this.nowMs;
    for (const [key, { expiresAtMs }] of this.state)
      if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.state.delete(key);
    this.endFields();
    const choice = random.int(0, 99);
    if (choice < 62) this.change();
    else if (choice < 64) this.overwrite();
    else if (choice < 66) this.store();
    else if (choice < 70) this.rename();
    else if (choice < 73) this.copy();
    else if (choice < 76) this.expire();
    else if (choice < 79) this.remove();
    else if (choice < 86) this.commit();
    else if (choice < 88) this.rollback();
    else if (choice < 91) this.sweep();
    else if (choice < 93) await this.rewrite();
    else if (choice < 94) await this.flush();
    else if (choice < 96) await this.reopen(random.chance(0.6));
    else this.compareAll();
    this.rig.cache.evict();
  }

  /** What has ended is gone for the model; for the shard, a hash without live fields is a key until it is swept. */
  private endFields(): void {
    for (const [key, { held }] of [...this.state]) {
      if (held.type !== 'hash') continue;
      for (const [field, { endsMs }] of [...held.fields])
        if (endsMs !== 0 && endsMs <= this.nowMs) held.fields.delete(field);
      if (held.fields.size > 0) continue;
      const row = this.shard.peek(key);
      if (row?.collection instanceof HashValue) expect(row.collection.liveSize(this.nowMs)).toBe(0);
      // As a sweep would, for the model to agree.
      this.shard.remove(key);
      this.state.delete(key);
    }
  }

  private key(): string {
    return this.random.pick(KEYS);
  }

  private name(): string {
    return String(this.random.int(0, NAMES));
  }

  private text(): string {
    return this.random.bytes(this.random.chance(0.05) ? this.random.int(900, 2500) : this.random.int(0, 12));
  }

  /** A few changes of what a key holds, made for it if it holds nothing. */
  private change(): void {
    const { random, shard } = this;
    const key = this.key();
    const row = shard.find(key);
    const entry = this.state.get(key);
    expect(row === undefined).toBe(entry === undefined);
    if (row !== undefined && row.collection === undefined) return;
    const host = shard.collections;
    const kinds = [
      () => new SetValue(host),
      () => new HashValue(host),
      () => new ListValue(host),
      () => new SortedSetValue(host),
    ];
    const value = row?.collection ?? random.pick(kinds)();
    const held = entry?.held ?? emptyOf(value);
    const steps = random.int(1, 12);
    for (let step = 0; step < steps; step++) this.changeOne(value, held, random.chance(0.65));
    const size = sizeOf(held);
    expect(value instanceof HashValue ? value.liveSize(this.nowMs) : value.size).toBe(size);
    if (row === undefined) {
      if (size > 0) shard.setCollection(key, value, 0);
    } else shard.changed(row);
    // Of a hash fields may be left that have ended.
    if (size === 0) shard.remove(key);
    if (size === 0) this.state.delete(key);
    else this.state.set(key, { held, expiresAtMs: entry?.expiresAtMs ?? 0 });
    this.compareKey(key);
  }

  private changeOne(value: unknown, held: Held, grows: boolean): void {
    const { random } = this;
    const name = this.name();
    if (value instanceof SetValue && held.type === 'set') {
      if (grows) expect(value.add(name)).toBe(!held.members.has(name) && held.members.add(name).has(name));
      else if (random.chance(0.3) && held.members.size > 0)
        expect(held.members.delete(value.take(() => random.float()))).toBe(true);
      else expect(value.delete(name)).toBe(held.members.delete(name));
    } else if (value instanceof HashValue && held.type === 'hash') {
      const text = this.text();
      if (grows) {
        expect(value.set(name, stringValue(text), this.nowMs)).toBe(!held.fields.has(name));
        held.fields.set(name, { text, endsMs: 0 });
        if (random.chance(0.15)) {
          const endsMs = this.nowMs + random.int(1, 80);
          value.setExpiry(name, endsMs);
          held.fields.get(name)!.endsMs = endsMs;
        }
      } else expect(value.delete(name, this.nowMs)).toBe(held.fields.delete(name));
    } else if (value instanceof SortedSetValue && held.type === 'zset') {
      const score = random.int(-5, 5);
      if (grows) {
        expect(value.set(name, score)).toBe(held.scores.get(name));
        held.scores.set(name, score);
      } else {
        expect(value.delete(name)).toBe(held.scores.get(name));
        held.scores.delete(name);
      }
    } else if (value instanceof ListValue && held.type === 'list') {
      const index = random.int(0, held.values.length);
      const text = this.text();
      if (grows) {
        value.insertAt(index, stringValue(text));
        held.values.splice(index, 0, text);
      } else if (index < held.values.length)
        expect(valueText(value.removeAt(index))).toBe(held.values.splice(index, 1)[0]);
    }
  }

  private overwrite(): void {
    const key = this.key();
    // Strings that are written again and again go to the journal.
    for (let times = this.random.int(1, 3); times > 0; times--) {
      const text = this.text();
      this.shard.setString(key, stringValue(text), 0);
      this.state.set(key, { held: { type: 'string', text }, expiresAtMs: 0 });
      if (times > 1) this.commit();
    }
  }

  /** As SUNIONSTORE: a result takes the place of whatever is there, a string that only the journal has among them. */
  private store(): void {
    const key = this.key();
    const set = new SetValue(this.shard.collections);
    const members = new Set(Array.from({ length: this.random.int(1, 10) }, () => this.name()));
    for (const member of members) set.add(member);
    this.shard.setCollection(key, set, 0);
    this.state.set(key, { held: { type: 'set', members }, expiresAtMs: 0 });
    this.compareKey(key);
  }

  private rename(): void {
    const [from, to] = [this.key(), this.key()];
    const row = this.shard.find(from);
    if (row === undefined || from === to) return;
    this.shard.rename(row, to);
    this.state.set(to, this.state.get(from)!);
    this.state.delete(from);
    this.compareKey(from);
    this.compareKey(to);
  }

  private copy(): void {
    const [from, to] = [this.key(), this.key()];
    const row = this.shard.find(from);
    if (row?.collection === undefined || from === to) return;
    this.shard.setCollection(to, row.collection.copy(this.shard.collections), row.expiresAtMs);
    this.state.set(to, structuredClone(this.state.get(from)!));
    this.compareKey(to);
  }

  private expire(): void {
    const key = this.key();
    const row = this.shard.find(key);
    if (row === undefined) return;
    const expiresAtMs = this.nowMs + this.random.int(1, 60);
    this.shard.setExpiry(row, expiresAtMs);
    this.state.get(key)!.expiresAtMs = expiresAtMs;
  }

  private remove(): void {
    const key = this.key();
    expect(this.shard.remove(key)).toBe(this.state.delete(key));
    this.compareKey(key);
  }

  private compareKey(key: string): void {
    const row = this.shard.peek(key);
    const entry = this.state.get(key);
    expect(row && contentOf(row, this.nowMs)).toBe(entry && canonical(entry.held, this.nowMs));
    if (row !== undefined) expect(row.expiresAtMs).toBe(entry!.expiresAtMs);
  }

  private compareAll(): void {
    for (const key of KEYS) this.compareKey(key);
    expect(this.shard.count()).toBe(this.state.size);
    const seen: string[] = [];
    this.shard.visit({ prefix: '' }, true, (key, row) => {
      seen.push(key);
      expect(contentOf(row!, this.nowMs)).toBe(canonical(this.state.get(key)!.held, this.nowMs));
      return true;
    });
    expect(seen).toEqual([...this.state.keys()].sort((a, b) => (a < b ? -1 : 1)));
  }

  private commit(): void {
    this.shard.commit(false);
    for (const row of this.journaled()) this.seenJournaled.add(row.type);
    this.committed = copyOf(this.state);
    expect(this.shard.hasChanges).toBe(false);
    auditElements(this.shard);
    this.compareAll();
  }

  private journaled(): Iterable<Row> {
    return (Reflect.get(this.shard, 'journal') as Journal).rows();
  }

  private rollback(): void {
    if (
      this.random.chance(0.5) &&
      this.shard.hasChanges &&
      Reflect.get(this.shard, 'flushedTo') === undefined
    ) {
      failCommit(this.shard);
      expect(() => this.shard.commit(false)).toThrow(StorageError);
    }
    this.shard.rollback(this.random.chance(0.5));
    this.state = copyOf(this.committed);
    for (const [key, { expiresAtMs }] of this.state)
      if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.state.delete(key);
    this.endFields();
    auditElements(this.shard);
    this.compareAll();
  }

  /** As the worker does it: between batches. */
  private sweep(): void {
    this.commit();
    this.shard.sweep(this.nowMs, this.random.int(1, 5));
    this.endFields();
    this.shard.sweepDeadElements(this.random.int(1, 20));
    if (this.random.chance(0.2)) this.rollback();
    else this.commit();
  }

  private async rewrite(): Promise<void> {
    this.commit();
    const rewrite = await this.shard.rewriteSlice();
    if (!rewrite.isCopied) return;
    await rewrite.sync();
    expect(this.shard.finishRewrite(rewrite)).toBe(true);
    auditElements(this.shard);
    this.compareAll();
    this.rewritten++;
  }

  private async flush(): Promise<void> {
    await this.shard.prepareFlush();
    this.shard.flush();
    this.state.clear();
    this.compareAll();
  }

  private async reopen(crashed: boolean): Promise<void> {
    if (Reflect.get(this.shard, 'flushedTo') !== undefined) this.rollback();
    if (crashed) await databaseOf(this.shard).close();
    await this.shard.close();
    expect([this.rig.cache.bytes, this.rig.cache.heldBytes]).toEqual([0, 0]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.state = copyOf(this.committed);
    await this.open();
    for (const [key, { expiresAtMs }] of this.state)
      if (expiresAtMs !== 0 && expiresAtMs <= this.nowMs) this.state.delete(key);
    this.endFields();
    this.compareAll();
  }

  /** When all has gone and was swept, nothing is left on disk. */
  async finish(): Promise<void> {
    while (this.rewritten === 0) await this.rewrite();
    for (const key of KEYS) this.shard.remove(key);
    this.state.clear();
    while (this.shard.sweep(this.nowMs, 100));
    this.commit();
    for (let rounds = 0; rounds < 10_000 && this.shard.hasDeadElements; rounds++) {
      this.shard.sweepDeadElements(50);
      this.shard.commit(false);
    }
    const left: Buffer[] = [];
    databaseOf(this.shard).iterate({ family: 'elem', values: false }, (key) => left.push(key) > 0);
    expect(left).toEqual([]);
    await this.shard.close();
    expect(this.rig.cache.bytes).toBe(0);
  }
}

function emptyOf(value: unknown): Held {
  if (value instanceof SetValue) return { type: 'set', members: new Set() };
  if (value instanceof HashValue) return { type: 'hash', fields: new Map() };
  if (value instanceof ListValue) return { type: 'list', values: [] };
  return { type: 'zset', scores: new Map() };
}

function sizeOf(held: Held): number {
  switch (held.type) {
    case 'set':
      return held.members.size;
    case 'hash':
      return held.fields.size;
    case 'list':
      return held.values.length;
    case 'zset':
      return held.scores.size;
    default:
      return 1;
  }
}

/** Rows and counts agree, and every element row is of a collection that is there, or of one that is to be swept. */
function auditElements(shard: Shard): void {
  auditDisk(shard);
  const database = databaseOf(shard);
  const owned = new Map<number, number>();
  const deadlines: string[] = [];
  database.iterate({ family: 'default', values: true }, (key, stored) => {
    const row = new Row(key.latin1Slice());
    decodeRow(row, stored!, shard.collections);
    const nextMs = row.collection?.nextExpiryMs ?? 0;
    if (nextMs !== 0) deadlines.push(`${nextMs} ${row.key}`);
    return true;
  });
  const entries: string[] = [];
  database.iterate({ family: 'ttl', values: false }, (entry) => {
    if (isElementTtlKey(entry)) entries.push(`${ttlKeyExpiry(entry)} ${ttlKeyUserKey(entry)}`);
    return true;
  });
  expect(entries.toSorted()).toEqual(deadlines.toSorted());
  shard.visit({ prefix: '' }, true, (_key, row) => {
    const version = row?.collection?.version ?? 0;
    if (version !== 0) owned.set(version, row!.collection!.size);
    return true;
  });
  const dead = new Set(Reflect.get(shard.collections.dead, 'dead') as number[]);
  const members = new Map<number, number>();
  database.iterate({ family: 'elem', values: false }, (key) => {
    const version = readUint64(key, 0);
    // What has expired and was not swept yet is neither seen nor dead.
    if (kindOf(key) === ElementKind.Member) members.set(version, (members.get(version) ?? 0) + 1);
    return true;
  });
  for (const version of owned.keys()) expect(dead.has(version)).toBe(false);
  for (const [version, size] of owned) if (members.has(version)) expect(members.get(version)).toBe(size);
}

async function run(random: Random, cacheBytes: number, limits = LOW_LIMITS): Promise<Set<RowType>> {
  const pair = new Pair(random, temporaryDir(), cacheBytes, limits);
  await pair.open();
  for (let step = 0; step < STEPS; step++) await pair.step();
  await pair.finish();
  return pair.seenJournaled;
}

/** Up to so many elements collections are small, and so in the journal. */
const SMALL = 30;
const HIGH_LIMITS: CollectionLimits = {
  ...LOW_LIMITS,
  hashEntriesMax: SMALL,
  setIntegersMax: SMALL,
  setEntriesMax: SMALL,
  sortedSetEntriesMax: SMALL,
  listNodeSize: SMALL,
};

describe('collections in a shard do what their models do', () => {
  it('with rows in memory', { timeout: TIMEOUT_MS }, () =>
    seeded(2, async (random) => {
      await run(random, 1 << 20);
    }),
  );

  it('with rows that come and go', { timeout: TIMEOUT_MS }, () =>
    seeded(2, async (random) => {
      await run(random, 3000);
    }),
  );

  it('with collections that are small for long', { timeout: TIMEOUT_MS }, () =>
    seeded(2, async (random) => {
      const journaled = await run(random, 1 << 20, HIGH_LIMITS);
      expect(journaled.size).toBeGreaterThanOrEqual(4);
    }),
  );
});
