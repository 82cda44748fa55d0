import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { ShardFeeds } from '../../src/workers/shard-feeds.js';
import { RawClient } from './client.js';
import { freePort, temporaryDir, waitUntil } from './environment.js';
import { VASTO_MAIN } from './server.js';

type Method = Exclude<keyof ShardFeeds, 'onLogged'>;
type Arguments<M extends Method> = Parameters<ShardFeeds[M]> extends [unknown, ...infer Rest] ? Rest : never;

const running = new Set<ChildProcess>();

// A test that failed before it stopped its server must not leave it behind.
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A server process whose feeds the test works itself. */
export class FeedNode {
  /** The number of the last record that the front was told of. */
  logged = 0;
  private child!: ChildProcess;
  private nextId = 1;
  private readonly waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>();

  private constructor(
    readonly port: number,
    readonly dir: string,
    private readonly flags: readonly string[],
  ) {}

  static async start(...flags: string[]): Promise<FeedNode> {
    const node = new FeedNode(await freePort(), temporaryDir(), flags);
    await node.run();
    return node;
  }

  /** Starts the process, again after {@link kill}. */
  async run(): Promise<void> {
    const script = fileURLToPath(new URL('./feed-node.mjs', import.meta.url));
    const flags = ['--port', String(this.port), '--dir', this.dir, '--workers', '1', ...this.flags];
    const child = spawn(process.execPath, [script, dirname(VASTO_MAIN), ...flags], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.child = child;
    running.add(child);
    child.on('message', (message: { id: number; result: never; error?: string; logged?: number }) => {
      if (message.logged !== undefined) {
        this.logged = message.logged;
        return;
      }
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.result);
      else waiting?.reject(new Error(message.error));
    });
    child.once('exit', () => {
      running.delete(child);
      for (const { reject } of this.waiting.values()) reject(new Error('the process has ended'));
      this.waiting.clear();
    });
    await waitUntil(`the node answers on port ${this.port}`, async () => {
      if (!running.has(child)) throw new Error('the node ended at its start: what it said stands above');
      const client = await this.connect().catch(() => undefined);
      client?.close();
      return client !== undefined;
    });
  }

  connect(): Promise<RawClient> {
    return RawClient.connect({ port: this.port });
  }

  ask<M extends Method>(method: M, ...args: Arguments<M>): ReturnType<ShardFeeds[M]> {
    const id = this.nextId++;
    const answer = new Promise<never>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.child.send({ id, method, args }, (error) => {
      if (error !== null) this.waiting.get(id)?.reject(error);
    });
    return answer as ReturnType<ShardFeeds[M]>;
  }

  /** Ends the process as nothing could be worse for it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }
}
