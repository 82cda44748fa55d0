import type { RawClient } from '../support/client.js';
import { itemsOf, type Reply, render, textOf } from '../support/reply.js';
import type { TestServer } from '../support/server.js';
import type { Connection, Step } from './generate.js';
import { type Comparison, comparisonOf } from './grammar.js';
import { Waiters } from './waiters.js';

/** How a session is run. */
export interface SessionMode {
  readonly protocol: 2 | 3;
  /** Whether collections of more than a few elements are large. */
  readonly lowLimits: boolean;
}

/** Where the two servers parted. */
export interface Mismatch {
  readonly index: number;
  readonly subject: string;
  readonly oracle: string;
}

interface Side {
  server: TestServer;
  clients: [RawClient, RawClient];
  waiters: Waiters;
}

const SCAN_ROUNDS_MAX = 5000;
/** Neighbouring commands sent in one write. */
export const BATCH_MAX = 12;

/** Limits of small collections such that the same session meets element rows. */
const LOW_LIMITS = [
  ['hash-max-listpack-entries', 3],
  ['hash-max-listpack-value', 30],
  ['set-max-intset-entries', 4],
  ['zset-max-listpack-entries', 3],
  ['zset-max-listpack-value', 30],
  ['list-max-listpack-size', 3],
] as const;
const REDIS_LIMITS = [
  ['hash-max-listpack-entries', 512],
  ['hash-max-listpack-value', 64],
  ['set-max-intset-entries', 512],
  ['zset-max-listpack-entries', 128],
  ['zset-max-listpack-value', 64],
  ['list-max-listpack-size', -2],
] as const;
/** Which redis-server 7.0 does not have, or where its own decides what it replies. */
const OWN_LIMITS = {
  'set-max-listpack-entries': { low: 3, redis: 128 },
  'stream-node-max-bytes': { low: 100, redis: 4096 },
} as const;

/** The two servers, with two connections to each. Runs steps on both and compares. */
export class Session {
  /** Comparisons of what is queued in a transaction; undefined outside of one. */
  #hasWaiters = false;
  /** Whether commands were sent, or queued, that serve some who wait, and in Redis 7.0 do not: see {@link servesMore}. */
  #mayServeMore = false;
  readonly #queued: [Comparison[] | undefined, Comparison[] | undefined] = [undefined, undefined];

  private constructor(
    readonly mode: SessionMode,
    readonly subject: Side,
    readonly oracle: Side,
  ) {}

  /** Both emptied, new connections. */
  static async open(mode: SessionMode, subject: TestServer, oracle: TestServer): Promise<Session> {
    const { protocol, lowLimits } = mode;
    const session = new Session(
      mode,
      await connectSide(subject, protocol),
      await connectSide(oracle, protocol),
    );
    for (const side of [session.subject, session.oracle]) {
      const reply = await side.clients[0].rendered('FLUSHALL');
      if (reply !== '+OK') throw new Error(`FLUSHALL: ${reply}`);
    }
    await setLimits(session.oracle.clients[0], lowLimits, false);
    await setLimits(session.subject.clients[0], lowLimits, true);
    return session;
  }

  close(): void {
    for (const side of [this.subject, this.oracle]) closeSide(side);
  }

