import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { Client } from './client.mjs';
import { shuffled } from './collections.mjs';
import { noise } from './large.mjs';
import { loadKeys, runCommands } from './load.mjs';
import { megabytes, thousands } from './report.mjs';
import { Server, temporaryDirectory } from './servers.mjs';
import { percentile } from './statistics.mjs';
import { SteadyLoad } from './steady-load.mjs';
import { keyOf, VALUE_BYTES } from './targets.mjs';

/*
 * Collections of many millions of elements, one type after the other on the same store: how fast they grow, what single
 * commands on them cost, how long a start takes with them, and what becomes of the disk when they go, in each of the
 * ways in which a key can go, while others use the store.
 */

/** Elements written by one command of the load, and such commands that a connection has under way. */
const LOADED_AT_ONCE = 100;
const VALUE_LENGTH = 40;
const SINGLE_CALLS = 2000;
const SINGLE_CALLS_QUICK = 300;
/** Of commands that have to look at half of the elements. */
const SCANNING_CALLS = 5;

/** The others: reads and writes of small keys. */
const OTHER_KEYS = 10_000;
const OTHER_CONNECTIONS = 8;
const OTHER_RATE = 1000;
const BEFORE_SECONDS = 5;

/** The space of a collection counts as back when no more than this part of it is left, or what memtables and their log may have. */
const LEFT_SHARE_MAX = 0.1;
const LEFT_BYTES_MAX = 64 * 1024 ** 2;
const SPACE_TIMEOUT_MS = 180_000;
const POLL_EVERY_MS = 100;
/** Files are looked at until they have had the same size for so long. */
const SETTLED_MS = 2000;
const SETTLED_BYTES = 1 << 20;
const EXPIRES_IN_MS = 200;

/** What maxmemory stands for by default, and how much RSS comes with it: docs/OPERATIONS.md. */
const BUDGET_SHARE = 1 / 4;
const BUDGET_BYTES_MAX = 2 * 1024 ** 3;
const RSS_SHARE = 1.5;
const RSS_BYTES_BESIDE = 150 * 1024 ** 2;

/**
 * @typedef {object} HugeOptions
 * @property {number} elements of each collection, a multiple of 100
 * @property {boolean} isQuick fewer calls of single commands
 * @property {string[] | undefined} only types
 * @property {string[]} subjectFlags
 * @property {string | undefined} cpuProfileDir
 * @property {string | undefined} temporaryParent
 */

/**
 * @typedef {object} Single a command on the collection, called again and again by one client
 * @property {string} name
 * @property {(call: number) => string[]} words
 * @property {boolean} [isScan] it looks at many elements: it is called a few times only
 */

/**
 * @typedef {object} Kind
 * @property {string} name of the type, and of the key
 * @property {(first: number) => string[]} load the command that writes LOADED_AT_ONCE elements, or one
 * @property {number} loads elements that it writes
 * @property {number} [replyLines]
 * @property {string[]} count how many elements there are
 * @property {string[]} read a first read
 * @property {(client: Client) => Promise<Single[]>} singles
 * @property {keyof typeof WAYS} goes how it ends
 */

/** The ways in which a key can go; each resolves with the milliseconds that the client waited. */
const WAYS = {
  DEL: (/** @type {Client} */ client, /** @type {string} */ key) => timed(client, 'DEL', key),
  SET: (/** @type {Client} */ client, /** @type {string} */ key) => timed(client, 'SET', key, 'small'),
  RENAME: async (/** @type {Client} */ client, /** @type {string} */ key) => {
    await client.call('SET', 'other', 'small');
    return timed(client, 'RENAME', 'other', key);
  },
  // What the expiry itself takes shows in the latencies of the others.
  PEXPIRE: (/** @type {Client} */ client, /** @type {string} */ key) =>
    timed(client, 'PEXPIRE', key, String(EXPIRES_IN_MS)),
  UNLINK: (/** @type {Client} */ client, /** @type {string} */ key) => timed(client, 'UNLINK', key),
};

