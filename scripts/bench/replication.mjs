import { availableParallelism } from 'node:os';
import { Client, fieldsOf, info } from './client.mjs';
import { loadKeys } from './load.mjs';
import { thousands, throughputSheet } from './report.mjs';
import { ask, until } from './servers.mjs';
import { median, percentile } from './statistics.mjs';
import { Stores } from './stores.mjs';
import { KEY_COUNT, keyOf, TESTS, VALUE_BYTES } from './targets.mjs';
import { measureInTurns } from './throughput.mjs';

/*
 * What a second copy costs, and how fast it follows: SET into a keyspace with two copies beside one with a single copy,
 * both owned by the same store. The follower runs on the same machine, so what it does is taken from the processors that
 * clients, front and workers need. So it is measured once more with the owner on a processor of its own.
 */

const SINGLE = 20;
const DOUBLE = 21;
const COPIED = 22;
const COST_FLOOR = 0.7;
const COPY_ROUNDS = 3;
/**
 * Memory of each store. Of the default each keyspace that a store makes has a quarter of what the one before has: the one with two
 * copies would have less than half of the other's memtables for its logs, and be compared by that. With this much both have the
 * largest there are, those that the first one has by default.
 */
const MAXMEMORY = '5400mb';
/** Each store follows the other in the keyspace with two copies, and in that which is copied. */
const FEEDS_LEVEL = 2;
const SAMPLE_EVERY_MS = 5;
const LEVEL_WAIT_MS = 60_000;

/**
 * @typedef {object} FollowingSample
 * @property {number} writes
 * @property {number} levelMs from the first write until the follower has all of them
 * @property {number} catchUpMs from the last reply until then
 * @property {number[]} behindMs now and then: for how long what had been written then was not acknowledged by the follower
 * @property {number} ownerUs processor time
 * @property {number} followerUs
 */

/** @typedef {{rows: number, bytes: number, seconds: number}} CopySample */

/**
 * @param {import('./throughput.mjs').ThroughputOptions & {keys: number}} options `keys` are copied
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureReplication(options, progress) {
  progress.show('starting the cluster');
  const cluster = await Stores.start(options);
  // As long as there is but one store, it is the one that owns everything.
  const memory = ['--maxmemory', MAXMEMORY];
  const owner = await cluster.addStore(memory);
  for (const [name, database] of Object.entries({ single: SINGLE, double: DOUBLE, copied: COPIED }))
    await cluster.createKeyspace(owner, `${name} SHARDS 1 REPLICAS 1 DB ${database}`);
  const follower = await cluster.addStore(memory);
  // Refused as long as the master does not know the second store.
  await until('a second copy is begun', async () =>
    (await ask(owner.port, 'VASTO KEYSPACE REPLICAS double 2\r\n')).startsWith('*'),
  );
  for (const database of [SINGLE, DOUBLE]) {
    progress.show(`loading ${thousands(KEY_COUNT)} keys into database ${database}`);
    await load(owner, database, KEY_COUNT);
  }
  const tests = options.tests.length > 0 ? options.tests : TESTS.filter(({ name }) => name === 'SET');
  const job = { ...options, tests };
  const shared = await measureFollowing(job, owner, follower, undefined, progress);
  const apart = availableParallelism() < 2 ? undefined : await measureApart(job, cluster, progress);
  const copies = await measureCopies(cluster, options, progress);
  await cluster.stop();
  return { shared, apart, copies };
}

/**
 * The same with the owner on a processor of its own, and all others on the rest, as if the follower were another machine.
 * @param {import('./throughput.mjs').ThroughputOptions} options @param {Stores} cluster
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureApart(options, cluster, progress) {
  const [owner, follower] = cluster.stores;
  const last = availableParallelism() - 1;
  const others = `1-${last}`;
  owner.pin('0');
  for (const server of [cluster.master, follower]) server.pin(others);
  const figures = await measureFollowing(options, owner, follower, others, progress);
  for (const server of cluster.servers) server.pin(`0-${last}`);
  return figures;
}

/**
 * Writes into the keyspace with two copies and into that with one, by turns.
 * @param {import('./throughput.mjs').ThroughputOptions} options
 * @param {import('./servers.mjs').Server} owner @param {import('./servers.mjs').Server} follower
 * @param {string | undefined} cpus those of redis-benchmark
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureFollowing(options, owner, follower, cpus, progress) {
  const meter = await FollowMeter.open(owner, follower);
  const target = { port: owner.port, ...(cpus !== undefined && { cpus }) };
  const single = { ...target, database: SINGLE, around: meter.aroundSingle };
  const double = { ...target, database: DOUBLE, around: meter.aroundDouble };
  const rows = await measureInTurns(options, double, single, progress);
  meter.close();
  return {
    cost: rows.map((row) => ({ ...row, floor: COST_FLOOR })),
    following: rows.map(({ test, pipeline }) => meter.summary(test, pipeline)),
  };
}

/** @param {import('./servers.mjs').Server} store @param {number} database @param {number} count */
function load({ port }, database, count) {
  const value = 'x'.repeat(VALUE_BYTES);
  return loadKeys({ port, database, count, key: keyOf, value: () => value });
}

