import type { Words } from './words.js';

type Generate = (w: Words) => string[];

const SCORES = [
  '0',
  '-0',
  '1',
  '1',
  '2',
  '3',
  '1.5',
  '-1',
  '0.1',
  '1e3',
  '1e17',
  '123456789012345678',
  '1e-7',
  'inf',
  '-inf',
  '+inf',
  '0x10',
];
const NOT_SCORES = ['nan', '', 'abc', ' 1', '1 ', '(1'];

function zset(w: Words): string {
  return w.r.chance(0.94) ? w.sortedSet() : w.key();
}

function member(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.75) return `m${w.r.int(0, 20)}`;
  return roll < 0.93 ? `m${w.r.int(0, 500)}` : w.value();
}

function score(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.5) return String(w.r.int(-3, 20));
  if (roll < 0.75) return String(w.r.int(-1000, 1000) / 8);
  return roll < 0.97 ? w.r.pick(SCORES) : w.r.pick(NOT_SCORES);
}

function scoreBound(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.2) return w.r.pick(['-inf', '+inf', 'inf']);
  if (roll < 0.3) return w.r.pick(['(', '(nan', 'x', '', '[1', '(-inf']);
  return `${w.r.chance(0.3) ? '(' : ''}${score(w)}`;
}

function lexBound(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.3) return w.r.pick(['-', '+']);
  if (roll < 0.36) return w.r.pick(['', 'x', '-x', '(', '[', '++']);
  return w.r.pick(['(', '[']) + member(w);
}

const rank: Generate = (w) => [w.index(), w.index()];
const scores: Generate = (w) => [scoreBound(w), scoreBound(w)];
const members: Generate = (w) => [lexBound(w), lexBound(w)];

const limit: Generate = (w) => [
  w.word('LIMIT'),
  w.r.pick(['0', '0', '1', '2', '5', '-1', 'x']),
  w.r.pick(['0', '1', '2', '10', '10', '-1', 'x']),
];

/** ZRANGE and ZRANGESTORE behind the keys, with options that mostly belong there. Ranges of members are below. */
function range(w: Words, withScores: boolean): string[] {
  const isByScore = w.r.chance(0.5);
  const bounds = isByScore ? scores(w) : rank(w);
  const by = isByScore ? [w.word('BYSCORE')] : [];
  const options = w.options(
    0.3,
    () => [w.word('REV')],
    () => (isByScore || w.r.chance(0.1) ? limit(w) : []),
    () => (withScores ? [w.word('WITHSCORES')] : []),
  );
  return [...bounds, ...(w.r.chance(0.5) ? [...by, ...options] : [...options, ...by])];
}

/** numkeys key [key ...], and options of unions and intersections. */
function sources(w: Words, weighs: boolean, withScores: boolean): string[] {
  const keys = Array.from({ length: w.r.int(1, 3) }, () => (w.r.chance(0.85) ? zset(w) : w.set()));
  const count = w.r.chance(0.95) ? String(keys.length) : w.r.pick(['0', '-1', '9', 'x', '']);
  return [
    count,
    ...keys,
    ...w.options(
      0.3,
      () => (weighs ? [w.word('WEIGHTS'), ...keys.map(() => score(w))] : []),
      () => (weighs ? [w.word('AGGREGATE'), w.word('SUM', 'MIN', 'MAX', 'MAX', 'AVG')] : []),
      () => (withScores ? [w.word('WITHSCORES')] : []),
    ),
  ];
}

