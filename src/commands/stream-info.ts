import type { Arguments } from '../base/arguments.js';
import { CommandError, NO_SUCH_KEY, NOT_AN_INTEGER } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { StreamValue } from '../types/collections/stream.js';
import {
  type ConsumerRecord,
  consumerName,
  type GroupRecord,
  groupName,
  pendingId,
} from '../types/collections/stream-groups.js';
import { estimateEntriesRead } from '../types/stream-counters.js';
import { STREAM_ID_MAX, STREAM_ID_MIN } from '../types/stream-id.js';
import type { ShardContext, ShardHandler } from './definition.js';
import {
  noSuchGroup,
  readStream,
  subcommandSyntax,
  writeEntry,
  writeId,
  writeRange,
} from './stream-access.js';
import { hasTombstonesFrom } from './stream-reads.js';

/** XINFO. */

/** Entries, and entries pending, that XINFO STREAM … FULL shows unless it is told. */
const SHOWN_DEFAULT = 10;
const NODE_ENTRIES_DEFAULT = 100;

/** The stream that a subcommand is about; 'replied' after an error. */
function streamToShow(context: ShardContext, args: Arguments): StreamValue | 'replied' {
  const stream = readStream(context, args.text(2));
  if (stream !== undefined) return stream;
  context.reply.error(NO_SUCH_KEY);
  return 'replied';
}

/** How much XINFO STREAM … FULL shows; undefined without FULL. */
function parseFull(args: Arguments): number | undefined | CommandError {
  if (args.count === 3) return undefined;
  const isFull = args.token(3) === 'FULL' && (args.count === 4 || args.count === 6);
  if (!isFull || (args.count === 6 && args.token(4) !== 'COUNT'))
    return subcommandSyntax('XINFO', args.text(1));
  if (args.count === 4) return SHOWN_DEFAULT;
  const count = parseInteger(args.text(5));
  if (count === undefined) return NOT_AN_INTEGER;
  if (count === 0) return Number.POSITIVE_INFINITY;
  return count < 0 ? SHOWN_DEFAULT : count;
}

/** XINFO STREAM key [FULL [COUNT count]] */
export const showStream: ShardHandler = (context, args) => {
  const { reply, view } = context;
  const stream = streamToShow(context, args);
  if (stream === 'replied') return;
  const shown = parseFull(args);
  if (shown instanceof CommandError) return reply.error(shown);
  reply.map(shown === undefined ? 10 : 9);
  writeTotals(reply, stream, view.collections.limits.streamNodeEntries || NODE_ENTRIES_DEFAULT);
  if (shown !== undefined) {
    reply.bulk('entries');
    writeRange(reply, stream, STREAM_ID_MIN, STREAM_ID_MAX, shown, false);
    reply.bulk('groups');
    const groups = stream.groups.all();
    reply.array(groups.length);
    for (const group of groups) writeGroupWhole(reply, stream, group, shown);
    return;
  }
  reply.bulk('groups');
  reply.integer(stream.groups.count);
  reply.bulk('first-entry');
  writeEntryAt(reply, stream, 0);
  reply.bulk('last-entry');
  writeEntryAt(reply, stream, stream.size - 1);
};

/** @param nodeEntries entries that Redis would have in one node of its tree, which is told as if there were one */
function writeTotals(reply: ReplyWriter, stream: StreamValue, nodeEntries: number): void {
  const nodes = Math.ceil(stream.size / nodeEntries);
  reply.bulk('length');
  reply.integer(stream.size);
  reply.bulk('radix-tree-keys');
  reply.integer(nodes);
  reply.bulk('radix-tree-nodes');
  reply.integer(nodes + 1);
  reply.bulk('last-generated-id');
  writeId(reply, stream.lastId);
  reply.bulk('max-deleted-entry-id');
  writeId(reply, stream.maxDeletedId);
  reply.bulk('entries-added');
  reply.integer(stream.entriesAdded);
  reply.bulk('recorded-first-entry-id');
  writeId(reply, stream.firstId);
}

function writeEntryAt(reply: ReplyWriter, stream: StreamValue, index: number): void {
  if (stream.size === 0) reply.nil();
  else
    stream.each(index, index + 1, false, (id, fields) => {
      writeEntry(reply, id, fields);
      return true;
    });
}

function writeIntegerOrNil(reply: ReplyWriter, value: number | undefined): void {
  if (value === undefined) reply.nil();
  else reply.integer(value);
}

