import { Buffer } from 'node:buffer';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, fieldsOf, info } from './client.mjs';
import { loadKeys } from './load.mjs';
import { thousands } from './report.mjs';
import { median, percentile } from './statistics.mjs';
import { SteadyLoad } from './steady-load.mjs';
import { Stores } from './stores.mjs';
import { keyOf, VALUE_BYTES } from './targets.mjs';

/*
 * A keyspace goes from three shards on three stores to four, while clients read and write at a constant rate; then a
 * small one gets a shard more again and again, for the distribution of the pauses at hand-over. All of the stores share
 * this machine with the clients.
 */

const SHARDS = 3;
const SHARDS_MAX = 8;
const SMALL_KEYS = 20_000;
const CONNECTIONS = 24;
const LATENCY_RATIO_MAX = 3;
const POLL_EVERY_MS = 100;

/**
 * @typedef {object} ResizeOptions
 * @property {number} keys
 * @property {number} rate operations a second of the clients
 * @property {number} seconds of load before, and after
 * @property {string[]} subjectFlags
 * @property {string | undefined} cpuProfileDir
 * @property {string | undefined} temporaryParent
 */

/** @typedef {{rows: number, bytes: number, seconds: number, phases: string[]}} Change */

/**
 * @param {ResizeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureResize(options, progress) {
  progress.show('starting the cluster');
  const cluster = await Stores.start(options);
  for (let store = 0; store < SHARDS; store++) await cluster.addStore();
  const [first] = cluster.stores;
  await cluster.createKeyspace(first, `large SHARDS ${SHARDS} DB 0`);
  progress.show(`loading ${thousands(options.keys)} keys`);
  const started = performance.now();
  await loadKeys({ port: first.port, count: options.keys, key: keyOf, value });
  const loadRate = (options.keys / (performance.now() - started)) * 1000;
  // The one that the new shard goes to.
  await cluster.addStore();
  const large = await measureLargeResize(cluster, options, progress);
  const waits = await measureWaits(cluster, options, progress);
  const pauses = await Promise.all(cluster.stores.map(pausesOf));
  await cluster.stop();
  return { keys: options.keys, rate: options.rate, loadRate, ...large, waits, pauses };
}

const VALUE = 'x'.repeat(VALUE_BYTES);
const value = () => VALUE;

/** @param {Stores} cluster @param {ResizeOptions} options @param {import('./progress.mjs').Progress} progress */
async function measureLargeResize(cluster, { keys, rate, seconds }, progress) {
  const ports = cluster.stores.slice(0, SHARDS).map(({ port }) => port);
  const load = await SteadyLoad.start({
    ports,
    connections: CONNECTIONS,
    rate,
    keyCount: keys,
    key: keyOf,
    value,
  });
  const control = await Client.open(ports[0]);
  progress.show('warming up');
  await load.during([], seconds);
  progress.show('before');
  await load.during(['before'], seconds);
  const change = await resize(control, load, 'large', SHARDS + 1, progress);
  progress.show('after');
  await load.during(['after'], seconds);
  await load.stop();
  const [there] = await shardKeys(control, 'large', SHARDS);
  control.close();
  const latencies = ['before', ...change.phases, 'during', 'after'].map((phase) => ({
    phase,
    ...load.summary(phase),
  }));
  return { change, keysThere: there, latencies };
}

/**
 * Has a keyspace get another number of shards, and waits until nothing is left to do.
 * @param {Client} control @param {SteadyLoad} load @param {string} keyspace @param {number} shards
 * @param {import('./progress.mjs').Progress} progress
 * @returns {Promise<Change>}
 */
