/**
 * @typedef {object} BenchTest
 * @property {string} name what the tables call it
 * @property {string[]} words what redis-benchmark is told besides the options all tests share
 * @property {number} [keyCount] the range of the random numbers in its words, if it is not that of the others
 */

/** Keys are `key:` and 12 digits, as redis-benchmark makes them. */
export const KEY_COUNT = 100_000;
export const VALUE_BYTES = 100;

/** The key of a number from 0 on. @param {number} index */
export function keyOf(index) {
  return `key:${String(index).padStart(12, '0')}`;
}

export const CLIENTS = 50;

/** A random key of the loaded ones, in redis-benchmark's words. */
const RANDOM_KEY = 'key:__rand_int__';

/** @type {BenchTest[]} */
export const TESTS = [
  { name: 'PING', words: ['-t', 'ping_mbulk'] },
  { name: 'GET', words: ['-t', 'get'] },
  { name: 'SET', words: ['-t', 'set'] },
  { name: 'INCR', words: ['-t', 'incr'] },
  { name: 'MGET', words: ['MGET', ...Array(10).fill(RANDOM_KEY)] },
  { name: 'MSET', words: ['-t', 'mset'] },
];

/**
 * The least that ratios to redis-server have to reach, and what is hoped for, by test and pipeline depth.
 * @type {Record<string, {floor?: number, aim?: number}>}
 */
const TARGETS = {
  'GET 1': { floor: 0.55, aim: 0.7 },
  'SET 1': { floor: 0.38, aim: 0.5 },
  'INCR 1': { floor: 0.45 },
  'MGET 1': { floor: 0.4 },
  'GET 16': { floor: 0.55, aim: 0.7 },
  'SET 16': { floor: 0.3, aim: 0.4 },
  'INCR 16': { floor: 0.35 },
};

/** @param {string} test @param {number} pipeline */
export function targetOf(test, pipeline) {
  return TARGETS[`${test} ${pipeline}`] ?? {};
}

/**
 * A test from a command line such as `HSET h:__rand_int__ field value`.
 * @param {string} line
 * @returns {BenchTest}
 */
export function customTest(line) {
  const words = line.trim().split(/\s+/);
  return { name: line.trim(), words };
}
