import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { type CommandError, replyOf } from '../base/command-errors.js';
import type { ErrorTally } from '../base/error-tally.js';
import {
  BLOCKED_INPUT_BYTES_MAX,
  OUTPUT_PAUSE_BYTES,
  PIPELINE_REPLY_BYTES,
  PIPELINE_WINDOW_MAX,
  PIPELINE_WINDOW_MIN,
} from '../base/limits.js';
import { ReplyWriter } from '../base/reply-writer.js';
import type { Blocking } from './blocking.js';
import { type DecoderLimits, RequestDecoder, type RequestSink } from './decoder.js';
import { HeldQueue } from './held-queue.js';
import { type Door, PLAIN_DOOR } from './listeners.js';
import { readChunks } from './reading.js';
import { ReplyQueue, type ReplySink, type Slot } from './reply-queue.js';
import { Session } from './session.js';

/** Who does what a connection asks for. */
export interface ConnectionHost {
  /** Counts the error replies made on this thread. */
  readonly errors: ErrorTally;
  execute(connection: Connection, args: Buffer[], frames: Buffer): void;
  /** The command that was executed last was held back, and what it waited for has failed: it does not run. */
  failed(connection: Connection, error: CommandError): void;
  closed(connection: Connection): void;
  /** Bytes a connection may have queued for output before it is closed: see client-output-buffer-limit. */
  outputExceeded(connection: Connection, queuedBytes: number): boolean;
  countInput(bytes: number): void;
  countOutput(bytes: number): void;
  /** A connection was closed for a reason of ours that is worth a line in the log. */
  logClosed(connection: Connection, reason: string): void;
}

/** What waits for its turn: a command, or what the end of the input brings. */
type Held = { readonly args: Buffer[]; readonly frames: Buffer } | (() => void);

/** A command that waits, and is to be sent again. */
export interface ResumedWait {
  readonly args: readonly Buffer[];
  /** Until when it waits, see WaitTimer.deadlineMs; undefined = as its arguments say. */
  readonly deadlineMs: number | undefined;
}

/**
 * One client's socket: bytes in, commands to the host, replies out in order.
 *
 * It stalls, which means that it decodes no further commands and lets the kernel hold its input back, while
 * a command needs all replies before it, while a shard opens, while CLIENT PAUSE lasts, while its socket does not
 * take what is written, or while more replies are under way than it may have. While a command waits for keys (BLPOP) it
 * takes no commands either, but reads on, so that it notices when its client leaves.
 */
export class Connection implements RequestSink, ReplySink {
  readonly session: Session;
  readonly socket: Socket;
  readonly replies = new ReplyQueue(this);
  /** For replies made on this thread. */
  readonly writer: ReplyWriter;
  readonly limits: DecoderLimits;
  door: Door = PLAIN_DOOR;
  /** Whether it was let in only because it says that it is another node. */
  mustBePeer = false;
  inputBytes = 0;
  outputBytes = 0;
  commands = 0;
  private readonly decoder: RequestDecoder;
  private readonly held = new HeldQueue<Held>();
  private stalls = 0;
  /** How many of the stalls let the socket be read on. */
  private readingStalls = 0;
  /** The command at hand, if it may wait. */
  blocking: Blocking | undefined;
  /** Said of a command that is to be sent again. */
  resumedWait: ResumedWait | undefined;
  /** Bytes that came while commands may have waited, since the last time that none was held back. */
  private blockedInputBytes = 0;
  private blockedInputWaits = false;
  private resuming = false;
  private underWay = 0;
  private window = PIPELINE_WINDOW_MIN;
  private replyBytesAverage = 0;
  private drainWaiters: (() => void)[] = [];
  private outputWaits = false;
  private windowWaits = false;
  private ended = false;
  /** The client sends no more. */
  inputEnded = false;
  /** Whether more commands of the same read may follow at once. */
  private gathering = false;
  /** Bytes of whole replies in `writer`. */
  private readyBytes = 0;

  constructor(
    id: number,
    /** Of no use any more to the caller, see {@link socket}. */
    socket: Socket,
    /** `address:port` of the client, or the path of a Unix socket. */
    readonly address: string,
    readonly localAddress: string,
    limits: DecoderLimits,
    private readonly host: ConnectionHost,
  ) {
    this.session = new Session(id);
    this.writer = new ReplyWriter(WRITER_BYTES, host.errors);
    this.limits = limits;
    this.decoder = new RequestDecoder(this, limits);
    this.socket = readChunks(socket, (chunk) => this.receive(chunk))
      .on('drain', () => this.outputDrained())
      .on('error', (error) => this.destroy(error.message))
      .on('end', () => this.end())
      .on('close', () => this.onClosed());
  }

