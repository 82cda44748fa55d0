import type { Arguments } from '../../base/arguments.js';
import type { ReplyWriter } from '../../base/reply-writer.js';
import type { Command } from '../../commands/table.js';
import type { Connection } from '../connection.js';
import type { RespServer } from '../server.js';
import type { Session } from '../session.js';
import { backupHandlers } from './backup.js';
import { clientHandlers } from './client.js';
import { clusterHandlers } from './cluster.js';
import { commandHandlers } from './command.js';
import { connectionHandlers } from './connection.js';
import { helloHandlers } from './hello.js';
import { peerHandlers } from './peer.js';
import { serverHandlers } from './server.js';
import { transactionHandlers } from './transactions.js';
import { vastoHandlers } from './vasto.js';

/** What a command that runs on the front works with. */
export interface FrontContext {
  readonly server: RespServer;
  readonly connection: Connection;
  readonly session: Session;
  readonly command: Command;
  /** Takes exactly one reply. */
  readonly reply: ReplyWriter;
  /** Whether EXEC runs it. */
  readonly inTransaction?: boolean;
}

/** The front's part of a command whose definition says `runs: 'front'`. */
export interface FrontHandler {
  /** Whether it must see the effects of the connection's commands before it, or takes time: it then runs alone. */
  readonly waits: boolean;
  run(context: FrontContext, args: Arguments): void | Promise<void>;
}

export type FrontHandlers = Readonly<Record<string, FrontHandler>>;

/** A handler that runs at once, and replies before it returns. */
export function now(run: (context: FrontContext, args: Arguments) => void): FrontHandler {
  return { waits: false, run };
}

/** A handler that runs when all replies before it are out, and holds back what comes behind it until it is done. */
export function inTurn(run: (context: FrontContext, args: Arguments) => void | Promise<void>): FrontHandler {
  return { waits: true, run };
}

const handlers = new Map<string, FrontHandler>(
  Object.entries({
    ...connectionHandlers,
    ...helloHandlers,
    ...clientHandlers,
    ...commandHandlers,
    ...transactionHandlers,
    ...serverHandlers,
    ...vastoHandlers,
    ...peerHandlers,
    ...backupHandlers,
    ...clusterHandlers,
  }),
);

/** The handler of a command, by its full name. */
export function frontHandler(name: string): FrontHandler {
  const handler = handlers.get(name);
  if (handler === undefined) throw new Error(`the front has no handler for ${name}`);
  return handler;
}
