import type { FeedPosition, FeedResume } from '../../cluster/feed-messages.js';
import type { ShardRoute } from '../../workers/pool.js';

/** What a shard knows of feeds, on its disk. */
export interface FeedState {
  /** undefined while it does not log. `sequence` is that of the last record. */
  readonly log: (FeedPosition & { readonly firstSequence: number; readonly bytes: number }) | undefined;
  /** By the ids of the feeds that it follows. */
  readonly feeds: Readonly<Record<string, FeedResume>>;
}

/** A piece of a copy. */
export interface CopySlice {
  readonly rows: Uint8Array;
  readonly rowCount: number;
  /** The last key that was looked at, latin1; undefined where there was none. */
  readonly last: string | undefined;
  readonly isDone: boolean;
}

/** What the workers do for feeds: WorkerPool has it. All of it rejects while the shard's worker is away. */
export interface FeedEngine {
  /** Has a shard log its changes, or not any more. @returns the end of the log */
  setLogging(route: ShardRoute, on: boolean): Promise<FeedPosition>;
  feedState(route: ShardRoute): Promise<FeedState>;
  /** Records behind a position; `last` is `after` where there are none, `gone` where they are not there any more. */
  readLog(
    route: ShardRoute,
    after: FeedPosition,
    bytesMax: number,
  ): Promise<{ readonly records: Uint8Array; readonly last: FeedPosition } | { readonly gone: true }>;
  /** Nobody needs the records up to that one. */
  trimLog(route: ShardRoute, through: number): Promise<void>;
  copySlice(
    route: ShardRoute,
    after: string | undefined,
    slots: Uint8Array | undefined,
    bytesMax: number,
  ): Promise<CopySlice>;
  applyCopy(route: ShardRoute, feed: string, slice: CopyPiece): Promise<void>;
  applyRecords(
    route: ShardRoute,
    feed: string,
    records: Uint8Array,
    position: FeedPosition,
    slots: Uint8Array | undefined,
  ): Promise<void>;
  forgetFeed(route: ShardRoute, feed: string): Promise<void>;
}

/** A piece of a copy, with where it belongs. */
export interface CopyPiece {
  readonly rows: Uint8Array;
  /** The log behind which the feed goes on after the copy. */
  readonly begin: FeedPosition;
  /** undefined = from the first key. */
  readonly after: string | undefined;
  readonly last: string | undefined;
  readonly isDone: boolean;
  readonly slots: Uint8Array | undefined;
}
