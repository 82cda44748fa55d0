import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { configHandlers } from './config.js';
import { databaseHandlers } from './databases.js';
import { debugHandlers } from './debug.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';
import { help } from './help.js';
import { infoHandlers } from './info.js';
import { latencyHandlers } from './latency.js';
import { lolwutHandlers } from './lolwut.js';
import { memoryHandlers } from './memory.js';
import { replicationHandlers } from './replication.js';
import { savingHandlers } from './saving.js';
import { slowlogHandlers } from './slowlog.js';

const NOT_SHUTTING_DOWN = new CommandError('ERR No shutdown in progress.');
/** Commands about the server itself. */
export const serverHandlers: FrontHandlers = {
  ...infoHandlers,
  ...configHandlers,
  ...savingHandlers,
  ...databaseHandlers,
  ...slowlogHandlers,
  ...latencyHandlers,
  ...memoryHandlers,
  ...replicationHandlers,
  ...debugHandlers,
  ...lolwutHandlers,
  time: now(({ reply }) => {
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    reply.array(2);
    reply.bulk(String(Math.floor(microseconds / 1e6)));
    reply.bulk(String(microseconds % 1e6));
  }),
  shutdown: inTurn(shutdown),
  'module|list': now(({ reply }) => reply.array(0)),
  'module|help': help('MODULE', [['LIST', 'The modules that are loaded: there are none.']]),
};

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