const HUGE_KINDS = ['hash', 'set', 'zset', 'list', 'stream'];

/** @param {number} elements @returns {Kind[]} */
function kindsOf(elements) {
  const order = shuffled(elements);
  const digits = (/** @type {number} */ number) => String(number).padStart(9, '0');
  const field = (/** @type {number} */ number) => `field:${digits(number)}`;
  const member = (/** @type {number} */ number) => `member:${digits(number)}`;
  const value = (/** @type {number} */ number) => noise(number, VALUE_LENGTH);
  const random = () => Math.floor(Math.random() * elements);
  const many = (/** @type {number} */ first, /** @type {(number: number) => string[]} */ words) =>
    Array.from({ length: LOADED_AT_ONCE }, (_, index) => words(order[first + index] ?? 0)).flat();
  const filledBy = (
    /** @type {string} */ word,
    /** @type {string} */ name,
    /** @type {(number: number) => string[]} */ words,
  ) => ({
    name,
    load: (/** @type {number} */ first) => [word, name, ...many(first, words)],
    loads: LOADED_AT_ONCE,
  });
  return [
    {
      ...filledBy('HSET', 'hash', (number) => [field(number), value(number)]),
      count: ['HLEN', 'hash'],
      read: ['HGET', 'hash', field(elements >> 1)],
      singles: async () => [
        {
          name: 'HSET, a field that is there',
          words: (call) => ['HSET', 'hash', field(random()), value(call)],
        },
        { name: 'HSET, a new field', words: (call) => ['HSET', 'hash', `new:${call}`, value(call)] },
        { name: 'HGET', words: () => ['HGET', 'hash', field(random())] },
      ],
      goes: 'DEL',
    },
    {
      ...filledBy('SADD', 'set', (number) => [member(number)]),
      count: ['SCARD', 'set'],
      read: ['SISMEMBER', 'set', member(elements >> 1)],
      singles: async () => [
        { name: 'SADD, a new member', words: (call) => ['SADD', 'set', `new:${call}`] },
        { name: 'SISMEMBER', words: () => ['SISMEMBER', 'set', member(random())] },
        { name: 'SRANDMEMBER', words: () => ['SRANDMEMBER', 'set'] },
      ],
      goes: 'SET',
    },
    {
      ...filledBy('ZADD', 'zset', (number) => [String(number), member(number)]),
      count: ['ZCARD', 'zset'],
      read: ['ZRANK', 'zset', member(elements >> 1)],
      singles: async () => [
        { name: 'ZADD, another score', words: () => ['ZADD', 'zset', String(random()), member(random())] },
        { name: 'ZADD, a new member', words: (call) => ['ZADD', 'zset', String(random()), `new:${call}`] },
        { name: 'ZRANK', words: () => ['ZRANK', 'zset', member(random())] },
        {
          name: 'ZRANGE of 10 by rank',
          words: () => {
            const rank = random();
            return ['ZRANGE', 'zset', String(rank), String(rank + 9)];
          },
        },
      ],
      goes: 'RENAME',
    },
    {
      ...filledBy('RPUSH', 'list', (number) => [value(number)]),
      count: ['LLEN', 'list'],
      read: ['LINDEX', 'list', String(elements >> 1)],
      singles: async (client) => {
        const pivot = async (/** @type {number} */ index) =>
          String(await client.call('LINDEX', 'list', String(index)));
        const [near, middle] = [await pivot(100), await pivot(elements >> 1)];
        return [
          { name: 'LPUSH', words: (call) => ['LPUSH', 'list', `new:${call}`] },
          { name: 'LINDEX', words: () => ['LINDEX', 'list', String(random())] },
          { name: 'LSET', words: (call) => ['LSET', 'list', String(random()), `set:${call}`] },
          { name: 'LINSERT near the head', words: () => ['LINSERT', 'list', 'BEFORE', near, 'inserted'] },
          {
            name: 'LINSERT in the middle, half of the list being searched',
            words: () => ['LINSERT', 'list', 'BEFORE', middle, 'inserted'],
            isScan: true,
          },
        ];
      },
      goes: 'PEXPIRE',
    },
    {
      name: 'stream',
      load: (first) => ['XADD', 'stream', '*', 'field', value(first)],
      loads: 1,
      replyLines: 2,
      count: ['XLEN', 'stream'],
      read: ['XRANGE', 'stream', '-', '+', 'COUNT', '1'],
      singles: async (client) => {
        const timeOf = async (/** @type {string[]} */ ...words) => {
          const reply = /** @type {string[][]} */ (await client.call(...words, 'COUNT', '1'));
          return Number.parseInt(reply[0]?.[0] ?? '', 10);
        };
        const first = await timeOf('XRANGE', 'stream', '-', '+');
        const last = await timeOf('XREVRANGE', 'stream', '+', '-');
        const time = () => String(first + Math.floor(Math.random() * (last - first)));
        return [
          { name: 'XADD', words: (call) => ['XADD', 'stream', '*', 'field', value(call)] },
          { name: 'XRANGE of 10', words: () => ['XRANGE', 'stream', time(), '+', 'COUNT', '10'] },
        ];
      },
      goes: 'UNLINK',
    },
  ];
}

