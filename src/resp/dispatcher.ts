import type { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import { ListArguments } from '../base/arguments.js';
import { CommandError, quotable, unknownSubcommand, wrongArity } from '../base/command-errors.js';
import { BATCH_BYTES_LIMIT } from '../base/limits.js';
import type { CommandFlag } from '../commands/definition.js';
import type { Command } from '../commands/table.js';
import { readyRoute } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { setAuthenticated } from './authentication.js';
import { interceptAtDoor } from './cluster-door.js';
import type { Connection } from './connection.js';
import { frontHandler } from './front/handlers.js';
import { answer, refuse } from './refusal.js';
import { routeCommand, runOnShard } from './routing.js';
import { deletedKeyspace, onlyShardOf, targetDatabase } from './selection.js';
import { holdUntilReady, send } from './sending.js';
import type { RespServer } from './server.js';
import { Attention } from './session.js';
import { commandOf, NAME_BYTES_MAX } from './spellings.js';
import { queueInTransaction } from './transaction.js';

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
  const attention = session.attention | server.attention;
  if (attention !== 0) {
    const look = attention === Attention.ClusterDoor ? interceptAtDoor : intercept;
    if (look(server, connection, command, args, frames)) return;
  }
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
    if (command.name === 'vasto.on') performOnShard(server, connection, command, args, frames);
    else runOnFront(server, connection, command, args);
    return;
  }
  if (frames.length > BATCH_BYTES_LIMIT) {
    refuse(connection, TOO_LARGE, command, server);
    return;
  }
  const { session } = connection;
  const route = session.route ?? locate(server, connection, command, args, frames);
  if (route === undefined) return;
  if (holdUntilReady(connection, route, args, frames)) return;
  if (command.name === 'watch') session.watched.add(route);
  const target = targetDatabase(server.store, session, command, args);
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

/** VASTO.ON shard command …: another node's command for one shard. */
function performOnShard(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): void {
  const inner = lookup(args.slice(2));
  if (inner instanceof CommandError) refuse(connection, inner, command, server);
  else runOnShard(server, connection, args, frames, inner);
}

/**
 * The way to the selected keyspace if it is one shard and here, which its session then keeps.
 * @returns undefined when the command has been dealt with otherwise
 */
function locate(
  server: RespServer,
  connection: Connection,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): ShardRoute | undefined {
  const { session } = connection;
  const keyspace = session.keyspace ?? server.store.database(session.db!);
  if (keyspace instanceof Promise) {
    connection.holdBack(args, frames);
    connection.stallUntil(keyspace);
    return undefined;
  }
  session.keyspace = keyspace;
  if (keyspace.deleted) {
    refuse(connection, deletedKeyspace(keyspace), command, server);
    return undefined;
  }
  session.route = keyspace.onlyShard;
  if (session.route === undefined) routeCommand(server, connection, command, args, frames, keyspace);
  return session.route;
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
  const keyspace = server.store.database(db);
  if (keyspace instanceof Promise) {
    connection.holdBack(args, frames);
    connection.stallUntil(keyspace);
    return;
  }
  const target = onlyShardOf(keyspace, `${command.name.toUpperCase()} to another database`);
  if (target instanceof CommandError) {
    refuse(connection, target, command, server);
    return;
  }
  if (target === route || (target.ready === undefined && target.owner === route.owner)) {
    send(connection, route, command, args, frames, target);
    return;
  }
  connection.holdBack(args, frames);
  connection.stallUntil(readyRoute(target).then(() => server.store.colocate([route, target])));
}

/** Finds the command that the arguments name, subcommands included. */
function lookup(args: readonly Buffer[]): Command | CommandError {
  const command = commandOf(args[0]!);
  if (command === undefined) return unknownCommand(args);
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
  if (attention & Attention.ClusterDoor && interceptAtDoor(server, connection, command, args, frames))
    return true;
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
