import { once } from 'node:events';
import type { Arguments } from '../../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { configHandlers } from './config.js';
import { databaseHandlers } from './databases.js';
import { debugHandlers } from './debug.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';
import { help } from './help.js';
import { infoHandlers } from './info.js';
import { latencyHandlers } from './latency.js';
import { lolwutHandlers } from './lolwut.js';
import { memoryHandlers } from './memory.js';
import { savingHandlers } from './saving.js';
import { slowlogHandlers } from './slowlog.js';

const BAD_TIMEOUT = new CommandError('ERR timeout is not an integer or out of range');
const NEGATIVE_TIMEOUT = new CommandError('ERR timeout is negative');
const NOT_SHUTTING_DOWN = new CommandError('ERR No shutdown in progress.');
/** The longest time a timer takes. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Commands about the server itself. */
export const serverHandlers: FrontHandlers = {
  ...infoHandlers,
  ...configHandlers,
  ...savingHandlers,
  ...databaseHandlers,
  ...slowlogHandlers,
  ...latencyHandlers,
  ...memoryHandlers,
  ...debugHandlers,
  ...lolwutHandlers,
  time: now(({ reply }) => {
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    reply.array(2);
    reply.bulk(String(Math.floor(microseconds / 1e6)));
    reply.bulk(String(microseconds % 1e6));
  }),
  role: now(({ reply }) => {
    reply.array(3);
    reply.bulk('master');
    reply.integer(0);
    reply.array(0);
  }),
  wait: inTurn(wait),
  shutdown: inTurn(shutdown),
  'module|list': now(({ reply }) => reply.array(0)),
  'module|help': help('MODULE', [['LIST', 'The modules that are loaded: there are none.']]),
};

/** No replica has anything, so whoever asks for one waits for the time he gave. Inside EXEC nobody waits. */
async function wait(
  { server, connection, inTransaction, reply }: FrontContext,
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
    if (replicas > 0 && inTransaction !== true) await timeOrEnd(server, connection, timeoutMs);
    reply.integer(0);
  }
}

/** Resolves when the time is over, never for 0, or when the client goes away. */
async function timeOrEnd(
  server: FrontContext['server'],
  { socket }: FrontContext['connection'],
  timeoutMs: number,
): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  const gone = ['end', 'close'].map((event) => once(socket, event, { signal }));
  const timer =
    timeoutMs === 0 ? undefined : setTimeout(() => over.abort(), Math.min(timeoutMs, TIMER_MS_MAX));
  // A connection that waits for its turn is not read from, and would not hear that its client has left.
  socket.resume();
  server.blockedClients++;
  await Promise.race(gone).catch(() => undefined);
  server.blockedClients--;
  socket.pause();
  clearTimeout(timer);
  over.abort();
  await Promise.allSettled(gone);
}

const SHUTDOWN_OPTIONS: ReadonlySet<string> = new Set(['SAVE', 'NOSAVE', 'NOW', 'FORCE', 'ABORT']);

/**
 * All data is always saved, so SAVE and NOSAVE are the same; NOW and FORCE concern replicas and failed saves.
 * There is no reply: the end of the connection, when all is on disk, is the answer.
 */
async function shutdown({ server, connection, reply }: FrontContext, args: Arguments): Promise<void> {
  const options = new Set(Array.from({ length: args.count - 1 }, (_, index) => args.token(index + 1)));
  const contradict = options.has('SAVE') && options.has('NOSAVE');
  const alone = !options.has('ABORT') || options.size === 1;
  if (contradict || !alone || [...options].some((option) => !SHUTDOWN_OPTIONS.has(option)))
    reply.error(SYNTAX_ERROR);
  else if (options.has('ABORT')) reply.error(NOT_SHUTTING_DOWN);
  else {
    server.closesLast = connection;
    server.requestShutdown();
    await new Promise(() => undefined);
  }
}
