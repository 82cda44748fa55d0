import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import type { Command } from '../commands/table.js';
import { findCommand } from '../commands/table.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import { addCommand, readyRoute } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { placesAsked } from './cluster-doors.js';
import type { Connection } from './connection.js';
import { cannotForward, ELSEWHERE, linkFor, onShard, Whole } from './forwarding.js';
import { refuse } from './refusal.js';
import type { Slot } from './reply-queue.js';
import type { RespServer } from './server.js';
import { type Part, type Split, splitCommand } from './split.js';

/** A command that several shards run parts of, and what has come of it so far. */
interface Scattered {
  readonly server: RespServer;
  readonly connection: Connection;
  readonly keyspace: Keyspace;
  /** What brought the command: most parts are views of it. */
  readonly frames: Buffer;
  /** Bits of SegmentFlag. */
  readonly flags: number;
  readonly slot: Slot;
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
  const { places, shardsOfSlots } = keyspace;
  const asked = placesAsked(server.doors, session, keyspace).map(({ shard }) => shard);
  const division = { shards: places.length, shardsOfSlots, asked };
  const split = splitCommand(command, args, division, session.version);
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
  start({ server, connection, keyspace, frames, flags: session.segmentFlags, slot }, split);
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

function start(scattered: Scattered, { parts, merge }: Split): void {
  const replies = new Array<Buffer>(parts.length);
  let missing = parts.length;
  const finish = () => {
    const merged = merge(replies);
    if (Buffer.isBuffer(merged)) scattered.slot.deliver(merged, 0);
    else start(scattered, merged);
  };
  if (missing === 0) finish();
  for (const [index, part] of parts.entries()) {
    const receiver = new Whole((reply) => {
      replies[index] = reply;
      if (--missing === 0) finish();
    });
    sendPart(scattered, part, receiver);
  }
}

function sendPart(scattered: Scattered, part: Part, receiver: Whole): void {
  const { server, connection, keyspace } = scattered;
  const place = keyspace.places[part.shard]!;
  const { local } = place;
  if (local === undefined) {
    linkFor(server, connection.session, keyspace, place).send(receiver, onShard(part.shard, part.args));
    server.forwardedCommands++;
    return;
  }
  if (local.ready === undefined) enqueuePart(scattered, part, local, receiver);
  else
    readyRoute(local).then(
      () => enqueuePart(scattered, part, local, receiver),
      () => receiver.abandon(),
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
