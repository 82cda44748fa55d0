import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
/** Linux tells processor time in hundredths of a second. */
const MICROSECONDS_PER_TICK = 10_000;
/** As in the tests, VASTO_DIST names another build's folder. */
const MAIN = resolve(process.env.VASTO_DIST ?? 'dist', 'main.js');

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
/** @type {Set<string>} */
const directories = new Set();

/** Ends every process and removes every directory of this run; safe to call again, and at exit. */
export function cleanUp() {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  directories.clear();
}

/**
 * An empty directory that goes when the run ends.
 * @param {string | undefined} parent
 */
export function temporaryDirectory(parent) {
  const directory = mkdtempSync(join(parent ?? tmpdir(), 'vasto-bench-'));
  directories.add(directory);
  return directory;
}

/**
 * A child process that the run's end takes with it.
 * @param {string} program @param {string[]} args @param {import('node:child_process').SpawnOptions} options
 */
export function spawnTracked(program, args, options) {
  const child = spawn(program, args, options);
  children.add(child);
  child.once('close', () => children.delete(child));
  return child;
}

/** Below the range from which Linux takes the ports of outgoing connections. */
const PORT_FIRST = 20_000;
const PORT_COUNT = 2000;

/** @returns {Promise<number>} a port that was free a moment ago */
async function freePort() {
  for (;;) {
    const port = PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
    const free = await new Promise((done) => {
      const probe = createServer();
      probe.once('error', () => done(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
    });
    if (free) return port;
  }
}

/**
 * @typedef {object} ServerOptions
 * @property {'vasto' | 'redis'} kind
 * @property {string} dir
 * @property {'server' | 'master' | 'store' | 'gateway'} [role] of a vasto; a server if none is named
 * @property {string[]} [flags] further flags of the server, redis.conf-style
 * @property {string} [cpuProfileDir] where the subject leaves its CPU profiles
 */

/** A server under measurement. */
export class Server {
  /** @param {ServerOptions} options @param {number} port */
  constructor(options, port) {
    this.options = options;
    this.port = port;
    this.output = '';
    this.startedAtMs = performance.now();
    const [program, args] = commandOf(options, port);
    this.child = spawnTracked(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output = (this.output + chunk).slice(-8192);
      });
    }
    this.ended = new Promise((done) => {
      this.child.once('error', () => done(undefined));
      this.child.once('close', () => done(undefined));
    });
  }

  /**
   * Starts a server and waits until it answers.
   * @param {ServerOptions} options
   */
  static async start(options) {
    const server = new Server(options, await freePort());
    await server.#ready();
    return server;
  }

  /** A port for a further listener of a server. */
  static freePort() {
    return freePort();
  }

  /** Milliseconds from the start of the process to the first PONG. */
  firstPongMs = 0;

  async #ready() {
    let ended = false;
    void this.ended.then(() => {
      ended = true;
    });
    const deadline = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      if (await this.#answers()) break;
      if (ended) throw new Error(`the ${this.options.kind} server ended at start:\n${this.output}`);
      if (performance.now() > deadline) throw new Error(`not ready in time:\n${this.output}`);
      await new Promise((done) => setTimeout(done, 5));
    }
    this.firstPongMs = performance.now() - this.startedAtMs;
  }

  /** A master speaks gRPC: that it does is known from what it logs. */
  async #answers() {
    if (this.options.role === 'master') return this.output.includes('join with');
    return (await ask(this.port, 'PING\r\n')).startsWith('+PONG');
  }

  /** Resident memory now and at its highest, in bytes. */
  memory() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    const bytes = (/** @type {string} */ field) =>
      Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
    return { rss: bytes('VmRSS'), rssPeak: bytes('VmHWM') };
  }

  /** Processor time that the process has used so far, all threads together, microseconds. */
  cpuMicroseconds() {
    const text = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8');
    // utime and stime; the name in front may have spaces.
    const [user, system] = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return (user + system) * MICROSECONDS_PER_TICK;
  }

  /** Has all threads run on these processors alone. @param {string} cpus as taskset takes them */
  pin(cpus) {
    execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', cpus, String(this.child.pid)], {
      stdio: 'ignore',
    });
  }

  /** A clean shutdown, awaited. */
  async stop() {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/**
 * @param {ServerOptions} options @param {number} port
 * @returns {[string, string[]]}
 */
function commandOf(options, port) {
  const { role = 'server' } = options;
  const portFlag = role === 'master' ? '--master-port' : '--port';
  const flags = [portFlag, String(port), '--dir', options.dir, ...(options.flags ?? [])];
  if (options.kind === 'redis') return ['redis-server', flags];
  const profile =
    options.cpuProfileDir === undefined
      ? []
      : ['--cpu-prof', `--cpu-prof-dir=${resolve(options.cpuProfileDir)}`];
  return [process.execPath, [...profile, MAIN, role, ...flags]];
}

/**
 * Sends one inline command on a connection of its own.
 * @param {number} port @param {string} line
 * @returns {Promise<string>} the first bytes of the reply; empty when there is none
 */
export function ask(port, line) {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    let reply = '';
    socket.on('data', (chunk) => {
      reply += chunk.toString('latin1');
      socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => done(reply));
    socket.write(line);
  });
}

/** Waits for a condition, which is asked again and again. @param {string} what @param {() => Promise<boolean>} condition */
export async function until(what, condition) {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${READY_TIMEOUT_MS / 1000} s: ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** @param {'vasto' | 'redis'} kind */
export function versionOf(kind) {
  const [program, args] =
    kind === 'redis' ? ['redis-server', ['--version']] : [process.execPath, [MAIN, '--version']];
  try {
    const text = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+\.\d+\S*/.exec(text)?.[0] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