/**
 * @param {HugeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureHuge(options, progress) {
  for (const name of options.only ?? [])
    if (!HUGE_KINDS.includes(name))
      throw new Error(`no type is named ${name}; there are ${HUGE_KINDS.join(', ')}`);
  const profile = options.cpuProfileDir === undefined ? {} : { cpuProfileDir: options.cpuProfileDir };
  const dir = temporaryDirectory(options.temporaryParent);
  /** @type {import('./servers.mjs').ServerOptions} */
  const start = { kind: 'vasto', dir, flags: options.subjectFlags, ...profile };
  const run = new Run(options, start, await Server.start(start), progress);
  await loadKeys({ port: run.server.port, count: OTHER_KEYS, key: keyOf, value: otherValue });
  const kinds = kindsOf(options.elements);
  const results = [];
  for (const kind of kinds.filter(({ name }) => options.only?.includes(name) ?? true))
    results.push(await run.measure(kind));
  const rssBytesMax = await rssBound(run.server.port);
  await run.server.stop();
  return { elements: options.elements, rssBytesMax, results };
}

const OTHER_VALUE = 'x'.repeat(VALUE_BYTES);
const otherValue = () => OTHER_VALUE;

/** All that is measured, on one store that is started anew now and then. */
class Run {
  /**
   * @param {HugeOptions} options @param {import('./servers.mjs').ServerOptions} start
   * @param {Server} server @param {import('./progress.mjs').Progress} progress
   */
  constructor(options, start, server, progress) {
    this.options = options;
    this.start = start;
    this.server = server;
    this.progress = progress;
  }

  /** @param {Kind} kind */
  async measure(kind) {
    const bytesBefore = await this.#settledBytes();
    const fill = await this.#fill(kind, bytesBefore);
    const singles = await this.#singles(kind);
    const memory = this.server.memory();
    const restarts = { stop: await this.#restart(kind, 'stop'), kill: await this.#restart(kind, 'kill') };
    const end = await this.#end(kind, bytesBefore);
    return { kind: kind.name, fill: { ...fill, memory }, singles, restarts, end };
  }

  /** @param {Kind} kind @param {number} bytesBefore */
  async #fill(kind, bytesBefore) {
    const { elements } = this.options;
    const started = performance.now();
    await runCommands({
      port: this.server.port,
      count: elements / kind.loads,
      command: (index) => kind.load(index * kind.loads),
      ...(kind.replyLines === undefined ? {} : { replyLines: kind.replyLines }),
      progress: (done) => {
        const written = done * kind.loads;
        const rate = (written / (performance.now() - started)) * 1000;
        if (written % 100_000 === 0)
          this.progress.show(`${kind.name}: ${thousands(written)} elements, ${thousands(rate)}/s`);
      },
    });
    const seconds = (performance.now() - started) / 1000;
    const bytes = (await this.#settledBytes()) - bytesBefore;
    await this.#checkCount(kind);
    return { seconds, bytes };
  }

  /** @param {Kind} kind */
  async #checkCount(kind) {
    const count = await this.#asked((client) => client.call(...kind.count));
    if (count !== this.options.elements) throw new Error(`the ${kind.name} has ${count} elements`);
  }

