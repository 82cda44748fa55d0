import type { FeedSlots } from '../types/feed-codec.js';

/*
 * What the node asks of a worker for feeds: how a shard's copies, and slots that move, get their data. A source shard
 * keeps a log of what its clients write; a target shard copies the source's rows in key order, and then follows the
 * source's log. docs/design/0011-feeds.md has the whole of it.
 */

/** A place in the feed log of a shard: behind the record of that number, 0 = before the first. */
export interface FeedPosition {
  /** Which log: a random text, another one whenever a log begins anew. */
  readonly log: string;
  readonly sequence: number;
}

/** What a source says when a copy begins, before the first slice. */
export interface CopyBegin extends FeedPosition {
  /** Every deletion later than this timestamp the source has as a tombstone, which is copied as rows are. */
  readonly rememberedSince: number;
  /** Timestamp of the last flush of the source: older rows than that are gone. 0 = there was none. */
  readonly flushedAt: number;
}

/** The feed log of a shard that logs. */
export interface LogState extends CopyBegin {
  /** Number of the oldest record; one more than `sequence` when the log is empty. */
  readonly firstSequence: number;
  /** Bytes of its records. */
  readonly bytes: number;
}

/** How far a target has come with a feed. It is on disk in the same batch as the rows. */
export type FeedProgress =
  | {
      readonly phase: 'copying';
      readonly begin: CopyBegin;
      /** The key, latin1, behind which the copy goes on; undefined at its beginning. */
      readonly after: string | undefined;
      /** Rows and bytes that have arrived since the copy began. */
      readonly rows: number;
      readonly bytes: number;
    }
  | { readonly phase: 'tailing'; readonly position: FeedPosition };

/** What a shard knows of feeds. */
export interface FeedState {
  /** undefined while the shard does not log. */
  readonly log: LogState | undefined;
  /** Feeds of which the shard is the target, by id. */
  readonly feeds: Readonly<Record<string, FeedProgress>>;
}

/** Records of a log, in order and without a gap. */
export interface LogChunk {
  readonly after: FeedPosition;
  /** Encoded, see types/feed-codec.ts; empty where no record concerns the slots asked for, or there is none. */
  readonly records: Uint8Array;
  /** Where the next chunk begins: equal to `after` when there was nothing to read. */
  readonly last: FeedPosition;
}

/** A position that its log cannot continue: the records behind it have gone, or the log has. Copy again. */
export interface LogGone {
  readonly gone: true;
}

/** Rows of a range of keys. */
export interface CopySlice {
  /** The range: behind this key, latin1; undefined = from the first. */
  readonly after: string | undefined;
  /** The range: up to and with this key; undefined = to the last. */
  readonly last: string | undefined;
  /** Encoded, see types/feed-codec.ts. */
  readonly rows: Uint8Array;
  readonly rowCount: number;
  /** Whether nothing comes behind it. */
  readonly isDone: boolean;
}

/** What applying something did to the rows of the target. */
export interface Applied {
  /** Rows written. */
  readonly applied: number;
  /** Rows that a later or equal one held its place against. */
  readonly skipped: number;
  /** Rows that the source has no more. */
  readonly removed: number;
}

/** Why something was not applied; nothing of it was. */
export interface Refusal {
  /**
   * `clock`: a row is from too far in the future, asking again later may succeed.
   * `position`: it does not follow on what was applied before, or no copy was begun: ask for the state, go on from there.
   * `format`: the bytes are not what this version knows.
   */
  readonly refused: 'clock' | 'position' | 'format';
  /** For people. */
  readonly message: string;
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
    | { readonly kind: 'applyCopy'; readonly feed: string; readonly slice: CopySlice }
    | { readonly kind: 'applyRecords'; readonly feed: string; readonly chunk: LogChunk }
    | { readonly kind: 'forgetFeed'; readonly feed: string }
    | { readonly kind: 'removeSlots'; readonly slots: FeedSlots; readonly after: string | undefined }
  );

export type FeedTaskKind = FeedTask['kind'];

/** What each task replies. */
export interface FeedReplies {
  readonly setLogging: LogState | undefined;
  readonly feedState: FeedState;
  readonly readLog: LogChunk | LogGone;
  readonly trimLog: undefined;
  readonly copySlice: CopySlice;
  readonly beginCopy: undefined;
  readonly applyCopy: Applied | Refusal;
  readonly applyRecords: Applied | Refusal;
  readonly forgetFeed: undefined;
  readonly removeSlots: SlotsRemoval;
}
