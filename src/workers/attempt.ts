import type { Buffer } from 'node:buffer';
import type { PartEntry } from './reply-part.js';
import type { Shard } from './shard.js';

/** How far a batch has come: everything before is committed and its replies are on their way. */
export interface Checkpoint {
  segment: number;
  /** Word at which the segment's header stands. */
  headerAt: number;
  /** Word at which its next command stands. */
  commandAt: number;
  /** Commands and instructions of the segment that are done. */
  done: number;
  /** Commands among them: those that its receiver has had answered. */
  answered: number;
  /** The shard that they left the segment at; undefined at its beginning. */
  shard: number | undefined;
}

/** What is left of an attempt whose commit failed: replies that hold all the same. */
export interface Salvage {
  /** Replies of the segments. */
  readonly entries: ReadonlyMap<number, { readonly entry: PartEntry; readonly bytes: Buffer }>;
  /** Shards whose changes were committed before another shard's commit failed. */
  readonly committed: ReadonlySet<Shard>;
}
