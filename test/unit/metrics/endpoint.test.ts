import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { MetricsEndpoint } from '../../../src/metrics/endpoint.js';
import { freePort, waitUntil } from '../../support/environment.js';

const exposition = (text: string) => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text });
const open: MetricsEndpoint[] = [];
const warnings: string[] = [];

afterEach(() => {
  for (const endpoint of open.splice(0)) endpoint.close();
  warnings.length = 0;
});

type Gather = Parameters<typeof MetricsEndpoint.open>[2];

/** @returns what asks the endpoint */
async function serve(gather: Gather, port?: number) {
  const chosen = port ?? (await freePort());
  const config = Config.load({ flags: ['--metrics-port', String(chosen), '--bind', '127.0.0.1'] });
  const logger = { warning: (text: string) => void warnings.push(text) };
  open.push(await MetricsEndpoint.open(config, logger, gather));
  return (path = '/metrics', method = 'GET') => fetch(`http://127.0.0.1:${chosen}${path}`, { method });
}

describe('the endpoint of metrics', () => {
  test('answers with what is gathered, as Prometheus wants it', async () => {
    const ask = await serve(async () => exposition('é 1\n'));
    for (const path of ['/metrics', '/metrics?name=up']) {
      const response = await ask(path);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect(await response.text()).toBe('é 1\n');
    }
    const head = await ask('/metrics', 'HEAD');
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '5', '']);
  });

  test('gathers once for all who ask meanwhile, and anew for the next', async () => {
    const waiting: ((text: string) => void)[] = [];
    const port = await freePort();
    const ask = await serve(
      () => new Promise((resolve) => waiting.push((text) => resolve(exposition(text)))),
      port,
    );
    // In one packet, so that all have come before the first can be answered.
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n'.repeat(3));
    let answers = '';
    socket.on('data', (chunk: Buffer) => {
      answers += chunk.toString();
    });
    await waitUntil('the first is heard', () => waiting.length > 0);
    waiting[0]!('one 1\n');
    await waitUntil('all are answered', () => answers.split('one 1\n').length === 4);
    expect(waiting).toHaveLength(1);
    socket.destroy();
    const next = ask();
    await waitUntil('the next is heard', () => waiting.length > 1);
    waiting[1]!('two 2\n');
    expect(await (await next).text()).toBe('two 2\n');
  });

  test('says what is wrong', async () => {
    const ask = await serve(() => Promise.reject(new Error('no figures')));
    const failed = await ask();
    expect([failed.status, await failed.text()]).toEqual([
      500,
      'metrics could not be gathered: no figures\n',
    ]);
    expect(warnings).toEqual(['metrics could not be gathered: no figures']);
    const elsewhere = await ask('/');
    expect([elsewhere.status, await elsewhere.text()]).toEqual([404, 'metrics are at /metrics\n']);
    const posted = await ask('/metrics', 'POST');
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('says that its port is taken, and by which directive to choose another', async () => {
    const port = await freePort();
    await serve(async () => exposition(''), port);
    await expect(serve(async () => exposition(''), port)).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}: another program listens there. Choose another with --metrics-port or --bind.`,
    );
  });
});
