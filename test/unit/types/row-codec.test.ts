import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Row,
  RowFlag,
  RowType,
  type StringValue,
  stringValue,
  TEXT_BYTES_MAX,
  typeName,
  valueBytes,
  valueText,
} from '../../../src/types/row.js';
import {
  decodeRow,
  encodeRow,
  encodeTtlKey,
  ROW_HEADER_BYTES_MAX,
  RowFormatError,
  readUint64,
  ttlKeyExpiry,
  ttlKeyUserKey,
  writeUint64,
} from '../../../src/types/row-codec.js';
import { Database } from '../../../src/workers/rocksdb.js';
import { temporaryDir } from '../../support/environment.js';
import { check } from '../../support/replay.js';

const RUNS = 2000;
const byteText = (lengths: fc.ArrayConstraints) =>
  fc.array(fc.integer({ min: 0, max: 255 }), lengths).map((codes) => String.fromCharCode(...codes));
const uint53 = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(
    1,
    255,
    256,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 32 + 1,
    Number.MAX_SAFE_INTEGER,
  ),
);
/** Values of every length, the ones around the change of form more often. */
const value: fc.Arbitrary<StringValue> = fc
  .oneof(
    byteText({ maxLength: 40 }),
    byteText({ minLength: TEXT_BYTES_MAX - 2, maxLength: TEXT_BYTES_MAX + 2 }),
  )
  .map((text) => stringValue(text));

interface Stored {
  readonly type: RowType;
  readonly flags: number;
  readonly timestamp: number;
  readonly expiresAtMs: number;
  readonly value: StringValue;
}

const stored: fc.Arbitrary<Stored> = fc.record({
  type: fc.constantFrom(RowType.String, RowType.String, RowType.Tombstone),
  flags: fc.constantFrom(0, RowFlag.Raw, 255),
  timestamp: uint53,
  expiresAtMs: fc.oneof(fc.constant(0), uint53),
  value,
});

function encoded(fields: Stored): Buffer {
  const row = Object.assign(new Row('key'), fields);
  const target = Buffer.alloc(fields.value.length + ROW_HEADER_BYTES_MAX, 0xee);
  return target.subarray(0, encodeRow(row, target));
}

function decoded(bytes: Buffer): Row {
  const row = Object.assign(new Row('key'), { flags: 77, timestamp: 5, expiresAtMs: 6, value: 'of before' });
  decodeRow(row, bytes);
  return row;
}

describe('a row', () => {
  it('comes back as it was stored', () => {
    const property = fc.property(stored, (fields) => {
      const row = decoded(encoded(fields));
      const { type, flags, timestamp, expiresAtMs } = row;
      const expected = fields.type === RowType.Tombstone ? '' : fields.value;
      expect({ type, flags, timestamp, expiresAtMs }).toEqual({
        type: fields.type,
        flags: fields.flags,
        timestamp: fields.timestamp,
        expiresAtMs: fields.expiresAtMs,
      });
      expect(typeof row.value).toBe(typeof expected);
      expect(valueText(row.value)).toBe(valueText(expected));
      expect(row.storedType).toBe(fields.type);
      expect(row.storedExpiresAtMs).toBe(fields.expiresAtMs);
    });
    return check(property, RUNS);
  });

  it('is laid out as documented', () => {
    const fields = {
      type: RowType.String,
      flags: 1,
      timestamp: 0x1122334455667,
      expiresAtMs: 0,
      value: 'hi',
    };
    expect(encoded(fields).toString('hex')).toBe('01010001122334455667' + '6869');
    expect(encoded({ ...fields, expiresAtMs: 258 }).toString('hex')).toBe(
      '1101000112233445566700000000000001026869',
    );
    expect(encoded({ ...fields, type: RowType.Tombstone, expiresAtMs: 258 }).toString('hex')).toBe(
      '1f0100011223344556670000000000000102',
    );
  });

  it('keeps no more than the value in memory when it is short', () => {
    const bytes = encoded({ type: RowType.String, flags: 0, timestamp: 1, expiresAtMs: 0, value: 'short' });
    const row = decoded(bytes);
    bytes.fill(0);
    expect(row.value).toBe('short');
  });

  it('is refused when it is too short for a header, or of a type that is not known', () => {
    const bytes = encoded({ type: RowType.String, flags: 0, timestamp: 1, expiresAtMs: 0, value: 'v' });
    for (let length = 0; length < 10; length++)
      expect(() => decoded(bytes.subarray(0, length))).toThrow(RowFormatError);
    for (const type of [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]) {
      bytes[0] = type;
      expect(() => decoded(bytes)).toThrow(RowFormatError);
    }
  });

  it('is refused when it is cut within its expiry', () => {
    const whole = Buffer.from('110100000000000000010000018bcfe56800', 'hex');
    decodeRow(new Row('key'), whole);
    for (let length = 10; length < 18; length++)
      expect(() => decodeRow(new Row('key'), whole.subarray(0, length))).toThrow(RowFormatError);
  });

  it('is refused when it has bits that this format leaves 0', () => {
    for (const bit of [0x20, 0x40, 0x80]) {
      const bytes = Buffer.from('01000000000000000001', 'hex');
      bytes[0]! |= bit;
      expect(() => decodeRow(new Row('key'), bytes)).toThrow(RowFormatError);
    }
  });

  it('is read or refused, whatever the bytes', () => {
    const property = fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        decoded(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(RowFormatError);
      }
    });
    return check(property, RUNS);
  });
});

