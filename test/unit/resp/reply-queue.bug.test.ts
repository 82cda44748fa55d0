import { expect, it } from 'vitest';
import { ReplyQueue } from '../../../src/resp/reply-queue.js';

it('a worker that dies within a segment leaves as many replies as there were commands', () => {
  let text = '';
  const queue = new ReplyQueue({
    write: (bytes) => {
      text += bytes.latin1Slice();
    },
    queueDrained: () => undefined,
    answered: () => undefined,
  });
  const slot = queue.reserve(1, 0, false);
  slot.commands = 3;
  // Two of three commands were answered by an early part: see Executor.execute.
  slot.deliver(Buffer.from('+one\r\n+two\r\n'), false);
  slot.abandon();
  expect(text.split('\r\n').slice(0, -1)).toEqual(['+one', '+two', expect.stringMatching(/^-ERR/)]);
});
