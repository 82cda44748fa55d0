import { redisBenchmark } from './redis-benchmark.mjs';
import { ask, Server, temporaryDirectory, until } from './servers.mjs';
import { Stores } from './stores.mjs';
import { KEY_COUNT, VALUE_BYTES } from './targets.mjs';
import { measureInTurns } from './throughput.mjs';

/*
 * Three stores of one master beside three redis-servers in cluster mode, both driven by redis-benchmark --cluster, which
 * sends each command to the node of its key. All of them share the machine: what comes out is a ratio, not how fast
 * either would be on machines of its own.
 */

const NODES = 3;
const SLOTS = 16384;
const KEYSPACE = 'bench';

/** redis-benchmark puts a tag of a slot of the node in place of `{tag}`: there are so many keys for each. */
const KEYS_A_SLOT = Math.ceil(KEY_COUNT / SLOTS);
const RANDOM_KEY = 'key:{tag}:__rand_int__';

/** @type {import('./targets.mjs').BenchTest[]} */
export const CLUSTER_TESTS = [
  { name: 'GET', words: ['-t', 'get'] },
  { name: 'SET', words: ['-t', 'set'] },
  { name: 'INCR', words: ['-t', 'incr'] },
  { name: 'MGET', words: ['MGET', ...Array(10).fill(RANDOM_KEY)] },
];

/**
 * A cluster under measurement.
 * @typedef {object} Cluster
 * @property {import('./throughput.mjs').Side} side
 * @property {Server[]} servers all of its processes
 */

/**
 * @param {import('./throughput.mjs').ThroughputOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureCluster(options, progress) {
  progress.show('starting the clusters');
  const ours = await (options.subject === 'redis' ? startRedis(options) : startVasto(options));
  const redis = await startRedis(options);
  for (const { side } of [ours, redis]) {
    progress.show(`loading about ${KEY_COUNT} keys through port ${side.port}`);
    const words = ['-t', 'set'];
    await redisBenchmark({ ...side, words, pipeline: 16, requests: 4 * KEY_COUNT, valueBytes: VALUE_BYTES });
  }
  const rows = await measureInTurns(options, ours.side, redis.side, progress);
  const memory = { ours: memoryOf(ours), redis: memoryOf(redis) };
  await Promise.all([...ours.servers, ...redis.servers].map((server) => server.stop()));
  return { rows, memory };
}

/** @param {Cluster} cluster */
function memoryOf({ servers }) {
  const all = servers.map((server) => server.memory());
  const sum = (/** @type {'rss' | 'rssPeak'} */ field) => all.reduce((total, each) => total + each[field], 0);
  return { rss: sum('rss'), rssPeak: sum('rssPeak') };
}

/** @param {number} port @returns {import('./throughput.mjs').Side} */
function sideAt(port) {
  return { port, isCluster: true, keyCount: KEYS_A_SLOT };
}

// ---------------------------------------------------------------- Vasto

/**
 * One master, three stores, and a keyspace of three shards.
 * @param {import('./throughput.mjs').ThroughputOptions} options
 * @returns {Promise<Cluster>}
 */
async function startVasto(options) {
  const cluster = await Stores.start(options);
  const doors = [];
  for (let node = 0; node < NODES; node++) {
    const door = await Server.freePort();
    await cluster.addStore(['--cluster-port', String(door), KEYSPACE]);
    doors.push(door);
  }
  await cluster.createKeyspace(cluster.stores[0], `${KEYSPACE} SHARDS ${NODES}`);
  for (const door of doors) await until('all slots are served', () => isWhole(door));
  return { side: sideAt(doors[0]), servers: cluster.servers };
}

// ---------------------------------------------------------------- Redis

/**
 * @param {Pick<import('./throughput.mjs').ThroughputOptions, 'temporaryParent'>} options
 * @returns {Promise<Cluster>}
 */
async function startRedis({ temporaryParent }) {
  const servers = [];
  for (let node = 0; node < NODES; node++)
    servers.push(
      await Server.start({
        kind: 'redis',
        dir: temporaryDirectory(temporaryParent),
        flags: ['--cluster-enabled', 'yes'],
      }),
    );
  for (const [node, { port }] of servers.entries()) {
    const first = Math.floor((node * SLOTS) / NODES);
    const last = Math.floor(((node + 1) * SLOTS) / NODES) - 1;
    await ask(port, `CLUSTER ADDSLOTSRANGE ${first} ${last}\r\n`);
    await ask(port, `CLUSTER SET-CONFIG-EPOCH ${node + 1}\r\n`);
    if (node > 0) await ask(servers[0].port, `CLUSTER MEET 127.0.0.1 ${port}\r\n`);
  }
  for (const { port } of servers) await until('redis-servers are one cluster', () => isWhole(port));
  return { side: sideAt(servers[0].port), servers };
}

/** @param {number} port whether all nodes are known there, and all slots served */
async function isWhole(port) {
  const info = await ask(port, 'CLUSTER INFO\r\n');
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${NODES}`);
}