/** Measures, beside the rate of writes, what the two stores do for them. */
class FollowMeter {
  /** @type {Map<string, {single: number[], double: FollowingSample[]}>} by test and pipeline */
  #samples = new Map();

  /**
   * @param {import('./servers.mjs').Server} owner @param {import('./servers.mjs').Server} follower
   * @param {Client} client @param {Client} observer connections to the keyspace with two copies
   */
  constructor(owner, follower, client, observer) {
    this.owner = owner;
    this.follower = follower;
    this.client = client;
    this.observer = observer;
  }

  /** @param {import('./servers.mjs').Server} owner @param {import('./servers.mjs').Server} follower */
  static async open(owner, follower) {
    const clients = [await Client.open(owner.port), await Client.open(owner.port)];
    for (const client of clients) await client.call('SELECT', String(DOUBLE));
    await until('there are two copies', () => isSettled(clients[0]));
    const meter = new FollowMeter(owner, follower, clients[0], clients[1]);
    await meter.#level();
    return meter;
  }

  /** Waits until the follower has all that has been written. */
  async #level() {
    if ((await this.client.call('WAIT', '1', String(LEVEL_WAIT_MS))) !== 1)
      throw new Error(`the follower was not level within ${LEVEL_WAIT_MS / 1000} s`);
  }

  /** @type {import('./throughput.mjs').Around} */
  aroundSingle = async (run, row) => {
    const before = this.owner.cpuMicroseconds();
    const result = await run();
    if (!row.isWarmUp) this.#of(row).single.push((this.owner.cpuMicroseconds() - before) / row.requests);
    return result;
  };

  /** @type {import('./throughput.mjs').Around} */
  aroundDouble = async (run, row) => {
    const [ownerBefore, followerBefore] = [this.owner.cpuMicroseconds(), this.follower.cpuMicroseconds()];
    const startedMs = performance.now();
    const sampling = { isOver: false };
    const sampled = this.#sample(sampling);
    const result = await run();
    const endedMs = performance.now();
    sampling.isOver = true;
    await this.#level();
    const levelMs = performance.now();
    const behindMs = await sampled;
    if (row.isWarmUp) return result;
    this.#of(row).double.push({
      writes: row.requests,
      levelMs: levelMs - startedMs,
      catchUpMs: levelMs - endedMs,
      behindMs,
      ownerUs: this.owner.cpuMicroseconds() - ownerBefore,
      followerUs: this.follower.cpuMicroseconds() - followerBefore,
    });
    return result;
  };

  /**
   * Looks now and then how far the owner's log and the follower are, until there is nothing more to come.
   * @param {{isOver: boolean}} sampling @returns {Promise<number[]>} see FollowingSample
   */
  async #sample(sampling) {
    const behindMs = [];
    /** Ends of the log that have not been acknowledged. @type {{atMs: number, records: number}[]} */
    const pending = [];
    do {
      // INFO would tell the same, and cost the owner a twentieth of what it can do.
      const [, head, [follower]] = /** @type {[string, number, string[][]]} */ (
        await this.observer.call('ROLE')
      );
      const atMs = performance.now();
      pending.push({ atMs, records: head });
      const acknowledged = Number(follower?.[2]);
      while (pending.length > 0 && pending[0].records <= acknowledged)
        behindMs.push(atMs - /** @type {{atMs: number}} */ (pending.shift()).atMs);
      await new Promise((done) => setTimeout(done, SAMPLE_EVERY_MS));
    } while (!sampling.isOver || pending.length > 0);
    return behindMs;
  }

  /** @param {{test: import('./targets.mjs').BenchTest, pipeline: number}} row */
  #of({ test, pipeline }) {
    const key = `${test.name} ${pipeline}`;
    const samples = this.#samples.get(key) ?? { single: [], double: [] };
    this.#samples.set(key, samples);
    return samples;
  }

  /** @param {string} test @param {number} pipeline */
  summary(test, pipeline) {
    const { single, double } = this.#samples.get(`${test} ${pipeline}`) ?? { single: [], double: [] };
    const behindMs = double.flatMap((sample) => sample.behindMs);
    return {
      test,
      pipeline,
      replicatedPerSecond: median(double.map(({ writes, levelMs }) => (writes / levelMs) * 1000)),
      behindP50Ms: percentile(behindMs, 50),
      behindP99Ms: percentile(behindMs, 99),
      behindMaxMs: Math.max(...behindMs),
      catchUpMs: median(double.map((sample) => sample.catchUpMs)),
      singleOwnerUs: median(single),
      ownerUs: median(double.map(({ ownerUs, writes }) => ownerUs / writes)),
      followerUs: median(double.map(({ followerUs, writes }) => followerUs / writes)),
    };
  }

  close() {
    this.client.close();
    this.observer.close();
  }
}

