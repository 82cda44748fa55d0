import type { Arguments } from '../../base/arguments.js';
import { CommandError, NOT_AN_INTEGER } from '../../base/command-errors.js';
import { SLOT_SCAN_KEYS } from '../../base/limits.js';
import { parseInteger } from '../../base/numbers.js';
import { clusterInfoText, nodesText, writeShards, writeSlots } from '../../cluster/door-replies.js';
import { elementsOf, errorOf, stringOf } from '../../cluster/reply-scanner.js';
import { keySlot, SLOTS } from '../../cluster/slots.js';
import { helpLines } from '../../commands/documentation.js';
import { placesAsked } from '../cluster-doors.js';
import { callPlace } from '../forwarding.js';
import { type FrontContext, type FrontHandler, type FrontHandlers, inTurn, now } from './handlers.js';

const DISABLED = new CommandError('ERR This instance has cluster support disabled');
const INVALID_SLOT = new CommandError('ERR Invalid slot');
const INVALID_SLOT_OR_COUNT = new CommandError('ERR Invalid slot or number of keys');

/** A handler for cluster doors; at the plain one it says that there is no such thing, as a Redis that is no cluster. */
function atDoor({ waits, run }: FrontHandler): FrontHandler {
  return {
    waits,
    run(context, args) {
      if (context.session.door !== '') return run(context, args);
      context.reply.error(DISABLED);
      return undefined;
    },
  };
}

/** Replies what all clients are told alike: it may be a megabyte, and a thousand of them may ask at once. */
function replyKept({ connection, reply, inTransaction }: FrontContext, bytes: Buffer): void {
  if (inTransaction === true) reply.bytes(bytes);
  else connection.pushShared(bytes);
}

function viewOf({ server, session }: FrontContext) {
  return server.doors.view(session.door);
}

/** The nodes that are known to be out of reach, as part of a name. */
function awayNames({ server, session }: FrontContext): string {
  const { nodes } = server.doors.view(session.door).map;
  return nodes
    .filter(server.doors.isAway)
    .map(({ id }) => id)
    .join();
}

const slots = now((context) => {
  const view = viewOf(context);
  const { reply } = context;
  const bytes = view.reply('slots', reply.version, (writer) => writeSlots(writer, view.map));
  replyKept(context, bytes);
});

const shards = now((context) => {
  const view = viewOf(context);
  const { reply, server } = context;
  const { useTls, isAway } = server.doors;
  const name = `shards ${awayNames(context)}`;
  const bytes = view.reply(name, reply.version, (writer) => writeShards(writer, view.map, useTls, isAway));
  replyKept(context, bytes);
});

const nodes = now((context) => {
  const view = viewOf(context);
  const { reply, server } = context;
  const { isAway } = server.doors;
  const name = `nodes ${awayNames(context)}`;
  const bytes = view.reply(name, reply.version, (writer) => writer.verbatim(nodesText(view.map, isAway)));
  replyKept(context, bytes);
});

const info = now((context) => {
  const { server, reply } = context;
  reply.verbatim(clusterInfoText(viewOf(context).map, server.doors.isAway));
});

/** A handler of what is asked about a node, once it is clear that there is one. */
function ofNode(tell: (context: FrontContext) => void): FrontHandler {
  return now((context, args) => {
    const id = args.text(2);
    if (viewOf(context).map.nodes.some((node) => node.id === id)) tell(context);
    else context.reply.error(`ERR Unknown node ${id}`);
  });
}

const replicas = ofNode(({ reply }) => reply.array(0));

const links = now(({ server, reply }) => {
  const outgoing = [...server.links.all()].map((link) => ({
    direction: 'to',
    node: link.target.store,
    createdAtMs: link.createdAtMs,
    queuedBytes: link.pending.bytes,
  }));
  const incoming = [...server.connections.values()]
    .filter(({ session }) => session.isPeer)
    .map((connection) => ({
      direction: 'from',
      node: connection.session.peerStore,
      createdAtMs: connection.session.createdAtMs,
      queuedBytes: connection.queuedOutputBytes,
    }));
  const all = [...outgoing, ...incoming];
  reply.array(all.length);
  for (const { direction, node, createdAtMs, queuedBytes } of all) {
    reply.map(6);
    const texts = { direction, node, events: queuedBytes > 0 ? 'rw' : 'r' };
    const numbers = {
      'create-time': createdAtMs,
      'send-buffer-allocated': queuedBytes,
      'send-buffer-used': queuedBytes,
    };
    for (const [name, text] of Object.entries(texts)) {
      reply.bulk(name);
      reply.bulk(text);
    }
    for (const [name, number] of Object.entries(numbers)) {
      reply.bulk(name);
      reply.integer(number);
    }
  }
});

// ---------------------------------------------------------------- keys of a slot

/** An argument that is an integer in the range of C's long. */
function integerAt(args: Arguments, index: number): number | CommandError {
  return parseInteger(args.text(index)) ?? NOT_AN_INTEGER;
}

const countKeysInSlot = inTurn(async (context, args) => {
  const slot = integerAt(args, 2);
  const { reply } = context;
  if (slot instanceof CommandError) reply.error(slot);
  else if (slot < 0 || slot >= SLOTS) reply.error(INVALID_SLOT);
  else {
    let count = 0;
    const failure = await visitSlot(context, slot, () => {
      count++;
      return true;
    });
    if (failure === undefined) reply.integer(count);
    else reply.error(failure);
  }
});

