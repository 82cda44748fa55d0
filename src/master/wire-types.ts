/* The messages of master.proto as @grpc/proto-loader has them (see proto.ts). */

/** A nested message, which may be missing. */
export type Maybe<Message> = Message | null | undefined;

export interface WireStore {
  id: string;
  epoch: number;
  host: string;
  port: number;
  tlsPort: number;
  peerPort: number;
  zone: string;
  tags: string[];
  doors: { port: number; keyspace: string }[];
  isDrained: boolean;
  drainEpoch: number;
}

export interface WireKeyspace {
  id: string;
  epoch: number;
  name: string;
  db?: number;
  replicas: number;
  tags: string[];
  shards: WireShard[];
  deleted: boolean;
  change?: Maybe<WireChange>;
}

export interface WireShard {
  stores: string[];
  home: string;
  since: number;
}

export interface WireChange {
  id: string;
  kind: string;
  phase: string;
  startedAtMs: number;
  since: number;
  sinceMs: number;
  replicas: number;
  attempts: number;
  shards: WireShard[];
}

export interface WireTopology {
  clusterId: string;
  stores: WireStore[];
  keyspaces: WireKeyspace[];
}

export interface WireShardStatus {
  keyspace: string;
  shard: number;
  keys: number;
  bytes: number;
  state: string;
  follows: WireFollowStatus[];
}

export interface WireFollowStatus {
  store: string;
  shard: number;
  /** As master.proto numbers them. */
  state: number;
  problem: string;
  isLevel: boolean;
  position: number;
  lagRecords: number;
  lagMs: number;
  copiedRows: number;
  copiedBytes: number;
}

export interface WireKeyspaceNews {
  keyspace: string;
  epoch: number;
  copies: WireCopyReport[];
}

export interface WireCopyReport {
  shard: number;
  failure: string;
  isComplete: boolean;
  isClean: boolean;
  holding: number;
  expired: number;
  feeds: WireFeedReport[];
}

export interface WireFeedReport {
  store: string;
  shard: number;
  isLevel: boolean;
  mark: number;
  position: number;
}

export interface WireChangeRequest {
  kind: string;
  keyspace: string;
  shards: number;
  replicas: number;
  shard: number;
  store: string;
  to: string;
}

export interface WireChangeStatus {
  id: string;
  keyspace: string;
  kind: string;
  phase: string;
  startedAtMs: number;
  attempts: number;
  rows: number;
  rowsTotal: number;
  bytes: number;
  bytesTotal: number;
  waitsFor: string[];
  isResting: boolean;
}

export interface WireProgress {
  done: number;
  total: number;
  phase: string;
}

/** Of the members one is there: that which `message` names. */
export interface WireStoreMessage {
  message?: string;
  register?: Maybe<{ store: Maybe<WireStore>; topology: Maybe<WireTopology> }>;
  applied?: Maybe<{ epoch: number; error?: string }>;
  report?: Maybe<{
    freeBytes: number;
    totalBytes: number;
    shards: WireShardStatus[];
    keyspaces: WireKeyspaceNews[];
  }>;
  progress?: Maybe<{ task: number; progress: Maybe<WireProgress> }>;
  finished?: Maybe<{ task: number; error?: string }>;
}

/** As {@link WireStoreMessage}. */
export interface WireMasterMessage {
  message?: string;
  welcome?: Maybe<{ clusterId: string }>;
  refused?: Maybe<{ reason: string }>;
  topology?: Maybe<WireTopology>;
  compact?: Maybe<{ task: number; keyspace: string; shard: number }>;
}

/** As {@link WireStoreMessage}. */
export interface WireFollowMessage {
  message?: string;
  topology?: Maybe<WireTopology>;
  event?: Maybe<{ atMs: number; text: string }>;
}

export interface WireStoreStatus {
  store: Maybe<WireStore>;
  alive: boolean;
  seenAtMs: number;
  freeBytes: number;
  totalBytes: number;
  shards: WireShardStatus[];
}

export interface WireKeyspaceRequest {
  name: string;
  db?: number;
  shards: number;
  replicas: number;
  tags: string[];
  near: string;
  mayExist: boolean;
}
