import { Buffer } from 'node:buffer';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { type ChangeRequest, ManagerError } from '../../src/cluster/manager.js';
import { keySlot } from '../../src/cluster/slots.js';
import { addressOf, type KeyspaceEntry, keyspaceByName, type Topology } from '../../src/cluster/topology.js';
import type { HeldShard } from '../../src/node/registry.js';
import { storeEntry } from '../support/fake-cluster.js';
import { Random } from '../support/random.js';
import { type ClientHost, Command, KEYSPACE, keyName, PATIENCE_MS } from './client.js';
import { isFlushed, type StoredShard } from './disk.js';
import { checkEnd, unsettled } from './end.js';
import { Ledger, type Write } from './ledger.js';
import { Network } from './network.js';
import { MasterNode, StoreNode } from './node.js';
import { type Happening, MASTER, type Schedule, type Wish } from './schedule.js';
import { Scheduler } from './scheduler.js';

/** Stores are given so long to find their master, milliseconds. */
const BEGIN_MS = 4000;
/** When nothing goes wrong any more, all must be well within so long, milliseconds. */
const SETTLE_MAX_MS = 150_000;
const LOOK_EVERY_MS = 500;

/** What became of a schedule. */
export interface Outcome {
  /** What should not be; empty = all is well. */
  readonly faults: readonly string[];
  /** What happened, for people. */
  readonly journal: readonly string[];
  readonly acknowledged: number;
  readonly writes: number;
  /** Acknowledged writes that asynchronous replication was allowed to lose. */
  readonly excused: number;
  readonly failovers: number;
  readonly changes: number;
  readonly events: number;
  readonly simulatedMs: number;
}

/** A writes that a store alone has is given up when another change begins: those of its stores that are away. */
interface GivenUp {
  readonly store: string;
  readonly epoch: number;
}

/** A cluster within this process: the code of master and stores, and around it machines, a network, clients and operators. */
export class World implements ClientHost {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly network: Network;
  readonly ledger = new Ledger(() => this.scheduler.nowMs);
  readonly master: MasterNode;
  readonly nodes: readonly StoreNode[];
  readonly faults: string[] = [];
  readonly journal: string[] = [];
  private readonly givenUp: GivenUp[] = [];
  private published: KeyspaceEntry | undefined;
  private changes = 0;
  private hasLost = false;

  constructor(
    private readonly schedule: Schedule,
    private readonly isTold: boolean,
  ) {
    this.random = new Random(schedule.seed ^ 0x5eed);
    this.network = new Network(this.scheduler, this.random);
    this.master = new MasterNode(this, schedule.skewsMs[0]!);
    // The last one is there in case that one is lost.
    this.nodes = Array.from({ length: schedule.stores + 1 }, (_, index) => {
      const entry = storeEntry(index + 1, { zone: index % 2 === 0 ? 'a' : 'b' });
      return new StoreNode(entry, this, this.master, (id) => this.node(id), schedule.skewsMs[index + 1] ?? 0);
    });
  }

  readonly note = (who: string, text: string): void => {
    if (this.isTold) this.journal.push(`${this.scheduler.nowMs.toFixed(1).padStart(9)} ${who}: ${text}`);
  };

  readonly violated = (text: string): void => {
    this.faults.push(text);
    this.note('FAULT', text);
  };

  node(id: string): StoreNode {
    return this.nodes.find(({ entry }) => entry.id === id)!;
  }

  get isStrict(): boolean {
    return this.master.failovers === 0 && !this.hasLost;
  }

  async run(): Promise<Outcome> {
    const { schedule, scheduler } = this;
    const giveBack = scheduler.takeOver(() => this.random.float());
    try {
      await this.begin();
      const startMs = scheduler.nowMs;
      for (const happening of schedule.happenings)
        scheduler.after(happening.atMs, () => this.happen(happening));
      await scheduler.advance(startMs + schedule.durationMs);
      await this.heal();
    } catch (error) {
      this.violated(`the simulation ended with ${(error as Error).stack}`);
    } finally {
      giveBack();
    }
    const { writes } = this.ledger;
    return {
      faults: this.faults,
      journal: this.journal,
      writes: writes.length,
      acknowledged: writes.filter(({ isAcknowledged }) => isAcknowledged).length,
      excused: writes.filter(({ isAcknowledged, excuse }) => isAcknowledged && excuse !== '').length,
      failovers: this.master.failovers,
      changes: this.changes,
      events: scheduler.count,
      simulatedMs: scheduler.nowMs,
    };
  }

