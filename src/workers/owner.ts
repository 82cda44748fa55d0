import { Buffer } from 'node:buffer';
import type { MessagePort } from 'node:worker_threads';
import { CommandStatistics } from '../base/command-statistics.js';
import {
  BATCH_BYTES_LIMIT,
  BATCHES_IN_FLIGHT_MAX,
  EARLY_BATCH_COMMANDS_MIN,
  REPLY_MEMORY_REUSED_MAX,
  REPLY_MEMORY_REUSED_MIN,
} from '../base/limits.js';
import { commandTable } from '../commands/table.js';
import { BatchWriter } from './batch.js';
import type { BatchMessage, EndedWait, ReplyMessage, SlowCommand, WaitEnd } from './protocol.js';
import { fromWire, type WireMessage } from './reply-wire.js';

/** Who gets the replies of a segment. */
export interface Receiver {
  /**
   * Takes the next bytes of its replies.
   * @param done 0 if these are the last; otherwise how many of its commands have been answered so far
   */
  deliver(bytes: Buffer, done: number): void;
  /** Whether it has no use any more for the bytes that it was given; undefined if that is not known. */
  readonly keepsNothing?: boolean | undefined;
  /** The worker died before the replies came. Whether the commands took effect is not known. */
  abandon(): void;
}

/** The receiver of a segment with SegmentFlag.MayWait: its command is answered by `deliver` at once, or by `ended` later. */
export interface WaitingReceiver extends Receiver {
  /**
   * The client waits for keys.
   * @param timeoutMs 0 = for ever. It is up to the receiver to end the waiting then, see Instruction.EndWait
   */
  blocked(timeoutMs: number): void;
  /**
   * The waiting has ended, with a reply if the reason tells of one.
   * @param again what to send again, if not the words that came
   */
  ended(end: WaitEnd, reply: Buffer, again?: readonly string[]): void;
}

/** One worker as the front sees it: the batch that is being gathered for it, and those on their way. */
export class Owner {
  readonly statistics = new CommandStatistics(commandTable.length);
  batch = new BatchWriter<Receiver>();
  /** Receivers of the batches on their way, oldest first. */
  private readonly inFlight: Receiver[][] = [];
  /** Memory for the worker to write replies in. */
  private readonly spares: ArrayBuffer[] = [];
  /** Those whose clients wait for keys, by the client's id. */
  private readonly blocked = new Map<number, WaitingReceiver>();
  private scheduled = false;
  private port: MessagePort | undefined;
  private waiting: (() => void)[] = [];
  private readonly deathWaiters: (() => void)[] = [];

  constructor(
    readonly index: number,
    private readonly batchBytesMax: number,
    private readonly onSlow: (command: SlowCommand) => void,
    private readonly onLogged: (shard: number, sequence: number) => void,
  ) {}

  /** Connects the worker that a `port` leads to. */
  connect(port: MessagePort, onClose: () => void): void {
    this.port = port;
    port.on('message', (message: WireMessage) => this.receive(fromWire(message)));
    port.on('close', () => {
      if (this.port === port) onClose();
    });
  }

  /** Resolves when the worker dies. */
  died(): Promise<void> {
    return new Promise((resolve) => this.deathWaiters.push(resolve));
  }

  /** Whether the worker is alive. */
  get isConnected(): boolean {
    return this.port !== undefined;
  }

  /** Whether so much waits for the worker that a command of `bytes` should wait until there is room. */
  isCongestedFor(bytes: number): boolean {
    const { batch } = this;
    if (batch.byteLength + bytes > BATCH_BYTES_LIMIT && !batch.isEmpty) return true;
    return this.inFlight.length >= BATCHES_IN_FLIGHT_MAX && batch.byteLength > this.batchBytesMax;
  }

  /** Resolves when the worker takes more. */
  relieved(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Has the batch sent at the end of this turn of the event loop. To be called after each addition. */
  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }

