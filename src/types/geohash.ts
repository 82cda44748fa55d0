/*
 * Points on the earth as scores of a sorted set: a geohash of 52 bits, 26 of the longitude and 26 of the latitude in
 * turns, longitude first. So a square cell of the map is a range of scores (t_geo.c, geohash.c, geohash_helper.c of Redis).
 * The latitude ends at about 85°, where the map of the Mercator projection is square.
 */

export interface GeoPoint {
  /** Degrees, −180 to 180. */
  readonly longitude: number;
  /** Degrees, −{@link LATITUDE_MAX} to {@link LATITUDE_MAX}. */
  readonly latitude: number;
}

export const LONGITUDE_MAX = 180;
export const LATITUDE_MAX = 85.05112878;
/** What standard geohashes end at. */
const LATITUDE_STANDARD_MAX = 90;
/** Bits of each coordinate in a score. */
const STEPS = 26;
const EARTH_RADIUS_METERS = 6372797.560856;
const RADIANS = Math.PI / 180;

/** Bits 0 … 15 to the even bits 0 … 30. */
function spread(bits: number): number {
  let out = bits & 0xffff;
  out = (out | (out << 8)) & 0x00ff00ff;
  out = (out | (out << 4)) & 0x0f0f0f0f;
  out = (out | (out << 2)) & 0x33333333;
  return (out | (out << 1)) & 0x55555555;
}

/** The even bits 0 … 30 to bits 0 … 15. */
function gather(bits: number): number {
  let out = bits & 0x55555555;
  out = (out | (out >>> 1)) & 0x33333333;
  out = (out | (out >>> 2)) & 0x0f0f0f0f;
  out = (out | (out >>> 4)) & 0x00ff00ff;
  return (out | (out >>> 8)) & 0xffff;
}

const TWO_32 = 0x1_0000_0000;

/** A cell of the map when each side of it is divided by 2 `step` times. */
interface Cell {
  readonly step: number;
  /** From the west; 2^step for the very eastern edge. */
  readonly column: number;
  /** From the south; 2^step for the very northern edge. */
  readonly row: number;
}

/** The bits of row and column in turns. Rounded to a double at the very edges, which take a bit more. */
function interleave({ column, row }: Cell): number {
  const low = (spread(row) | (spread(column) << 1)) >>> 0;
  const high = (spread(row >>> 16) | (spread(column >>> 16) << 1)) >>> 0;
  return high * TWO_32 + low;
}

/** @param latitudeMax where the map ends */
function cellOf(point: GeoPoint, step: number, latitudeMax: number): Cell {
  const size = 2 ** step;
  return {
    step,
    column: Math.floor(((point.longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX)) * size),
    row: Math.floor(((point.latitude + latitudeMax) / (2 * latitudeMax)) * size),
  };
}

export function isOnMap({ longitude, latitude }: GeoPoint): boolean {
  return Math.abs(longitude) <= LONGITUDE_MAX && Math.abs(latitude) <= LATITUDE_MAX;
}

/** The score of a point that {@link isOnMap}. */
export function encodeGeoScore(point: GeoPoint): number {
  return interleave(cellOf(point, STEPS, LATITUDE_MAX));
}

/** The middle of the cell that a score stands for; any score gives a point, as in Redis. */
export function decodeGeoScore(score: number): GeoPoint {
  // As the conversion to an unsigned 64-bit integer on x86-64.
  const safe = score >= 0 && score <= Number.MAX_SAFE_INTEGER;
  const bits = safe ? 0n : Number.isFinite(score) ? BigInt.asUintN(64, BigInt(Math.trunc(score))) : 1n << 63n;
  const low = safe ? Math.floor(score) >>> 0 : Number(bits & 0xffff_ffffn);
  const high = safe ? Math.floor(score / TWO_32) : Number(bits >> 32n);
  const area = areaOf({
    step: STEPS,
    column: gather(low >>> 1) + gather(high >>> 1) * 2 ** 16,
    row: gather(low) + gather(high) * 2 ** 16,
  });
  return {
    longitude: clamped((area.west + area.east) / 2, LONGITUDE_MAX),
    latitude: clamped((area.south + area.north) / 2, LATITUDE_MAX),
  };
}

function clamped(value: number, max: number): number {
  return Math.max(-max, Math.min(max, value));
}

/** Degrees. */
interface Area {
  readonly west: number;
  readonly east: number;
  readonly south: number;
  readonly north: number;
}