describe('an unsigned integer', () => {
  it('comes back, and its bytes order as it does', () => {
    const property = fc.property(uint53, uint53, (first, second) => {
      const bytes = Buffer.alloc(16);
      writeUint64(bytes, 0, first);
      writeUint64(bytes, 8, second);
      expect(readUint64(bytes, 0)).toBe(first);
      expect(bytes.readBigUInt64BE(8)).toBe(BigInt(second));
      expect(Math.sign(Buffer.compare(bytes.subarray(0, 8), bytes.subarray(8)))).toBe(
        Math.sign(first - second),
      );
    });
    return check(property, RUNS);
  });

  it('comes back beyond 2^53 too, as far as a double has it', () => {
    const bytes = Buffer.alloc(8);
    for (const large of [2 ** 53, 2 ** 60, 2 ** 63]) {
      writeUint64(bytes, 0, large);
      expect(readUint64(bytes, 0)).toBe(large);
    }
  });
});

describe('a ttl key', () => {
  const ttlKey = (expiresAtMs: number, key: string) => {
    const bytes = Buffer.alloc(8 + key.length);
    expect(encodeTtlKey(expiresAtMs, key, bytes)).toBe(bytes.length);
    return bytes;
  };

  it('comes back, and orders by expiry, then by key', () => {
    const entry = fc.tuple(fc.oneof(uint53, fc.integer({ min: 1, max: 3 })), byteText({ maxLength: 6 }));
    const property = fc.property(entry, entry, (first, second) => {
      const bytes = ttlKey(...first);
      expect([ttlKeyExpiry(bytes), ttlKeyUserKey(bytes)]).toEqual(first);
      const order = first[0] - second[0] || (first[1] < second[1] ? -1 : Number(first[1] > second[1]));
      expect(Math.sign(Buffer.compare(bytes, ttlKey(...second)))).toBe(Math.sign(order));
    });
    return check(property, RUNS);
  });
});

describe('the order of keys', () => {
  it('is the order of their bytes, in RocksDB as in latin1 text', async () => {
    const database = await Database.open(temporaryDir());
    const property = fc.property(fc.uniqueArray(byteText({ maxLength: 5 }), { maxLength: 40 }), (keys) => {
      for (const key of keys) database.put('elem', Buffer.from(key, 'latin1'), Buffer.alloc(1));
      database.commit(false);
      const order: string[] = [];
      database.iterate({ family: 'elem', values: false }, (key) => {
        order.push(key.latin1Slice());
        database.delete('elem', key);
        return true;
      });
      database.commit(false);
      expect(order).toEqual(keys.toSorted((a, b) => (a < b ? -1 : 1)));
    });
    await check(property, 200);
    await database.close();
  });
});

describe('values', () => {
  it('take the form that follows from their length', () => {
    for (const length of [0, 1, TEXT_BYTES_MAX - 1, TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1, 5000]) {
      const bytes = Buffer.alloc(length, 0xfe);
      const form = length <= TEXT_BYTES_MAX ? 'string' : 'object';
      for (const made of [stringValue(bytes), stringValue(bytes.latin1Slice())]) {
        expect(typeof made).toBe(form);
        expect(made.length).toBe(length);
        expect(valueBytes(made).equals(bytes)).toBe(true);
        expect(valueText(made)).toBe(bytes.latin1Slice());
      }
    }
  });

  it('have the names of their types in Redis', () => {
    const names = Object.values(RowType).map(typeName);
    expect(names).toEqual(['none', 'string', 'hash', 'list', 'set', 'zset', 'stream', 'none']);
  });
});
