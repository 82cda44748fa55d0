import { CommandError } from '../../base/command-errors.js';
import { Attention } from '../session.js';
import { executeTransaction } from '../transaction.js';
import { dropTransaction, forgetWatches } from '../watches.js';
import { type FrontHandlers, now } from './handlers.js';

const NESTED = new CommandError('ERR MULTI calls can not be nested');
const EXEC_WITHOUT = new CommandError('ERR EXEC without MULTI');
const DISCARD_WITHOUT = new CommandError('ERR DISCARD without MULTI');

/** MULTI, EXEC, DISCARD, UNWATCH. */
export const transactionHandlers: FrontHandlers = {
  multi: now(({ session, reply }) => {
    if (session.queued !== undefined) {
      reply.error(NESTED);
      return;
    }
    session.queued = [];
    session.set(Attention.Transaction, true);
    reply.ok();
  }),
  exec: now(({ server, connection, session, command, reply }, args) => {
    if (session.queued !== undefined) executeTransaction(server, connection, { command, args });
    else {
      reply.error(EXEC_WITHOUT);
      server.monitor.show(connection, command, args);
    }
  }),
  discard: now(({ connection, session, reply }) => {
    if (session.queued === undefined) {
      reply.error(DISCARD_WITHOUT);
      return;
    }
    dropTransaction(connection);
    reply.ok();
  }),
  unwatch: now(({ connection, reply }) => {
    forgetWatches(connection);
    reply.ok();
  }),
};
