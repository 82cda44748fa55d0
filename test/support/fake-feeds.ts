import { Buffer } from 'node:buffer';
import type { FeedEngine } from '../../src/node/feeds/engine.js';
import type { CopyBegin, CopySlice, FeedPosition, LogChunk } from '../../src/types/feed.js';
import type { FeedProgress, SlotsRemoval } from '../../src/workers/feed-protocol.js';
import { Owner } from '../../src/workers/owner.js';
import { ShardRoute } from '../../src/workers/pool.js';
import type { Paced } from '../../src/workers/shard-tasks.js';

interface FakeRow {
  readonly key: string;
  readonly value: string;
  readonly at: number;
}

const encode = (rows: readonly FakeRow[]) => new Uint8Array(Buffer.from(JSON.stringify(rows)));
const decode = (bytes: Uint8Array) =>
  bytes.length === 0 ? [] : (JSON.parse(Buffer.from(bytes).toString()) as FakeRow[]);
const NOTHING_DONE = { applied: 0, skipped: 0, removed: 0 };

/** A shard in memory that keeps what the real one keeps on its disk: rows, a log, positions. */
export class FakeShard {
  readonly rows = new Map<string, FakeRow>();
  readonly progress: Record<string, FeedProgress> = {};
  readonly route: ShardRoute;
  log: { id: string; first: number; records: FakeRow[] } | undefined;
  copies = 0;

  constructor(number: number) {
    const owner = new Owner(
      0,
      0,
      () => undefined,
      () => undefined,
    );
    this.route = new ShardRoute(number, '', { blockCacheBytes: 0, memtableBytes: 0 }, owner);
  }

  get sequence(): number {
    return this.log === undefined ? 0 : this.log.first + this.log.records.length - 1;
  }

  get values(): Record<string, string> {
    return Object.fromEntries([...this.rows.values()].map(({ key, value }) => [key, value]).sort());
  }
}

/** The workers of one store, without workers: last write wins, positions are kept with the rows. */
export class FakeEngine implements FeedEngine {
  readonly shards = new Map<ShardRoute, FakeShard>();
  onLogged: (route: ShardRoute, sequence: number) => void = () => undefined;
  /** Rows of a slice, and records of a chunk. */
  batch = 2;
  /** What the next call that applies something fails with. */
  failure: Error | undefined;
  /** When its machine lost something. */
  lostMs = 0;
  private logs = 0;

  constructor(private readonly name: string) {}

  open(number: number): FakeShard {
    const shard = new FakeShard(number);
    this.shards.set(shard.route, shard);
    return shard;
  }

  /** What a client does. */
  write(shard: FakeShard, key: string, value: string, at: number): void {
    const row = { key, value, at };
    shard.rows.set(key, row);
    if (shard.log === undefined) return;
    shard.log.records.push(row);
    this.onLogged(shard.route, shard.sequence);
  }

  /** Records are lost, as by the bound of the log. */
  overrun(shard: FakeShard): void {
    shard.log!.first += shard.log!.records.length;
    shard.log!.records = [];
  }

  async show(route: ShardRoute): Promise<void> {
    this.of(route);
  }

  /** Rows of these have no slots. */
  async removeSlots(): Promise<SlotsRemoval & Paced> {
    return { removed: 0, last: undefined, isDone: true, restMs: 0 };
  }

  private of(route: ShardRoute): FakeShard {
    const shard = this.shards.get(route);
    if (shard === undefined) throw new Error('the shard is not open');
    return shard;
  }

  private logState({ log, sequence }: FakeShard) {
    return (
      log && {
        log: log.id,
        sequence,
        firstSequence: log.first,
        bytes: 0,
        lostMs: this.lostMs,
        rememberedSince: 0,
        flushes: new Uint8Array(),
      }
    );
  }

  async setLogging(route: ShardRoute, on: boolean) {
    const shard = this.of(route);
    if (on) shard.log ??= { id: `${this.name}-${++this.logs}`, first: 1, records: [] };
    else shard.log = undefined;
    return this.logState(shard);
  }

  async state(route: ShardRoute) {
    const shard = this.of(route);
    return { log: this.logState(shard), feeds: shard.progress };
  }

  async readLog(route: ShardRoute, after: FeedPosition) {
    const { log } = this.of(route);
    if (log?.id !== after.log || after.sequence < log.first - 1) return { gone: true as const };
    const from = after.sequence + 1 - log.first;
    const records = log.records.slice(from, from + this.batch);
    const last = { log: log.id, sequence: after.sequence + records.length };
    return { after, records: encode(records), last };
  }

  async trimLog(route: ShardRoute, through: number): Promise<void> {
    const log = this.of(route).log!;
    const gone = Math.max(0, through - log.first + 1);
    log.records = log.records.slice(gone);
    log.first += gone;
  }

  async copySlice(route: ShardRoute, after: string | undefined): Promise<CopySlice & Paced> {
    const rows = [...this.of(route).rows.values()]
      .filter(({ key }) => after === undefined || key > after)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const piece = rows.slice(0, this.batch);
    const isDone = piece.length === rows.length;
    const last = isDone ? undefined : piece.at(-1)?.key;
    return { after, last, rows: encode(piece), rowCount: piece.length, isDone, restMs: 0 };
  }

  private fail(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  async beginCopy(route: ShardRoute, feed: string, begin: CopyBegin): Promise<undefined> {
    this.fail();
    const shard = this.of(route);
    shard.copies++;
    shard.progress[feed] = { phase: 'copying', begin, after: undefined, rows: 0, bytes: 0 };
  }

  async resumeFeed(route: ShardRoute, feed: string): Promise<undefined> {
    this.fail();
    if (this.of(route).progress[feed] === undefined) throw new Error(`no feed ${feed}`);
  }

  async applyCopy(route: ShardRoute, feed: string, slice: CopySlice) {
    this.fail();
    const shard = this.of(route);
    const progress = shard.progress[feed];
    if (progress?.phase !== 'copying' || progress.after !== slice.after) throw new Error('out of order');
    this.merge(shard, decode(slice.rows));
    const { log, sequence } = progress.begin;
    shard.progress[feed] = slice.isDone
      ? { phase: 'tailing', position: { log, sequence } }
      : { ...progress, after: slice.last };
    return { ...NOTHING_DONE, restMs: 0 };
  }

  async applyRecords(route: ShardRoute, feed: string, { after, records, last }: LogChunk) {
    this.fail();
    const shard = this.of(route);
    const progress = shard.progress[feed];
    if (progress?.phase !== 'tailing' || progress.position.sequence !== after.sequence)
      throw new Error('out of order');
    this.merge(shard, decode(records));
    shard.progress[feed] = { phase: 'tailing', position: last };
    return NOTHING_DONE;
  }

  private merge(shard: FakeShard, rows: readonly FakeRow[]): void {
    for (const row of rows) if (row.at >= (shard.rows.get(row.key)?.at ?? 0)) shard.rows.set(row.key, row);
  }

  async forgetFeed(route: ShardRoute, feed: string): Promise<void> {
    delete this.of(route).progress[feed];
  }
}
