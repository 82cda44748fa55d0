/**
 * Every message that crosses between the front and the workers.
 *
 * Hot path: a batch of requests crosses as one transferred ArrayBuffer, its replies come back in one or more.
 * Everything else (opening shards, settings, statistics) is a Piscina task, see {@link WorkerTask}.
 *
 * A batch is 32-bit words, then bytes:
 *
 *   word 0      number of words; the bytes begin behind them
 *   word 1      bits of BatchFlag
 *   word 2      number of segments
 *   segments    client id, shard, target shard or 0, bits of SegmentFlag, number of commands, then commands
 *   commands    place in the command table (or an Instruction), number of arguments, offset and length of each
 *
 * A segment is a run of commands of one receiver; offsets count from the first byte behind the words.
 */

export const BATCH_HEADER_WORDS = 3;
export const SEGMENT_HEADER_WORDS = 5;

export const BatchFlag = {
  /** Some command of the batch empties a shard, for which a fresh instance must be prepared. */
  Flushes: 1,
} as const;

export const SegmentFlag = {
  Resp3: 1,
  /** The commands are those of a MULTI: EXEC's reply, all or nothing, subject to the client's watches. */
  Transaction: 2,
  /** CLIENT NO-TOUCH: reads do not count as accesses. */
  NoTouch: 4,
  /** One command, which may wait; its receiver is a WaitingReceiver. */
  MayWait: 8,
  /** Its client has waited already, and takes its place in the lines of its keys again: see ShardContext.isResumed. */
  Resumed: 16,
} as const;

/** What stands in place of a command's number where something else than a command is meant. */
export const Instruction = {
  /** The argument is a reply that the front has made already: it takes its place among the others. */
  Reply: -1,
  /** The first argument's offset is the shard of the commands that follow. */
  UseShard: -2,
  /** The first argument's offset is the target shard of the command that follows. */
  UseTarget: -3,
  /** Forget the client's watches: UNWATCH, DISCARD, the end of a connection. No reply. */
  Unwatch: -4,
  /** Empty the current shard without a reply of its own: FLUSHALL in a MULTI. */
  Flush: -5,
  /** The reply to the flushes since the last one: OK, or why they did not all happen. */
  FlushReply: -6,
  /** SWAPDB: what was watched on the shard is watched on the target, and the other way round. */
  SwapWatches: -7,
  /** Ends the waiting of the client, if it waits; the first argument's offset is the WaitEnd. No reply. */
  EndWait: -8,
} as const;

/** How the waiting of a client for keys ends. */
export const WaitEnd = {
  /** The command has been run. */
  Served: 1,
  /** The time is up, or CLIENT UNBLOCK says so. */
  Timeout: 2,
  /** CLIENT UNBLOCK … ERROR. */
  Error: 3,
  /** The client has left. */
  Left: 4,
  /** The shard goes, or the database means another one: the command is to be sent again. */
  Again: 5,
} as const;
export type WaitEnd = (typeof WaitEnd)[keyof typeof WaitEnd];

/** The end of a client's waiting, with the reply to its command: none if it has left or is to ask again. */
export interface EndedWait {
  readonly clientId: number;
  readonly end: WaitEnd;
  readonly reply: Uint8Array;
  /** What to send again, if not the words that came: see Wait. */
  readonly again?: readonly string[] | undefined;
}

/** A batch, alone or with memory for replies that the front has no more use for. */
export type BatchMessage = ArrayBuffer | { readonly batch: ArrayBuffer; readonly spare: ArrayBuffer };

/**
 * One message from a worker: some or all of a batch's replies, or what became of clients that wait. Where it tells nothing
 * beside replies, it crosses as the memory of these alone, see reply-wire.ts.
 */
export interface ReplyMessage {
  /** Reply bytes, then a table of three words an entry: segment, byte length, and 0 if the segment is complete or else how many of its commands are. */
  readonly buffer: ArrayBuffer;
  readonly tableOffset: number;
  readonly entries: number;
  /** Whether the batch is done. */
  readonly last: boolean;
  /** Commands that took long, see SLOWLOG. */
  readonly slow?: readonly SlowCommand[];
  /** Of the shards whose writes were logged, see feeds: the shard, the number of the last record, and so on. */
  readonly logged?: readonly number[];
  /** Clients that wait from now on: segment, client, and for how many milliseconds (0 = for ever); and so on. */
  readonly blocked?: readonly number[];
  /** Clients that have waited. One may be in both: it began to wait and was served. */
  readonly ended?: readonly EndedWait[];
}

export interface SlowCommand {
  readonly clientId: number;
  /** Place in the command table. */
  readonly command: number;
  readonly microseconds: number;
  readonly unixMs: number;
  /** The first arguments, shortened, latin1. */
  readonly arguments: readonly string[];
}

