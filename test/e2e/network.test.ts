import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { RawClient } from '../support/client.js';
import { render } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

/** An address of this machine that is not loopback. */
const HOST = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && !address.internal && address.family === 'IPv4')?.address;

if (HOST === undefined)
  console.warn('SKIPPED: no address but loopback, the tests of bind and protected-mode did not run');

describe.skipIf(HOST === undefined)('who may connect', () => {
  const host = HOST ?? '';

  // Redis's own default without a configuration file is to listen on all addresses.
  test.skipIf(SUBJECT === 'redis')('by default only this machine, over loopback', async () => {
    const server = await TestServer.start();
    await expect(RawClient.connect({ host, port: server.port })).rejects.toThrow(/ECONNREFUSED/);
    await server.stop();
  });

  test('protected mode: others are told why and closed', async () => {
    const server = await TestServer.start({ flags: ['--bind', '0.0.0.0'] });
    const outsider = await RawClient.connect({ host, port: server.port });
    expect(render(await outsider.next())).toMatch(/^-DENIED .*protected mode/);
    await outsider.closed;
    const local = await server.connect();
    expect(await local.rendered('PING')).toBe('+PONG');
    expect(await local.rendered('CONFIG', 'SET', 'protected-mode', 'no')).toBe('+OK');
    const welcome = await RawClient.connect({ host, port: server.port });
    expect(await welcome.rendered('PING')).toBe('+PONG');
    welcome.close();
    local.close();
    await server.stop();
  });

  test('with a password, others may connect', async () => {
    const flags = ['--bind', '0.0.0.0', '--requirepass', 'secret'];
    const server = await TestServer.start({ flags, password: 'secret' });
    const outsider = await RawClient.connect({ host, port: server.port });
    expect(await outsider.rendered('PING')).toBe('-NOAUTH Authentication required.');
    expect(await outsider.rendered('AUTH', 'secret')).toBe('+OK');
    expect(await outsider.rendered('PING')).toBe('+PONG');
    outsider.close();
    await server.stop();
  });
});
