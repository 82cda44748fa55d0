import { runCommands } from './load.mjs';
import { thousands } from './report.mjs';
import { Server, temporaryDirectory } from './servers.mjs';
import { KEY_COUNT, VALUE_BYTES } from './targets.mjs';
import { measureInTurns } from './throughput.mjs';

/*
 * Hashes, lists, sets, sorted sets and streams: many small ones under random keys, then one of a million elements each.
 *
 * Tests stand in groups that leave the collections about as large as they were: what some of them add the last one of
 * the group takes away. So it does not matter how long is measured.
 */

/**
 * @typedef {object} Load
 * @property {string} what
 * @property {number} count of commands
 * @property {(index: number) => string[]} command
 * @property {number} [replyLines]
 */

/** Elements of each small collection, and of the lists of LRANGE_100. */
const SMALL_ELEMENTS = 10;
const RANGE_ELEMENTS = 100;
const RANGE_LISTS = 1000;
export const LARGE_ELEMENTS = 1_000_000;
/** Elements written by one command of the load. */
const LOADED_AT_ONCE = 100;

const RANDOM = '__rand_int__';
/** A member that is not there yet. */
const NEW_MEMBER = `new:${RANDOM}:${RANDOM}`;
const VALUE = 'x'.repeat(VALUE_BYTES);

/** The least that the ratios to redis-server have to reach, by pipeline depth. @type {Record<string, Record<number, number>>} */
const FLOORS = { small: { 1: 0.45, 16: 0.22 }, large: { 1: 0.25, 16: 0.12 } };

/** As redis-benchmark writes its random numbers. @param {number} number */
const digits = (number) => String(number).padStart(12, '0');

/** @type {import('./targets.mjs').BenchTest[][]} */
const SMALL_TESTS = [
  [{ name: 'HSET', words: ['HSET', `hash:${RANDOM}`, 'field:5', VALUE] }],
  [{ name: 'HGET', words: ['HGET', `hash:${RANDOM}`, 'field:5'] }],
  [
    { name: 'LPUSH', words: ['LPUSH', `list:${RANDOM}`, VALUE] },
    { name: 'RPUSH', words: ['RPUSH', `list:${RANDOM}`, VALUE] },
    { name: 'LPOP', words: ['LPOP', `list:${RANDOM}`] },
  ],
  [
    { name: 'SADD', words: ['SADD', `set:${RANDOM}`, `member:${RANDOM}`] },
    { name: 'SPOP', words: ['SPOP', `set:${RANDOM}`] },
  ],
  [
    { name: 'ZADD', words: ['ZADD', `zset:${RANDOM}`, RANDOM, `member:${RANDOM}`] },
    { name: 'ZPOPMIN', words: ['ZPOPMIN', `zset:${RANDOM}`] },
  ],
  [{ name: 'LRANGE_100', words: ['LRANGE', `range:${RANDOM}`, '0', '99'], keyCount: RANGE_LISTS }],
  [{ name: 'XADD', words: ['XADD', `stream:${RANDOM}`, '*', 'field', VALUE] }],
];

/** @type {import('./targets.mjs').BenchTest[][]} */
const LARGE_TESTS = [
  [{ name: 'HSET', words: ['HSET', 'hash', `field:${RANDOM}`, VALUE], keyCount: LARGE_ELEMENTS }],
  [{ name: 'HGET', words: ['HGET', 'hash', `field:${RANDOM}`], keyCount: LARGE_ELEMENTS }],
  [
    { name: 'LPUSH', words: ['LPUSH', 'list', VALUE] },
    { name: 'RPUSH', words: ['RPUSH', 'list', VALUE] },
    { name: 'LPOP', words: ['LPOP', 'list'] },
  ],
  [
    { name: 'SADD', words: ['SADD', 'set', NEW_MEMBER], keyCount: LARGE_ELEMENTS },
    { name: 'SPOP', words: ['SPOP', 'set'] },
  ],
  [{ name: 'ZADD', words: ['ZADD', 'zset', RANDOM, `member:${RANDOM}`], keyCount: LARGE_ELEMENTS }],
  [
    { name: 'ZADD_NEW', words: ['ZADD', 'zset', RANDOM, NEW_MEMBER], keyCount: LARGE_ELEMENTS },
    { name: 'ZPOPMIN', words: ['ZPOPMIN', 'zset'] },
  ],
  [{ name: 'LRANGE_100', words: ['LRANGE', 'list', '0', '99'] }],
  [{ name: 'XADD', words: ['XADD', 'stream', '*', 'field', VALUE] }],
];

/** The names of all tests. */
export const COLLECTION_TESTS = [...new Set(LARGE_TESTS.flat().map(({ name }) => name))];

/** The elements of one command that begins with element `first`. @param {number} first @param {number} count @param {(index: number) => string[]} words */
function elements(first, count, words) {
  return Array.from({ length: count }, (_, index) => words(first + index)).flat();
}

