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
    return this.slots[this.slots.length - 1];
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

  /** A slot got bytes, or its last ones. */
  advance(slot: Slot): void {
    if (this.slots[this.head] !== slot) return;
    let parts = slot.take();
    let drained = false;
    while (this.slots[this.head]?.complete) {
      this.head++;
      const next = this.slots[this.head];
      if (next === undefined) {
        this.slots.length = 0;
        this.head = 0;
        drained = true;
        break;
      }
      parts = parts.concat(next.take());
    }
    if (this.head > HEAD_SLACK_MAX) {
      this.slots.splice(0, this.head);
      this.head = 0;
    }
    if (parts.length === 1) this.sink.write(parts[0]!);
    else if (parts.length > 1) this.sink.write(Buffer.concat(parts));
    if (drained) this.sink.queueDrained();
  }
}

/** Places at the front of the list that are left empty before it is moved up. */
const HEAD_SLACK_MAX = 1024;

/** The place of some replies in the order of a connection. */
export class Slot implements Receiver {
  commands = 0;
  complete = false;
  private answered = 0;
  private parts: Buffer[] = [];

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
    this.parts.push(bytes);
  }

  /** What has come and was not written yet. */
  take(): Buffer[] {
    const { parts } = this;
    this.parts = [];
    return parts;
  }

  deliver(bytes: Buffer, done: number): void {
    if (!this.silent && bytes.length > 0) this.parts.push(bytes);
    this.complete = done === 0;
    const answered = this.complete ? this.commands : done;
    this.queue.sink.answered(answered - this.answered, bytes.length);
    this.answered = answered;
    this.queue.advance(this);
  }

  get keepsNothing(): boolean {
    return this.parts.length === 0 && this.queue.sink.hasSent;
  }

  abandon(): void {
    this.deliver(Buffer.from(ABANDONED.repeat(Math.max(0, this.commands - this.answered)), 'latin1'), 0);
  }
}

/** Stands for the shard in slots that never were for one. */
const READY = -1;
