import { Buffer } from 'node:buffer';
import type { Command } from '../commands/table.js';
import { addCommand, NOBODY } from '../node/segments.js';
import type { WaitingReceiver } from '../workers/owner.js';
import type { ShardRoute } from '../workers/pool.js';
import { Instruction, SegmentFlag, WaitEnd } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import type { Slot } from './reply-queue.js';
import { WaitTimer } from './wait-timer.js';

/*
 * Commands that may wait (BLPOP …). Such a command is a segment of its own; until it is answered the connection takes no
 * further commands, but goes on reading, so that it notices when its client leaves. The worker keeps the waiting client
 * in the lines of its keys, and alone decides whether it was served; the time is kept here.
 */

/** Why a wait is ended from here. */
type Reason = typeof WaitEnd.Timeout | typeof WaitEnd.Error | typeof WaitEnd.Left | typeof WaitEnd.Again;

/** What a connection knows of its command that may wait. */
export interface Blocking {
  /** Whether it waits; before, it is on its way. */
  readonly isBlocked: boolean;
  readonly hasTimeout: boolean;
  /** The shard, where it is on this node. */
  readonly route: ShardRoute | undefined;
  /** Less than that of commands that came later. */
  readonly number: number;
  /** The client has left. */
  leave(): void;
  /** The keys may mean others now. */
  askAgain(): void;
  /** CLIENT UNBLOCK. @returns whether it was that which ended the waiting */
  unblock(asError: boolean): Promise<boolean>;
}

const EMPTY = Buffer.alloc(0);

let lastNumber = 0;

/** For a command that may wait, see {@link Blocking.number}. */
export function nextNumber(): number {
  return ++lastNumber;
}

/** A command that may wait, on a shard of this node. */
class LocalBlocking implements WaitingReceiver, Blocking {
  readonly number = nextNumber();
  private waits = false;
  private asksAgain = false;
  private timer: WaitTimer | undefined;
  private isOver = false;
  private unblocking: ((happened: boolean) => void)[] = [];

  constructor(
    private readonly connection: Connection,
    private readonly slot: Slot,
    readonly route: ShardRoute,
    private readonly args: Buffer[],
    /** Until when it waits, if it was sent before, see {@link WaitTimer.deadlineMs}. */
    private readonly deadlineMs: number | undefined,
  ) {}

  get isBlocked(): boolean {
    return this.waits && !this.asksAgain;
  }

  get hasTimeout(): boolean {
    return this.timer !== undefined && this.timer.deadlineMs !== 0;
  }

  // ---------------------------------------------------------------- what the worker says

  deliver(bytes: Buffer, done: number): void {
    // Nothing: it waits. That it does is told by itself.
    if (bytes.length === 0 && done === 0) return;
    this.slot.deliver(bytes, done);
    if (done === 0) this.finish();
  }

  abandon(): void {
    this.slot.abandon();
    this.finish();
  }

  blocked(timeoutMs: number): void {
    this.waits = true;
    const deadlineMs = this.deadlineMs ?? (timeoutMs === 0 ? 0 : performance.now() + timeoutMs);
    if (this.connection.isClosed) this.end(WaitEnd.Left);
    else if (this.connection.inputEnded) this.connection.destroy('');
    else {
      this.timer = new WaitTimer(deadlineMs, () => this.end(WaitEnd.Timeout));
      // It was on its way when it was told to.
      if (this.asksAgain) this.end(WaitEnd.Again);
    }
  }

  ended(end: WaitEnd, reply: Buffer, again?: readonly string[]): void {
    const settle = this.unblocking;
    this.unblocking = [];
    for (const resolve of settle) resolve(end === WaitEnd.Timeout || end === WaitEnd.Error);
    if (end !== WaitEnd.Again || this.connection.isClosed) {
      this.slot.deliver(reply, 0);
      this.finish();
      return;
    }
    this.over();
    const args = again?.map((word) => Buffer.from(word, 'latin1')) ?? this.args;
    sendAgain(this.connection, this.slot, args, this.timer?.deadlineMs ?? this.deadlineMs);
  }

