import type { RawClient } from '../support/client.js';
import type { Random } from '../support/random.js';
import { itemsOf, numberOf, type Reply, render, textOf } from '../support/reply.js';
import type { Kind, Operation } from './owned-keys.js';

const DELETED_SHARE = 0.03;

async function texts(client: RawClient, ...command: (string | number)[]): Promise<string[]> {
  return itemsOf(await client.command(...command)).map(textOf);
}

async function expectCount(client: RawClient, command: string, key: string, count: number): Promise<void> {
  const counted = numberOf(await client.command(command, key));
  if (counted !== count) throw new Error(`counts ${counted} elements of ${count}`);
}

function inPairs(items: readonly string[]): [string, string][] {
  return items.flatMap((item, index) => (index % 2 === 0 ? [[item, items[index + 1]!]] : []));
}

/** Names of elements: now and then of a key with few, now and then of one with many. */
function namesOf(r: Random, key: string): string[] {
  const span = [12, 60, 700][key.length % 3]!;
  return Array.from({ length: r.int(1, span > 100 ? 40 : 8) }, () => `e${r.int(0, span)}`);
}

// ---------------------------------------------------------------- names with values

type Elements = ReadonlyMap<string, string>;

/** Whatever is names with values, without an order. */
function elementsKind(
  name: string,
  count: string,
  read: (client: RawClient, key: string) => Promise<[string, string][]>,
  operations: readonly ((r: Random, key: string, names: string[], likely: Elements) => Operation<Elements>)[],
): Kind<Elements> {
  return {
    name,
    absent: new Map(),
    textOf: (elements) => JSON.stringify([...elements].sort()),
    operation: (r, key, likely) => {
      if (r.chance(DELETED_SHARE)) return { command: ['DEL', key], apply: () => new Map() };
      return r.pick(operations)(r, key, namesOf(r, key), likely);
    },
    read: async (client, key) => {
      const found = await read(client, key);
      const elements = new Map(found);
      if (elements.size !== found.length) throw new Error('has an element twice');
      await expectCount(client, count, key, elements.size);
      return elements;
    },
  };
}

const removing =
  (command: string) =>
  (_r: Random, key: string, names: string[]): Operation<Elements> => ({
    command: [command, key, ...names],
    apply: (elements) => new Map([...elements].filter(([name]) => !names.includes(name))),
  });

export const HASH = elementsKind(
  'hash',
  'HLEN',
  async (client, key) => inPairs(await texts(client, 'HGETALL', key)),
  [
    (r, key, names) => {
      const values = names.map((name) => [name, r.bytes(r.int(0, 40))] as const);
      return {
        command: ['HSET', key, ...values.flat()],
        apply: (elements) => new Map([...elements, ...values]),
      };
    },
    removing('HDEL'),
  ],
);

export const SET = elementsKind(
  'set',
  'SCARD',
  async (client, key) => (await texts(client, 'SMEMBERS', key)).map((member) => [member, '']),
  [
    (_r, key, names) => ({
      command: ['SADD', key, ...names],
      apply: (elements) => new Map([...elements, ...names.map((name) => [name, ''] as const)]),
    }),
    removing('SREM'),
  ],
);

function inScoreOrder(elements: Elements): [string, string][] {
  return [...elements].sort(([a, x], [b, y]) => Number(x) - Number(y) || (a < b ? -1 : 1));
}

export const SORTED_SET = elementsKind(
  'sorted set',
  'ZCARD',
  async (client, key) => {
    const found = inPairs(await texts(client, 'ZRANGE', key, 0, -1, 'WITHSCORES'));
    if (JSON.stringify(found) !== JSON.stringify(inScoreOrder(new Map(found))))
      throw new Error('is not in order');
    // Scores are found by another way than by rank.
    const members = found.map(([member]) => member);
    const scores = members.length === 0 ? [] : await texts(client, 'ZMSCORE', key, ...members);
    if (scores.some((score, rank) => score !== found[rank]![1]))
      throw new Error('has two scores for a member');
    return found;
  },
  [
    (r, key, names) => {
      const scores = new Map(names.map((name) => [name, String(r.int(-50, 50) / 4)]));
      return {
        command: ['ZADD', key, ...[...scores].flatMap(([name, score]) => [score, name])],
        apply: (elements) => new Map([...elements, ...scores]),
      };
    },
    (r, key, [name]) => {
      const by = r.int(-9, 9);
      return {
        command: ['ZINCRBY', key, String(by), name!],
        apply: (elements) => new Map([...elements, [name!, String(Number(elements.get(name!) ?? 0) + by)]]),
      };
    },
    (r, key) => {
      const count = r.int(1, 6);
      return {
        command: ['ZPOPMIN', key, String(count)],
        apply: (elements) => new Map(inScoreOrder(elements).slice(count)),
      };
    },
    removing('ZREM'),
  ],
);

// ---------------------------------------------------------------- lists

type List = readonly string[];

function listOperation(r: Random, key: string): Operation<List> {
  const roll = r.float();
  if (roll < DELETED_SHARE) return { command: ['DEL', key], apply: () => [] };
  const names = namesOf(r, key);
  const count = r.int(1, names.length + 1);
  const [pivot, inserted] = [names[0]!, `i${r.int(0, 9)}`];
  if (roll < 0.25) return { command: ['RPUSH', key, ...names], apply: (list) => [...list, ...names] };
  if (roll < 0.45)
    return { command: ['LPUSH', key, ...names], apply: (list) => [...names.toReversed(), ...list] };
  if (roll < 0.6) return { command: ['LPOP', key, String(count)], apply: (list) => list.slice(count) };
  if (roll < 0.75) return { command: ['RPOP', key, String(count)], apply: (list) => list.slice(0, -count) };
  if (roll < 0.85)
    return {
      command: ['LINSERT', key, 'BEFORE', pivot, inserted],
      apply: (list) => (list.includes(pivot) ? list.toSpliced(list.indexOf(pivot), 0, inserted) : list),
    };
  if (roll < 0.95)
    return { command: ['LREM', key, '0', pivot], apply: (list) => list.filter((each) => each !== pivot) };
  return { command: ['LTRIM', key, '1', '-3'], apply: (list) => list.slice(1, -2) };
}

