import { expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { render } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const ROUNDS = envNumber('VASTO_TEST_OVERWRITE_ROUNDS', 6);
const CONNECTIONS = 3;
const KEYS = 1500;
const WINDOW = 200;
const PADDING = 'x'.repeat(300);

/** One connection's keys: the number of the last write of each that was sent, and of the last that was acknowledged. */
interface Writer {
  readonly name: string;
  readonly sent: number[];
  readonly acknowledged: number[];
  next: number;
}

const keyOf = (writer: Writer, key: number) => `${writer.name}:${key}`;

/** Overwrites random keys until the connection fails. Replies that are not OK are returned. */
async function overwrite(
  client: RawClient,
  writer: Writer,
  random: Random,
  onAck: () => void,
): Promise<string[]> {
  const wrong: string[] = [];
  for (;;) {
    const window = Array.from({ length: WINDOW }, () => ({
      key: random.int(0, KEYS - 1),
      number: writer.next++,
    }));
    for (const { key, number } of window) writer.sent[key] = number;
    client.send(
      Buffer.concat(
        window.map(({ key, number }) => encodeCommand(['SET', keyOf(writer, key), `${number}:${PADDING}`])),
      ),
    );
    for (const { key, number } of window) {
      const reply = await client.next().catch(() => undefined);
      if (reply === undefined) return wrong;
      if (render(reply) !== '+OK') wrong.push(render(reply));
      writer.acknowledged[key] = number;
      onAck();
    }
  }
}

async function verify(server: TestServer, writer: Writer): Promise<string[]> {
  const client = await server.connect();
  const wrong: string[] = [];
  const replies = await client.pipeline(
    Array.from({ length: KEYS }, (_, key) => ['GET', keyOf(writer, key)]),
  );
  for (const [key, reply] of replies.entries()) {
    const text = reply.type === 'bulk' ? reply.data.toString('latin1') : '-1:';
    const number = Number(text.slice(0, text.indexOf(':')));
    const isWhole = number === -1 || text === `${number}:${PADDING}`;
    if (!isWhole || number < writer.acknowledged[key]! || number > writer.sent[key]!)
      wrong.push(
        `${keyOf(writer, key)} is ${text.slice(0, 30)}, acknowledged ${writer.acknowledged[key]}, sent ${writer.sent[key]}`,
      );
    writer.acknowledged[key] = writer.sent[key] = number;
  }
  client.close();
  return wrong;
}

test(`kill -9 while keys are overwritten faster than they are written back, ${ROUNDS} rounds`, {
  timeout: 120_000,
}, async () => {
  const random = new Random(testSeed('crash, overwriting'));
  const writers = Array.from({ length: CONNECTIONS }, (_, index): Writer => {
    const none = () => new Array<number>(KEYS).fill(-1);
    return { name: `w${index}`, sent: none(), acknowledged: none(), next: 0 };
  });
  // Little memory makes for a short journal: 4 MB, which 12,000 of these rows fill.
  let server = await TestServer.start({ workers: 1, flags: ['--maxmemory', '32mb', '--appendfsync', 'no'] });
  for (let round = 0; round < ROUNDS; round++) {
    const current = server;
    let left = random.int(20_000, 60_000);
    const onAck = () => {
      if (--left === 0) current.child.kill('SIGKILL');
    };
    const loads = writers.map(async (writer) =>
      overwrite(await current.connect(), writer, new Random(random.int(0, 2 ** 31)), onAck),
    );
    expect((await Promise.all(loads)).flat()).toEqual([]);
    await current.exited;
    server = await server.restart();
    const wrong = (await Promise.all(writers.map((writer) => verify(server, writer)))).flat();
    expect(wrong.join('\n'), `round ${round}`).toBe('');
  }
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});
