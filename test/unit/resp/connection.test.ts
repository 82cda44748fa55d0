import { describe, expect, it } from 'vitest';
import { findCommand } from '../../../src/commands/table.js';
import { pause } from '../../support/environment.js';
import { seeded } from '../../support/replay.js';
import { answers, type Behaviour, connect, echo, lines, toWorker, turn, waits } from './connection-rig.js';

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
