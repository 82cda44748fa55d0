import { describe, expect, test } from 'vitest';
import { DEFAULT_PACKING_LIMITS } from '../../../../src/types/rdb/encode.js';
import { ListpackReader, ListpackWriter } from '../../../../src/types/rdb/listpack.js';
import { readIntset, writeIntset } from '../../../../src/types/rdb/packed.js';
import { decodePayload, encodePayload, verifyPayload } from '../../../../src/types/rdb/payload.js';
import {
  type HashData,
  type PayloadFault,
  PayloadType,
  type ValueData,
} from '../../../../src/types/rdb/values.js';
import { PayloadWriter } from '../../../../src/types/rdb/writer.js';
import { type StringValue, stringValue } from '../../../../src/types/row.js';
import { otherStreamBody } from '../../../support/old-payloads.js';
import { sealedPayload } from '../../../support/payload.js';
import { Random, testSeed } from '../../../support/random.js';
import { DATA_KINDS, normalData, randomData } from '../../../support/random-data.js';

const MEMORY = 2 ** 30;

function decode(payload: Buffer): ValueData | PayloadFault {
  return decodePayload(payload, MEMORY, MEMORY);
}

function listpack(...elements: StringValue[]): Buffer {
  const writer = new ListpackWriter();
  for (const element of elements) writer.string(element);
  return writer.finish();
}

/** A payload whose value is one pack. */
function packed(type: number, pack: Buffer, version = 10): Buffer {
  const writer = new PayloadWriter();
  writer.byte(type);
  writer.string(pack);
  return sealedPayload(writer.bytes, version);
}

describe('values of every kind', () => {
  test.each(DATA_KINDS)('come back: %s', (kind) => {
    const random = new Random(testSeed(`round trips of ${kind}`));
    for (let round = 0; round < 25; round++) {
      const data = randomData(random, kind);
      const payload = encodePayload(data);
      expect(verifyPayload(payload)).toBe(true);
      expect(payload.readUInt16LE(payload.length - 10)).toBe(10);
      const decoded = decode(payload);
      expect(normalData(decoded as ValueData)).toEqual(normalData(data));
      // Nothing of it lies in the payload's memory.
      const before = JSON.stringify(decoded);
      payload.fill(0);
      expect(JSON.stringify(decoded) === before).toBe(true);
    }
  });

  test('cut off anywhere they are malformed, and no more than that', () => {
    const random = new Random(testSeed('cut payloads'));
    for (const kind of DATA_KINDS) {
      const body = encodePayload(randomData(random, kind, 'small')).subarray(0, -10);
      for (let length = 0; length < body.length; length++)
        expect([kind, length, decode(sealedPayload(body.subarray(0, length))).kind]).toEqual([
          kind,
          length,
          'malformed',
        ]);
      // What stands behind a value does not matter.
      expect(decode(sealedPayload(Buffer.concat([body, body])))).toEqual(decode(sealedPayload(body)));
    }
  });

  test('random bytes are no value, and take no time or memory', () => {
    const random = new Random(testSeed('random payloads'));
    for (let round = 0; round < 20_000; round++) {
      const body = Buffer.from(random.bytes(random.int(0, 60)), 'latin1');
      if (body.length > 0) body[0] = random.int(0, 26);
      decode(sealedPayload(body));
    }
  });

  test.each([1, 2, 3, 4, 5, 14, 15, 18, 19, 21])('counts of more than there is, type %i', (type) => {
    for (const count of [[0], [0x80, 255, 255, 255, 255], [0x81, 255, 255, 255, 255, 255, 255, 255, 255]])
      expect(decode(sealedPayload([type, ...count])).kind).toBe('malformed');
  });
});

