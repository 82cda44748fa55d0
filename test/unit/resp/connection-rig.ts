import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { ErrorTally } from '../../../src/base/error-tally.js';
import type { Blocking } from '../../../src/resp/blocking.js';
import { Connection, type ConnectionHost } from '../../../src/resp/connection.js';
import { refuse } from '../../../src/resp/refusal.js';
import type { Slot } from '../../../src/resp/reply-queue.js';

/** A socket whose other end is the test. */
class FakeSocket extends Duplex {
  text = '';
  ended = false;
  private held: (() => void)[] | undefined;

  constructor() {
    super({ allowHalfOpen: true, writableHighWaterMark: 16_384 });
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.text += chunk.latin1Slice();
    if (this.held) this.held.push(callback);
    else callback();
  }

  override _final(callback: () => void): void {
    this.ended = true;
    callback();
  }

  /** The peer stops reading. */
  block(): void {
    this.held = [];
  }

  unblock(): void {
    const { held } = this;
    this.held = undefined;
    for (const resume of held ?? []) resume();
  }
}

export type Behaviour = (connection: Connection, name: string, rig: Rig) => void;

export interface Rig {
  readonly connection: Connection;
  readonly socket: FakeSocket;
  readonly executed: string[];
  readonly slots: { name: string; slot: Pick<Slot, 'deliver'> }[];
  readonly closed: string[];
}

/** A connection whose host does with each command what `behaviour` says. */
export function connect(behaviour: Behaviour, outputMax = Number.POSITIVE_INFINITY): Rig {
  const socket = new FakeSocket();
  const closed: string[] = [];
  const executed: string[] = [];
  let rig: Rig;
  const host: ConnectionHost = {
    errors: new ErrorTally(),
    execute(connection, args) {
      const name = args[0]!.latin1Slice();
      executed.push(name);
      behaviour(connection, name, rig);
    },
    failed: (connection, error) => refuse(connection, error, connection.session.lastCommand),
    closed: () => closed.push('closed'),
    outputExceeded(connection, queued) {
      if (queued <= outputMax) return false;
      connection.destroy('too much output');
      return true;
    },
    countInput: () => undefined,
    countOutput: () => undefined,
    logClosed: (_connection, reason) => closed.push(reason),
  };
  const limits = { bulkBytesMax: 1 << 29, queryBytesMax: 1 << 30, authenticated: true };
  const connection = new Connection(1, socket as unknown as Socket, 'peer', 'local', limits, host);
  rig = { connection, socket, executed, slots: [], closed };
  return rig;
}

/** Answers at once, on this thread. */
export const echo: Behaviour = (connection, name) => {
  connection.writer.simple(name);
  connection.flushWriter();
};

/** Sends the command to a worker that answers when the test says. */
export const toWorker: Behaviour = (connection, name, rig) => {
  connection.pushReady();
  const slot = connection.replies.reserve(1, 0, connection.session.replies !== 'on');
  rig.slots.push({ name, slot });
  connection.countUnderWay(slot);
};

const NEVER_ENDED: Blocking = {
  isBlocked: true,
  hasTimeout: false,
  route: undefined,
  number: 0,
  leave: () => undefined,
  askAgain: () => undefined,
  unblock: () => Promise.resolve(false),
};

/** Sends a command that waits until the test says. */
export const waits: Behaviour = (connection, name, rig) => {
  connection.pushReady();
  const reserved = connection.replies.reserve(1, 0, connection.session.replies !== 'on');
  const slot = {
    deliver(bytes: Buffer, done: number) {
      reserved.deliver(bytes, done);
      if (done === 0) connection.endBlocking();
    },
  };
  rig.slots.push({ name, slot });
  connection.beginBlocking(NEVER_ENDED, reserved);
};

export const turn = () => new Promise((resolve) => setImmediate(resolve));

export function lines(...names: string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\r\n`).join(''));
}

export const answers = (...names: string[]) => names.map((name) => `+${name}\r\n`).join('');
