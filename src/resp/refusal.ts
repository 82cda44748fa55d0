import { CommandError } from '../base/command-errors.js';
import type { Command } from '../commands/table.js';
import type { Connection } from './connection.js';
import type { RespServer } from './server.js';
import { dropTransaction } from './watches.js';

/** Answers a command that does not run with an error; inside MULTI, the transaction is then lost. */
export function refuse(
  connection: Connection,
  error: CommandError,
  command: Command | undefined,
  server?: RespServer,
): void {
  if (connection.session.queued !== undefined) connection.session.transactionFailed = true;
  if (command !== undefined) server?.store.frontStatistics.reject(command.index);
  if (command?.name === 'exec') {
    dropTransaction(connection);
    const reason = error.text.replace(/^ERR /, '');
    answer(connection, new CommandError(`EXECABORT Transaction discarded because of: ${reason}`));
  } else answer(connection, error);
}

/** Answers a command with an error, and nothing else. */
export function answer(connection: Connection, error: CommandError): void {
  connection.writer.version = connection.session.version;
  connection.writer.error(error);
  connection.flushWriter();
}
