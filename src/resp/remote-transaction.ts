import type { Buffer } from 'node:buffer';
import { encodeCommand } from '../cluster/frames.js';
import type { Link } from '../cluster/link.js';
import type { ReplyReceiver } from '../cluster/link-request.js';
import { elementsOf, errorOf, ReplyScanner } from '../cluster/reply-scanner.js';
import type { Connection } from './connection.js';
import { cannotForward, ELSEWHERE, frameElsewhere, linkFor } from './forwarding.js';
import { runFrontStep } from './front-step.js';
import type { RespServer } from './server.js';
import type { Session } from './session.js';
import type { Elsewhere, Step } from './transaction-plan.js';

/*
 * MULTI … EXEC on another store: the block goes there as a whole, MULTI first and EXEC last, written at once. Only the
 * reply to EXEC comes back to the client, who has been told QUEUED already.
 */

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);

function isForFront({ command }: Step): boolean {
  return command.runs === 'front';
}

function blockOf(session: Session, steps: readonly Step[]): Buffer[] {
  const queued = steps.filter((step) => !isForFront(step) && step.refusal === undefined);
  return [MULTI, ...queued.map((step) => frameElsewhere(session, step)), EXEC];
}

/** Sends a transaction of which no reply is made here. @returns whether it did */
export function sendElsewhere(
  server: RespServer,
  connection: Connection,
  elsewhere: Elsewhere,
  steps: readonly Step[],
): boolean {
  const { session, replies } = connection;
  if (session.remoteWatch !== undefined || steps.some(({ refusal }) => refusal !== undefined)) return false;
  if (cannotForward(session, elsewhere.keyspace, elsewhere.place) !== undefined) return false;
  const link = linkFor(server, session, elsewhere.keyspace, elsewhere.place);
  if (link.isCongested) return false;
  connection.pushReady();
  const slot = replies.reserve(ELSEWHERE, 0, session.replies !== 'on');
  link.sendBlock(new LastReply((reply) => slot.deliver(reply, 0)), blockOf(session, steps));
  connection.countUnderWay(slot);
  server.forwardedCommands += steps.length;
  return true;
}

/** Takes the replies of a block, and gives the last one on: EXEC's, or the one error that stands for all. */
class LastReply implements ReplyReceiver {
  constructor(private readonly done: (reply: Buffer) => void) {}

  deliver(bytes: Buffer): void {
    const scanner = new ReplyScanner();
    let start = 0;
    for (let end = scanner.next(bytes, 0); end >= 0 && end < bytes.length; end = scanner.next(bytes, end))
      start = end;
    this.done(bytes.subarray(start));
  }
}

/**
 * Runs the block, and then the steps of the front, whose replies take their places. All replies before are out.
 * @returns whether it ran
 */
export async function executeElsewhere(
  server: RespServer,
  connection: Connection,
  elsewhere: Elsewhere,
  steps: readonly Step[],
): Promise<boolean> {
  const { session, writer } = connection;
  const { remoteWatch } = session;
  const refusal = cannotForward(session, elsewhere.keyspace, elsewhere.place);
  if (refusal !== undefined) {
    session.endWatches();
    writer.error(refusal);
    connection.flushWriter();
    return false;
  }
  // A connection that broke has lost the watches: they count as broken, whatever would come of the commands.
  const link = remoteWatch?.link ?? linkFor(server, session, elsewhere.keyspace, elsewhere.place);
  const reply = await execute(link, blockOf(session, steps));
  remoteWatch?.executed();
  session.endWatches();
  server.forwardedCommands += steps.length;
  const results = errorOf(reply) === undefined ? elementsOf(reply) : undefined;
  if (results === undefined) writer.bytes(reply);
  else {
    let next = 0;
    writer.array(steps.length);
    for (const step of steps) {
      if (step.refusal !== undefined) writer.error(step.refusal);
      else if (isForFront(step)) await runFrontStep(server, connection, step);
      else writer.bytes(results[next++]!);
    }
  }
  connection.flushWriter();
  return results !== undefined;
}

async function execute(link: Link, block: readonly Buffer[]): Promise<Buffer> {
  if (link.isCongested) await link.relieved();
  return new Promise((resolve) => link.sendBlock(new LastReply(resolve), block));
}
