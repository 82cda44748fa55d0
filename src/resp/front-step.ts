import { performance } from 'node:perf_hooks';
import { ListArguments } from '../base/arguments.js';
import { replyOf } from '../base/command-errors.js';
import type { Connection } from './connection.js';
import { frontHandler } from './front/handlers.js';
import type { RespServer } from './server.js';
import type { Step } from './transaction-plan.js';

/** Runs a command of a transaction that the front runs itself, and writes its reply. */
export async function runFrontStep(server: RespServer, connection: Connection, step: Step): Promise<void> {
  const { session, writer } = connection;
  writer.version = session.version;
  const { command } = step;
  const context = { server, connection, session, command, reply: writer, inTransaction: true };
  const args = new ListArguments(step.args);
  const startedMs = performance.now();
  const errors = writer.errorCount;
  try {
    await frontHandler(command.name).run(context, args);
  } catch (error) {
    // Handlers reply when all else is done. Here each command has its place among the replies.
    writer.error(replyOf(error as Error));
  }
  const microseconds = Math.round((performance.now() - startedMs) * 1000);
  server.accountFront(connection, command, args, microseconds, writer.errorCount !== errors);
}
