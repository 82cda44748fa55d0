import type { CopySlice, FeedPosition, FeedStart, LogChunk } from '../types/feed.js';
import type { MessageStream } from './messages.js';

/*
 * The conversation by which rows go from one store to another, as values; between processes they are the protobuf
 * messages of peer.proto.
 *
 * A follower opens a feed: of one shard of a keyspace, into one of its own. The source answers with where the feed
 * begins, and then sends a copy of the rows, in order of their keys, and the records of the shard's log behind it; or,
 * where the follower has the copy, the records at once. It goes on until either side ends it. The follower keeps its
 * position with the rows, so that after any interruption the feed goes on where it was.
 */

/** What a follower says. */
export type FollowerMessage =
  | {
      /** The first one. */
      readonly kind: 'open';
      readonly clusterId: string;
      /** The store that follows. */
      readonly follower: string;
      /** Whom it means to speak to: another store may have taken over the address. */
      readonly source: string;
      /** By what the follower knows the feed. */
      readonly feed: string;
      /** Id of the keyspace. */
      readonly keyspace: string;
      /** The shard at the source. */
      readonly shard: number;
      /** One bit for each slot whose rows are wanted, from the lowest bit of the first byte; undefined = all. */
      readonly slots: Uint8Array | undefined;
      /** Those of them of which a copy has to be whole: of the others what there is will do; undefined = all of them. */
      readonly whole: Uint8Array | undefined;
      /** What the source has of them will do for a copy, though it is not all: the follower has, or gets, the rest from others. */
      readonly partWillDo: boolean;
      /**
       * What the source's clients have written is all that the follower lacks: if the log has it from its first record on,
       * nothing is copied.
       */
      readonly fromBeginning: boolean;
      /** undefined = it has nothing yet. */
      readonly resume: FeedStart | undefined;
    }
  /** A sign of life, and what has been received and is safe. */
  | {
      readonly kind: 'ack';
      /** The last record that it has; undefined while it copies. */
      readonly position: FeedPosition | undefined;
      /** Bytes of rows and records of this conversation that need not be kept in mind any more. */
      readonly bytes: number;
    };

/** That the source has written nothing of some slots behind a record, in the phase of a change that began with an epoch. */
export interface LogMark {
  readonly epoch: number;
  /** Number of the last record before it. */
  readonly sequence: number;
}

/** What a source says. */
export type SourceMessage =
  /**
   * What comes next: where there is a copy to be made, its rows; then the records of the log. It is the first message,
   * and comes again when the log has lost records that this follower still needed.
   */
  | { readonly kind: 'begin'; readonly from: FeedStart }
  /** The next rows of the copy, those in the feed's slots. */
  | { readonly kind: 'slice'; readonly slice: CopySlice }
  /** The next records of the log; what concerns other slots is left out. */
  | { readonly kind: 'records'; readonly chunk: LogChunk }
  /** A sign of life. */
  | {
      readonly kind: 'beat';
      /** The last record of the log. */
      readonly position: FeedPosition;
      /** Unix milliseconds at the source. */
      readonly nowMs: number;
      /** In that log. */
      readonly marks: readonly LogMark[];
    }
  /** The last one: why the source ends the feed. The follower may try again. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A follower's end. */
export type SourceStream = MessageStream<SourceMessage, FollowerMessage>;
/** A source's end. */
export type FollowerStream = MessageStream<FollowerMessage, SourceMessage>;
