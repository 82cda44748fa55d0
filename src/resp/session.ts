import type { Buffer } from 'node:buffer';
import type { RespVersion } from '../base/reply-writer.js';
import type { Command } from '../commands/table.js';
import type { Keyspace } from '../node/keyspaces.js';
import type { ShardRoute } from '../workers/pool.js';
import { SegmentFlag } from '../workers/protocol.js';
import type { RemoteWatch } from './remote-watch.js';

/**
 * Reasons why a connection's commands must be looked at before they take the short way to a shard.
 * While none holds, of the connection and of the server, a command costs one comparison.
 */
export const Attention = {
  /** It has not given the password. */
  Unauthenticated: 1,
  /** It is between MULTI and EXEC. */
  Transaction: 2,
  /** CLIENT REPLY OFF or SKIP. */
  Silent: 4,
  /** It receives what MONITOR shows, and may say little else. */
  Monitor: 8,
  /** Of the server: somebody monitors. */
  Monitored: 16,
  /** Of the server: CLIENT PAUSE. */
  Paused: 32,
  /** It came in by a cluster door. */
  ClusterDoor: 64,
} as const;

/** A command that MULTI has queued. */
export interface QueuedCommand {
  readonly command: Command;
  readonly args: Buffer[];
  readonly frames: Buffer;
}

/** What one connection has said of itself: its keyspace, protocol, name, transaction. No sockets here. */
export class Session {
  /** The number of the selected database; undefined when a keyspace without a number is selected. */
  db: number | undefined = 0;
  /** What is selected; of a number, looked up again when undefined. */
  keyspace: Keyspace | undefined;
  /** The way to it when it is one shard and here; looked up again when undefined. */
  route: ShardRoute | undefined;
  version: RespVersion = 2;
  /** Bits of Attention. */
  attention = 0;
  name = '';
  libraryName = '';
  libraryVersion = '';
  user = 'default';
  noEvict = false;
  noTouch = false;
  /** Commands behind MULTI; undefined outside. */
  queued: QueuedCommand[] | undefined;
  /** Bytes of the reads that brought them. */
  queuedBytes = 0;
  /** Whether a command behind MULTI could not be queued. */
  transactionFailed = false;
  /** Shards on which keys are watched. */
  readonly watched = new Set<ShardRoute>();
  /** Keys that are watched on another store. */
  remoteWatch: RemoteWatch | undefined;
  /** The slot of watched keys, where a keyspace has several shards: that of the transaction must be the same. */
  watchedSlot: { readonly keyspace: Keyspace; readonly slot: number } | undefined;
  /** The slot of the commands behind MULTI, where the keyspace has several shards. */
  queuedSlot: number | undefined;
  /** The keyspace, by its name, of the cluster door that it came in by; '' for the plain door. */
  door = '';
  /** ASKING was said: the next command may be for a slot that is on its way here. */
  isAsking = false;
  /** ASKING was said for the command at hand. */
  hasAsked = false;
  /** READONLY: commands that only read may be answered from a copy. */
  takesCopies = false;
  /** How many keys of a command are here whose slot is on its way; the command is known by its arguments. */
  movingKeys: { readonly args: readonly Buffer[]; readonly here: number } | undefined;
  /** It is another node, which asks for one keyspace on behalf of its clients. */
  isPeer = false;
  /** The id of its store; '' of a gateway, and of clients. */
  peerStore = '';
  /** A watched key is known to be lost sight of: the worker that watched died, or SWAPDB exchanged its database. */
  watchBroken = false;
  /** CLIENT REPLY: what becomes of replies. `skip` is said before the command to skip, which makes it `skipping`. */
  replies: 'on' | 'off' | 'skip' | 'skipping' = 'on';
  /** Whether the connection is to end when all replies so far are written. */
  closing = false;
  lastCommand: Command | undefined;
  readonly createdAtMs = Date.now();
  lastCommandAtMs = this.createdAtMs;

  constructor(readonly id: number) {}

