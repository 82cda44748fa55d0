import { expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { numberOf, type Reply, render } from '../support/reply.js';
import { TestServer } from '../support/server.js';
import { HASH, LIST, SET, SORTED_SET, STREAM } from './kinds.js';
import { Owned, type OwnedKey } from './owned-keys.js';

const ROUNDS = envNumber('VASTO_TEST_CRASH_ROUNDS', 12);
const CONNECTIONS = 4;
const WINDOW_MAX = 30;

/** Up to so many elements keys are small. */
function limits(entriesMax: number): string[] {
  return Object.entries({
    'hash-max-listpack-entries': entriesMax,
    'set-max-listpack-entries': entriesMax,
    'zset-max-listpack-entries': entriesMax,
    'list-max-listpack-size': entriesMax,
    'stream-node-max-bytes': 40 * entriesMax,
  }).flatMap(([name, limit]) => [`--${name}`, String(limit)]);
}

/** Errors that say what the model knows: there is no such key, or no such group. */
const EXPECTED_ERROR = /^-(NOGROUP|BUSYGROUP|ERR no such key)/;

async function writeUntilKilled(
  client: RawClient,
  keys: readonly OwnedKey[],
  r: Random,
  onAck: () => void,
): Promise<string | undefined> {
  const waiting: OwnedKey[] = [];
  for (;;) {
    const commands: Buffer[] = [];
    for (let window = r.int(1, WINDOW_MAX); waiting.length < window; ) {
      const owned = r.pick(keys);
      const command = owned.next(r);
      waiting.push(owned);
      commands.push(encodeCommand(command.map((word) => Buffer.from(word, 'latin1'))));
    }
    client.send(Buffer.concat(commands));
    for (let left = r.int(1, waiting.length); left > 0; left--) {
      const reply: Reply | undefined = await client.next().catch(() => undefined);
      if (reply === undefined) return undefined;
      if (reply.type === 'error' && !EXPECTED_ERROR.test(render(reply))) return render(reply);
      waiting.shift()!.acknowledge();
      onAck();
    }
  }
}

/** Compares what is there with what may be there, and the counts with both. */
async function verify(server: TestServer, keys: readonly OwnedKey[]): Promise<string[]> {
  const problems: string[] = [];
  const client = await server.connect();
  let live = 0;
  for (const owned of keys) {
    const { wrong, isThere } = await owned.verify(client);
    if (isThere) live++;
    problems.push(...wrong);
  }
  const size = numberOf(await client.command('DBSIZE'));
  if (size !== live) problems.push(`DBSIZE is ${size}, ${live} keys are there`);
  client.close();
  return problems;
}

/** The keys of one connection: of each type one that stays small, one that grows, one that grows much. */
function ownKeys(owner: number): OwnedKey[] {
  return ['', '-', '--'].flatMap((more) => [
    new Owned(`hash:${owner}${more}`, HASH),
    new Owned(`sets:${owner}${more}`, SET),
    new Owned(`zset:${owner}${more}`, SORTED_SET),
    new Owned(`list:${owner}${more}`, LIST),
    new Owned(`xadd:${owner}${more}`, STREAM),
  ]);
}

// Few elements are many, so keys become large, end, and begin anew all the time; or there are as many that stay small, and are
// in the journal.
test.each([5, 40])(
  `kill -9 while collections of more than %i elements become large, and end, ${ROUNDS / 2} rounds`,
  {
    timeout: 300_000,
  },
  async (entriesMax) => {
    const r = new Random(testSeed(`crash-collections, ${entriesMax}`));
    const owned = Array.from({ length: CONNECTIONS }, (_, owner) => ownKeys(owner));
    let server = await TestServer.start({ workers: 1, flags: limits(entriesMax) });
    const wrong: string[] = [];
    for (let round = 0; round < ROUNDS / 2 && wrong.length === 0; round++) {
      let left = r.int(50, 3000);
      let enough = (): void => undefined;
      const written = new Promise<void>((resolve) => {
        enough = resolve;
      });
      const writers = owned.map(async (keys, owner) => {
        const client = await server.connect();
        const problem = await writeUntilKilled(client, keys, new Random(r.int(0, 2 ** 31)), () => {
          if (--left === 0) enough();
        });
        client.close();
        if (problem !== undefined) wrong.push(`connection ${owner}: ${problem}`);
        enough();
      });
      await written;
      await server.kill9();
      await Promise.all(writers);
      server = await server.restart();
      wrong.push(...(await verify(server, owned.flat())));
    }
    await server.stop();
    expect(wrong).toEqual([]);
  },
);
