import type { CopyPlace } from './feeds.js';

/*
 * What stores say of their part in a keyspace. All of it may be older than what the master knows: so everything that
 * matters names the epoch that it is about.
 */

/** What one store says. */
export interface KeyspaceReport {
  /** Of the keyspace's entry that it has put into effect, and has on its disk. */
  readonly epoch: number;
  /** All shards of it that it has on its disk, also those that are going away. */
  readonly copies: readonly CopyReport[];
}

/** By id of the store; all that are alive, with epoch 0 and no copies while they have not said anything of it. */
export type KeyspaceReports = ReadonlyMap<string, KeyspaceReport>;

export interface CopyReport {
  readonly shard: number;
  /** Why it cannot do its duty, for people; '' = it can. */
  readonly failure: string;
  /** It has everything of all slots that it is to have: as of some time, which its feeds tell. */
  readonly isComplete: boolean;
  /** There are no rows but of slots that are to stay. */
  readonly isClean: boolean;
  /** The epoch of the hand-over for which writes wait here; 0 = none. */
  readonly holding: number;
  /** The epoch of the last hand-over whose time ran out here, so that writes went on; 0 = none. */
  readonly expired: number;
  readonly feeds: readonly FeedReport[];
}

/** How far a copy has come in following another: what planning needs of it. FollowStatus has what people want to know. */
export interface FeedReport {
  readonly from: CopyPlace;
  /** It is no more than {@link LEVEL_LAG_MAX_MS} behind. */
  readonly isLevel: boolean;
  /** The latest mark in the log of `from` up to which it has everything; 0 = none. */
  readonly mark: number;
  /** Number of the last entry of that log that it has; 0 = none. */
  readonly position: number;
}

/** A copy that is so little behind what it follows is level: a hand-over holds writes for about as long. */
export const LEVEL_LAG_MAX_MS = 200;

/** A store that waits for a hand-over lets writes go on after so long. */
export const HOLD_MAX_MS = 1500;

export function copyIn(report: KeyspaceReport | undefined, shard: number): CopyReport | undefined {
  return report?.copies.find((copy) => copy.shard === shard);
}

export function feedIn(copy: CopyReport | undefined, from: CopyPlace): FeedReport | undefined {
  return copy?.feeds.find((feed) => feed.from.store === from.store && feed.from.shard === from.shard);
}
