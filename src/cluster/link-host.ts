import type { Duplex } from 'node:stream';
import type { RespVersion } from '../base/reply-writer.js';
import type { LinkRequest } from './link-request.js';

/** Where a link leads. */
export interface LinkTarget {
  /** Id of the store. */
  readonly store: string;
  /** Id of the keyspace. */
  readonly keyspace: string;
  /** Version of the protocol that its commands are answered in. */
  readonly version: RespVersion;
}

/** A connection that is being opened. */
export interface Opening {
  readonly socket: Duplex;
  /** The event after which it can be written to. */
  readonly readyEvent: string;
  /** What is said first; each is answered before anything else is sent. */
  readonly greeting: readonly Buffer[];
  /** `host:port`, for messages. */
  readonly address: string;
}

/** What a link needs of those who hold it. */
export interface LinkHost {
  /** `cluster-node-timeout`. */
  readonly timeoutMs: number;
  /** Opens a connection to where the target is now; a text tells why that cannot be. */
  open(target: LinkTarget): Opening | string;
  /** Some of the request's commands were refused because their shard is not there. Its other replies are in. */
  moved(target: LinkTarget, request: LinkRequest): void;
}