export const LIST: Kind<List> = {
  name: 'list',
  absent: [],
  textOf: (list) => JSON.stringify(list),
  operation: listOperation,
  read: async (client, key) => {
    const list = await texts(client, 'LRANGE', key, 0, -1);
    await expectCount(client, 'LLEN', key, list.length);
    return list;
  },
};

// ---------------------------------------------------------------- streams

/** Ids are numbers: the part before the hyphen. */
interface Stream {
  readonly isThere: boolean;
  readonly entries: readonly (readonly [id: number, value: string])[];
  readonly lastId: number;
  /** Entries that consumers of its group, which has always the same one, have been given. */
  readonly group: { readonly lastId: number; readonly pending: readonly number[] } | undefined;
}

const NO_STREAM: Stream = { isThere: false, entries: [], lastId: 0, group: undefined };

const idText = (id: number) => `${id}-0`;
const idOf = (text: string) => Number(text.split('-')[0]);

function streamOperation(r: Random, key: string, likely: Stream): Operation<Stream> {
  const roll = r.float();
  if (roll < DELETED_SHARE) return { command: ['DEL', key], apply: () => NO_STREAM };
  if (roll < 0.1)
    return {
      command: ['XGROUP', 'CREATE', key, 'g', '0', 'MKSTREAM'],
      apply: (stream) => ({ ...stream, isThere: true, group: stream.group ?? { lastId: 0, pending: [] } }),
    };
  if (roll < 0.55) {
    const id = likely.lastId + r.int(1, 3);
    const value = r.bytes(r.int(0, 60));
    return {
      command: ['XADD', key, idText(id), 'f', value],
      apply: (stream) => ({
        ...stream,
        isThere: true,
        lastId: id,
        entries: [...stream.entries, [id, value]],
      }),
    };
  }
  if (roll < 0.75) return groupOperation(r, key, likely);
  if (roll < 0.9) {
    const ids = Array.from({ length: r.int(1, 6) }, () => r.int(1, likely.lastId + 1));
    return {
      command: ['XDEL', key, ...ids.map(idText)],
      apply: (stream) => ({ ...stream, entries: stream.entries.filter(([id]) => !ids.includes(id)) }),
    };
  }
  const length = r.int(0, [4, 15, 120][key.length % 3]!);
  return {
    command: ['XTRIM', key, 'MAXLEN', String(length)],
    apply: (stream) => ({ ...stream, entries: length === 0 ? [] : stream.entries.slice(-length) }),
  };
}

function groupOperation(r: Random, key: string, likely: Stream): Operation<Stream> {
  if (r.chance(0.5)) {
    const count = r.int(1, 10);
    return {
      command: ['XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', String(count), 'STREAMS', key, '>'],
      apply: (stream) => {
        const { entries, group } = stream;
        if (group === undefined) return stream;
        const given = entries
          .map(([id]) => id)
          .filter((id) => id > group.lastId)
          .slice(0, count);
        return {
          ...stream,
          group: { lastId: given.at(-1) ?? group.lastId, pending: [...group.pending, ...given] },
        };
      },
    };
  }
  const pending = likely.group?.pending ?? [];
  const ids = Array.from({ length: r.int(1, 8) }, () => (pending.length === 0 ? 1 : r.pick(pending)));
  return {
    command: ['XACK', key, 'g', ...ids.map(idText)],
    apply: (stream) => ({
      ...stream,
      group: stream.group && {
        ...stream.group,
        pending: stream.group.pending.filter((id) => !ids.includes(id)),
      },
    }),
  };
}

/** What is behind a name in a reply of names with values. */
function named(reply: Reply, name: string): Reply {
  const items = itemsOf(reply);
  return items[items.findIndex((item) => item.type === 'bulk' && textOf(item) === name) + 1]!;
}

export const STREAM: Kind<Stream> = {
  name: 'stream',
  absent: NO_STREAM,
  textOf: (stream) => JSON.stringify(stream),
  operation: streamOperation,
  read: async (client, key) => {
    const info = await client.command('XINFO', 'STREAM', key);
    if (render(info) === '-ERR no such key') return NO_STREAM;
    const entries = itemsOf(await client.command('XRANGE', key, '-', '+')).map((entry) => {
      const [id, fields] = itemsOf(entry);
      return [idOf(textOf(id!)), textOf(itemsOf(fields!)[1]!)] as const;
    });
    await expectCount(client, 'XLEN', key, entries.length);
    const lastId = idOf(textOf(named(info, 'last-generated-id')));
    const [group] = itemsOf(await client.command('XINFO', 'GROUPS', key));
    if (group === undefined) return { isThere: true, entries, lastId, group: undefined };
    const listed = itemsOf(await client.command('XPENDING', key, 'g', '-', '+', '100000'));
    const pending = listed.map((each) => idOf(textOf(itemsOf(each)[0]!)));
    if (numberOf(named(group, 'pending')) !== pending.length)
      throw new Error('counts pending entries otherwise');
    const given = idOf(textOf(named(group, 'last-delivered-id')));
    return { isThere: true, entries, lastId, group: { lastId: given, pending } };
  },
};