/** What the workers need of the configuration; sent again when it changes. */
export interface WorkerSettings {
  readonly appendfsync: 'always' | 'everysec' | 'no';
  readonly protoMaxBulkBytes: number;
  readonly eventTimeDriftMaxMs: number;
  readonly tombstoneRetentionMs: number;
  readonly feedLogBytesMax: number;
  readonly feedClockDriftMaxMs: number;
  readonly scanIdleMaxMs: number;
  /** Up to where collections are small. */
  readonly collections: import('../types/collections/collection.js').CollectionLimits;
  readonly maxmemoryPolicy: string;
  /** See ShardSettings. */
  readonly heldBytesMax: number;
  /** Budget of the row cache of this worker, bytes. */
  readonly rowCacheBytes: number;
  /** Whether expired keys are removed before somebody asks for them: not after DEBUG SET-ACTIVE-EXPIRE 0. */
  readonly activeExpire: boolean;
  /** Commands that take at least so long are reported; −1 = none. */
  readonly slowMicroseconds: number;
}

/** RocksDB's memory for one shard, fixed while it is open. */
export interface ShardStorage {
  readonly blockCacheBytes: number;
  /** Of one memtable; up to six exist at a time. */
  readonly memtableBytes: number;
  /** See FamilySizes. */
  readonly logMemtableBytes?: number;
}

/** Tasks of the Piscina pool. `owner` is the number of the worker that must run it. */
export type WorkerTask =
  | import('./feed-protocol.js').FeedTask
  | import('./snapshot-protocol.js').SnapshotTask
  | {
      readonly kind: 'attach';
      readonly owner: number;
      readonly port: import('node:worker_threads').MessagePort;
      readonly settings: WorkerSettings;
      readonly statistics: SharedArrayBuffer;
    }
  | { readonly kind: 'configure'; readonly owner: number; readonly settings: WorkerSettings }
  | {
      readonly kind: 'open';
      readonly owner: number;
      readonly shard: number;
      readonly directory: string;
      readonly storage: ShardStorage;
      readonly watches: readonly import('./watch-table.js').WatchRecord[];
      /** What commands see; undefined = all. */
      readonly shown: import('./feed-protocol.js').Shown | undefined;
      /** The slots that are the shard's; undefined = all. */
      readonly own: import('../types/feed-codec.js').FeedSlots | undefined;
    }
  | { readonly kind: 'close'; readonly owner: number; readonly shard: number }
  | { readonly kind: 'sync'; readonly owner: number }
  /** The next step of rewriting a shard, which begins with the first one. Replied with {@link RewriteProgress}. */
  | { readonly kind: 'rewrite'; readonly owner: number; readonly shard: number }
  /** Gives up a rewriting that was begun. */
  | { readonly kind: 'abandonRewrite'; readonly owner: number; readonly shard: number }
  /** `ttl`: also the average time to live of each shard's keys, which takes a moment. */
  | { readonly kind: 'report'; readonly owner: number; readonly ttl: boolean }
  | { readonly kind: 'resetStatistics'; readonly owner: number }
  | { readonly kind: 'sleep'; readonly owner: number; readonly milliseconds: number }
  | { readonly kind: 'inspect'; readonly owner: number; readonly shard: number; readonly key: string }
  | { readonly kind: 'property'; readonly owner: number; readonly shard: number; readonly name: string }
  | { readonly kind: 'crash'; readonly owner: number };

/** Reply to the task `rewrite`. */
export interface RewriteProgress {
  readonly copiedBytes: number;
  /** An estimate, until all is copied. */
  readonly totalBytes: number;
  /** Whether the shard is the rewritten one. */
  readonly isDone: boolean;
}

/** Reply to the task `close`. */
export interface ClosedShard {
  readonly watches: readonly import('./watch-table.js').WatchRecord[];
}

/** Reply to the task `report`. */
export interface WorkerReport {
  readonly shards: readonly ShardReport[];
  readonly cacheBytes: number;
  readonly cacheLimitBytes: number;
  readonly evictions: number;
  readonly heapUsedBytes: number;
  /** What the heap's objects hold outside of it. */
  readonly externalBytes: number;
  readonly batches: number;
  /** Commands that the batches held. */
  readonly commands: number;
  /** Error replies by their code. */
  readonly errors: ReadonlyMap<string, number>;
}

export interface ShardReport {
  readonly shard: number;
  readonly keys: number;
  readonly expiring: number;
  /** 0 when none was asked for, or no key expires. */
  readonly averageTtlMs: number;
  readonly keyspaceHits: number;
  readonly keyspaceMisses: number;
  readonly expired: number;
  readonly memtableBytes: number;
  readonly blockCacheBytes: number;
  readonly tableReaderBytes: number;
  /** What is alive, by an estimate. */
  readonly liveBytes: number;
  /** What the files of all families take, be it alive or not. */
  readonly tableBytes: number;
  readonly watchedKeys: number;
  /** Why writes are refused at present; '' when they are not. */
  readonly failure: string;
}