describe('forms of later versions', () => {
  test('sets as listpacks', () => {
    const payload = packed(PayloadType.SetListpack, listpack('a', '-5', ''), 11);
    expect(decode(payload)).toEqual({ kind: 'set', members: ['a', '-5', ''] });
    expect(decode(packed(PayloadType.SetListpack, listpack('a', 'a'), 11)).kind).toBe('malformed');
    expect(decode(packed(PayloadType.SetListpack, listpack(), 11)).kind).toBe('malformed');
  });

  test('streams whose consumers have a time of activity', () => {
    const random = new Random(testSeed('streams of 7.2'));
    for (let round = 0; round < 20; round++) {
      const data = randomData(random, 'stream');
      const body = otherStreamBody(encodePayload(data).subarray(0, -10), 21);
      expect(decode(sealedPayload(body, 11))).toEqual(data);
    }
  });

  const END = 1_900_000_000_000;
  const small: HashData = {
    kind: 'hash',
    fields: [
      { field: 'never', value: '1', expiresAtMs: 0 },
      { field: 'late', value: '2', expiresAtMs: END + 1000 },
      { field: 'early', value: '3', expiresAtMs: END },
    ],
  };

  test('hashes whose fields end, as a listpack: those that end first stand first', () => {
    const payload = encodePayload(small);
    expect(payload[0]).toBe(PayloadType.HashListpackExpiring);
    expect(payload.readBigInt64LE(1)).toBe(BigInt(END));
    expect(payload.readUInt16LE(payload.length - 10)).toBe(12);
    expect(verifyPayload(payload)).toBe(true);
    const [never, late, early] = small.fields;
    expect(decode(payload)).toEqual({ kind: 'hash', fields: [early, late, never] });
  });

  test('hashes whose fields end, one by one', () => {
    const payload = encodePayload(small, { ...DEFAULT_PACKING_LIMITS, hashFieldsMax: 2 });
    expect(payload[0]).toBe(PayloadType.HashExpiring);
    expect(decode(payload)).toEqual(small);
  });

  test.each(['-1', 'soon', '281474976710655'])('a field that ends at %s', (end) => {
    const writer = new PayloadWriter();
    writer.byte(PayloadType.HashListpackExpiring);
    writer.time(0);
    writer.string(listpack('field', 'value', end));
    expect(decode(sealedPayload(writer.bytes, 12)).kind).toBe('malformed');
  });
});

describe('what Redis lets pass', () => {
  test('-0 is a score', () => {
    const large = { ...DEFAULT_PACKING_LIMITS, sortedSetMembersMax: 0 };
    const data: ValueData = { kind: 'zset', members: [{ member: 'a', score: -0 }] };
    expect(decode(encodePayload(data, large))).toEqual(data);
    expect(decode(encodePayload(data))).toEqual({ kind: 'zset', members: [{ member: 'a', score: 0 }] });
  });

  test('scores that are none, no score at all', () => {
    for (const score of ['nan', '', '1x', '1e999'])
      expect(decode(packed(PayloadType.SortedSetListpack, listpack('member', score))).kind).toBe('malformed');
    expect(decode(packed(PayloadType.SortedSetListpack, listpack('member'))).kind).toBe('malformed');
  });

  test('members out of order are brought into order', () => {
    const payload = packed(PayloadType.SortedSetListpack, listpack('a', '2', 'c', '1', 'b', '1'));
    expect(decode(payload)).toEqual({
      kind: 'zset',
      members: [
        { member: 'b', score: 1 },
        { member: 'c', score: 1 },
        { member: 'a', score: 2 },
      ],
    });
  });
});

describe('listpacks', () => {
  test.each([0, 126, 127, 128, 16_375, 16_376, 16_377, 16_378, 16_379, 16_384, 2_097_140, 2_097_150])(
    'an element of %i bytes, whose length stands behind it',
    (length) => {
      const text = stringValue(Buffer.alloc(length, 'x'));
      const reader = new ListpackReader(listpack(text, 'y'));
      expect(Buffer.alloc(length, 'x').equals(reader.next() as Buffer)).toBe(true);
      expect(reader.next()).toEqual(Buffer.from('y'));
      expect(reader.done).toBe(true);
    },
  );

  test('more elements than the header can tell', () => {
    const writer = new ListpackWriter();
    for (let index = 0; index < 70_000; index++) writer.integer(index);
    const pack = writer.finish();
    expect(pack.readUInt16LE(4)).toBe(65_535);
    const reader = new ListpackReader(pack);
    for (let index = 0; index < 70_000; index++) expect(reader.next()).toBe(index);
    expect(reader.done).toBe(true);
  });
});

describe('intsets', () => {
  test.each([
    [[3, -1, 2], 2],
    [[32_767, -32_768], 2],
    [[32_768], 4],
    [[-(2 ** 31), 2 ** 31 - 1], 4],
    [[2 ** 31], 8],
    [[9223372036854775807n, -9223372036854775808n, 0], 8],
  ])('case %#', (members, bytes) => {
    const pack = writeIntset(members);
    expect(pack.length).toBe(8 + bytes * members.length);
    expect(new Set(readIntset(pack))).toEqual(new Set(members));
  });
});