  get isClosed(): boolean {
    return this.ended;
  }

  /** Commands decoded but held back. */
  get heldCommands(): number {
    return this.held.length;
  }

  get pendingInputBytes(): number {
    return this.decoder.pendingBytes;
  }

  get queuedOutputBytes(): number {
    return this.socket.writableLength;
  }

  // ---------------------------------------------------------------- input

  private receive(chunk: Buffer): void {
    this.session.lastCommandAtMs = Date.now();
    this.inputBytes += chunk.length;
    this.host.countInput(chunk.length);
    this.gathering = true;
    this.decoder.push(chunk);
    this.gathering = false;
    this.pushReady();
    if (this.blocking === undefined) return;
    this.blockedInputBytes += chunk.length;
    this.limitBlockedInput();
  }

  command(args: Buffer[], frames: Buffer): void {
    if (this.stalls > 0 || this.held.length > 0) this.held.push({ args, frames });
    else this.host.execute(this, args, frames);
  }

  protocolError(text: string): void {
    this.inTurn(() => {
      this.session.nextReply();
      this.writer.error(text);
      this.flushWriter();
      this.host.logClosed(this, text);
      this.closeAfterReplies();
    });
  }

  /** Does `work` behind the commands that came before, which may be held. */
  private inTurn(work: () => void): void {
    if (this.stalls > 0 || this.held.length > 0) this.held.push(work);
    else work();
  }

  /** Puts a command back: it runs first when the connection goes on. */
  holdBack(args: Buffer[], frames: Buffer): void {
    this.session.putReplyBack();
    this.held.putBack({ args, frames });
  }

  // ---------------------------------------------------------------- stalling

  /** Takes no further commands until the promise settles. When it rejects, the command that was held back does not run. */
  stallUntil(promise: Promise<unknown>): void {
    this.stall();
    promise.then(
      () => this.unstall(),
      (error: Error) => {
        this.held.shift();
        this.session.giveUp();
        this.host.failed(this, replyOf(error));
        this.unstall();
      },
    );
  }

  private stall(): void {
    this.pushReady();
    if (this.stalls++ === this.readingStalls) this.socket.pause();
  }

  private unstall(): void {
    this.stalls--;
    this.goOn();
  }

  /** Takes the commands that were held back, unless there is another reason to hold them. */
  private goOn(): void {
    if (this.resuming || this.ended) return;
    if (this.stalls > 0) {
      this.readOn();
      return;
    }
    this.resuming = true;
    this.gathering = true;
    while (this.stalls === 0 && !this.session.closing) {
      const item = this.held.shift();
      if (item === undefined) break;
      if (typeof item === 'function') item();
      else this.host.execute(this, item.args, item.frames);
    }
    this.resuming = false;
    this.gathering = false;
    this.pushReady();
    if (this.held.length === 0) this.blockedInputBytes = 0;
    this.readOn();
  }

  private readOn(): void {
    if (this.stalls === this.readingStalls && !this.session.closing) this.socket.resume();
  }

  // ---------------------------------------------------------------- waiting for keys

  /**
   * A command was sent that may wait: no further ones until {@link endBlocking}. It is under way, but never fills the
   * window, which would have the socket not read.
   */
  beginBlocking(blocking: Blocking, slot: Slot): void {
    this.pushReady();
    slot.commands++;
    this.underWay++;
    this.blocking = blocking;
    this.stalls++;
    this.readingStalls++;
    this.limitBlockedInput();
  }

  /** It has been answered, or is held back to be sent again. */
  endBlocking(): void {
    this.blocking = undefined;
    if (this.blockedInputWaits) this.stalls--;
    this.blockedInputWaits = false;
    this.stalls--;
    this.readingStalls--;
    this.goOn();
  }

  /** What is known of a command that is sent again; undefined of one that is new. */
  takeResumed(args: readonly Buffer[]): ResumedWait | undefined {
    const { resumedWait } = this;
    this.resumedWait = undefined;
    return resumedWait?.args === args ? resumedWait : undefined;
  }

  private limitBlockedInput(): void {
    if (this.blockedInputWaits || this.blockedInputBytes <= BLOCKED_INPUT_BYTES_MAX) return;
    this.blockedInputWaits = true;
    this.stall();
  }

  /**
   * Runs `work` when all replies before it are out, and takes no further commands until it is done.
   * Rejections become error replies.
   */
  afterReplies(work: () => void | Promise<void>): Promise<void> {
    const done = this.whenAnswered().then(work);
    this.stall();
    return done
      .catch((error: Error) => {
        this.writer.error(replyOf(error));
        this.flushWriter();
      })
      .then(() => this.unstall());
  }

