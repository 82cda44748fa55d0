import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { REPLY_MEMORY_REUSED_MAX, REPLY_MEMORY_REUSED_MIN } from '../../../src/base/limits.js';
import { Owner, type Receiver } from '../../../src/workers/owner.js';
import type { BatchMessage, ReplyMessage } from '../../../src/workers/protocol.js';

class TestReceiver implements Receiver {
  text = '';

  constructor(readonly keepsNothing: boolean | undefined) {}

  deliver(bytes: Buffer): void {
    this.text += bytes.latin1Slice();
  }

  abandon(): void {
    this.text += 'abandoned';
  }
}

const ports: MessagePort[] = [];

afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

/** An owner, and what its worker does: takes a batch, and answers each of its segments. */
function owned() {
  const owner = new Owner(
    0,
    1 << 20,
    () => undefined,
    () => undefined,
  );
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  owner.connect(port1, () => undefined);
  const taken = () => new Promise<BatchMessage>((resolve) => port2.once('message', resolve));
  return {
    /** Sends a batch, and answers it from memory of a size. @returns what came with the batch */
    async exchange(
      receivers: readonly Receiver[],
      memoryBytes: number,
      text = 'reply',
    ): Promise<BatchMessage> {
      for (const receiver of receivers) owner.batch.begin(receiver, 1, 0, 0);
      const came = taken();
      owner.schedule();
      const message = await came;
      const buffer = new ArrayBuffer(memoryBytes);
      const tableOffset = 4 * Math.ceil((text.length * receivers.length) / 4);
      Buffer.from(buffer).latin1Write(text.repeat(receivers.length), 0);
      new Int32Array(buffer, tableOffset, 3 * receivers.length).set(
        receivers.flatMap((_, index) => [index, text.length, 0]),
      );
      const answered = new Promise((resolve) => port1.once('message', resolve));
      const reply = { buffer, tableOffset, entries: receivers.length, last: true } satisfies ReplyMessage;
      port2.postMessage(reply, [buffer]);
      await answered;
      return message;
    },
  };
}

const free = () => new TestReceiver(true);

describe('the owner of shards', () => {
  it('gives memory of replies that nobody needs any more back to its worker, with the next batch', async () => {
    const { exchange } = owned();
    const first = free();
    expect(await exchange([first], REPLY_MEMORY_REUSED_MIN)).toBeInstanceOf(ArrayBuffer);
    expect(first.text).toBe('reply');
    const second = await exchange([free(), free()], REPLY_MEMORY_REUSED_MAX);
    expect(second).toMatchObject({ spare: { byteLength: REPLY_MEMORY_REUSED_MIN } });
    expect(await exchange([free()], 100)).toMatchObject({ spare: { byteLength: REPLY_MEMORY_REUSED_MAX } });
    expect(await exchange([free()], 100)).toBeInstanceOf(ArrayBuffer);
  });

  it.each([
    ['one receiver still has some of it', [free(), new TestReceiver(false), free()], REPLY_MEMORY_REUSED_MIN],
    ['one receiver does not say', [free(), new TestReceiver(undefined)], REPLY_MEMORY_REUSED_MIN],
    ['there is little of it', [free()], REPLY_MEMORY_REUSED_MIN - 1],
    ['there is very much of it', [free()], REPLY_MEMORY_REUSED_MAX + 1],
  ])('keeps it when %s', async (_why, receivers, bytes) => {
    const { exchange } = owned();
    await exchange(receivers, bytes);
    expect(receivers.map(({ text }) => text)).toEqual(receivers.map(() => 'reply'));
    expect(await exchange([free()], 100)).toBeInstanceOf(ArrayBuffer);
  });
});
