import { expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { itemsOf, numberOf, render, textOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const ROUNDS = envNumber('VASTO_TEST_CRASH_ROUNDS', 12);
const CONNECTIONS = 4;
const WINDOW_MAX = 30;
/** Few elements are many here, so keys become large, end, and begin anew all the time. */
const LIMITS = ['--hash-max-listpack-entries', '5', '--set-max-listpack-entries', '5'];

/** A key's elements: fields with their values; members with ''. */
type Elements = ReadonlyMap<string, string>;

interface Operation {
  readonly command: readonly string[];
  apply(elements: Elements): Elements;
}

/** A key that one connection writes, and what it may hold. */
class Owned {
  base: Elements = new Map();
  /** Operations since the base, of which the first `acknowledged` are known to have happened. */
  operations: Operation[] = [];
  acknowledged = 0;

  constructor(
    readonly key: string,
    readonly isHash: boolean,
  ) {}

  /** Whether these elements are what some number of the operations that may have happened leaves. */
  allows(found: Elements): boolean {
    let elements = this.base;
    for (const [index, operation] of [...this.operations, undefined].entries()) {
      if (index >= this.acknowledged && sameElements(elements, found)) return true;
      if (operation !== undefined) elements = operation.apply(elements);
    }
    return false;
  }

  settle(found: Elements): void {
    this.base = found;
    this.operations = [];
    this.acknowledged = 0;
  }
}

function sameElements(a: Elements, b: Elements): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}

function randomOperation(r: Random, { key, isHash }: Owned): Operation {
  const names = Array.from({ length: r.int(1, 8) }, () => `e${r.int(0, 60)}`);
  if (r.chance(0.04)) return { command: ['DEL', key], apply: () => new Map() };
  if (r.chance(0.4)) {
    return {
      command: [isHash ? 'HDEL' : 'SREM', key, ...names],
      apply: (elements) => new Map([...elements].filter(([name]) => !names.includes(name))),
    };
  }
  const values = names.map((name) => [name, isHash ? r.bytes(r.int(0, 40)) : ''] as const);
  return {
    command: isHash ? ['HSET', key, ...values.flat()] : ['SADD', key, ...names],
    apply: (elements) => new Map([...elements, ...values]),
  };
}

async function writeUntilKilled(client: RawClient, keys: readonly Owned[], r: Random, onAck: () => void) {
  const waiting: Owned[] = [];
  try {
    for (;;) {
      const commands: Buffer[] = [];
      for (let window = r.int(1, WINDOW_MAX); waiting.length < window; ) {
        const owned = r.pick(keys);
        const operation = randomOperation(r, owned);
        owned.operations.push(operation);
        waiting.push(owned);
        commands.push(encodeCommand(operation.command.map((word) => Buffer.from(word, 'latin1'))));
      }
      client.send(Buffer.concat(commands));
      for (let left = r.int(1, waiting.length); left > 0; left--) {
        const reply = await client.next();
        if (reply.type === 'error') return render(reply);
        waiting.shift()!.acknowledged++;
        onAck();
      }
    }
  } catch {
    return undefined;
  }
}

async function read(client: RawClient, { key, isHash }: Owned): Promise<Elements> {
  const items = itemsOf(await client.command(isHash ? 'HGETALL' : 'SMEMBERS', key)).map(textOf);
  if (!isHash) return new Map(items.map((member) => [member, '']));
  return new Map(items.flatMap((item, index) => (index % 2 === 0 ? [[item, items[index + 1]!]] : [])));
}

/** Compares what is there with what may be there, and the counts with both. */
async function verify(server: TestServer, keys: readonly Owned[]): Promise<string[]> {
  const wrong: string[] = [];
  const client = await server.connect();
  let live = 0;
  for (const owned of keys) {
    const found = await read(client, owned);
    if (found.size > 0) live++;
    if (!owned.allows(found)) wrong.push(`${owned.key} has ${found.size} elements that it may not have`);
    const count = numberOf(await client.command(owned.isHash ? 'HLEN' : 'SCARD', owned.key));
    if (count !== found.size) wrong.push(`${owned.key} counts ${count} elements of ${found.size}`);
    owned.settle(found);
  }
  const size = numberOf(await client.command('DBSIZE'));
  if (size !== live) wrong.push(`DBSIZE is ${size}, ${live} keys are there`);
  client.close();
  return wrong;
}

test(`kill -9 while hashes and sets are written and become large, ${ROUNDS} rounds`, {
  timeout: 300_000,
}, async () => {
  const r = new Random(testSeed('crash-collections'));
  const owned = Array.from({ length: CONNECTIONS }, (_, owner) =>
    Array.from({ length: 6 }, (_key, index) => new Owned(`c${owner}:${index}`, index % 2 === 0)),
  );
  let server = await TestServer.start({ workers: 1, flags: LIMITS });
  const wrong: string[] = [];
  for (let round = 0; round < ROUNDS && wrong.length === 0; round++) {
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
});
