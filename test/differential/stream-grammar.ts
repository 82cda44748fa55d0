import type { Words } from './words.js';

type Generate = (w: Words) => string[];

const BAD_IDS = [
  '',
  'x',
  '-',
  '+',
  '$',
  '>',
  '1-',
  '-1',
  '1-x',
  '(1',
  '18446744073709551615',
  '1-2-3',
  '01-01',
];
const GROUPS = ['g1', 'g2', 'g3'];
const CONSUMERS = ['c1', 'c2', 'c3', 'streams'];

export function stream(w: Words): string {
  return w.r.chance(0.95) ? w.stream() : w.key();
}

/** The id of an entry that may be there. Never `*`: the clocks of two servers differ. */
function id(w: Words): string {
  const roll = w.r.float();
  const ms = Math.max(0, w.streamMs() - w.r.int(0, 40));
  if (roll < 0.6) return `${ms}-${w.r.int(0, 4)}`;
  if (roll < 0.9) return String(ms);
  return roll < 0.95 ? w.r.pick(['0', '0-0', '0-1']) : w.r.pick(BAD_IDS);
}

const ids = (w: Words): string[] => w.several(() => id(w), 3);

function newId(w: Words): string {
  const ms = w.nextStreamMs();
  const roll = w.r.float();
  if (roll < 0.5) return `${ms}-*`;
  if (roll < 0.9) return `${ms}-${w.r.int(0, 5)}`;
  return roll < 0.97 ? id(w) : w.r.pick(['0-*', '*-1', 'x-*', '0-0', ...BAD_IDS]);
}

function fields(w: Words): string[] {
  const pairs = w.r.chance(0.02) ? w.r.int(10, 40) : w.r.int(1, 3);
  return Array.from({ length: pairs * 2 }, (_, index) => (index % 2 === 0 ? `f${w.r.int(0, 3)}` : w.value()));
}

function limit(w: Words): string[] {
  return w.r.chance(0.1) ? [w.word('LIMIT'), w.r.pick(['0', '10', '1000', '-1', 'x'])] : [];
}

/** Approximate trimming only where nothing but all of a stream would go: its steps are not those of Redis. */
function trimming(w: Words): string[] {
  if (w.r.chance(0.2)) return [w.word('MAXLEN'), '~', w.r.pick(['0', '1000', '-1', 'x']), ...limit(w)];
  const sign = w.r.chance(0.3) ? ['='] : [];
  if (w.r.chance(0.4)) return [w.word('MINID'), ...sign, id(w), ...limit(w)];
  return [w.word('MAXLEN'), ...sign, w.r.pick(['0', '3', '10', '20', '20', '-1', 'x']), ...limit(w)];
}

function bound(w: Words): string {
  const roll = w.r.float();
  if (roll < 0.3) return w.r.pick(['-', '+']);
  return (roll < 0.45 ? '(' : '') + id(w);
}

function count(w: Words): string {
  return w.r.pick(['1', '2', '5', '5', '100', '0', '-1', 'x']);
}

function range(w: Words, isReverse: boolean): string[] {
  const bounds = w.r.chance(0.3) ? ['-', '+'] : [bound(w), bound(w)];
  if (isReverse) bounds.reverse();
  return [stream(w), ...bounds, ...w.options(0.3, () => [w.word('COUNT'), count(w)])];
}

function streams(w: Words, idOf: () => string): string[] {
  const keys = Array.from({ length: w.r.chance(0.6) ? 1 : w.r.int(1, 3) }, () => stream(w));
  const last = w.r.chance(0.03) ? [] : [idOf()];
  return [w.word('STREAMS'), ...keys, ...keys.slice(1).map(idOf), ...last];
}

function group(w: Words): string {
  return w.r.chance(0.97) ? w.r.pick(GROUPS) : 'nogroup';
}

function consumer(w: Words): string {
  return w.r.chance(0.95) ? w.r.pick(CONSUMERS) : w.value();
}

/** Times to wait that have always passed, or never. */
function idle(w: Words): string {
  return w.r.pick(['0', '0', '0', '-5', '100000000000', '9223372036854775807', 'x']);
}

const entriesRead: Generate = (w) => [w.word('ENTRIESREAD'), w.r.pick(['0', '1', '5', '-1', '-2', 'x'])];
const groupId: Generate = (w) => [w.r.chance(0.4) ? '$' : w.r.chance(0.5) ? '0' : id(w)];

