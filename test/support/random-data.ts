import { compareScored } from '../../src/types/rdb/decode.js';
import type {
  HashField,
  PendingEntry,
  ScoredMember,
  StreamData,
  StreamEntry,
  ValueData,
} from '../../src/types/rdb/values.js';
import { compareValues, type StringValue, stringValue } from '../../src/types/row.js';
import { nextStreamId, STREAM_ID_MIN, type StreamId, streamId } from '../../src/types/stream-id.js';
import type { Random } from './random.js';

/** Around every limit of the encodings of integers and strings. */
const INTEGERS = [
  0,
  12,
  13,
  127,
  128,
  4095,
  4096,
  32_767,
  32_768,
  2 ** 23 - 1,
  2 ** 23,
  2 ** 31 - 1,
  2 ** 31,
];
const WIDE = ['9223372036854775807', '-9223372036854775808', '9223372036854775808', '9007199254740993'];
const NO_INTEGERS = ['', '-', '-0', '007', '+1', ' 1', '1.5', 'field', 'a\0b', '\xff\xfe', 'nan'];
const LENGTHS = [1, 20, 21, 60, 63, 64, 65, 125, 126, 127, 128, 253, 254, 300];
const LONG_LENGTHS = [1024, 1025, 4095, 4096, 5000, 16_380, 16_384];

/** A string: often an integer, sometimes long. */
export function randomString(random: Random, longChance = 0.01): string {
  if (random.chance(longChance)) return repeated(random, random.pick(LONG_LENGTHS));
  switch (random.int(0, 5)) {
    case 0:
      return String(random.pick(INTEGERS) * random.pick([1, -1]) - random.int(0, 1));
    case 1:
      return random.chance(0.5) ? random.pick(WIDE) : random.pick(NO_INTEGERS);
    case 2:
      return random.bytes(random.pick(LENGTHS));
    case 3:
      return repeated(random, random.pick(LENGTHS));
    default:
      return `${random.pick(['key', 'user:', 'x'])}${random.int(0, 9999)}`;
  }
}

/** Text that LZF can make shorter, or not. */
function repeated(random: Random, length: number): string {
  const unit = random.bytes(random.pick([1, 3, 40, 5000]));
  return unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
}

function randomValue(random: Random, longChance?: number): StringValue {
  return stringValue(randomString(random, longChance));
}

function distinct(random: Random, count: number, make: () => string): StringValue[] {
  const out = new Set<string>();
  while (out.size < count) out.add(random.chance(0.9) ? make() : random.bytes(8));
  return [...out].map(stringValue);
}

const SCORES = [0, 1, -1, 0.1, 1.5, -2.25e-7, 1e17, 1e300, 2 ** 52, 2 ** 52 + 1, 2 ** 53, -(2 ** 63), 5e-324];

