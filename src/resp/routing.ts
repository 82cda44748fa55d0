import type { Buffer } from 'node:buffer';
import { ListArguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { keySlot } from '../cluster/slots.js';
import { findKeys } from '../commands/introspection.js';
import type { Command } from '../commands/table.js';
import type { Keyspace } from '../node/keyspaces.js';
import { readyRoute } from '../node/segments.js';
import type { Connection } from './connection.js';
import { refuse } from './refusal.js';
import { notOneShard } from './selection.js';
import { send } from './sending.js';
import type { RespServer } from './server.js';

const CROSS_SLOT = new CommandError("CROSSSLOT Keys in request don't hash to the same slot");

/** Runs a command, or has it run, on a keyspace that is not exactly one shard of this node. */
export function routeCommand(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  keyspace: Keyspace,
): void {
  const keys = findKeys(command, new ListArguments(args));
  const slots = new Set(keys.map(({ index }) => keySlot(args[index]!)));
  const [slot] = slots;
  if (slot === undefined || command.name === 'watch') {
    refuse(connection, notOneShard(keyspace, command.name.toUpperCase()), command, server);
    return;
  }
  if (slots.size > 1) {
    refuse(connection, CROSS_SLOT, command, server);
    return;
  }
  const place = keyspace.places[keyspace.shardsOfSlots[slot]!]!;
  const route = place.local;
  if (route === undefined) {
    const holder = `shard ${place.shard} is on store ${place.store || '(none)'}`;
    refuse(
      connection,
      new CommandError(`CLUSTERDOWN ${holder}, which is not reached from here`),
      command,
      server,
    );
    return;
  }
  if (route.ready !== undefined || route.owner.isCongestedFor(frames.length)) {
    connection.holdBack(args, frames);
    connection.stallUntil(route.ready !== undefined ? readyRoute(route) : route.owner.relieved());
    return;
  }
  send(connection, route, command, args, frames);
}
