import { CommandError } from '../base/command-errors.js';
import { INT64_MAX, INT64_MIN, type Int64, toInt64 } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import { ownText } from '../types/collections/packed-text.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import {
  decodeGeoScore,
  distanceWithin,
  formatCoordinate,
  formatDistance,
  type GeoPoint,
  scoreRangesOf,
} from '../types/geohash.js';
import { RowType } from '../types/row.js';
import { findRow, replace, sortedSetOf } from './collection-access.js';
import type { ShardHandler, ShardSettings } from './definition.js';
import { type GeoSearch, type SearchForm, SearchParser } from './geo-options.js';
import { HeldElements, refusalOfElements } from './held-elements.js';

/** GEOSEARCH, GEOSEARCHSTORE, and what came before them: GEORADIUS and GEORADIUSBYMEMBER. */

interface FoundPlace {
  readonly member: string;
  readonly score: number;
  readonly point: GeoPoint;
  readonly distanceMeters: number;
}

/**
 * The places in the shape, in the order asked for; more than are asked for, if they are to be the nearest.
 * @returns an error if there is no room for them
 */
function findPlaces(
  set: SortedSetValue,
  search: GeoSearch,
  settings: ShardSettings,
): FoundPlace[] | CommandError {
  const found: FoundPlace[] = [];
  const held = new HeldElements(settings, 'place');
  const { shape, order } = search;
  const enough = search.any ? search.count : Number.POSITIVE_INFINITY;
  if (shape === undefined) return found;
  for (const { min, max } of scoreRangesOf(shape)) {
    const from = set.rank(({ score }) => score < min);
    const to = set.rank(({ score }) => score < max);
    if (from >= to) continue;
    set.each(from, to, ({ member, score }) => {
      const point = decodeGeoScore(score);
      const distanceMeters = distanceWithin(shape, point);
      if (distanceMeters === undefined) return true;
      found.push({ member, score, point, distanceMeters });
      return held.add(member) && found.length < enough;
    });
    if (held.isOver) return held.refusal;
    if (found.length >= enough) break;
  }
  if (order === 'nearest') found.sort((a, b) => a.distanceMeters - b.distanceMeters);
  else if (order === 'farthest') found.sort((a, b) => b.distanceMeters - a.distanceMeters);
  return found;
}

/** A coordinate: a double with up to 17 digits behind the point, in RESP2 a bulk string. */
function writeCoordinate(reply: ReplyWriter, degrees: number): void {
  if (reply.version === 3) reply.raw(`,${formatCoordinate(degrees)}\r\n`);
  else reply.bulk(formatCoordinate(degrees));
}

export function writePoint(reply: ReplyWriter, { longitude, latitude }: GeoPoint): void {
  reply.array(2);
  writeCoordinate(reply, longitude);
  writeCoordinate(reply, latitude);
}

/** A score as an integer; what is beyond 64 bits becomes the least of them, as x86-64 converts it. */
function scoreAsInteger(score: number): Int64 {
  if (!Number.isFinite(score)) return INT64_MIN;
  const whole = BigInt(Math.trunc(score));
  return whole > INT64_MAX || whole < INT64_MIN ? INT64_MIN : toInt64(whole);
}

function writePlaces(reply: ReplyWriter, places: readonly FoundPlace[], search: GeoSearch): void {
  const { withDistance, withHash, withPoint, unitMeters } = search;
  const extras = Number(withDistance) + Number(withHash) + Number(withPoint);
  reply.array(places.length);
  for (const { member, score, point, distanceMeters } of places) {
    if (extras > 0) reply.array(1 + extras);
    reply.bulk(member);
    if (withDistance) reply.bulk(formatDistance(distanceMeters / unitMeters));
    if (withHash) reply.integer(scoreAsInteger(score));
    if (withPoint) writePoint(reply, point);
  }
}

/** A command that searches a sorted set for places. */
export function searchPlaces(form: SearchForm): ShardHandler {
  const source = form.command === 'geosearchstore' ? 2 : 1;
  return ({ view, reply, settings }, args) => {
    const row = findRow(view, args.text(source), RowType.SortedSet);
    if (row instanceof CommandError) return reply.error(row);
    const set = row && sortedSetOf(row);
    const search = new SearchParser(args, set, form).parse();
    if (search instanceof CommandError) return reply.error(search);
    const found = set === undefined ? [] : findPlaces(set, search, settings);
    if (found instanceof CommandError) return reply.error(found);
    const places = search.count > 0 ? found.slice(0, search.count) : found;
    const { destination, storesDistances, unitMeters } = search;
    if (destination === undefined) return writePlaces(reply, places, search);
    const refusal = refusalOfElements(places.length, settings);
    if (refusal !== undefined) return reply.error(refusal);
    const result = new SortedSetValue(view.collections);
    for (const { member, score, distanceMeters } of places)
      result.set(ownText(member), storesDistances ? distanceMeters / unitMeters : score);
    replace(view, destination, result);
    reply.integer(result.size);
  };
}