async function resize(control, load, keyspace, shards, progress) {
  const startedMs = performance.now();
  const phases = new Set(['prepare']);
  let [rows, bytes] = [0, 0];
  let phase = 'prepare';
  load.enter(['during', phase]);
  await control.call('VASTO', 'KEYSPACE', 'RESIZE', keyspace, String(shards));
  for (;;) {
    const tasks = /** @type {import('./client.mjs').Reply[]} */ (await control.call('VASTO', 'TASKS'));
    if (tasks.length === 0) break;
    const task = fieldsOf(tasks[0]);
    if (Number(task.rows) > rows) [rows, bytes] = [Number(task.rows), Number(task.bytes)];
    if (task.phase !== phase) {
      phase = String(task.phase);
      phases.add(phase);
      load.enter(['during', phase]);
    }
    progress.show(`${keyspace} to ${shards} shards: ${phase}`);
    await new Promise((done) => setTimeout(done, POLL_EVERY_MS));
  }
  load.enter([]);
  return { rows, bytes, seconds: (performance.now() - startedMs) / 1000, phases: [...phases] };
}

// ---------------------------------------------------------------- pauses

/**
 * @typedef {object} Waits milliseconds; one figure for each shard of each change
 * @property {number[]} staying longest waits for keys of shards that gave something away, and kept these
 * @property {number[]} moving longest waits for keys that went from a shard to another
 */

/**
 * How long clients waited, at most, for keys of each shard at each of several changes: about as long as they were held.
 * @param {Stores} cluster @param {ResizeOptions} options @param {import('./progress.mjs').Progress} progress
 * @returns {Promise<Waits>}
 */
async function measureWaits(cluster, { rate }, progress) {
  const { shardsOfSlots, keySlot } = await placement();
  const [first] = cluster.stores;
  await cluster.createKeyspace(first, `small SHARDS ${SHARDS} DB 1`);
  await loadKeys({ port: first.port, database: 1, count: SMALL_KEYS, key: keyOf, value });
  const slots = Array.from({ length: SMALL_KEYS }, (_, index) => keySlot(Buffer.from(keyOf(index))));
  const ports = cluster.stores.map(({ port }) => port);
  const load = await SteadyLoad.start({
    ports,
    database: 1,
    connections: CONNECTIONS,
    rate,
    keyCount: SMALL_KEYS,
    key: keyOf,
    value,
  });
  const control = await Client.open(first.port);
  /** @type {Waits} */
  const waits = { staying: [], moving: [] };
  await load.during([], 1);
  for (let shards = SHARDS; shards < SHARDS_MAX; shards++) {
    const [from, to] = [shardsOfSlots(shards), shardsOfSlots(shards + 1)];
    const staying = new Array(shards).fill(0);
    const moving = new Array(shards).fill(0);
    load.onDone = (index, ms) => {
      const shard = from[slots[index]];
      const longest = to[slots[index]] === shard ? staying : moving;
      if (ms > longest[shard]) longest[shard] = ms;
    };
    await resize(control, load, 'small', shards + 1, progress);
    waits.staying.push(...staying);
    waits.moving.push(...moving);
  }
  await load.stop();
  control.close();
  return waits;
}

/**
 * For how long shards of a store took no commands, as it says itself: of all the changes.
 * @param {import('./servers.mjs').Server} store
 */
async function pausesOf({ port }) {
  const client = await Client.open(port);
  const fields = await info(client, 'replication');
  client.close();
  const ms = (/** @type {string} */ name) => fields[`vasto_handover_pause_${name}_ms`];
  return { count: fields.vasto_handover_pauses, p50Ms: ms('p50'), p99Ms: ms('p99'), maxMs: ms('max') };
}

/** Where keys are, as the build has it. */
async function placement() {
  const dist = resolve(process.env.VASTO_DIST ?? 'dist');
  const part = (/** @type {string} */ path) => import(pathToFileURL(resolve(dist, path)).href);
  const { shardsOfSlots } = await part('cluster/jump-hash.js');
  const { keySlot } = await part('cluster/slots.js');
  return { shardsOfSlots, keySlot };
}

/** How many keys each shard has, from one on. @param {Client} control @param {string} keyspace @param {number} from */
async function shardKeys(control, keyspace, from) {
  const { placement: shards } = fieldsOf(await control.call('VASTO', 'KEYSPACE', 'DESCRIBE', keyspace));
  return /** @type {import('./client.mjs').Reply[]} */ (shards)
    .slice(from)
    .map((shard) => Number(fieldsOf(shard).keys));
}