  private async begin(): Promise<void> {
    const { scheduler, schedule } = this;
    this.startMaster();
    for (const node of this.nodes.slice(0, -1)) node.start();
    await scheduler.advance(BEGIN_MS);
    let isMade = false;
    const request = { name: KEYSPACE, shards: schedule.shards, replicas: schedule.replicas, tags: [] };
    this.master.master!.createKeyspace(request).then(
      () => {
        isMade = true;
      },
      (error: Error) => this.violated(`the keyspace cannot be made: ${error.message}`),
    );
    await scheduler.advance(scheduler.nowMs + 1000);
    if (!isMade) throw new Error('the keyspace was not made in time');
  }

  private startMaster(): void {
    this.master.start();
    this.master.master!.follow({
      topology: (topology) => this.heard(topology),
      event: () => undefined,
      connected: () => undefined,
    });
  }

  // ---------------------------------------------------------------- what happens

  private host(number: number): MasterNode | StoreNode {
    return number === MASTER ? this.master : this.nodes[number]!;
  }

  private later(ms: number, run: () => void): void {
    this.scheduler.after(ms, run);
  }

  private happen(happening: Happening): void {
    const { network } = this;
    if (happening.kind !== 'command') this.note('*', JSON.stringify(happening));
    switch (happening.kind) {
      case 'command': {
        const key = keyName(happening.key);
        void new Command(this, happening.operation, key, happening.offsetMs).run(this.nodes[happening.via]!);
        return;
      }
      case 'wish':
        this.ask(happening.wish);
        return;
      case 'cut': {
        const [one, other] = [this.host(happening.from), this.host(happening.to)];
        this.cut(one, other, happening.forMs);
        if (happening.isBoth) this.cut(other, one, happening.forMs);
        return;
      }
      case 'isolate':
        for (const other of [this.master, ...this.nodes]) {
          this.cut(this.host(happening.store), other, happening.forMs);
          this.cut(other, this.host(happening.store), happening.forMs);
        }
        return;
      case 'reset':
        network.reset(this.host(happening.from), this.host(happening.to));
        return;
      case 'master':
        this.master.stop();
        this.later(happening.forMs, () => {
          if (this.master.life === undefined) this.startMaster();
        });
        return;
      default:
        this.harm(happening, this.nodes[happening.store]!);
    }
  }

  private cut(from: MasterNode | StoreNode, to: MasterNode | StoreNode, forMs: number): void {
    if (from === to) return;
    this.network.cut(from, to);
    this.later(forMs, () => this.network.mend(from, to));
  }

  private harm(happening: Extract<Happening, { store: number }>, node: StoreNode): void {
    switch (happening.kind) {
      case 'kill':
        node.crash(false);
        this.later(happening.forMs, () => node.start());
        return;
      case 'power':
        this.lose(node, `the machine of ${node.name} went down`, () => node.crash(true));
        this.later(happening.forMs, () => node.start());
        return;
      case 'restart':
        node
          .stop()
          .catch((error: Error) => this.violated(`${node.name} does not stop: ${error.stack}`))
          // It may take longer to stop than it is to be away.
          .finally(() => this.later(happening.forMs, () => node.start()));
        return;
      case 'destroy':
        if (this.isSpare(node)) this.destroy(node);
        return;
      case 'worker':
        if (node.isRunning) node.pool!.crashWorker(happening.worker);
        return;
      case 'overrun': {
        const shards = node.store?.localShards() ?? [];
        if (shards.length > 0) node.pool!.shardOf(shards[happening.shard % shards.length]!.route)?.overrun();
        return;
      }
    }
  }

  private destroy(node: StoreNode): void {
    this.lose(node, `the disk of ${node.name} is lost`, () => {
      node.crash(false);
      node.disk.directories.clear();
      node.isDestroyed = true;
    });
  }

  /** Whether all that a store holds others hold, too, so that the cluster can go on without it. */
  private isSpare(node: StoreNode): boolean {
    if (this.nodes.some(({ isDestroyed }) => isDestroyed)) return false;
    const entry = this.published;
    if (entry === undefined || entry.change !== undefined) return false;
    return entry.shards.every(({ stores }, shard) => {
      if (!stores.includes(node.entry.id)) return true;
      return stores.some((id) => {
        const other = this.node(id);
        const held =
          other === node ? undefined : other.store?.localShards().find((each) => each.shard === shard);
        return (
          held !== undefined &&
          other.store?.keyspaceNews()[0]?.copies.find((copy) => copy.shard === shard)?.isComplete
        );
      });
    });
  }

  // ---------------------------------------------------------------- operators