function areaOf({ step, column, row }: Cell): Area {
  const size = 2 ** step;
  const longitude = (index: number) => -LONGITUDE_MAX + (index / size) * (2 * LONGITUDE_MAX);
  const latitude = (index: number) => -LATITUDE_MAX + (index / size) * (2 * LATITUDE_MAX);
  return {
    west: longitude(column),
    east: longitude(column + 1),
    south: latitude(row),
    north: latitude(row + 1),
  };
}

const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';
/** Characters of 5 bits that 52 bits fill. */
const TEXT_CHARACTERS = 10;

/** The standard geohash of a score's point, of 11 characters, the last of which is always `0`: there are no bits for it. */
export function geohashText(score: number): string {
  const bits = interleave(cellOf(decodeGeoScore(score), STEPS, LATITUDE_STANDARD_MAX));
  let text = '';
  for (let index = 1; index <= TEXT_CHARACTERS; index++)
    text += ALPHABET[Math.floor(bits / 2 ** (2 * STEPS - index * 5)) % 32];
  return `${text}0`;
}

/**
 * Metres along the surface of a sphere (haversine formula). Redis's libm may differ in the last bit, which shows in
 * nothing that is printed but for points at nearly opposite ends of the earth.
 */
export function distanceMeters(from: GeoPoint, to: GeoPoint): number {
  const v = Math.sin((to.longitude * RADIANS - from.longitude * RADIANS) / 2);
  if (v === 0) return latitudeDistanceMeters(from.latitude, to.latitude);
  const fromLatitude = from.latitude * RADIANS;
  const toLatitude = to.latitude * RADIANS;
  const u = Math.sin((toLatitude - fromLatitude) / 2);
  const a = u * u + Math.cos(fromLatitude) * Math.cos(toLatitude) * v * v;
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.sqrt(a));
}

function latitudeDistanceMeters(from: number, to: number): number {
  return EARTH_RADIUS_METERS * Math.abs(to * RADIANS - from * RADIANS);
}

/** What is searched. A box is upright: its sides lie on meridians and parallels. */
export type GeoShape =
  | { readonly kind: 'circle'; readonly center: GeoPoint; readonly radiusMeters: number }
  | {
      readonly kind: 'box';
      readonly center: GeoPoint;
      readonly widthMeters: number;
      readonly heightMeters: number;
    };

/** The distance of a point from the shape's centre in metres; undefined for one outside the shape. */
export function distanceWithin(shape: GeoShape, point: GeoPoint): number | undefined {
  const { center } = shape;
  if (shape.kind === 'circle') {
    const distance = distanceMeters(center, point);
    return distance > shape.radiusMeters ? undefined : distance;
  }
  if (latitudeDistanceMeters(point.latitude, center.latitude) > shape.heightMeters / 2) return undefined;
  const across = distanceMeters(point, { longitude: center.longitude, latitude: point.latitude });
  return across > shape.widthMeters / 2 ? undefined : distanceMeters(center, point);
}

/** Scores from `min` to below `max`. */
export interface GeoScoreRange {
  readonly min: number;
  readonly max: number;
}

/**
 * The scores among which the points of a shape are, in the order in which Redis looks at them: those of the cell of the
 * centre, then of its neighbours as far as they are needed. All are to be tested with {@link distanceWithin}. As in
 * Redis, a shape larger than a quarter of the earth may have a range twice.
 */
export function scoreRangesOf(shape: GeoShape): GeoScoreRange[] {
  const bounds = boundingBox(shape);
  const radiusMeters =
    shape.kind === 'circle'
      ? shape.radiusMeters
      : Math.sqrt((shape.widthMeters / 2) ** 2 + (shape.heightMeters / 2) ** 2);
  let cell = cellOf(shape.center, stepOf(radiusMeters, shape.center.latitude), LATITUDE_MAX);
  if (cell.step > 1 && !reaches(cell, bounds)) cell = cellOf(shape.center, cell.step - 1, LATITUDE_MAX);
  const cells = [cell, ...neighboursNeeded(cell, bounds)];
  let last = 0;
  return cells
    .filter((each, index) => {
      // Redis compares with the cell before, but the second one with nothing.
      if (last > 0 && each.column === cells[last]!.column && each.row === cells[last]!.row) return false;
      last = index;
      return true;
    })
    .map((each) => {
      const scale = 4 ** (STEPS - each.step);
      const bits = interleave(each);
      return { min: bits * scale, max: (bits + 1) * scale };
    });
}

