import { statfs } from 'node:fs/promises';
import type { Logger } from '../base/logger.js';
import { SYSTEM_TIMERS, type Timers } from '../base/timers.js';
import type { ShardStatus } from '../cluster/manager.js';
import type { MasterMessage, MasterStream } from '../cluster/messages.js';
import { epochOf, type StoreEntry } from '../cluster/topology.js';
import type { ShardReport } from '../workers/protocol.js';
import { followsOf } from './feeds/follow-status.js';
import type { Store } from './store.js';

/** How often the master is given a sign of life, milliseconds: it takes a store for dead after several times that. */
export const REPORT_EVERY_MS = 500;
/** Of so many signs of life, one has the workers say anew what their shards hold. */
const REPORTS_PER_COUNT = 4;
/** What happens within so long is told together, milliseconds. */
const NEWS_DELAY_MS = 2;

/** Space on the disk that holds a directory, bytes. */
export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** What the disk of a directory has. */
export async function diskSpaceOf(directory: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(directory);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

export interface AgentOptions {
  /** Whether the master is in this process: then that they know each other is no news. */
  readonly isLocal?: boolean;
  readonly timers?: Timers;
  readonly diskSpace?: (directory: string) => Promise<DiskSpace>;
}

/**
 * A store's side of the conversation with its master (cluster/messages.ts): it registers with all that it remembers,
 * puts topologies into effect, reports, and does what tasks it is given. Finding the master, and trying again, is for
 * who brings the streams. Without a master the store serves on with the topology it has.
 */
export class StoreAgent {
  /** Resolves when a master has taken the store, or has refused it. */
  readonly answered: Promise<void>;
  private onAnswered: () => void = () => undefined;
  private stream: MasterStream | undefined;
  private readonly timers: Timers;
  private stopBeating: () => void = () => undefined;
  private beats = 0;
  private space: DiskSpace = { freeBytes: 0, totalBytes: 0 };
  private shards: readonly ShardStatus[] = [];
  private measuring = false;
  private counting = false;
  private isNewsDue = false;

  constructor(
    private readonly store: Store,
    /** How others reach this store; its epoch is the master's to set. */
    private readonly self: StoreEntry,
    private readonly logger: Logger,
    private readonly options: AgentOptions = {},
  ) {
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.answered = new Promise((resolve) => {
      this.onAnswered = resolve;
    });
    store.onNews = () => this.hasNews();
  }

  /** Takes up a new stream to the master, in place of the last one. */
  converse(stream: MasterStream): void {
    this.stream?.end();
    this.stream = stream;
    stream.onMessage = (message) => {
      if (this.stream === stream) this.hear(stream, message);
    };
    stream.onEnd = (error) => {
      if (this.stream === stream) this.lost(error);
    };
    stream.send({ kind: 'register', store: this.self, topology: this.store.keyspaces.topology });
  }

  /** Ends the conversation. */
  stop(): void {
    this.stopBeating();
    const { stream } = this;
    this.stream = undefined;
    this.store.membership.connected = false;
    stream?.end();
  }

  private hear(stream: MasterStream, message: MasterMessage): void {
    switch (message.kind) {
      case 'welcome':
        void this.welcomed(stream, message.clusterId);
        return;
      case 'refused':
        this.refused(message.reason);
        return;
      case 'topology':
        void this.apply(stream, message);
        return;
      case 'compact':
        void this.compact(stream, message);
        return;
    }
  }

  /** The store belongs to the cluster from now on, and keeps its id. */
  private async welcomed(stream: MasterStream, clusterId: string): Promise<void> {
    const { store } = this;
    try {
      await store.applyTopology({ ...store.keyspaces.topology, clusterId });
    } catch (error) {
      this.logger.warning(`cannot join cluster ${clusterId}: ${(error as Error).message}`);
      if (this.stream === stream) this.stop();
      this.onAnswered();
      return;
    }
    if (this.stream !== stream) return;
    store.membership.connected = true;
    store.membership.refusal = '';
    const text = `registered with the master of cluster ${clusterId} as store ${this.self.id}`;
    if (this.options.isLocal) this.logger.verbose(text);
    else this.logger.notice(text);
    this.stopBeating();
    this.beats = 0;
    this.beat();
    this.onAnswered();
  }

  private refused(reason: string): void {
    this.store.membership.refusal = reason;
    this.logger.warning(
      `the master will not have this store: ${reason}. The store goes on serving what it holds, without the master.`,
    );
    this.stop();
    this.onAnswered();
  }

  private lost(error: Error | undefined): void {
    const { membership } = this.store;
    this.stream = undefined;
    this.stopBeating();
    if (membership.connected)
      this.logger.warning(
        `the master is gone${error === undefined ? '' : ` (${error.message})`}; serving on without it`,
      );
    membership.connected = false;
  }

  private async apply(
    stream: MasterStream,
    { topology }: Extract<MasterMessage, { kind: 'topology' }>,
  ): Promise<void> {
    const epoch = epochOf(topology);
    try {
      await this.store.applyTopology(topology);
      stream.send({ kind: 'applied', epoch });
    } catch (error) {
      this.logger.warning(`cannot put topology ${epoch} into effect: ${(error as Error).message}`);
      stream.send({ kind: 'applied', epoch, error: (error as Error).message });
    }
  }

  private async compact(
    stream: MasterStream,
    { task, keyspace, shard }: Extract<MasterMessage, { kind: 'compact' }>,
  ): Promise<void> {
    try {
      await this.store.compactShard(keyspace, shard, (progress) =>
        stream.send({ kind: 'progress', task, progress }),
      );
      stream.send({ kind: 'finished', task });
    } catch (error) {
      stream.send({ kind: 'finished', task, error: (error as Error).message });
    }
  }

  // ---------------------------------------------------------------- reports

  /**
   * A sign of life, with the latest figures there are. It waits for nothing: a busy worker or a slow disk must not make
   * the store look dead.
   */
  private beat(): void {
    this.stopBeating = this.timers.after(REPORT_EVERY_MS, () => this.beat());
    if (!this.measuring) void this.measure();
    if (!this.counting && this.beats % REPORTS_PER_COUNT === 0) void this.count();
    this.beats++;
    this.tell();
  }

  private tell(): void {
    const follows = followsOf(this.store.feeds.followers.all());
    const shards = this.shards.map((each) => ({ ...each, follows: follows(each.keyspace, each.shard) }));
    this.isNewsDue = false;
    this.stream?.send({ kind: 'report', ...this.space, shards, keyspaces: this.store.keyspaceNews() });
  }

  /** Something has happened that the master waits for. */
  private hasNews(): void {
    if (!this.store.membership.connected) return;
    if (!this.counting && this.store.localShards().length !== this.shards.length)
      void this.count().then(() => this.tellSoon());
    this.tellSoon();
  }

  private tellSoon(): void {
    if (this.isNewsDue) return;
    this.isNewsDue = true;
    this.timers.after(NEWS_DELAY_MS, () => {
      if (this.isNewsDue) this.tell();
    });
  }

  private async measure(): Promise<void> {
    this.measuring = true;
    try {
      const { diskSpace = diskSpaceOf } = this.options;
      this.space = await diskSpace(this.store.config.values.dir);
    } catch (error) {
      this.logger.verbose(`the disk does not say how full it is: ${(error as Error).message}`);
    } finally {
      this.measuring = false;
    }
  }

  private async count(): Promise<void> {
    this.counting = true;
    try {
      const reports = (await this.store.report()).flatMap((report) => report.shards);
      const byNumber = new Map(reports.map((report) => [report.shard, report]));
      this.shards = this.store
        .localShards()
        .map(({ keyspace, shard, route }) => statusOf(keyspace, shard, byNumber.get(route.shard)));
    } catch (error) {
      this.logger.verbose(`the workers do not say what they hold: ${(error as Error).message}`);
    } finally {
      this.counting = false;
    }
  }
}

function statusOf(keyspace: string, shard: number, report: ShardReport | undefined): ShardStatus {
  if (report === undefined) return { keyspace, shard, keys: 0, bytes: 0, state: 'opening', follows: [] };
  const { keys, tableBytes, memtableBytes, failure } = report;
  return { keyspace, shard, keys, bytes: tableBytes + memtableBytes, state: failure || 'open', follows: [] };
}
