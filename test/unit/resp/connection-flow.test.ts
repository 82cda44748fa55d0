import { describe, expect, it } from 'vitest';
import {
  BLOCKED_INPUT_BYTES_MAX,
  OUTPUT_PAUSE_BYTES,
  PIPELINE_REPLY_BYTES,
  PIPELINE_WINDOW_MAX,
  PIPELINE_WINDOW_MIN,
} from '../../../src/base/limits.js';
import { pause } from '../../support/environment.js';
import { connect, echo, lines, toWorker, turn, waits } from './connection-rig.js';

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
