import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort, haveTool, temporaryDir } from '../support/environment.js';
import { SUBJECT, TestServer, VASTO_MAIN } from '../support/server.js';
import { TestTerminal } from '../support/terminal.js';
import { runTool } from '../support/tools.js';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

const at = () => `127.0.0.1:${server.port}`;
const vasto = (words: readonly string[], input: string | Buffer = '') =>
  runTool(process.execPath, [VASTO_MAIN, ...words], input);
const admin = (...words: string[]) => vasto(['admin', '--server', at(), ...words]);
const shell = (words: readonly string[], input: string | Buffer = '') =>
  vasto(['shell', '--server', at(), ...words], input);

describe.skipIf(SUBJECT === 'redis')('vasto admin at a server', () => {
  test('makes, lists, describes and deletes a keyspace', async () => {
    expect(await admin('keyspace', 'create', 'bills', '--shards', '3', '--db', '31')).toEqual({
      code: 0,
      stdout: 'created keyspace bills with 3 shards and the number 31\n',
      stderr: '',
    });
    expect((await admin('wait-ready', '--keyspace', 'bills')).code).toBe(0);
    expect((await shell(['-n', 'bills', 'SET', 'a', '1'])).stdout).toBe('OK\n');
    const { keyspaces } = JSON.parse((await admin('keyspace', 'list', '--json')).stdout);
    expect(keyspaces).toContainEqual(
      expect.objectContaining({ name: 'bills', db: 31, shards: 3, replicas: 1 }),
    );
    const { keyspace } = JSON.parse((await admin('keyspace', 'describe', 'bills', '--json')).stdout);
    expect(keyspace.placement.map(({ state }: { state: string }) => state)).toEqual(['open', 'open', 'open']);
    expect((await admin('topology')).stdout).toMatch(new RegExp(`bills +31 +${at()}: 0-2\n`));
    const { stores } = JSON.parse((await admin('stores', '--json')).stdout);
    expect(stores).toEqual([expect.objectContaining({ address: at(), state: 'up' })]);
    expect((await admin('keyspace', 'create', 'bills')).code).toBe(1);
    expect((await admin('keyspace', 'delete', 'bills')).code).toBe(1);
    expect((await admin('keyspace', 'delete', 'bills', '--yes')).code).toBe(0);
    expect((await admin('keyspace', 'describe', 'bills')).code).toBe(1);
  });

  test('says 3 and both ways where nobody is', async () => {
    const port = await freePort();
    const words = ['admin', 'stores', '--server', `127.0.0.1:${port}`, '--timeout', '1'];
    const { code, stderr } = await vasto(words);
    expect(code).toBe(3);
    expect(stderr).toMatch(/--master host:port/);
    expect(stderr).toMatch(/--server host:port/);
  });

  test('with a password', async () => {
    const locked = await TestServer.start({ flags: ['--requirepass', 'x y'], password: 'x y' });
    const words = ['admin', 'stores', '--server', `127.0.0.1:${locked.port}`];
    const { code, stderr } = await vasto(words);
    expect([code, stderr]).toEqual([1, expect.stringContaining('VASTO_PASSWORD')]);
    expect((await vasto([...words, '--password', 'x y'])).code).toBe(0);
    expect((await vasto([...words, '--password', 'no'])).stderr).toContain('WRONGPASS');
    await locked.stop();
  });
});

