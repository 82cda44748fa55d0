import { describe, expect, it } from 'vitest';
import { decodeCollection } from '../../../../src/types/collections/decode.js';
import { StreamValue } from '../../../../src/types/collections/stream.js';
import { consumerName, groupName, pendingId } from '../../../../src/types/collections/stream-groups.js';
import { stringValue, valueText } from '../../../../src/types/row.js';
import { STREAM_ID_MAX, STREAM_ID_MIN, type StreamId, streamId } from '../../../../src/types/stream-id.js';
import { LOW_LIMITS, MemoryHost, REDIS_LIMITS } from '../../../support/memory-elements.js';
import { envNumber, type Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';

const STEPS = envNumber('VASTO_VALUE_STEPS', 1500);

const FORMS = [
  { name: 'inline', limits: { ...REDIS_LIMITS, streamNodeBytes: 0, streamNodeEntries: 0 }, growth: 0.45 },
  { name: 'as element rows', limits: LOW_LIMITS, growth: 0.7 },
  { name: 'as either, growing', limits: REDIS_LIMITS, growth: 0.7 },
];

interface Pending {
  consumer: string;
  deliveredAtMs: number;
  deliveries: number;
}

interface Group {
  lastId: StreamId;
  entriesRead: number | undefined;
  /** When each was seen. */
  consumers: Map<string, number>;
  pending: Map<StreamId, Pending>;
}

/** What a commit and a restart do: the value is read again from what is stored. */
function stored(stream: StreamValue, host: MemoryHost): StreamValue {
  for (const store of host.stores.values()) store.settle();
  const target = Buffer.alloc(stream.encodedBytesMax + 5, 0xee);
  const end = stream.encode(target, 5);
  expect(end - 5).toBeLessThanOrEqual(stream.encodedBytesMax);
  const read = decodeCollection(stream.type, target.subarray(0, end), 5, host) as StreamValue;
  expect(read.version).toBe(stream.version);
  expect(read.footprintBytes).toBe(stream.footprintBytes);
  expect(read.totals).toEqual(stream.totals);
  return read;
}

function entriesOf(stream: StreamValue, from: number, to: number, reverse: boolean): [StreamId, string[]][] {
  const seen: [StreamId, string[]][] = [];
  stream.each(from, to, reverse, (id, fields) => seen.push([id, fields.map(valueText)]) > 0);
  return seen;
}

function groupsOf(stream: StreamValue): Map<string, Group> {
  const { groups } = stream;
  return new Map(
    groups.all().map((group) => {
      const consumers = groups.consumers(group);
      expect(groups.countConsumers(group)).toBe(consumers.length);
      const all = groups.pendingBetween(group, STREAM_ID_MIN, STREAM_ID_MAX, Number.POSITIVE_INFINITY);
      expect(groups.countPending(group)).toBe(all.length);
      const pending = new Map(
        all.map((record) => {
          const { consumer, deliveredAtMs, deliveries } = record;
          return [pendingId(record), { consumer: groups.consumerName(consumer), deliveredAtMs, deliveries }];
        }),
      );
      for (const consumer of consumers) {
        const owned = [...pending].filter(([, entry]) => entry.consumer === consumerName(consumer));
        expect(groups.countOwned(consumer)).toBe(owned.length);
        expect(groups.ownedBetween(consumer, STREAM_ID_MIN, STREAM_ID_MAX, Number.POSITIVE_INFINITY)).toEqual(
          owned.map(([id]) => id),
        );
      }
      const seen = new Map(consumers.map((consumer) => [consumerName(consumer), consumer.seenAtMs]));
      const { lastId, entriesRead } = group;
      return [groupName(group), { lastId, entriesRead, consumers: seen, pending }];
    }),
  );
}

function sortedById<V>(map: Map<StreamId, V>): Map<StreamId, V> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A change of one group, in a stream and in a model of it. */
function changeGroup(
  random: Random,
  stream: StreamValue,
  model: Map<string, Group>,
  ids: readonly StreamId[],
): void {
  const { groups } = stream;
  const name = random.pick(['g1', 'g2', '\0', 'long'.repeat(30)]);
  const known = model.get(name);
  const group = groups.get(name);
  expect(group === undefined).toBe(known === undefined);
  if (group === undefined || known === undefined) {
    const entriesRead = random.chance(0.5) ? undefined : random.int(0, 5);
    const lastId = streamId(random.int(0, 5), 0);
    groups.create(name, lastId, entriesRead);
    model.set(name, { lastId, entriesRead, consumers: new Map(), pending: new Map() });
    return;
  }
  if (random.chance(0.02)) {
    groups.destroy(group);
    model.delete(name);
    return;
  }
  const consumer = random.pick(['c1', 'c2', 'c3', '']);
  const seenAtMs = random.int(0, 1e12);
  const record = groups.consumer(group, consumer);
  expect(record?.seenAtMs).toBe(known.consumers.get(consumer));
  if (record === undefined) groups.addConsumer(group, consumer, seenAtMs);
  else if (random.chance(0.03)) {
    groups.removeConsumer(group, record);
    known.consumers.delete(consumer);
    for (const [id, entry] of known.pending) if (entry.consumer === consumer) known.pending.delete(id);
    return;
  } else groups.see(record, seenAtMs);
  known.consumers.set(consumer, seenAtMs);
  if (ids.length === 0) return;
  const id = random.pick(ids);
  if (random.chance(0.3)) expect(groups.removePending(group, id)).toBe(known.pending.delete(id));
  else {
    const entry = { consumer, deliveredAtMs: random.int(0, 1e12), deliveries: random.int(0, 300) };
    groups.setPending(
      group,
      id,
      groups.consumer(group, consumer)!.number,
      entry.deliveredAtMs,
      entry.deliveries,
    );
    known.pending.set(id, entry);
  }
  if (random.chance(0.2)) {
    known.lastId = id;
    known.entriesRead = random.int(0, 9);
    groups.advance(groups.get(name)!, id, known.entriesRead);
  }
}

function fields(random: Random): string[] {
  const length = random.chance(0.05) ? random.int(500, 3000) : random.int(0, 20);
  return ['field', random.bytes(length), random.pick(['', 'x']), String(random.int(0, 9))];
}

describe.each(FORMS)('a stream $name', ({ limits, growth }) => {
  it('does what an array and maps do', () =>
    seeded(3, (random) => {
      const host = new MemoryHost();
      host.limits = { ...limits };
      let stream = new StreamValue(host);
      let model: [StreamId, string[]][] = [];
      const groups = new Map<string, Group>();
      let [added, ms, maxDeletedId] = [0, 1, STREAM_ID_MIN];
      for (let step = 0; step < STEPS; step++) {
        if (random.chance(0.3)) {
          changeGroup(
            random,
            stream,
            groups,
            model.map(([id]) => id),
          );
          stream.settle();
        } else if (random.chance(step % 1000 < 700 ? growth : 0.3)) {
          ms += random.int(1, 3);
          const id = streamId(ms, random.int(0, 3));
          const given = fields(random);
          stream.append(
            id,
            given.map((field) => stringValue(Buffer.from(field, 'latin1'))),
          );
          model.push([id, given]);
          added++;
        } else if (random.chance(0.8)) {
          const id = model.length > 0 && random.chance(0.8) ? random.pick(model)[0] : streamId(ms + 1, 0);
          const isThere = model.some(([each]) => each === id);
          expect(stream.delete(id)).toBe(isThere);
          model = model.filter(([each]) => each !== id);
          if (isThere && id > maxDeletedId) maxDeletedId = id;
        } else {
          const count = Math.min(model.length, random.int(0, 5));
          stream.trim(count);
          model = model.slice(count);
        }
        const firstId = model[0]?.[0] ?? STREAM_ID_MIN;
        expect(stream.totals).toMatchObject({
          length: model.length,
          firstId,
          maxDeletedId,
          entriesAdded: added,
        });
        const id = streamId(random.int(0, ms + 1), random.int(0, 3));
        expect(stream.rank(id)).toBe(model.filter(([each]) => each < id).length);
        expect(stream.rankBehind(id)).toBe(model.filter(([each]) => each <= id).length);
        expect(stream.get(id)?.map(valueText)).toEqual(model.find(([each]) => each === id)?.[1]);
        if (random.chance(0.03)) {
          const from = random.int(0, model.length);
          const to = random.int(from, model.length);
          expect(entriesOf(stream, from, to, false)).toEqual(model.slice(from, to));
          expect(entriesOf(stream, from, to, true)).toEqual(model.slice(from, to).reverse());
          for (const group of groups.values()) group.pending = sortedById(group.pending);
          expect(groupsOf(stream)).toEqual(groups);
        }
        if (random.chance(0.02)) stream = stored(stream, host);
        if (random.chance(0.005)) stream = stream.copy(host);
      }
      if (stream.version === 0) return;
      stream.trim(stream.size);
      for (const group of stream.groups.all()) stream.groups.destroy(group);
      stored(stream, host);
      // Nothing is left but the roots of both trees: long entries have gone, and all records of groups.
      expect(host.stores.get(stream.version)!.rows.size).toBe(2);
    }));
});