  /** @param {Kind} kind */
  async #singles(kind) {
    const client = await Client.open(this.server.port);
    const figures = [];
    for (const { name, words, isScan } of await kind.singles(client)) {
      this.progress.show(`${kind.name}: ${name}`);
      const usual = this.options.isQuick ? SINGLE_CALLS_QUICK : SINGLE_CALLS;
      const times = [];
      for (let call = 0; call < (isScan ? SCANNING_CALLS : usual); call++)
        times.push(await timed(client, ...words(call)));
      figures.push({
        kind: kind.name,
        name,
        p50Ms: percentile(times, 50),
        p99Ms: percentile(times, 99),
        maxMs: Math.max(...times),
      });
    }
    client.close();
    return figures;
  }

  /** @param {Kind} kind @param {'stop' | 'kill'} way */
  async #restart(kind, way) {
    this.progress.show(`${kind.name}: restart after ${way}`);
    await this.server[way]();
    this.server = await Server.start(this.start);
    const read = await this.#asked((client) => client.call(...kind.read));
    if (read === null) throw new Error(`the ${kind.name} is not what it was after ${way}`);
    return { pongMs: this.server.firstPongMs, readMs: performance.now() - this.server.startedAtMs };
  }

  /** Has the collection go, and waits until its space is back. @param {Kind} kind @param {number} bytesBefore */
  async #end(kind, bytesBefore) {
    const bytesFull = (await this.#settledBytes()) - bytesBefore;
    const load = await SteadyLoad.start({
      ports: [this.server.port],
      connections: OTHER_CONNECTIONS,
      rate: OTHER_RATE,
      keyCount: OTHER_KEYS,
      key: keyOf,
      value: otherValue,
    });
    this.progress.show(`${kind.name}: the others, before it goes`);
    await load.during([], 1);
    await load.during(['before'], BEFORE_SECONDS);
    load.enter(['meanwhile']);
    const started = performance.now();
    const goneMs = await this.#asked((client) => WAYS[kind.goes](client, kind.name));
    let left = bytesFull;
    const leftMax = Math.max(LEFT_BYTES_MAX, bytesFull * LEFT_SHARE_MAX);
    /** @type {number | undefined} */
    let backMs;
    while (backMs === undefined && performance.now() - started < SPACE_TIMEOUT_MS) {
      await new Promise((done) => setTimeout(done, POLL_EVERY_MS));
      left = (await diskBytes(this.start.dir)) - bytesBefore;
      this.progress.show(`${kind.name}: gone by ${kind.goes}, ${megabytes(left)} left on the disk`);
      if (left <= leftMax) backMs = performance.now() - started;
    }
    load.enter([]);
    await load.stop();
    const others = { before: load.summary('before'), meanwhile: load.summary('meanwhile') };
    const bytesLeft = (await this.#settledBytes()) - bytesBefore;
    await this.#asked((client) => client.call('DEL', kind.name));
    return {
      way: kind.goes,
      goneMs,
      backMs,
      bytesFull,
      bytesLeft,
      others,
      rssPeak: this.server.memory().rssPeak,
    };
  }

  /** Bytes on the disk once RocksDB has nothing to do any more. */
  async #settledBytes() {
    let bytes = await diskBytes(this.start.dir);
    const deadline = performance.now() + SPACE_TIMEOUT_MS;
    for (let since = performance.now(); performance.now() - since < SETTLED_MS; ) {
      await new Promise((done) => setTimeout(done, POLL_EVERY_MS));
      const now = await diskBytes(this.start.dir);
      if (Math.abs(now - bytes) > SETTLED_BYTES) {
        bytes = now;
        since = performance.now();
      }
      if (since > deadline) throw new Error(`the files in ${this.start.dir} do not come to rest`);
    }
    return bytes;
  }

  /** @template T @param {(client: Client) => Promise<T>} work with a connection of its own @returns {Promise<T>} */
  async #asked(work) {
    const client = await Client.open(this.server.port);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }
}