  private ask(wish: Wish): void {
    const { master } = this.master;
    const request = this.requestOf(wish);
    if (master === undefined || request === undefined) return;
    master.beginChange(request).then(
      ({ id }) => {
        if (id !== '') this.changes++;
        this.note('operator', `${JSON.stringify(wish)} begins: ${id}`);
      },
      (error: Error) => {
        if (!(error instanceof ManagerError)) this.violated(`a change fails: ${error.stack}`);
        else this.note('operator', `${JSON.stringify(wish)}: ${error.message}`);
      },
    );
  }

  private requestOf(wish: Wish): ChangeRequest | undefined {
    const address = (number: number) => addressOf(this.nodes[number]!.entry);
    switch (wish.kind) {
      case 'resize':
      case 'replicas':
      case 'abort':
        return { ...wish, keyspace: KEYSPACE };
      case 'move': {
        const shards = this.published?.shards ?? [];
        const shard = wish.shard % Math.max(1, shards.length);
        const stores = shards[shard]?.stores ?? [];
        const from = stores[wish.copy % Math.max(1, stores.length)];
        if (from === undefined) return undefined;
        return { kind: 'move', keyspace: KEYSPACE, shard, from, to: address(wish.to) };
      }
      case 'replace':
        return {
          kind: 'replace',
          store: address(wish.store),
          by: wish.by === undefined ? '' : address(wish.by),
        };
      case 'drain':
        return { kind: 'drain', store: address(wish.store) };
      case 'rebalance':
        return wish;
    }
  }

  // ---------------------------------------------------------------- what may be lost

  /** The master has published something. */
  private heard(topology: Topology): void {
    const entry = keyspaceByName(topology, KEYSPACE);
    const before = this.published;
    if (entry === undefined || entry.epoch === before?.epoch) return;
    this.published = entry;
    this.note('entry', entryText(entry));
    const change = before?.change;
    if (entry.change?.phase === 'undo' && change?.phase !== 'undo') this.excuseFilled();
    if (change === undefined || !('former' in change) || entry.change?.id === change.id) return;
    // Another change begins while former holders are away: what they alone had is given up.
    for (const store of new Set(change.former.flatMap(({ stores }) => stores))) {
      if (entry.change === undefined) continue;
      this.givenUp.push({ store, epoch: entry.epoch });
      const node = this.node(store);
      const others = this.holdersBut(node);
      this.excuse(shardsOf(node), () => others, `${node.name} was given up`);
    }
  }

  /** A change is aborted: what a machine lost, and only a copy had that was being filled, goes with that. */
  private excuseFilled(): void {
    const all = this.nodes.map((node) => ({ node, shards: shardsOf(node) }));
    const holders = ({ key }: Write) => {
      const home = this.homeOf(key);
      const ofHome = all.filter(({ node }) => this.isHolder(node, home)).flatMap(({ shards }) => shards);
      return ofHome.filter(({ held }) => held.shard === home);
    };
    this.excuse(
      all.flatMap(({ shards }) => shards),
      holders,
      'only what was being filled had it',
    );
  }

  /** Something is done to a store that takes rows from its disk. */
  private lose(node: StoreNode, why: string, act: () => void): void {
    const before = shardsOf(node).map(({ held, stored }) => ({
      held,
      stored: { ...stored, rows: new Map(stored.rows) },
    }));
    act();
    // What others have of it may not be seen before they are there.
    this.hasLost = true;
    const after = [...this.holdersBut(node), ...shardsOf(node)];
    this.excuse(before, () => after, why);
  }

  private holdersBut(node: StoreNode): HeldData[] {
    return this.nodes
      .filter((each) => each !== node)
      .flatMap((each) => shardsOf(each).filter(({ held }) => this.isHolder(each, held.shard)));
  }

  /** What was told of before, and nobody of those who count tells of now, may be lost. */
  private excuse(
    before: readonly HeldData[],
    after: (write: Write) => readonly HeldData[],
    why: string,
  ): void {
    for (const write of this.ledger.writes) {
      if (write.at === undefined || write.excuse !== '' || !this.isKnown(write, before)) continue;
      if (this.isKnown(write, after(write))) continue;
      write.excuse = why;
      this.hasLost = true;
      if (write.isAcknowledged) this.note('excused', `write ${write.id} of ${write.key}: ${why}`);
    }
  }

  /** Whether one of some shards tells of a write: by a row, or by having none any more. */
  private isKnown(write: Write, shards: readonly HeldData[]): boolean {
    const home = this.homeOf(write.key);
    return shards.some(({ held, stored }) => {
      if (held.shard === home && isFlushed(stored, keySlot(Buffer.from(write.key)), write.at!)) return true;
      const row = stored.rows.get(write.key);
      if (row !== undefined) return this.ledger.tells(row, write);
      return held.shard === home && !stored.keepsTombstones && this.ledger.isOver(write);
    });
  }