describe.skipIf(SUBJECT === 'redis')('vasto shell without a terminal', () => {
  test('runs one command, and tells whether it failed', async () => {
    expect(await shell(['SET', 'one', '-1'])).toEqual({ code: 0, stdout: 'OK\n', stderr: '' });
    expect(await shell(['GET', 'one'])).toMatchObject({ code: 0, stdout: '-1\n' });
    expect(await shell(['NOPE'])).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^ERR unknown command/),
    });
    expect(await shell(['GET'])).toMatchObject({ code: 1 });
    expect(await shell(['--resp2', '--no-raw', 'CONFIG', 'GET', 'port'])).toMatchObject({
      stdout: `1) "port"\n2) "${server.port}"\n`,
    });
    expect(await shell(['--no-raw', 'CONFIG', 'GET', 'port'])).toMatchObject({
      stdout: `1# "port" => "${server.port}"\n`,
    });
  });

  test('reads lines from a pipe, of any bytes, to the end', async () => {
    const input = Buffer.concat([
      Buffer.from('SET bin "\\x00\\xff"\n"unclosed\nNOPE\n\nAPPEND bin '),
      Buffer.from([0xfe]),
      Buffer.from('\nGET bin'),
    ]);
    const { code, stdout, stderr } = await shell(['--no-raw'], input);
    expect(stdout.split('\n')).toEqual([
      'OK',
      "(error) ERR unknown command 'NOPE', with args beginning with: ",
      '(integer) 3',
      '"\\x00\\xff\\xfe"',
      '',
    ]);
    expect(stderr).toMatch(/a quote is not closed/);
    expect(code).toBe(1);
  });

  test('understands words about keyspaces, and refuses to run elsewhere than asked', async () => {
    const lines = [
      'create w shards 2',
      'use w',
      'put k v',
      'prefix k',
      'dump',
      'delete w',
      'delete w yes',
      'quit',
      'NOPE',
    ];
    const { code, stdout, stderr } = await shell([], lines.join('\n'));
    expect(stdout).toBe(
      'created keyspace w with 2 shards\nOK\nOK\nKEY  VALUE\n"k"  "v"\nKEY  VALUE\n"k"  "v"\ndeleted keyspace w\n',
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('say --yes')]);
    const elsewhere = await shell(['-n', 'nowhere', 'SET', 'stray', '1']);
    expect([elsewhere.code, elsewhere.stdout]).toEqual([1, '']);
    expect((await shell(['EXISTS', 'stray'])).stdout).toBe('0\n');
  });

  test('understands words about where keyspaces are', async () => {
    const lines = [
      'create placed',
      'use placed',
      'put k v',
      'resize placed 3',
      'GET k',
      'tasks',
      'rebalance',
      'resize placed 2 detach',
    ];
    const { code, stdout, stderr } = await shell([], lines.join('\n'));
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/done\nv\nnothing is being changed\n/);
    expect(stdout).toMatch(/nothing is to be done\n/);
    expect(stdout).toMatch(/it goes on: 'tasks' tells how far it has come\n$/);
    // Redis's, with a key and a number.
    expect((await shell(['-n', '13', 'MOVE', 'nothing', '12'])).stdout).toBe('0\n');
    const drained = await shell(['drain', at()]);
    expect([drained.code, drained.stderr]).toEqual([
      1,
      expect.stringContaining('there is no other living store'),
    ]);
    expect(await admin('keyspace', 'resize', 'placed', '2')).toMatchObject({ code: 0 });
    const { keyspace } = JSON.parse((await admin('keyspace', 'describe', 'placed', '--json')).stdout);
    expect(keyspace.shards).toBe(2);
  });

  test('dumps more keys than a page has', async () => {
    const keys = Array.from({ length: 1203 }, (_, index) => `page:${String(index).padStart(4, '0')}`);
    await shell(['-n', '14'], keys.map((key) => `SET ${key} 1\n`).join(''));
    const { stdout } = await shell(['-n', '14', 'dump']);
    expect([...stdout.matchAll(/"(page:\d+)" +"1"/g)].map((match) => match[1])).toEqual(keys);
    expect((await shell(['-n', '14', 'prefix', 'page:', '3'])).stdout).toMatch(
      /"page:0002" +"1"\n\(the first 3/,
    );
  });

  test('says 3 where no server is, and 2 for wrong usage', async () => {
    const nobody = await vasto(['shell', '--server', `127.0.0.1:${await freePort()}`, 'PING']);
    expect([nobody.code, nobody.stderr]).toEqual([3, expect.stringContaining('cannot connect')]);
    expect((await vasto(['shell', '--nope'])).code).toBe(2);
    expect((await vasto(['shell', '--server', 'a:b:c', 'PING'])).code).toBe(2);
  });

  test.skipIf(!haveTool('redis-cli'))('prints what redis-cli prints', async () => {
    const lines = [
      'MSET a 1 "b c" "\\x01\\n"',
      'MGET a "b c" none',
      'COMMAND INFO get set nope',
      'HELLO 3',
      'CONFIG GET max*',
      'COMMAND DOCS get',
      'MEMORY DOCTOR',
      'STRLEN a',
      'EXEC',
      'SCAN 0 MATCH none*',
      'GET none',
    ].join('\n');
    // What differs from one moment or connection to the next.
    const ids = /(?<="id" => \(integer\) |^id )\d+|[\d.]+[KMG]/gm;
    for (const format of ['--no-raw', '--raw']) {
      const theirs = await runTool('redis-cli', ['-p', String(server.port), '-3', format], lines);
      const ours = await shell([format], lines);
      expect(ours.stdout.replace(ids, '#')).toBe(theirs.stdout.replace(ids, '#'));
    }
  });
});

