import { Buffer } from 'node:buffer';
import { timestampOf, unixMsOf } from '../base/clock.js';
import { FEED_APPLY_ROWS, RESTORES_PER_SHARD_MAX, SNAPSHOT_IDLE_MAX_MS } from '../base/limits.js';
import {
  ElementsKind,
  eachFeedEntry,
  type FeedElements,
  type FeedEntry,
  FeedFormatError,
} from '../types/feed-codec.js';
import { excessDriftMs } from '../types/feed-rules.js';
import { elementVersion, RowFormatError } from '../types/row-codec.js';
import type { Step } from './feed-target.js';
import type { Database } from './rocksdb.js';
import { RowApplier } from './row-applier.js';
import type { Shard } from './shard.js';
import type { ShardElements } from './shard-elements.js';
import type { Restored, RestoreRefusal, RestoreState } from './snapshot-protocol.js';
import { stageFinished, stageUnfinished } from './unfinished-versions.js';

/** A large collection that a restore brings piece by piece: its elements are here under a version that no row has yet. */
interface Building {
  readonly key: string;
  readonly version: number;
  readonly timestamp: number;
  usedMs: number;
}

/** What restores are bringing into a shard, by their names. What is changed counts from the commit on. */
export class Restores {
  private current = new Map<string, Building>();
  /** What it is with the changes of the step at hand; undefined: there are none. */
  private staged: Map<string, Building> | undefined;

  get building(): ReadonlyMap<string, Building> {
    return this.staged ?? this.current;
  }

  /** @param building undefined = nothing any more */
  set(restore: string, building: Building | undefined): void {
    this.staged ??= new Map(this.current);
    if (building === undefined) this.staged.delete(restore);
    else this.staged.set(restore, building);
  }

  /** The shard is emptied. */
  empty(): void {
    if (this.building.size > 0) this.staged = new Map();
  }

  committed(): void {
    if (this.staged === undefined) return;
    this.current = this.staged;
    this.staged = undefined;
  }

  /** The changes since the last commit have not happened: what they name is anybody's. */
  discard(): void {
    this.staged = undefined;
  }

  /** It is forgotten with the shard's instance. */
  forget(): void {
    this.staged = undefined;
    this.current.clear();
  }

  /** Whether there are some whose next piece nobody has sent for long. */
  areOverdue(nowMs: number): boolean {
    if (this.building.size === 0) return false;
    for (const building of this.building.values()) if (isOverdue(building, nowMs)) return true;
    return false;
  }

  /** Stages the end of those: whoever sent what is here of them may not come again. */
  endOverdue(nowMs: number, collections: ShardElements, target: Database): void {
    for (const [name, building] of [...this.building])
      if (isOverdue(building, nowMs)) this.giveUp(name, collections, target);
  }

  /** Stages that what was there of a collection goes. */
  giveUp(restore: string, { dead }: ShardElements, target: Database): void {
    const known = this.building.get(restore);
    if (known === undefined) return;
    this.set(restore, undefined);
    stageFinished(target, known.version);
    dead.add(known.version);
  }
}

function isOverdue(building: Building, nowMs: number): boolean {
  // A clock that was set back must not hold anything up.
  building.usedMs = Math.min(building.usedMs, nowMs);
  return nowMs - building.usedMs > SNAPSHOT_IDLE_MAX_MS;
}

class RefusedError extends Error {
  constructor(
    readonly refused: RestoreRefusal['refused'],
    message: string,
  ) {
    super(message);
  }
}

const KINDS: ReadonlySet<ElementsKind | undefined> = new Set([
  undefined,
  ElementsKind.All,
  ElementsKind.First,
  ElementsKind.Middle,
  ElementsKind.Last,
]);

/**
 * A shard as it takes rows of a backup. They are merged: of two states of a key the later one counts, as with feeds; so
 * rows may be sent again. Feeds do not pass them on: whoever restores sends them to every copy of the shard.
 */
export class RestoreTarget {
  constructor(
    private readonly shard: Shard,
    private readonly step: Step,
  ) {}

  /** See ShardBackups. */
  state(): RestoreState {
    const { shard } = this;
    return {
      keys: shard.count(),
      remembers: shard.replication.latestFlush !== 0 || (shard.keepsTombstones && this.hasRows()),
      latest: Math.max(shard.environment.clock.latest, timestampOf(shard.nowMs)),
    };
  }

  /** Where there are no keys these are tombstones. */
  private hasRows(): boolean {
    let found = false;
    this.shard.source().iterate({ family: 'default', values: false }, () => {
      found = true;
      return false;
    });
    return found;
  }

