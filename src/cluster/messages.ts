import type { ShardStatus, TaskProgress } from './manager.js';
import type { KeyspaceReport } from './plan/reports.js';
import type { StoreEntry, Topology } from './topology.js';

/*
 * The conversation of a store with its master, as values; in one process they are passed as they are, between
 * processes as the protobuf messages of master.proto.
 *
 * A store registers with all it remembers. From then on the master sends it each topology that concerns it; the store
 * opens the shards that it is to hold, removes those it is not, stores the topology, and says so. That is all there is
 * to a change: creating a keyspace is a topology with one more entry, sent first to those who will hold it.
 */

/** What a store says of its part in a keyspace. */
export interface KeyspaceNews extends KeyspaceReport {
  /** Its id. */
  readonly keyspace: string;
}

/** What a store says. */
export type StoreMessage =
  | {
      readonly kind: 'register';
      /** Its epoch is the master's to set. */
      readonly store: StoreEntry;
      /** Everything the store remembers. */
      readonly topology: Topology;
    }
  /** A topology has been put into effect, or could not be. */
  | { readonly kind: 'applied'; readonly epoch: number; readonly error?: string }
  /** A sign of life. */
  | {
      readonly kind: 'report';
      readonly freeBytes: number;
      readonly totalBytes: number;
      readonly shards: readonly ShardStatus[];
      /** Of keyspaces that are changed, or have several copies, as far as this store is concerned. */
      readonly keyspaces: readonly KeyspaceNews[];
    }
  | { readonly kind: 'progress'; readonly task: number; readonly progress: TaskProgress }
  | { readonly kind: 'finished'; readonly task: number; readonly error?: string };

/** What the master says to a store. */
export type MasterMessage =
  /** The first one: the store belongs to the cluster, whose id it is to keep. */
  | { readonly kind: 'welcome'; readonly clusterId: string }
  /** The last one: why the store cannot belong to this cluster. It must not try again by itself. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** To be put into effect, and answered with `applied`. */
  | { readonly kind: 'topology'; readonly topology: Topology }
  /** To rewrite a shard; answered with `progress` and `finished`. */
  | { readonly kind: 'compact'; readonly task: number; readonly keyspace: string; readonly shard: number };

/** One end of such a conversation; `In` is heard, `Out` is said. */
export interface MessageStream<In, Out> {
  /** To be set before the current turn of the event loop ends: messages are not kept. */
  onMessage: (message: In) => void;
  /** The stream ended, with the reason where there is one; nothing is heard after. */
  onEnd: (error: Error | undefined) => void;
  /** Does nothing once the stream has ended. */
  send(message: Out): void;
  end(): void;
}

/** A store's end. */
export type MasterStream = MessageStream<MasterMessage, StoreMessage>;
/** The master's end. */
export type StoreStream = MessageStream<StoreMessage, MasterMessage>;
