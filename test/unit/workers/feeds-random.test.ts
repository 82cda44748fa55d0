import { Buffer } from 'node:buffer';
import { expect, it, vi } from 'vitest';
import { endRow, Row, RowType, stringValue, valueText } from '../../../src/types/row.js';
import { encodeRow, ROW_HEADER_BYTES_MAX } from '../../../src/types/row-codec.js';
import type { LogChunk } from '../../../src/workers/feed-protocol.js';
import { copySlice, logState, readLog } from '../../../src/workers/feed-source.js';
import { FeedTarget, type Step } from '../../../src/workers/feed-target.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import { envNumber, type Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';
import { contentsOf, described, isRefusal, startLogging, stepOf } from './feed-harness.js';
import { afterCrash, auditDisk, openShard, type Rig, START_MS } from './shard-harness.js';

// So that everything takes many steps.
vi.mock('../../../src/base/limits.js', async (original) => ({
  ...(await original<typeof import('../../../src/base/limits.js')>()),
  FEED_RECORD_BYTES: 150,
  FEED_READ_RECORDS_MAX: 4,
  FEED_DELETIONS_MAX: 2,
  FEED_SCAN_ROWS: 4,
  FEED_APPLY_ROWS: 2,
}));

const ROUNDS = envNumber('VASTO_FEED_ROUNDS', 4);
const STEPS = 400;
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
    this.rig = rig;
    this.tick();
  }

  tick(): void {
    this.shard.nowMs = this.world.nowMs + this.skewMs;
  }

  /** The process dies: what was not committed is lost. */
  async crash(): Promise<void> {
    // Two of one process never remove the same files.
    await this.rig.generations.settled();
    this.configure(await afterCrash(this.shard, this.directory, this.cacheBytes));
  }

  commit(): void {
    const rows: Row[] = this.shard.staged.rows.map((row) =>
      Object.assign(new Row(row.key), { ...row, home: undefined }),
    );
    this.shard.commit(false);
    this.world.committed(rows, this.shard.replication.flushedAt);
    auditDisk(this.shard);
  }
}

/** Some copies, and what they must come to: for each key the latest of all that was committed anywhere. */
class World {
  nowMs = START_MS;
  readonly copies: Copy[];
  private readonly latest = new Map<string, { row: Row; bytes: Buffer }>();
  private flushedAt = 0;
  private readonly sent: { target: Copy; feed: string; chunk: LogChunk }[] = [];
  crashes = true;

  constructor(
    private readonly random: Random,
    count: number,
    readonly logBytesMax: number,
    private readonly flushes: boolean,
  ) {
    this.copies = Array.from(
      { length: count },
      (_, index) => new Copy(`copy${index}`, this, random.int(-20, 20), random.pick([1500, 1 << 20])),
    );
  }

  committed(rows: readonly Row[], flushedAt: number): void {
    this.flushedAt = Math.max(this.flushedAt, flushedAt);
    for (const row of rows) {
      if (row.type === RowType.Absent) continue;
      const scratch = Buffer.alloc(row.value.length + ROW_HEADER_BYTES_MAX);
      const bytes = scratch.subarray(0, encodeRow(row, scratch));
      const known = this.latest.get(row.key);
      const isLater =
        known === undefined ||
        row.timestamp > known.row.timestamp ||
        (row.timestamp === known.row.timestamp && Buffer.compare(bytes, known.bytes) > 0);
      if (isLater) this.latest.set(row.key, { row, bytes });
    }
  }

  expected(nowMs: number): Record<string, string> {
    const contents: Record<string, string> = {};
    for (const [key, { row }] of this.latest) {
      if (row.timestamp <= this.flushedAt) continue;
      const text = described(row, nowMs, RETENTION_MS);
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
    const choice = random.int(0, 99);
    if (choice < 40) this.write(copy);
    else if (choice < 75) await this.feed(copy);
    else if (choice < 80) await this.replay();
    else if (choice < 87) this.sweep(copy);
    else if (choice < 93) this.trim(copy);
    else if (choice < 95) copy.shard.rollback();
    else if (choice < 97) await copy.crash();
    else if (choice < 98 && this.flushes) await this.flush(copy);
    else copy.rig.cache.evict();
  }

  private write(copy: Copy): void {
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
    if (random.chance(0.9)) copy.commit();
    else shard.rollback();
  }

  private async flush(copy: Copy): Promise<void> {
    await copy.shard.prepareFlush();
    copy.shard.flush();
    if (this.random.chance(0.5)) copy.shard.setString('after', 'flush', 0);
    copy.commit();
  }

  private sweep({ shard }: Copy): void {
    shard.sweep(shard.nowMs, this.random.int(1, 5));
    shard.commit(false, false);
    auditDisk(shard);
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
            expect(isRefusal(await end.applyCopy(slice))).toBe(false);
        }
      } else {
        const chunk = readLog(source.shard, progress.position, bytesMax, undefined);
        if ('gone' in chunk) await end.begin(logState(source.shard)!, undefined);
        else {
          expect(isRefusal(await end.applyRecords(chunk))).toBe(false);
          this.sent.push({ target, feed, chunk });
          return chunk.last.sequence !== progress.position.sequence;
        }
      }
    } catch (error) {
      if (!(error instanceof CrashError)) throw error;
      await target.crash();
    }
    auditDisk(target.shard);
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

async function run(random: Random, copies: number, logBytesMax: number, flushes: boolean): Promise<void> {
  const world = new World(random, copies, logBytesMax, flushes);
  for (const copy of world.copies) await copy.open();
  for (let step = 0; step < STEPS; step++) {
    await world.step();
    if (step % 100 === 99) await world.settle();
    world.crashes = true;
  }
  await world.settle();
  await world.finish();
}

it('two copies come to hold the same', () => seeded(ROUNDS, (random) => run(random, 2, 1 << 20, false)));

it('three copies come to hold the same', () => seeded(ROUNDS, (random) => run(random, 3, 1 << 20, false)));

it('three copies whose logs are too short for those who follow come to hold the same', () =>
  seeded(ROUNDS, (random) => run(random, 3, 600, false)));

it('copies that are flushed come to hold the same', () =>
  seeded(ROUNDS, (random) => run(random, 3, random.pick([600, 1 << 20]), true)));

it('a row that ended is no row', () => {
  const row = new Row('k');
  endRow(row, 0);
  expect(described(row, 0, 0)).toBeUndefined();
});