  private over(): void {
    this.isOver = true;
    this.timer?.stop();
  }

  private finish(): void {
    if (this.isOver) return;
    this.over();
    for (const resolve of this.unblocking) resolve(false);
    this.connection.endBlocking();
  }

  // ---------------------------------------------------------------- what is said from here

  /** Asks the worker to end the waiting. What was served meanwhile stays served. */
  private end(reason: Reason): void {
    const { route, connection } = this;
    if (this.isOver || !this.waits) return;
    // A worker that gives a shard away dismisses everybody by itself.
    if (route.closed) return;
    // A shard that takes no commands lets clients go all the same.
    if (route.opening !== undefined) {
      void route.opened().then(
        () => this.end(reason),
        () => undefined,
      );
      return;
    }
    const { owner } = route;
    owner.batch.begin(NOBODY, connection.session.id, route.shard, 0);
    owner.batch.instruct(Instruction.EndWait, reason);
    owner.schedule();
  }

  leave(): void {
    this.timer?.stop();
    this.end(WaitEnd.Left);
  }

  askAgain(): void {
    this.asksAgain = true;
    this.end(WaitEnd.Again);
  }

  unblock(asError: boolean): Promise<boolean> {
    if (!this.waits || this.isOver) return Promise.resolve(false);
    return new Promise((resolve) => {
      this.unblocking.push(resolve);
      this.end(asError ? WaitEnd.Error : WaitEnd.Timeout);
    });
  }
}

/**
 * Ends a command without a reply, and has it sent again by the way that is right now.
 * @param deadlineMs until when it waits, see {@link WaitTimer.deadlineMs}; undefined = as its arguments say
 */
export function sendAgain(
  connection: Connection,
  slot: Slot,
  args: Buffer[],
  deadlineMs: number | undefined,
): void {
  // Its place among the replies is the last one: what runs next takes it.
  slot.deliver(EMPTY, 0);
  connection.holdBack(args, compact(args));
  connection.resumedWait = { args, deadlineMs };
  connection.endBlocking();
}

/** Copies arguments into one buffer of which they become views: what waits must not hold the reads that it came in. */
function compact(args: Buffer[]): Buffer {
  const frames = Buffer.concat(args);
  let at = 0;
  for (const [index, argument] of args.entries()) {
    args[index] = frames.subarray(at, at + argument.length);
    at += argument.length;
  }
  return frames;
}

/** Sends a command that may wait to its shard, which must be ready. */
export function sendBlocking(
  connection: Connection,
  route: ShardRoute,
  command: Command,
  args: Buffer[],
  frames: Buffer,
): void {
  const { session } = connection;
  const { owner } = route;
  const resumed = connection.takeResumed(args);
  const flags =
    session.segmentFlags | SegmentFlag.MayWait | (resumed === undefined ? 0 : SegmentFlag.Resumed);
  connection.pushReady();
  const slot = connection.replies.reserve(route.shard, flags, session.replies !== 'on');
  const blocking = new LocalBlocking(connection, slot, route, args, resumed?.deadlineMs);
  owner.batch.begin(blocking, session.id, route.shard, flags);
  addCommand(owner, command, args, frames);
  owner.schedule();
  connection.beginBlocking(blocking, slot);
}

/**
 * Has clients that wait for keys of these shards ask again, first those who came first: their databases mean other shards
 * now.
 */
export function askAgain(connections: Iterable<Connection>, routes: readonly ShardRoute[]): void {
  const waiting: Blocking[] = [];
  for (const { blocking } of connections)
    if (blocking?.route !== undefined && routes.includes(blocking.route)) waiting.push(blocking);
  for (const blocking of waiting.sort((one, other) => one.number - other.number)) blocking.askAgain();
}
