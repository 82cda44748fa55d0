import { Buffer } from 'node:buffer';
import { CommandError, replyOf } from '../base/command-errors.js';
import { isMoved, MOVED_CODE } from '../cluster/link.js';
import { errorReply, type ReplyReceiver } from '../cluster/link-request.js';
import { UNKNOWN_CURSOR } from '../commands/scan.js';
import type { Command } from '../commands/table.js';
import { findCommand } from '../commands/table.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import { addCommand, readyRoute } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { placesAsked } from './cluster-doors.js';
import type { Connection } from './connection.js';
import {
  cannotForward,
  ELSEWHERE,
  isNotFlushed,
  linkFor,
  MOVED_DELAY_MS,
  onShard,
  Whole,
} from './forwarding.js';
import { refuse } from './refusal.js';
import type { RespServer } from './server.js';
import { type Division, type Part, type Split, splitCommand } from './split.js';

/** A command that several shards run parts of, and what has come of it so far. */
interface Scattered {
  readonly server: RespServer;
  readonly connection: Connection;
  readonly keyspace: Keyspace;
  /** What brought the command: most parts are views of it. */
  readonly frames: Buffer;
  /** Bits of SegmentFlag. */
  readonly flags: number;
  readonly command: Command;
  readonly args: readonly Buffer[];
  /** Until when it is tried again while shards are on their way, Unix milliseconds. */
  readonly deadlineMs: number;
}

/** Runs a command that its definition allows to be split on all shards that it concerns, and puts the replies together. */
export function scatter(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
): void {
  const { session } = connection;
  const { places } = keyspace;
  const split = splitCommand(command, args, divisionOf(server, connection, keyspace), session.version);
  if (split instanceof CommandError) {
    refuse(connection, split, command, server);
    return;
  }
  for (const { shard } of split.parts) {
    const place = places[shard]!;
    const refusal = place.local === undefined ? cannotForward(session, keyspace, place) : undefined;
    if (refusal !== undefined) {
      refuse(connection, refusal, command, server);
      return;
    }
    const wait = obstacle(server, connection, keyspace, place, frames.length);
    if (wait === undefined) continue;
    connection.holdBack(args, frames);
    connection.stallUntil(wait);
    return;
  }
  connection.pushReady();
  const slot = connection.replies.reserve(ELSEWHERE, 0, session.replies !== 'on');
  connection.countUnderWay(slot);
  const deadlineMs = performance.now() + server.config.values['cluster-node-timeout'];
  const flags = session.segmentFlags;
  start({ server, connection, keyspace, frames, flags, command, args, deadlineMs }, split, slot);
}

/** How the keyspace is divided at present. */
function divisionOf({ doors }: RespServer, { session }: Connection, keyspace: Keyspace): Division {
  const { places, shardsOfSlots } = keyspace;
  const asked = placesAsked(doors, session, keyspace).map(({ shard }) => shard);
  return { shards: places.length, shardsOfSlots, asked };
}

/** What has to be waited for before a command can be sent to a shard. */
function obstacle(
  server: RespServer,
  connection: Connection,
  keyspace: Keyspace,
  place: ShardPlace,
  bytes: number,
): Promise<void> | undefined {
  const { local } = place;
  if (local === undefined) {
    const link = linkFor(server, connection.session, keyspace, place);
    return link.isCongested ? link.relieved() : undefined;
  }
  if (local.ready !== undefined) return readyRoute(local);
  return local.owner.isCongestedFor(bytes) ? local.owner.relieved() : undefined;
}

/** What a part gets whose shard is not what it was when the command was taken apart. */
const MOVED = errorReply(`${MOVED_CODE} the keyspace has other shards now`);

