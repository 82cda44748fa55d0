import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeGeoScore,
  distanceMeters,
  distanceWithin,
  encodeGeoScore,
  formatCoordinate,
  formatDistance,
  type GeoPoint,
  type GeoShape,
  geohashText,
  isOnMap,
  LATITUDE_MAX,
  scoreRangesOf,
} from '../../../src/types/geohash.js';
import { formatScore } from '../../../src/types/score.js';
import type { RawClient } from '../../support/client.js';
import { haveTool } from '../../support/environment.js';
import { Random, testSeed } from '../../support/random.js';
import { itemsOf, render, textOf } from '../../support/reply.js';
import { TestServer } from '../../support/server.js';

// The example of Redis's documentation.
const PALERMO = { longitude: 13.361389, latitude: 38.115556 };
const CATANIA = { longitude: 15.087269, latitude: 37.502669 };

test('the example everybody knows', () => {
  const palermo = encodeGeoScore(PALERMO);
  expect(palermo).toBe(3479099956230698);
  expect(formatCoordinate(decodeGeoScore(palermo).longitude)).toBe('13.36138933897018433');
  expect(formatCoordinate(decodeGeoScore(palermo).latitude)).toBe('38.11555639549629859');
  expect(geohashText(palermo)).toBe('sqc8b49rny0');
  const catania = decodeGeoScore(encodeGeoScore(CATANIA));
  expect(formatDistance(distanceMeters(decodeGeoScore(palermo), catania))).toBe('166274.1516');
});

test('the edges of the map', () => {
  expect(isOnMap({ longitude: 180, latitude: -LATITUDE_MAX })).toBe(true);
  expect(isOnMap({ longitude: 180.1, latitude: 0 })).toBe(false);
  expect(isOnMap({ longitude: 0, latitude: 85.06 })).toBe(false);
  expect(isOnMap({ longitude: Number.NaN, latitude: 0 })).toBe(false);
});

test('numbers in the middle of two are printed as C does: the last digit even', () => {
  expect(formatDistance(0.03125)).toBe('0.0312');
  expect(formatDistance(0.09375)).toBe('0.0938');
  expect(formatCoordinate(2 ** -18)).toBe('0.00000381469726562');
  expect(formatCoordinate(-(2 ** -18))).toBe('-0.00000381469726562');
  expect(formatCoordinate(-(2 ** -70))).toBe('0');
  expect(formatCoordinate(-100)).toBe('-100');
});

function randomPoint(random: Random): GeoPoint {
  const edge = random.chance(0.1);
  return {
    longitude: edge ? random.pick([-180, 180, 179.99999, 0, -0.0001]) : random.float() * 360 - 180,
    latitude: edge
      ? random.pick([LATITUDE_MAX, -LATITUDE_MAX, 85, 0, -80.5])
      : (random.float() - 0.5) * 2 * LATITUDE_MAX,
  };
}

/** Near another one, as far as the map reaches. */
function nearPoint(random: Random, { longitude, latitude }: GeoPoint, degrees: number): GeoPoint {
  const clamp = (value: number, max: number) => Math.max(-max, Math.min(max, value));
  return {
    longitude: clamp(longitude + (random.float() - 0.5) * degrees, 180),
    latitude: clamp(latitude + (random.float() - 0.5) * degrees, LATITUDE_MAX),
  };
}

