import type { Buffer } from 'node:buffer';
import { setTimeout as pause } from 'node:timers/promises';
import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { isMoved } from '../../cluster/link.js';
import { errorOf } from '../../cluster/reply-scanner.js';
import type { Keyspace, ShardPlace } from '../../node/keyspaces.js';
import { readyRoute } from '../../node/segments.js';
import { placesAsked } from '../cluster-doors.js';
import { callPlace, isNotFlushed, MOVED_DELAY_MS } from '../forwarding.js';
import { notAtDoor } from '../selection.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';

const INVALID_FIRST = new CommandError('ERR invalid first DB index');
const INVALID_SECOND = new CommandError('ERR invalid second DB index');
const OUT_OF_RANGE = new CommandError('ERR DB index is out of range');
const INT32_MAX = 2 ** 31 - 1;

/** Commands about all databases, or two: FLUSHALL and SWAPDB. */
export const databaseHandlers: FrontHandlers = {
  flushall: inTurn(flushAll),
  swapdb: inTurn(swapDatabases),
};

/** Whether the arguments of a FLUSHALL are well-formed: nothing, SYNC or ASYNC, which are the same here. */
export function isFlushCommand(args: readonly Buffer[]): boolean {
  const [, mode, ...rest] = args;
  return rest.length === 0 && (mode === undefined || /^a?sync$/i.test(mode.latin1Slice()));
}

/**
 * Of a cluster door's clients, what is this node's of their keyspace, as in Redis Cluster.
 * Each database is emptied at one moment, but not all of them at the same: EXEC has them all on one owner.
 */
async function flushAll({ server, session, reply }: FrontContext, args: Arguments): Promise<void> {
  if (!isFlushCommand(Array.from({ length: args.count }, (_, index) => args.bytes(index)))) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const keyspaces = session.door === '' ? server.store.keyspaces.all() : [session.keyspace!];
  const shards = (
    await Promise.all(keyspaces.map((keyspace) => flushShards(server, session, keyspace)))
  ).flat();
  const failures = shards.map(errorOf).filter((text) => text !== undefined);
  if (failures.length === 0) reply.ok();
  else if (failures.length === shards.length) reply.error(failures[0]!);
  else reply.error(`${failures[0]}; ${failures.length} of ${shards.length} shards were not emptied`);
}

/**
 * Empties the shards of a keyspace, those that are on their way a little later; each once, so that what is written to it
 * after that stays. When it has another number of shards meanwhile, all are emptied again: some may have got rows of
 * others that had not been.
 * @returns the reply of each
 */
async function flushShards(
  server: FrontContext['server'],
  session: FrontContext['session'],
  keyspace: Keyspace,
): Promise<Buffer[]> {
  const deadlineMs = performance.now() + server.config.values['cluster-node-timeout'];
  const flush = async (place: ShardPlace): Promise<Buffer> => {
    for (;;) {
      const reply = await callPlace(server, keyspace, place, 'FLUSHDB');
      if (!isNotFlushed(reply) || performance.now() > deadlineMs) return reply;
      await pause(MOVED_DELAY_MS);
    }
  };
  let shards = keyspace.places.length;
  const emptied = new Map<number, Buffer>();
  for (;;) {
    if (keyspace.places.length !== shards) emptied.clear();
    shards = keyspace.places.length;
    const asked = placesAsked(server.doors, session, keyspace).filter(({ shard }) => !emptied.has(shard));
    const replies = await Promise.all(asked.map(flush));
    if (!replies.some(isMoved) || performance.now() > deadlineMs) return [...emptied.values(), ...replies];
    for (const [index, reply] of replies.entries())
      if (errorOf(reply) === undefined) emptied.set(asked[index]!.shard, reply);
    await pause(MOVED_DELAY_MS);
  }
}

async function swapDatabases({ server, session, reply }: FrontContext, args: Arguments): Promise<void> {
  if (session.door !== '') {
    reply.error(notAtDoor('SWAPDB'));
    return;
  }
  const first = parseIndex(args.text(1));
  const second = parseIndex(args.text(2));
  const { databases } = server.config.values;
  if (first === undefined) reply.error(INVALID_FIRST);
  else if (second === undefined) reply.error(INVALID_SECOND);
  else if (first < 0 || second < 0 || first >= databases || second >= databases) reply.error(OUT_OF_RANGE);
  else {
    if (first !== second) await exchange(server, first, second);
    reply.ok();
  }
}

/** Watches belong to numbers: those of the two shards change places, for which one owner must have both. */
async function exchange({ store }: FrontContext['server'], first: number, second: number): Promise<void> {
  const keyspaces = await Promise.all([store.database(first), store.database(second)]);
  const routes = keyspaces.map(({ onlyShard }) => onlyShard).filter((route) => route !== undefined);
  for (const route of routes) await readyRoute(route);
  await store.colocate(routes);
  await store.manager.swapDatabases(first, second);
}

function parseIndex(text: string): number | undefined {
  const index = parseInteger(text);
  return index === undefined || Math.abs(index) > INT32_MAX ? undefined : index;
}
