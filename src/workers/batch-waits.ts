import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import type { ErrorTally } from '../base/error-tally.js';
import { WAITED_KEYS_MAX } from '../base/limits.js';
import { ReplyWriter } from '../base/reply-writer.js';
import type { ShardContext, ShardSettings, Wait } from '../commands/definition.js';
import type { Command } from '../commands/table.js';
import { type EndedWait, SegmentFlag, WaitEnd } from './protocol.js';
import type { Shard } from './shard.js';
import type { Waiter } from './wait-table.js';

const UNBLOCKED = new CommandError('UNBLOCKED client unblocked via CLIENT UNBLOCK');
const TOO_MANY = new CommandError(
  `ERR clients wait for ${WAITED_KEYS_MAX} keys of this shard already: wait for fewer keys at a time`,
);
const NOTHING = Buffer.alloc(0);
const REPLY_BYTES = 256;

/** What commands wait with: see ShardContext. */
export interface WaitingCommand {
  readonly segment: number;
  readonly shard: Shard;
  readonly clientId: number;
  readonly command: Command;
  readonly reply: ReplyWriter;
  /** Bits of SegmentFlag: whether its receiver can wait for its reply, and has done so before. */
  readonly flags: number;
}

/** Whatever the front is to be told of clients that wait. */
export interface WaitNews {
  readonly blocked?: readonly number[];
  readonly ended?: readonly EndedWait[];
}

/**
 * Clients that wait for keys of a worker's shards, with what the commands since the last commit did about it: nobody
 * is told of what may be undone, and whoever was served by what is undone waits on in the old place.
 */
export class BatchWaits {
  private begun: { segment: number; shard: Shard; waiter: Waiter }[] = [];
  private done: { shard: Shard; waiter: Waiter; end: WaitEnd; reply: Buffer }[] = [];
  /** What stands, and the front was not told yet: see ReplyMessage. */
  private blocked: number[] = [];
  private ended: EndedWait[] = [];
  private readonly reply: ReplyWriter;
  private readonly context: ShardContext;
  private shard: Shard | undefined;
  private clientId = 0;

  constructor(settings: () => ShardSettings, errors: ErrorTally) {
    this.reply = new ReplyWriter(REPLY_BYTES, errors);
    const waits = this;
    this.context = {
      reply: this.reply,
      get view() {
        return waits.shard!;
      },
      target: undefined,
      get settings() {
        return settings();
      },
      get clientId() {
        return waits.clientId;
      },
      writable: true,
    };
  }

  /** The command has found nothing: its client waits, or is told so at once. */
  begin(waiting: WaitingCommand, wait: Wait): void {
    const { segment, shard, clientId, command, reply, flags } = waiting;
    if ((flags & SegmentFlag.MayWait) === 0) replyInstead(command, reply);
    else if (shard.waits.waitedKeys + wait.keys.length > WAITED_KEYS_MAX) reply.error(TOO_MANY);
    else {
      const waiter = shard.waits.begin({ clientId, version: reply.version, wait });
      this.begun.push({ segment, shard, waiter });
      // Whatever is there now is news to who has waited elsewhere.
      if ((flags & SegmentFlag.Resumed) !== 0) for (const key of wait.keys) shard.waits.changed(key);
    }
  }

  /** Lets those go on who wait for keys that have changed, in the order of the changes, first come first. */
  serve(shard: Shard): void {
    const { waits } = shard;
    for (let key = waits.takeReady(); key !== undefined; key = waits.takeReady()) {
      for (const waiter of waits.line(key)) {
        const row = shard.peek(key);
        const { wait } = waiter;
        if (row === undefined && !waits.anyTriesWhenGone) break;
        if (row?.type !== wait.type && wait.triesWhenGone !== true) continue;
        this.shard = shard;
        this.clientId = waiter.clientId;
        this.reply.version = waiter.version;
        if (wait.attempt(this.context, [key])) this.finish(shard, waiter, WaitEnd.Served);
      }
    }
  }

  /** Ends the waiting of a client for another reason than that it is served; one who waits no more was served before. */
  end(shard: Shard, clientId: number, end: WaitEnd): void {
    const waiter = shard.waits.of(clientId);
    if (waiter === undefined) return;
    this.reply.version = waiter.version;
    if (end === WaitEnd.Timeout) this.reply.nilArray();
    else if (end === WaitEnd.Error) this.reply.error(UNBLOCKED);
    this.finish(shard, waiter, end);
  }

  /** Has everybody ask again who waits for keys of a shard, which goes elsewhere. */
  dismiss(shard: Shard): void {
    for (const waiter of shard.waits.takeAll()) this.tell(waiter, WaitEnd.Again, NOTHING);
  }

  private finish(shard: Shard, waiter: Waiter, end: WaitEnd): void {
    shard.waits.remove(waiter);
    this.done.push({ shard, waiter, end, reply: this.reply.take(REPLY_BYTES) });
  }

  private tell({ clientId, wait }: Waiter, end: WaitEnd, reply: Buffer): void {
    this.ended.push({ clientId, end, reply, again: end === WaitEnd.Again ? wait.again : undefined });
  }

  /**
   * Undoes what was not committed.
   * @param kept the segments that will not run again
   * @param committed the shards whose changes stand
   */
  restore(kept: ReadonlyMap<number, unknown>, committed: ReadonlySet<Shard>): void {
    this.reply.rewind(0);
    for (const { shard, waiter, end, reply } of this.done)
      if (committed.has(shard)) this.tell(waiter, end, reply);
      else shard.waits.restore([waiter]);
    for (const { segment, shard, waiter } of this.begun)
      if (kept.has(segment)) this.noteBlocked(segment, waiter);
      else shard.waits.remove(waiter);
    this.done = [];
    this.begun = [];
  }

  /** What was done stands. */
  settle(): void {
    if (this.begun.length > 0) {
      for (const { segment, waiter } of this.begun) this.noteBlocked(segment, waiter);
      this.begun = [];
    }
    if (this.done.length > 0) {
      for (const { waiter, end, reply } of this.done) this.tell(waiter, end, reply);
      this.done = [];
    }
  }

  private noteBlocked(segment: number, { clientId, wait }: Waiter): void {
    this.blocked.push(segment, clientId, wait.timeoutMs);
  }

  /** What the front is to be told; it counts as told then. */
  takeNews(): WaitNews | undefined {
    const { blocked, ended } = this;
    if (blocked.length === 0 && ended.length === 0) return undefined;
    this.blocked = [];
    this.ended = [];
    return { blocked, ended };
  }
}

/** What a command replies that may not wait. */
function replyInstead(command: Command, reply: ReplyWriter): void {
  if (command.waits?.instead === 'nil') reply.nil();
  else reply.nilArray();
}