describe.skipIf(!haveTool('redis-server'))('points against redis-server', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ kind: 'redis', flags: ['--appendonly', 'no'] });
    client = await server.connect();
  });

  afterAll(() => server.stop());

  async function add(points: readonly GeoPoint[]): Promise<void> {
    await client.command('DEL', 'g');
    const replies = await client.pipeline(
      points.map(({ longitude, latitude }, index) => ['GEOADD', 'g', longitude, latitude, `m${index}`]),
    );
    for (const reply of replies) expect(render(reply)).toBe(':1');
  }

  test('scores, coordinates, geohashes and distances are the same', async () => {
    const random = new Random(testSeed('points'));
    const points = Array.from({ length: 5000 }, () => randomPoint(random));
    await add(points);
    const names = points.map((_, index) => `m${index}`);
    const scores = await client.pipeline(names.map((name) => ['ZSCORE', 'g', name]));
    const hashes = itemsOf(await client.command('GEOHASH', 'g', ...names));
    const positions = itemsOf(await client.command('GEOPOS', 'g', ...names));
    const distances = await client.pipeline(
      names.map((name, index) => ['GEODIST', 'g', name, `m${index >> 1}`]),
    );
    const decoded = points.map((point) => decodeGeoScore(encodeGeoScore(point)));
    let distancesDiffering = 0;
    for (const [index, point] of points.entries()) {
      const score = encodeGeoScore(point);
      expect([point, formatScore(score)]).toEqual([point, textOf(scores[index]!)]);
      expect([point, geohashText(score)]).toEqual([point, textOf(hashes[index]!)]);
      const { longitude, latitude } = decoded[index]!;
      expect([point, formatCoordinate(longitude), formatCoordinate(latitude)]).toEqual([
        point,
        ...itemsOf(positions[index]!).map(textOf),
      ]);
      const distance = distanceMeters(decoded[index]!, decoded[index >> 1]!);
      const theirs = textOf(distances[index]!);
      if (formatDistance(distance) !== theirs) distancesDiffering++;
      expect(Math.abs(distance - Number(theirs))).toBeLessThan(0.001);
    }
    // The last bit of a sine may differ.
    expect(distancesDiffering).toBeLessThanOrEqual(5);
  });

  test('scores that are no points give the same points', async () => {
    const random = new Random(testSeed('scores as points'));
    const scores = [0, 0.5, 1, 2 ** 52, 2 ** 53, 2 ** 60 + 2 ** 20, 2 ** 63, -1, -(2 ** 40)];
    for (let index = 0; index < 500; index++)
      scores.push(Math.floor(random.float() * 2 ** random.int(1, 63)));
    await client.command('DEL', 'g');
    for (const [index, score] of scores.entries()) {
      await client.command('ZADD', 'g', score, `m${index}`);
      const reply = itemsOf(await client.command('GEOPOS', 'g', `m${index}`))[0]!;
      const { longitude, latitude } = decodeGeoScore(score);
      const own = [score, formatCoordinate(longitude), formatCoordinate(latitude)];
      expect(own).toEqual([score, ...itemsOf(reply).map(textOf)]);
      const hash = itemsOf(await client.command('GEOHASH', 'g', `m${index}`))[0]!;
      expect([score, geohashText(score)]).toEqual([score, textOf(hash)]);
    }
  });

  /** What is in a shape, found as Redis finds it. */
  function found(shape: GeoShape, scored: readonly { name: string; score: number }[]): string[] {
    return scoreRangesOf(shape).flatMap(({ min, max }) =>
      scored
        .filter(({ score }) => score >= min && score < max)
        .filter(({ score }) => distanceWithin(shape, decodeGeoScore(score)) !== undefined)
        .map(({ name }) => name),
    );
  }

  test('searches find the same, in the same order', async () => {
    const random = new Random(testSeed('searches'));
    for (let round = 0; round < 30; round++) {
      const around = randomPoint(random);
      const degrees = random.pick([0.001, 0.1, 1, 10, 360]);
      const points = Array.from({ length: 200 }, () => nearPoint(random, around, degrees));
      await add(points);
      const scored = points
        .map((point, index) => ({ name: `m${index}`, score: encodeGeoScore(point) }))
        .sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1));
      for (let search = 0; search < 20; search++) {
        const center = random.chance(0.5) ? around : nearPoint(random, around, degrees);
        const meters = () => Math.round(degrees * 111_000 * random.float() * random.pick([0.1, 0.5, 1, 3]));
        const from = ['GEOSEARCH', 'g', 'FROMLONLAT', center.longitude, center.latitude];
        const shape: GeoShape = random.chance(0.5)
          ? { kind: 'circle', center, radiusMeters: meters() }
          : { kind: 'box', center, widthMeters: meters(), heightMeters: meters() };
        const by =
          shape.kind === 'circle'
            ? ['BYRADIUS', shape.radiusMeters, 'm']
            : ['BYBOX', shape.widthMeters, shape.heightMeters, 'm'];
        const theirs = itemsOf(await client.command(...from, ...by)).map(textOf);
        expect([shape, found(shape, scored)]).toEqual([shape, theirs]);
      }
    }
  });
});
