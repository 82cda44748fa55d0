import { describe, expect, it } from 'vitest';
import { ReplyQueue, type ReplySink, type Slot } from '../../../src/resp/reply-queue.js';
import { seeded } from '../../support/replay.js';

class Sink implements ReplySink {
  text = '';
  writes = 0;
  drained = 0;
  commands = 0;
  bytes = 0;
  hasSent = true;

  write(bytes: Buffer): void {
    this.text += bytes.latin1Slice();
    this.writes++;
  }

  queueDrained(): void {
    this.drained++;
  }

  answered(commands: number, bytes: number): void {
    this.commands += commands;
    this.bytes += bytes;
  }
}

const bytes = (text: string) => Buffer.from(text, 'latin1');

function reserve(queue: ReplyQueue, commands = 1, silent = false): Slot {
  const slot = queue.reserve(1, 0, silent);
  slot.commands = commands;
  return slot;
}

describe('the reply queue', () => {
  it('writes replies in the order of their requests, however they come', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    queue.push(bytes('0'));
    const [first, second] = [reserve(queue), reserve(queue)];
    queue.push(bytes('3'));
    queue.push(bytes('4'));
    const fifth = reserve(queue);
    second.deliver(bytes('2'), 0);
    fifth.deliver(bytes('5'), 0);
    expect(sink.text).toBe('0');
    expect(queue.isEmpty).toBe(false);
    first.deliver(bytes('1'), 0);
    expect(sink.text).toBe('012345');
    expect(queue.isEmpty).toBe(true);
    expect(queue.tail).toBeUndefined();
    expect([sink.drained, sink.commands]).toEqual([1, 3]);
    // What is ready at once goes out with one write.
    expect(sink.writes).toBe(2);
  });

  it('says of whom nothing is kept: all was written, and what was written was sent', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const [first, second, silent] = [reserve(queue, 2), reserve(queue), reserve(queue, 1, true)];
    second.deliver(bytes('second'), 0);
    silent.deliver(bytes('never'), 0);
    expect([second, silent].map(({ keepsNothing }) => keepsNothing)).toEqual([false, true]);
    first.deliver(bytes('first'), 1);
    expect([first, second].map(({ keepsNothing }) => keepsNothing)).toEqual([true, false]);
    sink.hasSent = false;
    first.deliver(bytes(' and last'), 0);
    expect([first, second].map(({ keepsNothing }) => keepsNothing)).toEqual([false, false]);
    sink.hasSent = true;
    expect([first, second].map(({ keepsNothing }) => keepsNothing)).toEqual([true, true]);
  });

  it('writes parts of the reply that stands first as they come, and keeps those of others', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const [first, second] = [reserve(queue, 2), reserve(queue, 2)];
    second.deliver(bytes('c'), 1);
    first.deliver(bytes('a'), 1);
    expect(sink.text).toBe('a');
    first.deliver(bytes('b'), 0);
    expect(sink.text).toBe('abc');
    second.deliver(bytes('d'), 0);
    expect(sink.text).toBe('abcd');
    expect([sink.commands, sink.bytes, sink.drained]).toEqual([4, 4, 1]);
  });

  it('throws the replies of silent slots away, and keeps the order of the others', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const [loud, silent, again] = [reserve(queue), reserve(queue, 1, true), reserve(queue)];
    silent.deliver(bytes('never'), 1);
    again.deliver(bytes('b'), 0);
    loud.deliver(bytes('a'), 0);
    silent.deliver(bytes('ever'), 0);
    expect(sink.text).toBe('ab');
    expect([sink.commands, sink.drained]).toEqual([3, 1]);
  });

  it('answers each command of a worker that died with an error', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const [dead, silent, alive] = [reserve(queue, 3), reserve(queue, 2, true), reserve(queue)];
    alive.deliver(bytes('+fine\r\n'), 0);
    silent.abandon();
    dead.abandon();
    expect(sink.text).toMatch(/^(-ERR the worker [^\r\n]*\r\n){3}\+fine\r\n$/);
    expect([sink.commands, queue.isEmpty]).toEqual([6, true]);
  });

  it('answers those commands of a worker that died which were not answered yet', () => {
    const sink = new Sink();
    const slot = reserve(new ReplyQueue(sink), 3);
    slot.deliver(bytes('+one\r\n+two\r\n'), 2);
    expect(sink.commands).toBe(2);
    slot.abandon();
    expect(sink.text.split('\r\n').slice(0, -1)).toEqual(['+one', '+two', expect.stringMatching(/^-ERR/)]);
    expect(sink.commands).toBe(3);
  });

  it('completes slots without replies', () => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const slots = [reserve(queue, 0), reserve(queue, 0)];
    for (const slot of slots) slot.deliver(bytes(''), 0);
    expect([sink.writes, sink.drained, queue.isEmpty]).toEqual([0, 1, true]);
  });

  it('can be added to while it writes', () => {
    const order: string[] = [];
    let queue: ReplyQueue;
    const sink: ReplySink = {
      hasSent: true,
      write: (written) => order.push(written.latin1Slice()),
      queueDrained: () => {
        if (order.length < 3) {
          const slot = queue.reserve(1, 0, false);
          queue.push(bytes(`ready ${order.length}`));
          slot.deliver(bytes(`slot ${order.length} `), 0);
        }
      },
      answered: () => undefined,
    };
    queue = new ReplyQueue(sink);
    reserve(queue).deliver(bytes('first'), 0);
    expect(order).toEqual(['first', 'slot 1 ready 1', 'slot 2 ready 2']);
  });

  it('does not grow with the replies that went through it', () => {
    const sink: ReplySink = {
      hasSent: true,
      write: () => undefined,
      queueDrained: () => undefined,
      answered: () => undefined,
    };
    const queue = new ReplyQueue(sink);
    const list = Reflect.get(queue, 'slots') as Slot[];
    const waiting: Slot[] = [];
    const reply = bytes('+OK\r\n');
    let longest = 0;
    for (let index = 0; index < 1_000_000; index++) {
      waiting.push(reserve(queue));
      // Never empty: some replies are always under way.
      if (index >= 50) waiting[index - 50]!.deliver(reply, 0);
      longest = Math.max(longest, list.length);
    }
    expect(longest).toBeLessThan(2000);
    for (const slot of waiting.slice(-50)) slot.deliver(reply, 0);
    expect(list).toHaveLength(0);
  });
});

