import { Buffer } from 'node:buffer';
import { commandOfFrame, type Frame, splitFrames } from './frames.js';

/** Who gets the replies of what was sent to another node. */
export interface ReplyReceiver {
  /**
   * Takes the next replies, whole ones.
   * @param done 0 if these are the last; otherwise how many commands have been answered so far
   */
  deliver(bytes: Buffer, done: number): void;
}

/**
 * What is sent over a link for one receiver: a run of commands, each for itself; or a block, which the other node runs
 * as a whole or not at all, and whose replies come together.
 */
export class LinkRequest {
  /** Replies that are to come, and that have come. */
  commands = 0;
  answered = 0;
  byteLength = 0;
  /** By performance.now(), as nobody sets that clock; 0 = not written yet. */
  writtenAtMs = 0;
  /**
   * Replies that wait for others before them, once one of a run's commands was refused because its shard has moved:
   * that one's is undefined.
   */
  outcomes: (Buffer | undefined)[] | undefined;
  private pieces: Buffer[] = [];

  constructor(
    readonly receiver: ReplyReceiver,
    readonly isBlock: boolean,
    /** After which it is not worth trying any more, by the same clock. */
    readonly deadlineMs: number,
    /** Whether its reply may take for ever. */
    readonly isPatient = false,
  ) {}

  /** Adds a command. What stands behind the last one in memory is not copied to be sent with it. */
  add(bytes: Buffer): void {
    const { pieces } = this;
    const last = pieces.length - 1;
    const before = pieces[last];
    this.commands++;
    this.byteLength += bytes.length;
    if (
      before !== undefined &&
      before.buffer === bytes.buffer &&
      before.byteOffset + before.length === bytes.byteOffset
    )
      pieces[last] = Buffer.from(
        bytes.buffer as ArrayBuffer,
        before.byteOffset,
        before.length + bytes.length,
      );
    else pieces.push(bytes);
  }

  /** What is to be written. */
  get bytes(): readonly Buffer[] {
    return this.pieces;
  }

  /** The commands of which the receiver has no replies yet; of a block all. */
  remaining(): Frame[] {
    const delivered = this.isBlock ? 0 : this.answered - (this.outcomes?.length ?? 0);
    return splitFrames(Buffer.concat(this.pieces)).slice(delivered);
  }

  get isComplete(): boolean {
    return this.answered === this.commands;
  }

  /** Answers everything that was not answered yet with one error each; of a block, there is one. */
  fail(error: string): void {
    const missing = this.isBlock ? 1 : this.commands - this.answered + (this.outcomes?.length ?? 0);
    this.receiver.deliver(errorReply(error, missing), 0);
  }
}

/** @param error code word first */
export function errorReply(error: string, times = 1): Buffer {
  return Buffer.from(`-${error.replace(/[\r\n]+/g, ' ')}\r\n`.repeat(times), 'latin1');
}

/** Puts replies that come from several places in order, for a receiver that waits for all of them. */
export class Gather {
  private readonly replies: (Buffer | undefined)[];
  private missing: number;

  constructor(
    private readonly receiver: ReplyReceiver,
    count: number,
  ) {
    this.replies = new Array<Buffer | undefined>(count).fill(undefined);
    this.missing = count;
  }

  /** Puts in the replies of a place. */
  fill(index: number, replies: Buffer): void {
    this.replies[index] = replies;
    if (--this.missing === 0) this.receiver.deliver(Buffer.concat(this.replies as Buffer[]), 0);
  }

  /** Who takes the replies of a place. */
  place(index: number): ReplyReceiver {
    const parts: Buffer[] = [];
    return {
      deliver: (bytes, done) => {
        parts.push(bytes);
        if (done === 0) this.fill(index, Buffer.concat(parts));
      },
    };
  }
}

/** Whether running a command twice is as good as running it once, as far as anybody can tell. */
export function isRepeatable(frame: Frame): boolean {
  const command = commandOfFrame(frame);
  return command?.flags.includes('readonly') ?? false;
}

/**
 * What becomes of a request whose link broke after it was written: reads are asked again, and of writes it is said
 * that it is not known whether they have happened.
 * @returns what is to be sent again, in order
 */
export function afterLoss(request: LinkRequest, error: string): LinkRequest[] {
  if (request.isBlock) {
    request.fail(error);
    return [];
  }
  const { outcomes = [] } = request;
  const frames = request.remaining();
  const gather = new Gather(request.receiver, frames.length);
  const again: LinkRequest[] = [];
  for (const [index, frame] of frames.entries()) {
    const outcome = outcomes[index];
    const hasNotRun = outcome === undefined && index < outcomes.length;
    if (outcome !== undefined) gather.fill(index, outcome);
    else if (hasNotRun || isRepeatable(frame)) {
      const repeated = new LinkRequest(gather.place(index), false, request.deadlineMs);
      repeated.add(frame.bytes);
      again.push(repeated);
    } else gather.fill(index, errorReply(error));
  }
  return again;
}