  private homeOf(key: string): number {
    return shardsOfSlots(this.published?.shards.length ?? 1)[keySlot(Buffer.from(key))]!;
  }

  private isHolder(node: StoreNode, shard: number): boolean {
    return this.published?.shards[shard]?.stores.includes(node.entry.id) === true;
  }

  applied(write: Write, node: StoreNode): void {
    this.note(node.name, `write ${write.id} of ${write.key} at ${write.at}`);
    const epoch = keyspaceByName(node.store!.keyspaces.topology, KEYSPACE)?.epoch ?? 0;
    if (this.givenUp.some((each) => each.store === node.entry.id && epoch < each.epoch))
      write.excuse = `${node.name} had been given up, and did not know`;
  }

  // ---------------------------------------------------------------- the end

  /** Nothing goes wrong any more: all must be well soon. */
  private async heal(): Promise<void> {
    const { scheduler, nodes } = this;
    this.note('*', 'all is to be well');
    // Whatever goes wrong for a while ends by itself, and so does what clients wait for.
    const { happenings, durationMs } = this.schedule;
    const ends = happenings.map((each) =>
      'forMs' in each ? each.atMs + each.forMs : each.atMs + PATIENCE_MS,
    );
    await scheduler.advance(scheduler.nowMs + Math.max(0, ...ends) - durationMs + LOOK_EVERY_MS);
    const untilMs = scheduler.nowMs + SETTLE_MAX_MS;
    let lacking = ['nothing was looked at'];
    while (scheduler.nowMs < untilMs && this.faults.length === 0) {
      await scheduler.advance(scheduler.nowMs + LOOK_EVERY_MS);
      const destroyed = nodes.findIndex(({ isDestroyed }) => isDestroyed);
      if (destroyed >= 0) nodes.at(-1)!.start();
      if (destroyed >= 0 && this.isTarget(nodes[destroyed]!)) this.ask({ kind: 'abort' });
      if (destroyed >= 0 && this.isNamed(nodes[destroyed]!))
        this.ask({ kind: 'replace', store: destroyed, by: undefined });
      lacking = unsettled(this);
      if (lacking.length === 0) break;
    }
    if (lacking.length > 0) this.violated(`it does not come to rest: ${lacking.join('; ')}`);
    else checkEnd(this);
  }

  /** Whether a change is to give something to a store. */
  private isTarget({ entry: { id } }: StoreNode): boolean {
    const { change } = this.published!;
    const isUnderWay = change !== undefined && 'target' in change && change.phase !== 'undo';
    return isUnderWay && change.target.some(({ stores }) => stores.includes(id));
  }

  /** Whether a store is still to have, or to hand over, something of the keyspace, and nothing else is going on. */
  private isNamed({ entry: { id } }: StoreNode): boolean {
    const { shards, change } = this.published!;
    const isNamedIn = (all: KeyspaceEntry['shards']) => all.some(({ stores }) => stores.includes(id));
    return change === undefined
      ? isNamedIn(shards)
      : 'former' in change && isNamedIn(change.former) && isNamedIn(shards);
  }
}

/** A shard that a store has on its disk. */
export interface HeldData {
  readonly held: HeldShard;
  readonly stored: StoredShard;
}

/** What a store has on its disk, whether or not a process is there. */
export function shardsOf({ disk }: StoreNode): HeldData[] {
  const { shards } = JSON.parse(disk.record!.toString()) as { shards: HeldShard[] };
  return shards.flatMap((held) => {
    const path = `shards/${String(held.local).padStart(8, '0')}`;
    const directory = disk.directories.get(path);
    return directory === undefined ? [] : [{ held, stored: directory.written }];
  });
}

function entryText({ epoch, shards, change, replicas }: KeyspaceEntry): string {
  const list = (all: KeyspaceEntry['shards']) =>
    all
      .map(
        ({ stores, home, since }) =>
          `[${stores.map(shortId).join(' ')}${home ? ` <${shortId(home)}` : ''}${since ? ` @${since % 1e7}` : ''}]`,
      )
      .join(' ');
  const now = `${epoch % 1e7} R${replicas} ${list(shards)}`;
  if (change === undefined) return now;
  const other = 'target' in change ? `to ${list(change.target)}` : `from ${list(change.former)}`;
  return `${now} ${change.kind} ${change.phase} ${other}`;
}

function shortId(id: string): string {
  return id.slice(0, 8).replace(/^0+/, 's');
}
