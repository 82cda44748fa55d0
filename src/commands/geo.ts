import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../base/command-errors.js';
import type { SortedSetValue } from '../types/collections/sorted-set.js';
import {
  decodeGeoScore,
  distanceMeters,
  encodeGeoScore,
  formatDistance,
  geohashText,
} from '../types/geohash.js';
import type { ShardHandler } from './definition.js';
import { parsePoint, parseUnit } from './geo-options.js';
import { writePoint } from './geo-searches.js';
import { readSortedSet } from './sorted-set-access.js';
import { type AddOptions, addScores } from './sorted-sets.js';

/** The commands of single places: members of a sorted set whose score is a geohash. Searches are in geo-searches.ts. */

/** GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...] */
export const addPlaces: ShardHandler = (context, args) => {
  const { reply } = context;
  const options: AddOptions = { nx: false, xx: false, gt: false, lt: false, ch: false, incr: false };
  let first = 2;
  for (; first < args.count; first++) {
    const token = args.token(first);
    if (token === 'NX') options.nx = true;
    else if (token === 'XX') options.xx = true;
    else if (token === 'CH') options.ch = true;
    else break;
  }
  const words = args.count - first;
  if (words % 3 !== 0 || words === 0 || (options.nx && options.xx)) return reply.error(SYNTAX_ERROR);
  const entries: { member: string; score: number }[] = [];
  for (let index = first; index < args.count; index += 3) {
    const point = parsePoint(args, index);
    if (point instanceof CommandError) return reply.error(point);
    entries.push({ member: args.text(index + 2), score: encodeGeoScore(point) });
  }
  addScores(context, args.text(1), entries, options);
};

/** GEODIST key member1 member2 [M | KM | FT | MI] */
export const distanceBetween: ShardHandler = (context, args) => {
  const { reply } = context;
  if (args.count > 5) return reply.error(SYNTAX_ERROR);
  const unitMeters = args.count === 5 ? parseUnit(args, 4) : 1;
  if (unitMeters instanceof CommandError) return reply.error(unitMeters);
  const set = readSortedSet(context, args);
  if (set === 'replied') return;
  const [from, to] = set?.scoresOf([args.text(2), args.text(3)]) ?? [];
  if (from === undefined || to === undefined) return reply.nil();
  reply.bulk(formatDistance(distanceMeters(decodeGeoScore(from), decodeGeoScore(to)) / unitMeters));
};

/** The scores of the members that are named behind the key. */
function scoresNamed(args: Arguments, set: SortedSetValue | undefined): (number | undefined)[] {
  const members: string[] = [];
  for (let index = 2; index < args.count; index++) members.push(args.text(index));
  return set?.scoresOf(members) ?? members.map(() => undefined);
}

export const hashesOfPlaces: ShardHandler = (context, args) => {
  const set = readSortedSet(context, args);
  if (set === 'replied') return;
  const { reply } = context;
  const scores = scoresNamed(args, set);
  reply.array(scores.length);
  for (const score of scores) reply.bulkOrNil(score === undefined ? undefined : geohashText(score));
};

export const pointsOfPlaces: ShardHandler = (context, args) => {
  const set = readSortedSet(context, args);
  if (set === 'replied') return;
  const { reply } = context;
  const scores = scoresNamed(args, set);
  reply.array(scores.length);
  for (const score of scores) {
    if (score === undefined) reply.nilArray();
    else writePoint(reply, decodeGeoScore(score));
  }
};
