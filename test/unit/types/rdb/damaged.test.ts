import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodePayload, encodePayload } from '../../../../src/types/rdb/payload.js';
import type { PayloadFault, ValueData } from '../../../../src/types/rdb/values.js';
import type { RawClient } from '../../../support/client.js';
import { haveTool } from '../../../support/environment.js';
import { inflatedBody, oldBodies } from '../../../support/old-payloads.js';
import { sealedPayload } from '../../../support/payload.js';
import { envNumber, Random, testSeed } from '../../../support/random.js';
import { DATA_KINDS, normalData, randomData } from '../../../support/random-data.js';
import { readData } from '../../../support/redis-data.js';
import { render } from '../../../support/reply.js';
import { TestServer } from '../../../support/server.js';

const MEMORY = 2 ** 30;
const FOOTER_BYTES = 10;
/** For each kind of value. */
const PAYLOADS = envNumber('VASTO_TEST_DAMAGED', 1000);
const BATCH = 250;
const BODY_BYTES_MAX = 800;

/** The last type that Redis 7.0 knows. */
const REDIS_TYPE_MAX = 19;

/**
 * Redis takes the footer for a part of the value where that is cut off. Here it is not, which is the only difference
 * that it makes.
 */
function decodeAsRedis(payload: Buffer): ValueData | PayloadFault {
  const strict = decodePayload(payload, MEMORY, MEMORY);
  const lenient = decodePayload(Buffer.concat([payload, Buffer.alloc(FOOTER_BYTES)]), MEMORY, MEMORY);
  if (strict.kind !== 'malformed') expect(strict).toEqual(lenient);
  return lenient;
}

function isValue(decoded: ValueData | PayloadFault): decoded is ValueData {
  return !['malformed', 'too-large', 'too-long', 'unsupported'].includes(decoded.kind);
}

/** Bytes that mean something in one of the formats. */
const SPECIAL = [
  0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xc3, 0xdf, 0xe0, 0xef, 0xf0, 0xf1, 0xf4, 0xfe, 0xff,
];

/** A few changes of all sorts. */
function damaged(bytes: Buffer, random: Random): Buffer {
  let out = Buffer.from(bytes);
  for (let changes = random.int(1, 3); changes > 0; changes--) {
    const at = random.int(0, Math.max(0, out.length - 1));
    const length = random.pick([1, 1, 2, 4, 8, 20]);
    switch (random.int(0, 6)) {
      case 0:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + length)]);
        break;
      case 1:
        out = Buffer.concat([
          out.subarray(0, at),
          Buffer.from(random.bytes(length), 'latin1'),
          out.subarray(at),
        ]);
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at + length), out.subarray(at)]);
        break;
      case 3:
        if (at < out.length) out[at]! += random.pick([1, -1, 2, -2]);
        break;
      default:
        if (at < out.length) out[at] = random.chance(0.7) ? random.pick(SPECIAL) : random.int(0, 255);
    }
  }
  return out;
}

/** Types whose packs begin with their length in bytes. */
function withLength(pack: Buffer, type: number): Buffer {
  if (type !== 9 && type !== 11 && pack.length >= 4) pack.writeUInt32LE(pack.length, 0);
  return pack;
}

/** Where a count of 32 bits or more follows, Redis makes room for so many, which may take it very long. */
function asksForMuch(body: Buffer): boolean {
  return body[0] !== 0 && (body[1] === 0x80 || body[1] === 0x81);
}

/** A payload of a random value, in one of all forms, damaged somewhere. */
function damagedPayload(random: Random, kind: ValueData['kind']): Buffer {
  for (;;) {
    const data = randomData(random, kind, 'small');
    const bodies = [encodePayload(data).subarray(0, -FOOTER_BYTES), ...oldBodies(data)];
    const body = random.pick(bodies);
    if (body.length > BODY_BYTES_MAX) continue;
    const deep = random.chance(0.6);
    const inflated = inflatedBody(body, (pack, type) => {
      if (!deep) return pack;
      const broken = damaged(pack, random);
      return random.chance(0.8) ? withLength(broken, type) : broken;
    });
    const out = deep ? inflated : damaged(inflated, random);
    if (!asksForMuch(out)) return sealedPayload(out);
  }
}

describe.skipIf(!haveTool('redis-server'))('damaged payloads', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    const flags = ['--sanitize-dump-payload', 'yes', '--appendonly', 'no'];
    server = await TestServer.start({ kind: 'redis', flags });
    client = await server.connect();
  });

  afterAll(() => server.stop());

  test.each(DATA_KINDS)('of kind %s are refused as redis-server does', async (kind) => {
    const random = new Random(testSeed(`damaged ${kind}`));
    let stricter = 0;
    for (let done = 0; done < PAYLOADS; done += BATCH) {
      const payloads = Array.from({ length: BATCH }, () => damagedPayload(random, kind));
      const replies = await client.pipeline(
        payloads.map((each, index) => ['RESTORE', `k${index}`, 0, each, 'REPLACE']),
      );
      for (const [index, payload] of payloads.entries()) {
        const reply = render(replies[index]!);
        const what = payload.toString('hex');
        const decoded = decodeAsRedis(payload);
        if (payload[0]! > REDIS_TYPE_MAX) continue;
        if (!isValue(decoded)) {
          if (reply === '+OK') stricter++;
          continue;
        }
        expect([what, reply]).toEqual([what, '+OK']);
        const theirs = await readData(client, `k${index}`);
        expect([what, normalData(decoded)]).toEqual([what, theirs]);
      }
      await client.command('FLUSHALL');
    }
    // What Redis lets pass: scores that are no numbers, entries of streams out of order, counters below 0.
    expect(stricter).toBeLessThanOrEqual(PAYLOADS * (kind === 'zset' || kind === 'stream' ? 0.15 : 0.02));
  });
});