  /**
   * Takes rows, or one piece of a large collection.
   * @param restore tells restores apart that bring pieces at the same time
   */
  async take(restore: string, bytes: Uint8Array): Promise<Restored | RestoreRefusal> {
    try {
      const rows: FeedEntry[] = [];
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      eachFeedEntry(buffer, 0, (entry) => rows.push(entry));
      const [first] = rows;
      if (first === undefined) return { applied: 0, skipped: 0, ended: 0 };
      for (const row of rows) checkKind(row, rows.length);
      const kind = first.elements?.kind ?? ElementsKind.All;
      return await (kind === ElementsKind.All
        ? this.takeRows(rows)
        : this.takePiece(restore, first, first.elements!));
    } catch (error) {
      if (error instanceof RefusedError) return { refused: error.refused, message: error.message };
      if (error instanceof FeedFormatError || error instanceof RowFormatError)
        return { refused: 'format', message: error.message };
      throw error;
    }
  }

  private async takeRows(rows: readonly FeedEntry[]): Promise<Restored> {
    let [applied, skipped, ended] = [0, 0, 0];
    for (let from = 0; from < rows.length; from += FEED_APPLY_ROWS)
      await this.step(() => {
        const part = rows.slice(from, from + FEED_APPLY_ROWS);
        this.checkClock(part);
        const { nowMs } = this.shard;
        const alive = part.filter((row) => !hasEnded(row, nowMs));
        const applier = new RowApplier(this.shard);
        applier.apply(alive);
        this.noted(part);
        applied += applier.applied;
        skipped += applier.skipped;
        ended += part.length - alive.length;
      });
    return { applied, skipped, ended };
  }

  private async takePiece(restore: string, row: FeedEntry, elements: FeedElements): Promise<Restored> {
    const { shard } = this;
    const applier = new RowApplier(shard);
    let ended = 0;
    await this.step(() => {
      this.checkClock([row]);
      const building = this.buildingFor(restore, row, elements.kind);
      applier.storeElements(building.version, elements);
      if (elements.kind !== ElementsKind.Last) return;
      shard.restores.set(restore, undefined);
      stageFinished(shard.source(), building.version);
      if (hasEnded(row, shard.nowMs)) ended = 1;
      else if (applier.applyBuilt(row, building.version)) {
        this.noted([row]);
        return;
      }
      shard.collections.dead.add(building.version);
    });
    return { applied: applier.applied, skipped: applier.skipped, ended };
  }

  /** What a piece belongs to. */
  private buildingFor(restore: string, row: FeedEntry, kind: ElementsKind): Building {
    const { shard } = this;
    const { restores } = shard;
    const { name: key, timestamp } = row;
    if (kind === ElementsKind.First) {
      restores.endOverdue(shard.nowMs, shard.collections, shard.source());
      restores.giveUp(restore, shard.collections, shard.source());
      if (restores.building.size >= RESTORES_PER_SHARD_MAX)
        throw new Error(
          `${RESTORES_PER_SHARD_MAX} restores bring large keys to this shard already: wait until one is done`,
        );
      const { version } = shard.collections.newElements();
      const begun = { key, version, timestamp, usedMs: shard.nowMs };
      stageUnfinished(shard.source(), version);
      restores.set(restore, begun);
      return begun;
    }
    const known = restores.building.get(restore);
    if (known === undefined || known.key !== key || known.timestamp !== timestamp)
      throw new RefusedError(
        'order',
        `a piece of key ${JSON.stringify(key.slice(0, 100))} that does not follow on what came before`,
      );
    known.usedMs = shard.nowMs;
    return known;
  }

  /** Later writes here are to beat what has come. */
  private noted(rows: readonly FeedEntry[]): void {
    const { environment, replication } = this.shard;
    for (const { timestamp } of rows) environment.clock.observe(timestamp);
    replication.sawUnlogged();
  }

  private checkClock(rows: readonly FeedEntry[]): void {
    const { nowMs, environment } = this.shard;
    const { feedDriftMaxMs } = environment.knobs;
    for (const { timestamp } of rows) {
      if (excessDriftMs(timestamp, nowMs, feedDriftMaxMs) === 0) continue;
      throw new RefusedError(
        'clock',
        `the backup has a write from ${unixMsOf(timestamp) - nowMs} ms in the future, more than feed-clock-drift-max-ms (${feedDriftMaxMs}) allows: compare this store's clock with that of the store that was backed up`,
      );
    }
  }
}

/** @throws FeedFormatError for what a backup has not; pieces come alone */
function checkKind({ bytes, elements }: FeedEntry, rows: number): void {
  const kind = elements?.kind;
  if (kind === undefined && elementVersion(bytes) !== 0)
    throw new FeedFormatError('a large collection without its elements');
  if (!KINDS.has(kind)) throw new FeedFormatError(`element rows of kind ${kind} in a backup`);
  if (kind !== undefined && kind !== ElementsKind.All && rows > 1)
    throw new FeedFormatError('a piece of a large collection that is not alone');
}

function hasEnded({ header: { expiresAtMs } }: FeedEntry, nowMs: number): boolean {
  return expiresAtMs !== 0 && expiresAtMs <= nowMs;
}
