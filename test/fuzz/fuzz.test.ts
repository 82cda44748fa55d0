import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RawClient } from '../support/client.js';
import { exchange } from '../support/exchange.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { TestServer } from '../support/server.js';
import { mutatedInput, validPipeline } from './mutate.js';

const INPUTS = envNumber('VASTO_TEST_FUZZ_INPUTS', 110_000);
const INPUTS_PER_CONNECTION_MAX = 16;
const CONNECTIONS_AT_ONCE = 32;
const CLOSE_TIMEOUT_MS = 15_000;
/** Beyond what the server took after the first tenth of the inputs. */
const RSS_GROWTH_BYTES_MAX = 200 * 1024 * 1024;
/** An answer on the undisturbed connection that takes longer is a hang. */
const STEADY_ANSWER_MS_MAX = 5000;

describe('damaged input', () => {
  const seed = testSeed('fuzz');
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start();
  });

  afterAll(async () => {
    await server.stop();
  });

  test('disturbs nobody else, and does not end, hang or bloat the server', { timeout: 300_000 }, async () => {
    const r = new Random(seed);
    let sent = 0;
    let rssAfterWarmup = 0;
    const steady = new SteadyConnection(await server.connect());
    const beat = steady.run();
    const worker = async () => {
      while (sent < INPUTS && server.child.exitCode === null) {
        const inputs = Array.from({ length: r.int(1, INPUTS_PER_CONNECTION_MAX) }, () => mutatedInput(r));
        sent += inputs.length;
        await deliver(server.port, inputs, r.chance(0.03));
        if (rssAfterWarmup === 0 && sent > INPUTS / 10) rssAfterWarmup = server.rss();
      }
    };
    await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, worker));
    steady.stop();
    await beat;
    expect(server.child.exitCode).toBe(null);
    expect(steady.failures).toEqual([]);
    expect(steady.answers).toBeGreaterThan(100);
    expect(server.rss() - rssAfterWarmup).toBeLessThan(RSS_GROWTH_BYTES_MAX);
    const fresh = await server.connect();
    expect(await fresh.rendered('PING')).toBe('+PONG');
    // The last connections may still be on their way out.
    await expect
      .poll(async () => /connected_clients:(\d+)/.exec(await fresh.text('INFO', 'clients'))?.[1], {
        timeout: 15_000,
      })
      .toBe('1');
    fresh.close();
  });

  test('a pipeline is understood alike under every split', { timeout: 120_000 }, async () => {
    const input = Buffer.from(validPipeline(), 'latin1');
    const fence = await server.connect();
    await fence.command('FLUSHALL');
    const whole = await exchange(server.port, input);
    for (let at = 1; at < input.length; at++) {
      const client = await RawClient.connect({ port: server.port });
      const received: Buffer[] = [];
      client.socket.on('data', (chunk: Buffer) => received.push(chunk));
      client.send(input.subarray(0, at));
      await fence.command('PING');
      client.send(input.subarray(at));
      client.socket.end();
      await client.closed;
      expect(Buffer.concat(received).toString('latin1'), `split at ${at}`).toBe(whole);
    }
    fence.close();
  });

  test('bytes one by one', async () => {
    const input = validPipeline();
    const fence = await server.connect();
    await fence.command('FLUSHALL');
    const whole = await exchange(server.port, input);
    const client = await server.connect();
    const received: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => received.push(chunk));
    for (const byte of input) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.socket.end();
    await client.closed;
    expect(Buffer.concat(received).toString('latin1')).toBe(whole);
    fence.close();
  });
});

/** Sends the inputs on one connection and awaits its end, which must come. */
function deliver(port: number, inputs: readonly string[], byteByByte: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`connection not closed after ${JSON.stringify(inputs.join('').slice(0, 5000))}`));
    }, CLOSE_TIMEOUT_MS);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    for (const input of inputs) {
      const bytes = Buffer.from(input, 'latin1');
      if (byteByByte && bytes.length < 500) for (const byte of bytes) socket.write(Buffer.of(byte));
      else socket.write(bytes);
    }
    socket.end();
  });
}

/** Writes and reads back on one connection without pause, and notes what is wrong or late. */
class SteadyConnection {
  readonly failures: string[] = [];
  answers = 0;
  #stopped = false;

  constructor(readonly client: RawClient) {}

  async run(): Promise<void> {
    try {
      await this.client.command('SELECT', 9);
      for (let i = 0; !this.#stopped; i++) {
        const begun = Date.now();
        const [set, get] = await this.client.pipeline([
          ['SET', 'steady', i],
          ['GET', 'steady'],
        ]);
        const text = set?.type === 'simple' && get?.type === 'bulk' ? get.data.toString() : 'no proper reply';
        if (text !== String(i)) this.failures.push(`expected ${i}, got ${text}`);
        if (Date.now() - begun > STEADY_ANSWER_MS_MAX) this.failures.push(`${Date.now() - begun} ms`);
        this.answers++;
      }
    } catch (error) {
      this.failures.push(String(error));
    }
    this.client.close();
  }

  stop(): void {
    this.#stopped = true;
  }
}
