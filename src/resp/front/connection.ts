import { CommandError, wrongArity } from '../../base/command-errors.js';
import { setAuthenticated } from '../authentication.js';
import { parseSelection, selectionAtDoor } from '../selection.js';
import { Attention } from '../session.js';
import { dropTransaction } from '../watches.js';
import { type FrontHandlers, now } from './handlers.js';

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
    const parse = session.door === '' ? parseSelection : selectionAtDoor;
    const selection = parse(server.store, args.text(1));
    if (selection instanceof CommandError) reply.error(selection);
    else {
      session.select(selection);
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
