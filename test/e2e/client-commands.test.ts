import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { numberOf, render } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const LIST_FIELDS =
  `id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp
obl oll omem tot-mem events cmd user redir resp`.split(/\s+/);

describe('CLIENT', () => {
  let server: TestServer;
  let client: RawClient;
  let other: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    client = await server.connect();
    other = await server.connect();
  });

  afterAll(async () => {
    client.close();
    other.close();
    await server.stop();
  });

  function fields(line: string): Map<string, string> {
    return new Map(
      line
        .trim()
        .split(' ')
        .map((word): [string, string] => {
          const at = word.indexOf('=');
          return [word.slice(0, at), word.slice(at + 1)];
        }),
    );
  }

  test('LIST and INFO have the fields of Redis, with real figures', async () => {
    await client.pipeline([
      ['CLIENT', 'SETNAME', 'me'],
      ['SELECT', '3'],
      ['WATCH', 'w'],
      ['MULTI'],
      ['PING'],
    ]);
    const lines = (await other.text('CLIENT', 'LIST')).trimEnd().split('\n');
    expect(lines.length).toBe(2);
    const mine = fields(lines.find((line) => line.includes('name=me')) ?? '');
    expect(LIST_FIELDS.filter((name) => !mine.has(name))).toEqual([]);
    expect(mine.get('db')).toBe('3');
    expect(mine.get('multi')).toBe('1');
    expect(mine.get('cmd')).toBe('ping');
    expect(mine.get('resp')).toBe('2');
    expect(mine.get('flags')).toMatch(/x/);
    expect(mine.get('addr')).toBe(`127.0.0.1:${client.socket.localPort}`);
    expect(mine.get('laddr')).toBe(`127.0.0.1:${server.port}`);
    await client.pipeline([['DISCARD'], ['SELECT', '0'], ['CLIENT', 'SETNAME', '']]);
    const info = fields(await client.text('CLIENT', 'INFO'));
    expect(info.get('id')).toBe(String(numberOf(await client.command('CLIENT', 'ID'))));
    expect(info.get('cmd')).toBe('client|info');
  });

  test('ids grow and LIST ID picks', async () => {
    const third = await server.connect();
    const [a, b] = [
      numberOf(await client.command('CLIENT', 'ID')),
      numberOf(await third.command('CLIENT', 'ID')),
    ];
    expect(b).toBeGreaterThan(a);
    const lines = (await client.text('CLIENT', 'LIST', 'ID', a, b)).trimEnd().split('\n');
    expect(lines.map((line) => fields(line).get('id'))).toEqual([String(a), String(b)]);
    third.close();
  });

  test('KILL by id, address, type', async () => {
    const victims = await Promise.all([server.connect(), server.connect(), server.connect()]);
    const id = numberOf(await victims[0]!.command('CLIENT', 'ID'));
    expect(await client.rendered('CLIENT', 'KILL', 'ID', id)).toBe(':1');
    await victims[0]!.closed;
    const address = `127.0.0.1:${victims[1]!.socket.localPort}`;
    expect(await client.rendered('CLIENT', 'KILL', address)).toBe('+OK');
    await victims[1]!.closed;
    expect(numberOf(await client.command('CLIENT', 'KILL', 'TYPE', 'normal'))).toBeGreaterThanOrEqual(2);
    await victims[2]!.closed;
    expect(await client.rendered('PING')).toBe('+PONG');
    await other.closed;
    other = await server.connect();
  });

  test('KILL of oneself: the reply arrives, then the end', async () => {
    const victim = await server.connect();
    const id = numberOf(await victim.command('CLIENT', 'ID'));
    expect(await victim.rendered('CLIENT', 'KILL', 'ID', id, 'SKIPME', 'no')).toBe(':1');
    await victim.closed;
  });

  test('PAUSE WRITE holds writes, not reads, until UNPAUSE', async () => {
    await client.command('SET', 'paused', '0');
    expect(await client.rendered('CLIENT', 'PAUSE', '60000', 'WRITE')).toBe('+OK');
    const held = other.command('SET', 'paused', '1');
    let released = false;
    void held.then(() => {
      released = true;
    });
    expect(await client.rendered('GET', 'paused')).toBe('$"0"');
    expect(await client.rendered('PING')).toBe('+PONG');
    expect(released).toBe(false);
    expect(await client.rendered('CLIENT', 'UNPAUSE')).toBe('+OK');
    expect(render(await held)).toBe('+OK');
    expect(await client.rendered('GET', 'paused')).toBe('$"1"');
  });

  test('PAUSE ALL ends by itself', async () => {
    const begun = Date.now();
    await client.command('CLIENT', 'PAUSE', '150');
    expect(await other.rendered('PING')).toBe('+PONG');
    const took = Date.now() - begun;
    expect(took).toBeGreaterThanOrEqual(140);
    expect(took).toBeLessThan(2000);
  });

  test('REPLY OFF, SKIP and ON', async () => {
    const quiet = await server.connect();
    quiet.send(
      Buffer.concat(
        [
          ['SET', 'r', '1'],
          ['CLIENT', 'REPLY', 'SKIP'],
          ['INCR', 'r'],
          ['INCR', 'r'],
          ['CLIENT', 'REPLY', 'OFF'],
          ['INCR', 'r'],
          ['NOSUCH'],
          ['CLIENT', 'REPLY', 'ON'],
          ['GET', 'r'],
        ].map(encodeCommand),
      ),
    );
    const replies = [];
    for (let i = 0; i < 4; i++) replies.push(render(await quiet.next()));
    expect(replies).toEqual(['+OK', ':3', '+OK', '$"4"']);
    quiet.close();
  });

  test('NO-EVICT shows in the flags', async () => {
    await client.command('CLIENT', 'NO-EVICT', 'ON');
    expect(fields(await client.text('CLIENT', 'INFO')).get('flags')).toMatch(/e/);
    await client.command('CLIENT', 'NO-EVICT', 'OFF');
  });

  test('a connection that has ended leaves the list', async () => {
    const gone = await server.connect();
    await gone.command('CLIENT', 'SETNAME', 'gone');
    gone.close();
    await waitUntil('it left', async () => !(await client.text('CLIENT', 'LIST')).includes('name=gone'));
  });

  // Fed once the command has run, so that SELECT shows the database it chose.
  test('MONITOR gives each command with time, database and address', async () => {
    const monitor = await server.connect();
    expect(await monitor.rendered('MONITOR')).toBe('+OK');
    await other.pipeline([
      ['SELECT', '2'],
      ['SET', 'a', '\x01"\\'],
      ['NOSUCH'],
      ['GET', 'a'],
      ['SELECT', '0'],
    ]);
    const seen = [];
    for (let i = 0; i < 4; i++) seen.push(render(await monitor.next()).replace(/\d+\.\d{6}/, 'TIME'));
    const from = `127.0.0.1:${other.socket.localPort}`;
    expect(seen).toEqual([
      `+TIME [2 ${from}] "SELECT" "2"`,
      `+TIME [2 ${from}] "SET" "a" "\\x01\\"\\\\"`,
      `+TIME [2 ${from}] "GET" "a"`,
      `+TIME [0 ${from}] "SELECT" "0"`,
    ]);
    monitor.send(encodeCommand(['RESET']));
    expect(render(await monitor.next())).toBe('+RESET');
    monitor.close();
  });

  test('MONITOR does not show passwords', async () => {
    const monitor = await server.connect();
    await monitor.command('MONITOR');
    await other.command('AUTH', 'sesame');
    await other.command('PING');
    const seen = [render(await monitor.next()), render(await monitor.next())].join('\n');
    expect(seen).toContain('"AUTH" "(redacted)"');
    expect(seen).not.toContain('sesame');
    monitor.close();
  });
});
