import type { Words } from './words.js';

type Generate = (w: Words) => string[];

const UNITS = ['m', 'km', 'ft', 'mi', 'KM'];
const NOT_COORDINATES = ['200', '-181', '90', 'x', '', 'nan', 'inf', '1e30'];

function geo(w: Words): string {
  return w.r.chance(0.9) ? w.r.pick(['geo1', 'geo2', 'geo3']) : w.r.chance(0.5) ? w.sortedSet() : w.key();
}

function place(w: Words): string {
  return w.r.chance(0.95) ? `p${w.r.int(0, 60)}` : w.value();
}

/** Half of them are near each other. No two are the same: how those would be ordered is not told. */
function point(w: Words): string[] {
  if (w.r.chance(0.04)) return [w.r.pick(NOT_COORDINATES), w.r.pick(NOT_COORDINATES)];
  const span = w.r.chance(0.5) ? 1 : 20;
  return [((w.r.float() - 0.5) * 18 * span).toFixed(9), ((w.r.float() - 0.5) * 8.4 * span).toFixed(9)];
}

function length(w: Words): string {
  if (w.r.chance(0.05)) return w.r.pick(['-1', 'x', '', '0', 'inf', 'nan']);
  return String(w.r.pick([1, 50, 400, 1000, 3000, 9000, 200_000]) * (1 + w.r.int(0, 9) / 10));
}

function unit(w: Words): string {
  return w.r.chance(0.97) ? w.r.pick(UNITS) : 'yd';
}

function searchOptions(w: Words, chance = 0.25): string[] {
  return w.options(
    chance,
    () => [w.word('WITHDIST')],
    () => [w.word('WITHCOORD')],
    () => [w.word('WITHHASH')],
    () => [w.word('ASC', 'DESC')],
    () => [
      w.word('COUNT'),
      w.r.pick(['1', '3', '10', '1000', '0', '-1', 'x']),
      ...w.options(0.4, () => [w.word('ANY')]),
    ],
    () => w.options(0.1, () => ['ANY']),
  );
}

function where(w: Words): string[] {
  const from = () =>
    w.r.chance(0.5) ? [w.word('FROMMEMBER'), place(w)] : [w.word('FROMLONLAT'), ...point(w)];
  const by = () =>
    w.r.chance(0.5)
      ? [w.word('BYRADIUS'), length(w), unit(w)]
      : [w.word('BYBOX'), length(w), length(w), unit(w)];
  const parts = [...(w.r.chance(0.97) ? [from()] : []), ...(w.r.chance(0.97) ? [by()] : [])];
  if (w.r.chance(0.04)) parts.push(w.r.chance(0.5) ? from() : by());
  return w.r.chance(0.5) ? parts.flat() : parts.reverse().flat();
}

/** Distances may differ in the last bit, which shows in scores; so the key they go to is only counted. */
const DISTANCES = 'distances';

function stores(w: Words): string[] {
  return w.options(
    0.2,
    () => [w.word('STORE'), w.sortedSet()],
    () => [w.word('STOREDIST'), DISTANCES],
  );
}

/** STORE last would put distances where they are compared. */
function storesOnce(w: Words): string[] {
  return stores(w).slice(0, 2);
}

export const GEO: Readonly<Record<string, Generate>> = {
  geoadd: (w) => [
    geo(w),
    ...w.options(
      0.1,
      () => [w.word('NX', 'XX')],
      () => [w.word('CH')],
    ),
    ...w.several(() => place(w)).flatMap((name) => [...point(w), name]),
  ],
  geodist: (w) => [geo(w), place(w), place(w), ...w.options(0.6, () => [unit(w)])],
  geohash: (w) => [geo(w), ...w.several(() => place(w))],
  geopos: (w) => [geo(w), ...w.several(() => place(w))],
  geosearch: (w) => [geo(w), ...where(w), ...searchOptions(w)],
  geosearchstore: (w) =>
    w.r.chance(0.6)
      ? [w.sortedSet(), geo(w), ...where(w), ...searchOptions(w, 0.1)]
      : [DISTANCES, geo(w), ...where(w), ...searchOptions(w, 0.1), w.word('STOREDIST')],
  georadius: (w) => [geo(w), ...point(w), length(w), unit(w), ...searchOptions(w, 0.15), ...storesOnce(w)],
  georadius_ro: (w) => [
    geo(w),
    ...point(w),
    length(w),
    unit(w),
    ...searchOptions(w),
    ...w.options(0.05, () => stores(w)),
  ],
  georadiusbymember: (w) => [
    geo(w),
    place(w),
    length(w),
    unit(w),
    ...searchOptions(w, 0.15),
    ...storesOnce(w),
  ],
  georadiusbymember_ro: (w) => [geo(w), place(w), length(w), unit(w), ...searchOptions(w)],
  zcard: () => [DISTANCES],
};
