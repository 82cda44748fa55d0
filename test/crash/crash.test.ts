import { expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { numberOf, type Reply, render } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';
import { type KeyState, Ledger, type Operation, randomOperation, sameState, TWINS, twins } from './ledger.js';

const ROUNDS = envNumber('VASTO_TEST_CRASH_ROUNDS', 24);
const CONNECTIONS = 6;
const WINDOW_MAX = 40;
/** Redis's everysec may hold a write back while a sync is under way; ours may not. */
const FSYNC = SUBJECT === 'redis' ? ['no', 'always'] : ['everysec', 'no', 'always'];
const DATABASES = 3;

/** A connection's share of the load: what it owns, and what it was told. */
interface Writer {
  readonly owner: string;
  readonly database: number;
  readonly ledger: Ledger;
  sequence: number;
}

/** Sends random operations, several on the way at a time, until the connection fails. */
async function writeUntilKilled(
  client: RawClient,
  writer: Writer,
  r: Random,
  onAck: () => void,
): Promise<string[]> {
  const wrong: string[] = [];
  const waiting: Operation[] = [];
  try {
    for (;;) {
      const window = r.int(1, WINDOW_MAX);
      const commands = [];
      while (waiting.length < window) {
        const operation = randomOperation(r, writer.owner, writer.sequence++, writer.ledger);
        writer.ledger.sent(operation);
        waiting.push(operation);
        commands.push(...operation.commands);
      }
      if (commands.length > 0) client.send(encodeAll(commands));
      // Some are answered, then more follow: the pipeline never runs dry.
      for (let n = r.int(1, waiting.length); n > 0; n--) {
        const operation = waiting[0]!;
        let last: Reply | undefined;
        for (let i = 0; i < operation.commands.length; i++) last = await client.next();
        if (last?.type === 'error') wrong.push(`${render(last)} to ${String(operation.commands[0])}`);
        waiting.shift();
        writer.ledger.acknowledged(operation);
        onAck();
      }
    }
  } catch {
    return wrong;
  }
}

function encodeAll(commands: readonly (readonly (string | number | Buffer)[])[]): Buffer {
  return Buffer.concat(commands.map(encodeCommand));
}

async function stateOf(client: RawClient, keys: readonly string[]): Promise<KeyState[]> {
  const replies = await client.pipeline(
    keys.flatMap((key) => [
      ['GET', key],
      ['PTTL', key],
    ]),
  );
  return keys.map((_, i) => {
    const value = replies[2 * i]!;
    return {
      value: value.type === 'bulk' ? value.data.toString('latin1') : undefined,
      expires: numberOf(replies[2 * i + 1]!) > 0,
    };
  });
}

/** Rewrites databases while they are written to, until the connection fails. @returns how often, and what went wrong */
async function compactUntilKilled(client: RawClient): Promise<{ done: number; wrong: string[] }> {
  const wrong: string[] = [];
  let done = 0;
  try {
    for (; ; done++) {
      const reply = render(await client.command('VASTO', 'KEYSPACE', 'COMPACT', `db${done % DATABASES}`));
      if (reply !== '+OK') wrong.push(reply);
    }
  } catch {
    return { done, wrong };
  }
}

/** Compares what is there with what may be there; the truth becomes the base of the next round. */
async function verify(server: TestServer, writers: readonly Writer[]): Promise<string[]> {
  const wrong: string[] = [];
  const client = await server.connect();
  const live = new Array<number>(DATABASES).fill(0);
  for (const { owner, database, ledger } of writers) {
    await client.command('SELECT', database);
    const keys = ledger.keys;
    const states = await stateOf(client, keys);
    for (const [i, key] of keys.entries()) {
      const state = states[i]!;
      const possible = ledger.possible(key);
      if (state.value !== undefined) live[database] = live[database]! + 1;
      if (!possible.some((candidate) => sameState(candidate, state))) {
        wrong.push(`${key} is ${short(state)}, not one of ${possible.map(short).join(', ')}`);
      }
      ledger.settle(key, state);
    }
    for (let n = 0; n < TWINS; n++) {
      const [a, b] = await stateOf(client, twins(owner, n));
      if (!sameState(a!, b!)) wrong.push(`torn MULTI: ${twins(owner, n)[0]} ${short(a!)}, ${short(b!)}`);
    }
  }
  for (const [database, count] of live.entries()) {
    await client.command('SELECT', database);
    const size = numberOf(await client.command('DBSIZE'));
    if (size !== count) wrong.push(`DBSIZE of database ${database} is ${size}, ${count} keys are there`);
  }
  client.close();
  return wrong;
}

function short({ value, expires }: KeyState): string {
  return `${value === undefined ? 'absent' : JSON.stringify(value.slice(0, 60))}${expires ? ' (expires)' : ''}`;
}

test(`kill -9 under load, ${ROUNDS} rounds: acknowledged writes are there, no MULTI is torn`, {
  timeout: 300_000,
}, async () => {
  const r = new Random(testSeed('crash'));
  const writers: Writer[] = Array.from({ length: CONNECTIONS }, (_, i) => ({
    owner: `c${i}`,
    database: i % DATABASES,
    ledger: new Ledger(),
    sequence: 0,
  }));
  let server = await TestServer.start({ workers: 2, flags: ['--appendfsync', FSYNC[0]!] });
  let acknowledged = 0;
  let compactions = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const clients = await Promise.all(writers.map(() => server.connect()));
    for (const [i, client] of clients.entries()) await client.command('SELECT', writers[i]!.database);
    const target = acknowledged + r.int(50, 6000);
    const current = server;
    const onAck = () => {
      if (++acknowledged === target) current.child.kill('SIGKILL');
    };
    const loads = clients.map((client, i) =>
      writeUntilKilled(client, writers[i]!, new Random(r.int(0, 2 ** 31)), onAck),
    );
    const compacting = round % 2 === 1 && SUBJECT === 'vasto' && compactUntilKilled(await server.connect());
    const errors = (await Promise.all(loads)).flat();
    await server.exited;
    const { done, wrong: refused } = (await compacting) || { done: 0, wrong: [] };
    compactions += done;
    expect([...errors, ...refused], `round ${round}`).toEqual([]);
    server = await server.restart({ flags: ['--appendfsync', FSYNC[(round + 1) % FSYNC.length]!] });
    const wrong = await verify(server, writers);
    expect(wrong.join('\n'), `round ${round}, ${acknowledged} acknowledged`).toBe('');
  }
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  console.info(
    `crash: ${ROUNDS} rounds, ${acknowledged} acknowledged operations, ${compactions} compactions`,
  );
});

test('a clean stop under load loses nothing acknowledged either', async () => {
  const r = new Random(testSeed('crash, SIGTERM'));
  const writers: Writer[] = [{ owner: 'c0', database: 0, ledger: new Ledger(), sequence: 0 }];
  let server = await TestServer.start({ workers: 2 });
  for (let round = 0; round < 3; round++) {
    const client = await server.connect();
    let acks = 0;
    const current = server;
    await writeUntilKilled(client, writers[0]!, r, () => {
      if (++acks === 1000) current.child.kill('SIGTERM');
    });
    expect(await server.exited).toEqual({ code: 0, signal: null });
    server = await server.restart();
    expect((await verify(server, writers)).join('\n')).toBe('');
  }
  await server.stop();
});