/** How many entries a group has still to read; undefined where that is not known. */
function lagOf(stream: StreamValue, group: GroupRecord): number | undefined {
  const { entriesAdded } = stream;
  if (entriesAdded === 0) return 0;
  const read =
    group.entriesRead !== undefined && !hasTombstonesFrom(stream, group.lastId)
      ? group.entriesRead
      : estimateEntriesRead(stream.totals, group.lastId);
  return read === undefined ? undefined : entriesAdded - read;
}

function writeProgress(reply: ReplyWriter, stream: StreamValue, group: GroupRecord): void {
  reply.bulk('last-delivered-id');
  writeId(reply, group.lastId);
  reply.bulk('entries-read');
  writeIntegerOrNil(reply, group.entriesRead);
  reply.bulk('lag');
  writeIntegerOrNil(reply, lagOf(stream, group));
}

function writeGroupWhole(reply: ReplyWriter, stream: StreamValue, group: GroupRecord, shown: number): void {
  const { groups } = stream;
  const consumers = groups.consumers(group);
  const names = new Map(consumers.map((consumer) => [consumer.number, consumerName(consumer)]));
  reply.map(7);
  reply.bulk('name');
  reply.bulk(groupName(group));
  writeProgress(reply, stream, group);
  reply.bulk('pel-count');
  reply.integer(groups.countPending(group));
  reply.bulk('pending');
  const pending = groups.pendingBetween(group, STREAM_ID_MIN, STREAM_ID_MAX, shown);
  reply.array(pending.length);
  for (const record of pending) {
    reply.array(4);
    writeId(reply, pendingId(record));
    reply.bulk(names.get(record.consumer)!);
    reply.integer(record.deliveredAtMs);
    reply.integer(record.deliveries);
  }
  reply.bulk('consumers');
  reply.array(consumers.length);
  for (const consumer of consumers) writeConsumerWhole(reply, stream, group, consumer, shown);
}

function writeConsumerWhole(
  reply: ReplyWriter,
  { groups }: StreamValue,
  group: GroupRecord,
  consumer: ConsumerRecord,
  shown: number,
): void {
  reply.map(4);
  reply.bulk('name');
  reply.bulk(consumerName(consumer));
  reply.bulk('seen-time');
  reply.integer(consumer.seenAtMs);
  reply.bulk('pel-count');
  reply.integer(groups.countOwned(consumer));
  reply.bulk('pending');
  const owned = groups.ownedBetween(consumer, STREAM_ID_MIN, STREAM_ID_MAX, shown);
  reply.array(owned.length);
  for (const id of owned) {
    const { deliveredAtMs, deliveries } = groups.pending(group, id)!;
    reply.array(3);
    writeId(reply, id);
    reply.integer(deliveredAtMs);
    reply.integer(deliveries);
  }
}

/** XINFO GROUPS key */
export const showGroups: ShardHandler = (context, args) => {
  const { reply } = context;
  const stream = streamToShow(context, args);
  if (stream === 'replied') return;
  const groups = stream.groups.all();
  reply.array(groups.length);
  for (const group of groups) {
    reply.map(6);
    reply.bulk('name');
    reply.bulk(groupName(group));
    reply.bulk('consumers');
    reply.integer(stream.groups.countConsumers(group));
    reply.bulk('pending');
    reply.integer(stream.groups.countPending(group));
    writeProgress(reply, stream, group);
  }
};

/** XINFO CONSUMERS key group */
export const showConsumers: ShardHandler = (context, args) => {
  const { reply, view } = context;
  const stream = streamToShow(context, args);
  if (stream === 'replied') return;
  const name = args.text(3);
  const group = stream.groups.get(name);
  if (group === undefined) return reply.error(noSuchGroup(args.text(2), name));
  const consumers = stream.groups.consumers(group);
  reply.array(consumers.length);
  for (const consumer of consumers) {
    reply.map(3);
    reply.bulk('name');
    reply.bulk(consumerName(consumer));
    reply.bulk('pending');
    reply.integer(stream.groups.countOwned(consumer));
    reply.bulk('idle');
    reply.integer(Math.max(0, view.nowMs - consumer.seenAtMs));
  }
};

const HELP_LINES = [
  'XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'CONSUMERS <key> <group>',
  '    The consumers of a group.',
  'GROUPS <key>',
  '    The consumer groups of a stream.',
  'STREAM <key> [FULL [COUNT <count>]]',
  '    What a stream is like; with FULL also its first entries, groups, consumers, and what is pending.',
  'HELP',
  '    These lines.',
];

export const infoHelp: ShardHandler = ({ reply }) => {
  reply.array(HELP_LINES.length);
  for (const line of HELP_LINES) reply.simple(line);
};
