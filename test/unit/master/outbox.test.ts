import { describe, expect, it } from 'vitest';
import { Outbox } from '../../../src/master/outbox.js';

/** What has been written, and how what is being written leaves. */
function harness(waitingMax: number) {
  const written: string[] = [];
  const leaving: (() => void)[] = [];
  let overflows = 0;
  const outbox = new Outbox<string>(
    (message, done) => {
      written.push(message);
      leaving.push(done);
    },
    waitingMax,
    () => overflows++,
  );
  const leave = () => leaving.shift()?.();
  return { outbox, written, leave, overflows: () => overflows };
}

describe('an outbox', () => {
  it('writes one message after the other, in order', () => {
    const { outbox, written, leave } = harness(10);
    for (const message of ['a', 'b', 'c']) outbox.send(message);
    expect(written).toEqual(['a']);
    leave();
    leave();
    expect(written).toEqual(['a', 'b', 'c']);
  });

  it('drops what is superseded and has not been begun', () => {
    const { outbox, written, leave } = harness(10);
    const isNumber = (message: string) => /\d/.test(message);
    for (const message of ['1', 'a', '2', 'b', '3'])
      outbox.send(message, isNumber(message) ? isNumber : undefined);
    for (let count = 0; count < 5; count++) leave();
    expect(written).toEqual(['1', 'a', 'b', '3']);
  });

  it('gives up when more wait than may, once', () => {
    const { outbox, written, leave, overflows } = harness(2);
    for (const message of ['a', 'b', 'c', 'd', 'e']) outbox.send(message);
    expect(overflows()).toBe(1);
    leave();
    leave();
    expect(written).toEqual(['a']);
  });

  it('is closed when all has left, and takes nothing after', () => {
    const { outbox, written, leave } = harness(10);
    let closed = 0;
    outbox.send('a');
    outbox.send('b');
    outbox.close(() => closed++);
    outbox.send('c');
    leave();
    expect(closed).toBe(0);
    leave();
    expect(closed).toBe(1);
    expect(written).toEqual(['a', 'b']);
  });
});
