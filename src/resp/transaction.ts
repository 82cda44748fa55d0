import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Arguments, ListArguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import { TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX } from '../base/limits.js';
import { parseInteger } from '../base/numbers.js';
import type { Command } from '../commands/table.js';
import { addCommand, Collector, NOBODY, readyRoute } from '../node/store.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction, SegmentFlag } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import { openSegment, refuse, targetDatabase } from './dispatcher.js';
import { isFlushCommand } from './front/databases.js';
import { frontHandler } from './front/handlers.js';
import type { RespServer } from './server.js';
import { Attention, type QueuedCommand, type Session } from './session.js';

/*
 * MULTI … EXEC. The commands wait here; EXEC sends them as one segment to the owner of their shards, who runs them
 * with nothing between and commits them in one batch. Where they touch several databases, those are brought to one
 * owner first. Commands that the front runs itself (PING, SELECT, INFO, …) leave a mark in the segment; when the
 * replies come, and only if the watched keys had not changed, they are run and their replies put in place of the marks.
 */

const NOT_IN_TRANSACTION = new CommandError('ERR Command not allowed inside a transaction');
const TOO_MANY = new CommandError(
  `ERR a transaction holds at most ${TRANSACTION_COMMANDS_MAX} commands: EXEC it in parts`,
);
const TOO_LARGE = new CommandError(
  `ERR a transaction holds at most ${TRANSACTION_BYTES_MAX} bytes: EXEC it in parts`,
);
const ABORTED = new CommandError('EXECABORT Transaction discarded because of previous errors.');

/** Keeps a command for EXEC. */
export function queueInTransaction(
  server: RespServer,
  connection: Connection,
  queued: QueuedCommand[],
  item: QueuedCommand,
): void {
  if (item.command.flags.includes('no_multi')) {
    refuse(connection, NOT_IN_TRANSACTION, item.command, server);
    return;
  }
  if (queued.length >= TRANSACTION_COMMANDS_MAX) {
    refuse(connection, TOO_MANY, item.command, server);
    return;
  }
  // Commands of one read share its buffer, which crosses as a whole.
  const bytes = queued.at(-1)?.frames === item.frames ? 0 : item.frames.length;
  if (connection.session.queuedBytes + bytes > TRANSACTION_BYTES_MAX) {
    refuse(connection, TOO_LARGE, item.command, server);
    return;
  }
  connection.session.queuedBytes += bytes;
  queued.push(item);
  connection.writer.simple('QUEUED');
  connection.flushWriter();
}

/** DISCARD and what follows a failed EXEC: the commands and the watches are forgotten. */
export function dropTransaction(connection: Connection): void {
  connection.session.endTransaction();
  forgetWatches(connection);
}

/** Has the shards forget what the connection watches. */
export function forgetWatches(connection: Connection): void {
  const { session } = connection;
  for (const route of session.watched) tellUnwatch(session, route);
  session.endWatches();
}

function tellUnwatch(session: Session, route: ShardRoute): void {
  const tell = () => {
    route.owner.batch.begin(NOBODY, session.id, route.shard, 0);
    route.owner.batch.instruct(Instruction.Unwatch);
    route.owner.schedule();
  };
  if (route.ready === undefined) tell();
  else void readyRoute(route).then(tell, () => undefined);
}

/** EXEC. Takes the short way when the commands need no more than one owner, which is ready. */
export function executeTransaction(server: RespServer, connection: Connection, exec: Exec): void {
  const { session, writer } = connection;
  const queued = session.queued!;
  const failed = session.transactionFailed;
  const broken = session.watchBroken;
  session.endTransaction();
  writer.version = session.version;
  if (failed || broken) {
    forgetWatches(connection);
    if (failed) writer.error(ABORTED);
    else writer.nilArray();
    connection.flushWriter();
    showTransaction(server, connection, exec, []);
    return;
  }
  const steps = plan(server, session, queued);
  const routes = new Set(session.watched);
  for (const step of steps) for (const route of step.routes) routes.add(route);
  if (routes.size === 0) routes.add(server.store.routeOf(session.db));
  const [first] = routes;
  const together = [...routes].every((route) => route.ready === undefined && route.owner === first!.owner);
  // MONITOR shows what ran, and whether it did is known only from the reply when keys are watched.
  const repliesTell = session.watched.size > 0 && (server.attention & Attention.Monitored) !== 0;
  if (together && !repliesTell && !steps.some(isFrontStep)) {
    const slot = openSegment(connection, first!, SegmentFlag.Transaction);
    addSteps(first!, steps);
    connection.countUnderWay(slot);
    session.endWatches();
    showTransaction(server, connection, exec, steps);
    return;
  }
  void connection.afterReplies(async () => {
    for (const route of routes) await readyRoute(route);
    await server.store.colocate([...routes]);
    session.endWatches();
    const hasRun = await executeWithMarks(server, connection, first!, steps);
    showTransaction(server, connection, exec, hasRun ? steps : []);
  });
}

/** The EXEC itself, as the client wrote it. */
interface Exec {
  readonly command: Command;
  readonly args: Arguments;
}

/** MONITOR: the commands that ran, then EXEC. */
function showTransaction(
  server: RespServer,
  connection: Connection,
  exec: Exec,
  steps: readonly Step[],
): void {
  if (!(server.attention & Attention.Monitored)) return;
  for (const { command, args, db } of steps)
    server.monitor.show(connection, command, new ListArguments(args), db);
  server.monitor.show(connection, exec.command, exec.args);
}

