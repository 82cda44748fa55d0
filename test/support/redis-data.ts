import type { HashField, StreamData, StreamGroup, ValueData } from '../../src/types/rdb/values.js';
import { type StringValue, stringValue } from '../../src/types/row.js';
import { formatStreamId, parseStreamId, type StreamId } from '../../src/types/stream-id.js';
import type { Argument, RawClient } from './client.js';
import { normalData } from './random-data.js';
import { itemsOf, mapOf, numberOf, type Reply, render, textOf } from './reply.js';

/*
 * Values as plain data, read from and written to a server of the Redis protocol by its ordinary commands.
 */

function stringOf(reply: Reply): StringValue {
  return stringValue(textOf(reply));
}

function idOf(reply: Reply): StreamId {
  const id = parseStreamId(textOf(reply), 'first');
  if (id === undefined) throw new Error(`expected an id, got ${render(reply)}`);
  return id;
}

async function values(client: RawClient, ...command: Argument[]): Promise<StringValue[]> {
  return itemsOf(await client.command(...command)).map(stringOf);
}

/** The value of a key in normal form; undefined where there is none. */
export async function readData(client: RawClient, key: string): Promise<ValueData | undefined> {
  const kind = await client.text('TYPE', key);
  switch (kind) {
    case 'none':
      return undefined;
    case 'string':
      return { kind, value: stringValue(await client.text('GET', key)) };
    case 'list':
      return { kind, elements: await values(client, 'LRANGE', key, 0, -1) };
    case 'set':
      return normalData({ kind, members: await values(client, 'SMEMBERS', key) });
    case 'hash': {
      const flat = await values(client, 'HGETALL', key);
      const fields: HashField[] = [];
      for (let at = 0; at < flat.length; at += 2)
        fields.push({ field: flat[at]!, value: flat[at + 1]!, expiresAtMs: 0 });
      return normalData({ kind, fields });
    }
    case 'zset': {
      const flat = itemsOf(await client.command('ZRANGE', key, 0, -1, 'WITHSCORES'));
      const members = [];
      for (let at = 0; at < flat.length; at += 2)
        members.push({ member: stringOf(flat[at]!), score: scoreOf(textOf(flat[at + 1]!)) });
      return normalData({ kind, members });
    }
    case 'stream':
      return readStream(client, key);
    default:
      throw new Error(`a value of type ${kind}`);
  }
}

/** Without −0, which Redis keeps or not by the form of the set. */
function scoreOf(text: string): number {
  return text === 'inf'
    ? Number.POSITIVE_INFINITY
    : text === '-inf'
      ? Number.NEGATIVE_INFINITY
      : Number(text) + 0;
}

async function readStream(client: RawClient, key: string): Promise<StreamData> {
  const info = mapOf(await client.command('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0));
  const entries = itemsOf(info.get('entries')!).map((entry) => {
    const [id, fields] = itemsOf(entry);
    return { id: idOf(id!), fields: itemsOf(fields!).map(stringOf) };
  });
  return {
    kind: 'stream',
    entries,
    lastId: idOf(info.get('last-generated-id')!),
    maxDeletedId: idOf(info.get('max-deleted-entry-id')!),
    entriesAdded: numberOf(info.get('entries-added')!),
    groups: itemsOf(info.get('groups')!).map(groupOf),
  };
}

function groupOf(reply: Reply): StreamGroup {
  const group = mapOf(reply);
  const read = group.get('entries-read')!;
  return {
    name: stringOf(group.get('name')!),
    lastId: idOf(group.get('last-delivered-id')!),
    entriesRead: read.type === 'null' ? undefined : numberOf(read),
    consumers: itemsOf(group.get('consumers')!).map((each) => {
      const consumer = mapOf(each);
      const pending = itemsOf(consumer.get('pel') ?? consumer.get('pending')!).map((entry) => {
        const [id, deliveredAtMs, deliveries] = itemsOf(entry);
        return { id: idOf(id!), deliveredAtMs: numberOf(deliveredAtMs!), deliveries: numberOf(deliveries!) };
      });
      return {
        name: stringOf(consumer.get('name')!),
        seenAtMs: numberOf(consumer.get('seen-time')!),
        pending,
      };
    }),
  };
}

/** The commands that make a value, each element by one of its own, in order. Times at which consumers were seen are lost. */
export function writeCommands(key: string, data: ValueData): Argument[][] {
  switch (data.kind) {
    case 'string':
      return [['SET', key, data.value]];
    case 'list':
      return data.elements.map((element) => ['RPUSH', key, element]);
    case 'set':
      return data.members.map((member) => ['SADD', key, member]);
    case 'hash':
      return data.fields.map(({ field, value }) => ['HSET', key, field, value]);
    case 'zset':
      return data.members.map(({ member, score }) => ['ZADD', key, scoreText(score), member]);
    case 'stream':
      return streamCommands(key, data);
  }
}

function scoreText(score: number): string {
  return Number.isFinite(score) ? String(score) : score > 0 ? 'inf' : '-inf';
}

function streamCommands(key: string, data: StreamData): Argument[][] {
  const commands: Argument[][] = [
    ['XGROUP', 'CREATE', key, 'made to make the stream', '$', 'MKSTREAM'],
    ['XGROUP', 'DESTROY', key, 'made to make the stream'],
    ...data.entries.map(({ id, fields }) => ['XADD', key, formatStreamId(id), ...fields]),
    [
      ...['XSETID', key, formatStreamId(data.lastId), 'ENTRIESADDED', data.entriesAdded],
      ...['MAXDELETEDID', formatStreamId(data.maxDeletedId)],
    ],
  ];
  for (const { name, lastId, entriesRead, consumers } of data.groups) {
    const group = name;
    commands.push([
      ...['XGROUP', 'CREATE', key, group, formatStreamId(lastId), 'ENTRIESREAD', entriesRead ?? -1],
    ]);
    for (const consumer of consumers) {
      commands.push(['XGROUP', 'CREATECONSUMER', key, group, consumer.name]);
      for (const { id, deliveredAtMs, deliveries } of consumer.pending)
        commands.push([
          ...['XCLAIM', key, group, consumer.name, 0, formatStreamId(id), 'TIME', deliveredAtMs],
          ...['RETRYCOUNT', deliveries, 'FORCE', 'JUSTID'],
        ]);
    }
  }
  return commands;
}