it('the reply queue keeps the order, whatever comes when', () =>
  seeded(300, (random) => {
    const sink = new Sink();
    const queue = new ReplyQueue(sink);
    const open: { slot: Slot; name: string; left: number }[] = [];
    let expected = '';
    const places: { name: string; text: string }[] = [];
    for (let step = 0; step < 150; step++) {
      const choice = random.int(0, 3);
      if (choice === 0) {
        const silent = random.chance(0.2);
        const left = random.int(1, 4);
        const text = silent
          ? ''
          : Array.from({ length: left }, (_, part) => `[${step}.${left - part}]`).join('');
        open.push({ slot: reserve(queue, 1, silent), name: String(step), left });
        places.push({ name: String(step), text });
      } else if (choice === 1) {
        queue.push(bytes(`<${step}>`));
        places.push({ name: '', text: `<${step}>` });
      } else if (open.length > 0) {
        const at = random.int(0, open.length - 1);
        const entry = open[at]!;
        entry.slot.deliver(bytes(`[${entry.name}.${entry.left}]`), entry.left === 1 ? 0 : 1);
        if (--entry.left === 0) open.splice(at, 1);
      }
    }
    for (const entry of open)
      for (; entry.left > 0; entry.left--)
        entry.slot.deliver(bytes(`[${entry.name}.${entry.left}]`), entry.left === 1 ? 0 : 1);
    expected = places.map((place) => place.text).join('');
    expect(sink.text).toBe(expected);
    expect(queue.isEmpty).toBe(true);
  }));
