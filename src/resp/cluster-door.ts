import type { Buffer } from 'node:buffer';
import { ListArguments } from '../base/arguments.js';
import type { CommandError } from '../base/command-errors.js';
import { commandSlot, commonSlot, NO_SLOT } from '../cluster/command-slot.js';
import type { DoorMap } from '../cluster/door-map.js';
import { redirection, type SlotMove } from '../cluster/redirection.js';
import { integerOf } from '../cluster/reply-scanner.js';
import { findKeys } from '../commands/introspection.js';
import type { Command } from '../commands/table.js';
import { Keyspace } from '../node/keyspaces.js';
import { callShard } from '../node/segments.js';
import type { MovingSlot } from '../node/slot-moves.js';
import type { ShardRoute } from '../workers/pool.js';
import type { Connection } from './connection.js';
import { answer, refuse } from './refusal.js';
import { sendWhenReady } from './sending.js';
import type { RespServer } from './server.js';
import type { Session } from './session.js';
import { dropTransaction } from './watches.js';

/** Commands of the front that are about the keyspace. */
const ABOUT_KEYSPACE: ReadonlySet<string> = new Set(['exec', 'flushall', 'debug']);

/**
 * Looks at a command that came in by a cluster door: what belongs to another node is sent there, as Redis Cluster does.
 * What is let by runs as at the plain door; so slots that are shown here for want of another door are served, too.
 * @returns whether the command has been dealt with
 */
export function interceptAtDoor(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): boolean {
  const { session } = connection;
  session.takeAsking(command);
  const needsKeyspace = command.runs !== 'front' || ABOUT_KEYSPACE.has(command.name);
  if (session.keyspace === undefined) {
    const found = server.doors.keyspace(session.door);
    if (found instanceof Keyspace) session.keyspace = found;
    else if (found instanceof Promise) {
      // What CLUSTER tells depends on it, too.
      if (!needsKeyspace && command.container?.name !== 'cluster') return false;
      connection.holdBack(args, frames);
      connection.stallUntil(found);
      return true;
    } else if (needsKeyspace) {
      turnAway(server, connection, command, found);
      return true;
    } else return false;
  }
  if (command.runs === 'front' && command.name !== 'exec') return false;
  return redirect(server, connection, command, args, frames, session.keyspace);
}

/** Answers a command that does not run here with the reason. EXEC ends its transaction without EXECABORT, as in Redis. */
function turnAway(server: RespServer, connection: Connection, command: Command, reason: CommandError): void {
  if (command.name !== 'exec') {
    refuse(connection, reason, command, server);
    return;
  }
  server.store.frontStatistics.reject(command.index);
  dropTransaction(connection);
  answer(connection, reason);
}

function redirect(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
): boolean {
  const { session } = connection;
  const slot = command.name === 'exec' ? commonSlot(session.queued ?? []) : commandSlot(command, args);
  if (slot === NO_SLOT) return false;
  const { map, slotsHere } = server.doors.view(session.door);
  const moving = slot < 0 ? undefined : server.store.moves.moveOf(keyspace.id, slot);
  if (moving === undefined && slotsHere[slot] === 1) return false;
  const copy = slot >= 0 && takesCopy(session, command) ? copyHere(server, keyspace, slot) : undefined;
  const request = { slot, asking: session.hasAsked, takesCopy: copy !== undefined };
  if (moving !== undefined) {
    const keys = keysOf(session, command, args);
    const here = countedKeys(connection, args, frames, moving, keys);
    if (here === undefined) return true;
    const move = slotMove(map, moving, here);
    const refusal = redirection(map, { ...request, keyCount: keys.length, move });
    if (refusal !== undefined) {
      turnAway(server, connection, command, refusal);
      return true;
    }
    const isArriving = move?.to === map.self && map.ownerOf(slot) !== map.self;
    // What MULTI queues goes there with EXEC, when the transaction is planned.
    if (!isArriving || (session.queued !== undefined && command.name !== 'watch')) return false;
    // ASKING was said for the slot, whose keys arrive here.
    sendWhenReady(connection, moving.here, command, args, frames);
    return true;
  }
  const refusal = redirection(map, { ...request, keyCount: 1 });
  if (refusal !== undefined) {
    turnAway(server, connection, command, refusal);
    return true;
  }
  // Transactions go on to the owner, as does what MULTI queues for them.
  if (copy === undefined || session.queued !== undefined || command.runs === 'front') return false;
  sendWhenReady(connection, copy, command, args, frames);
  return true;
}

function copyHere({ store }: RespServer, keyspace: Keyspace, slot: number): ShardRoute | undefined {
  return store.copyOf(keyspace, keyspace.places[keyspace.shardsOfSlots[slot]!]!);
}

/** Whether a copy will do. */
function takesCopy(session: Session, command: Command): boolean {
  if (!session.takesCopies) return false;
  if (command.name !== 'exec') return command.flags.includes('readonly');
  return session.queued?.every((item) => !item.command.flags.includes('write')) ?? false;
}

// ---------------------------------------------------------------- slots on their way

/** The keys of a command, or of those that EXEC runs. */
function keysOf(session: Session, command: Command, args: readonly Buffer[]): Buffer[] {
  const all = command.name === 'exec' ? (session.queued ?? []) : [{ command, args }];
  return all.flatMap((each) =>
    findKeys(each.command, new ListArguments(each.args)).map(({ index }) => each.args[index]!),
  );
}

/**
 * How many of a command's keys are here. The shard has to be asked, while the command waits.
 * @returns undefined when it has been put back, to come again when that is known
 */
function countedKeys(
  connection: Connection,
  args: Buffer[],
  frames: Buffer,
  { here }: MovingSlot,
  keys: readonly Buffer[],
): number | undefined {
  const { session } = connection;
  const counted = session.movingKeys;
  session.movingKeys = undefined;
  if (counted?.args === args) return counted.here;
  connection.holdBack(args, frames);
  const count = callShard(here, 'EXISTS', ...keys.map((key) => key.latin1Slice()));
  connection.stallUntil(
    count.then((reply) => {
      session.movingKeys = { args, here: integerOf(reply) ?? 0 };
    }),
  );
  return undefined;
}

/** A move as clients see it; undefined where they cannot be sent, since the other node has no door. */
function slotMove({ nodes }: DoorMap, { from, to }: MovingSlot, keysHere: number): SlotMove | undefined {
  const nodeOf = (id: string) => nodes.find((node) => node.id === id);
  const [source, target] = [nodeOf(from), nodeOf(to)];
  return source && target && { from: source, to: target, keysHere };
}
