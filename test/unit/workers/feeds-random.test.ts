import { Buffer } from 'node:buffer';
import { expect, it, vi } from 'vitest';
import type { Collection } from '../../../src/types/collections/collection.js';
import { HashValue } from '../../../src/types/collections/hash.js';
import { ListValue } from '../../../src/types/collections/list.js';
import { SetValue } from '../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../src/types/collections/sorted-set.js';
import { type Row, RowType, stringValue, valueText } from '../../../src/types/row.js';
import { elementVersion, encodeRow, rowRoom, withVersion } from '../../../src/types/row-codec.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import type { LogChunk } from '../../../src/workers/feed-protocol.js';
import { logState, readLog } from '../../../src/workers/feed-source.js';
import { FeedTarget, type Step } from '../../../src/workers/feed-target.js';
import { StorageError } from '../../../src/workers/rocksdb.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { LOW_LIMITS } from '../../support/memory-elements.js';
import { envNumber, type Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import {
  auditElements,
  contentOf,
  contentsOf,
  described,
  isRefusal,
  startLogging,
  stepOf,
} from './feed-harness.js';
import { afterCrash, auditDisk, failCommit, openShard, type Rig, START_MS } from './shard-harness.js';

// So that everything takes many steps.
vi.mock('../../../src/base/limits.js', async (original) => ({
  ...(await original<typeof import('../../../src/base/limits.js')>()),
  FEED_RECORD_BYTES: 150,
  FEED_READ_RECORDS_MAX: 4,
  FEED_DELETIONS_MAX: 2,
  FEED_SCAN_ROWS: 4,
  FEED_APPLY_ROWS: 2,
  FEED_ELEMENTS_BYTES_MAX: 600,
  COLLECTION_COPIES_MAX: 2,
  REWRITE_SLICE_ROWS: 5,
}));

const ROUNDS = envNumber('VASTO_FEED_ROUNDS', 3);
const STEPS = 400;
const TIMEOUT_MS = 60_000 * ROUNDS;
const RETENTION_MS = 1_000_000;
const KEYS = [
  '',
  '\0',
  'a',
  'a\xff',
  'b',
  '\xff',
  '\xff\xff',
  ...Array.from({ length: 12 }, (_, n) => `k${n}`),
];

const COLLECTIONS = ['c1', 'c2', 'c3', 'c4', 'other'];

class CrashError extends Error {}

/** One copy of the shard, on a store of its own. */
class Copy {
  rig!: Rig;
  private readonly directory = temporaryDir();

  constructor(
    readonly name: string,
    private readonly world: World,
    /** How far its clock is off. */
    readonly skewMs: number,
    private readonly cacheBytes: number,
  ) {}

  get shard(): Shard {
    return this.rig.shard;
  }

  async open(): Promise<void> {
    this.configure(await openShard(this.directory, this.cacheBytes));
    await startLogging(this.shard);
  }

  private configure(rig: Rig): void {
    rig.knobs.tombstoneRetentionMs = RETENTION_MS;
    rig.knobs.feedLogBytesMax = this.world.logBytesMax;
    rig.knobs.collections = LOW_LIMITS;
    this.rig = rig;
    this.tick();
  }

  tick(): void {
    this.shard.nowMs = this.world.nowMs + this.skewMs;
  }

  /** The process dies: what was not committed is lost. */
  async crash(): Promise<void> {
    // Two of one process never open or remove the same files.
    this.shard.abandonRewrite();
    await this.rig.generations.settled();
    this.configure(await afterCrash(this.shard, this.directory, this.cacheBytes));
  }

  commit(): void {
    const { staged, nowMs, replication } = this.shard;
    const states = staged.rows.map((row) => stateOf(row, nowMs));
    this.shard.commit(false);
    this.world.committed(states, replication.latestFlush);
    this.audit();
  }

  /**
   * A commit fails, and the shard is opened anew, as workers do.
   * @param arrived whether it has come to the disk all the same
   */
  async failCommit(arrived: boolean): Promise<void> {
    const { staged, nowMs, replication } = this.shard;
    const states = staged.rows.map((row) => stateOf(row, nowMs));
    failCommit(this.shard, arrived);
    expect(() => this.shard.commit(false)).toThrow(StorageError);
    this.shard.rollback();
    await this.shard.reopen();
    this.tick();
    if (arrived) this.world.committed(states, replication.latestFlush);
    this.audit();
  }

  audit(): void {
    auditDisk(this.shard);
    auditElements(this.shard);
  }
}

/** What a commit made of a row. */
interface State {
  readonly key: string;
  readonly type: RowType;
  readonly timestamp: number;
  readonly expiresAtMs: number;
  readonly flags: number;
  readonly content: string;
  readonly bytes: Buffer;
}

function stateOf(row: Row, nowMs: number): State {
  const { key, type, timestamp, expiresAtMs, flags } = row;
  const scratch = Buffer.alloc(rowRoom(row));
  const bytes = scratch.subarray(0, encodeRow(row, scratch));
  const unversioned = type !== RowType.Absent && elementVersion(bytes) !== 0 ? withVersion(bytes, 0) : bytes;
  return { key, type, timestamp, expiresAtMs, flags, content: contentOf(row, nowMs), bytes: unversioned };
}

/** Some copies, and what they must come to: for each key the latest of all that was committed anywhere. */
class World {
  nowMs = START_MS;
  readonly copies: Copy[];
  private readonly latest = new Map<string, State>();
  private flushedAt = 0;
  private readonly sent: { target: Copy; feed: string; chunk: LogChunk }[] = [];
  crashes = true;
  /** How often a key had to be copied by itself. */
  wanted = 0;

  constructor(
    private readonly random: Random,
    count: number,
    readonly logBytesMax: number,
    private readonly flushes: boolean,
    private readonly collections: boolean,
  ) {
    this.copies = Array.from(
      { length: count },
      (_, index) => new Copy(`copy${index}`, this, random.int(-20, 20), random.pick([1500, 1 << 20])),
    );
  }

  committed(states: readonly State[], flushedAt: number): void {
    this.flushedAt = Math.max(this.flushedAt, flushedAt);
    for (const state of states) {
      if (state.type === RowType.Absent) continue;
      const known = this.latest.get(state.key);
      const isLater =
        known === undefined ||
        state.timestamp > known.timestamp ||
        (state.timestamp === known.timestamp && Buffer.compare(state.bytes, known.bytes) > 0);
      if (isLater) this.latest.set(state.key, state);
    }
  }

  expected(nowMs: number): Record<string, string> {
    const contents: Record<string, string> = {};
    for (const [key, state] of this.latest) {
      if (state.timestamp <= this.flushedAt) continue;
      const text = described(state, state.content, nowMs, RETENTION_MS);
      if (text !== undefined) contents[key] = text;
    }
    return contents;
  }

  // ---------------------------------------------------------------- what happens

  async step(): Promise<void> {
    const { random } = this;
    if (random.chance(0.3)) this.nowMs += random.int(0, 15);
    for (const copy of this.copies) copy.tick();
    const copy = random.pick(this.copies);
    if (random.chance(0.15)) await this.rewrite(copy, random.int(1, 20));
    const choice = random.int(0, 99);
    if (choice < 40) await this.write(copy);
    else if (choice < 75) await this.feed(copy);
    else if (choice < 80) await this.replay();
    else if (choice < 87) this.sweep(copy);
    else if (choice < 93) this.trim(copy);
    else if (choice < 95) copy.shard.rollback();
    else if (choice < 97) await copy.crash();
    else if (choice < 98 && this.flushes) await this.flush(copy);
    else copy.rig.cache.evict();
  }

  private async write(copy: Copy): Promise<void> {
    const { random } = this;
    const { shard } = copy;
    for (let writes = random.int(1, 6); writes > 0; writes--) {
      const key = random.pick(KEYS);
      const row = shard.find(key);
      const time = random.chance(0.2) ? shard.nowMs + random.int(-60, 10) : undefined;
      const expiry = random.chance(0.6) ? 0 : shard.nowMs + random.int(-2, 60);
      const choice = random.int(0, 9);
      if (choice < 4) shard.setString(key, stringValue(random.bytes(random.int(0, 40))), expiry, time);
      else if (choice < 6) shard.remove(key, time);
      else if (row === undefined) shard.setString(`count:${copy.name}`, '0', 0);
      else if (choice < 7) shard.setExpiry(row, expiry);
      else if (choice < 8) shard.setFlags(row, random.int(0, 1));
      else shard.updateString(row, stringValue(`u${random.int(0, 9)}`));
      const counter = shard.find(`count:${copy.name}`);
      if (counter !== undefined) shard.updateString(counter, String(Number(valueText(counter.value)) + 1));
    }
    if (this.collections) for (let changes = random.int(0, 2); changes > 0; changes--) this.change(shard);
    if (random.chance(0.9)) copy.commit();
    else if (random.chance(0.3) && shard.hasChanges) await copy.failCommit(random.chance(0.5));
    else shard.rollback();
  }

  /** The next slices of a rewriting, and its end. */
  private async rewrite(copy: Copy, slices: number): Promise<void> {
    const { shard } = copy;
    let rewrite = await shard.rewriteSlice();
    for (let left = slices; left > 0 && !rewrite.isCopied; left--) rewrite = await shard.rewriteSlice();
    if (!rewrite.isCopied) return;
    await rewrite.sync();
    const state = () => [contentsOf(shard), logState(shard), shard.replication.progress()];
    const before = state();
    expect(shard.finishRewrite(rewrite)).toBe(true);
    expect(state()).toEqual(before);
    copy.audit();
  }

  /** Changes a collection, or makes one, as commands do. */
  private change(shard: Shard): void {
    const { random } = this;
    const key = random.pick(COLLECTIONS);
    const row = shard.find(key);
    const choice = random.int(0, 19);
    if (row !== undefined && choice === 0) shard.remove(key);
    else if (row !== undefined && choice === 1)
      shard.rename(row, random.pick(COLLECTIONS.filter((to) => to !== key)));
    else if (row !== undefined && choice === 2) shard.setExpiry(row, shard.nowMs + random.int(5, 60));
    else if (row?.collection !== undefined && choice === 3)
      shard.setCollection(`copy of ${key}`, row.collection.copy(shard.collections), 0);
    else {
      const value = row?.collection ?? this.newCollection(shard);
      for (let elements = random.pick([1, 2, 40]); elements > 0; elements--) this.changeElement(value);
      shard.setCollection(key, value, row?.expiresAtMs ?? 0);
    }
  }

  private newCollection({ collections }: Shard): Collection {
    const Type = this.random.pick([HashValue, SetValue, ListValue, SortedSetValue]);
    return new Type(collections);
  }

  private changeElement(value: Collection): void {
    const { random } = this;
    const name = `n${random.int(0, 99)}`;
    const removes = value.size > 0 && random.chance(0.3);
    if (value instanceof HashValue)
      removes ? value.delete(name, 0) : value.set(name, random.bytes(random.int(0, 30)), 0);
    else if (value instanceof SetValue) removes ? value.delete(name) : value.add(name);
    else if (value instanceof SortedSetValue)
      removes ? value.delete(name) : value.set(name, random.int(0, 9));
    else if (value instanceof ListValue) {
      const at = random.int(0, value.size - (removes ? 1 : 0));
      removes ? value.removeAt(at) : value.insertAt(at, name);
    }
  }

  private async flush(copy: Copy): Promise<void> {
    await copy.shard.prepareFlush();
    copy.shard.flush();
    if (this.random.chance(0.5)) copy.shard.setString('after', 'flush', 0);
    copy.commit();
  }

  private sweep({ shard }: Copy): void {
    shard.sweep(shard.nowMs, this.random.int(1, 5));
    shard.sweepDeadElements(this.random.int(1, 50));
    shard.commit(false, false);
    auditDisk(shard);
    auditElements(shard);
  }

  /** What a node does when all followers have told how far they are. */
  private trim(copy: Copy): void {
    const { log } = copy.shard.replication;
    let through = log.last;
    for (const other of this.copies) {
      if (other === copy) continue;
      const progress = other.shard.replication.progress()[`from ${copy.name}`];
      const position = progress?.phase === 'tailing' ? progress.position : progress?.begin;
      if (position === undefined || position.log !== log.id) return;
      through = Math.min(through, position.sequence);
    }
    log.trim(copy.shard.source(), through);
    copy.shard.commit(false, false);
  }

  private stepOf(shard: Shard): Step {
    const step = stepOf(shard);
    return (work) => {
      if (this.crashes && this.random.chance(0.02)) return Promise.reject(new CrashError());
      return step(work);
    };
  }

  /** Brings one feed to a copy one step on. Returns whether there was anything to do. */
  async feed(
    target: Copy,
    source = this.random.pick(this.copies.filter((copy) => copy !== target)),
  ): Promise<boolean> {
    const feed = `from ${source.name}`;
    const end = new FeedTarget(target.shard, feed, this.stepOf(target.shard));
    const progress = target.shard.replication.progress()[feed];
    const bytesMax = this.random.int(1, 400);
    try {
      if (progress === undefined) await end.begin(logState(source.shard)!, undefined);
      else if (progress.phase === 'copying') {
        if ('gone' in readLog(source.shard, progress.begin, 1, undefined))
          await end.begin(logState(source.shard)!, undefined);
        else {
          const slice = copySlice(source.shard, progress.after, undefined, bytesMax);
          for (let times = this.random.int(1, 2); times > 0; times--)
            expect(await end.applyCopy(slice)).not.toHaveProperty('refused');
        }
      } else {
        const chunk = readLog(source.shard, progress.position, bytesMax, undefined);
        if ('gone' in chunk) await end.begin(logState(source.shard)!, undefined);
        else {
          const answer = await end.applyRecords(chunk);
          if (isRefusal(answer)) {
            expect(answer.refused).toBe('copy');
            this.wanted++;
            return true;
          }
          this.sent.push({ target, feed, chunk });
          return chunk.last.sequence !== progress.position.sequence;
        }
      }
    } catch (error) {
      if (!(error instanceof CrashError)) throw error;
      await target.crash();
    }
    target.audit();
    return true;
  }

  /** An old message arrives once more. */
  private async replay(): Promise<void> {
    if (this.sent.length === 0) return;
    const { target, feed, chunk } = this.random.pick(this.sent);
    const before = contentsOf(target.shard);
    const progress = target.shard.replication.progress()[feed];
    await new FeedTarget(target.shard, feed, stepOf(target.shard)).applyRecords(chunk);
    expect(contentsOf(target.shard)).toEqual(before);
    expect(target.shard.replication.progress()[feed]).toEqual(progress);
  }

  // ---------------------------------------------------------------- the end

  async settle(): Promise<void> {
    this.crashes = false;
    for (const copy of this.copies) {
      copy.shard.rollback();
      copy.tick();
    }
    await this.rewrite(this.copies[0]!, Number.POSITIVE_INFINITY);
    for (let busy = true; busy; ) {
      busy = false;
      for (const target of this.copies)
        for (const source of this.copies)
          if (source !== target && (await this.feed(target, source))) busy = true;
    }
    // All look at the same moment, which no clock has reached yet.
    const nowMs = this.nowMs + 30;
    const expected = this.expected(nowMs);
    for (const { shard, name } of this.copies) {
      shard.nowMs = nowMs;
      expect(contentsOf(shard), name).toEqual(expected);
      while (shard.sweep(nowMs, 3)) shard.commit(false, false);
      shard.commit(false, false);
      expect(contentsOf(shard), name).toEqual(expected);
      auditDisk(shard);
      expect(shard.count()).toBe(Object.values(expected).filter((text) => !text.startsWith('gone')).length);
    }
  }

  /** When everything is deleted and all is forgotten, nothing is left anywhere. */
  async finish(): Promise<void> {
    const first = this.copies[0]!;
    for (const key of Object.keys(contentsOf(first.shard))) first.shard.remove(key);
    first.commit();
    await this.settle();
    this.nowMs += RETENTION_MS + 1000;
    for (const { shard } of this.copies) {
      while (shard.sweep(this.nowMs, 3)) shard.commit(false, false);
      shard.commit(false, false);
      expect(auditDisk(shard)).toEqual({ live: 0, expiring: 0, tombstones: 0, ttl: 0 });
      await shard.close();
    }
  }
}

async function run(
  random: Random,
  copies: number,
  logBytesMax: number,
  flushes: boolean,
  collections = false,
): Promise<void> {
  const world = new World(random, copies, logBytesMax, flushes, collections);
  for (const copy of world.copies) await copy.open();
  for (let step = 0; step < STEPS; step++) {
    await world.step();
    if (step % 100 === 99) await world.settle();
    world.crashes = true;
  }
  await world.settle();
  await world.finish();
}

it(
  'two copies come to hold the same',
  () => seeded(ROUNDS, (random) => run(random, 2, 1 << 20, false)),
  TIMEOUT_MS,
);

it(
  'three copies come to hold the same',
  () => seeded(ROUNDS, (random) => run(random, 3, 1 << 20, false)),
  TIMEOUT_MS,
);

it(
  'three copies whose logs are too short for those who follow come to hold the same',
  () => seeded(ROUNDS, (random) => run(random, 3, 600, false)),
  TIMEOUT_MS,
);

it(
  'copies that are flushed come to hold the same',
  () => seeded(ROUNDS, (random) => run(random, 3, random.pick([600, 1 << 20]), true)),
  TIMEOUT_MS,
);

it(
  'copies with collections of many elements come to hold the same',
  () =>
    seeded(ROUNDS, (random, round) =>
      run(random, 2 + (round % 2), random.pick([3000, 1 << 20]), round % 3 === 0, true),
    ),
  TIMEOUT_MS,
);