/** @returns {Load[]} */
function smallLoads() {
  const score = () => digits(Math.floor(Math.random() * KEY_COUNT));
  const each = (
    /** @type {string} */ word,
    /** @type {string} */ name,
    /** @type {(index: number) => string[]} */ words,
  ) => ({
    what: `${KEY_COUNT} keys ${name}:…`,
    count: KEY_COUNT,
    command: (/** @type {number} */ key) => [
      word,
      `${name}:${digits(key)}`,
      ...elements(0, SMALL_ELEMENTS, words),
    ],
  });
  return [
    each('HSET', 'hash', (index) => [`field:${index}`, VALUE]),
    each('RPUSH', 'list', () => [VALUE]),
    each('SADD', 'set', () => [`member:${score()}`]),
    each('ZADD', 'zset', () => [score(), `member:${score()}`]),
    {
      what: 'the lists of LRANGE_100',
      count: RANGE_LISTS,
      command: (key) => ['RPUSH', `range:${digits(key)}`, ...elements(0, RANGE_ELEMENTS, () => [VALUE])],
    },
    {
      ...each('XADD', 'stream', () => []),
      command: (key) => ['XADD', `stream:${digits(key)}`, '*', 'field', VALUE],
      replyLines: 2,
    },
  ];
}

/** @param {number} size elements of each collection @returns {Load[]} */
function largeLoads(size) {
  // A permutation: members come in no order, and all of them.
  const order = shuffled(size);
  const score = () => digits(Math.floor(Math.random() * size));
  const each = (
    /** @type {string} */ word,
    /** @type {string} */ key,
    /** @type {(number: number) => string[]} */ words,
  ) => ({
    what: `${size} elements of a ${key}`,
    count: size / LOADED_AT_ONCE,
    command: (/** @type {number} */ index) => [
      word,
      key,
      ...elements(index * LOADED_AT_ONCE, LOADED_AT_ONCE, (at) => words(order[at] ?? 0)),
    ],
  });
  return [
    each('HSET', 'hash', (number) => [`field:${digits(number)}`, VALUE]),
    each('RPUSH', 'list', () => [VALUE]),
    each('SADD', 'set', (number) => [`member:${digits(number)}`]),
    each('ZADD', 'zset', (number) => [score(), `member:${digits(number)}`]),
    {
      what: `${size} elements of a stream`,
      count: size,
      command: () => ['XADD', 'stream', '*', 'field', VALUE],
      replyLines: 2,
    },
  ];
}

/** The numbers from 0 to before `size` in random order. @param {number} size */
export function shuffled(size) {
  const numbers = Uint32Array.from({ length: size }, (_, index) => index);
  for (let left = size - 1; left > 0; left--) {
    const other = Math.floor(Math.random() * (left + 1));
    const moved = numbers[left] ?? 0;
    numbers[left] = numbers[other] ?? 0;
    numbers[other] = moved;
  }
  return numbers;
}

/**
 * @param {Omit<import('./throughput.mjs').ThroughputOptions, 'tests'> & {only: string[] | undefined, isQuick: boolean}} options
 * @param {import('./progress.mjs').Progress} progress
 */
export async function measureCollections(options, progress) {
  const size = options.isQuick ? LARGE_ELEMENTS / 10 : LARGE_ELEMENTS;
  const small = await measureGroups(SMALL_TESTS, smallLoads(), FLOORS.small, options, progress);
  const large = await measureGroups(LARGE_TESTS, largeLoads(size), FLOORS.large, options, progress);
  return [
    { what: 'small', ...small },
    { what: `of ${thousands(size)}`, ...large },
  ];
}

/**
 * @param {import('./targets.mjs').BenchTest[][]} groups
 * @param {Load[]} loads
 * @param {Record<number, number> | undefined} floors
 * @param {Parameters<typeof measureCollections>[0]} options
 * @param {import('./progress.mjs').Progress} progress
 */
async function measureGroups(groups, loads, floors, options, progress) {
  const isWanted = (/** @type {string} */ name) => options.only === undefined || options.only.includes(name);
  const measured = groups.filter((group) => group.some(({ name }) => isWanted(name)));
  progress.show('starting the servers');
  const start = (/** @type {'vasto' | 'redis'} */ kind, /** @type {object} */ more) =>
    Server.start({ kind, dir: temporaryDirectory(options.temporaryParent), ...more });
  const profile = options.cpuProfileDir === undefined ? {} : { cpuProfileDir: options.cpuProfileDir };
  const ours = await start(options.subject, { flags: options.subjectFlags, ...profile });
  const redis = await start('redis', {});
  for (const { port } of [ours, redis])
    for (const load of loads) {
      progress.show(`loading ${load.what} into port ${port}`);
      await runCommands({ port, ...load });
    }
  const loaded = { ours: ours.memory(), redis: redis.memory() };
  const job = { ...options, tests: measured.flat(), groups: measured, isSizedBySlower: true };
  const rows = (await measureInTurns(job, ours, redis, progress)).filter(({ test }) => isWanted(test));
  const memory = { ours: ours.memory(), redis: redis.memory() };
  await Promise.all([ours.stop(), redis.stop()]);
  const withFloors = rows.map((row) => ({ ...row, floor: floors?.[row.pipeline] }));
  return { rows: withFloors, loaded, memory };
}
