import { spawnTracked } from './servers.mjs';
import { CLIENTS, KEY_COUNT, VALUE_BYTES } from './targets.mjs';

/**
 * @typedef {object} Measurement
 * @property {number} rps requests a second
 * @property {number} p50Ms
 * @property {number} p99Ms
 * @property {number} p999Ms the first percentile that redis-benchmark prints from 99.9 on
 * @property {number} maxMs
 */

/**
 * @typedef {object} BenchmarkRun
 * @property {number} port
 * @property {string[]} words the test, see targets.mjs
 * @property {number} pipeline
 * @property {number} requests
 * @property {number} [keyCount] in a cluster, for each slot
 * @property {boolean} [isCluster] whether the port is a node's of a cluster, all of which are to be driven
 * @property {number} [database] the number that is selected
 * @property {number} [valueBytes]
 * @property {string} [cpus] the processors that redis-benchmark may use, as taskset takes them
 */

/**
 * Drives a server with redis-benchmark.
 * @param {BenchmarkRun} run
 * @returns {Promise<Measurement>}
 */
export async function redisBenchmark(run) {
  const { port, words, pipeline, requests, keyCount = KEY_COUNT, valueBytes = VALUE_BYTES } = run;
  // Its clients are served in turn: fewer requests than clients × pipeline would leave some idle.
  const count = Math.max(requests, CLIENTS * pipeline);
  const shared = { '-p': port, '-c': CLIENTS, '-d': valueBytes, '-r': keyCount, '-P': pipeline, '-n': count };
  const flags = Object.entries(shared).flatMap(([flag, value]) => [flag, String(value)]);
  const mode = run.isCluster === true ? ['--cluster'] : [];
  const database = run.database === undefined ? [] : ['--dbnum', String(run.database)];
  const line = ['redis-benchmark', ...mode, ...database, ...flags, ...words];
  const [program, ...args] = run.cpus === undefined ? line : ['taskset', '-c', run.cpus, ...line];
  const output = await outputOf(program, args);
  return parseSummary(output);
}

/** @param {string} program @param {string[]} args @returns {Promise<string>} */
function outputOf(program, args) {
  const child = spawnTracked(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code) => {
      if (code === 0) done(output);
      else failed(new Error(`${program} ${args.join(' ')} failed: ${errors}${output.slice(-500)}`));
    });
  });
}

/**
 * Reads the long form of redis-benchmark's output, which unlike --csv has the percentiles beyond 99.
 * @param {string} output
 * @returns {Measurement}
 */
export function parseSummary(output) {
  const rps = Number(/throughput summary: ([\d.]+)/.exec(output)?.[1]);
  const summary = /avg\s+min\s+p50\s+p95\s+p99\s+max\s+([\d.\s]+)/.exec(output)?.[1];
  if (summary === undefined || !(rps > 0))
    throw new Error(`not redis-benchmark's output: ${output.slice(-500)}`);
  const [, , p50Ms, , p99Ms, maxMs] = summary.trim().split(/\s+/).map(Number);
  const rows = [...output.matchAll(/^([\d.]+)% <= ([\d.]+) milliseconds/gm)];
  const p999 = rows.find((row) => Number(row[1]) >= 99.9);
  return { rps, p50Ms: p50Ms ?? 0, p99Ms: p99Ms ?? 0, p999Ms: Number(p999?.[2] ?? maxMs), maxMs: maxMs ?? 0 };
}
