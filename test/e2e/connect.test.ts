import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Argument, RawClient } from '../support/client.js';
import { mapOf, numberOf, render, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

/** What clients and tools send; each reply must not be an error, but where one is marked as allowed. */
const SEQUENCES: Readonly<Record<string, readonly { args: readonly Argument[]; mayFail?: boolean }[]>> = {
  ioredis: [
    { args: ['HELLO', '3', 'AUTH', 'default', 'secret'] },
    { args: ['CLIENT', 'SETINFO', 'LIB-NAME', 'ioredis'] },
    { args: ['CLIENT', 'SETINFO', 'LIB-VER', '6.0.0'] },
    { args: ['SELECT', '1'] },
    { args: ['INFO'] },
  ],
  'node-redis': [
    { args: ['HELLO', '3', 'AUTH', 'default', 'secret', 'SETNAME', 'app'] },
    { args: ['CLIENT', 'MAINT_NOTIFICATIONS', 'ON'], mayFail: true },
    { args: ['CLIENT', 'SETINFO', 'LIB-NAME', 'node-redis'] },
    { args: ['CLIENT', 'SETINFO', 'LIB-VER', '6.3.1'] },
  ],
  'redis-py': [
    { args: ['AUTH', 'secret'] },
    { args: ['CLIENT', 'SETINFO', 'LIB-NAME', 'redis-py'] },
    { args: ['COMMAND'] },
    { args: ['COMMAND', 'GETKEYS', 'SET', 'a', 'b'] },
    { args: ['INFO'] },
  ],
  'redis-cli': [
    { args: ['AUTH', 'secret'] },
    { args: ['COMMAND', 'DOCS'] },
    { args: ['INFO'] },
    { args: ['SELECT', '0'] },
  ],
  'redis-benchmark': [
    { args: ['AUTH', 'secret'] },
    { args: ['CONFIG', 'GET', 'save'] },
    { args: ['CONFIG', 'GET', 'appendonly'] },
  ],
  redis_exporter: [
    { args: ['AUTH', 'secret'] },
    { args: ['CLIENT', 'SETNAME', 'redis_exporter'] },
    { args: ['CONFIG', 'GET', '*'] },
    { args: ['INFO', 'ALL'] },
    { args: ['SLOWLOG', 'LEN'] },
    { args: ['SLOWLOG', 'GET', '1'] },
    { args: ['LATENCY', 'LATEST'] },
    { args: ['LATENCY', 'HISTOGRAM'] },
    { args: ['CLIENT', 'LIST'] },
  ],
  'test harness': [
    { args: ['AUTH', 'secret'] },
    { args: ['SELECT', '9'] },
    { args: ['FLUSHALL'] },
    { args: ['CONFIG', 'GET', '*'] },
    { args: ['CONFIG', 'SET', 'list-max-listpack-size', '-2'] },
    { args: ['CONFIG', 'SET', 'list-max-ziplist-size', '-2'] },
    { args: ['CONFIG', 'SET', 'hash-max-listpack-entries', '128'] },
    { args: ['CONFIG', 'SET', 'hash-max-ziplist-value', '64'] },
    { args: ['CONFIG', 'SET', 'set-max-intset-entries', '512'] },
    { args: ['CONFIG', 'SET', 'zset-max-listpack-entries', '128'] },
    { args: ['CONFIG', 'SET', 'stream-node-max-entries', '100'] },
    { args: ['CONFIG', 'SET', 'slowlog-log-slower-than', '10000'] },
    { args: ['CONFIG', 'SET', 'save', ''] },
    { args: ['CONFIG', 'SET', 'proto-max-bulk-len', '512mb'] },
    { args: ['CONFIG', 'SET', 'notify-keyspace-events', ''] },
  ],
};

describe('what clients send at connect', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start({ flags: ['--requirepass', 'secret'], password: 'secret' });
  });

  afterAll(async () => {
    await server.stop();
  });

  test.each(Object.keys(SEQUENCES))('%s', async (name) => {
    const client = await server.connect();
    const failed: string[] = [];
    for (const { args, mayFail } of SEQUENCES[name] ?? []) {
      const reply = await client.command(...args);
      // The oracle is of 7.0, where CLIENT SETINFO is not known yet.
      const allowed = mayFail === true || (SUBJECT === 'redis' && args[1] === 'SETINFO');
      if (reply.type === 'error' && !allowed) failed.push(`${args.join(' ')}: ${render(reply)}`);
    }
    expect(failed).toEqual([]);
    expect(await client.rendered('PING')).toBe('+PONG');
    client.close();
  });

  async function hello(client: RawClient, ...args: Argument[]) {
    return mapOf(await client.command('HELLO', ...args));
  }

  test('HELLO: what it tells in both protocols', async () => {
    const client = await server.connect();
    const two = await hello(client, '2', 'AUTH', 'default', 'secret');
    expect([...two.keys()]).toEqual(['server', 'version', 'proto', 'id', 'mode', 'role', 'modules']);
    expect(numberOf(two.get('proto')!)).toBe(2);
    const reply = await client.command('HELLO', '3', 'SETNAME', 'named');
    expect(reply.type).toBe('map');
    const three = mapOf(reply);
    expect(textOf(three.get('server')!)).toBe('redis');
    expect(numberOf(three.get('proto')!)).toBe(3);
    expect(textOf(three.get('mode')!)).toBe('standalone');
    expect(textOf(three.get('role')!)).toBe('master');
    expect(numberOf(three.get('id')!)).toBe(numberOf(await client.command('CLIENT', 'ID')));
    expect(await client.rendered('CLIENT', 'GETNAME')).toBe('$"named"');
    expect(await client.rendered('GET', 'nothing')).toBe('_');
    expect(render(await client.command('HELLO', '2'))).toMatch(/^\*/);
    expect(await client.rendered('GET', 'nothing')).toBe('$-1');
    client.close();
  });

  test('without the password nothing works, and the password may come with HELLO', async () => {
    const client = await server.connect();
    expect(await client.rendered('GET', 'a')).toBe('-NOAUTH Authentication required.');
    expect(await client.rendered('HELLO', '3')).toMatch(
      /^-NOAUTH HELLO must be called with the client already authenticated/,
    );
    expect(await client.rendered('AUTH', 'wrong')).toBe(
      '-WRONGPASS invalid username-password pair or user is disabled.',
    );
    expect(await client.rendered('HELLO', '3', 'AUTH', 'default', 'wrong')).toBe(
      '-WRONGPASS invalid username-password pair or user is disabled.',
    );
    expect((await client.command('HELLO', '3', 'AUTH', 'default', 'secret')).type).toBe('map');
    expect(await client.rendered('GET', 'a')).toBe('_');
    expect(await client.rendered('RESET')).toBe('+RESET');
    expect(await client.rendered('GET', 'a')).toBe('-NOAUTH Authentication required.');
    client.close();
  });

  test.runIf(SUBJECT === 'vasto')('CLIENT SETINFO shows in CLIENT LIST', async () => {
    const client = await server.connect();
    await client.command('AUTH', 'secret');
    expect(await client.rendered('CLIENT', 'SETINFO', 'LIB-NAME', 'a-client')).toBe('+OK');
    expect(await client.rendered('CLIENT', 'SETINFO', 'lib-ver', '1.2.3')).toBe('+OK');
    expect(await client.text('CLIENT', 'INFO')).toMatch(/ lib-name=a-client lib-ver=1\.2\.3/);
    expect(await client.rendered('CLIENT', 'SETINFO', 'LIB-NAME', 'with space')).toMatch(
      /^-ERR lib-name cannot contain/i,
    );
    expect(await client.rendered('CLIENT', 'SETINFO', 'BOGUS', 'x')).toMatch(
      /^-ERR Unrecognized option 'BOGUS'/,
    );
    client.close();
  });
});
