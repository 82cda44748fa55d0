import type { Buffer } from 'node:buffer';
import { ListArguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { commandSlot, SEVERAL_SLOTS } from '../cluster/command-slot.js';
import { CROSS_SLOT } from '../cluster/redirection.js';
import { keySlot } from '../cluster/slots.js';
import { findKeys } from '../commands/introspection.js';
import type { Command } from '../commands/table.js';
import { mayWait } from '../commands/waiting.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import type { Connection } from './connection.js';
import { forward, movedError } from './forwarding.js';
import { refuse } from './refusal.js';
import { blockElsewhere } from './remote-blocking.js';
import { watchElsewhere } from './remote-watch.js';
import { scatter } from './scatter.js';
import { targetDatabase } from './selection.js';
import { holdUntilReady, send, sendWhenReady } from './sending.js';
import type { RespServer } from './server.js';
import type { Session } from './session.js';

/** Runs a command, or has it run, on a keyspace that is not exactly one shard of this node. */
export function routeCommand(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
): void {
  const { session } = connection;
  const { places } = keyspace;
  let place = places[0]!;
  if (places.length > 1 || session.door !== '') {
    const slot = commandSlot(command, args);
    if (slot < 0) {
      routeWithoutSlot(server, connection, command, args, frames, keyspace, slot);
      return;
    }
    place = places[keyspace.shardsOfSlots[slot]!]!;
    const refusal = slotRefusal(server, session, command, args, keyspace, slot);
    if (refusal !== undefined) {
      refuse(connection, refusal, command, server);
      return;
    }
  }
  if (command.runs === 'split' && place.local === undefined && places.length === 1 && !session.isPeer) {
    // It may have several shards by the time that the command arrives.
    scatter(server, connection, command, args, frames, keyspace);
    return;
  }
  if (command.name === 'watch' && !mayWatch(session, keyspace, place)) {
    refuse(connection, WATCHED_ELSEWHERE, command, server);
    return;
  }
  if (place.local !== undefined) sendWhenReady(connection, place.local, command, args, frames);
  else if (command.name === 'watch' && !session.isPeer)
    watchElsewhere(server, connection, args, frames, keyspace, place);
  else if (mayWait(command, args)) blockElsewhere(server, connection, command, args, frames, keyspace, place);
  else forward(server, connection, command, args, frames, keyspace, place);
}

const WATCHED_ELSEWHERE = new CommandError(
  'CROSSSLOT the keys that are watched already are on another store: UNWATCH them first',
);

/** Watches are known to one store at a time. */
function mayWatch({ watched, remoteWatch }: Session, keyspace: Keyspace, place: ShardPlace): boolean {
  if (remoteWatch !== undefined)
    return place.local === undefined && remoteWatch.leadsTo(place.store, keyspace.id);
  return watched.size === 0 || place.local !== undefined;
}

/** What a keyspace of several shards refuses though all keys are in one slot; notes the slot of WATCH. */
function slotRefusal(
  server: RespServer,
  session: Session,
  command: Command,
  args: readonly Buffer[],
  keyspace: Keyspace,
  slot: number,
): CommandError | undefined {
  const target = targetDatabase(server.store, session, command, args);
  if (target instanceof CommandError) return target;
  if (target !== undefined) return overShards(command, keyspace);
  // Redis Cluster lets a client watch keys of several slots.
  if (command.name !== 'watch' || session.isPeer || session.door !== '') return undefined;
  const { watchedSlot } = session;
  if (watchedSlot !== undefined && watchedSlot.keyspace === keyspace && watchedSlot.slot !== slot)
    return CROSS_SLOT;
  session.watchedSlot = { keyspace, slot };
  return undefined;
}

/** Said of commands that make no sense where a keyspace has several shards. */
export function overShards({ name }: Command, { label, places }: Keyspace): CommandError {
  const what = name.replace('|', ' ').toUpperCase();
  return new CommandError(
    `ERR ${what} does not work on keyspace ${label}, which has ${places.length} shards`,
  );
}

/** Commands whose keys are in several slots, or that have none. */
function routeWithoutSlot(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
  slot: number,
): void {
  if (connection.session.isPeer) {
    // Another node has found that one shard has all keys; if it has not, it knows another topology.
    const place = commonPlace(command, args, keyspace);
    if (place?.local !== undefined) sendWhenReady(connection, place.local, command, args, frames);
    else refuse(connection, movedError(keyspace, place ?? keyspace.places[0]!), command, server);
  } else if (command.runs === 'split') scatter(server, connection, command, args, frames, keyspace);
  else {
    const refusal = slot === SEVERAL_SLOTS ? CROSS_SLOT : overShards(command, keyspace);
    refuse(connection, refusal, command, server);
  }
}

function commonPlace(command: Command, args: readonly Buffer[], keyspace: Keyspace): ShardPlace | undefined {
  const keys = findKeys(command, new ListArguments(args));
  const shards = new Set(keys.map(({ index }) => keyspace.shardsOfSlots[keySlot(args[index]!)]!));
  const [shard] = shards;
  return shard === undefined || shards.size > 1 ? undefined : keyspace.places[shard];
}

const NOT_A_PEER = new CommandError('ERR VASTO.ON is for other nodes of the cluster');

/**
 * VASTO.ON shard[/shards] command …: what another node asks of one shard, whichever slots the keys have. It says of how
 * many shards the keyspace consists.
 * @param inner the command behind the shard's number
 */
export function runOnShard(
  server: RespServer,
  connection: Connection,
  args: Buffer[],
  frames: Buffer,
  inner: Command,
): void {
  const { session } = connection;
  const { keyspace } = session;
  const command = session.lastCommand;
  if (!session.isPeer || keyspace === undefined || inner.runs === 'front') {
    refuse(connection, NOT_A_PEER, command, server);
    return;
  }
  const [shard, shards] = args[1]!.latin1Slice().split('/');
  const place = keyspace.places[Number(shard)];
  // With another number of shards, this one has not the slots that the other node thinks.
  const isOther = shards !== undefined && Number(shards) !== keyspace.places.length;
  if (keyspace.deleted || isOther || place?.local === undefined) {
    refuse(connection, movedError(keyspace, place ?? keyspace.places[0]!), command, server);
    return;
  }
  const route = place.local;
  if (!holdUntilReady(connection, route, args, frames)) send(connection, route, inner, args.slice(2), frames);
}
