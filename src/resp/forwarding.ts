import { Buffer } from 'node:buffer';
import { CommandError, NOT_FLUSHED } from '../base/command-errors.js';
import { encodeCommand, frameOf } from '../cluster/frames.js';
import { type Link, MOVED_CODE } from '../cluster/link.js';
import { errorReply, type ReplyReceiver } from '../cluster/link-request.js';
import type { Command } from '../commands/table.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import type { Connection } from './connection.js';
import { refuse } from './refusal.js';
import type { Slot } from './reply-queue.js';
import { withoutTarget } from './selection.js';
import type { RespServer } from './server.js';
import type { QueuedCommand, Session } from './session.js';

/** Stands for the shard in slots of replies that come from elsewhere. */
export const ELSEWHERE = -2;

/** Told to another node that asks for a shard which is not here: it knows more, or soon will. */
export function movedError({ label }: Keyspace, { shard }: ShardPlace): CommandError {
  return new CommandError(`${MOVED_CODE} shard ${shard} of keyspace ${label} is not on this store`);
}

const NOT_FLUSHED_REPLY = errorReply(NOT_FLUSHED.text);

/** Whether a reply says that a shard cannot be emptied while its slots are on their way. */
export function isNotFlushed(reply: Buffer): boolean {
  return reply.equals(NOT_FLUSHED_REPLY);
}

/** How long to wait for shards on their way before asking again, milliseconds. */
export const MOVED_DELAY_MS = 20;

/** Said where nobody holds a shard. */
function ownerless({ label }: Keyspace, { shard }: ShardPlace): CommandError {
  return new CommandError(`CLUSTERDOWN shard ${shard} of keyspace ${label} is on no store`);
}

/** The link by which a connection's commands go to a shard elsewhere: its own one if it watches keys there. */
export function linkFor(
  server: RespServer,
  session: Session,
  keyspace: Keyspace,
  { store }: ShardPlace,
): Link {
  const { remoteWatch } = session;
  if (remoteWatch?.leadsTo(store, keyspace.id) && !remoteWatch.link.isClosed) return remoteWatch.link;
  return server.links.to(store, keyspace.id, session.version);
}

/** Sends a command on to the store that holds its shard; other nodes that want that are told to look elsewhere. */
export function forward(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
  place: ShardPlace,
): void {
  const { session } = connection;
  const refusal = cannotForward(session, keyspace, place);
  if (refusal !== undefined) {
    refuse(connection, refusal, command, server);
    return;
  }
  const link = linkFor(server, session, keyspace, place);
  if (link.isCongested) {
    connection.holdBack(args, frames);
    connection.stallUntil(link.relieved());
    return;
  }
  const slot = openRemote(connection, link);
  link.send(slot, frameElsewhere(session, { command, args, frames }));
  connection.countUnderWay(slot);
  server.forwardedCommands++;
}

/**
 * A command's bytes as another node is to have them. That one takes it in at no door: what is database 0 at ours would
 * be the keyspace of that number there.
 */
export function frameElsewhere({ door }: Session, { command, args, frames }: QueuedCommand): Buffer {
  const isPlain = door === '' || command.name !== 'copy';
  return isPlain ? frameOf(args, frames) : encodeCommand(withoutTarget(args));
}

/** Why a command for a shard that is not here cannot go on to where it is. */
export function cannotForward(
  session: Session,
  keyspace: Keyspace,
  place: ShardPlace,
): CommandError | undefined {
  if (session.isPeer) return movedError(keyspace, place);
  return place.store === '' ? ownerless(keyspace, place) : undefined;
}

/** The slot that the reply to the connection's next command over a link belongs to: see openSegment. */
function openRemote(connection: Connection, link: Link): Slot {
  const { session, replies } = connection;
  const silent = session.replies !== 'on';
  const { tail } = replies;
  if (!connection.hasReady && tail !== undefined && link.lastReceiver === tail && tail.silent === silent)
    return tail;
  connection.pushReady();
  return replies.reserve(ELSEWHERE, 0, silent);
}

/** A command for one shard of a keyspace, whichever slots its keys have, as another node takes it. */
export function onShard(shard: number, { places }: Keyspace, args: readonly (Buffer | string)[]): Buffer {
  return encodeCommand(['VASTO.ON', `${shard}/${places.length}`, ...args]);
}

/**
 * Runs a command on a shard wherever it is, on behalf of the node.
 * @returns its reply, in RESP2; an error reply where the shard cannot be reached
 */
export async function callPlace(
  server: RespServer,
  keyspace: Keyspace,
  place: ShardPlace,
  ...words: string[]
): Promise<Buffer> {
  if (place.local !== undefined) return server.store.call(place.local, ...words);
  if (place.store === '') return errorReply(ownerless(keyspace, place).text);
  return callRemote(server.links.to(place.store, keyspace.id, 2), onShard(place.shard, keyspace, words));
}

export function callRemote(link: Link, frame: Buffer): Promise<Buffer> {
  return new Promise((resolve) => link.send(new Whole(resolve), frame));
}

/** Gathers the reply to one command. */
export class Whole implements ReplyReceiver {
  private readonly parts: Buffer[] = [];

  constructor(private readonly done: (reply: Buffer) => void) {}

  deliver(bytes: Buffer, done: number): void {
    this.parts.push(bytes);
    if (done === 0) this.done(this.parts.length === 1 ? bytes : Buffer.concat(this.parts));
  }

  abandon(): void {
    this.done(
      errorReply('ERR the worker died before it answered: the command may or may not have taken effect'),
    );
  }
}
