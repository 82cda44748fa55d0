import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_PACKING_LIMITS, type PackingLimits } from '../../../../src/types/rdb/encode.js';
import { decodePayload, encodePayload, verifyPayload } from '../../../../src/types/rdb/payload.js';
import type { PayloadFault, ValueData } from '../../../../src/types/rdb/values.js';
import type { RawClient } from '../../../support/client.js';
import { haveTool } from '../../../support/environment.js';
import { oldBodies, otherStreamBody } from '../../../support/old-payloads.js';
import { sealedPayload } from '../../../support/payload.js';
import { envNumber, Random, testSeed } from '../../../support/random.js';
import { DATA_KINDS, normalData, randomData } from '../../../support/random-data.js';
import { readData, writeCommands } from '../../../support/redis-data.js';
import { type Reply, render } from '../../../support/reply.js';
import { TestServer } from '../../../support/server.js';

const MEMORY = 2 ** 30;
const ROUNDS = envNumber('VASTO_TEST_PAYLOADS', 10);

function decode(payload: Buffer): ValueData | PayloadFault {
  return decodePayload(payload, MEMORY, MEMORY);
}

function decodedNormal(payload: Buffer): ValueData {
  const data = decode(payload);
  if (
    data.kind === 'malformed' ||
    data.kind === 'too-large' ||
    data.kind === 'too-long' ||
    data.kind === 'unsupported'
  )
    throw new Error(`${data.kind}: ${payload.toString('hex').slice(0, 400)}`);
  return normalData(data);
}

function randomLimits(random: Random): PackingLimits {
  return {
    hashFieldsMax: random.pick([0, 5, 512]),
    hashValueBytesMax: random.pick([10, 64, 20_000]),
    setIntegersMax: random.pick([0, 5, 512]),
    sortedSetMembersMax: random.pick([0, 5, 128, 1000]),
    sortedSetMemberBytesMax: random.pick([10, 64, 20_000]),
    listNodeSize: random.pick([-5, -2, -2, -1, 1, 3, 128]),
    streamNodeBytesMax: random.pick([0, 100, 4096]),
    streamNodeEntriesMax: random.pick([0, 1, 7, 100, 200]),
  };
}

async function configure(client: RawClient, limits: PackingLimits): Promise<void> {
  const values = {
    'hash-max-listpack-entries': limits.hashFieldsMax,
    'hash-max-listpack-value': limits.hashValueBytesMax,
    'set-max-intset-entries': limits.setIntegersMax,
    'zset-max-listpack-entries': limits.sortedSetMembersMax,
    'zset-max-listpack-value': limits.sortedSetMemberBytesMax,
    'list-max-listpack-size': limits.listNodeSize,
    'stream-node-max-bytes': limits.streamNodeBytesMax,
    'stream-node-max-entries': limits.streamNodeEntriesMax,
  };
  for (const [name, value] of Object.entries(values))
    expect(await client.rendered('CONFIG', 'SET', name, value)).toBe('+OK');
}

function payloadOf(reply: Reply): Buffer {
  if (reply.type !== 'bulk') throw new Error(`no payload: ${render(reply)}`);
  return reply.data;
}

/** Whether Redis's bytes do not depend on a history or on hash values: the order of the elements is that of the data. */
function hasOneForm(data: ValueData, limits: PackingLimits): boolean {
  const encoded = encodePayload(data, limits)[0];
  // Plain sets and hashes stand in the order of a hash table.
  return encoded !== 2 && encoded !== 4;
}

describe.skipIf(!haveTool('redis-server'))('payloads against redis-server', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    const flags = ['--enable-debug-command', 'yes', '--sanitize-dump-payload', 'yes', '--appendonly', 'no'];
    server = await TestServer.start({ kind: 'redis', flags });
    client = await server.connect();
  });

  afterAll(() => server.stop());

  async function make(data: ValueData): Promise<void> {
    await client.command('DEL', 'made');
    for (const reply of await client.pipeline(writeCommands('made', data)))
      if (reply.type === 'error') throw new Error(reply.text);
  }

  test.each(DATA_KINDS)('of kind %s, both ways', async (kind) => {
    const random = new Random(testSeed(`payloads of ${kind}`));
    for (let round = 0; round < ROUNDS; round++) {
      const limits = round === 0 ? DEFAULT_PACKING_LIMITS : randomLimits(random);
      await configure(client, limits);
      const data = randomData(random, kind);
      await make(data);
      const theirs = payloadOf(await client.command('DUMP', 'made'));
      expect(verifyPayload(theirs)).toBe(true);
      const decoded = decodedNormal(theirs);
      expect(decoded).toEqual(await readData(client, 'made'));
      const own = encodePayload(data, limits);
      if (hasOneForm(data, limits) && kind !== 'stream')
        expect(own.toString('hex')).toBe(theirs.toString('hex'));
      // Streams have times of the server in them, which are in what was decoded.
      if (kind === 'stream')
        expect(encodePayload(decoded, limits).toString('hex')).toBe(theirs.toString('hex'));
      expect(await client.rendered('RESTORE', 'restored', 0, own, 'REPLACE')).toBe('+OK');
      expect(await readData(client, 'restored')).toEqual(normalData(data));
      if (kind !== 'stream')
        expect(await client.text('OBJECT', 'ENCODING', 'restored')).toBe(
          await client.text('OBJECT', 'ENCODING', 'made'),
        );
      // Whatever the limits of the reader are.
      await configure(client, randomLimits(random));
      expect(await client.rendered('RESTORE', 'restored', 0, own, 'REPLACE')).toBe('+OK');
      expect(await readData(client, 'restored')).toEqual(normalData(data));
    }
  });

  test.each(DATA_KINDS)('of kind %s, in older forms', async (kind) => {
    const random = new Random(testSeed(`older payloads of ${kind}`));
    for (let round = 0; round < ROUNDS; round++) {
      await configure(client, randomLimits(random));
      const data = randomData(random, kind, random.chance(0.5) ? 'small' : 'any');
      for (const body of olderBodies(data)) {
        const payload = sealedPayload(body);
        const read = decodedNormal(payload);
        const reply = await client.rendered('RESTORE', 'older', 0, payload, 'REPLACE');
        expect([body[0], reply]).toEqual([body[0], '+OK']);
        const theirs = await readData(client, 'older');
        expect([body[0], read]).toEqual([body[0], theirs]);
      }
    }
  });
});

function olderBodies(data: ValueData): Buffer[] {
  if (data.kind !== 'stream') return oldBodies(data);
  return [otherStreamBody(encodePayload(data).subarray(0, -10), 15)];
}
