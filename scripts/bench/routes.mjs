import { redisBenchmark } from './redis-benchmark.mjs';
import { ask, until } from './servers.mjs';
import { Stores } from './stores.mjs';
import { KEY_COUNT, TESTS, VALUE_BYTES } from './targets.mjs';
import { measureInTurns } from './throughput.mjs';

/*
 * What it costs that keys are elsewhere, or in several shards: a gateway beside the store that it forwards to, and a
 * keyspace of four shards beside one of one shard, on the same store. redis-benchmark reaches keyspaces by their numbers.
 */

const ONE = 20;
const FOUR = 21;

/** The least that the ratios have to reach. @type {Record<string, number>} */
const FORWARDED_FLOORS = { 'GET 1': 0.5, 'GET 16': 0.6 };
const SHARDED_FLOOR = 0.9;

/**
 * @param {import('./throughput.mjs').ThroughputOptions} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureRoutes(options, progress) {
  progress.show('starting the cluster');
  const cluster = await Stores.start(options);
  const store = await cluster.addStore();
  const gateway = await cluster.addGateway();
  await cluster.createKeyspace(store, `s1 SHARDS 1 DB ${ONE}`);
  await cluster.createKeyspace(store, `s4 SHARDS 4 DB ${FOUR}`);
  await until('the gateway knows them', async () =>
    (await ask(gateway.port, `SELECT ${FOUR}\r\n`)).startsWith('+OK'),
  );
  for (const database of [ONE, FOUR]) {
    progress.show(`loading ${KEY_COUNT} keys into database ${database}`);
    const load = { port: store.port, database, words: ['-t', 'set'], pipeline: 16, valueBytes: VALUE_BYTES };
    await redisBenchmark({ ...load, requests: 4 * KEY_COUNT });
  }
  const tests = TESTS.filter(({ name }) => ['GET', 'SET', 'INCR'].includes(name));
  const job = { ...options, tests: options.tests.length > 0 ? options.tests : tests };
  const direct = { port: store.port, database: ONE };
  const forwarded = await measureInTurns(job, { port: gateway.port, database: ONE }, direct, progress);
  const sharded = await measureInTurns(job, { port: store.port, database: FOUR }, direct, progress);
  await gateway.stop();
  await cluster.stop();
  return {
    forwarded: forwarded.map((row) => withFloor(row, FORWARDED_FLOORS[`${row.test} ${row.pipeline}`])),
    sharded: sharded.map((row) => withFloor(row, SHARDED_FLOOR)),
  };
}

/** @param {import('./throughput.mjs').ThroughputRow} row @param {number | undefined} floor */
function withFloor(row, floor) {
  return floor === undefined ? row : { ...row, floor };
}