  /** Bits of SegmentFlag that go with its commands. */
  get segmentFlags(): number {
    return (this.version === 3 ? SegmentFlag.Resp3 : 0) | (this.noTouch ? SegmentFlag.NoTouch : 0);
  }

  set(attention: number, holds: boolean): void {
    this.attention = holds ? this.attention | attention : this.attention & ~attention;
  }

  /**
   * To be called before each command. CLIENT REPLY SKIP drops what the command behind it replies; that of the one
   * after that is not dropped any more.
   */
  nextReply(): void {
    if (this.replies === 'skip') this.replies = 'skipping';
    else if (this.replies === 'skipping') {
      this.replies = 'on';
      this.set(Attention.Silent, false);
    }
  }

  /** The command at hand will run later. */
  putReplyBack(): void {
    if (this.replies === 'skipping') this.replies = 'skip';
    this.isAsking = this.hasAsked;
  }

  /** The command that was put back, the last one, will not run: what was said for it counts for none behind it. */
  giveUp(): void {
    this.nextReply();
    if (this.lastCommand !== undefined) this.takeAsking(this.lastCommand);
  }

  /** RESET, but for transaction, watches and MONITOR. As in Redis, the library's name and NO-EVICT stay. */
  reset(): void {
    this.select(0);
    this.version = 2;
    this.name = '';
    this.noTouch = false;
    this.isAsking = false;
    this.takesCopies = false;
    if (this.replies === 'skipping') return;
    this.replies = 'on';
    this.set(Attention.Silent, false);
  }

  /** @param selection a database number, or a keyspace that has none */
  select(selection: number | Keyspace): void {
    if (this.isPeer || this.door !== '') return;
    this.route = undefined;
    if (typeof selection === 'number') {
      this.db = selection;
      this.keyspace = undefined;
    } else {
      this.db = undefined;
      this.keyspace = selection;
    }
  }

  /** The connection is another node's, for this keyspace and no other, whatever number it may have. */
  bindPeer(keyspace: Keyspace, store: string): void {
    this.isPeer = true;
    this.peerStore = store;
    this.route = undefined;
    this.db = undefined;
    this.keyspace = keyspace;
  }

  /** The connection came in by a cluster door: it stays at this keyspace, by whose name it is looked up. */
  bindDoor(keyspace: string): void {
    this.door = keyspace;
    this.db = undefined;
    this.set(Attention.ClusterDoor, true);
  }

  /** To be called before each command at a cluster door: ASKING counts for one, or for a transaction. */
  takeAsking(command: Command): void {
    this.hasAsked = this.isAsking;
    const isInTransaction =
      this.queued !== undefined && command.name !== 'exec' && command.name !== 'discard';
    if (!isInTransaction && command.name !== 'multi') this.isAsking = false;
  }

  /** The topology has changed: numbers may mean other keyspaces, and keyspaces be elsewhere. */
  forgetRoute(): void {
    this.route = undefined;
    if (this.isPeer) return;
    if (this.door !== '') {
      // EXEC may wait here for its shard, and is not looked at again as a command of the door.
      if (this.keyspace?.deleted) this.keyspace = undefined;
    } else if (this.db !== undefined) this.keyspace = undefined;
    // It may have been given a number since.
    else if (this.keyspace?.db !== undefined && !this.keyspace.deleted) this.select(this.keyspace.db);
  }

  /** What people call the selected keyspace: its number, or its name where it has none. */
  get selection(): number | string {
    return this.db ?? this.keyspace?.name ?? (this.door || 0);
  }

  /** Leaves MULTI. */
  endTransaction(): void {
    this.queued = undefined;
    this.queuedBytes = 0;
    this.queuedSlot = undefined;
    this.transactionFailed = false;
    this.set(Attention.Transaction, false);
  }

  /** Forgets the watches; the shards are told by the caller. */
  endWatches(): void {
    this.watched.clear();
    this.watchBroken = false;
    this.remoteWatch = undefined;
    this.watchedSlot = undefined;
  }
}
