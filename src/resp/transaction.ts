import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { type Arguments, ListArguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX } from '../base/limits.js';
import type { Command } from '../commands/table.js';
import { addCommand, Collector, readyRoute } from '../node/segments.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction, SegmentFlag } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import { runFrontStep } from './front-step.js';
import { refuse } from './refusal.js';
import { executeElsewhere, sendElsewhere } from './remote-transaction.js';
import { openSegment } from './sending.js';
import type { RespServer } from './server.js';
import { Attention, type QueuedCommand, type Session } from './session.js';
import {
  databasesToCome,
  type PlannedTransaction,
  planTransaction,
  queueRefusal,
  type Step,
} from './transaction-plan.js';
import { forgetWatches } from './watches.js';

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
  const refusal = queueRefusal(server, connection.session, queued, item);
  if (refusal !== undefined) {
    refuse(connection, refusal, item.command, server);
    return;
  }
  // Of a transaction that is lost already nothing more is kept, as in Redis.
  if (!connection.session.transactionFailed) {
    connection.session.queuedBytes += bytes;
    queued.push(item);
  }
  connection.writer.simple('QUEUED');
  connection.flushWriter();
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
  const missing = databasesToCome(server, session, queued);
  if (missing.length === 0) {
    const planned = planTransaction(server, session, queued);
    if (planned instanceof CommandError) {
      abort(server, connection, exec, planned);
      return;
    }
    if (sendAtOnce(server, connection, exec, planned)) return;
  }
  void connection.afterReplies(async () => {
    const planned = await planWhenReady(server, session, queued, missing).catch((error: Error) => {
      forgetWatches(connection);
      throw error;
    });
    if (planned instanceof CommandError) {
      abort(server, connection, exec, planned);
      return;
    }
    const { steps, routes, elsewhere } = planned;
    if (elsewhere !== undefined) {
      const hasRun = await executeElsewhere(server, connection, elsewhere, steps);
      showTransaction(server, connection, exec, hasRun ? steps : []);
      return;
    }
    if (routes.length === 0) {
      await executeHere(server, connection, steps);
      showTransaction(server, connection, exec, steps);
      return;
    }
    session.endWatches();
    const hasRun = await executeWithMarks(server, connection, routes[0]!, steps);
    showTransaction(server, connection, exec, hasRun ? steps : []);
  });
}

/**
 * A plan whose shards take commands and are on one owner. What is waited for may change where shards are.
 * @param missing databases that come into being
 */
async function planWhenReady(
  server: RespServer,
  session: Session,
  queued: readonly QueuedCommand[],
  missing: readonly Promise<unknown>[],
): Promise<PlannedTransaction | CommandError> {
  await Promise.all(missing);
  for (;;) {
    const planned = planTransaction(server, session, queued);
    if (planned instanceof CommandError || planned.elsewhere !== undefined) return planned;
    const { routes } = planned;
    const busy = routes.find((route) => route.ready !== undefined);
    if (busy !== undefined) await readyRoute(busy);
    else if (routes.every((route) => route.owner === routes[0]!.owner)) return planned;
    else await server.store.colocate(routes);
  }
}

/** Sends a transaction whose shards are ready and on one owner, if no reply of it is made here. @returns whether it did */
function sendAtOnce(
  server: RespServer,
  connection: Connection,
  exec: Exec,
  { steps, routes, elsewhere }: PlannedTransaction,
): boolean {
  const { session } = connection;
  const first = routes[0];
  if (elsewhere !== undefined) {
    const isSent = !steps.some(isFrontStep) && sendElsewhere(server, connection, elsewhere, steps);
    if (isSent) showTransaction(server, connection, exec, steps);
    return isSent;
  }
  if (first === undefined) return false;
  const together = routes.every((route) => route.ready === undefined && route.owner === first.owner);
  // MONITOR shows what ran, and whether it did is known only from the reply when keys are watched.
  const repliesTell = session.watched.size > 0 && (server.attention & Attention.Monitored) !== 0;
  if (!together || repliesTell || steps.some(isFrontStep)) return false;
  const slot = openSegment(connection, first, SegmentFlag.Transaction);
  addSteps(first, steps);
  connection.countUnderWay(slot);
  session.endWatches();
  showTransaction(server, connection, exec, steps);
  return true;
}

/** Answers EXEC with the reason why none of its commands runs. */
function abort(server: RespServer, connection: Connection, exec: Exec, reason: CommandError): void {
  forgetWatches(connection);
  connection.writer.error(`EXECABORT Transaction discarded because of: ${reason.text.replace(/^ERR /, '')}`);
  connection.flushWriter();
  showTransaction(server, connection, exec, []);
}

/** Runs a transaction that touches no shard. */
async function executeHere(
  server: RespServer,
  connection: Connection,
  steps: readonly Step[],
): Promise<void> {
  connection.session.endWatches();
  connection.writer.array(steps.length);
  for (const step of steps)
    if (step.refusal !== undefined) connection.writer.error(step.refusal);
    else await runFrontStep(server, connection, step);
  connection.flushWriter();
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

function isFrontStep(step: Step): boolean {
  return step.command.runs === 'front' && step.command.name !== 'flushall';
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
