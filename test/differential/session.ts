import type { RawClient } from '../support/client.js';
import { itemsOf, type Reply, render, textOf } from '../support/reply.js';
import type { TestServer } from '../support/server.js';
import type { Connection, Step } from './generate.js';
import { type Comparison, comparisonOf } from './grammar.js';

/** Where the two servers parted. */
export interface Mismatch {
  readonly index: number;
  readonly subject: string;
  readonly oracle: string;
}

interface Side {
  server: TestServer;
  clients: [RawClient, RawClient];
}

const SCAN_ROUNDS_MAX = 5000;
/** Neighbouring commands sent in one write. */
export const BATCH_MAX = 12;

/** The two servers, with two connections to each. Runs steps on both and compares. */
export class Session {
  /** Comparisons of what is queued in a transaction; undefined outside of one. */
  readonly #queued: [Comparison[] | undefined, Comparison[] | undefined] = [undefined, undefined];

  private constructor(
    readonly protocol: 2 | 3,
    readonly subject: Side,
    readonly oracle: Side,
  ) {}

  /** Both emptied, new connections. */
  static async open(protocol: 2 | 3, subject: TestServer, oracle: TestServer): Promise<Session> {
    const session = new Session(
      protocol,
      { server: subject, clients: await connectTwo(subject, protocol) },
      { server: oracle, clients: await connectTwo(oracle, protocol) },
    );
    for (const side of [session.subject, session.oracle]) {
      const reply = await side.clients[0].rendered('FLUSHALL');
      if (reply !== '+OK') throw new Error(`FLUSHALL: ${reply}`);
    }
    return session;
  }

  close(): void {
    for (const side of [this.subject, this.oracle]) for (const client of side.clients) client.close();
  }

  /** Runs until the end or the first mismatch. Neighbouring commands of one connection go in one write. */
  async run(steps: readonly Step[]): Promise<Mismatch | undefined> {
    for (let i = 0; i < steps.length; ) {
      const step = steps[i]!;
      if (step.kind === 'command') {
        const batch = batchFrom(steps, i, step.on);
        const mismatch = await this.#commands(step.on, batch, i);
        if (mismatch !== undefined) return mismatch;
        i += batch.length;
      } else {
        const mismatch = await this.#special(step);
        if (mismatch !== undefined) return { index: i, ...mismatch };
        i++;
      }
    }
    return undefined;
  }

  async #commands(
    on: Connection,
    batch: readonly (readonly string[])[],
    first: number,
  ): Promise<Mismatch | undefined> {
    const [mine, theirs] = await Promise.all([
      attempts(this.subject.clients[on], batch),
      attempts(this.oracle.clients[on], batch),
    ]);
    for (const [i, args] of batch.entries()) {
      const subject = mine[i]!;
      const oracle = theirs[i]!;
      if (!this.#same(on, args, subject, oracle)) {
        return { index: first + i, subject: describe(subject), oracle: describe(oracle) };
      }
    }
    return undefined;
  }

  #same(on: Connection, args: readonly string[], subject: Reply | Error, oracle: Reply | Error): boolean {
    if (subject instanceof Error || oracle instanceof Error) return false;
    const name = args[0]?.toLowerCase();
    const queued = this.#queued[on];
    const ok = oracle.type === 'simple' && oracle.text === 'OK';
    if (name === 'multi' && ok) this.#queued[on] = [];
    if (name === 'discard' || name === 'exec') this.#queued[on] = undefined;
    if (oracle.type === 'simple' && oracle.text === 'QUEUED') queued?.push(comparisonOf(args));
    if (name === 'exec' && queued !== undefined && oracle.type === 'array' && subject.type === 'array') {
      return (
        subject.items.length === oracle.items.length &&
        oracle.items.every((item, i) => agree(subject.items[i]!, item, queued[i] ?? { how: 'exact' }))
      );
    }
    return agree(subject, oracle, comparisonOf(args));
  }

  async #special(step: Exclude<Step, { kind: 'command' }>): Promise<Omit<Mismatch, 'index'> | undefined> {
    if (step.kind === 'restart') return this.#restart();
    // Only a shrunk session comes here within a transaction.
    if (this.#queued[step.on] !== undefined) return undefined;
    const mine = this.subject.clients[step.on];
    const theirs = this.oracle.clients[step.on];
    try {
      if (step.kind === 'dump') return await crossRestore(mine, theirs, step.key);
      if (step.kind === 'size') {
        // Redis counts what has expired but was not yet met; SCAN meets all.
        await theirs.command('SCAN', '0', 'COUNT', '1000000');
        return differing(await mine.rendered('DBSIZE'), await theirs.rendered('DBSIZE'));
      }
      return differing(await scanAll(mine, step.args), await scanAll(theirs, step.args));
    } catch (error) {
      return { subject: String(error), oracle: '' };
    }
  }

  async #restart(): Promise<Omit<Mismatch, 'index'> | undefined> {
    for (const client of this.subject.clients) client.close();
    try {
      this.subject.server = await this.subject.server.restart();
      this.subject.clients = await connectTwo(this.subject.server, this.protocol);
      for (const on of [0, 1] as const) {
        const database = /\bdb=(\d+)/.exec(await this.oracle.clients[on].text('CLIENT', 'INFO'))?.[1];
        await this.subject.clients[on].command('SELECT', database ?? '0');
      }
      return undefined;
    } catch (error) {
      return { subject: `restart failed: ${String(error)}`, oracle: '' };
    }
  }
}

