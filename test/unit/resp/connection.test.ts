import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ErrorTally } from '../../../src/base/error-tally.js';
import {
  BLOCKED_INPUT_BYTES_MAX,
  OUTPUT_PAUSE_BYTES,
  PIPELINE_REPLY_BYTES,
  PIPELINE_WINDOW_MAX,
  PIPELINE_WINDOW_MIN,
} from '../../../src/base/limits.js';
import { findCommand } from '../../../src/commands/table.js';
import type { Blocking } from '../../../src/resp/blocking.js';
import { Connection, type ConnectionHost } from '../../../src/resp/connection.js';
import { refuse } from '../../../src/resp/refusal.js';
import type { Slot } from '../../../src/resp/reply-queue.js';
import { pause } from '../../support/environment.js';
import { seeded } from '../../support/replay.js';

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

type Behaviour = (connection: Connection, name: string, rig: Rig) => void;

interface Rig {
  readonly connection: Connection;
  readonly socket: FakeSocket;
  readonly executed: string[];
  readonly slots: { name: string; slot: Pick<Slot, 'deliver'> }[];
  readonly closed: string[];
}

/** A connection whose host does with each command what `behaviour` says. */
function connect(behaviour: Behaviour, outputMax = Number.POSITIVE_INFINITY): Rig {
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
const echo: Behaviour = (connection, name) => {
  connection.writer.simple(name);
  connection.flushWriter();
};

/** Sends the command to a worker that answers when the test says. */
const toWorker: Behaviour = (connection, name, rig) => {
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
const waits: Behaviour = (connection, name, rig) => {
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

const turn = () => new Promise((resolve) => setImmediate(resolve));

function lines(...names: string[]): Buffer {
  return Buffer.from(names.map((name) => `${name}\r\n`).join(''));
}

const answers = (...names: string[]) => names.map((name) => `+${name}\r\n`).join('');

describe('a reply that connections share', () => {
  const shared = Buffer.from('+shared\r\n');
  const behaviour: Behaviour = (connection, name, rig) => {
    if (name === 'shared') connection.pushShared(shared);
    else (name === 'worker' ? toWorker : echo)(connection, name, rig);
  };

  it('has its place among the others, made here or elsewhere', async () => {
    const { socket, slots } = connect(behaviour);
    socket.push(lines('a', 'shared', 'b', 'worker', 'shared', 'c'));
    await turn();
    expect(socket.text).toBe('+a\r\n+shared\r\n+b\r\n');
    slots[0]!.slot.deliver(Buffer.from('+w\r\n'), 0);
    expect(socket.text).toBe('+a\r\n+shared\r\n+b\r\n+w\r\n+shared\r\n+c\r\n');
    expect(shared.latin1Slice()).toBe('+shared\r\n');
  });

  it('is dropped while replies are off', async () => {
    const { connection, socket } = connect(behaviour);
    connection.session.replies = 'off';
    socket.push(lines('shared'));
    await turn();
    connection.session.replies = 'on';
    socket.push(lines('a'));
    await turn();
    expect(socket.text).toBe('+a\r\n');
  });
});

describe('a connection', () => {
  it('executes what it is sent, and answers in order', async () => {
    const rig = connect((connection, name, rig) =>
      (name.startsWith('w') ? toWorker : echo)(connection, name, rig),
    );
    rig.socket.push(lines('a', 'w1', 'b', 'c', 'w2', 'd'));
    await turn();
    expect(rig.executed).toEqual(['a', 'w1', 'b', 'c', 'w2', 'd']);
    expect(rig.socket.text).toBe(answers('a'));
    rig.slots[1]!.slot.deliver(Buffer.from(answers('w2')), 0);
    rig.slots[0]!.slot.deliver(Buffer.from(answers('w1')), 0);
    expect(rig.socket.text).toBe(answers('a', 'w1', 'b', 'c', 'w2', 'd'));
    expect(rig.connection.outputBytes).toBe(rig.socket.text.length);
  });

  it('holds commands back in order while it stalls, also those that are put back', async () => {
    let opened: () => void = () => undefined;
    const opening = new Promise<void>((resolve) => {
      opened = resolve;
    });
    let ready = false;
    const rig = connect((connection, name, rig) => {
      if (name === 'b' && !ready) {
        connection.holdBack([Buffer.from('b')], Buffer.from('b'));
        connection.stallUntil(opening);
      } else echo(connection, name, rig);
    });
    rig.socket.push(lines('a', 'b', 'c'));
    rig.socket.push(lines('d'));
    await turn();
    expect(rig.executed).toEqual(['a', 'b']);
    ready = true;
    opened();
    await turn();
    await turn();
    expect(rig.executed).toEqual(['a', 'b', 'b', 'c', 'd']);
    expect(rig.socket.text).toBe(answers('a', 'b', 'c', 'd'));
    expect(rig.connection.heldCommands).toBe(0);
  });

  it('answers a command that waited in vain with an error, and goes on', async () => {
    const rig = connect((connection, name, rig) => {
      if (name === 'b') {
        connection.holdBack([Buffer.from('b')], Buffer.from('b'));
        connection.stallUntil(Promise.reject(new Error('no such luck')));
      } else echo(connection, name, rig);
    });
    rig.socket.push(lines('a', 'b', 'c'));
    await pause(5);
    expect(rig.socket.text).toBe(`${answers('a')}-ERR no such luck\r\n${answers('c')}`);
  });

  it('has asked for the command that waited in vain, and not for the one behind it', async () => {
    const asked: boolean[] = [];
    const rig = connect((connection, name, rig) => {
      const { session } = connection;
      session.lastCommand = findCommand(name)!;
      session.takeAsking(session.lastCommand);
      asked.push(session.hasAsked);
      if (asked.length < 3) {
        connection.holdBack([Buffer.from(name)], Buffer.from(name));
        connection.stallUntil(
          asked.length === 1 ? Promise.resolve() : Promise.reject(new Error('it did not come')),
        );
      } else echo(connection, name, rig);
    });
    rig.connection.session.isAsking = true;
    rig.socket.push(lines('get', 'ping'));
    await pause(5);
    expect(rig.executed).toEqual(['get', 'get', 'ping']);
    expect(asked).toEqual([true, true, false]);
    expect(rig.socket.text).toBe('-ERR it did not come\r\n+ping\r\n');
  });

  it('loses its transaction when a command of it, or EXEC, waited in vain', async () => {
    for (const failing of ['get', 'exec']) {
      const rig = connect((connection, name, rig) => {
        connection.session.lastCommand = findCommand(name);
        if (name === failing) {
          connection.holdBack([Buffer.from(name)], Buffer.from(name));
          connection.stallUntil(Promise.reject(new Error('the worker died')));
        } else echo(connection, name, rig);
      });
      const { session } = rig.connection;
      session.queued = [];
      rig.socket.push(lines(failing, 'ping'));
      await pause(5);
      const isExec = failing === 'exec';
      // EXEC ends it; other commands have EXEC answer EXECABORT.
      expect([session.queued === undefined, session.transactionFailed]).toEqual([isExec, !isExec]);
      const reply = isExec
        ? '-EXECABORT Transaction discarded because of: the worker died\r\n'
        : '-ERR the worker died\r\n';
      expect(rig.socket.text).toBe(`${reply}${answers('ping')}`);
    }
  });

  it('waits for all replies where a command needs them, and for the command before the next', async () => {
    const rig = connect((connection, name, rig) => {
      if (name !== 'alone') return toWorker(connection, name, rig);
      void connection.afterReplies(async () => {
        expect(connection.replies.isEmpty).toBe(true);
        await pause(2);
        echo(connection, name, rig);
      });
    });
    rig.socket.push(lines('w1', 'alone', 'w2'));
    await turn();
    expect(rig.executed).toEqual(['w1', 'alone']);
    rig.slots[0]!.slot.deliver(Buffer.from(answers('w1')), 0);
    await pause(20);
    expect(rig.executed).toEqual(['w1', 'alone', 'w2']);
    rig.slots[1]!.slot.deliver(Buffer.from(answers('w2')), 0);
    expect(rig.socket.text).toBe(answers('w1', 'alone', 'w2'));
  });
});

describe('the end of a connection', () => {
  it('comes behind the replies to everything asked for, when the client sends no more', async () => {
    const rig = connect((connection, name, rig) => {
      if (name === 'alone') void connection.afterReplies(() => echo(connection, name, rig));
      else toWorker(connection, name, rig);
    });
    rig.socket.push(lines('w1', 'alone', 'w2'));
    rig.socket.push(null);
    await turn();
    rig.slots[0]!.slot.deliver(Buffer.from(answers('w1')), 0);
    await pause(5);
    expect(rig.socket.ended).toBe(false);
    rig.slots[1]!.slot.deliver(Buffer.from(answers('w2')), 0);
    await pause(5);
    expect(rig.socket.text).toBe(answers('w1', 'alone', 'w2'));
    expect(rig.socket.ended).toBe(true);
    expect(rig.closed).toEqual(['closed']);
  });

  it('comes with a protocol error behind the commands before it, held ones included', async () => {
    const rig = connect((connection, name, rig) => {
      if (name === 'alone')
        void connection.afterReplies(() => pause(2).then(() => echo(connection, name, rig)));
      else toWorker(connection, name, rig);
    });
    rig.socket.push(Buffer.from('w1\r\nalone\r\nw2\r\n*1\r\n!bad\r\nnever\r\n'));
    await turn();
    rig.slots[0]!.slot.deliver(Buffer.from(answers('w1')), 0);
    await pause(10);
    rig.slots[1]!.slot.deliver(Buffer.from(answers('w2')), 0);
    await turn();
    expect(rig.executed).toEqual(['w1', 'alone', 'w2']);
    expect(rig.socket.text).toBe(
      `${answers('w1', 'alone', 'w2')}-ERR Protocol error: expected '$', got '!'\r\n`,
    );
    expect(rig.socket.ended).toBe(true);
  });

  it('drops what comes behind QUIT', async () => {
    const rig = connect((connection, name, rig) => {
      echo(connection, name, rig);
      if (name === 'quit') connection.closeAfterReplies();
    });
    rig.socket.push(lines('a', 'quit', 'b'));
    rig.socket.push(lines('c'));
    await turn();
    expect(rig.executed).toEqual(['a', 'quit']);
    expect(rig.socket.text).toBe(answers('a', 'quit'));
    expect(rig.socket.ended).toBe(true);
  });

  it('is told once, and replies that come later are dropped', async () => {
    const rig = connect(toWorker);
    rig.socket.push(lines('w1', 'w2'));
    await turn();
    rig.socket.destroy(new Error('ECONNRESET'));
    await turn();
    expect(rig.connection.isClosed).toBe(true);
    for (const { slot } of rig.slots) slot.deliver(Buffer.from('+late\r\n'), 0);
    rig.connection.destroy('again');
    await turn();
    expect(rig.socket.text).toBe('');
    expect(rig.closed.filter((what) => what === 'closed')).toHaveLength(1);
  });
});

describe('flow control', () => {
  it('has no more commands under way than the window, which grows while replies are small', async () => {
    const rig = connect(toWorker);
    let sent = 0;
    const peaks: number[] = [];
    for (let round = 0; round < 20; round++) {
      for (; sent < (round + 1) * 10_000; sent += 1000)
        rig.socket.push(lines(...Array.from({ length: 1000 }, (_, index) => String(sent + index))));
      await turn();
      peaks.push(rig.slots.length);
      for (const { slot } of rig.slots.splice(0)) slot.deliver(Buffer.from('+OK\r\n'), 0);
      await turn();
    }
    expect(peaks[0]).toBe(PIPELINE_WINDOW_MIN);
    expect(Math.max(...peaks)).toBe(PIPELINE_WINDOW_MAX);
    expect(
      peaks.every((peak, at) => at === 0 || peak <= 2 * peaks[at - 1]! || peak <= PIPELINE_WINDOW_MAX),
    ).toBe(true);
  });

  it('makes the window small while replies are large', async () => {
    const rig = connect(toWorker);
    const reply = Buffer.alloc(1 << 20, 'x');
    rig.socket.push(lines(...Array.from({ length: 500 }, (_, index) => String(index))));
    const peaks: number[] = [];
    while (rig.executed.length < 500) {
      await turn();
      peaks.push(rig.slots.length);
      for (const { slot } of rig.slots.splice(0)) slot.deliver(reply, 0);
      rig.socket.text = '';
      await turn();
    }
    expect(Math.max(...peaks.slice(1))).toBeLessThanOrEqual(PIPELINE_REPLY_BYTES / reply.length);
  });

  it('takes a part of many replies for many replies, not for a large one', async () => {
    const { connection } = connect(echo);
    // 64 replies of 20 kB, of which a worker sends the first megabyte early.
    const slot = connection.replies.reserve(1, 0, true);
    for (let command = 0; command < 64; command++) connection.countUnderWay(slot);
    slot.deliver(Buffer.alloc(1 << 20), 52);
    slot.deliver(Buffer.alloc(64 * 20_000 - (1 << 20)), 0);
    await turn();
    // 8 MB of such replies are 400.
    expect(Reflect.get(connection, 'window')).toBeGreaterThanOrEqual(64);
  });

  it('reads no more from a client that does not read', async () => {
    const rig = connect((connection, _name, rig) => echo(connection, 'x'.repeat(300_000), rig));
    rig.socket.block();
    for (let index = 0; index < 20; index++) {
      rig.socket.push(lines('more'));
      await turn();
    }
    expect(rig.executed.length).toBeLessThanOrEqual(OUTPUT_PAUSE_BYTES / 300_000 + 2);
    expect(rig.socket.isPaused()).toBe(true);
    rig.socket.unblock();
    await pause(5);
    expect(rig.executed).toHaveLength(20);
    expect(rig.socket.text.length).toBe(20 * 300_003);
  });

  it('reads on while a command waits, but not for ever, however many of them there are', async () => {
    const rig = connect(waits);
    const chunk = lines(...Array.from({ length: 4000 }, () => 'BLPOP'));
    for (let chunks = 0; chunks < 200; chunks++) {
      rig.socket.push(chunk);
      await turn();
      if (chunks % 10 === 9) rig.slots.shift()!.slot.deliver(Buffer.from('*-1\r\n'), 0);
    }
    expect(rig.socket.isPaused()).toBe(true);
    const heldMax = (BLOCKED_INPUT_BYTES_MAX / chunk.length + 2) * 4000;
    expect(rig.connection.heldCommands).toBeLessThan(heldMax);
    while (rig.slots.length > 0) rig.slots.shift()!.slot.deliver(Buffer.from('*-1\r\n'), 0);
    await turn();
    expect(rig.connection.heldCommands).toBeLessThan(heldMax);
  });

  it('reads on while a command waits whose replies are expected to be large', async () => {
    const rig = connect((connection, name, rig) =>
      (name === 'wait' ? waits : toWorker)(connection, name, rig),
    );
    rig.socket.push(lines(...Array.from({ length: PIPELINE_WINDOW_MIN }, (_, index) => String(index))));
    await turn();
    // The window is set when half of it has been answered.
    for (const [index, { slot }] of rig.slots.splice(0).entries())
      slot.deliver(Buffer.alloc(index === PIPELINE_WINDOW_MIN / 2 - 1 ? PIPELINE_REPLY_BYTES : 5), 0);
    await turn();
    rig.socket.push(lines('wait'));
    await turn();
    expect(Reflect.get(rig.connection, 'window')).toBe(1);
    expect(rig.socket.isPaused()).toBe(false);
  });

  it('ends a client that is owed too much', async () => {
    const rig = connect((connection, _name, rig) => echo(connection, 'x'.repeat(300_000), rig), 500_000);
    rig.socket.block();
    rig.socket.push(lines('a', 'b', 'c', 'd'));
    await turn();
    expect(rig.closed).toEqual(['too much output', 'closed']);
  });
});

it('a connection answers every command once and in order, whatever stalls it', () =>
  seeded(40, async (random) => {
    const rig = connect((connection, name, rig) => {
      const kind = name[0];
      if (kind === 'w') toWorker(connection, name, rig);
      else if (kind === 'b') waits(connection, name, rig);
      else if (kind === 'a')
        void connection.afterReplies(() =>
          (random.chance(0.5) ? pause(0) : Promise.resolve()).then(() => echo(connection, name, rig)),
        );
      else if (kind === 'h' && random.chance(0.5)) {
        connection.holdBack([Buffer.from(name)], Buffer.from(name));
        connection.stallUntil(random.chance(0.5) ? pause(0) : Promise.resolve());
      } else echo(connection, name, rig);
    });
    const names = Array.from(
      { length: 120 },
      (_, index) => random.pick(['w', 'w', 'e', 'a', 'h', 'b']) + index,
    );
    const input = lines(...names);
    let sent = 0;
    const deadline = Date.now() + 10_000;
    while (rig.socket.text !== answers(...names)) {
      if (Date.now() > deadline) throw new Error(`stuck at ${rig.socket.text.slice(-100)}`);
      if (sent < input.length) {
        const next = sent + random.int(1, 80);
        rig.socket.push(input.subarray(sent, next));
        sent = next;
      }
      if (rig.slots.length > 0 && random.chance(0.5)) {
        const [entry] = rig.slots.splice(random.int(0, rig.slots.length - 1), 1);
        const reply = answers(entry!.name);
        const cut = random.int(0, reply.length);
        if (random.chance(0.3)) entry!.slot.deliver(Buffer.from(reply.slice(0, cut)), 1);
        else {
          entry!.slot.deliver(Buffer.from(reply), 0);
          continue;
        }
        entry!.slot.deliver(Buffer.from(reply.slice(cut)), 0);
      }
      await turn();
    }
    expect(rig.connection.heldCommands).toBe(0);
    rig.socket.push(null);
    await pause(2);
    expect(rig.socket.ended).toBe(true);
  }));
