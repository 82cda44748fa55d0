import { Buffer } from 'node:buffer';
import { HybridClock } from '../../src/base/clock.js';
import type { FeedTask } from '../../src/workers/feed-protocol.js';
import { Owner } from '../../src/workers/owner.js';
import { ShardRoute } from '../../src/workers/pool.js';
import type { ShardStorage } from '../../src/workers/protocol.js';
import { ShardFeeds } from '../../src/workers/shard-feeds.js';
import type { Random } from '../support/random.js';
import type { Disk } from './disk.js';
import type { Life } from './scheduler.js';
import { SimulatedShard } from './shard.js';

/** A part of long work, milliseconds. */
const WORKED = { owedMs: 9, tookMs: 3 };

/** A task of a worker takes up to so long, milliseconds; now and then much longer. */
const TASK_MAX_MS = 2;
const TASK_SLOW_MS = 150;
const SLOW_CHANCE = 0.01;
/** `appendfsync everysec`. */
const SYNC_EVERY_MS = 1000;
/** A worker that died is back after at most so long, milliseconds. */
const RESTART_MAX_MS = 300;
/** Workers of a store. */
const WORKERS = 2;

const ZERO = Buffer.from(':0\r\n');

/** Something that the front has sent to a worker, and that is answered in order. */
interface Sent {
  readonly run: () => void;
  readonly abandon: () => void;
}

/** What is on its way in one direction: it takes a while, and nothing overtakes what was sent before. */
class OneWay {
  private readonly sent: (() => void)[] = [];
  private lastAtMs = 0;

  constructor(private readonly pool: SimulatedPool) {}

  /** @param ms how long it takes, where nothing is before it */
  after(ms: number, run: () => void): void {
    const { life } = this.pool;
    const { nowMs } = life.scheduler;
    this.lastAtMs = Math.max(this.lastAtMs, nowMs + ms);
    this.sent.push(run);
    // Times are rounded: of two things that come together the second might come first.
    life.after(this.lastAtMs - nowMs, () => this.sent.shift()!());
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }
}

/** A worker as the front sees it, with what is on its way to it. */
class SimulatedOwner extends Owner {
  readonly open = new Map<number, SimulatedShard>();
  /** Steps of tasks, which are done in the order in which they are asked for, and what they give. */
  readonly steps: OneWay;
  readonly answers: OneWay;
  /** Shards that it is to have open, by the route's number. */
  clock = new HybridClock();
  /** Counts its deaths. */
  deaths = 0;
  private readonly queue: Sent[] = [];
  private readonly commands: OneWay;

  constructor(
    index: number,
    private readonly pool: SimulatedPool,
  ) {
    super(
      index,
      1 << 20,
      () => undefined,
      () => undefined,
    );
    this.steps = new OneWay(pool);
    this.answers = new OneWay(pool);
    this.commands = new OneWay(pool);
  }

  /** What the node gathered goes out; all that it asks for is that it is answered. */
  override schedule(): void {
    const { receivers } = this.batch;
    this.batch.take();
    for (const receiver of receivers)
      this.submit({ run: () => receiver.deliver(ZERO, 0), abandon: () => receiver.abandon() });
  }

  /** Has the worker do something when all before it is done. */
  submit(sent: Sent): void {
    this.queue.push(sent);
    this.commands.after(this.pool.taskMs(), () => this.next(sent));
  }

  private next(sent: Sent): void {
    if (this.queue[0] !== sent) return;
    this.queue.shift();
    sent.run();
  }

  /** Everything that was on its way to it is lost. */
  abandonAll(): void {
    this.deaths++;
    for (const { abandon } of this.queue.splice(0)) abandon();
    this.open.clear();
    this.clock = new HybridClock();
  }
}

/** The workers of a process, without threads: what they do takes some time, and happens between two events. */
export class SimulatedPool {
  readonly owners: readonly SimulatedOwner[];
  readonly feeds = new ShardFeeds(
    (task) => this.run(task),
    () => 0,
  );
  private readonly routes = new Map<number, ShardRoute>();

  constructor(
    readonly life: Life,
    private readonly disk: Disk,
    private readonly random: Random,
  ) {
    this.owners = Array.from({ length: WORKERS }, (_, index) => new SimulatedOwner(index, this));
    this.syncLater();
  }

  private syncLater(): void {
    this.life.after(SYNC_EVERY_MS, () => {
      this.disk.sync();
      this.syncLater();
    });
  }

  taskMs(): number {
    const { random } = this;
    return random.float() * (random.chance(SLOW_CHANCE) ? TASK_SLOW_MS : TASK_MAX_MS);
  }

  async start(): Promise<void> {
    await this.life.pause(this.taskMs());
  }

  async close(): Promise<void> {
    await this.sync();
    for (const owner of this.owners) for (const shard of owner.open.values()) shard.close();
    this.disk.sync();
  }

  async sync(): Promise<void> {
    await this.life.pause(this.taskMs());
    this.disk.sync();
  }

