import type { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { ListArguments } from '../base/arguments.js';
import {
  CommandError,
  NOT_AN_INTEGER,
  quotable,
  unknownSubcommand,
  wrongArity,
} from '../base/command-errors.js';
import { BATCH_BYTES_LIMIT } from '../base/limits.js';
import { parseInteger } from '../base/numbers.js';
import type { CommandFlag } from '../commands/definition.js';
import { type Command, findCommand } from '../commands/table.js';
import { addCommand, readyRoute } from '../node/store.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction } from '../workers/protocol.js';
import { setAuthenticated } from './authentication.js';
import type { Connection } from './connection.js';
import { frontHandler } from './front/handlers.js';
import type { RespServer } from './server.js';
import { Attention } from './session.js';
import { dropTransaction, queueInTransaction } from './transaction.js';

/** Different spellings of command names that are remembered (`GET`, `get`, `Get`, …). */
const SPELLINGS_MAX = 4096;
const spellings = new Map<string, Command>();

/** Name bytes beyond which a name cannot be a command's, and need not be turned into text. */
const NAME_BYTES_MAX = 64;

const TOO_LARGE = new CommandError(
  `ERR a command of more than ${BATCH_BYTES_LIMIT} bytes is larger than Vasto takes: send it in parts`,
);
const NO_AUTH = new CommandError('NOAUTH Authentication required.');

/** Runs a command of a connection, or has it run: the way of every command. */
export function dispatch(server: RespServer, connection: Connection, args: Buffer[], frames: Buffer): void {
  const { session } = connection;
  if (session.attention & Attention.Silent) session.nextReply();
  const command = lookup(args);
  if (command instanceof CommandError) {
    if (isCrossProtocol(args[0]!)) {
      connection.destroy('what looks like an HTTP request, perhaps a cross-protocol attack');
      return;
    }
    refuse(connection, command, undefined);
    return;
  }
  connection.commands++;
  session.lastCommand = command;
  if (command.arity > 0 ? args.length !== command.arity : args.length < -command.arity) {
    refuse(connection, wrongArity(command.name), command, server);
    return;
  }
  if ((session.attention | server.attention) !== 0 && intercept(server, connection, command, args, frames))
    return;
  perform(server, connection, command, args, frames);
}

/** A browser that was tricked into sending an HTTP request here must not have its body run as commands. */
function isCrossProtocol(name: Buffer): boolean {
  return name.length <= 5 && /^(post|host:)$/i.test(name.latin1Slice());
}

/** Runs a command that nothing stands in the way of. */
export function perform(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): void {
  if (command.runs === 'front') {
    runOnFront(server, connection, command, args);
    return;
  }
  const { session } = connection;
  const route = session.route ?? server.store.routeOf(session.db);
  session.route = route;
  if (frames.length > BATCH_BYTES_LIMIT) {
    refuse(connection, TOO_LARGE, command, server);
    return;
  }
  if (route.ready !== undefined || route.owner.isCongestedFor(frames.length)) {
    connection.holdBack(args, frames);
    connection.stallUntil(route.ready !== undefined ? readyRoute(route) : route.owner.relieved());
    return;
  }
  if (command.name === 'watch') session.watched.add(route);
  const target = targetDatabase(command, args, server.config.values.databases);
  if (target instanceof CommandError) {
    refuse(connection, target, command, server);
    return;
  }
  if (target !== undefined) {
    sendWithTarget(server, connection, command, args, frames, route, target);
    return;
  }
  send(connection, route, command, args, frames);
}

/** Puts a command into the batch of its shard's owner. */
function send(
  connection: Connection,
  route: ShardRoute,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  target?: ShardRoute,
): void {
  const slot = openSegment(connection, route);
  if (target !== undefined) route.owner.batch.instruct(Instruction.UseTarget, target.shard);
  addCommand(route.owner, command, args, frames);
  connection.countUnderWay(slot);
}

/** The segment that the connection's next command for a shard belongs to: the last one, if nothing came between. */
export function openSegment(connection: Connection, route: ShardRoute, extraFlags = 0) {
  const { session, replies } = connection;
  const { owner } = route;
  const { batch } = owner;
  const flags = session.segmentFlags | extraFlags;
  const silent = session.replies !== 'on';
  const { tail } = replies;
  if (
    extraFlags === 0 &&
    !connection.hasReady &&
    tail !== undefined &&
    batch.receivers[batch.receivers.length - 1] === tail &&
    tail.shard === route.shard &&
    tail.flags === flags &&
    tail.silent === silent
  )
    return tail;
  connection.pushReady();
  const slot = replies.reserve(route.shard, flags, silent);
  batch.begin(slot, session.id, route.shard, flags);
  owner.schedule();
  return slot;
}

export const DB_OUT_OF_RANGE = new CommandError('ERR DB index is out of range');
const INT32_MAX = 2 ** 31 - 1;

/**
 * The database number that MOVE and COPY … DB name; undefined for other commands, and where the arguments
 * before it are malformed, of which the command will complain.
 */
export function targetDatabase(
  command: Command,
  args: readonly Buffer[],
  databases: number,
): number | CommandError | undefined {
  const written = command.name === 'move' ? args[2] : command.name === 'copy' ? copyTarget(args) : undefined;
  if (written === undefined) return undefined;
  const db = parseInteger(written.latin1Slice());
  if (db === undefined || Math.abs(db) > INT32_MAX) return NOT_AN_INTEGER;
  return db < 0 || db >= databases ? DB_OUT_OF_RANGE : db;
}

function copyTarget(args: readonly Buffer[]): Buffer | undefined {
  for (let index = 3; index < args.length; index++) {
    const option = beginning(args[index]!, NAME_BYTES_MAX).toUpperCase();
    if (option === 'DB') return args[index + 1];
    if (option !== 'REPLACE') return undefined;
  }
  return undefined;
}

function sendWithTarget(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
  route: ShardRoute,
  db: number,
): void {
  const target = server.store.routeOf(db);
  if (target === route || (target.ready === undefined && target.owner === route.owner)) {
    send(connection, route, command, args, frames, target);
    return;
  }
  connection.holdBack(args, frames);
  connection.stallUntil(readyRoute(target).then(() => server.store.colocate([route, target])));
}

/** Finds the command that the arguments name, subcommands included. */
function lookup(args: readonly Buffer[]): Command | CommandError {
  const written = beginning(args[0]!, NAME_BYTES_MAX + 1);
  let command = spellings.get(written);
  if (command === undefined) {
    command = findCommand(written.toLowerCase());
    if (command === undefined) return unknownCommand(args);
    if (spellings.size < SPELLINGS_MAX) spellings.set(written, command);
  }
  if (command.children.size === 0 || args.length < 2) return command;
  const sub = beginning(args[1]!, NAME_BYTES_MAX + 1);
  return (
    command.children.get(sub.toLowerCase()) ?? (command.arity > 0 ? command : subcommandError(command, args))
  );
}

/** The first bytes as latin1 text. */
function beginning(bytes: Buffer, lengthMax: number): string {
  return bytes.length <= lengthMax ? bytes.latin1Slice() : bytes.latin1Slice(0, lengthMax);
}

function subcommandError(command: Command, args: readonly Buffer[]): CommandError {
  return unknownSubcommand(beginning(args[1]!, 128), command.name);
}

/** Bytes of arguments that an error about an unknown command quotes. */
const QUOTED_BYTES_MAX = 128;

function unknownCommand(args: readonly Buffer[]): CommandError {
  let quoted = '';
  for (let index = 1; index < args.length && quoted.length < QUOTED_BYTES_MAX; index++)
    quoted += `'${quotable(beginning(args[index]!, QUOTED_BYTES_MAX - quoted.length))}' `;
  const name = quotable(beginning(args[0]!, QUOTED_BYTES_MAX));
  return new CommandError(`ERR unknown command '${name}', with args beginning with: ${quoted}`);
}

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

function answer(connection: Connection, error: CommandError): void {
  connection.writer.version = connection.session.version;
  connection.writer.error(error);
  connection.flushWriter();
}

/**
 * Looks at a command while something about its connection or the server is out of the ordinary.
 * @returns whether the command has been dealt with
 */
function intercept(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): boolean {
  const { session } = connection;
  const attention = session.attention | server.attention;
  if (attention & Attention.Unauthenticated && !command.flags.includes('no_auth')) {
    // The password may have been taken away meanwhile.
    if (server.config.values.requirepass !== '') {
      refuse(connection, NO_AUTH, command, server);
      return true;
    }
    setAuthenticated(connection, true);
  }
  if (attention & Attention.Monitor && command.flags.some((flag) => REFUSED_IN_MONITOR.has(flag))) {
    refuse(connection, MONITORING, command, server);
    return true;
  }
  if (attention & Attention.Paused && server.isPausedFor(connection, command)) {
    connection.holdBack(args, frames);
    connection.stallUntil(server.unpaused());
    return true;
  }
  if (session.queued !== undefined && !RUNS_IN_TRANSACTION.has(command.name)) {
    queueInTransaction(server, connection, session.queued, { command, args, frames });
    return true;
  }
  if (session.queued !== undefined && command.name === 'watch') {
    answer(connection, WATCH_IN_TRANSACTION);
    return true;
  }
  if (!(attention & Attention.Monitored) || command.runs === 'front') return false;
  const held = connection.heldCommands;
  perform(server, connection, command, args, frames);
  const isPutBack = connection.heldCommands !== held;
  if (!isPutBack) server.monitor.show(connection, command, new ListArguments(args));
  return true;
}

/** It does not cost the client its transaction. */
const WATCH_IN_TRANSACTION = new CommandError('ERR WATCH inside MULTI is not allowed');
const MONITORING = new CommandError("ERR Replica can't interact with the keyspace");
/** Redis takes a connection that monitors for a replica: it may not touch keys. */
const REFUSED_IN_MONITOR: ReadonlySet<CommandFlag> = new Set(['write', 'readonly', 'may_replicate']);
/** Commands that MULTI does not queue. */
const RUNS_IN_TRANSACTION = new Set(['exec', 'discard', 'multi', 'watch', 'quit', 'reset']);

function runOnFront(server: RespServer, connection: Connection, command: Command, args: Buffer[]): void {
  const handler = frontHandler(command.name);
  const list = new ListArguments(args);
  const { writer, session } = connection;
  const run = (): void | Promise<void> => {
    writer.version = session.version;
    const started = performance.now();
    const errors = writer.errorCount;
    const finish = () => {
      const microseconds = Math.round((performance.now() - started) * 1000);
      server.accountFront(connection, command, list, microseconds, writer.errorCount !== errors);
      connection.flushWriter();
      const isMonitored = (server.attention & Attention.Monitored) !== 0;
      if (isMonitored && command.name !== 'exec') server.monitor.show(connection, command, list);
    };
    const result = handler.run({ server, connection, session, command, reply: writer }, list);
    if (result instanceof Promise) return result.then(finish);
    finish();
    return undefined;
  };
  if (handler.waits) void connection.afterReplies(run);
  else void run();
}
