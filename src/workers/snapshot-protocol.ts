import type { Worked } from './shard-tasks.js';

/*
 * What the node asks of a worker for backups: to read a shard as it was at one moment, and to take rows of a backup.
 * docs/design/0013-backup.md has the whole of it.
 */

/** A shard is kept readable as it is now. */
export interface SnapshotOpened {
  /** By what it is asked for. */
  readonly snapshot: number;
  /** The moment, Unix milliseconds. */
  readonly takenAtMs: number;
  /** Keys that it has, for progress; those that have ended and are not removed yet included. */
  readonly keys: number;
  /** An estimate. */
  readonly bytes: number;
}

/** The next rows of a snapshot, in key order. */
export interface SnapshotPart {
  /** Encoded, see types/feed-codec.ts; may be empty though it is not the last. */
  readonly rows: Uint8Array;
  /** Keys that are complete with these rows. */
  readonly keys: number;
  readonly isDone: boolean;
}

/** What whoever restores must know of a shard. */
export interface RestoreState {
  /** Keys that clients see. */
  readonly keys: number;
  /** Whether it remembers what was deleted: rows of earlier timestamps may be refused though it has no keys. */
  readonly remembers: boolean;
  /** No row that the worker has seen has a later timestamp. */
  readonly latest: number;
}

/** What became of rows. */
export interface Restored {
  /** Keys written. */
  readonly applied: number;
  /** Keys that a later or equal state, or a later deletion, held its place against. */
  readonly skipped: number;
  /** Keys whose time has come since they were backed up. */
  readonly ended: number;
}

/** Why rows were not taken; nothing of them was, or all can be sent again. */
export interface RestoreRefusal {
  /**
   * `clock`: a row is from too far in the future.
   * `order`: a piece of a large collection that does not follow on what came before: begin with its first piece.
   * `format`: the bytes are not what this version knows.
   */
  readonly refused: 'clock' | 'order' | 'format';
  /** For people. */
  readonly message: string;
}

interface ToShard {
  readonly owner: number;
  readonly shard: number;
}

/** Tasks of the pool that concern backups; see the methods of ShardBackups, of which each sends one. */
export type SnapshotTask = ToShard &
  (
    | { readonly kind: 'openSnapshot' }
    | { readonly kind: 'readSnapshot'; readonly snapshot: number; readonly bytesMax: number }
    | { readonly kind: 'closeSnapshot'; readonly snapshot: number }
    | { readonly kind: 'restoreState' }
    | { readonly kind: 'restoreRows'; readonly restore: string; readonly rows: Uint8Array }
  );

/** What each task replies. */
export interface SnapshotReplies {
  readonly openSnapshot: SnapshotOpened;
  readonly readSnapshot: SnapshotPart & Worked;
  readonly closeSnapshot: undefined;
  readonly restoreState: RestoreState;
  readonly restoreRows: Restored | RestoreRefusal;
}