const getKeysInSlot = inTurn(async (context, args) => {
  const slot = integerAt(args, 2);
  const limit = integerAt(args, 3);
  const { reply } = context;
  if (slot instanceof CommandError) reply.error(slot);
  else if (limit instanceof CommandError) reply.error(limit);
  else if (slot < 0 || slot >= SLOTS || limit < 0) reply.error(INVALID_SLOT_OR_COUNT);
  else {
    const keys: Buffer[] = [];
    const failure =
      limit === 0
        ? undefined
        : await visitSlot(context, slot, (key) => {
            keys.push(key);
            return keys.length < limit;
          });
    if (failure !== undefined) reply.error(failure);
    else {
      reply.array(keys.length);
      for (const key of keys) reply.bulk(key);
    }
  }
});

/**
 * Visits the keys of a slot that this node shows as its own, until `visit` returns false. Rows are in order of their
 * keys, not of their slots, so all keys of the shard are looked at, a slice at a time: others' commands run between.
 * @returns why that could not be
 */
async function visitSlot(
  { server, session, connection }: FrontContext,
  slot: number,
  visit: (key: Buffer) => boolean,
): Promise<string | undefined> {
  const { keyspace } = session;
  if (keyspace === undefined) return undefined;
  const shard = keyspace.shardsOfSlots[slot]!;
  const place = placesAsked(server.doors, session, keyspace).find((each) => each.shard === shard);
  let cursor = '0';
  if (place === undefined) return undefined;
  do {
    const reply = await callPlace(server, keyspace, place, 'SCAN', cursor, 'COUNT', String(SLOT_SCAN_KEYS));
    const failure = errorOf(reply);
    if (failure !== undefined) return failure;
    const [next, found] = elementsOf(reply)!;
    for (const element of elementsOf(found!)!) {
      const key = stringOf(element)!;
      if (keySlot(key) === slot && !visit(key)) return undefined;
    }
    cursor = stringOf(next!)!.latin1Slice();
  } while (cursor !== '0' && !connection.isClosed);
  return undefined;
}

// ---------------------------------------------------------------- what Vasto does otherwise

/** Says what a Vasto operator does instead. */
function otherwise(what: string): FrontHandler {
  return now(({ reply, command }) => {
    const name = command.name.slice('cluster|'.length).toUpperCase();
    reply.error(`ERR CLUSTER ${name} is not how a Vasto cluster is run: ${what}`);
  });
}

const SLOTS_FOLLOW = otherwise(
  'slots belong to shards, and shards are put on stores when a keyspace is made (VASTO KEYSPACE CREATE)',
);
const EPOCHS_FOLLOW = otherwise(
  'the master gives an epoch to each change of the topology (see VASTO TOPOLOGY)',
);
const COPIES_FOLLOW = otherwise(
  'how many copies there are is said when a keyspace is made (VASTO KEYSPACE CREATE … REPLICAS), and the master chooses where',
);

/** What cluster clients ask for. */
export const clusterHandlers: FrontHandlers = Object.fromEntries(
  Object.entries({
    'cluster|slots': slots,
    'cluster|shards': shards,
    'cluster|nodes': nodes,
    'cluster|info': info,
    'cluster|myid': now((context) => context.reply.bulk(viewOf(context).map.self.id)),
    'cluster|keyslot': now(({ reply }, args) => reply.integer(keySlot(args.bytes(2)))),
    'cluster|countkeysinslot': countKeysInSlot,
    'cluster|getkeysinslot': getKeysInSlot,
    'cluster|links': links,
    'cluster|count-failure-reports': ofNode(({ reply }) => reply.integer(0)),
    'cluster|replicas': replicas,
    'cluster|slaves': replicas,
    'cluster|help': now(({ command, reply }) => {
      const lines = helpLines(command.container!);
      reply.array(lines.length);
      for (const line of lines) reply.simple(line);
    }),
    // The topology is on disk before a store answers that it has been put into effect.
    'cluster|saveconfig': now(({ reply }) => reply.ok()),
    'cluster|addslots': SLOTS_FOLLOW,
    'cluster|addslotsrange': SLOTS_FOLLOW,
    'cluster|delslots': SLOTS_FOLLOW,
    'cluster|delslotsrange': SLOTS_FOLLOW,
    'cluster|flushslots': SLOTS_FOLLOW,
    'cluster|setslot': SLOTS_FOLLOW,
    'cluster|bumpepoch': EPOCHS_FOLLOW,
    'cluster|set-config-epoch': EPOCHS_FOLLOW,
    'cluster|failover': COPIES_FOLLOW,
    'cluster|replicate': COPIES_FOLLOW,
    'cluster|meet': otherwise('start a store with the directive master, and it joins by itself'),
    'cluster|forget': otherwise('the master forgets no store: end it, and VASTO STORES shows it as down'),
    'cluster|reset': otherwise(
      'VASTO KEYSPACE DELETE removes data; a store that is to begin anew is started on an empty dir',
    ),
    asking: now(({ session, reply, inTransaction }) => {
      // Inside EXEC it says nothing of the command behind EXEC.
      if (inTransaction !== true) session.isAsking = true;
      reply.ok();
    }),
    readonly: now(({ session, reply }) => {
      session.takesCopies = true;
      reply.ok();
    }),
    readwrite: now(({ session, reply }) => {
      session.takesCopies = false;
      reply.ok();
    }),
  }).map(([name, handler]) => [name, atDoor(handler)]),
);
