import type { CopyBegin, CopySlice, FeedPosition, FeedStart, LogChunk } from '../types/feed.js';
import type { FeedSlots } from '../types/feed-codec.js';
import type { Worked } from './shard-tasks.js';

export type { CopyBegin, CopySlice, FeedPosition, LogChunk } from '../types/feed.js';

/*
 * What the node asks of a worker for feeds: how a shard's copies, and slots that move, get their data. A source shard
 * keeps a log of what its clients write; a target shard copies the source's rows in key order, and then follows the
 * source's log. docs/design/0011-feeds.md has the whole of it.
 */

/** The feed log of a shard that logs. */
export interface LogState extends CopyBegin {
  readonly flushes: Uint8Array;
  /** Number of the oldest record; one more than `sequence` when the log is empty. */
  readonly firstSequence: number;
  /** Bytes of its records. */
  readonly bytes: number;
  /** When the machine went down with writes that others may have, Unix milliseconds; 0 = not since it logs. */
  readonly lostMs: number;
}

/** How far a target has come with a feed. It is on disk in the same batch as the rows. */
export type FeedProgress =
  | (Extract<FeedStart, { phase: 'copying' }> & {
      /** Rows and bytes that have arrived since the copy began. */
      readonly rows: number;
      readonly bytes: number;
    })
  | Extract<FeedStart, { phase: 'tailing' }>;

/** What a shard knows of feeds. */
export interface FeedState {
  /** undefined while the shard does not log. */
  readonly log: LogState | undefined;
  /** Feeds of which the shard is the target, by id. */
  readonly feeds: Readonly<Record<string, FeedProgress>>;
}

/** A position that its log cannot continue: the records behind it have gone, or the log has. Copy again. */
export interface LogGone {
  readonly gone: true;
}

/** What applying something did to the rows of the target. */
export interface Applied {
  /** Rows written. */
  readonly applied: number;
  /** Rows that a later or equal one held its place against. */
  readonly skipped: number;
  /** Rows that the source has no more. */
  readonly removed: number;
  /** Where the log of the target ends, if it has got some of the rows; see Replication.isRecovering. */
  readonly logged?: number;
}

/** Why something was not applied; nothing of it was. */
export interface Refusal {
  /**
   * `clock`: a row is from too far in the future, asking again later may succeed.
   * `disk`: it takes no writes at present, asking again later may succeed.
   * `copy`: a key must be copied first, which the feed's progress says now: ask for the state, go on from there.
   * `position`: it does not follow on what was applied before, or no copy was begun: ask for the state, go on from there.
   * `format`: the bytes are not what this version knows.
   */
  readonly refused: 'clock' | 'disk' | 'copy' | 'position' | 'format';
  /** For people. */
  readonly message: string;
}

/** What commands see of a shard that has rows of other slots, too, or will have. */
export interface Shown {
  /** Those whose rows they see; undefined = all as yet, but keys are to be counted for when that is over. */
  readonly slots: FeedSlots | undefined;
  /** With all shown as yet: those that will not be hidden then, so that their keys need not be counted; undefined = none. */
  readonly staying?: FeedSlots | undefined;
  /** Whether rows of others, and all of the log, are to stay: because they are on their way to, or from, other shards. */
  readonly keepsOthers: boolean;
}

/** What a step of {@link FeedTask} `removeSlots` did. */
export interface SlotsRemoval {
  readonly removed: number;
  /** The key, latin1, behind which to go on. */
  readonly last: string | undefined;
  readonly isDone: boolean;
}

interface ToShard {
  readonly owner: number;
  readonly shard: number;
}

/** Tasks of the pool that concern feeds; see the methods of ShardFeeds, of which each sends one. */
export type FeedTask = ToShard &
  (
    | { readonly kind: 'setLogging'; readonly on: boolean }
    | { readonly kind: 'feedState' }
    | {
        readonly kind: 'readLog';
        readonly after: FeedPosition;
        readonly bytesMax: number;
        readonly slots: FeedSlots | undefined;
      }
    | { readonly kind: 'trimLog'; readonly through: number }
    | {
        readonly kind: 'copySlice';
        readonly after: string | undefined;
        readonly bytesMax: number;
        readonly slots: FeedSlots | undefined;
      }
    | {
        readonly kind: 'beginCopy';
        readonly feed: string;
        readonly begin: CopyBegin;
        readonly slots: FeedSlots | undefined;
      }
    | { readonly kind: 'resumeFeed'; readonly feed: string; readonly slots: FeedSlots | undefined }
    | { readonly kind: 'applyCopy'; readonly feed: string; readonly slice: CopySlice }
    | { readonly kind: 'applyRecords'; readonly feed: string; readonly chunk: LogChunk }
    | { readonly kind: 'forgetFeed'; readonly feed: string }
    | { readonly kind: 'show'; readonly shown: Shown | undefined; readonly own: FeedSlots | undefined }
    | { readonly kind: 'removeSlots'; readonly slots: FeedSlots; readonly after: string | undefined }
  );

/** What each task replies. */
export interface FeedReplies {
  readonly setLogging: LogState | undefined;
  readonly feedState: FeedState;
  readonly readLog: LogChunk | LogGone;
  readonly trimLog: undefined;
  readonly copySlice: CopySlice & Worked;
  readonly beginCopy: Refusal | undefined;
  readonly resumeFeed: Refusal | undefined;
  readonly applyCopy: (Applied | Refusal) & Worked;
  readonly applyRecords: Applied | Refusal;
  readonly forgetFeed: undefined;
  readonly show: undefined;
  readonly removeSlots: SlotsRemoval & Worked;
}
