import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { CommandError } from '../base/command-errors.js';
import { ListArguments } from '../base/arguments.js';
import { TRANSACTION_COMMANDS_MAX } from '../base/limits.js';
import { parseInteger } from '../base/numbers.js';
import { addCommand, Collector, readyRoute } from '../node/store.js';
import type { Receiver, ShardRoute } from '../workers/pool.js';
import { Instruction, SegmentFlag } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import { DB_OUT_OF_RANGE, openSegment, refuse, targetDatabase } from './dispatcher.js';
import { frontHandler } from './front/handlers.js';
import type { RespServer } from './server.js';
import type { QueuedCommand, Session } from './session.js';

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

const NOBODY: Receiver = {
  deliver: () => undefined,
  abandon: () => undefined,
};

/** EXEC. Takes the short way when the commands need no more than one owner, which is ready. */
export function executeTransaction(server: RespServer, connection: Connection): void {
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
    return;
  }
  const steps = plan(server, session, queued);
  const routes = new Set(session.watched);
  for (const step of steps) for (const route of step.routes) routes.add(route);
  if (routes.size === 0) routes.add(server.store.routeOf(session.db));
  const [first] = routes;
  const together = [...routes].every((route) => route.ready === undefined && route.owner === first!.owner);
  if (together && !steps.some(isFrontStep)) {
    const slot = openSegment(connection, first!, SegmentFlag.Transaction);
    addSteps(first!, steps);
    connection.countUnderWay(slot);
    session.endWatches();
    return;
  }
  void connection.afterReplies(async () => {
    for (const route of routes) await readyRoute(route);
    await server.store.colocate([...routes]);
    session.endWatches();
    await executeWithMarks(server, connection, first!, steps);
  });
}

/** A queued command with the shards it needs: its own first. */
interface Step extends QueuedCommand {
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
      for (const { route } of store.databases()) routes.push(route);
    } else {
      const target = targetDatabase(item.command, item.args);
      if (valid(target)) routes.push(routeOf(target));
      else if (target !== undefined) return { ...item, routes, refusal: DB_OUT_OF_RANGE };
    }
    return { ...item, routes };
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
      batch.addReply(OK);
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

/** Bytes that stand in a transaction's replies for a reply to come. They are random, so no value can be taken for them. */
interface Mark {
  readonly bytes: Buffer;
  readonly step: Step;
}

const OK = Buffer.from('+OK\r\n');
const MARK_BYTES = 16;

/** Runs the steps, and then those of the front in place of their marks. All replies before are out. */
async function executeWithMarks(
  server: RespServer,
  connection: Connection,
  first: ShardRoute,
  steps: readonly Step[],
): Promise<void> {
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
}

async function runFrontStep(server: RespServer, connection: Connection, step: Step): Promise<void> {
  const { session, writer } = connection;
  writer.version = session.version;
  const context = { server, connection, session, command: step.command, reply: writer };
  await frontHandler(step.command.name).run(context, new ListArguments(step.args));
}
