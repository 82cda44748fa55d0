import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RawClient } from '../support/client.js';
import { freePort, pause, temporaryDir } from '../support/environment.js';

const BUILD_TIMEOUT_MS = 120_000;
const READY_TIMEOUT_MS = 20_000;

/** Whether the Node.js that runs the tests can carry a program. */
function canBuild(): boolean {
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = major > 20 || (major === 20 && minor >= 12);
  if (supported && readFileSync(process.execPath).includes(fuse)) return true;
  const message = `SKIPPED: ${process.execPath} (${process.version}) cannot make a single executable`;
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(message);
  return false;
}

describe.skipIf(!canBuild())('the single executable', () => {
  let binary: string;
  const running = new Set<ChildProcess>();

  beforeAll(() => {
    binary = join(temporaryDir(), 'vasto');
    execFileSync(process.execPath, ['scripts/build-binary.mjs', '--out', binary], { stdio: 'pipe' });
  }, BUILD_TIMEOUT_MS);

  afterEach(() => {
    for (const child of running) child.kill('SIGKILL');
    running.clear();
  });

  function launch(words: readonly string[], directory: string, cache: string): ChildProcess {
    const child = spawn(binary, words, {
      cwd: directory,
      env: { XDG_CACHE_HOME: cache },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    return child;
  }

  /** Starts a node in a directory, with nothing in the environment but where to unpack; waits for its PONG. */
  async function start(
    directory: string,
    cache: string,
    words: readonly string[] = ['server'],
  ): Promise<{ client: RawClient; kill(): Promise<void> }> {
    const port = await freePort();
    let output = '';
    const child = launch([...words, '--port', String(port)], directory, cache);
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const kill = async () => {
      child.kill('SIGKILL');
      await closed;
    };
    const deadline = Date.now() + READY_TIMEOUT_MS;
    while (Date.now() < deadline && child.exitCode === null) {
      const client = await RawClient.connect({ port }).catch(() => undefined);
      if ((await client?.rendered('PING').catch(() => '')) === '+PONG') return { client: client!, kill };
      client?.close();
      await pause(20);
    }
    throw new Error(`the executable did not come up:\n${output}`);
  }

  /** Its one directory in a cache. */
  function unpacked(cache: string): string {
    const [name, ...others] = readdirSync(cache);
    expect(others).toEqual([]);
    return join(cache, name!);
  }

  function version(cache: string): string {
    const env = { XDG_CACHE_HOME: cache, TMPDIR: temporaryDir() };
    return spawnSync(binary, ['--version'], { cwd: temporaryDir(), env, encoding: 'utf8' }).stdout.trim();
  }

  it('serves from an empty directory without Node.js, and keeps data over kill -9', async () => {
    const directory = temporaryDir();
    const cache = temporaryDir();
    const first = await start(directory, cache);
    expect(await first.client.rendered('SET', 'key', 'value')).toBe('+OK');
    expect(await first.client.text('GET', 'key')).toBe('value');
    await first.kill();
    const second = await start(directory, cache);
    expect(await second.client.text('GET', 'key')).toBe('value');
    await second.kill();
  });

  it('is master, store and gateway, and operates them', async () => {
    const cache = temporaryDir();
    const master = `127.0.0.1:${await freePort()}`;
    launch(['master', '--master-port', master.split(':')[1]!], temporaryDir(), cache);
    await start(temporaryDir(), cache, ['store', '--master', master]);
    const gateway = await start(temporaryDir(), cache, ['gateway', '--master', master]);
    const admin = (...words: string[]) =>
      spawnSync(binary, ['admin', '--master', master, ...words], {
        cwd: temporaryDir(),
        env: { XDG_CACHE_HOME: cache },
        encoding: 'utf8',
      });
    expect(admin('wait-ready').stdout).toBe('ready\n');
    expect(admin('keyspace', 'create', 'orders', '--shards', '3', '--db', '0').status).toBe(0);
    expect(await gateway.client.rendered('SET', 'key', 'value')).toBe('+OK');
    expect(admin('keyspace', 'describe', 'orders').stdout).toContain('3 shards');
  });

  it('has the threads of vasto bench in it', () => {
    const env = { XDG_CACHE_HOME: temporaryDir() };
    const args = ['bench', '--server', '127.0.0.1:1'];
    const { status, stderr } = spawnSync(binary, args, { cwd: temporaryDir(), env, encoding: 'utf8' });
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining('cannot use 127.0.0.1:1: connect ECONNREFUSED'),
    ]);
  });

  it('unpacks into a directory of this user alone, and reuses it', () => {
    const cache = temporaryDir();
    expect(version(cache)).toMatch(/\d+\.\d+\.\d+/);
    const directory = unpacked(cache);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    const { ino } = statSync(directory);
    version(cache);
    expect(statSync(unpacked(cache)).ino).toBe(ino);
  });

  it('replaces files that were changed, and directories that others can write to', () => {
    const cache = temporaryDir();
    version(cache);
    const directory = unpacked(cache);
    const main = join(directory, 'main.mjs');
    const original = readFileSync(main);
    appendFileSync(main, '\nprocess.stdout.write("changed");');
    expect(version(cache)).toMatch(/^\S*\d+\.\d+\.\d+$/);
    expect(readFileSync(join(unpacked(cache), 'main.mjs')).equals(original)).toBe(true);
    chmodSync(directory, 0o777);
    version(cache);
    expect(statSync(unpacked(cache)).mode & 0o777).toBe(0o700);
  });

  it('finds another place where it cannot write', () => {
    const blocked = join(temporaryDir(), 'file');
    writeFileSync(blocked, '');
    expect(version(blocked)).toMatch(/\d+\.\d+\.\d+/);
  });

  it('can be started many times at once', async () => {
    const cache = join(temporaryDir(), 'cache');
    mkdirSync(cache);
    const exits = Array.from({ length: 6 }, async () => {
      const child = spawn(binary, ['--version'], { env: { XDG_CACHE_HOME: cache }, stdio: 'ignore' });
      return new Promise((resolve) => child.once('close', resolve));
    });
    expect(await Promise.all(exits)).toEqual([0, 0, 0, 0, 0, 0]);
    unpacked(cache);
  });
});