async function connectTwo(server: TestServer, protocol: 2 | 3): Promise<[RawClient, RawClient]> {
  if (protocol === 3) return [await server.connect3(), await server.connect3()];
  return [await server.connect(), await server.connect()];
}

function batchFrom(steps: readonly Step[], from: number, on: Connection): (readonly string[])[] {
  const batch: (readonly string[])[] = [];
  // Batches of all lengths, without a random number: replays and shrunk sessions stay alike.
  const most = 1 + (from % BATCH_MAX);
  for (const step of steps.slice(from, from + most)) {
    if (step.kind !== 'command' || step.on !== on) break;
    batch.push(step.args);
  }
  return batch;
}

/** Replies in order; once the connection fails, its error for all that remain. */
async function attempts(
  client: RawClient,
  batch: readonly (readonly string[])[],
): Promise<(Reply | Error)[]> {
  const results: (Reply | Error)[] = [];
  try {
    for (const reply of await client.pipeline(batch)) results.push(reply);
  } catch (error) {
    while (results.length < batch.length) results.push(error as Error);
  }
  return results;
}

function describe(reply: Reply | Error): string {
  return reply instanceof Error ? `<${reply.message}>` : render(reply);
}

/** Equal as the comparison means it. Errors must always be equal in every byte. */
export function agree(subject: Reply, oracle: Reply, comparison: Comparison): boolean {
  if (comparison.how === 'near' && subject.type === 'integer' && oracle.type === 'integer') {
    const both = [Number(subject.value), Number(oracle.value)] as const;
    // -1 and -2 have a meaning of their own.
    if (Math.min(...both) < 0) return both[0] === both[1];
    return Math.abs(both[0] - both[1]) <= comparison.tolerance;
  }
  if (comparison.how === 'unordered' && subject.type === 'array' && oracle.type === 'array') {
    return sorted(subject) === sorted(oracle);
  }
  if (comparison.how === 'presence' && oracle.type !== 'error' && subject.type === oracle.type) return true;
  return render(subject) === render(oracle);
}

function sorted(reply: Reply): string {
  return itemsOf(reply).map(render).sort().join(' ');
}

function differing(subject: string, oracle: string): Omit<Mismatch, 'index'> | undefined {
  return subject === oracle ? undefined : { subject, oracle };
}

/** A whole iteration: the keys in order, each once, or the first error. */
async function scanAll(client: RawClient, options: readonly string[]): Promise<string> {
  const keys = new Set<string>();
  let cursor = '0';
  for (let round = 0; round < SCAN_ROUNDS_MAX; round++) {
    const reply = await client.command('SCAN', cursor, ...options);
    if (reply.type === 'error') return render(reply);
    const [next, page] = itemsOf(reply);
    for (const key of itemsOf(page!)) keys.add(render(key));
    cursor = textOf(next!);
    if (cursor === '0') return [...keys].sort().join(' ');
  }
  return `no end of SCAN within ${SCAN_ROUNDS_MAX} rounds`;
}

/** DUMP from each is restored in the other and must give the same value there. */
async function crossRestore(
  mine: RawClient,
  theirs: RawClient,
  key: string,
): Promise<Omit<Mismatch, 'index'> | undefined> {
  const [a, b] = [await mine.command('DUMP', key), await theirs.command('DUMP', key)];
  if (a.type !== 'bulk' || b.type !== 'bulk') return differing(render(a), render(b));
  const restored = 'restored:crosswise';
  const replies: [string, string][] = [
    [
      await mine.rendered('RESTORE', restored, 0, b.data, 'REPLACE'),
      await theirs.rendered('RESTORE', restored, 0, a.data, 'REPLACE'),
    ],
    [await mine.rendered('GET', restored), await theirs.rendered('GET', restored)],
    [
      await mine.rendered('OBJECT', 'ENCODING', restored),
      await theirs.rendered('OBJECT', 'ENCODING', restored),
    ],
    [await mine.rendered('DEL', restored), await theirs.rendered('DEL', restored)],
  ];
  const wrong = replies.find(([x, y]) => x !== y);
  return wrong === undefined ? undefined : { subject: wrong[0], oracle: wrong[1] };
}
