import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { afterAll } from 'vitest';
import { RawClient } from './client.js';
import { freePort, pause, temporaryDir } from './environment.js';
import { render } from './reply.js';

export type ServerKind = 'vasto' | 'redis';

/** What the suites test; `redis` puts the oracle on both sides, which tests the tests. */
export const SUBJECT: ServerKind = process.env.VASTO_TEST_SUBJECT === 'redis' ? 'redis' : 'vasto';

/** The entry point; VASTO_DIST names another build's folder. */
export const VASTO_MAIN = resolvePath(process.env.VASTO_DIST ?? 'dist', 'main.js');

export interface ServerOptions {
  readonly kind?: ServerKind;
  /** What vasto is started as. */
  readonly role?: 'server' | 'master' | 'store' | 'gateway';
  /** Made when not given. */
  readonly dir?: string;
  readonly workers?: number;
  /** Read before the flags. */
  readonly configFile?: string;
  /** Further flags, redis.conf-style; may override the ones below. */
  readonly flags?: readonly string[];
  /** For the ready check of a server with a password. */
  readonly password?: string;
  readonly port?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/** Program and arguments that start a server of a kind. */
export function serverCommand(
  kind: ServerKind,
  port: number,
  dir: string,
  options: ServerOptions,
): [string, string[]] {
  const flags = [...(options.flags ?? [])];
  const file = options.configFile === undefined ? [] : [options.configFile];
  if (kind === 'redis') {
    const common = ['--port', String(port), '--dir', dir, '--save', '', '--appendonly', 'yes'];
    return ['redis-server', [...file, ...common, ...flags]];
  }
  const common = [options.role ?? 'server', ...file, '--port', String(port), '--dir', dir];
  const workers = options.workers === undefined ? [] : ['--workers', String(options.workers)];
  return [process.execPath, [VASTO_MAIN, ...common, ...workers, ...flags]];
}

const running = new Set<ChildProcess>();

// A test that failed before it stopped its server must not leave it behind.
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A server process: started, awaited until it answers, stopped or killed, started again on the same directory. */
export class TestServer {
  stdout = '';
  stderr = '';
  readonly exited: Promise<Exit>;

  private constructor(
    readonly options: ServerOptions,
    readonly kind: ServerKind,
    readonly port: number,
    readonly dir: string,
    readonly child: ChildProcess,
  ) {
    running.add(child);
    child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.exited = new Promise((resolve) => {
      child.once('error', () => resolve({ code: null, signal: null }));
      child.once('close', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
  }

  /** Started, whether or not it will come up. */
  static async spawn(options: ServerOptions = {}): Promise<TestServer> {
    const kind = options.kind ?? SUBJECT;
    const dir = options.dir ?? temporaryDir();
    const port = options.port ?? (await freePort());
    const [program, args] = serverCommand(kind, port, dir, options);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir });
    return new TestServer(options, kind, port, dir, child);
  }

  /** Started and answering. */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    const server = await TestServer.spawn(options);
    await server.ready();
    return server;
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    let exit: Exit | undefined;
    void this.exited.then((how) => {
      exit = how;
    });
    while (!(await this.#answers())) {
      if (exit !== undefined) throw new Error(`server ended at start (code ${exit.code}):\n${this.output}`);
      if (Date.now() > deadline) throw new Error(`server not ready in time:\n${this.output}`);
      await pause(20);
    }
  }

  get output(): string {
    return this.stdout + this.stderr;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  connect(): Promise<RawClient> {
    return RawClient.connect({ port: this.port });
  }

  /** A connection speaking RESP3. */
  async connect3(): Promise<RawClient> {
    const client = await this.connect();
    const reply = await client.command('HELLO', 3);
    if (reply.type !== 'map') throw new Error(`HELLO 3: ${render(reply)}`);
    return client;
  }

  /** SIGTERM, and the exit awaited. */
  stop(): Promise<Exit> {
    this.child.kill('SIGTERM');
    return this.ended(STOP_TIMEOUT_MS);
  }

  /** The exit of a server that should end by itself; one that does not is killed, which its code (null) tells. */
  async ended(timeoutMs = 15_000): Promise<Exit> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  async kill9(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Stopped unless it has ended already, then started on the same directory, on a new port. */
  async restart(changes: Partial<ServerOptions> = {}): Promise<TestServer> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.stop();
    return TestServer.start({ ...this.options, dir: this.dir, ...changes });
  }

  /** Whether the process is gone; one that dies while connections break is given a moment to do so. */
  async hasEnded(): Promise<boolean> {
    return Promise.race([this.exited.then(() => true), this.#answers().then((answers) => !answers)]);
  }

  /** Resident memory, bytes. */
  rss(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  }

  async #answers(): Promise<boolean> {
    let client: RawClient | undefined;
    try {
      client = await this.connect();
      if (this.options.password !== undefined) await client.command('AUTH', this.options.password);
      return (await client.rendered('PING')) === '+PONG';
    } catch {
      return false;
    } finally {
      client?.close();
    }
  }
}
