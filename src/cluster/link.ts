import { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import { LINK_BYTES_MAX, LINK_COMMANDS_MAX } from '../base/limits.js';
import type { LinkHost, LinkTarget } from './link-host.js';
import { afterLoss, LinkRequest, type ReplyReceiver } from './link-request.js';
import { errorOf, ReplyScanner } from './reply-scanner.js';

const State = { Down: 0, Opening: 1, Greeting: 2, Ready: 3, Closed: 4 } as const;
type State = (typeof State)[keyof typeof State];

const ERROR_TYPE = 45;
const PUSH_TYPE = 62;
/** With this, a node refuses commands of others for shards that it does not hold. */
export const MOVED_CODE = 'VASTOMOVED';
const MOVED = Buffer.from(`-${MOVED_CODE}`);

/** Whether a reply says that the shard is not where, or what, it was thought to be. */
export function isMoved(reply: Buffer): boolean {
  return reply.subarray(0, MOVED.length).equals(MOVED);
}

/** How long opening and greeting may take, milliseconds. */
const OPEN_TIMEOUT_MS = 5000;
/** How long to wait before the next attempt to connect. */
const REOPEN_DELAY_MS = 100;
const REOPEN_DELAY_WHEN_DOWN_MS = 500;
/** An unused link is closed after so long. */
const IDLE_MS = 60_000;
/** Places at the front of the queue that are left empty before it is moved up. */
const HEAD_SLACK_MAX = 1024;
/** Pieces up to this size are joined to be written. */
const JOINED_BYTES_MAX = 64 << 10;

/**
 * A connection to another node for one keyspace and protocol version, shared by all clients of this node. Commands go
 * out in the order in which they were added, those of one turn of the event loop with one write, and replies come back
 * in the same order.
 *
 * When it breaks it connects again by itself: what was not written yet is written then, what was is for
 * {@link afterLoss}. Commands are failed when the node could not be reached until their deadline, or has been silent
 * for as long; and at once while it is known to have been away for so long already.
 */
export class Link {
  /** Unix milliseconds. Other times here are those of a clock that nobody sets. */
  readonly createdAtMs = Date.now();
  /** The id by which the other node knows this connection as a client, of a dedicated one that has asked for it. */
  idThere: number | undefined;
  /** From `head` on those that were not answered yet, oldest first; from `unwritten` on those not written either. */
  private requests: LinkRequest[] = [];
  private head = 0;
  private unwritten = 0;
  private pendingBytes = 0;
  private pendingCommands = 0;
  private state: State = State.Down;
  private socket: Duplex | undefined;
  private scanner = new ReplyScanner();
  /** The beginning of a reply that is not complete. */
  private held: Buffer[] = [];
  private greetingLeft = 0;
  private address = '';
  private isScheduled = false;
  private isBlocked = false;
  private wasReady = false;
  private stateSinceMs = performance.now();
  private receivedAtMs = 0;
  private usedAtMs = performance.now();
  /** Since when the node is not reached; 0 while it is, or was not tried. */
  private downSinceMs = 0;
  private downReason = '';
  private waiting: (() => void)[] = [];

  /**
   * @param isDedicated whether it belongs to one client: then the state at its other end is the client's, and once it
   *   breaks it is over
   * @param onLost is called when it is over
   */
  constructor(
    readonly target: LinkTarget,
    private readonly host: LinkHost,
    readonly isDedicated = false,
    public onLost: () => void = () => undefined,
  ) {}

  // ---------------------------------------------------------------- sending

  /** Whether so much waits already that nothing should be added. */
  get isCongested(): boolean {
    return this.pendingBytes > LINK_BYTES_MAX || this.pendingCommands > LINK_COMMANDS_MAX;
  }

  /** Resolves when it is not congested any more. */
  relieved(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Who the last command was added for, if another one of theirs can join it. */
  get lastReceiver(): ReplyReceiver | undefined {
    const last = this.requests[this.requests.length - 1];
    return last === undefined || last.writtenAtMs !== 0 || last.isBlock ? undefined : last.receiver;
  }

  get pending(): { readonly commands: number; readonly bytes: number } {
    return { commands: this.pendingCommands, bytes: this.pendingBytes };
  }

  get isReady(): boolean {
    return this.state === State.Ready;
  }

  /** Whether the last try to reach the node failed. */
  get isAway(): boolean {
    return this.downSinceMs !== 0;
  }

  get isClosed(): boolean {
    return this.state === State.Closed;
  }

  /** Adds a command. Its reply comes in a later turn of the event loop. */
  send(receiver: ReplyReceiver, bytes: Buffer, deadlineMs = performance.now() + this.host.timeoutMs): void {
    if (this.lastReceiver === receiver) {
      const last = this.requests[this.requests.length - 1]!;
      last.add(bytes);
      this.pendingBytes += bytes.length;
      this.pendingCommands++;
      return;
    }
    const request = new LinkRequest(receiver, false, deadlineMs);
    request.add(bytes);
    this.add(request);
  }

  /** Adds a command whose reply may take for ever, once it is written; only to a dedicated link. It may be that of a node that refers to another one. */
  sendPatiently(receiver: ReplyReceiver, bytes: Buffer): void {
    const request = new LinkRequest(receiver, false, performance.now() + this.host.timeoutMs, true);
    request.add(bytes);
    this.add(request);
  }

  /** Whether it waits for a reply that may take for ever. */
  get isPatient(): boolean {
    return this.requests[this.head]?.isPatient === true;
  }

  /** The node is known not to answer. */
  giveUp(): void {
    if (this.state === State.Ready) this.broke('it does not answer');
  }

  /** Adds commands that are run as a whole or not at all; their replies come together, or one error for all. */
  sendBlock(receiver: ReplyReceiver, frames: readonly Buffer[]): void {
    const request = new LinkRequest(receiver, true, performance.now() + this.host.timeoutMs);
    for (const bytes of frames) request.add(bytes);
    this.add(request);
  }

  /** Adds a request that may come from elsewhere. */
  add(request: LinkRequest): void {
    request.writtenAtMs = 0;
    this.requests.push(request);
    this.pendingBytes += request.byteLength;
    this.pendingCommands += request.commands;
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.flush();
    });
  }

  private flush(): void {
    if (this.unwritten === this.requests.length) return;
    this.usedAtMs = performance.now();
    if (this.state === State.Ready) this.writeAll();
    else if (this.state === State.Closed) this.failAll(this.unreachable());
    else if (this.isGivenUp(this.usedAtMs)) this.failAll(this.unreachable());
    else if (this.state === State.Down && this.downSinceMs === 0) this.open();
  }

  private writeAll(): void {
    const { requests, usedAtMs } = this;
    const socket = this.socket!;
    let joined: Buffer[] = [];
    let joinedBytes = 0;
    const write = () => {
      if (joined.length === 0) return;
      this.isBlocked = !socket.write(joined.length === 1 ? joined[0]! : Buffer.concat(joined, joinedBytes));
      joined = [];
      joinedBytes = 0;
    };
    while (this.unwritten < requests.length && !this.isBlocked) {
      const request = requests[this.unwritten++]!;
      request.writtenAtMs = usedAtMs;
      for (const piece of request.bytes) {
        if (joinedBytes + piece.length > JOINED_BYTES_MAX) write();
        joined.push(piece);
        joinedBytes += piece.length;
      }
    }
    write();
  }

  // ---------------------------------------------------------------- connecting

  private enter(state: State): void {
    this.state = state;
    this.stateSinceMs = performance.now();
  }

  private open(): void {
    const opening = this.host.open(this.target);
    if (typeof opening === 'string') {
      this.enter(State.Down);
      this.wentDown(opening);
      return;
    }
    const { socket, readyEvent, greeting, address } = opening;
    this.address = address;
    this.socket = socket;
    this.scanner = new ReplyScanner();
    this.held = [];
    this.isBlocked = false;
    this.enter(State.Opening);
    const isCurrent = () => this.socket === socket;
    socket.on('data', (chunk: Buffer) => {
      if (isCurrent()) this.receive(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (isCurrent()) this.broke(reasonOf(error));
    });
    socket.on('close', () => {
      if (isCurrent()) this.broke('it closed the connection');
    });
    socket.on('end', () => socket.destroy());
    socket.on('drain', () => {
      this.isBlocked = false;
      if (isCurrent()) this.flush();
    });
    socket.once(readyEvent, () => {
      if (!isCurrent()) return;
      this.enter(State.Greeting);
      this.greetingLeft = greeting.length;
      this.receivedAtMs = this.stateSinceMs;
      socket.write(Buffer.concat(greeting));
    });
  }

  private greeted(reply: Buffer): void {
    const refusal = errorOf(reply);
    if (refusal !== undefined) {
      this.broke(`it says: ${refusal}`);
      return;
    }
    if (--this.greetingLeft > 0) return;
    this.enter(State.Ready);
    this.wasReady = true;
    this.downSinceMs = 0;
    this.flush();
  }

  /** The connection is of no use any more. */
  private broke(reason: string): void {
    const { socket } = this;
    const wasSilent =
      this.state === State.Ready && performance.now() - this.receivedAtMs >= this.host.timeoutMs;
    this.socket = undefined;
    socket?.destroy();
    const since = wasSilent && this.unwritten > this.head ? this.receivedAtMs : 0;
    const text = `ERR ${this.name} was lost before it answered (${reason}): the command may or may not have taken effect`;
    const lost = this.requests.slice(this.head, this.unwritten);
    const rest = this.requests.slice(this.unwritten);
    this.clear();
    this.enter(this.isDedicated && this.wasReady ? State.Closed : State.Down);
    this.wentDown(reason, since);
    if (this.state === State.Closed) {
      for (const request of lost) request.fail(text);
      for (const request of rest) request.fail(this.unreachable());
      this.onLost();
      return;
    }
    const again = lost.flatMap((request) => afterLoss(request, text));
    for (const request of [...again, ...rest]) this.add(request);
    this.relieve();
  }

  private clear(): void {
    this.requests = [];
    this.head = 0;
    this.unwritten = 0;
    this.pendingBytes = 0;
    this.pendingCommands = 0;
    this.held = [];
  }

  private wentDown(reason: string, sinceMs = 0): void {
    if (this.downSinceMs === 0) this.downSinceMs = sinceMs || performance.now();
    this.downReason = reason;
  }

  /** Whether the node has been away for longer than anybody waits. */
  private isGivenUp(nowMs: number): boolean {
    return this.downSinceMs !== 0 && nowMs - this.downSinceMs >= this.host.timeoutMs;
  }

  private get name(): string {
    const at = this.address === '' ? '' : ` at ${this.address}`;
    return `store ${this.target.store.slice(0, 8)}${at}`;
  }

  private unreachable(): string {
    return `CLUSTERDOWN ${this.name} cannot be reached: ${this.downReason}`;
  }

  private failAll(error: string): void {
    if (this.head === this.requests.length) return;
    const failed = this.requests.slice(this.head);
    this.clear();
    for (const request of failed) request.fail(error);
    this.relieve();
  }

  // ---------------------------------------------------------------- receiving

  private receive(chunk: Buffer): void {
    this.receivedAtMs = performance.now();
    const { socket } = this;
    /** Where what was not delivered yet begins. */
    let start = 0;
    let at = 0;
    try {
      for (;;) {
        const end = this.scanner.next(chunk, at);
        if (end < 0) break;
        start = this.takeReply(chunk, start, at, end);
        at = end;
        // What a reply led to may have ended the connection.
        if (this.socket !== socket) return;
      }
    } catch (error) {
      this.broke((error as Error).message);
      return;
    }
    if (at > start) {
      const head = this.requests[this.head]!;
      head.receiver.deliver(this.join(chunk.subarray(start, at)), head.answered);
      start = at;
    }
    if (start < chunk.length) this.held.push(chunk.subarray(start));
  }

  /** Takes the reply that stands between `at` and `end`. @returns where what was not delivered yet begins */
  private takeReply(chunk: Buffer, start: number, at: number, end: number): number {
    const { type } = this.scanner;
    if (this.state === State.Greeting) {
      this.greeted(this.join(chunk.subarray(at, end)));
      return end;
    }
    const head = this.requests[this.head];
    if (type === PUSH_TYPE || this.unwritten === this.head || head === undefined) {
      if (type !== PUSH_TYPE) throw new Error('it answers what it was not asked');
      if (at > start) head!.receiver.deliver(this.join(chunk.subarray(start, at)), head!.answered);
      this.held = [];
      return end;
    }
    if (type === ERROR_TYPE || head.isBlock || head.outcomes !== undefined) {
      if (at > start) head.receiver.deliver(this.join(chunk.subarray(start, at)), head.answered);
      this.takeOneReply(head, this.join(chunk.subarray(at, end)));
      return end;
    }
    head.answered++;
    if (!head.isComplete) return start;
    this.shift(head);
    head.receiver.deliver(this.join(chunk.subarray(start, end)), 0);
    return end;
  }

  /** Takes a reply that may be a refusal because of a moved shard, or that has to wait for others. */
  private takeOneReply(head: LinkRequest, reply: Buffer): void {
    const hasMoved = isMoved(reply);
    head.answered++;
    if (!head.isBlock && head.outcomes === undefined && !hasMoved) {
      if (head.isComplete) this.shift(head);
      head.receiver.deliver(reply, head.isComplete ? 0 : head.answered);
      return;
    }
    head.outcomes ??= [];
    head.outcomes.push(hasMoved ? undefined : reply);
    if (!head.isComplete) return;
    this.shift(head);
    if (!head.outcomes.includes(undefined))
      head.receiver.deliver(Buffer.concat(head.outcomes as Buffer[]), 0);
    else if (head.isPatient) head.receiver.deliver(reply, 0);
    else if (this.isDedicated) head.fail(`ERR ${this.name} does not hold the shard any more: try again`);
    else this.host.moved(this.target, head);
  }

  private shift(head: LinkRequest): void {
    this.head++;
    if (this.head === this.requests.length) {
      this.requests = [];
      this.head = 0;
      this.unwritten = 0;
    } else if (this.head > HEAD_SLACK_MAX) {
      this.requests = this.requests.slice(this.head);
      this.unwritten -= this.head;
      this.head = 0;
    }
    this.pendingBytes -= head.byteLength;
    this.pendingCommands -= head.commands;
    this.relieve();
  }

  /** The bytes with those held before them. */
  private join(bytes: Buffer): Buffer {
    if (this.held.length === 0) return bytes;
    const whole = Buffer.concat([...this.held, bytes]);
    this.held = [];
    return whole;
  }

  private relieve(): void {
    if (this.waiting.length === 0) return;
    if (this.pendingBytes > LINK_BYTES_MAX / 2 || this.pendingCommands > LINK_COMMANDS_MAX / 2) return;
    const { waiting } = this;
    this.waiting = [];
    for (const resume of waiting) resume();
  }

  // ---------------------------------------------------------------- time

  /** To be called every now and then: what takes too long is given up, and what is down is tried again. */
  tick(nowMs: number): void {
    const { timeoutMs } = this.host;
    const inState = nowMs - this.stateSinceMs;
    if (this.state === State.Ready) {
      const head = this.requests[this.head];
      const since = Math.max(this.receivedAtMs, head?.writtenAtMs ?? 0);
      if (this.unwritten > this.head && !this.isPatient && nowMs - since >= timeoutMs)
        this.broke(`no reply for ${timeoutMs} ms`);
      else if (head === undefined && nowMs - this.usedAtMs >= IDLE_MS) this.close();
      return;
    }
    if (this.state === State.Opening || this.state === State.Greeting) {
      if (inState >= Math.min(OPEN_TIMEOUT_MS, timeoutMs)) this.broke('it does not answer');
    }
    if (this.isGivenUp(nowMs)) this.failAll(this.unreachable());
    else this.failLate(nowMs);
    if (this.state !== State.Down) return;
    if (this.head === this.requests.length && nowMs - this.usedAtMs >= IDLE_MS) this.close();
    else if (inState >= (this.isGivenUp(nowMs) ? REOPEN_DELAY_WHEN_DOWN_MS : REOPEN_DELAY_MS)) this.open();
  }

  private failLate(nowMs: number): void {
    const waiting = this.requests.slice(this.head);
    const late = waiting.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (late.length === 0) return;
    const rest = waiting.filter(({ deadlineMs }) => deadlineMs > nowMs);
    this.clear();
    for (const request of rest) this.add(request);
    if (this.downReason === '') this.downReason = 'it does not answer';
    for (const request of late) request.fail(this.unreachable());
    this.relieve();
  }

  /** Takes out what was not written, for it to be sent where it belongs now. Only of a link that is not connected. */
  withdraw(): LinkRequest[] {
    if (this.state === State.Ready) return [];
    const withdrawn = this.requests.slice(this.head);
    this.clear();
    this.relieve();
    return withdrawn;
  }

  /** Ends it; what was not answered gets an error. */
  close(): void {
    const { socket } = this;
    this.socket = undefined;
    this.enter(State.Closed);
    if (this.downReason === '') this.downReason = 'this node is ending';
    socket?.destroy();
    this.failAll(this.unreachable());
  }
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNREFUSED') return 'connection refused';
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return 'it closed the connection';
  return error.message;
}