/** Runs the parts, and gives the merged reply to a receiver. */
function start(scattered: Scattered, { parts, merge }: Split, receiver: ReplyReceiver): void {
  const replies = new Array<Buffer>(parts.length);
  const shards = scattered.keyspace.places.length;
  let missing = parts.length;
  const done = (index: number, reply: Buffer) => {
    replies[index] = reply;
    if (--missing === 0) finish();
  };
  const finish = () => {
    const open = [...replies.keys()].filter(
      (index) => isMoved(replies[index]!) || isNotFlushed(replies[index]!),
    );
    const areAsTheyWere = scattered.command.name === 'flushdb' && scattered.keyspace.places.length === shards;
    if (open.length === 0 || performance.now() > scattered.deadlineMs) {
      const merged = merge(replies.map((reply) => (isMoved(reply) ? NOT_FOUND : reply)));
      if (Buffer.isBuffer(merged)) receiver.deliver(merged, 0);
      else start(scattered, merged, receiver);
    } else if (areAsTheyWere) {
      // The others have been emptied: once is enough, and what was written to them since is to stay.
      missing = open.length;
      setTimeout(() => {
        for (const index of open)
          sendPart(scattered, parts[index]!, shards, new Whole((reply) => done(index, reply)));
      }, MOVED_DELAY_MS);
    } else if (!BY_KEY.has(scattered.command.name) && scattered.command.name !== 'scan')
      setTimeout(() => restart(scattered, scattered.args, receiver), MOVED_DELAY_MS);
    else {
      missing = open.length;
      setTimeout(() => {
        for (const index of open) again(scattered, parts[index]!, new Whole((reply) => done(index, reply)));
      }, MOVED_DELAY_MS);
    }
  };
  if (missing === 0) finish();
  for (const [index, part] of parts.entries())
    sendPart(scattered, part, shards, new Whole((reply) => done(index, reply)));
}

/** Commands whose parts are for keys of their own, and can be taken apart once more. */
const BY_KEY: ReadonlySet<string> = new Set(['mget', 'mset', 'del', 'unlink', 'exists', 'touch']);
const NOT_FOUND = errorReply('CLUSTERDOWN the shards of the keyspace are on their way: try again');

/** Takes a command apart as the keyspace is divided now, and runs the parts. */
function restart(scattered: Scattered, args: readonly Buffer[], receiver: ReplyReceiver): void {
  const { server, connection, keyspace, command } = scattered;
  const division = divisionOf(server, connection, keyspace);
  const split = splitCommand(command, args, division, connection.session.version);
  if (split instanceof CommandError) receiver.deliver(errorReply(split.text), 0);
  else start(scattered, split, receiver);
}

/** Asks once more for a part that was not where it was thought to be. */
function again(scattered: Scattered, part: Part, receiver: Whole): void {
  const { length } = scattered.keyspace.places;
  if (scattered.command.name !== 'scan') restart(scattered, part.args, receiver);
  else if (part.shard < length) sendPart(scattered, part, length, receiver);
  else receiver.deliver(errorReply(UNKNOWN_CURSOR.text), 0);
}

/** @param shards of the keyspace when the command was taken apart */
function sendPart(scattered: Scattered, part: Part, shards: number, receiver: Whole): void {
  const { server, connection, keyspace } = scattered;
  const place = keyspace.places[part.shard];
  if (place === undefined || keyspace.places.length !== shards) {
    receiver.deliver(MOVED, 0);
    return;
  }
  const { local } = place;
  if (local === undefined) {
    // Whose it was may have gone since the command was taken apart.
    const refusal = cannotForward(connection.session, keyspace, place);
    if (refusal !== undefined) {
      receiver.deliver(errorReply(refusal.text), 0);
      return;
    }
    linkFor(server, connection.session, keyspace, place).send(
      receiver,
      onShard(part.shard, keyspace, part.args),
    );
    server.forwardedCommands++;
    return;
  }
  if (local.ready === undefined) enqueuePart(scattered, part, local, receiver);
  else
    readyRoute(local).then(
      () => sendPart(scattered, part, shards, receiver),
      (error: Error) => receiver.deliver(errorReply(replyOf(error).text), 0),
    );
}

function enqueuePart(scattered: Scattered, { args }: Part, route: ShardRoute, receiver: Whole): void {
  const { connection, flags } = scattered;
  const command = findCommand(args[0]!.latin1Slice().toLowerCase())!;
  const { owner } = route;
  const isView = args.every((argument) => isInside(argument, scattered.frames));
  const frames = isView ? scattered.frames : Buffer.concat(args);
  const views = isView ? args : viewsOf(args, frames);
  owner.batch.begin(receiver, connection.session.id, route.shard, flags);
  addCommand(owner, command, views, frames);
  owner.schedule();
}

function isInside(argument: Buffer, frames: Buffer): boolean {
  const at = argument.byteOffset - frames.byteOffset;
  return argument.buffer === frames.buffer && at >= 0 && at + argument.length <= frames.length;
}

/** The arguments as views of the buffer that they were joined to. */
function viewsOf(args: readonly Buffer[], joined: Buffer): Buffer[] {
  let at = 0;
  return args.map((argument) => {
    at += argument.length;
    return joined.subarray(at - argument.length, at);
  });
}
