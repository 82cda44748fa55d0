import { Buffer } from 'node:buffer';
import { Backoff } from '../../src/base/backoff.js';
import { Config } from '../../src/base/config.js';
import type { Logger } from '../../src/base/logger.js';
import type { FollowerMessage, SourceMessage } from '../../src/cluster/feed-messages.js';
import type { MasterMessage, StoreMessage } from '../../src/cluster/messages.js';
import type { StoreEntry } from '../../src/cluster/topology.js';
import { Master, SETTLE_MS } from '../../src/master/master.js';
import { StoreAgent } from '../../src/node/agent.js';
import { Registry } from '../../src/node/registry.js';
import { Store } from '../../src/node/store.js';
import type { WorkerPool } from '../../src/workers/pool.js';
import type { Random } from '../support/random.js';
import { Disk } from './disk.js';
import type { Host, Network } from './network.js';
import { SimulatedPool } from './pool.js';
import { Life, type Scheduler } from './scheduler.js';

/** What nodes have in common. */
export interface Surroundings {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  /** For people. */
  note(who: string, text: string): void;
  /** Something that must never happen. */
  violated(text: string): void;
}

const config = Config.load({ flags: ['--dir', '/simulated', '--maxmemory', '64mb', '--workers', '2'] });
/** How long clients wait for a shard, milliseconds. */
export const CLIENT_PATIENCE_MS = config.values['cluster-node-timeout'];
/** The disk takes up to so long to have a registry's record, milliseconds; now and then much longer. */
const SYNC_MAX_MS = 10;
const SYNC_SLOW_MS = 500;
const SYNC_SLOW_CHANCE = 0.02;
const PLENTY = { freeBytes: 2 ** 40, totalBytes: 2 ** 40 };

function loggerOf(surroundings: Surroundings, who: string, life: Life): Logger {
  const say = (text: string) => {
    if (!life.isOver) surroundings.note(who, text);
  };
  return { level: 'debug', debug: say, verbose: say, notice: say, warning: say };
}

/** The master's machine. */
export class MasterNode implements Host {
  readonly name = 'master';
  life: Life | undefined;
  master: Master | undefined;
  /** Failovers that were published. */
  failovers = 0;

  constructor(
    private readonly surroundings: Surroundings,
    private readonly skewMs: number,
  ) {}

  start(): void {
    const { scheduler, random } = this.surroundings;
    const life = new Life(scheduler, this.skewMs);
    this.life = life;
    const logger = loggerOf(this.surroundings, this.name, life);
    const hex = () => random.int(0, 255).toString(16).padStart(2, '0');
    this.master = new Master({
      clusterId: '',
      settleMs: SETTLE_MS,
      failoverAfterMs: () => config.values['failover-after-ms'],
      timers: life,
      logger: {
        ...logger,
        notice: (text) => {
          if (text.includes(': failover: ')) this.failovers++;
          logger.notice(text);
        },
      },
      makeId: (bytes) => Array.from({ length: bytes }, hex).join(''),
    });
  }

  stop(): void {
    if (this.life === undefined) return;
    this.life.isOver = true;
    this.life = undefined;
    this.master = undefined;
    this.surroundings.network.died(this, true);
  }
}

/** A store's machine: what is on its disk, and the process that is there now and then. */
export class StoreNode implements Host {
  readonly name: string;
  readonly disk: Disk;
  life: Life | undefined;
  /** undefined while no process is there, or it is still opening its data. */
  store: Store | undefined;
  pool: SimulatedPool | undefined;
  /** Its disk is lost for ever. */
  isDestroyed = false;
  private isStopping = false;
  private agent: StoreAgent | undefined;

  constructor(
    readonly entry: StoreEntry,
    private readonly surroundings: Surroundings,
    private readonly master: MasterNode,
    private readonly find: (id: string) => StoreNode,
    private readonly skewMs: number,
  ) {
    this.name = entry.id.slice(0, 8).replace(/^0+/, 's');
    this.disk = new Disk(this.name);
    const topology = { clusterId: '', stores: [], keyspaces: [] };
    const record = { format: 2, storeId: entry.id, nextShard: 1, topology, shards: [] };
    this.disk.record = Buffer.from(JSON.stringify(record));
  }