/** The least area that has the shape in it, roughly; it may reach beyond the map. */
function boundingBox(shape: GeoShape): Area {
  const { longitude, latitude } = shape.center;
  const height = shape.kind === 'circle' ? shape.radiusMeters : shape.heightMeters / 2;
  const width = shape.kind === 'circle' ? shape.radiusMeters : shape.widthMeters / 2;
  const latitudeDelta = height / EARTH_RADIUS_METERS / RADIANS;
  // Meridians are closer to each other on the side of the pole.
  const edge = latitude < 0 ? latitude - latitudeDelta : latitude + latitudeDelta;
  const longitudeDelta = width / EARTH_RADIUS_METERS / Math.cos(edge * RADIANS) / RADIANS;
  return {
    west: longitude - longitudeDelta,
    east: longitude + longitudeDelta,
    south: latitude - latitudeDelta,
    north: latitude + latitudeDelta,
  };
}

/** Half the circumference of the earth, as the map has it. */
const MERCATOR_MAX_METERS = 20037726.37;

/** How often to divide the map, so that a cell and its neighbours have room for the radius. */
function stepOf(radiusMeters: number, latitude: number): number {
  if (radiusMeters === 0) return STEPS;
  let step = -1;
  for (let meters = radiusMeters; meters < MERCATOR_MAX_METERS; meters *= 2) step++;
  // Cells are narrower towards the poles.
  if (Math.abs(latitude) > 66) step--;
  if (Math.abs(latitude) > 80) step--;
  return Math.max(1, Math.min(STEPS, step));
}

/** The neighbour so many columns and rows away, around the edges of the map. */
function neighbour(cell: Cell, columns: number, rows: number): Cell {
  const size = 2 ** cell.step;
  return {
    step: cell.step,
    column: columns === 0 ? cell.column : (cell.column + columns + size) % size,
    row: rows === 0 ? cell.row : (cell.row + rows + size) % size,
  };
}

/** Whether a cell and its neighbours cover the bounds. */
function reaches(cell: Cell, bounds: Area): boolean {
  return (
    areaOf(neighbour(cell, 0, 1)).north >= bounds.north &&
    areaOf(neighbour(cell, 0, -1)).south <= bounds.south &&
    areaOf(neighbour(cell, 1, 0)).east >= bounds.east &&
    areaOf(neighbour(cell, -1, 0)).west <= bounds.west
  );
}

/** North, south, east, west, and those between, in Redis's order. */
const DIRECTIONS = [
  [0, 1],
  [0, -1],
  [1, 0],
  [-1, 0],
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
] as const;

/** Neighbours on a side of the cell beyond which the bounds do not reach are left out. */
function neighboursNeeded(cell: Cell, bounds: Area): Cell[] {
  const area = areaOf(cell);
  const all = cell.step < 2;
  const needed = ([columns, rows]: readonly [number, number]): boolean =>
    !(rows < 0 && area.south < bounds.south) &&
    !(rows > 0 && area.north > bounds.north) &&
    !(columns < 0 && area.west < bounds.west) &&
    !(columns > 0 && area.east > bounds.east);
  return DIRECTIONS.filter((direction) => all || needed(direction)).map(([columns, rows]) =>
    neighbour(cell, columns, rows),
  );
}

/** Digits behind the point. */
const COORDINATE_DIGITS = 17;
const DISTANCE_DIGITS = 4;

/** A coordinate as GEOPOS replies it: with up to 17 digits behind the point. */
export function formatCoordinate(degrees: number): string {
  return fixed(degrees, COORDINATE_DIGITS)
    .replace(/\.?0+$/, '')
    .replace(/^-0$/, '0');
}

/** A distance as GEODIST replies it, in whatever unit: with 4 digits behind the point. */
export function formatDistance(distance: number): string {
  return fixed(distance, DISTANCE_DIGITS);
}

/** Digits behind the point of coordinates that are refused. */
const REFUSED_DIGITS = 6;
/** From here on JavaScript writes exponents; such numbers are whole. */
const FIXED_MAX = 1e21;

/** Coordinates that are not on the map, as errors quote them. */
export function quotePoint({ longitude, latitude }: GeoPoint): string {
  const quote = (value: number): string => {
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
    if (Math.abs(value) >= FIXED_MAX) return `${BigInt(value)}.${'0'.repeat(REFUSED_DIGITS)}`;
    return fixed(value, REFUSED_DIGITS);
  };
  return `${quote(longitude)},${quote(latitude)}`;
}

/** As C's `%.*f`: to nearest, ties to even. */
function fixed(value: number, digits: number): string {
  // JavaScript rounds ties away from 0. Those are the numbers of just one binary digit more than decimal ones.
  const scaled = value * 2 ** (digits + 1);
  const truncated = value.toFixed(digits + 1).slice(0, -1);
  const isTie = Number.isInteger(scaled) && scaled % 2 !== 0;
  return isTie && Number(truncated.at(-1)) % 2 === 0 ? truncated : value.toFixed(digits);
}