  /** Runs until the end or the first mismatch. Neighbouring commands of one connection go in one write. */
  async run(steps: readonly Step[]): Promise<Mismatch | undefined> {
    for (let i = 0; i < steps.length; ) {
      const step = steps[i]!;
      if (step.kind === 'command') {
        const batch = batchFrom(steps, i, step.on);
        const mismatch = await this.#commands(step.on, batch, i);
        if (batch.some(servesMore)) this.#mayServeMore = true;
        const served = await this.#served();
        if (served !== undefined && hasPartedByDesign(served, this.#mayServeMore)) return undefined;
        if (mismatch !== undefined) return mismatch;
        i += batch.length;
        if (served !== undefined) return { index: i - 1, ...served };
        if (this.#queued.every((queued) => queued === undefined)) this.#mayServeMore = false;
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
    if (step.kind === 'wait' || step.kind === 'leave' || step.kind === 'unblock') return this.#waiting(step);
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

  async #waiting(
    step: Extract<Step, { kind: 'wait' | 'leave' | 'unblock' }>,
  ): Promise<Omit<Mismatch, 'index'> | undefined> {
    const sides = [this.subject.waiters, this.oracle.waiters] as const;
    const { place } = step;
    if (step.kind === 'unblock') {
      const [mine, theirs] = await Promise.all(sides.map((each) => each.unblock(place, step.how)));
      if (!agree(mine!, theirs!, { how: 'exact' }))
        return { subject: describe(mine!), oracle: describe(theirs!) };
    } else if (step.kind === 'leave') for (const each of sides) each.leave(place);
    else if (!sides[0].isPending(place))
      for (const each of sides) await each.begin(place, step.database, step.args);
    this.#hasWaiters = true;
    return this.#served();
  }

  /** Compares what those who wait have been given by now. */
  async #served(): Promise<Omit<Mismatch, 'index'> | undefined> {
    if (!this.#hasWaiters) return undefined;
    try {
      const [mine, theirs] = await Promise.all([
        this.subject.waiters.settled(),
        this.oracle.waiters.settled(),
      ]);
      return differing(describeAll(mine), describeAll(theirs));
    } catch (error) {
      return { subject: `waiters: ${String(error)}`, oracle: '' };
    }
  }

  async #restart(): Promise<Omit<Mismatch, 'index'> | undefined> {
    closeSide(this.subject);
    this.oracle.waiters.close();
    try {
      const { protocol } = this.mode;
      Object.assign(this.subject, await connectSide(await this.subject.server.restart(), protocol));
      this.oracle.waiters = await Waiters.open(this.oracle.server, protocol);
      await setLimits(this.subject.clients[0], this.mode.lowLimits, true);
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

async function setLimits(client: RawClient, low: boolean, isSubject: boolean): Promise<void> {
  const limits: (readonly [string, number])[] = [...(low ? LOW_LIMITS : REDIS_LIMITS)];
  if (isSubject)
    for (const [name, values] of Object.entries(OWN_LIMITS))
      limits.push([name, values[low ? 'low' : 'redis']]);
  for (const [name, value] of limits) {
    const reply = await client.rendered('CONFIG', 'SET', name, value);
    if (reply !== '+OK') throw new Error(`CONFIG SET ${name}: ${reply}`);
  }
}

async function connectTwo(server: TestServer, protocol: 2 | 3): Promise<[RawClient, RawClient]> {
  if (protocol === 3) return [await server.connect3(), await server.connect3()];
  return [await server.connect(), await server.connect()];
}

async function connectSide(server: TestServer, protocol: 2 | 3): Promise<Side> {
  return {
    server,
    clients: await connectTwo(server, protocol),
    waiters: await Waiters.open(server, protocol),
  };
}

function closeSide({ clients, waiters }: Side): void {
  for (const client of clients) client.close();
  waiters.close();
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

/**
 * In Redis 7.0, who waits is not served by what XGROUP SETID makes new to a group, nor by what … STORE puts in place of a
 * value of another type.
 */
function servesMore([name, ...rest]: readonly string[]): boolean {
  if (/^xgroup$/i.test(name!)) return /^setid$/i.test(rest[0] ?? '');
  return (
    /store$/i.test(name!) || (/^(sort|georadius)/i.test(name!) && rest.some((word) => /^store/i.test(word)))
  );
}

/**
 * Redis 7.0 gives who waits for a stream an empty reply when ids have been used up of which no entries are there; here they wait
 * on. A session ends where the two have parted so, or where more are served here.
 */
function hasPartedByDesign({ subject, oracle }: Omit<Mismatch, 'index'>, mayServeMore: boolean): boolean {
  if (/^(waiter \d: .\[\*?\[?\$"stream\d" \*\[\]\]\]?(; )?)+$/.test(oracle)) return true;
  return mayServeMore && oracle.split('; ').every((each) => subject.includes(each));
}

function describeAll(replies: ReadonlyMap<number, Reply | Error>): string {
  const inOrder = [...replies].sort(([one], [other]) => one - other);
  return inOrder.map(([place, reply]) => `waiter ${place}: ${describe(reply)}`).join('; ');
}

/** Equal as the comparison means it. Errors must always be equal in every byte. */
export function agree(subject: Reply, oracle: Reply, comparison: Comparison): boolean {
  if (comparison.how === 'near' && subject.type === 'integer' && oracle.type === 'integer') {
    const both = [Number(subject.value), Number(oracle.value)] as const;
    // -1 and -2 have a meaning of their own.
    if (Math.min(...both) < 0) return both[0] === both[1];
    return Math.abs(both[0] - both[1]) <= comparison.tolerance;
  }
  if ('items' in subject && 'items' in oracle && subject.type === oracle.type) {
    if (comparison.how === 'unordered') return sorted(subject) === sorted(oracle);
    if (comparison.how === 'pairs') return sortedPairs(subject) === sortedPairs(oracle);
    if (comparison.how === 'picks') return subject.items.length === oracle.items.length;
  }
  if (comparison.how === 'picks' && subject.type === 'bulk' && oracle.type === 'bulk') return true;
  if (comparison.how === 'presence' && oracle.type !== 'error' && subject.type === oracle.type) return true;
  if (comparison.how === 'timeless') return render(timeless(subject)) === render(timeless(oracle));
  return render(subject) === render(oracle);
}

/** Names before values that are times, or of the nodes that Redis keeps streams in. */
const TIMELY = new Set(['idle', 'seen-time', 'radix-tree-keys', 'radix-tree-nodes']);
const NO_TIME: Reply = { type: 'simple', text: 'some time' };

/** What tells of a stream without its times: those behind names, and those in what tells of a pending entry. */
function timeless(reply: Reply): Reply {
  if (!('items' in reply)) return reply;
  const { items } = reply;
  const types = items.map(({ type }) => type).join(' ');
  const timeAt = types === 'bulk bulk integer integer' ? 2 : types === 'bulk integer integer' ? 1 : -1;
  return {
    ...reply,
    items: items.map((item, index) => {
      const before = items[index - 1];
      const isTime = index === timeAt || (before?.type === 'bulk' && TIMELY.has(textOf(before)));
      return isTime ? NO_TIME : timeless(item);
    }),
  };
}

function sorted(reply: Reply): string {
  return itemsOf(reply).map(render).sort().join(' ');
}

function sortedPairs(reply: Reply): string {
  const items = itemsOf(reply).map(render);
  return items
    .flatMap((item, index) => (index % 2 === 0 ? [`${item}=${items[index + 1]}`] : []))
    .sort()
    .join(' ');
}

function differing(subject: string, oracle: string): Omit<Mismatch, 'index'> | undefined {
  return subject === oracle ? undefined : { subject, oracle };
}

/**
 * A whole iteration: what was found in order, each once, or the first error.
 * @param command SCAN, or HSCAN, SSCAN or ZSCAN and a key, and behind it options
 */
async function scanAll(client: RawClient, [command, ...rest]: readonly string[]): Promise<string> {
  const before = command === 'SCAN' ? [command] : [command!, rest[0]!];
  const options = command === 'SCAN' ? rest : rest.slice(1);
  const keys = new Set<string>();
  let cursor = '0';
  for (let round = 0; round < SCAN_ROUNDS_MAX; round++) {
    const reply = await client.command(...before, cursor, ...options);
    if (reply.type === 'error') return render(reply);
    const [next, page] = itemsOf(reply);
    const found = itemsOf(page!).map(render);
    if (command !== 'HSCAN' && command !== 'ZSCAN') for (const key of found) keys.add(key);
    else for (let at = 0; at < found.length; at += 2) keys.add(`${found[at]} ${found[at + 1]}`);
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
    [await contentOf(mine, restored), await contentOf(theirs, restored)],
    [
      await mine.rendered('OBJECT', 'ENCODING', restored),
      await theirs.rendered('OBJECT', 'ENCODING', restored),
    ],
    [await mine.rendered('DEL', restored), await theirs.rendered('DEL', restored)],
  ];
  const wrong = replies.find(([x, y]) => x !== y);
  return wrong === undefined ? undefined : { subject: wrong[0], oracle: wrong[1] };
}

const READ_WHOLE: Readonly<Record<string, readonly string[]>> = {
  '+string': ['GET'],
  '+hash': ['HGETALL'],
  '+set': ['SMEMBERS'],
  '+zset': ['ZRANGE', '0', '-1', 'WITHSCORES'],
  '+stream': ['XRANGE', '-', '+'],
};

/** What a key holds. */
async function contentOf(client: RawClient, key: string): Promise<string> {
  const type = await client.rendered('TYPE', key);
  const [command, ...rest] = READ_WHOLE[type] ?? [];
  if (command === undefined) return type;
  const reply = await client.command(command, key, ...rest);
  if (command === 'HGETALL') return sortedPairs(reply);
  return command === 'SMEMBERS' ? sorted(reply) : render(reply);
}
