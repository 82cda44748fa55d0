import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RawClient } from '../support/client.js';
import { freePort, temporaryDir } from '../support/environment.js';
import { SUBJECT, TestServer, VASTO_MAIN } from '../support/server.js';

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program until it ends by itself. */
function run(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [VASTO_MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: temporaryDir(),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}

describe.skipIf(SUBJECT === 'redis')('the program', () => {
  test('--help names the commands', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/server/);
    expect(stdout).toMatch(/usage/i);
  });

  test('--version tells a version', async () => {
    const { code, stdout } = await run('--version');
    expect(code).toBe(0);
    expect(stdout).toMatch(/\d+\.\d+\.\d+/);
  });

  test('server --help names directives', async () => {
    const { code, stdout } = await run('server', '--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/port/);
  });

  test.each([
    [['server', '--nosuchflag', '1'], /nosuchflag/],
    [['server', '--port', 'abc'], /port/],
    [['server', '--port', '70000'], /port/],
    [['server', '--appendfsync', 'sometimes'], /appendfsync/],
    [['server', '--maxmemory', 'lots'], /maxmemory/],
    [['server', '--databases', '0'], /databases/],
    [['server', '--port'], /port/],
    [['server', '/nonexistent/vasto.conf'], /nonexistent/],
    [['nosuchcommand'], /nosuchcommand/],
  ])('%j: exit code 1 and a message that names the culprit', async (args, culprit) => {
    const { code, stdout, stderr } = await run(...args);
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(culprit);
    expect(stdout + stderr).not.toMatch(/\n\s+at .*\.js:\d+/);
  });

  test('a configuration file, with flags over it', async () => {
    const dir = temporaryDir();
    const [port, other] = [await freePort(), await freePort()];
    const file = join(dir, 'vasto.conf');
    writeFileSync(file, `# comment\nport ${other}\nmaxclients 77\nrequirepass "a b"\ndir ${dir}\n`);
    const child = spawn(process.execPath, [VASTO_MAIN, 'server', file, '--port', String(port)], {
      stdio: 'pipe',
    });
    const client = await connectSoon(port);
    expect(await client.rendered('AUTH', 'a b')).toBe('+OK');
    expect(await client.rendered('CONFIG', 'GET', 'maxclients')).toBe('*[$"maxclients" $"77"]');
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
    expect(child.exitCode).toBe(0);
  });

  test('a bad line in a configuration file is named with its number', async () => {
    const file = join(temporaryDir(), 'bad.conf');
    writeFileSync(file, 'port 7000\nnosuch directive\n');
    const { code, stdout, stderr } = await run('server', file);
    expect(code).toBe(1);
    expect(stdout + stderr).toMatch(/nosuch/);
    expect(stdout + stderr).toMatch(/2/);
  });

  test('start-up tells directory, port and how to connect', async () => {
    const server = await TestServer.start();
    expect(server.output).toContain(server.dir);
    expect(server.output).toContain(String(server.port));
    expect(server.output).toMatch(/redis-cli/);
    await server.stop();
  });

  test('a second start on the same directory is refused', async () => {
    const server = await TestServer.start();
    const second = await TestServer.spawn({ dir: server.dir });
    expect((await second.ended()).code).toBe(1);
    expect(second.output).toContain(server.dir);
    expect(second.output).toMatch(/use|lock/i);
    expect(second.output).not.toMatch(/\n\s+at .*\.js:\d+/);
    const client = await server.connect();
    expect(await client.rendered('SET', 'a', '1')).toBe('+OK');
    client.close();
    await server.stop();
  });

  test('a port in use is a clear error', async () => {
    const server = await TestServer.start();
    const second = await TestServer.spawn({ port: server.port });
    expect((await second.ended()).code).toBe(1);
    expect(second.output).toContain(String(server.port));
    expect(second.output).toMatch(/in use|listens/i);
    expect(second.output).not.toMatch(/failed: Error|\n\s+at .*\.js:\d+/);
    await server.stop();
  });

  test('a directory that cannot be written is a clear error', async () => {
    const server = await TestServer.spawn({ dir: '/proc' });
    expect((await server.ended()).code).toBe(1);
    expect(server.output).toContain('/proc');
  });
});

describe('the server process', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: exit code 0, and data there after a restart',
    async (signal) => {
      const server = await TestServer.start();
      const client = await server.connect();
      await client.pipeline(Array.from({ length: 2000 }, (_, i) => ['SET', `k${i}`, i]));
      server.child.kill(signal);
      expect(await server.ended()).toEqual({ code: 0, signal: null });
      await client.closed;
      const again = await server.restart();
      const reader = await again.connect();
      expect(await reader.rendered('DBSIZE')).toBe(':2000');
      expect(await reader.rendered('GET', 'k1999')).toBe('$"1999"');
      reader.close();
      await again.stop();
    },
  );

  test('SHUTDOWN ends it cleanly', async () => {
    const server = await TestServer.start();
    const client = await server.connect();
    await client.command('SET', 'a', '1');
    client.send('SHUTDOWN\r\n');
    expect((await server.ended()).code).toBe(0);
    const again = await server.restart();
    const reader = await again.connect();
    expect(await reader.rendered('GET', 'a')).toBe('$"1"');
    reader.close();
    await again.stop();
  });

  test('unixsocket', async () => {
    const path = join(temporaryDir(), 'vasto.sock');
    const server = await TestServer.start({ flags: ['--unixsocket', path, '--unixsocketperm', '700'] });
    const client = await RawClient.connect({ path });
    expect(await client.rendered('SET', 'via', 'socket')).toBe('+OK');
    const tcp = await server.connect();
    expect(await tcp.rendered('GET', 'via')).toBe('$"socket"');
    expect(await client.text('CLIENT', 'INFO')).toContain(path);
    client.close();
    tcp.close();
    await server.stop();
    expect(existsSync(path)).toBe(false);
  });

  test('logfile', async () => {
    const file = join(temporaryDir(), 'vasto.log');
    const server = await TestServer.start({ flags: ['--logfile', file, '--loglevel', 'debug'] });
    await server.stop();
    expect(readFileSync(file, 'utf8').length).toBeGreaterThan(100);
  });
});

async function connectSoon(port: number): Promise<RawClient> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await RawClient.connect({ port });
    } catch (error) {
      if (attempt > 300) throw error;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
}