  /**
   * While a batch is on its way the next one grows, so batches get larger as load does, and cost less a command.
   * Only a large one does not wait: then the worker has something to do while the front takes its replies.
   */
  private flush(): void {
    if (this.batch.isEmpty || this.port === undefined) return;
    const { length } = this.inFlight;
    if (length >= BATCHES_IN_FLIGHT_MAX) return;
    if (length > 0 && this.batch.commandCount < EARLY_BATCH_COMMANDS_MIN) return;
    this.inFlight.push(this.batch.receivers);
    const batch = this.batch.take();
    const spare = this.spares.pop();
    if (spare === undefined) this.port.postMessage(batch satisfies BatchMessage, [batch]);
    else this.port.postMessage({ batch, spare } satisfies BatchMessage, [batch, spare]);
    if (this.waiting.length > 0) {
      const waiting = this.waiting;
      this.waiting = [];
      for (const resume of waiting) resume();
    }
  }

  private receive(message: ReplyMessage): void {
    const receivers = this.inFlight[0] ?? [];
    const { buffer, tableOffset, entries } = message;
    if (receivers.length === 0 && entries !== 0)
      throw new Error(`worker ${this.index} answers a batch it was not given`);
    const table = new Int32Array(buffer, tableOffset, entries * 3);
    const bytes = Buffer.from(buffer, 0, tableOffset);
    if (message.last) {
      this.inFlight.shift();
      this.flush();
    }
    const { logged } = message;
    if (logged !== undefined)
      for (let index = 0; index < logged.length; index += 2)
        this.onLogged(logged[index]!, logged[index + 1]!);
    let at = 0;
    for (let entry = 0; entry < table.length; entry += 3) {
      const length = table[entry + 1]!;
      receivers[table[entry]!]!.deliver(bytes.subarray(at, at + length), table[entry + 2]!);
      at += length;
    }
    if (isReusable(buffer) && this.spares.length < BATCHES_IN_FLIGHT_MAX && isUnused(receivers, table))
      this.spares.push(buffer);
    if (message.blocked) this.block(receivers, message.blocked);
    if (message.ended) for (const ended of message.ended) this.endWait(ended);
    if (message.slow) for (const command of message.slow) this.onSlow(command);
  }

  /** @param news see ReplyMessage */
  private block(receivers: readonly Receiver[], news: readonly number[]): void {
    for (let at = 0; at < news.length; at += 3) {
      const receiver = receivers[news[at]!] as WaitingReceiver;
      this.blocked.set(news[at + 1]!, receiver);
      receiver.blocked(news[at + 2]!);
    }
  }

  private endWait({ clientId, end, reply, again }: EndedWait): void {
    const receiver = this.blocked.get(clientId);
    this.blocked.delete(clientId);
    receiver?.ended(end, Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength), again);
  }

  /** The worker is gone: nothing that was sent to it will be answered. */
  disconnect(): void {
    this.port = undefined;
    for (const resume of this.deathWaiters.splice(0)) resume();
    const lost = this.inFlight.splice(0);
    for (const receivers of lost) for (const receiver of receivers) receiver.abandon();
    const blocked = [...this.blocked.values()];
    this.blocked.clear();
    for (const receiver of blocked) receiver.abandon();
  }

  /** Sends what was gathered while the worker was away. */
  resume(): void {
    this.flush();
  }
}

function isReusable({ byteLength }: ArrayBuffer): boolean {
  return byteLength >= REPLY_MEMORY_REUSED_MIN && byteLength <= REPLY_MEMORY_REUSED_MAX;
}

/** Whether nobody needs the replies of a table any more, see ReplyMessage. */
function isUnused(receivers: readonly Receiver[], table: Int32Array): boolean {
  for (let entry = 0; entry < table.length; entry += 3)
    if (receivers[table[entry]!]!.keepsNothing !== true) return false;
  return true;
}
