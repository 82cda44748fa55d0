import { Connection, loadKeys } from './load.mjs';
import { redisBenchmark } from './redis-benchmark.mjs';
import { megabytes, thousands } from './report.mjs';
import { ask, Server, temporaryDirectory } from './servers.mjs';
import { spread } from './statistics.mjs';
import { keyOf } from './targets.mjs';

const BUDGET_BYTES = 256 * 1024 * 1024;
const RSS_BYTES_MAX = 1.5 * BUDGET_BYTES + 150 * 1024 * 1024;
const RESTART_MS_MAX = 3000;
const SCAN_MS_MAX = 5;
const SCAN_PREFIXES = 50;
const SCAN_COUNT = 100;

/**
 * @typedef {object} LargeOptions
 * @property {boolean} quick a tenth of the keys
 * @property {'vasto' | 'redis'} subject
 * @property {string[]} subjectFlags
 * @property {string | undefined} cpuProfileDir
 * @property {string | undefined} temporaryParent
 */

/** @typedef {{name: string, value: string, bound: string, numbers: number[]}} LargeFigure `numbers` for --json */

/**
 * What a data set larger than the memory budget costs.
 * @param {LargeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 * @returns {Promise<LargeFigure[]>}
 */
export async function measureLarge(options, progress) {
  return [
    ...(await measureBeyondMemory(options, progress)),
    ...(await measurePrefixScan(options, progress)),
    ...(await measureFsyncAlways(options, progress)),
  ];
}

/** @param {LargeOptions} options @param {string} dir @param {string[]} flags */
function subjectOptions(options, dir, flags) {
  const profile = options.cpuProfileDir === undefined ? {} : { cpuProfileDir: options.cpuProfileDir };
  return { kind: options.subject, dir, flags: [...flags, ...options.subjectFlags], ...profile };
}

/**
 * Loading, random reads, memory and restart with far more data than `maxmemory`.
 * @param {LargeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureBeyondMemory(options, progress) {
  const keyCount = options.quick ? 200_000 : 2_000_000;
  const label = `${thousands(keyCount)} keys of 1 KB, maxmemory 256mb`;
  // redis-server as the subject would evict, or refuse, what is beyond its budget.
  const flags = options.subject === 'redis' ? [] : ['--maxmemory', '256mb'];
  const start = subjectOptions(options, temporaryDirectory(options.temporaryParent), flags);
  const server = await Server.start(start);
  const value = (/** @type {number} */ index) => noise(index, 1024);
  const started = performance.now();
  await loadKeys({
    port: server.port,
    count: keyCount,
    key: keyOf,
    value,
    progress: (done) => {
      if (done % 20_000 === 0) progress.show(`${label}: ${thousands(done)} loaded`);
    },
  });
  const loadRate = (keyCount / (performance.now() - started)) * 1000;
  /** @type {LargeFigure[]} */
  const figures = [figure(`${label}: load, 8 connections × 200 SETs`, `${thousands(loadRate)}/s`, loadRate)];
  const peakAfterLoad = server.memory().rssPeak;
  for (const pipeline of [1, 16]) {
    progress.show(`${label}: random GET, pipeline ${pipeline}`);
    const requests = options.quick ? 50_000 : 300_000 * Math.sqrt(pipeline);
    const run = { port: server.port, words: ['-t', 'get'], pipeline, requests, keyCount };
    const result = await redisBenchmark(run);
    const latencies = [result.p50Ms, result.p99Ms, result.p999Ms];
    const latency = latencies.map((ms) => ms.toFixed(2)).join(' / ');
    figures.push(figure(`random GET, 50 clients, P=${pipeline}`, `${thousands(result.rps)}/s`, result.rps));
    figures.push(figure(`  latency p50 / p99 / p99.9`, `${latency} ms`, ...latencies));
  }
  const { rss, rssPeak } = server.memory();
  figures.push(
    figure(
      'RSS after load, at the end',
      `${megabytes(peakAfterLoad)}, ${megabytes(rss)}`,
      peakAfterLoad,
      rss,
    ),
  );
  figures.push(bounded('RSS peak', rssPeak, RSS_BYTES_MAX, megabytes));
  figures.push(...(await measureRestarts(server, start, keyOf(keyCount >> 1), progress)));
  return figures;
}

/**
 * From the start of the process until it answers, after a clean shutdown and after a crash.
 * @param {Server} first running, with data; stopped here
 * @param {import('./servers.mjs').ServerOptions} start
 * @param {string} key one that exists
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureRestarts(first, start, key, progress) {
  /** @type {LargeFigure[]} */
  const figures = [];
  let server = first;
  for (const way of /** @type {const} */ (['stop', 'kill'])) {
    progress.show(`restart after ${way}`);
    await server[way]();
    server = await Server.start(start);
    const got = await ask(server.port, `GET ${key}\r\n`);
    const firstGetMs = performance.now() - server.startedAtMs;
    if (!got.startsWith('$1024')) throw new Error(`a key is missing after ${way}: ${got.slice(0, 100)}`);
    const name = way === 'stop' ? 'SIGTERM' : 'kill -9';
    figures.push(
      figure(`restart after ${name}: first PONG`, milliseconds(server.firstPongMs), server.firstPongMs),
    );
    figures.push(bounded(`restart after ${name}: first GET`, firstGetMs, RESTART_MS_MAX, milliseconds));
  }
  await server.stop();
  return figures;
}

