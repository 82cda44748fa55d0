import { loadKeys } from './load.mjs';
import { redisBenchmark } from './redis-benchmark.mjs';
import { Server, temporaryDirectory } from './servers.mjs';
import { spread } from './statistics.mjs';
import { KEY_COUNT, keyOf, targetOf, VALUE_BYTES } from './targets.mjs';

/**
 * @typedef {object} ThroughputRow
 * @property {string} test
 * @property {number} pipeline
 * @property {number[]} oursRps
 * @property {number[]} redisRps
 * @property {{median: number, min: number, max: number}} ratio ours to redis, round by round
 * @property {number} [floor]
 * @property {number} [aim]
 */

/**
 * @typedef {object} ThroughputOptions
 * @property {import('./targets.mjs').BenchTest[]} tests
 * @property {number[]} pipelines
 * @property {number} rounds
 * @property {number} seconds about how long redis-server is to be busy with one measurement
 * @property {import('./targets.mjs').BenchTest[][]} [groups] the tests in groups, of which the last one makes as many requests as the
 *   others together, and these as many as each other
 * @property {boolean} [isSizedBySlower] whether the slower of the two is to be busy for so long
 * @property {'vasto' | 'redis'} subject
 * @property {string[]} subjectFlags
 * @property {string | undefined} cpuProfileDir
 * @property {string | undefined} temporaryParent
 */

/**
 * What redis-benchmark is pointed at.
 * @typedef {Pick<import('./redis-benchmark.mjs').BenchmarkRun, 'port' | 'database' | 'isCluster' | 'keyCount' | 'cpus'>
 *   & {around?: Around}} Side
 */

/**
 * Does what belongs to a measurement and is not redis-benchmark's.
 * @callback Around
 * @param {() => Promise<import('./redis-benchmark.mjs').Measurement>} run
 * @param {{test: import('./targets.mjs').BenchTest, pipeline: number, requests: number, isWarmUp?: boolean}} row
 * @returns {Promise<import('./redis-benchmark.mjs').Measurement>}
 */

/**
 * Measures the subject and redis-server in turns: both run all the time, every round does every test on both,
 * one right after the other, so that whatever else the machine does disturbs both. A round's ratio is of
 * neighbours in time; which of the two goes first alternates.
 * @param {ThroughputOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureThroughput(options, progress) {
  progress.show('starting the servers');
  const ours = await Server.start({
    kind: options.subject,
    dir: temporaryDirectory(options.temporaryParent),
    flags: options.subjectFlags,
    ...(options.cpuProfileDir === undefined ? {} : { cpuProfileDir: options.cpuProfileDir }),
  });
  const redis = await Server.start({ kind: 'redis', dir: temporaryDirectory(options.temporaryParent) });
  for (const { port } of [ours, redis]) await loadBenchmarkKeys(port, progress);
  const measured = await measureInTurns(options, ours, redis, progress);
  const rows = measured.map((row) => ({ ...row, ...targetOf(row.test, row.pipeline) }));
  const memory = { ours: ours.memory(), redis: redis.memory() };
  await Promise.all([ours.stop(), redis.stop()]);
  return { rows, memory };
}

/**
 * Every test in every pipeline depth on both sides, in rounds.
 * @param {ThroughputOptions} options
 * @param {Side} ours @param {Side} redis
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureInTurns(options, ours, redis, progress) {
  const rows = options.pipelines.flatMap((pipeline) =>
    options.tests.map((test) => ({ test, pipeline, requests: 0, oursRps: [], redisRps: [] })),
  );
  for (const row of rows) {
    progress.show(`warming up: ${row.test.name}, pipeline ${row.pipeline}`);
    row.requests = await requestsFor(row, [ours, redis], options);
  }
  for (const pipeline of options.pipelines)
    for (const group of options.groups ?? [])
      balance(rows.filter((row) => row.pipeline === pipeline && group.includes(row.test)));
  for (let round = 0; round < options.rounds; round++) {
    for (const row of rows) {
      progress.show(`round ${round + 1} of ${options.rounds}: ${row.test.name}, pipeline ${row.pipeline}`);
      await measureRow(row, ours, redis, round);
    }
  }
  return rows.map(summarize);
}

/** @param {number} port @param {import('./progress.mjs').Progress} progress */
async function loadBenchmarkKeys(port, progress) {
  progress.show(`loading ${KEY_COUNT} keys into port ${port}`);
  const value = 'x'.repeat(VALUE_BYTES);
  await loadKeys({ port, count: KEY_COUNT, key: keyOf, value: () => value });
}

/** Makes the last test of a group take away what the others add. @param {{requests: number}[]} rows */
function balance(rows) {
  const fewest = Math.min(...rows.map(({ requests }) => requests));
  for (const [index, row] of rows.entries())
    row.requests = index > 0 && index === rows.length - 1 ? fewest * index : fewest;
}

/**
 * Lets both servers compile and cache what a test needs, and sizes its measurements.
 * @param {{test: import('./targets.mjs').BenchTest, pipeline: number}} row
 * @param {[Side, Side]} sides ours and redis
 * @param {Pick<ThroughputOptions, 'seconds' | 'isSizedBySlower'>} options
 */
async function requestsFor(row, sides, { seconds, isSizedBySlower }) {
  const rates = [];
  for (const side of sides) {
    const first = await rateOf(side, { ...row, requests: 2000, isWarmUp: true });
    const most = 20_000 * Math.sqrt(row.pipeline);
    const requests = Math.round(isSizedBySlower ? Math.min(most, first * seconds) : most);
    rates.push(await rateOf(side, { ...row, requests, isWarmUp: true }));
  }
  const rps = isSizedBySlower ? Math.min(...rates) : (rates[1] ?? 0);
  return Math.max(1000, Math.round(rps * seconds));
}

/**
 * @param {{test: import('./targets.mjs').BenchTest, pipeline: number, requests: number,
 *   oursRps: number[], redisRps: number[]}} row
 * @param {Side} ours @param {Side} redis @param {number} round
 */
async function measureRow(row, ours, redis, round) {
  if (round % 2 === 0) {
    row.oursRps.push(await rateOf(ours, row));
    row.redisRps.push(await rateOf(redis, row));
  } else {
    row.redisRps.push(await rateOf(redis, row));
    row.oursRps.push(await rateOf(ours, row));
  }
}

/**
 * @param {Side} side
 * @param {Parameters<Around>[1]} row
 * @returns {Promise<number>} requests a second
 */
async function rateOf(side, row) {
  const { port, database, isCluster, around } = side;
  const { test, pipeline, requests } = row;
  const keyCount = test.keyCount ?? side.keyCount;
  const where = { port, ...(database !== undefined && { database }) };
  const target = { ...where, ...(isCluster && { isCluster }), ...(keyCount && { keyCount }) };
  const run = () => redisBenchmark({ ...target, words: test.words, pipeline, requests });
  return (await (around === undefined ? run() : around(run, row))).rps;
}

/**
 * @param {{test: import('./targets.mjs').BenchTest, pipeline: number, oursRps: number[], redisRps: number[]}} row
 * @returns {ThroughputRow}
 */
function summarize({ test, pipeline, oursRps, redisRps }) {
  const ratio = spread(oursRps.map((rps, round) => rps / redisRps[round]));
  return { test: test.name, pipeline, oursRps, redisRps, ratio };
}
