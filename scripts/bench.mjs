// Measures vasto beside redis-server on this machine; `npm run bench -- --help` tells the options.
import { mkdirSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { CLUSTER_TESTS, measureCluster } from './bench/cluster.mjs';
import { COLLECTION_TESTS, measureCollections } from './bench/collections.mjs';
import { hugeSheets, measureHuge } from './bench/huge.mjs';
import { largeSheet, measureLarge } from './bench/large.mjs';
import { Progress } from './bench/progress.mjs';
import { copySheet, followingSheets, measureReplication } from './bench/replication.mjs';
import {
  environment,
  markdownEnvironment,
  markdownTable,
  memorySheet,
  terminalTable,
  throughputSheet,
} from './bench/report.mjs';
import { measureResize, resizeSheets } from './bench/resize.mjs';
import { measureRoutes } from './bench/routes.mjs';
import { cleanUp } from './bench/servers.mjs';
import { customTest, TESTS } from './bench/targets.mjs';
import { measureThroughput } from './bench/throughput.mjs';

const program = new Command('npm run bench --')
  .description('Measures vasto beside redis-server in interleaved rounds.')
  .argument('[flags...]', 'after --: further flags of the vasto server, such as -- --workers 2')
  .option('--rounds <n>', 'rounds; medians are over them', positive, 5)
  .option(
    '--seconds <s>',
    'length of one measurement of redis-server (default: 2, with --cluster 5; with --collections, of the slower one: 0.5; with --resize, of the load before and after: 10)',
    positive,
  )
  .option(
    '--quick',
    'three short rounds; with --huge, 200,000 elements; with --large, --collections, --replication and --resize, a tenth of the data',
  )
  .option('--only <names>', 'tests, comma-separated: PING,GET,SET,INCR,MGET,MSET', list)
  .option('--pipeline <depths>', 'pipeline depths, comma-separated', numbers, [1, 16, 64])
  .option('--command <line>', 'a further test (repeatable); key:__rand_int__ is a random key', collect, [])
  .option('--large', 'data beyond memory, restart, prefix SCAN and appendfsync always instead')
  .option('--cluster', 'three stores of one master beside three redis-servers in cluster mode instead')
  .option(
    '--collections',
    'hashes, lists, sets, sorted sets and streams instead: small ones, and of a million elements',
  )
  .option(
    '--huge',
    'a hash, set, sorted set, list and stream of ten million elements each instead: filling, single commands, restart, and how they go; --only hash,set,zset,list,stream',
  )
  .option('--elements <n>', 'with --huge: elements of each (default: 10000000), in hundreds', positive)
  .option('--routes', 'a gateway beside the store it forwards to, and four shards beside one, instead')
  .option(
    '--replication',
    'two copies beside one, how far the second is behind, and the rate of copies, instead',
  )
  .option('--resize', 'a keyspace that goes from three shards to four under load instead')
  .option('--keys <n>', 'keys to be copied (default: 300000), or resized (default: 2000000)', positive)
  .option('--rate <n>', 'with --resize: operations a second of the clients', positive, 2000)
  .option('--subject <kind>', 'vasto, or redis to test the benchmark itself', kind, 'vasto')
  .option('--cpu-prof <dir>', 'let the subject leave CPU profiles of its threads there')
  .option('--tmp <dir>', 'where the servers keep their data')
  .option('--json <file>', 'write all figures there')
  .option('--markdown', 'print tables for docs/BENCHMARKS.md');

process.once('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));

try {
  await main();
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  cleanUp();
}

async function main() {
  program.parse();
  const options = program.opts();
  const progress = new Progress();
  const shared = {
    subject: options.subject,
    subjectFlags: program.args,
    cpuProfileDir: options.cpuProf,
    temporaryParent: options.tmp,
  };
  for (const directory of [options.cpuProf, options.tmp]) {
    if (directory !== undefined) mkdirSync(directory, { recursive: true });
  }
  const facts = environment(options.subject, ['npm run bench --', ...process.argv.slice(2)].join(' '));
  const { sheets, figures } = await run(shared, options, progress);
  progress.clear();
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify({ environment: facts, ...figures }, undefined, 2)}\n`);
  }
  const format = options.markdown ? markdownTable : terminalTable;
  process.stdout.write(`${markdownEnvironment(facts)}\n\n${sheets.map(format).join('\n\n')}\n`);
}

function run(shared, options, progress) {
  if (options.large) return runLarge({ ...shared, quick: options.quick === true }, progress);
  if (options.collections) return runCollections(shared, options, progress);
  if (options.huge) return runHuge(shared, options, progress);
  if (options.resize) return runResize(shared, options, progress);
  return runThroughput(shared, options, progress);
}

async function runThroughput(shared, options, progress) {
  const [known, measure] = options.cluster ? [CLUSTER_TESTS, measureCluster] : [TESTS, measureThroughput];
  // With threads, as it drives clusters, redis-benchmark measures time in steps of a quarter of a second.
  const [seconds, quickSeconds] = options.cluster ? [5, 1] : [2, 0.3];
  const tests = options.only === undefined ? known : namedTests(known, options.only);
  const job = {
    ...shared,
    tests: [...tests, ...options.command.map(customTest)],
    pipelines: options.pipeline,
    rounds: options.quick ? Math.min(3, options.rounds) : options.rounds,
    seconds: options.quick ? quickSeconds : (options.seconds ?? seconds),
  };
  if (options.routes)
    return runRoutes(
      { ...job, pipelines: options.pipeline.filter((depth) => depth < 64) },
      options,
      progress,
    );
  if (options.replication) return runReplication(job, options, progress);
  const figures = await measure(job, progress);
  return { sheets: [throughputSheet(figures.rows), memorySheet(figures.memory)], figures };
}

async function runRoutes(job, options, progress) {
  const figures = await measureRoutes(
    { ...job, tests: options.only === undefined ? [] : job.tests },
    progress,
  );
  const forwarded = throughputSheet(figures.forwarded, ['forwarded', 'direct']);
  return { sheets: [forwarded, throughputSheet(figures.sharded, ['four shards', 'one'])], figures };
}

async function runCollections(shared, options, progress) {
  if (options.command.length > 0)
    throw new Error('--collections has no --command: its tests need what they find');
  const only = options.only?.map((name) => name.toUpperCase());
  for (const name of only ?? [])
    if (!COLLECTION_TESTS.includes(name))
      throw new Error(`no test is named ${name}; there are ${COLLECTION_TESTS.join(', ')}`);
  const figures = await measureCollections(
    {
      ...shared,
      only,
      isQuick: options.quick === true,
      pipelines: options.pipeline.filter((depth) => depth < 64),
      rounds: options.quick ? Math.min(3, options.rounds) : options.rounds,
      seconds: options.quick ? 0.3 : (options.seconds ?? 0.5),
    },
    progress,
  );
  const sheets = figures.flatMap(({ what, rows, loaded, memory }) => [
    throughputSheet(rows, undefined, what),
    memorySheet(memory, loaded),
  ]);
  return { sheets, figures: { collections: figures } };
}

async function runReplication(job, options, progress) {
  const tests = options.only === undefined ? [] : job.tests;
  const pipelines = job.pipelines.filter((depth) => depth < 64);
  const keys = keysOf(options, 300_000);
  const figures = await measureReplication({ ...job, tests, pipelines, keys }, progress);
  const { shared, apart, copies } = figures;
  const sheets = [shared, apart].flatMap((part) => (part === undefined ? [] : followingSheets(part)));
  return { sheets: [...sheets, copySheet(copies)], figures };
}

async function runResize(shared, options, progress) {
  const { rate, quick, seconds = quick ? 3 : 10 } = options;
  const figures = await measureResize(
    { ...shared, rate, seconds, keys: keysOf(options, 2_000_000) },
    progress,
  );
  return { sheets: resizeSheets(figures), figures };
}

function keysOf({ keys, quick }, usual) {
  return keys ?? (quick ? usual / 10 : usual);
}

async function runLarge(job, progress) {
  const large = await measureLarge(job, progress);
  return { sheets: [largeSheet(large)], figures: { large } };
}

async function runHuge(shared, options, progress) {
  const { quick, elements = quick ? 200_000 : 10_000_000, only } = options;
  if (shared.subject !== 'vasto') throw new Error('--huge measures vasto alone');
  if (elements % 100 !== 0) throw new Error('--elements has to be a multiple of 100');
  const figures = await measureHuge(
    { ...shared, elements, isQuick: quick === true, only: only?.map((name) => name.toLowerCase()) },
    progress,
  );
  return { sheets: hugeSheets(figures), figures };
}

/**
 * @param {import('./bench/targets.mjs').BenchTest[]} known
 * @param {string[]} names may be empty, for --command alone
 */
function namedTests(known, names) {
  return names.map((name) => {
    const test = known.find((candidate) => candidate.name === name.toUpperCase());
    if (test === undefined)
      throw new Error(`no test is named ${name}; there are ${known.map((t) => t.name)}`);
    return test;
  });
}

function list(text) {
  return text.split(',').filter((name) => name !== '');
}

function numbers(text) {
  return list(text).map(positive);
}

function positive(text) {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0 is expected');
  return value;
}

function collect(text, previous) {
  return [...previous, text];
}

function kind(text) {
  if (text !== 'vasto' && text !== 'redis') throw new InvalidArgumentError('vasto or redis is expected');
  return text;
}
