import { Buffer } from 'node:buffer';
import type { Receiver } from '../workers/owner.js';

/** Where a queue writes, and what it tells its connection. */
export interface ReplySink {
  write(bytes: Buffer): void;
  /** Whether all that was written has left this process. */
  readonly hasSent: boolean;
  /** Everything asked for so far has been answered. */
  queueDrained(): void;
  /** Replies of `commands` commands came, `bytes` long together. */
  answered(commands: number, bytes: number): void;
}

/** The text of the reply when a worker died with commands on their way. */
const ABANDONED =
  '-ERR the worker that ran the command died before it answered: the command may or may not have taken effect\r\n';

/**
 * The replies a connection waits for, in the order of its requests.
 *
 * Requests that go to a worker get a slot; replies that are made here take their place behind the slots before them.
 * What stands first is written as soon as it comes, in parts if need be.
 */
export class ReplyQueue {
  private readonly slots: Slot[] = [];
  private head = 0;

  constructor(readonly sink: ReplySink) {}

  get isEmpty(): boolean {
    return this.head === this.slots.length;
  }

  /** The slot that was added last, if it still waits. */
  get tail(): Slot | undefined {
    return this.isEmpty ? undefined : this.slots[this.slots.length - 1];
  }

  /**
   * Adds a slot for replies that will come from a worker.
   * @param silent whether they are to be thrown away (CLIENT REPLY OFF)
   */
  reserve(shard: number, flags: number, silent: boolean): Slot {
    const slot = new Slot(this, shard, flags, silent);
    this.slots.push(slot);
    return slot;
  }

  /** Adds a reply that is there already. */
  push(bytes: Buffer): void {
    if (this.isEmpty) {
      this.sink.write(bytes);
      return;
    }
    const { tail } = this;
    if (tail instanceof Slot && tail.isReady) tail.append(bytes);
    else this.slots.push(Slot.ready(this, bytes));
  }

  /**
   * A slot got bytes, or its last ones.
   * @returns whether they were written; if not, it is not the slot's turn
   */
  advance(slot: Slot, bytes: Buffer | undefined): boolean {
    if (this.slots[this.head] !== slot) return false;
    const behind = slot.complete ? this.shift() : NOTHING;
    const isDrained = slot.complete && this.isEmpty;
    if (behind.length > 0) this.sink.write(Buffer.concat(bytes === undefined ? behind : [bytes, ...behind]));
    else if (bytes !== undefined) this.sink.write(bytes);
    if (isDrained) this.sink.queueDrained();
    return true;
  }

  /**
   * Takes the first slot away, and those behind it that are complete.
   * @returns what the ones behind it have, as far as the first of them that is not complete
   */
  private shift(): readonly Buffer[] {
    const { slots } = this;
    // Most often it is the only one. To set an array's length is a call of the runtime, which gives its memory away.
    if (slots.length === 1) {
      slots.pop();
      return NOTHING;
    }
    let parts: Buffer[] = [];
    let next: Slot | undefined;
    do {
      next = slots[++this.head];
      if (next !== undefined) parts = parts.concat(next.take());
    } while (next?.complete);
    if (next === undefined) {
      slots.length = 0;
      this.head = 0;
    } else if (this.head > HEAD_SLACK_MAX) {
      slots.splice(0, this.head);
      this.head = 0;
    }
    return parts;
  }
}

const NOTHING: readonly Buffer[] = [];

/** Places at the front of the list that are left empty before it is moved up. */
const HEAD_SLACK_MAX = 1024;

/** The place of some replies in the order of a connection. */
export class Slot implements Receiver {
  commands = 0;
  complete = false;
  private answered = 0;
  /** What has come before it was its turn. */
  private parts: Buffer[] | undefined;

  constructor(
    private readonly queue: ReplyQueue,
    /** The shard of the command that was added last. */
    public shard: number,
    readonly flags: number,
    readonly silent: boolean,
  ) {}

  static ready(queue: ReplyQueue, bytes: Buffer): Slot {
    const slot = new Slot(queue, READY, 0, false);
    slot.parts = [bytes];
    slot.complete = true;
    return slot;
  }

  get isReady(): boolean {
    return this.shard === READY;
  }

  append(bytes: Buffer): void {
    if (this.parts === undefined) this.parts = [bytes];
    else this.parts.push(bytes);
  }

  /** What has come and was not written yet. */
  take(): readonly Buffer[] {
    const { parts } = this;
    this.parts = undefined;
    return parts ?? NOTHING;
  }

  deliver(bytes: Buffer, done: number): void {
    this.complete = done === 0;
    const answered = this.complete ? this.commands : done;
    this.queue.sink.answered(answered - this.answered, bytes.length);
    this.answered = answered;
    const wanted = this.silent || bytes.length === 0 ? undefined : bytes;
    if (!this.queue.advance(this, wanted) && wanted !== undefined) this.append(wanted);
  }

  get keepsNothing(): boolean {
    return this.parts === undefined && this.queue.sink.hasSent;
  }

  abandon(): void {
    this.deliver(Buffer.from(ABANDONED.repeat(Math.max(0, this.commands - this.answered)), 'latin1'), 0);
  }
}

/** Stands for the shard in slots that never were for one. */
const READY = -1;
