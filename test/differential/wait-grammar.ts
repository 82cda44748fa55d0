import { stream } from './stream-grammar.js';
import type { Words } from './words.js';

type Generate = (w: Words) => string[];

/** Seconds that have passed soon, or none that can be read: sessions go on when they are over. */
const SHORT_S = ['0.001', '0.002', '1e-3', '0x1p-10', '-1', 'x', '', 'nan', '-inf'];
const SHORT_MS = ['1', '2', '-1', 'x', '1.5', ''];

/** How long to wait, in the words of a command. */
interface Patience {
  seconds(w: Words): string;
  milliseconds(w: Words): string;
}

const SHORT: Patience = {
  seconds: (w) => w.r.pick(SHORT_S),
  milliseconds: (w) => w.r.pick(SHORT_MS),
};
/** Without end, or beyond any session. */
const LONG: Patience = {
  seconds: (w) => w.r.pick(['0', '0', '1000', '0.0']),
  milliseconds: (w) => w.r.pick(['0', '0', '1000000']),
};

const end = (w: Words) => w.word('LEFT', 'RIGHT', 'LEFT', 'RIGHT', 'LEFT', 'RIGHT', 'MID');
const zset = (w: Words) => (w.r.chance(0.94) ? w.sortedSet() : w.key());
const zsets = (w: Words) => Array.from({ length: w.r.int(1, 3) }, () => zset(w));

function pops(w: Words, keys: readonly string[], where: string): string[] {
  const count = w.r.chance(0.95) ? String(keys.length) : '0';
  return [
    count,
    ...keys,
    where,
    ...w.options(0.4, () => [w.word('COUNT'), w.r.pick(['1', '2', '3', '1000', '0', 'x'])]),
  ];
}

function reads(w: Words, idOf: () => string): string[] {
  const keys = Array.from({ length: w.r.int(1, 3) }, () => stream(w));
  return [w.word('STREAMS'), ...keys, ...keys.map(idOf)];
}

const streamCount = (w: Words) =>
  w.options(0.3, () => [w.word('COUNT'), w.r.pick(['1', '2', '5', '0', '-1'])]).flat();

function waiting({ seconds, milliseconds }: Patience): Readonly<Record<string, Generate>> {
  const block = (w: Words) => [w.word('BLOCK'), milliseconds(w)];
  return {
    blpop: (w) => [...w.lists(), seconds(w)],
    brpop: (w) => [...w.lists(), seconds(w)],
    blmove: (w) => [w.list(), w.list(), end(w), end(w), seconds(w)],
    brpoplpush: (w) => [w.list(), w.list(), seconds(w)],
    blmpop: (w) => [seconds(w), ...pops(w, w.lists(), end(w))],
    bzpopmin: (w) => [...zsets(w), seconds(w)],
    bzpopmax: (w) => [...zsets(w), seconds(w)],
    bzmpop: (w) => [seconds(w), ...pops(w, zsets(w), w.word('MIN', 'MAX', 'MIN', 'MAX', 'MID'))],
    xread: (w) => [
      ...streamCount(w),
      ...block(w),
      ...reads(w, () => (w.r.chance(0.7) ? '$' : String(w.streamMs() + w.r.int(-2, 2)))),
    ],
    xreadgroup: (w) => [
      w.word('GROUP'),
      w.r.pick(['g1', 'g2', 'g3']),
      w.r.pick(['c1', 'c2', 'c3']),
      ...streamCount(w),
      ...w.options(0.2, () => [w.word('NOACK')]),
      ...block(w),
      ...reads(w, () => (w.r.chance(0.95) ? '>' : '0')),
    ],
  };
}

/** What waits for keys, and not for long. */
export const SHORT_WAITS = waiting(SHORT);
/** What waits for keys until it is served, or told to end. */
export const WAITS = waiting(LONG);
