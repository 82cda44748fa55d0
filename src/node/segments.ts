import { Buffer } from 'node:buffer';
import { type Command, findCommand } from '../commands/table.js';
import type { Owner, Receiver } from '../workers/owner.js';
import type { ShardRoute } from '../workers/pool.js';

/** Adds a command to the segment that was begun last. */
export function addCommand(owner: Owner, command: Command, args: readonly Buffer[], frames: Buffer): void {
  if (command.name === 'flushdb') owner.batch.markFlushes();
  owner.batch.add(command.index, args, frames);
}

/** Waits until the shard takes commands. */
export async function readyRoute(route: ShardRoute): Promise<void> {
  while (route.ready !== undefined) await route.ready;
}

/**
 * Runs a command on a shard on behalf of the node.
 * @returns its reply, RESP2-encoded
 */
export async function callShard(route: ShardRoute, ...words: string[]): Promise<Buffer> {
  const command = findCommand(words[0]!.toLowerCase());
  if (command === undefined) throw new Error(`no command ${words[0]}`);
  await readyRoute(route);
  if (route.closed) throw new Error('the keyspace has been deleted');
  return enqueue(
    route,
    command,
    words.map((word) => Buffer.from(word, 'latin1')),
  );
}

/** Resolves when everything sent to the shard so far is done. */
export async function drained(route: ShardRoute): Promise<void> {
  await new Promise<Buffer>((resolve, reject) => {
    const { owner } = route;
    owner.batch.begin(new Collector(resolve, reject), 0, route.shard, 0);
    owner.batch.addReply(DONE);
    owner.schedule();
  });
}

const DONE = Buffer.from('+OK\r\n');

function enqueue(route: ShardRoute, command: Command, args: readonly Buffer[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const { owner } = route;
    owner.batch.begin(new Collector(resolve, reject), 0, route.shard, 0);
    addCommand(owner, command, args, concatenated(args));
    owner.schedule();
  });
}

/** Copies arguments into one buffer, of which they become views. */
function concatenated(args: readonly Buffer[]): Buffer {
  const frames = Buffer.concat(args);
  let at = 0;
  (args as Buffer[]).forEach((argument, index) => {
    (args as Buffer[])[index] = frames.subarray(at, at + argument.length);
    at += argument.length;
  });
  return frames;
}

/** Takes what is of no interest. */
export const NOBODY: Receiver = {
  deliver: () => undefined,
  abandon: () => undefined,
};

/** Gathers the replies of a segment for a promise. */
export class Collector implements Receiver {
  private readonly parts: Buffer[] = [];

  constructor(
    private readonly resolve: (reply: Buffer) => void,
    private readonly reject: (error: Error) => void,
  ) {}

  deliver(bytes: Buffer, done: number): void {
    this.parts.push(bytes);
    if (done === 0) this.resolve(this.parts.length === 1 ? bytes : Buffer.concat(this.parts));
  }

  abandon(): void {
    this.reject(new Error('the worker died before it answered'));
  }
}