/**
 * A whole SCAN iteration over a prefix that ten keys have.
 * @param {LargeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
async function measurePrefixScan(options, progress) {
  const keyCount = options.quick ? 100_000 : 1_000_000;
  const label = `prefix SCAN, 10 matches among ${thousands(keyCount)}`;
  const server = await Server.start(subjectOptions(options, temporaryDirectory(options.temporaryParent), []));
  progress.show(`${label}: loading`);
  const key = (/** @type {number} */ index) => `user:${String(index).padStart(7, '0')}`;
  await loadKeys({ port: server.port, count: keyCount, key, value: String });
  const connection = await Connection.open(server.port);
  const times = [];
  let calls = 0;
  progress.show(`${label}: scanning`);
  for (let round = 0; round < SCAN_PREFIXES; round++) {
    const prefix = key(Math.floor((round * keyCount) / SCAN_PREFIXES)).slice(0, -1);
    const started = performance.now();
    let cursor = '0';
    let found = 0;
    do {
      const page = await connection.scan(cursor, `${prefix}*`, SCAN_COUNT);
      cursor = page.cursor;
      found += page.keys.length;
      calls++;
    } while (cursor !== '0');
    times.push(performance.now() - started);
    if (found !== 10) throw new Error(`${found} matches of ${prefix}*, not 10`);
  }
  connection.close();
  await server.stop();
  const { median, max } = spread(times);
  const perScan = Math.round(calls / SCAN_PREFIXES);
  const name = `${label}, COUNT ${SCAN_COUNT}, median of ${SCAN_PREFIXES}`;
  return [
    bounded(name, median, SCAN_MS_MAX, milliseconds),
    figure('  slowest; calls a scan', `${milliseconds(max)}; ${perScan}`, max, perScan),
  ];
}

/**
 * SET with `appendfsync always`, beside redis-server with its append-only file in the same mode.
 * @param {LargeOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureFsyncAlways(options, progress) {
  const always = ['--appendfsync', 'always'];
  const redisFlags = ['--appendonly', 'yes', ...always];
  const flags = options.subject === 'redis' ? redisFlags : always;
  const ours = await Server.start(
    subjectOptions(options, temporaryDirectory(options.temporaryParent), flags),
  );
  const dir = temporaryDirectory(options.temporaryParent);
  const redis = await Server.start({ kind: 'redis', dir, flags: redisFlags });
  const figures = [];
  for (const pipeline of [1, 16]) {
    progress.show(`appendfsync always: SET, pipeline ${pipeline}`);
    const requests = (options.quick ? 10_000 : 50_000) * Math.sqrt(pipeline);
    const run = { words: ['-t', 'set'], pipeline, requests };
    const [mine, theirs] = [
      await redisBenchmark({ ...run, port: ours.port }),
      await redisBenchmark({ ...run, port: redis.port }),
    ];
    const value = `${thousands(mine.rps)}/s, p99 ${mine.p99Ms.toFixed(1)} ms`;
    const beside = `redis ${thousands(theirs.rps)}/s, p99 ${theirs.p99Ms.toFixed(1)} ms`;
    figures.push({
      name: `appendfsync always: SET, 50 clients, P=${pipeline}`,
      value,
      bound: beside,
      numbers: [mine.rps, theirs.rps],
    });
  }
  await Promise.all([ours.stop(), redis.stop()]);
  return figures;
}

/** @param {LargeFigure[]} figures @returns {import('./report.mjs').Sheet} */
export function largeSheet(figures) {
  return {
    head: ['what', 'measured', 'bound'],
    rows: figures.map(({ name, value, bound }) => [name, value, bound]),
  };
}

/** @param {string} name @param {string} value @param {number[]} numbers @returns {LargeFigure} */
function figure(name, value, ...numbers) {
  return { name, value, bound: '', numbers };
}

/** @param {string} name @param {number} value @param {number} max @param {(value: number) => string} format */
function bounded(name, value, max, format) {
  return {
    name,
    value: format(value),
    bound: `${format(max)}: ${value <= max ? 'kept' : 'EXCEEDED'}`,
    numbers: [value],
  };
}

/** @param {number} ms */
function milliseconds(ms) {
  return ms < 100 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`;
}

const BASE = Array.from({ length: 4096 }, (_, index) =>
  ((Math.imul(index, 2654435761) >>> 8) % 36).toString(36),
).join('');

/** Text that differs from key to key and compresses little. @param {number} index @param {number} length */
export function noise(index, length) {
  const from = Math.imul(index, 40503) & 2047;
  return String(index).padEnd(12, '.') + BASE.slice(from, from + length - 12);
}