/** @param {Client} client @param {...string} words @returns {Promise<number>} milliseconds */
async function timed(client, ...words) {
  const started = performance.now();
  await client.call(...words);
  return performance.now() - started;
}

/** What the files below a directory take on the disk. @param {string} directory */
async function diskBytes(directory) {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    // RocksDB removes files at any time.
    const found = statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false });
    bytes += (found?.blocks ?? 0) * 512;
  }
  return bytes;
}

/** @param {number} port */
async function rssBound(port) {
  const client = await Client.open(port);
  const [, configured] = /** @type {string[]} */ (await client.call('CONFIG', 'GET', 'maxmemory'));
  client.close();
  const budget = Number(configured) || Math.min(BUDGET_BYTES_MAX, totalmem() * BUDGET_SHARE);
  return RSS_SHARE * budget + RSS_BYTES_BESIDE;
}

// ---------------------------------------------------------------- tables

/** @param {Awaited<ReturnType<typeof measureHuge>>} figures @returns {import('./report.mjs').Sheet[]} */
export function hugeSheets({ elements, rssBytesMax, results }) {
  const fills = {
    head: [`${thousands(elements)} elements`, 'elements/s', 'seconds', 'disk', 'RSS', 'RSS peak', 'bound'],
    rows: results.map(({ kind, fill: { seconds, bytes, memory }, end }) => {
      const peak = Math.max(memory.rssPeak, end.rssPeak);
      const verdict = peak <= rssBytesMax ? 'kept' : 'EXCEEDED';
      return [
        kind,
        thousands(elements / seconds),
        seconds.toFixed(1),
        megabytes(bytes),
        megabytes(memory.rss),
        megabytes(peak),
        `${megabytes(rssBytesMax)}: ${verdict}`,
      ];
    }),
  };
  const singles = {
    head: ['single commands', 'p50', 'p99', 'max'],
    rows: results.flatMap(({ singles }) =>
      singles.map(({ name, p50Ms, p99Ms, maxMs }) => [name, ...[p50Ms, p99Ms, maxMs].map(ms)]),
    ),
  };
  const restarts = {
    head: ['restart', 'SIGTERM: first PONG', 'first read', 'kill -9: first PONG', 'first read'],
    rows: results.map(({ kind, restarts: { stop, kill } }) => [
      kind,
      ...[stop.pongMs, stop.readMs, kill.pongMs, kill.readMs].map(ms),
    ]),
  };
  return [fills, singles, restarts, endSheet(results)];
}

/** @param {Awaited<ReturnType<typeof measureHuge>>['results']} results @returns {import('./report.mjs').Sheet} */
function endSheet(results) {
  return {
    head: [
      'it goes by',
      'the command',
      'disk before',
      'nine tenths of it back after',
      'left in the end',
      'others: p99 before',
      'p99 meanwhile',
      'max meanwhile',
    ],
    rows: results.map(({ kind, end }) => [
      `${kind}: ${end.way}`,
      ms(end.goneMs),
      megabytes(end.bytesFull),
      end.backMs === undefined ? 'NOT BACK' : `${(end.backMs / 1000).toFixed(1)} s`,
      megabytes(end.bytesLeft),
      ms(end.others.before.p99Ms),
      ms(end.others.meanwhile.p99Ms),
      ms(end.others.meanwhile.maxMs),
    ]),
  };
}

/** @param {number} value */
function ms(value) {
  return value < 100 ? `${value.toFixed(2)} ms` : `${Math.round(value)} ms`;
}
