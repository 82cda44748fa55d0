import { setTimeout as pause } from 'node:timers/promises';
import { CommandError, CommandRejected } from '../base/command-errors.js';
import { SNAPSHOT_PART_BYTES } from '../base/limits.js';
import type { KeyspaceEntry, Topology } from '../cluster/topology.js';
import type { ShardRoute } from '../workers/pool.js';
import type { ShardBackups } from '../workers/shard-backups.js';
import type { Restored, RestoreState, SnapshotOpened, SnapshotPart } from '../workers/snapshot-protocol.js';
import type { CopyRate } from './feeds/copy-rate.js';
import { RATE_ASKED_EVERY_MS } from './feeds/timing.js';

/** What backups need of their store. */
export interface BackupsHost {
  readonly engine: Pick<ShardBackups, 'open' | 'read' | 'close' | 'state' | 'restore'>;
  /** What copies for other stores share. */
  readonly rate: CopyRate;
  readonly self: string;
  topology(): Topology;
  /** A shard that is open here. */
  route(keyspace: string, shard: number): ShardRoute | undefined;
  /** Why it does not answer for its slots yet. */
  notAnswering(keyspace: string, shard: number): string | undefined;
}

/** A shard that is here, and the entry by which it is. */
interface Place {
  readonly entry: KeyspaceEntry;
  readonly route: ShardRoute;
}

/** What was done with a shard under an entry of the topology. */
export interface UnderEpoch {
  /** The entry's: what was done to two shards under one epoch was done to parts of one whole. */
  readonly epoch: number;
  /** How many shards the keyspace has under it. */
  readonly shards: number;
}

/**
 * What `vasto admin backup` and `restore` ask of a store, see docs/design/0013-backup.md. What may be different when it
 * is asked again is refused with TRYAGAIN.
 */
export class StoreBackups {
  constructor(private readonly host: BackupsHost) {}

  /**
   * Keeps a shard that this store owns readable as it is now. Snapshots of all shards under one epoch have each row once,
   * also while the keyspace is being changed: within an epoch a slot has one owner, and only who has all of it answers.
   * @param keyspace its id
   */
  async open(keyspace: string, shard: number): Promise<SnapshotOpened & UnderEpoch> {
    const { entry, route } = this.find(keyspace, shard);
    if (entry.shards[shard]?.stores[0] !== this.host.self)
      throw tryAgain(`shard ${shard} of keyspace ${entry.name} is another store's`);
    const why = this.host.notAnswering(keyspace, shard);
    if (why !== undefined) throw tryAgain(why);
    const opened = await orTryAgain(this.host.engine.open(route));
    // What came into force meanwhile may or may not have been before it.
    if (this.host.topology().keyspaces.get(keyspace) !== entry)
      throw tryAgain(`keyspace ${entry.name} has just been changed`);
    return { ...opened, epoch: entry.epoch, shards: entry.shards.length };
  }

  /**
   * The next part of a snapshot. It comes late enough to give way to clients, see Paced, and not before `migration-rate`
   * allows.
   */
  async read(keyspace: string, shard: number, snapshot: number): Promise<SnapshotPart> {
    const { route } = this.find(keyspace, shard);
    const part = await orTryAgain(this.host.engine.read(route, snapshot, SNAPSHOT_PART_BYTES));
    this.host.rate.spend(part.rows.length, Date.now());
    if (!part.isDone) await this.rest(part.restMs);
    return part;
  }

  /** For so long, and until the rate allows to go on. */
  private async rest(ms: number): Promise<void> {
    const sinceMs = Date.now();
    for (;;) {
      const waitMs = this.host.rate.waitMs(ms, sinceMs, Date.now());
      if (waitMs <= 0) return;
      await pause(Math.min(waitMs, RATE_ASKED_EVERY_MS));
    }
  }

  /** Nobody wants the rest of a snapshot. */
  async close(keyspace: string, shard: number, snapshot: number): Promise<void> {
    const { route } = this.find(keyspace, shard);
    await orTryAgain(this.host.engine.close(route, snapshot));
  }

  /** What there is in this store's copy of a shard. Not while its keyspace is being changed. */
  async state(keyspace: string, shard: number): Promise<RestoreState> {
    return orTryAgain(this.host.engine.state(this.findAtRest(keyspace, shard).route));
  }

  /**
   * Merges rows of a backup into this store's copy of a shard.
   * @param shards how many the keyspace has to have for the rows to belong there
   */
  async restore(
    keyspace: string,
    { shard, shards, restore }: { shard: number; shards: number; restore: string },
    rows: Uint8Array,
  ): Promise<Restored> {
    const { entry, route } = this.findAtRest(keyspace, shard);
    if (entry.shards.length !== shards)
      throw tryAgain(`keyspace ${entry.name} has ${entry.shards.length} shards, not ${shards}`);
    const taken = await this.host.engine.restore(route, restore, rows).catch((error: Error) => {
      throw error.message.includes('MISCONF') ? refused(error.message) : tryAgain(error.message);
    });
    if (!('refused' in taken)) return taken;
    throw taken.refused === 'order' ? tryAgain(taken.message) : refused(taken.message);
  }

  private find(keyspace: string, shard: number): Place {
    const entry = this.host.topology().keyspaces.get(keyspace);
    if (entry === undefined || entry.deleted) throw tryAgain(`this store knows no keyspace ${keyspace}`);
    const route = this.host.route(keyspace, shard);
    if (route === undefined) throw tryAgain(`shard ${shard} of keyspace ${entry.name} is not on this store`);
    return { entry, route };
  }

  /** Where rows are brought, it must be certain which copies of which shards are to have them. */
  private findAtRest(keyspace: string, shard: number): Place {
    const place = this.find(keyspace, shard);
    const { change, name } = place.entry;
    if (change === undefined) return place;
    throw tryAgain(
      `keyspace ${name} is being changed (${change.kind}): wait until that is done, or abort it`,
    );
  }
}

async function orTryAgain<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw tryAgain((error as Error).message, error);
  }
}

function tryAgain(why: string, cause?: unknown): CommandRejected {
  return new CommandRejected(new CommandError(`TRYAGAIN ${why}`), { cause });
}

function refused(why: string): CommandRejected {
  return new CommandRejected(new CommandError(`ERR ${why}`));
}
