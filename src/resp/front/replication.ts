import { once } from 'node:events';
import type { Arguments } from '../../base/arguments.js';
import { CommandError, NOT_AN_INTEGER } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { encodeCommand } from '../../cluster/frames.js';
import { integerOf } from '../../cluster/reply-scanner.js';
import { Keyspace } from '../../node/keyspaces.js';
import type { ShardRoute } from '../../workers/pool.js';
import { callRemote } from '../forwarding.js';
import { selectedKeyspace } from '../selection.js';
import type { RespServer } from '../server.js';
import type { Session } from '../session.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';

const BAD_TIMEOUT = new CommandError('ERR timeout is not an integer or out of range');
const NEGATIVE_TIMEOUT = new CommandError('ERR timeout is negative');
const TOO_MANY_WAIT = new CommandError(
  'ERR too many clients of this node wait for replicas of other stores: try again later',
);
/** The longest time a timer takes. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Another store is asked to wait for no longer than this at a time, milliseconds: less than it takes to seem dead. */
const REMOTE_WAIT_MS = 500;

/** Commands about copies of what this node holds. */
export const replicationHandlers: FrontHandlers = {
  role: now(role),
  wait: inTurn(wait),
};

/** Every store takes writes, of what it owns and for others: so each is a master, and those that follow it are replicas. */
function role({ server, reply }: FrontContext): void {
  const { sources } = server.store.feeds;
  const followers = sources.followers();
  reply.array(3);
  reply.bulk('master');
  reply.integer(sources.loggedRecords);
  reply.array(followers.length);
  for (const { store, acknowledged } of followers) {
    const entry = server.store.keyspaces.topology.stores.get(store);
    reply.array(3);
    reply.bulk(entry?.host ?? '');
    reply.bulk(String(entry === undefined ? 0 : entry.port || entry.tlsPort));
    reply.bulk(String(acknowledged));
  }
}

/**
 * WAIT replicas timeout, for the selected keyspace: how many replicas of each of its shards have all that was written
 * to it before. Inside EXEC nobody waits.
 */
async function wait(
  { server, connection, session, inTransaction, reply }: FrontContext,
  args: Arguments,
): Promise<void> {
  const replicas = parseInteger(args.text(1));
  if (replicas === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const timeoutMs = parseInteger(args.text(2));
  if (timeoutMs === undefined) reply.error(BAD_TIMEOUT);
  else if (timeoutMs < 0) reply.error(NEGATIVE_TIMEOUT);
  else {
    const keyspace = keyspaceOf(server, session);
    const isHereOnly = session.isPeer || session.door !== '' || inTransaction === true;
    const over = new AbortController();
    const nobodyWaits = inTransaction === true || replicas <= 0;
    const end = overAfter(server, connection, nobodyWaits ? undefined : timeoutMs, over);
    const counts =
      keyspace === undefined ? [] : countsIn(server, keyspace, replicas, isHereOnly, over.signal);
    // A keyspace that is not there yet has no replicas, however long one waits.
    if (counts.length === 0 && replicas > 0) await aborted(over.signal);
    const all = await Promise.all(counts);
    end();
    if (all.includes(undefined)) reply.error(TOO_MANY_WAIT);
    else reply.integer(counts.length === 0 ? 0 : Math.min(...all.map((count) => count!)));
  }
}

/** Also of a session that has not used it yet; undefined where there is none. */
function keyspaceOf({ store, doors }: RespServer, session: Session): Keyspace | undefined {
  if (session.keyspace !== undefined || session.door === '') return selectedKeyspace(store, session);
  const shown = doors.keyspace(session.door);
  return shown instanceof Keyspace ? shown : undefined;
}

/** For the shards that are here, and for each store that has others: how many replicas they have, or too many wait. */
function countsIn(
  server: RespServer,
  keyspace: Keyspace,
  replicas: number,
  isHereOnly: boolean,
  over: AbortSignal,
): Promise<number | undefined>[] {
  const local = keyspace.places.map((place) => place.local).filter((route) => route !== undefined);
  const elsewhere = keyspace.places.filter((place) => place.local === undefined && place.store !== '');
  const stores = isHereOnly ? [] : [...new Set(elsewhere.map(({ store }) => store))];
  return [
    ...(local.length === 0 ? [] : [countHere(server, local, replicas, over)]),
    ...stores.map((store) => countAt(server, store, keyspace.id, replicas, over)),
  ];
}

/** Waits for so many replicas of each shard, until it is over. */
function countHere(
  { store }: RespServer,
  routes: readonly ShardRoute[],
  replicas: number,
  over: AbortSignal,
): Promise<number> {
  const { sources } = store.feeds;
  const count = sources.replicasSince(routes);
  return new Promise((resolve) => {
    const look = () => {
      if (count() < replicas && !over.aborted) return;
      stop();
      over.removeEventListener('abort', look);
      resolve(count());
    };
    const stop = sources.onAcknowledged(look);
    over.addEventListener('abort', look);
    look();
  });
}

/** Has another store wait. @returns undefined when too many do */
async function countAt(
  { links }: RespServer,
  store: string,
  keyspace: string,
  replicas: number,
  over: AbortSignal,
): Promise<number | undefined> {
  const link = links.openDedicated(store, keyspace, 2, () => undefined);
  if (link === undefined) return undefined;
  const ask = (ms: number) => callRemote(link, encodeCommand(['WAIT', String(replicas), String(ms)]));
  // The first answer tells what is there already, whatever time is left.
  let count = integerOf(await ask(1)) ?? 0;
  while (count < replicas && !over.aborted && !link.isClosed)
    count = integerOf(await ask(REMOTE_WAIT_MS)) ?? 0;
  links.release(link, true);
  return count;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/**
 * Says that it is over when the time is, never for 0, at once for undefined, or when the client goes away.
 * @returns to be called when nobody waits any more
 */
function overAfter(
  server: RespServer,
  { socket }: FrontContext['connection'],
  timeoutMs: number | undefined,
  over: AbortController,
): () => void {
  if (timeoutMs === undefined) {
    over.abort();
    return () => undefined;
  }
  const { signal } = over;
  for (const event of ['end', 'close'])
    once(socket, event, { signal }).then(
      () => over.abort(),
      () => undefined,
    );
  const timer =
    timeoutMs === 0 ? undefined : setTimeout(() => over.abort(), Math.min(timeoutMs, TIMER_MS_MAX));
  // A connection that waits for its turn is not read from, and would not hear that its client has left.
  socket.resume();
  server.blockedClients++;
  return () => {
    server.blockedClients--;
    socket.pause();
    clearTimeout(timer);
    over.abort();
  };
}
