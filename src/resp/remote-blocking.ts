import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import { encodeCommand, frameOf } from '../cluster/frames.js';
import { isMoved, type Link } from '../cluster/link.js';
import type { RemoteLinks } from '../cluster/links.js';
import { integerOf } from '../cluster/reply-scanner.js';
import type { Command } from '../commands/table.js';
import { waitDeadline, withTimeout } from '../commands/waiting.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import { type Blocking, nextNumber, sendAgain } from './blocking.js';
import type { Connection } from './connection.js';
import { callRemote, cannotForward, ELSEWHERE, Whole } from './forwarding.js';
import { refuse } from './refusal.js';
import type { Slot } from './reply-queue.js';
import type { RespServer } from './server.js';

const TOO_MANY = new CommandError(
  'ERR too many clients of this node wait for keys, or watch keys, on other stores: connect to the stores that have them',
);
const UNBLOCKED = Buffer.from('-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n');

/** A command that was not answered for so long is taken to wait, milliseconds. */
const WAITS_AFTER_MS = 100;
/** How long to wait for news of where a shard is before asking again. */
const MOVED_DELAY_MS = 50;

/** A command that may wait, on another store, by a link of its own. The other node keeps the time. */
class RemoteBlocking implements Blocking {
  isBlocked = false;
  readonly number = nextNumber();
  readonly route = undefined;
  private isOver = false;
  /** Whether it was refused because the shard had gone, and is to be sent again: nobody waits meanwhile. */
  private isBetween = false;
  private readonly assumption: NodeJS.Timeout;

  constructor(
    private readonly connection: Connection,
    private readonly args: Buffer[],
    private readonly slot: Slot,
    private readonly links: RemoteLinks,
    private readonly link: Link,
    /** Until when it waits, see WaitTimer.deadlineMs. */
    private readonly deadlineMs: number,
  ) {
    this.assumption = setTimeout(() => {
      this.isBlocked = true;
      if (connection.inputEnded) connection.destroy('');
    }, WAITS_AFTER_MS);
  }

  get hasTimeout(): boolean {
    return this.deadlineMs !== 0;
  }

  /** The reply. */
  deliver(bytes: Buffer): void {
    if (this.isOver) return;
    if (!isMoved(bytes)) this.finish(bytes);
    else if (this.deadlineMs !== 0 && this.deadlineMs <= performance.now()) this.finish(this.inVain());
    else {
      // Where the shard is now may be known here in a moment.
      clearTimeout(this.assumption);
      this.isBlocked = true;
      this.isBetween = true;
      setTimeout(() => this.askAgain(), MOVED_DELAY_MS);
    }
  }

  /** Sends the command to where its shard is now, to wait there for what is left of its time. */
  askAgain(): void {
    if (this.isOver) return;
    this.release(true);
    sendAgain(this.connection, this.slot, this.args, this.deadlineMs);
  }

  leave(): void {
    if (!this.isOver) this.release(false);
  }

  /** Only the other node knows whether the client has been served meanwhile: what it took must not be lost. */
  async unblock(asError: boolean): Promise<boolean> {
    if (this.isOver) return false;
    if (this.isBetween) {
      this.finish(asError ? UNBLOCKED : this.inVain());
      return true;
    }
    const { target, idThere } = this.link;
    if (idThere === undefined) return false;
    const words = ['CLIENT', 'UNBLOCK', String(idThere), asError ? 'ERROR' : 'TIMEOUT'];
    const shared = this.links.to(target.store, target.keyspace, target.version);
    return integerOf(await callRemote(shared, encodeCommand(words))) === 1;
  }

  private inVain(): Buffer {
    return Buffer.from(this.connection.session.version === 3 ? '_\r\n' : '*-1\r\n');
  }

  private finish(reply: Buffer): void {
    this.release(true);
    this.slot.deliver(reply, 0);
    this.connection.endBlocking();
  }

  /** @param isAnswered whether nobody waits at the other end of the link */
  private release(isAnswered: boolean): void {
    this.isOver = true;
    clearTimeout(this.assumption);
    this.links.release(this.link, isAnswered && !this.link.isClosed);
  }
}

const CLIENT_ID = encodeCommand(['CLIENT', 'ID']);

/** Has a link know what the other node calls its client. */
function askForId(link: Link): void {
  if (link.idThere !== undefined) return;
  const receiver = new Whole((reply) => {
    link.idThere = integerOf(reply);
  });
  link.send(receiver, CLIENT_ID);
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
  // It goes by another link than the commands before it, and must not overtake them.
  if (!replies.isEmpty) {
    connection.holdBack(args, frames);
    connection.stallUntil(connection.whenAnswered());
    return;
  }
  const nowMs = performance.now();
  const resumedMs = connection.takeResumed(args)?.deadlineMs;
  const deadlineMs = resumedMs ?? waitDeadline(command, args, nowMs);
  const refusal = cannotForward(session, keyspace, place);
  const link = refusal ?? links.openDedicated(place.store, keyspace.id, session.version, () => undefined);
  if (link === undefined || link instanceof CommandError) {
    refuse(connection, link ?? TOO_MANY, command, server);
    return;
  }
  connection.pushReady();
  const slot = replies.reserve(ELSEWHERE, 0, session.replies !== 'on');
  const blocking = new RemoteBlocking(connection, args, slot, links, link, deadlineMs);
  const hasBegun = resumedMs !== undefined && deadlineMs !== 0;
  askForId(link);
  link.sendPatiently(
    blocking,
    hasBegun
      ? encodeCommand(withTimeout(command, args, Math.max(1, Math.ceil(deadlineMs - nowMs))))
      : frameOf(args, frames),
  );
  connection.beginBlocking(blocking, slot);
  server.forwardedCommands++;
}
