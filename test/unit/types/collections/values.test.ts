import { describe, expect, it } from 'vitest';
import type { Collection } from '../../../../src/types/collections/collection.js';
import { decodeCollection } from '../../../../src/types/collections/decode.js';
import { HashValue } from '../../../../src/types/collections/hash.js';
import { ListValue } from '../../../../src/types/collections/list.js';
import { comesBefore, type ScoredMember } from '../../../../src/types/collections/packed-scores.js';
import { SetValue } from '../../../../src/types/collections/set.js';
import { SortedSetValue } from '../../../../src/types/collections/sorted-set.js';
import { type StringValue, stringValue, valueText } from '../../../../src/types/row.js';
import { LOW_LIMITS, MemoryHost, REDIS_LIMITS } from '../../../support/memory-elements.js';
import { envNumber, type Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';

const STEPS = envNumber('VASTO_VALUE_STEPS', 1500);
const NOW_MS = 1_700_000_000_000;

const FORMS = [
  { name: 'inline', limits: REDIS_LIMITS, names: 40 },
  { name: 'as element rows', limits: LOW_LIMITS, names: 200 },
  { name: 'as either, growing', limits: REDIS_LIMITS, names: 1500 },
];

/** What a commit and a restart do: the value is read again from what is stored. */
function stored<C extends Collection>(value: C, host: MemoryHost): C {
  for (const store of host.stores.values()) store.settle();
  const target = Buffer.alloc(value.encodedBytesMax + 5, 0xee);
  const end = value.encode(target, 5);
  expect(end - 5).toBeLessThanOrEqual(value.encodedBytesMax);
  const read = decodeCollection(value.type, target.subarray(0, end), 5, host) as C;
  expect(read.size).toBe(value.size);
  expect(read.version).toBe(value.version);
  expect(read.encoding).toBe(value.encoding);
  expect(read.footprintBytes).toBe(value.footprintBytes);
  expect(read.nextExpiryMs).toBe(value.nextExpiryMs);
  return read;
}

function name(random: Random, names: number): string {
  const text = String(random.int(0, names));
  return random.chance(0.1)
    ? `\0\xff${text}`
    : random.chance(0.02)
      ? text.padEnd(random.int(1, 1500), 'x')
      : text;
}

function value(random: Random): StringValue {
  return stringValue(
    Buffer.from(random.bytes(random.chance(0.05) ? random.int(500, 3000) : random.int(0, 20)), 'latin1'),
  );
}

function grows(random: Random, step: number): boolean {
  return random.chance(step % 1000 < 600 ? 0.75 : 0.3);
}

function scanAll(scan: (cursor: number, count: number) => number, random: Random): void {
  let cursor = 0;
  let rounds = 0;
  do cursor = scan(cursor, random.int(1, 10));
  while (cursor !== 0 && ++rounds < 10_000);
  expect(cursor).toBe(0);
}

describe.each(FORMS)('$name', ({ limits, names }) => {
  it('a set does what a Set does', () =>
    seeded(2, (random) => {
      const host = new MemoryHost();
      host.limits = { ...limits };
      let set = new SetValue(host);
      const model = new Set<string>();
      for (let step = 0; step < STEPS; step++) {
        const member = name(random, names);
        if (grows(random, step))
          expect(set.add(member)).toBe(!model.has(member) && model.add(member) !== undefined);
        else if (model.size > 0 && random.chance(0.5)) {
          expect(model.has(set.pick(() => random.float()))).toBe(true);
          expect(model.delete(set.take(() => random.float()))).toBe(true);
        } else expect(set.delete(member)).toBe(model.delete(member));
        expect(set.size).toBe(model.size);
        const other = name(random, names);
        expect(set.hasMany([other, member])).toEqual([model.has(other), model.has(member)]);
        if (random.chance(0.02)) {
          expect(set.members().sort()).toEqual([...model].sort());
          const seen: string[] = [];
          scanAll((cursor, count) => set.scan(cursor, count, (each) => seen.push(each)), random);
          expect(seen.sort()).toEqual([...model].sort());
        }
        if (random.chance(0.02)) set = stored(set, host);
        if (random.chance(0.005)) set = set.copy(host);
      }
    }));

  it('a hash does what a Map does, and fields end', () =>
    seeded(2, (random) => {
      const host = new MemoryHost();
      host.limits = { ...limits };
      let hash = new HashValue(host);
      let nowMs = NOW_MS;
      const model = new Map<string, { text: string; endsMs: number }>();
      const live = (field: string) => {
        const found = model.get(field);
        return found !== undefined && (found.endsMs === 0 || found.endsMs > nowMs) ? found : undefined;
      };
      const liveFields = () => [...model.keys()].filter((field) => live(field));
      for (let step = 0; step < STEPS; step++) {
        const field = name(random, names);
        if (random.chance(0.3)) nowMs += random.int(0, 10);
        if (grows(random, step)) {
          const given = value(random);
          const keeps = random.chance(0.3);
          const old = live(field);
          expect(hash.set(field, given, nowMs, keeps)).toBe(old === undefined);
          model.set(field, { text: valueText(given), endsMs: keeps ? (old?.endsMs ?? 0) : 0 });
        } else if (random.chance(0.3) && live(field)) {
          const endsMs = random.chance(0.2) ? 0 : nowMs + random.int(1, 300);
          hash.setExpiry(field, endsMs);
          live(field)!.endsMs = endsMs;
        } else if (random.chance(0.1)) {
          // What has ended is not seen by anybody, whether it was removed or not.
          hash.removeEnded(nowMs, random.int(1, 5));
        } else if (liveFields().length > 0 && random.chance(0.3)) {
          expect(live(hash.pick(() => random.float(), nowMs))).toBeDefined();
        } else {
          const old = live(field);
          expect(hash.delete(field, nowMs)).toBe(old !== undefined);
          model.delete(field);
        }
        if (live(field)) expect(hash.expiryOf(field)).toBe(live(field)!.endsMs);
        const read = hash.getMany([field, name(random, names)], nowMs);
        expect(read[0] && valueText(read[0])).toBe(live(field)?.text);
        expect(hash.liveSize(nowMs)).toBe(liveFields().length);
        if (random.chance(0.02)) {
          const all: string[] = [];
          hash.each(nowMs, (each, text) => all.push(`${each}=${valueText(text)}`) > 0);
          const wanted = liveFields().map((each) => `${each}=${live(each)!.text}`);
          expect(all.sort()).toEqual(wanted.sort());
          const seen: string[] = [];
          scanAll(
            (cursor, count) =>
              hash.scan(cursor, count, nowMs, (each, text) => seen.push(`${each}=${valueText(text)}`)),
            random,
          );
          expect(seen.sort()).toEqual(wanted);
        }
        if (random.chance(0.02)) hash = stored(hash, host);
        if (random.chance(0.005)) hash = hash.copy(host);
      }
      nowMs += 1000;
      while (hash.removeEnded(nowMs, 7) > 0);
      expect(hash.nextExpiryMs).toBe(0);
      expect(hash.size).toBe(liveFields().length);
    }));

  it('a list does what an array does', () =>
    seeded(2, (random) => {
      const host = new MemoryHost();
      host.limits = { ...limits };
      let list = new ListValue(host);
      const model: string[] = [];
      for (let step = 0; step < STEPS; step++) {
        const choice = random.int(0, 9);
        if (grows(random, step) || model.length === 0) {
          const given = value(random);
          const index = choice < 4 ? model.length : choice < 8 ? 0 : random.int(0, model.length);
          list.insertAt(index, given);
          model.splice(index, 0, valueText(given));
        } else if (choice < 6) {
          const index = choice < 2 ? 0 : choice < 4 ? model.length - 1 : random.int(0, model.length - 1);
          expect(valueText(list.removeAt(index))).toBe(model.splice(index, 1)[0]);
        } else if (choice < 9) {
          const index = random.int(0, model.length - 1);
          const given = value(random);
          list.replaceAt(index, given);
          model[index] = valueText(given);
        } else {
          const from = random.int(0, model.length - 1);
          const count = Math.min(random.int(0, 5), model.length - from);
          list.removeRange(from, count);
          model.splice(from, count);
        }
        expect(list.size).toBe(model.length);
        if (random.chance(0.03)) {
          const from = random.int(0, model.length);
          const to = random.int(from, model.length);
          const [forward, backward]: [string[], string[]] = [[], []];
          list.each(from, to, (each) => forward.push(valueText(each)) > 0);
          list.eachReverse(from, to, (each) => backward.push(valueText(each)) > 0);
          expect(forward).toEqual(model.slice(from, to));
          expect(backward).toEqual(model.slice(from, to).reverse());
        }
        if (random.chance(0.02)) list = stored(list, host);
        if (random.chance(0.005)) list = list.copy(host);
      }
      if (list.version !== 0) {
        list.removeRange(0, list.size);
        stored(list, host);
        // Nothing is left but the root: long values have gone with their entries.
        expect(host.stores.get(list.version)!.rows.size).toBe(1);
      }
    }));

  it('a sorted set does what a sorted array does', () =>
    seeded(2, (random) => {
      const host = new MemoryHost();
      host.limits = { ...limits };
      let set = new SortedSetValue(host);
      let model: ScoredMember[] = [];
      const score = (): number =>
        random.chance(0.2)
          ? random.pick([0, -0, 1 / 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-300])
          : random.int(-20, 20);
      const find = (member: string) => model.find((entry) => entry.member === member);
      for (let step = 0; step < STEPS; step++) {
        const member = name(random, names);
        if (grows(random, step)) {
          const given = score();
          const before = find(member)?.score;
          expect(set.set(member, given)).toBe(before);
          // Zeros are equal, and a list pack knows only one.
          const zero = set.encoding === 'listpack' ? 0 : given;
          const kept = before === given ? before : given === 0 ? zero : given;
          model = model.filter((entry) => entry.member !== member);
          model.push({ member, score: kept });
          model.sort((a, b) => (comesBefore(a, b) ? -1 : 1));
        } else if (random.chance(0.7)) {
          const taken = random.chance(0.5) && model.length > 0 ? model[0]!.member : member;
          expect(set.delete(taken)).toBe(find(taken)?.score);
          model = model.filter((entry) => entry.member !== taken);
        } else {
          const from = random.int(0, model.length);
          const count = Math.min(random.int(0, 5), model.length - from);
          const seen: ScoredMember[] = [];
          set.removeRange(from, count, (entry) => seen.push(entry));
          expect(seen).toEqual(model.splice(from, count));
        }
        expect(set.size).toBe(model.length);
        expect(set.scoresOf([member, 'none'])).toEqual([find(member)?.score, undefined]);
        if (model.length > 0) {
          const index = random.int(0, model.length - 1);
          expect(set.at(index)).toEqual(model[index]);
          expect(set.rankOf(model[index]!)).toBe(index);
          expect(model).toContainEqual(set.pick(() => random.float()));
        }
        const limit = score();
        expect(set.rank((entry) => entry.score < limit)).toBe(
          model.filter((entry) => entry.score < limit).length,
        );
        if (random.chance(0.02)) {
          const from = random.int(0, model.length);
          const to = random.int(from, model.length);
          const [forward, backward]: [ScoredMember[], ScoredMember[]] = [[], []];
          set.each(from, to, (entry) => forward.push(entry) > 0);
          set.eachReverse(from, to, (entry) => backward.push(entry) > 0);
          expect(forward).toEqual(model.slice(from, to));
          expect(backward).toEqual(model.slice(from, to).reverse());
          const seen: string[] = [];
          scanAll((cursor, count) => set.scan(cursor, count, (entry) => seen.push(entry.member)), random);
          expect(seen.sort()).toEqual(model.map((entry) => entry.member).sort());
        }
        if (random.chance(0.02)) set = stored(set, host);
        if (random.chance(0.005)) set = set.copy(host);
      }
    }));
});