export const SORTED_SETS: Readonly<Record<string, Generate>> = {
  zadd: (w) => [
    zset(w),
    ...w.options(
      0.12,
      () => [w.word('NX', 'XX')],
      () => [w.word('GT', 'LT')],
      () => [w.word('CH')],
      () => [w.word('INCR')],
    ),
    ...w.several(() => member(w)).flatMap((name) => [score(w), name]),
  ],
  zincrby: (w) => [zset(w), score(w), member(w)],
  zrem: (w) => [zset(w), ...w.several(() => member(w), 6)],
  zcard: (w) => [zset(w)],
  zscore: (w) => [zset(w), member(w)],
  zmscore: (w) => [zset(w), ...w.several(() => member(w))],
  zrank: (w) => [zset(w), member(w)],
  zrevrank: (w) => [zset(w), member(w)],
  zrange: (w) => [zset(w), ...range(w, true)],
  zrangestore: (w) => [zset(w), zset(w), ...range(w, false)],
  zrevrange: (w) => [zset(w), ...rank(w), ...w.options(0.4, () => [w.word('WITHSCORES')])],
  zrangebyscore: (w) => [zset(w), ...scores(w), ...scoreOptions(w)],
  zrevrangebyscore: (w) => [zset(w), ...scores(w), ...scoreOptions(w)],
  zcount: (w) => [zset(w), ...scores(w)],
  zpopmin: (w) => [zset(w), ...w.options(0.4, () => [w.r.pick(['0', '1', '2', '3', '1000', '-1', 'x'])])],
  zpopmax: (w) => [zset(w), ...w.options(0.4, () => [w.r.pick(['0', '1', '2', '3', '1000', '-1', 'x'])])],
  zmpop: (w) => {
    const keys = Array.from({ length: w.r.int(1, 3) }, () => zset(w));
    const count = w.r.chance(0.9) ? String(keys.length) : w.r.pick(['0', '-1', '9', 'x', '']);
    const options = w.options(0.4, () => [w.word('COUNT'), w.r.pick(['1', '2', '3', '1000', '0', 'x'])]);
    return [count, ...keys, w.word('MIN', 'MAX', 'MIN', 'MAX', 'MID'), ...options];
  },
  zrandmember: (w) => [
    zset(w),
    ...w.options(0.7, () => [w.pickCount(), ...w.options(0.4, () => [w.word('WITHSCORES')])]),
  ],
  zremrangebyrank: (w) => [zset(w), ...rank(w)],
  zremrangebyscore: (w) => [zset(w), ...scores(w)],
  zinter: (w) => sources(w, true, true),
  zunion: (w) => sources(w, true, true),
  zdiff: (w) => sources(w, w.r.chance(0.05), true),
  zinterstore: (w) => [zset(w), ...sources(w, true, w.r.chance(0.05))],
  zunionstore: (w) => [zset(w), ...sources(w, true, w.r.chance(0.05))],
  zdiffstore: (w) => [zset(w), ...sources(w, w.r.chance(0.05), w.r.chance(0.05))],
  zintercard: (w) => [
    ...sources(w, false, w.r.chance(0.03)),
    ...w.options(0.4, () => [w.word('LIMIT'), w.r.pick(['0', '1', '3', '-1', 'x'])]),
  ],
  zscan: (w) => [zset(w), w.r.pick(['0', '0', 'x', '-1', '1e3'])],
  object: (w) => [w.word('ENCODING'), zset(w)],
};

function scoreOptions(w: Words): string[] {
  return w.options(
    0.3,
    () => [w.word('WITHSCORES')],
    () => limit(w),
  );
}

/** All members of this set have the same score: only then ranges of members mean anything. */
function level(w: Words): string {
  return w.r.chance(0.94) ? 'level' : w.r.pick(['set1', 'hash1']);
}

export const LEVEL_SETS: Readonly<Record<string, Generate>> = {
  zadd: (w) => ['level', ...w.several(() => member(w)).flatMap((name) => ['0', name])],
  zrem: (w) => [level(w), ...w.several(() => member(w), 6)],
  zrange: (w) => [
    level(w),
    ...members(w),
    w.word('BYLEX'),
    ...w.options(
      0.3,
      () => [w.word('REV')],
      () => limit(w),
    ),
  ],
  zrangebylex: (w) => [level(w), ...members(w), ...w.options(0.3, () => limit(w))],
  zrevrangebylex: (w) => [level(w), ...members(w), ...w.options(0.3, () => limit(w))],
  zlexcount: (w) => [level(w), ...members(w)],
  zremrangebylex: (w) => [level(w), ...members(w)],
};