export const STREAMS: Readonly<Record<string, Generate>> = {
  xadd: (w) => [
    stream(w),
    ...w.options(
      0.08,
      () => [w.word('NOMKSTREAM')],
      () => trimming(w),
    ),
    newId(w),
    ...fields(w),
  ],
  // Twice, so that there is something to read.
  XADD: (w) => [stream(w), newId(w), ...fields(w)],
  xlen: (w) => [stream(w)],
  xdel: (w) => [stream(w), ...ids(w)],
  xtrim: (w) => [stream(w), ...trimming(w)],
  xsetid: (w) => [
    stream(w),
    w.r.chance(0.5) ? String(w.nextStreamMs()) : id(w),
    ...w.options(
      0.2,
      () => [w.word('ENTRIESADDED'), w.r.pick(['0', '5', '100', '-1', 'x', '9007199254000000'])],
      () => [w.word('MAXDELETEDID'), id(w)],
    ),
  ],
  xrange: (w) => range(w, false),
  xrevrange: (w) => range(w, true),
  xread: (w) => [
    ...w.options(0.4, () => [w.word('COUNT'), count(w)]),
    ...streams(w, () => (w.r.chance(0.1) ? '$' : id(w))),
  ],
};

export const CONSUMER_GROUPS: Readonly<Record<string, Generate>> = {
  xgroup: (w) => {
    const [key, name] = [stream(w), group(w)];
    const roll = w.r.float();
    if (roll < 0.5)
      return [
        w.word('CREATE'),
        key,
        name,
        ...groupId(w),
        ...w.options(
          0.3,
          () => [w.word('MKSTREAM')],
          () => entriesRead(w),
        ),
      ];
    if (roll < 0.65)
      return [w.word('SETID'), key, name, ...groupId(w), ...w.options(0.3, () => entriesRead(w))];
    if (roll < 0.8) return [w.word('CREATECONSUMER'), key, name, consumer(w)];
    return roll < 0.93 ? [w.word('DELCONSUMER'), key, name, consumer(w)] : [w.word('DESTROY'), key, name];
  },
  xreadgroup: (w) => [
    w.word('GROUP'),
    group(w),
    consumer(w),
    ...w.options(
      0.4,
      () => [w.word('COUNT'), count(w)],
      () => (w.r.chance(0.2) ? [w.word('NOACK')] : []),
    ),
    ...streams(w, () => (w.r.chance(0.7) ? '>' : w.r.chance(0.6) ? '0' : id(w))),
  ],
  xack: (w) => [stream(w), group(w), ...ids(w)],
  xpending: (w) => {
    if (w.r.chance(0.4)) return [stream(w), group(w)];
    const waited = w.r.chance(0.3) ? [w.word('IDLE'), idle(w)] : [];
    const bounds = w.r.chance(0.6) ? ['-', '+'] : [bound(w), bound(w)];
    return [stream(w), group(w), ...waited, ...bounds, count(w), ...(w.r.chance(0.4) ? [consumer(w)] : [])];
  },
  xclaim: (w) => [
    stream(w),
    group(w),
    consumer(w),
    idle(w),
    ...ids(w),
    ...w.options(
      0.25,
      () => [w.word('FORCE')],
      () => [w.word('JUSTID')],
      () => [w.word('IDLE'), w.r.pick(['0', '1000', '200000000000', '-1', 'x'])],
      () => [w.word('TIME'), w.r.pick(['1000', '-5', '99999999999999', 'x'])],
      () => [w.word('RETRYCOUNT'), w.r.pick(['0', '3', '-1', 'x'])],
      () => [w.word('LASTID'), id(w)],
    ),
  ],
  xautoclaim: (w) => [
    stream(w),
    group(w),
    consumer(w),
    idle(w),
    w.r.chance(0.6) ? '0' : bound(w),
    ...w.options(
      0.3,
      () => [w.word('COUNT'), w.r.pick(['1', '1', '2', '3', '0', '-1', 'x', '576460752303423488'])],
      () => [w.word('JUSTID')],
    ),
  ],
  xinfo: (w) => {
    const roll = w.r.float();
    if (roll < 0.3) return [w.word('GROUPS'), stream(w)];
    if (roll < 0.5) return [w.word('CONSUMERS'), stream(w), group(w)];
    const full = [w.word('FULL'), ...w.options(0.5, () => [w.word('COUNT'), count(w)])];
    return [w.word('STREAM'), stream(w), ...(w.r.chance(0.6) ? full : [])];
  },
};