  openShard(shard: number, directory: string, storage: ShardStorage, owner: Owner): ShardRoute {
    const route = new ShardRoute(shard, directory, storage, owner);
    this.routes.set(shard, route);
    route.opening = this.life.pause(this.taskMs()).then(() => {
      this.take(route);
      route.opening = undefined;
    });
    return route;
  }

  private take(route: ShardRoute): void {
    const owner = route.owner as SimulatedOwner;
    const shard = new SimulatedShard(this.disk, route.directory, owner.clock, () => this.life.now());
    shard.keepsOthers = route.shown?.keepsOthers === true;
    shard.own = route.own;
    owner.open.set(route.shard, shard);
  }

  async closeShard(route: ShardRoute): Promise<void> {
    route.closed = true;
    this.routes.delete(route.shard);
    await this.life.pause(this.taskMs());
    (route.owner as SimulatedOwner).open.delete(route.shard);
  }

  async report(): Promise<unknown[]> {
    await this.life.pause(this.taskMs());
    const shards = [...this.routes.values()].map((route) => {
      const keys = this.shardOf(route)?.stored.rows.size ?? 0;
      return { shard: route.shard, keys, tableBytes: 32 * keys, memtableBytes: 0, failure: '' };
    });
    return [{ shards }];
  }

  shardOf({ owner, shard }: ShardRoute): SimulatedShard | undefined {
    return (owner as SimulatedOwner).open.get(shard);
  }

  /**
   * Has the owner of a shard do something on behalf of a client, behind all that was sent to it before.
   * @param lost is called instead of `answered` when the worker dies, whether or not it was done
   */
  command<Result>(
    route: ShardRoute,
    run: (shard: SimulatedShard) => Result,
    answered: (result: Result) => void,
    lost: () => void,
  ): void {
    const owner = route.owner as SimulatedOwner;
    owner.submit({
      run: () => {
        const shard = owner.open.get(route.shard);
        if (shard === undefined) throw new Error(`a command came to shard ${route.shard}, which is not open`);
        const { sequence } = shard;
        const result = run(shard);
        const now = shard.sequence;
        const { deaths } = owner;
        this.life.after(this.taskMs() / 4, () => {
          if (owner.deaths !== deaths) {
            lost();
            return;
          }
          if (now > sequence) this.feeds.onLogged?.(route, now);
          answered(result);
        });
      },
      abandon: lost,
    });
  }

  /** A worker dies, and another one takes its place. */
  crashWorker(index: number): void {
    const owner = this.owners[index % this.owners.length]!;
    const routes = [...this.routes.values()].filter((route) => route.owner === owner);
    const restart = this.life.pause(this.random.float() * RESTART_MAX_MS).then(() => {
      for (const route of routes) {
        if (!route.closed) this.take(route);
        route.opening = undefined;
      }
    });
    for (const route of routes) route.lost(restart);
    owner.abandonAll();
  }

  private async run(task: FeedTask): Promise<unknown> {
    const owner = this.owners[task.owner]!;
    const { deaths } = owner;
    const turn = async (): Promise<SimulatedShard> => {
      await owner.steps.pause(this.taskMs());
      const shard = owner.open.get(task.shard);
      if (owner.deaths !== deaths || shard === undefined)
        throw new Error(`shard ${task.shard} is not open any more`);
      return shard;
    };
    const shard = await turn();
    const result = await this.act(shard, task, turn);
    // The answer takes a while, too.
    await owner.answers.pause(this.taskMs() / 4);
    if (owner.deaths !== deaths) throw new Error('the worker died before it answered');
    return result;
  }

  private async act(
    shard: SimulatedShard,
    task: FeedTask,
    turn: () => Promise<SimulatedShard>,
  ): Promise<unknown> {
    switch (task.kind) {
      case 'setLogging':
        return shard.setLogging(task.on);
      case 'feedState':
        return shard.state();
      case 'readLog':
        return shard.readLog(task.after, task.slots);
      case 'trimLog':
        return shard.trimLog(task.through);
      case 'copySlice':
        return { ...shard.copySlice(task.after, task.slots), ...WORKED };
      case 'beginCopy':
        shard.beginCopy(task.feed, task.begin, task.slots);
        (await turn()).removeEnded();
        return undefined;
      case 'resumeFeed':
        return shard.resumeFeed(task.feed, task.slots);
      case 'applyCopy':
        return { ...shard.applyCopy(task.feed, task.slice), ...WORKED };
      case 'applyRecords': {
        const refusal = shard.refusalOf(task.feed, task.chunk);
        if (refusal !== undefined) return refusal;
        shard.applyRecords(task.feed, task.chunk, 0, false);
        (await turn()).applyRecords(task.feed, task.chunk, 1, true);
        return { applied: 0, skipped: 0, removed: 0 };
      }
      case 'forgetFeed':
        return shard.forgetFeed(task.feed);
      case 'show':
        shard.keepsOthers = task.shown?.keepsOthers === true;
        shard.own = task.own;
        return undefined;
      case 'removeSlots':
        return { ...shard.removeSlots(task.slots, task.after), ...WORKED };
    }
  }
}
