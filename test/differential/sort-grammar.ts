import type { Words } from './words.js';

type Generate = (w: Words) => string[];

const SORTED = ['sorted1', 'sorted2'];

/*
 * No number is out of the range of doubles, here or as a score: Redis takes the errno that such a one leaves behind for
 * that of the next number which it sorts by.
 */

/** Elements are numbers mostly. The sorted set is SORT's own: Redis changes how it keeps one that it sorts. */
function source(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.35) return 'numbers';
  if (roll < 0.5) return 'scored';
  return roll < 0.9 ? w.r.pick(SORTED) : w.r.pick(['a', 'hash1', 'nothing']);
}

function number(w: Words): string {
  return w.r.chance(0.99) ? String(w.r.int(-10, 30)) : w.r.pick(['x', '1.5', ' 7', 'inf', '']);
}

const PATTERNS = ['weight:*', 'attributes:*->w', 'attributes:*->', 'weight:*->w', 'scored*'];
const GETS = ['#', 'weight:*', 'attributes:*->w', 'attributes:*->no', 'constant', '*'];

/** What has the same text to be sorted by comes in any order, so texts of other keys are not sorted by here. */
function options(w: Words, destination: readonly string[]): string[] {
  const by = w.r.chance(0.4) ? [w.word('BY'), w.r.pick(PATTERNS)] : [];
  return [
    ...w.options(
      0.35,
      () => by,
      () => (by.length === 0 ? [w.word('ALPHA')] : []),
      () => [w.word('ASC', 'DESC')],
      () => [
        w.word('LIMIT'),
        w.r.pick(['0', '1', '3', '-2', '100', 'x']),
        w.r.pick(['0', '2', '10', '-1', 'x']),
      ],
      () => [w.word('GET'), w.r.pick(GETS)],
      () => [w.word('GET'), w.r.pick(GETS)],
    ),
    ...destination,
  ];
}

function stores(w: Words): string[] {
  return w.r.chance(0.4) ? [w.word('STORE'), w.r.pick(SORTED)] : [];
}

export const SORTING: Readonly<Record<string, Generate>> = {
  sadd: (w) => ['numbers', ...w.several(() => number(w))],
  srem: (w) => ['numbers', ...w.several(() => number(w), 20)],
  zadd: (w) => ['scored', ...w.several(() => number(w)).flatMap((name) => [String(w.r.int(0, 9)), name])],
  zrem: (w) => ['scored', ...w.several(() => number(w), 20)],
  set: (w) => [`weight:${number(w)}`, w.r.chance(0.99) ? number(w) : 'text'],
  hset: (w) => [`attributes:${number(w)}`, w.r.pick(['w', 'v']), number(w)],
  del: (w) => [w.r.pick(['numbers', 'scored', `weight:${number(w)}`])],
  sort: (w) => {
    const [key, destination] = [source(w), stores(w)];
    // The order of a set that is not sorted is its own.
    if (w.r.chance(0.7) || (key === 'numbers' && destination.length === 0))
      return [key, ...options(w, destination)];
    return [key, 'BY', 'nosort', ...options(w, destination)];
  },
  sort_ro: (w) => [source(w), ...options(w, w.r.chance(0.1) ? stores(w) : [])],
};
