/** What crosses between a source and a target of a feed: see docs/design/0011-feeds.md. */

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
  /** What the source knows of flushes, see types/flush-set.ts; absent = it is of an earlier version. */
  readonly flushes?: Uint8Array;
  /** What earlier versions say, and understand, instead: timestamp of a flush of all that the feed is about; absent or 0 = none. */
  readonly flushedAt?: number;
}

/** Where a feed goes on. */
export type FeedStart =
  | {
      readonly phase: 'copying';
      readonly begin: CopyBegin;
      /** The key, latin1, behind which the copy goes on; undefined at its beginning. */
      readonly after: string | undefined;
    }
  | { readonly phase: 'tailing'; readonly position: FeedPosition };

/** Records of a log, in order and without a gap. */
export interface LogChunk {
  readonly after: FeedPosition;
  /** Encoded, see types/feed-codec.ts; empty where no record concerns the slots asked for, or there is none. */
  readonly records: Uint8Array;
  /** Where the next chunk begins: equal to `after` when there was nothing to read. */
  readonly last: FeedPosition;
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
