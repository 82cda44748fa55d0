import type { Buffer } from 'node:buffer';
import type { Command } from '../commands/table.js';
import { mayWait } from '../commands/waiting.js';
import { addCommand, readyRoute } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction } from '../workers/protocol.js';
import { sendBlocking } from './blocking.js';
import type { Connection } from './connection.js';
import type { Slot } from './reply-queue.js';

/** Puts a command into the batch of its shard's owner, which must be ready. */
export function send(
  connection: Connection,
  route: ShardRoute,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  target?: ShardRoute,
): void {
  if (mayWait(command, args)) {
    sendBlocking(connection, route, command, args, frames);
    return;
  }
  const slot = openSegment(connection, route);
  if (target !== undefined) route.owner.batch.instruct(Instruction.UseTarget, target.shard);
  addCommand(route.owner, command, args, frames);
  connection.countUnderWay(slot);
}

/** Sends a command to a shard of this node as soon as that is ready, and its owner takes more. */
export function sendWhenReady(
  connection: Connection,
  route: ShardRoute,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): void {
  if (holdUntilReady(connection, route, args, frames)) return;
  if (command.name === 'watch') connection.session.watched.add(route);
  send(connection, route, command, args, frames);
}

/** @returns whether the command waits for its shard, and is looked at again then */
export function holdUntilReady(
  connection: Connection,
  route: ShardRoute,
  args: Buffer[],
  frames: Buffer,
): boolean {
  if (route.ready === undefined && !route.owner.isCongestedFor(frames.length)) return false;
  connection.holdBack(args, frames);
  connection.stallUntil(route.ready !== undefined ? readyRoute(route) : route.owner.relieved());
  return true;
}

/**
 * The segment that the connection's next command for a shard belongs to: the last one, if nothing came between, though
 * it may have been for another shard of the same owner.
 */
export function openSegment(connection: Connection, route: ShardRoute, extraFlags = 0): Slot {
  const { session, replies } = connection;
  const { owner } = route;
  const { batch } = owner;
  const flags = session.segmentFlags | extraFlags;
  const silent = session.replies !== 'on';
  const { tail } = replies;
  if (
    extraFlags === 0 &&
    !connection.hasReady &&
    tail !== undefined &&
    batch.receivers[batch.receivers.length - 1] === tail &&
    tail.flags === flags &&
    tail.silent === silent
  ) {
    if (tail.shard !== route.shard) {
      batch.instruct(Instruction.UseShard, route.shard);
      tail.shard = route.shard;
    }
    return tail;
  }
  connection.pushReady();
  const slot = replies.reserve(route.shard, flags, silent);
  batch.begin(slot, session.id, route.shard, flags);
  owner.schedule();
  return slot;
}