  get isRunning(): boolean {
    return this.store !== undefined;
  }

  /** Starts a process, where none is. */
  start(): void {
    if (this.life !== undefined || this.isDestroyed) return;
    const { surroundings, disk } = this;
    const life = new Life(surroundings.scheduler, this.skewMs);
    this.life = life;
    const logger = loggerOf(surroundings, this.name, life);
    const { random } = surroundings;
    const syncMs = () => random.float() * (random.chance(SYNC_SLOW_CHANCE) ? SYNC_SLOW_MS : SYNC_MAX_MS);
    const registry = Registry.over('', disk.recordStore(life, syncMs));
    registry.sweep = async () => this.sweep(registry);
    registry.discard = async (local) => {
      if (!life.isOver) disk.directories.delete(registry.directoryOf(local));
    };
    const pool = new SimulatedPool(life, disk, random);
    this.pool = pool;
    const events = {
      slowCommand: () => undefined,
      watchesLost: () => undefined,
      watchesSwapped: () => undefined,
      failed: (error: Error) => surroundings.violated(`${this.name} failed: ${error.message}`),
    };
    const store = new Store(config, logger, registry, pool as unknown as WorkerPool, events, life);
    store.start().then(
      () => this.join(store, life, logger),
      (error: Error) => surroundings.violated(`${this.name} did not start: ${error.stack}`),
    );
  }

  private sweep(registry: Registry): number {
    const held = new Set(registry.shards.map(({ local }) => registry.directoryOf(local)));
    const { directories } = this.disk;
    let swept = 0;
    for (const path of directories.keys()) if (!held.has(path) && directories.delete(path)) swept++;
    return swept;
  }

  private join(store: Store, life: Life, logger: Logger): void {
    if (life.isOver) return;
    const { network } = this.surroundings;
    this.store = store;
    store.feeds.start(({ id }) => {
      const other = this.find(id);
      return network.connect<SourceMessage, FollowerMessage>(this, other, (end) =>
        other.store?.feeds.accept(end),
      );
    });
    const agent = new StoreAgent(store, this.entry, logger, { timers: life, diskSpace: async () => PLENTY });
    this.agent = agent;
    this.converse(agent, life, new Backoff());
  }

  /** Has a conversation with the master, and another one whenever that is lost. */
  private converse(agent: StoreAgent, life: Life, backoff: Backoff): void {
    const { master } = this;
    const beganAtMs = life.now();
    const again = () => {
      if (this.isStopping) return;
      if (life.now() - beganAtMs >= 1000) backoff.reset();
      life.after(backoff.delayMs, () => this.converse(agent, life, backoff));
      backoff.grow();
    };
    const accept = (end: Parameters<Master['accept']>[0]) => master.master?.accept(end);
    agent.converse(
      this.surroundings.network.connect<MasterMessage, StoreMessage>(this, master, accept, again),
    );
  }

  /** The process is killed, or its machine goes down. */
  crash(isMachine: boolean): void {
    if (this.life === undefined) return;
    this.life.isOver = true;
    this.life = undefined;
    this.store = undefined;
    this.pool = undefined;
    this.isStopping = false;
    if (isMachine) this.disk.loseUnsynced();
    this.surroundings.network.died(this, !isMachine);
  }

  /** The process ends in good order. */
  async stop(): Promise<void> {
    const { store, life } = this;
    if (store === undefined || life === undefined || this.isStopping) return;
    this.isStopping = true;
    this.agent?.stop();
    await store.close();
    this.isStopping = false;
    life.isOver = true;
    this.life = undefined;
    this.store = undefined;
    this.pool = undefined;
    this.surroundings.network.died(this, true);
  }
}