describe.skipIf(SUBJECT === 'redis' || !haveTool('python3'))('vasto shell at a terminal', () => {
  const open = (words: readonly string[] = [], variables: Readonly<Record<string, string>> = {}) =>
    TestTerminal.start([process.execPath, VASTO_MAIN, 'shell', '--server', at(), ...words], {
      VASTO_HISTORY: '',
      ...variables,
    });

  test('prompt, completion, tables, where one is', async () => {
    const terminal = open();
    await terminal.see(`${at()}> `);
    // Completion knows what the server has told by then.
    terminal.type('create tty shards 2\r');
    await terminal.see('created keyspace tty');
    await terminal.see('keyspace tty is there');
    terminal.type('use tt');
    terminal.type('\t');
    await terminal.see('use tty ');
    terminal.type('\r');
    await terminal.see(`OK\r\n`);
    await terminal.see(`${at()}[tty]> `);
    terminal.type('stor\t');
    await terminal.see('stores ');
    terminal.type('\r');
    await terminal.see(/ADDRESS +STATE/);
    terminal.type('use 0\r');
    await terminal.see(`${at()}> `);
    terminal.type('MULTI\r');
    await terminal.see('(TX)> ');
    terminal.type('dump\r');
    await terminal.see('not within MULTI');
    terminal.type('PING\r');
    await terminal.see('QUEUED');
    terminal.type('EXEC\r');
    await terminal.see('1) PONG');
    terminal.type('help config get\r');
    await terminal.see('CONFIG GET');
    terminal.type('delete tty\r');
    await terminal.see('Type its name to do so: ');
    terminal.type('tty\r');
    await terminal.see('deleted keyspace tty');
    terminal.type('\x04');
    expect(await terminal.exited).toBe(0);
  });

  test('events above the line being typed, on and off', async () => {
    const terminal = open();
    await terminal.see('> ');
    terminal.type('SET typed');
    await terminal.see('SET typed');
    await admin('keyspace', 'create', 'seen');
    await terminal.see(/\* \d\d:\d\d:\d\d keyspace seen is there, in 1 shard/);
    await terminal.see('> SET typed');
    terminal.type(' 5\r');
    await terminal.see('OK');
    terminal.type('events off\r');
    await terminal.see('events are off');
    await admin('keyspace', 'delete', 'seen', '--yes');
    terminal.type('quit\r');
    expect(await terminal.exited).toBe(0);
    expect(terminal.all).not.toContain('seen is deleted');
  });

  test('history over sessions, without passwords', async () => {
    const path = join(temporaryDir(), 'history');
    const first = open(['--history', path]);
    await first.see('> ');
    for (const line of ['ECHO first', 'AUTH hunter2', 'ECHO second']) {
      first.type(`${line}\r`);
      await first.see(/\r\n.*\r\n.*> $/);
    }
    first.type('\x1b[A\x1b[A');
    await first.see('ECHO first');
    first.type('\x03');
    await first.see('> ');
    first.type('\x04');
    await first.exited;
    expect(readFileSync(path, 'utf8')).toBe('ECHO first\nECHO second\n');
    const second = open(['--history', path]);
    await second.see('> ');
    second.type('\x1b[A');
    await second.see('ECHO second');
    second.type('\r');
    await second.see('"second"');
    second.type('\x04');
    await second.exited;
    expect(existsSync(path)).toBe(true);
  });

  test('Ctrl-C clears the line, ends MONITOR, and leaves when it is repeated', async () => {
    const terminal = open();
    await terminal.see('> ');
    terminal.type('half');
    await terminal.see('half');
    terminal.type('\x03');
    await terminal.see('^C');
    terminal.type('MONITOR\r');
    await terminal.see('OK');
    await shell(['SET', 'watched', '1']);
    await terminal.see('"SET" "watched" "1"');
    terminal.type('\x03');
    await terminal.see(`${at()}> `);
    terminal.type('PING\r');
    await terminal.see('PONG');
    terminal.type('\x03');
    await terminal.see('another Ctrl-C leaves');
    terminal.type('\x03');
    expect(await terminal.exited).toBe(0);
  });

  test('connects again, to the same keyspace', async () => {
    const dir = temporaryDir();
    const port = await freePort();
    const mortal = await TestServer.start({ dir, port });
    const terminal = TestTerminal.start(
      [process.execPath, VASTO_MAIN, 'shell', '--server', `127.0.0.1:${port}`, '-n', '5'],
      { VASTO_HISTORY: '' },
    );
    await terminal.see('[5]> ');
    await mortal.kill9();
    await terminal.see('is lost');
    await terminal.see('not connected> ');
    terminal.type('SET a 1\r');
    await terminal.see('cannot connect');
    const again = await TestServer.start({ dir, port });
    await terminal.see('again');
    await terminal.see('[5]> ');
    terminal.type('SET a 2\r');
    await terminal.see('OK');
    terminal.type('quit\r');
    expect(await terminal.exited).toBe(0);
    await again.stop();
  });

  test.skipIf(!haveTool('redis-server'))('subscriptions and blocking commands, at a Redis', async () => {
    const redis = await TestServer.start({ kind: 'redis' });
    const terminal = TestTerminal.start(
      [process.execPath, VASTO_MAIN, 'shell', '--server', `127.0.0.1:${redis.port}`],
      { VASTO_HISTORY: '' },
    );
    await terminal.see('> ');
    terminal.type('SUBSCRIBE news\r');
    await terminal.see('"subscribe"');
    await terminal.see('> ');
    const client = await redis.connect();
    await client.command('PUBLISH', 'news', 'hello');
    await terminal.see('3) "hello"');
    terminal.type('PING\r');
    await terminal.see('PONG');
    terminal.type('BLPOP nothing 0\r');
    await terminal.see('BLPOP nothing 0');
    terminal.type('\x03');
    await terminal.see(`127.0.0.1:${redis.port}> `);
    terminal.type('stores\r');
    await terminal.see('does not know VASTO commands');
    terminal.type('\x04');
    expect(await terminal.exited).toBe(0);
    client.close();
    await redis.stop();
  });
});
