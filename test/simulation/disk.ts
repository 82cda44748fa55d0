import { Buffer } from 'node:buffer';
import type { RecordStore } from '../../src/node/registry.js';
import type { CopyBegin, FeedPosition } from '../../src/types/feed.js';
import type { FeedSlots } from '../../src/types/feed-codec.js';
import { FlushSet } from '../../src/types/flush-set.js';
import type { Life } from './scheduler.js';

/** A row as a shard has it on its disk. */
export interface StoredRow {
  readonly key: string;
  readonly slot: number;
  /** Its timestamp. */
  readonly at: number;
  /** The write that made it, by its number: what stands for the value, and decides between rows of one time. */
  readonly write: number;
  /** It is what is left of a key that was deleted. */
  readonly isTombstone: boolean;
  /** When it ends by itself, Unix milliseconds; 0 = never. */
  readonly expiresAtMs: number;
}

/** A record of a log: a row, or that all rows up to a timestamp have gone. */
export type StoredRecord = StoredRow | StoredFlush;

export interface StoredFlush {
  /** Its timestamp. */
  readonly flushedAt: number;
  readonly slots: FeedSlots;
}

export function isFlush(record: StoredRecord): record is StoredFlush {
  return 'flushedAt' in record;
}

/** The log of a shard that logs. */
export interface StoredLog {
  readonly id: string;
  readonly sinceMs: number;
  /** When the machine went down with writes that others may have; 0 = never. */
  readonly lostMs: number;
  /** Number of the oldest record. */
  first: number;
  readonly records: StoredRecord[];
  /** The last record that went though not all had it, and the earliest time in those. */
  overrun: { readonly sequence: number; readonly at: number } | undefined;
}

/** How far a shard is with a feed. */
export interface StoredFeed {
  readonly slots: FeedSlots | undefined;
  readonly begin: CopyBegin | undefined;
  readonly after: string | undefined;
  readonly position: FeedPosition | undefined;
  readonly rows: number;
  /** Older rows that the source lacks go. */
  readonly removeBefore: number;
  /** While copying: rows up to this time may be here that the source has lost; 0 = none. */
  readonly lostUntil: number;
  /** No row here was later when this was written. */
  readonly newest: number;
}

/** What a shard has on its disk. */
export interface StoredShard {
  readonly rows: Map<string, StoredRow>;
  log: StoredLog | undefined;
  readonly feeds: Map<string, StoredFeed>;
  /** Feeds that bring back what the machine lost: the log gets it once more. */
  readonly recovering: Set<string>;
  /** Deletions leave tombstones: from the moment on that it has had to do with feeds. */
  keepsTombstones: boolean;
  /** What is known of flushes that feeds have to know of. */
  flushes: FlushSet;
  /** No row here was ever later. */
  newest: number;
  /** The start of the machine that wrote it; '' = it was closed, or has nothing that could be lost. */
  machine: string;
}

export function emptyShard(): StoredShard {
  return {
    rows: new Map(),
    log: undefined,
    feeds: new Map(),
    recovering: new Set(),
    keepsTombstones: false,
    flushes: FlushSet.NONE,
    newest: 0,
    machine: '',
  };
}

/** Whether a flush has ended what there was of a slot up to a time. */
export function isFlushed({ flushes }: StoredShard, slot: number, at: number): boolean {
  return at <= flushes.at(slot);
}

function copyOf(shard: StoredShard): StoredShard {
  const { rows, log, feeds, recovering } = shard;
  return {
    ...shard,
    rows: new Map(rows),
    log: log && { ...log, records: [...log.records] },
    feeds: new Map(feeds),
    recovering: new Set(recovering),
  };
}

/** A shard's directory. */
interface Directory {
  /** As a process that was killed leaves it. */
  written: StoredShard;
  /** As a machine that went down leaves it. */
  synced: StoredShard;
  isDirty: boolean;
}

/** What a store has on its disk, as processes come and go. */
export class Disk {
  /** The registry's record, as a process that was killed leaves it, and as a machine that went down does. */
  record: Buffer | undefined;
  private syncedRecord: Buffer | undefined;
  /** By path. */
  readonly directories = new Map<string, Directory>();
  machineStarts = 1;
  /** Logs that its shards have begun. */
  logs = 0;

  constructor(readonly name: string) {}

  get machine(): string {
    return `${this.name}-${this.machineStarts}`;
  }

  /** A shard's directory, made if it is not there. */
  directory(path: string): Directory {
    let found = this.directories.get(path);
    if (found === undefined) {
      found = { written: emptyShard(), synced: emptyShard(), isDirty: false };
      this.directories.set(path, found);
    }
    return found;
  }

  /** All that was written survives the machine. */
  sync(): void {
    for (const path of this.directories.keys()) this.syncDirectory(path);
  }

  syncDirectory(path: string): void {
    const directory = this.directory(path);
    if (directory.isDirty) directory.synced = copyOf(directory.written);
    directory.isDirty = false;
  }

  /** The machine goes down, and with it what was not synced. */
  loseUnsynced(): void {
    this.machineStarts++;
    this.record = this.syncedRecord;
    for (const directory of this.directories.values()) {
      directory.written = copyOf(directory.synced);
      directory.isDirty = false;
    }
  }

  /** What the registry of a process is kept in. Opening it syncs it. @param syncMs for how long the disk takes the next time */
  recordStore(life: Life, syncMs: () => number): RecordStore {
    this.syncedRecord = this.record;
    let staged: Buffer | undefined;
    return {
      get: () => this.record,
      put: (_family, _key, value) => {
        staged = Buffer.from(value);
      },
      commit: (sync) => {
        if (life.isOver) return;
        this.record = staged;
        if (sync) this.syncedRecord = staged;
      },
      syncLog: async () => {
        await life.pause(syncMs());
        this.syncedRecord = this.record;
      },
      close: () => Promise.resolve(),
    };
  }
}