// ---------------------------------------------------------------- tables

/** @param {Awaited<ReturnType<typeof measureResize>>} figures @returns {import('./report.mjs').Sheet[]} */
export function resizeSheets({ keys, rate, change, keysThere, latencies, waits, pauses }) {
  const ideal = keys / (SHARDS + 1);
  const copySeconds = latencies.find(({ phase }) => phase === 'prepare')?.seconds ?? change.seconds;
  const megabytes = change.bytes / 1e6;
  const row = (/** @type {string[]} */ ...cells) => cells;
  const summary = {
    head: ['what', 'measured', 'bound'],
    rows: [
      row(`${thousands(keys)} keys, ${SHARDS} to ${SHARDS + 1} shards`, `${change.seconds.toFixed(1)} s`, ''),
      row(
        'rows copied, of all',
        `${thousands(change.rows)}, ${(change.rows / keys).toFixed(4)}`,
        `${thousands(ideal)}, 0.2500`,
      ),
      row('bytes copied', `${megabytes.toFixed(1)} MB, ${(change.rows / ideal).toFixed(3)} of the ideal`, ''),
      row(
        'copy rate under load',
        `${thousands(change.rows / copySeconds)} rows/s, ${(megabytes / copySeconds).toFixed(1)} MB/s`,
        '',
      ),
      row('keys in the new shard', thousands(keysThere), ''),
    ],
  };
  return [summary, latencySheet(rate, latencies), waitSheet(waits), pauseSheet(pauses)];
}

/** @param {number} rate @param {Awaited<ReturnType<typeof measureResize>>['latencies']} latencies */
function latencySheet(rate, latencies) {
  const before = latencies.find(({ phase }) => phase === 'before');
  const ms = (/** @type {number} */ value) => `${value.toFixed(2)} ms`;
  return {
    head: [
      `${thousands(rate)} operations/s`,
      'seconds',
      'p50',
      'p99',
      'p99.9',
      'max',
      'p99 to before',
      'bound',
    ],
    rows: latencies.map(({ phase, seconds, p50Ms, p99Ms, p999Ms, maxMs }) => {
      const ratio = p99Ms / (before?.p99Ms ?? p99Ms);
      const verdict = ratio <= LATENCY_RATIO_MAX ? 'kept' : 'EXCEEDED';
      const bound = phase === 'during' ? `${LATENCY_RATIO_MAX}: ${verdict}` : '';
      return [
        phase,
        seconds.toFixed(1),
        ms(p50Ms),
        ms(p99Ms),
        ms(p999Ms),
        ms(maxMs),
        ratio.toFixed(2),
        bound,
      ];
    }),
  };
}

/** @param {Waits} waits */
function waitSheet({ staying, moving }) {
  const ms = (/** @type {number} */ value) => `${Math.round(value)} ms`;
  const row = (/** @type {string} */ name, /** @type {number[]} */ values) => [
    name,
    String(values.length),
    ...[Math.min(...values), median(values), percentile(values, 90), Math.max(...values)].map(ms),
  ];
  return {
    head: ['longest wait at a hand-over', 'shards', 'min', 'median', 'p90', 'max'],
    rows: [row('keys that stay', staying), row('keys that go to another shard', moving)],
  };
}

/** @param {Awaited<ReturnType<typeof pausesOf>>[]} pauses */
function pauseSheet(pauses) {
  const ms = (/** @type {number} */ value) => `${value.toFixed(1)} ms`;
  return {
    head: ['shards stood still, by store', 'times', 'p50', 'p99', 'max'],
    rows: pauses.map(({ count, p50Ms, p99Ms, maxMs }, index) => [
      `store ${index + 1}`,
      String(count),
      ms(p50Ms),
      ms(p99Ms),
      ms(maxMs),
    ]),
  };
}