/** Never −0, which Redis keeps or not by the form of the set. */
export function randomScore(random: Random): number {
  switch (random.int(0, 4)) {
    case 0:
      return random.pick(SCORES);
    case 1:
      return random.pick([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    case 2:
      return random.int(-5, 5);
    default:
      return (random.float() - 0.5) * 10 ** random.int(-20, 20);
  }
}

/** Small values have a few elements; others sometimes so many that no compact form holds them. */
export type DataSize = 'any' | 'small';

function randomCount(random: Random, size: DataSize): number {
  if (size === 'small') return random.int(1, 6);
  return random.chance(0.2) ? random.int(100, 700) : random.int(1, 20);
}

function randomMembers(random: Random, size: DataSize): ScoredMember[] {
  return distinct(random, randomCount(random, size), () => randomString(random))
    .map((member) => ({ member, score: randomScore(random) }))
    .sort(compareScored);
}

function randomIds(random: Random, count: number): StreamId[] {
  const out: StreamId[] = [];
  let ms = BigInt(random.pick([0, 1, 1_700_000_000_000, 2 ** 53 - 20]));
  let sequence = BigInt(random.int(1, 3));
  for (let index = 0; index < count; index++) {
    out.push(streamId(ms, sequence));
    const step = random.int(0, 4);
    if (step === 0) ms += BigInt(random.pick([1, 127, 128, 5000, 40_000, 9_000_000, 2 ** 40]));
    // Sequences may begin anew with each millisecond, so distances from the first are of both signs.
    if (step === 0 && random.chance(0.5)) sequence = BigInt(random.int(0, 3));
    else sequence += BigInt(random.pick([1, 1, 1, 70_000, 2 ** 33]));
  }
  return out;
}

function randomStream(random: Random, size: DataSize): StreamData {
  const names = random.pick([['field'], ['a', 'b'], ['1', '-300', 'long'.repeat(20)]]);
  const entries = randomIds(random, random.chance(0.1) ? 0 : randomCount(random, size)).map(
    (id): StreamEntry => {
      const fields = random.chance(0.8) ? names : names.map(() => randomString(random));
      return { id, fields: fields.flatMap((name) => [stringValue(name), randomValue(random)]) };
    },
  );
  const last = entries.at(-1)?.id ?? STREAM_ID_MIN;
  const groups = distinct(random, random.int(0, 3), () => randomString(random))
    .sort(compareValues)
    .map((name) => {
      const pending = entries
        .filter(() => random.chance(0.3))
        .map(
          ({ id }): PendingEntry => ({
            id,
            deliveredAtMs: random.int(1, 1.6e12),
            deliveries: random.int(1, 300),
          }),
        );
      const consumers = distinct(random, random.int(1, 4), () => randomString(random)).sort(compareValues);
      return {
        name,
        lastId: random.chance(0.5)
          ? last
          : (random.pick([STREAM_ID_MIN, ...entries.map(({ id }) => id)]) ?? last),
        entriesRead: random.chance(0.3) ? undefined : random.int(0, 100_000),
        consumers: consumers.map((consumer, index) => ({
          name: consumer,
          seenAtMs: random.int(1, 2e12),
          pending: pending.filter((_, at) => at % consumers.length === index),
        })),
      };
    });
  return {
    kind: 'stream',
    entries,
    lastId: random.chance(0.5) ? last : nextStreamId(last)!,
    maxDeletedId: random.chance(0.5) ? STREAM_ID_MIN : last,
    entriesAdded: entries.length + random.int(0, 1000),
    groups,
  };
}

/** A value of any kind. Fields of hashes have no expiry. */
export function randomData(random: Random, kind: ValueData['kind'], size: DataSize = 'any'): ValueData {
  switch (kind) {
    case 'string':
      return { kind, value: randomValue(random, 0.2) };
    case 'list':
      return { kind, elements: Array.from({ length: randomCount(random, size) }, () => randomValue(random)) };
    case 'set': {
      const integers = random.chance(0.5);
      const wide = random.pick([10_000, 2 ** 30, 2 ** 50]);
      const make = () => (integers ? String(random.int(-wide, wide)) : randomString(random));
      if (!integers) return { kind, members: distinct(random, randomCount(random, size), make) };
      const members = new Set(Array.from({ length: randomCount(random, size) }, make));
      return { kind, members: [...members] };
    }
    case 'hash':
      return { kind, fields: randomFields(random, size) };
    case 'zset':
      return { kind, members: randomMembers(random, size) };
    case 'stream':
      return randomStream(random, size);
  }
}

function randomFields(random: Random, size: DataSize): HashField[] {
  return distinct(random, randomCount(random, size), () => randomString(random)).map((field) => ({
    field,
    value: randomValue(random),
    expiresAtMs: 0,
  }));
}

export const DATA_KINDS = [
  'string',
  'list',
  'set',
  'hash',
  'zset',
  'stream',
] as const satisfies readonly ValueData['kind'][];

/** A value with all that has no order in byte order: two that are equal are the same value. */
export function normalData(data: ValueData): ValueData {
  switch (data.kind) {
    case 'set':
      return { ...data, members: [...data.members].sort(compareValues) };
    case 'hash':
      return { ...data, fields: [...data.fields].sort((a, b) => compareValues(a.field, b.field)) };
    case 'zset':
      return { ...data, members: [...data.members].sort(compareScored) };
    default:
      return data;
  }
}