  /** Resolves when all replies so far are out. */
  whenAnswered(): Promise<void> {
    if (this.replies.isEmpty) return Promise.resolve();
    return new Promise((resolve) => this.drainWaiters.push(resolve));
  }

  queueDrained(): void {
    if (this.drainWaiters.length > 0) {
      const waiters = this.drainWaiters;
      this.drainWaiters = [];
      for (const resume of waiters) resume();
    }
    if (this.session.closing) this.finish();
  }

  // ---------------------------------------------------------------- flow control

  /** Notes a command that went to a worker. */
  countUnderWay(slot: Slot): void {
    slot.commands++;
    if (++this.underWay >= this.window && !this.windowWaits) {
      this.windowWaits = true;
      this.stall();
    }
  }

  /**
   * The window grows twofold with each full round while replies are small, like TCP's, and never allows more than
   * PIPELINE_REPLY_BYTES of replies of the size seen lately: a client that asks for much and reads nothing waits.
   */
  answered(commands: number, bytes: number): void {
    if (commands === 0) return;
    this.underWay -= commands;
    const average = bytes / commands;
    this.replyBytesAverage =
      average > this.replyBytesAverage ? average : (this.replyBytesAverage * 7 + average) / 8;
    if (!this.windowWaits || this.underWay > this.window / 2) return;
    const allowed = Math.max(1, Math.floor(PIPELINE_REPLY_BYTES / (this.replyBytesAverage + 1)));
    this.window = Math.min(this.window * 2, PIPELINE_WINDOW_MAX, allowed);
    this.windowWaits = false;
    queueMicrotask(() => this.unstall());
  }

  // ---------------------------------------------------------------- output

  get hasSent(): boolean {
    return !this.socket.destroyed && this.socket.writableLength === 0;
  }

  write(bytes: Buffer): void {
    if (this.ended) return;
    this.outputBytes += bytes.length;
    this.host.countOutput(bytes.length);
    this.socket.write(bytes);
    const queued = this.socket.writableLength;
    if (queued === 0) return;
    if (this.host.outputExceeded(this, queued)) return;
    if (queued > OUTPUT_PAUSE_BYTES && !this.outputWaits) {
      this.outputWaits = true;
      this.stall();
    }
  }

  private outputDrained(): void {
    if (!this.outputWaits) return;
    this.outputWaits = false;
    this.unstall();
  }

  /**
   * Ends a reply that was written to `writer`. While a read is being worked through, such replies gather there, and
   * go out with one write.
   */
  flushWriter(): void {
    const { writer } = this;
    if (this.session.replies !== 'on') writer.rewind(this.readyBytes);
    this.readyBytes = writer.position;
    if (!this.gathering || this.readyBytes > READY_BYTES_MAX) this.pushReady();
  }

  /** Whether replies made here wait for their place. */
  get hasReady(): boolean {
    return this.readyBytes !== 0;
  }

  /** Gives the replies that were made here their place; to be called before a later one gets its own. */
  pushReady(): void {
    if (this.readyBytes === 0) return;
    this.readyBytes = 0;
    this.replies.push(this.writer.take(WRITER_BYTES));
  }

  /** Gives a reply that many connections share its place, without a copy of it; nobody may change it any more. */
  pushShared(reply: Buffer): void {
    this.pushReady();
    if (this.session.replies === 'on') this.replies.push(reply);
  }

  // ---------------------------------------------------------------- end

  /** Ends the connection when all replies so far are written; takes no further commands. */
  closeAfterReplies(): void {
    this.pushReady();
    this.session.closing = true;
    this.decoder.stop();
    this.held.clear();
    if (this.replies.isEmpty) this.finish();
  }

  private finish(): void {
    this.socket.end();
    // Whoever does not read its replies is not waited for.
    setTimeout(() => this.socket.destroy(), CLOSE_LINGER_MS).unref();
  }

  /** The client sends no more; what it has asked for is still answered. */
  private end(): void {
    // Who waits for keys would take them to nowhere.
    this.inputEnded = true;
    if (this.blocking?.isBlocked) this.destroy('');
    this.inTurn(() => this.closeAfterReplies());
  }

  /** Ends the connection at once. */
  destroy(reason: string): void {
    if (this.ended) return;
    if (reason !== '') this.host.logClosed(this, reason);
    this.decoder.stop();
    this.held.clear();
    this.socket.destroy();
  }

  private onClosed(): void {
    if (this.ended) return;
    this.ended = true;
    this.decoder.stop();
    this.held.clear();
    this.blocking?.leave();
    this.host.closed(this);
  }
}

const WRITER_BYTES = 256;
/** Bytes of replies made here that are gathered before they go out. */
const READY_BYTES_MAX = 64 << 10;

/** How long a closed connection may take to read its last replies. */
const CLOSE_LINGER_MS = 5000;