// ---------------------------------------------------------------- copying

/**
 * A keyspace of one copy gets a second one, again and again; nobody else wants anything of the stores.
 * @param {Stores} cluster
 * @param {{keys: number}} options
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureCopies(cluster, { keys }, progress) {
  const [owner, follower] = cluster.stores;
  progress.show(`loading ${thousands(keys)} keys to be copied`);
  await load(owner, COPIED, keys);
  const [client, observer] = [await Client.open(owner.port), await Client.open(follower.port)];
  const isFollowing = async (/** @type {number} */ feeds) =>
    (await areLevel(client, feeds)) && (await areLevel(observer, feeds)) && isSettled(client);
  /** @type {CopySample[]} */
  const copies = [];
  for (let round = 1; round <= COPY_ROUNDS; round++) {
    progress.show(`copy ${round} of ${COPY_ROUNDS}`);
    copies.push(await measureCopy(client, observer, keys));
    await until('the stores follow each other', () => isFollowing(FEEDS_LEVEL));
    await client.call('VASTO', 'KEYSPACE', 'REPLICAS', 'copied', '1');
    await until('the copy has gone', () => isFollowing(FEEDS_LEVEL - 1));
  }
  client.close();
  observer.close();
  return copies;
}

/**
 * From the request until the store has its copy.
 * @param {Client} client @param {Client} observer of the store that copies @param {number} keys
 * @returns {Promise<CopySample>}
 */
async function measureCopy(client, observer, keys) {
  let [rows, bytes, levelMs] = [0, 0, 0];
  const startedMs = performance.now();
  await client.call('VASTO', 'KEYSPACE', 'REPLICAS', 'copied', '2');
  await until('the copy is made and counts', async () => {
    for (const task of /** @type {import('./client.mjs').Reply[]} */ (await client.call('VASTO', 'TASKS'))) {
      const fields = fieldsOf(task);
      if (Number(fields.rows) > rows) [rows, bytes] = [Number(fields.rows), Number(fields.bytes)];
    }
    if (levelMs === 0 && (await areLevel(observer, FEEDS_LEVEL))) levelMs = performance.now();
    return levelMs > 0 && isSettled(client);
  });
  if (rows === 0) throw new Error('the copy was made before it was seen: take more keys');
  return { rows: keys, bytes: Math.round((bytes / rows) * keys), seconds: (levelMs - startedMs) / 1000 };
}

/** Whether a store follows so many feeds, and has all that they bring. @param {Client} client @param {number} feeds */
async function areLevel(client, feeds) {
  const fields = await info(client, 'replication');
  return fields.vasto_feeds === feeds && fields.vasto_feeds_level === feeds;
}

/** Whether no change goes on. @param {Client} client */
async function isSettled(client) {
  return /** @type {unknown[]} */ (await client.call('VASTO', 'TASKS')).length === 0;
}

// ---------------------------------------------------------------- tables

/** @param {Awaited<ReturnType<typeof measureFollowing>>} figures @returns {import('./report.mjs').Sheet[]} */
export function followingSheets({ cost, following }) {
  const ms = (/** @type {number} */ value) => `${value.toFixed(1)} ms`;
  const us = (/** @type {number} */ value) => `${value.toFixed(1)} µs`;
  const lags = {
    head: [
      'test',
      'P',
      'followed/s',
      'behind p50',
      'p99',
      'max',
      'level after',
      'CPU: one copy',
      'two',
      'follower',
    ],
    rows: following.map((row) => [
      row.test,
      String(row.pipeline),
      thousands(row.replicatedPerSecond),
      ms(row.behindP50Ms),
      ms(row.behindP99Ms),
      ms(row.behindMaxMs),
      ms(row.catchUpMs),
      us(row.singleOwnerUs),
      us(row.ownerUs),
      us(row.followerUs),
    ]),
  };
  return [throughputSheet(cost, ['two copies', 'one']), lags];
}

/** @param {CopySample[]} copies @returns {import('./report.mjs').Sheet} */
export function copySheet(copies) {
  return {
    head: ['copy', 'rows', 'MB', 'seconds', 'rows/s', 'MB/s'],
    rows: copies.map(({ rows, bytes, seconds }, index) => [
      String(index + 1),
      thousands(rows),
      (bytes / 1e6).toFixed(1),
      seconds.toFixed(2),
      thousands(rows / seconds),
      (bytes / 1e6 / seconds).toFixed(1),
    ]),
  };
}
