import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import { frameOf } from '../cluster/frames.js';
import { type Link, MOVED_CODE } from '../cluster/link.js';
import type { RemoteLinks } from '../cluster/links.js';
import type { Command } from '../commands/table.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import { type Blocking, sendAgain, WaitTimer } from './blocking.js';
import type { Connection } from './connection.js';
import { cannotForward, ELSEWHERE } from './forwarding.js';
import { refuse } from './refusal.js';
import type { Slot } from './reply-queue.js';
import type { RespServer } from './server.js';

const TOO_MANY = new CommandError(
  'ERR too many clients of this node wait for keys, or watch keys, on other stores: connect to the stores that have them',
);
const UNBLOCKED = Buffer.from('-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n');
const MOVED = Buffer.from(`-${MOVED_CODE}`);

/** A command that was not answered for so long is taken to wait, milliseconds. */
const WAITS_AFTER_MS = 100;
/** How long to wait for news of where a shard is before asking again. */
const MOVED_DELAY_MS = 50;

/** A command that may wait, on another store, by a link of its own. */
class RemoteBlocking implements Blocking {
  isBlocked = false;
  readonly route = undefined;
  private isOver = false;
  private readonly timer: WaitTimer;
  private readonly assumption: NodeJS.Timeout;

  constructor(
    private readonly connection: Connection,
    private readonly args: Buffer[],
    private readonly slot: Slot,
    private readonly links: RemoteLinks,
    private readonly link: Link,
    /** Unix milliseconds, where the waiting has begun before; 0 = it is the other node that keeps the time. */
    deadlineMs: number,
  ) {
    this.timer = new WaitTimer(deadlineMs, () => this.end(this.inVain()));
    this.assumption = setTimeout(() => {
      this.isBlocked = true;
      if (connection.inputEnded) connection.destroy('');
    }, WAITS_AFTER_MS);
  }

  get hasTimeout(): boolean {
    return this.timer.deadlineMs !== 0;
  }

  /** The reply. */
  deliver(bytes: Buffer): void {
    if (this.isOver) return;
    if (!bytes.subarray(0, MOVED.length).equals(MOVED)) this.finish(bytes, !this.link.isClosed);
    else {
      // Where the shard is now may be known here in a moment.
      clearTimeout(this.assumption);
      this.isBlocked = true;
      setTimeout(() => this.askAgain(), MOVED_DELAY_MS);
    }
  }

  /** Sends the command to where its shard is now, with its whole time where nobody knows what is left of it. */
  askAgain(): void {
    if (this.isOver) return;
    const { deadlineMs } = this.timer;
    this.release(!this.link.isClosed);
    sendAgain(this.connection, this.slot, this.args, deadlineMs === 0 ? undefined : deadlineMs);
  }

  leave(): void {
    if (!this.isOver) this.release(false);
  }

  unblock(asError: boolean): Promise<boolean> {
    if (this.isOver) return Promise.resolve(false);
    this.end(asError ? UNBLOCKED : this.inVain());
    return Promise.resolve(true);
  }

  private inVain(): Buffer {
    return Buffer.from(this.connection.session.version === 3 ? '_\r\n' : '*-1\r\n');
  }

  /** Replies, and has the other node see that nobody waits there any more. */
  private end(reply: Buffer): void {
    if (!this.isOver) this.finish(reply, false);
  }

  private finish(reply: Buffer, isClean: boolean): void {
    this.release(isClean);
    this.slot.deliver(reply, 0);
    this.connection.endBlocking();
  }

  private release(isClean: boolean): void {
    this.isOver = true;
    this.timer.stop();
    clearTimeout(this.assumption);
    this.links.release(this.link, isClean);
  }
}

/** Sends a command that may wait to another store. */
export function blockElsewhere(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
  place: ShardPlace,
): void {
  const { session, replies } = connection;
  const { links } = server;
  const deadlineMs = connection.takeResumed(args) ?? 0;
  const refusal = cannotForward(session, keyspace, place);
  const link = refusal ?? links.openDedicated(place.store, keyspace.id, session.version, () => undefined);
  if (link === undefined || link instanceof CommandError) {
    refuse(connection, link ?? TOO_MANY, command, server);
    return;
  }
  connection.pushReady();
  const slot = replies.reserve(ELSEWHERE, 0, session.replies !== 'on');
  const blocking = new RemoteBlocking(connection, args, slot, links, link, deadlineMs);
  link.sendPatiently(blocking, frameOf(args, frames));
  connection.countUnderWay(slot);
  connection.beginBlocking(blocking);
  server.forwardedCommands++;
}
