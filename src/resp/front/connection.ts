import { CommandError, NOT_AN_INTEGER, wrongArity } from '../../base/command-errors.js';
import { parseInt64 } from '../../base/numbers.js';
import { setAuthenticated } from '../authentication.js';
import { DB_OUT_OF_RANGE } from '../dispatcher.js';
import { Attention } from '../session.js';
import { dropTransaction } from '../transaction.js';
import { type FrontHandlers, now } from './handlers.js';

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const NOT_AN_INT32 = new CommandError(
  `ERR value is out of range, value must between ${INT32_MIN} and ${INT32_MAX}`,
);
const MONITOR_IN_TRANSACTION = new CommandError("ERR MONITOR isn't allowed for DENY BLOCKING client");

/** The commands about the connection itself; HELLO, AUTH and CLIENT are in files of their own. */
export const connectionHandlers: FrontHandlers = {
  ping: now(({ reply }, args) => {
    if (args.count > 2) reply.error(wrongArity('ping'));
    else if (args.count === 2) reply.bulk(args.bytes(1));
    else reply.simple('PONG');
  }),
  echo: now(({ reply }, args) => reply.bulk(args.bytes(1))),
  quit: now(({ connection, reply }) => {
    reply.ok();
    connection.flushWriter();
    connection.closeAfterReplies();
  }),
  reset: now(({ server, connection, session, reply }) => {
    dropTransaction(connection);
    server.monitor.remove(connection);
    session.reset();
    setAuthenticated(connection, server.config.values.requirepass === '');
    reply.simple('RESET');
  }),
  select: now(({ server, session, reply }, args) => {
    const db = parseInt64(args.text(1));
    if (db === undefined) reply.error(NOT_AN_INTEGER);
    else if (typeof db === 'bigint' || db < INT32_MIN || db > INT32_MAX) reply.error(NOT_AN_INT32);
    else if (db < 0 || db >= server.config.values.databases) reply.error(DB_OUT_OF_RANGE);
    else {
      session.selectDatabase(db);
      reply.ok();
    }
  }),
  monitor: now(({ server, connection, session, reply, inTransaction }) => {
    if (inTransaction) return reply.error(MONITOR_IN_TRANSACTION);
    // As Redis has it, whoever monitors already gets no reply.
    if (session.attention & Attention.Monitor) return;
    server.monitor.add(connection);
    reply.ok();
  }),
};
