import { redisBenchmark } from './redis-benchmark.mjs';
import { ask, Server, temporaryDirectory, until } from './servers.mjs';
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
  const start = async (/** @type {'master' | 'store' | 'gateway'} */ role, /** @type {string[]} */ flags) =>
    Server.start({
      kind: 'vasto',
      role,
      dir: temporaryDirectory(options.temporaryParent),
      flags: [...flags, ...options.subjectFlags],
    });
  const master = await start('master', []);
  const joins = ['--master', `127.0.0.1:${master.port}`];
  const store = await start('store', joins);
  const gateway = await start('gateway', joins);
  for (const [number, shards] of [
    [ONE, 1],
    [FOUR, 4],
  ])
    await until('the keyspaces are made', async () =>
      (
        await ask(store.port, `VASTO KEYSPACE CREATE s${shards} SHARDS ${shards} DB ${number}\r\n`)
      ).startsWith('+OK'),
    );
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
  await Promise.all([gateway, store, master].map((server) => server.stop()));
  return {
    forwarded: forwarded.map((row) => withFloor(row, FORWARDED_FLOORS[`${row.test} ${row.pipeline}`])),
    sharded: sharded.map((row) => withFloor(row, SHARDED_FLOOR)),
  };
}

/** @param {import('./throughput.mjs').ThroughputRow} row @param {number | undefined} floor */
function withFloor(row, floor) {
  return floor === undefined ? row : { ...row, floor };
}