/** A queued command with the shards it needs: its own first. */
interface Step extends QueuedCommand {
  /** The database that is selected once it has run. */
  readonly db: number;
  readonly routes: readonly ShardRoute[];
  /** What is said instead of running it. */
  readonly refusal?: CommandError;
}

function isFrontStep(step: Step): boolean {
  return step.command.runs === 'front' && step.command.name !== 'flushall';
}

/** Finds the shards of each command, as the SELECTs and SWAPDBs among them make it. */
function plan(server: RespServer, session: Session, queued: readonly QueuedCommand[]): Step[] {
  const { store } = server;
  const { databases } = server.config.values;
  const swapped = new Map<number, number>();
  const physical = (db: number) => swapped.get(db) ?? db;
  const routeOf = (db: number) => store.routeOf(physical(db));
  const valid = (db: number | undefined): db is number => db !== undefined && db >= 0 && db < databases;
  let { db } = session;
  return queued.map((item) => {
    const argument = (index: number) => parseInteger(item.args[index]?.latin1Slice() ?? '');
    const { name } = item.command;
    const routes = [routeOf(db)];
    if (name === 'select') {
      const chosen = argument(1);
      if (valid(chosen)) db = chosen;
    } else if (name === 'swapdb') {
      const [first, second] = [argument(1), argument(2)];
      if (valid(first) && valid(second)) {
        const was = physical(first);
        swapped.set(first, physical(second));
        swapped.set(second, was);
      }
    } else if (name === 'flushall') {
      if (!isFlushCommand(item.args)) return { ...item, routes, db, refusal: SYNTAX_ERROR };
      for (const { route } of store.databases()) routes.push(route);
    } else {
      const target = targetDatabase(item.command, item.args, databases);
      if (target instanceof CommandError) return { ...item, routes, db, refusal: target };
      if (target !== undefined) routes.push(routeOf(target));
    }
    return { ...item, routes, db };
  });
}

/** Adds the steps to the segment that was begun. Returns the marks of those that the front runs. */
function addSteps(first: ShardRoute, steps: readonly Step[]): Mark[] {
  const { batch } = first.owner;
  const marks: Mark[] = [];
  let current = first;
  for (const step of steps) {
    const [route, target] = step.routes;
    if (step.refusal !== undefined) {
      batch.addReply(Buffer.from(`-${step.refusal.text}\r\n`));
    } else if (step.command.name === 'flushall') {
      for (const each of step.routes) {
        batch.instruct(Instruction.UseShard, each.shard);
        batch.instruct(Instruction.Flush);
      }
      batch.markFlushes();
      current = step.routes[step.routes.length - 1]!;
      batch.instruct(Instruction.FlushReply);
    } else if (step.command.runs === 'front') {
      const mark = { bytes: Buffer.from(`+${randomBytes(MARK_BYTES).toString('hex')}\r\n`), step };
      marks.push(mark);
      batch.addReply(mark.bytes);
    } else {
      if (route !== current) batch.instruct(Instruction.UseShard, route!.shard);
      current = route!;
      if (target !== undefined) batch.instruct(Instruction.UseTarget, target.shard);
      addCommand(first.owner, step.command, step.args, step.frames);
    }
  }
  return marks;
}

/** What EXEC replies when a watched key has changed. */
const NIL_REPLIES = new Set(['*-1\r\n', '_\r\n']);
const NIL_LENGTH_MAX = 5;

/** Bytes that stand in a transaction's replies for a reply to come. They are random, so no value can be taken for them. */
interface Mark {
  readonly bytes: Buffer;
  readonly step: Step;
}

const MARK_BYTES = 16;

/**
 * Runs the steps, and then those of the front in place of their marks. All replies before are out.
 * @returns whether they ran, which they do not when a watched key had changed
 */
async function executeWithMarks(
  server: RespServer,
  connection: Connection,
  first: ShardRoute,
  steps: readonly Step[],
): Promise<boolean> {
  const { session, writer } = connection;
  let marks: Mark[] = [];
  const replies = await new Promise<Buffer>((resolve, reject) => {
    const { owner } = first;
    const flags = session.segmentFlags | SegmentFlag.Transaction;
    owner.batch.begin(new Collector(resolve, reject), session.id, first.shard, flags);
    marks = addSteps(first, steps);
    owner.schedule();
  });
  let at = 0;
  for (const { bytes, step } of marks) {
    const found = replies.indexOf(bytes, at);
    // Nil: a watched key had changed, and nothing is to happen.
    if (found < 0) break;
    writer.bytes(replies.subarray(at, found));
    at = found + bytes.length;
    await runFrontStep(server, connection, step);
  }
  writer.bytes(replies.subarray(at));
  connection.flushWriter();
  return replies.length > NIL_LENGTH_MAX || !NIL_REPLIES.has(replies.latin1Slice());
}

async function runFrontStep(server: RespServer, connection: Connection, step: Step): Promise<void> {
  const { session, writer } = connection;
  writer.version = session.version;
  const { command } = step;
  const context = { server, connection, session, command, reply: writer, inTransaction: true };
  const args = new ListArguments(step.args);
  const startedMs = performance.now();
  const errors = writer.errorCount;
  await frontHandler(command.name).run(context, args);
  const microseconds = Math.round((performance.now() - startedMs) * 1000);
  server.accountFront(connection, command, args, microseconds, writer.errorCount !== errors);
}
