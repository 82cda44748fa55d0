import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, quotable, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { StreamValue } from '../types/collections/stream.js';
import type { ConsumerRecord, GroupRecord } from '../types/collections/stream-groups.js';
import { type Row, RowType, type StringValue } from '../types/row.js';
import { estimateEntriesRead } from '../types/stream-counters.js';
import {
  formatStreamId,
  parseStreamId,
  STREAM_ID_MAX,
  STREAM_ID_MIN,
  type StreamId,
} from '../types/stream-id.js';
import { findRow, streamOf } from './collection-access.js';
import type { ShardContext, ShardHandler } from './definition.js';
import {
  INVALID_STREAM_ID,
  parseRangeEnd,
  readStream,
  saveStream,
  writeEntry,
  writeRange,
} from './stream-access.js';
import { textsOf } from './waiting.js';

/** XRANGE, XREVRANGE, XREAD and XREADGROUP. */

/** The COUNT of XRANGE; undefined where none is given. */
function parseRangeCount(args: Arguments): number | undefined | CommandError {
  let count: number | undefined;
  for (let index = 4; index < args.count; index += 2) {
    if (args.token(index) !== 'COUNT' || index + 1 >= args.count) return SYNTAX_ERROR;
    count = parseInteger(args.text(index + 1));
    if (count === undefined) return NOT_AN_INTEGER;
  }
  return count;
}

function rangeHandler(reverse: boolean): ShardHandler {
  return (context, args) => {
    const { reply } = context;
    const from = parseRangeEnd(args.text(reverse ? 3 : 2), 'start');
    if (from instanceof CommandError) return reply.error(from);
    const to = parseRangeEnd(args.text(reverse ? 2 : 3), 'stop');
    if (to instanceof CommandError) return reply.error(to);
    const count = parseRangeCount(args);
    if (count instanceof CommandError) return reply.error(count);
    const stream = readStream(context, args.text(1));
    if (stream === 'replied') return;
    if (stream === undefined) return reply.array(0);
    if (count !== undefined && count <= 0) return reply.nilArray();
    writeRange(reply, stream, from, to, count ?? Number.POSITIVE_INFINITY, reverse);
  };
}

/** XRANGE key start end [COUNT count] */
export const range: ShardHandler = rangeHandler(false);
/** XREVRANGE key end start [COUNT count] */
export const reverseRange: ShardHandler = rangeHandler(true);

const BAD_TIMEOUT = new CommandError('ERR timeout is not an integer or out of range');
const NEGATIVE_TIMEOUT = new CommandError('ERR timeout is negative');
const GROUP_OF_XREAD = new CommandError(
  'ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.',
);
const NOACK_OF_XREAD = new CommandError(
  'ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.',
);
const UNBALANCED = new CommandError(
  "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);
const NO_GROUP = new CommandError('ERR Missing GROUP option for XREADGROUP');
const TOP_OF_GROUP = new CommandError(
  'ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by ' +
    'specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.',
);
const NEW_OF_XREAD = new CommandError(
  'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.',
);
const GROUP_GONE = new CommandError('NOGROUP the consumer group this client was blocked on no longer exists');
const STREAM_GONE = new CommandError('UNBLOCKED the stream key no longer exists');

interface ReadOptions {
  /** Entries of each stream to read at most. */
  count: number;
  /** Milliseconds, 0 = for ever; undefined = is not to block. */
  blockMs: number | undefined;
  group: { readonly name: string; readonly consumer: string } | undefined;
  noAck: boolean;
  /** Place of the first key, 0 if STREAMS was not said. */
  firstKey: number;
  keys: number;
}

/** Reads one option, and moves behind it. */
function parseReadOption(
  args: Arguments,
  at: number,
  isOfGroup: boolean,
  options: ReadOptions,
): number | CommandError {
  const token = args.token(at);
  const left = args.count - at - 1;
  if (token === 'BLOCK' && left >= 1) {
    options.blockMs = parseInteger(args.text(at + 1));
    if (options.blockMs === undefined) return BAD_TIMEOUT;
    return options.blockMs < 0 ? NEGATIVE_TIMEOUT : at + 2;
  }
  if (token === 'COUNT' && left >= 1) {
    const count = parseInteger(args.text(at + 1));
    if (count === undefined) return NOT_AN_INTEGER;
    options.count = count > 0 ? count : Number.POSITIVE_INFINITY;
    return at + 2;
  }
  if (token === 'GROUP' && left >= 2) {
    if (!isOfGroup) return GROUP_OF_XREAD;
    options.group = { name: args.text(at + 1), consumer: args.text(at + 2) };
    return at + 3;
  }
  if (token !== 'NOACK') return SYNTAX_ERROR;
  if (!isOfGroup) return NOACK_OF_XREAD;
  options.noAck = true;
  return at + 1;
}

function parseReadOptions(args: Arguments, isOfGroup: boolean): ReadOptions | CommandError {
  const options: ReadOptions = {
    count: Number.POSITIVE_INFINITY,
    blockMs: undefined,
    group: undefined,
    noAck: false,
    firstKey: 0,
    keys: 0,
  };
  for (let at = 1; at < args.count; ) {
    if (args.token(at) === 'STREAMS' && at + 1 < args.count) {
      options.firstKey = at + 1;
      options.keys = (args.count - at - 1) / 2;
      if (!Number.isInteger(options.keys)) return UNBALANCED;
      break;
    }
    const next = parseReadOption(args, at, isOfGroup, options);
    if (next instanceof CommandError) return next;
    at = next;
  }
  if (options.firstKey === 0) return SYNTAX_ERROR;
  return isOfGroup && options.group === undefined ? NO_GROUP : options;
}

/** Of which stream entries behind which id are read; of a group, STREAM_ID_MAX stands for new ones. */
interface ReadStream {
  readonly key: string;
  readonly row: Row | undefined;
  readonly after: StreamId;
}

/**
 * What is asked for by a client that has waited for it already: that it can be is known, and what is there is seen later.
 * Who has waited on another node still says `$`, and is given what is new from now on.
 */
function awaitedStreams({ view }: ShardContext, args: Arguments, options: ReadOptions): ReadStream[] {
  const { firstKey, keys } = options;
  return Array.from({ length: keys }, (_, index) => {
    const key = args.text(firstKey + index);
    const text = args.text(firstKey + keys + index);
    if (text !== '$') return { key, row: undefined, after: parseStreamId(text, 'first') ?? STREAM_ID_MAX };
    const row = findRow(view, key, RowType.Stream);
    const isThere = row !== undefined && !(row instanceof CommandError);
    return { key, row: undefined, after: isThere ? streamOf(row).lastId : STREAM_ID_MIN };
  });
}

function findStreams(
  { view }: ShardContext,
  args: Arguments,
  options: ReadOptions,
): ReadStream[] | CommandError {
  const { firstKey, keys, group } = options;
  const found: ReadStream[] = [];
  for (let index = 0; index < keys; index++) {
    const key = args.text(firstKey + index);
    const row = findRow(view, key, RowType.Stream);
    if (row instanceof CommandError) return row;
    const after = parseAfter(args.text(firstKey + keys + index), row, key, group?.name);
    if (after instanceof CommandError) return after;
    found.push({ key, row, after });
  }
  return found;
}

function parseAfter(
  text: string,
  row: Row | undefined,
  key: string,
  group: string | undefined,
): StreamId | CommandError {
  if (group !== undefined && (row === undefined || streamOf(row).groups.get(group) === undefined))
    return new CommandError(
      `NOGROUP No such key '${quotable(key)}' or consumer group '${quotable(group)}' in XREADGROUP with GROUP option`,
    );
  if (text === '$') {
    if (group !== undefined) return TOP_OF_GROUP;
    return row === undefined ? STREAM_ID_MIN : streamOf(row).lastId;
  }
  if (text === '>') return group === undefined ? NEW_OF_XREAD : STREAM_ID_MAX;
  return parseStreamId(text, 'first') ?? INVALID_STREAM_ID;
}

/** An entry that is read; one that was pending may have no fields any more. */
interface ReadEntry {
  readonly id: StreamId;
  readonly fields: readonly StringValue[] | undefined;
}

/** What is read of one stream. */
interface StreamReading {
  readonly key: string;
  readonly entries: readonly ReadEntry[];
}

function entriesAfter(stream: StreamValue, after: StreamId, count: number): ReadEntry[] {
  const first = stream.rankBehind(after);
  const entries: ReadEntry[] = [];
  stream.each(
    first,
    Math.min(stream.size, first + count),
    false,
    (id, fields) => entries.push({ id, fields }) > 0,
  );
  return entries;
}

/** XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...] */
export const read: ShardHandler = (context, args) => {
  const options = parseReadOptions(args, false);
  if (options instanceof CommandError) return context.reply.error(options);
  const streams = context.isResumed
    ? awaitedStreams(context, args, options)
    : findStreams(context, args, options);
  if (streams instanceof CommandError) return context.reply.error(streams);
  if (replyReadings(context, readStreams(streams, options))) return;
  const later = afterWaiting(options);
  waitForEntries(context, streams, options, {
    // What is new is what is new by now, wherever the command is sent again.
    again: [
      ...textsOf(args, 0, options.firstKey + options.keys),
      ...streams.map(({ after }) => formatStreamId(after)),
    ],
    attempt: (each, changed) => replyReadings(each, readStreams(changed, later)),
  });
};

function readStreams(streams: readonly ReadStream[], { count }: ReadOptions): StreamReading[] {
  const readings: StreamReading[] = [];
  for (const { key, row, after } of streams) {
    const entries = row === undefined ? [] : entriesAfter(streamOf(row), after, count);
    if (entries.length > 0) readings.push({ key, entries });
  }
  return readings;
}

/** Entries of a stream that a client gets at most when it has waited for some, unless it said how many. */
const WAITED_ENTRIES_MAX = 1000;

/** How is read for a client that has waited. */
function afterWaiting(options: ReadOptions): ReadOptions {
  return options.count === Number.POSITIVE_INFINITY ? { ...options, count: WAITED_ENTRIES_MAX } : options;
}

/** How a read goes on that waits. */
interface WaitingRead {
  readonly again?: readonly string[];
  /** Is given the streams that have changed; without a row, if there is no stream any more. */
  attempt(context: ShardContext, changed: readonly ReadStream[]): boolean;
}

/** Nothing was there to read: waits, if that was asked for. */
function waitForEntries(
  context: ShardContext,
  streams: readonly ReadStream[],
  { blockMs, group }: ReadOptions,
  { attempt, again }: WaitingRead,
): void {
  if (blockMs === undefined) {
    context.reply.nilArray();
    return;
  }
  // Rows are not kept: they may leave memory. Of a stream that is named twice the first id counts, as in Redis.
  const wanted = new Map<string, StreamId>();
  for (const { key, after } of streams) if (!wanted.has(key)) wanted.set(key, after);
  context.wait!({
    keys: [...wanted.keys()],
    type: RowType.Stream,
    timeoutMs: blockMs > Number.MAX_SAFE_INTEGER ? 0 : blockMs,
    triesWhenGone: group !== undefined,
    ...(again !== undefined && { again }),
    attempt: (each, keys) => {
      const changed = keys.map((key) => {
        const row = findRow(each.view, key, RowType.Stream);
        return { key, after: wanted.get(key)!, row: row instanceof CommandError ? undefined : row };
      });
      return attempt(each, changed);
    },
  });
}

/** @returns whether there was something to reply */
function replyReadings({ reply }: ShardContext, readings: readonly StreamReading[]): boolean {
  if (readings.length === 0) return false;
  const inPairs = reply.version === 2;
  if (inPairs) reply.array(readings.length);
  else reply.map(readings.length);
  for (const { key, entries } of readings) {
    if (inPairs) reply.array(2);
    reply.bulk(key);
    reply.array(entries.length);
    for (const { id, fields } of entries) writeEntry(reply, id, fields);
  }
  return true;
}

/** XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...] */
export const readGroup: ShardHandler = (context, args) => {
  const { reply } = context;
  const options = parseReadOptions(args, true);
  if (options instanceof CommandError) return reply.error(options);
  const streams = context.isResumed
    ? awaitedStreams(context, args, options)
    : findStreams(context, args, options);
  if (streams instanceof CommandError) return reply.error(streams);
  if (!context.isResumed && replyReadings(context, readForGroup(context, streams, options))) return;
  const later = afterWaiting(options);
  waitForEntries(context, streams, options, {
    attempt: (each, changed) => {
      const gone = groupGone(changed, options);
      if (gone === undefined) return replyReadings(each, readForGroup(each, changed, later));
      each.reply.error(gone);
      return true;
    },
  });
};

/** Why a client that waits for entries of a group waits in vain. */
function groupGone(streams: readonly ReadStream[], { group }: ReadOptions): CommandError | undefined {
  for (const { row } of streams) {
    if (row === undefined) return STREAM_GONE;
    if (streamOf(row).groups.get(group!.name) === undefined) return GROUP_GONE;
  }
  return undefined;
}

/** Gives the consumer what it asks for; all of the streams and their groups are there. */
function readForGroup(
  { view }: ShardContext,
  streams: readonly ReadStream[],
  options: ReadOptions,
): StreamReading[] {
  const { name, consumer: consumerName } = options.group!;
  const readings: StreamReading[] = [];
  for (const { key, row, after } of streams) {
    const stream = streamOf(row!);
    const group = stream.groups.get(name)!;
    if (after === STREAM_ID_MAX && !hasNew(stream, group)) continue;
    const known = stream.groups.consumer(group, consumerName);
    if (known !== undefined) stream.groups.see(known, view.nowMs);
    const consumer = known ?? stream.groups.addConsumer(group, consumerName, view.nowMs);
    const entries =
      after === STREAM_ID_MAX
        ? deliver(stream, group, consumer, options, view.nowMs)
        : deliverAgain(stream, group, consumer, after, options.count, view.nowMs);
    readings.push({ key, entries });
    saveStream(view, row!);
  }
  return readings;
}

function hasNew(stream: StreamValue, group: GroupRecord): boolean {
  return stream.size > 0 && stream.idAt(stream.size - 1) > group.lastId;
}

/** Gives a consumer entries that its group has not had. */
function deliver(
  stream: StreamValue,
  group: GroupRecord,
  consumer: ConsumerRecord,
  { count, noAck }: ReadOptions,
  nowMs: number,
): ReadEntry[] {
  const entries = entriesAfter(stream, group.lastId, count);
  const { totals } = stream;
  let { lastId, entriesRead } = group;
  for (const { id } of entries) {
    if (entriesRead !== undefined && !hasTombstonesFrom(stream, id)) entriesRead++;
    else if (totals.entriesAdded > 0) entriesRead = estimateEntriesRead(totals, id);
    lastId = id;
  }
  stream.groups.advance(group, lastId, entriesRead);
  if (!noAck)
    for (const { id } of entries) {
      stream.groups.setPending(group, id, consumer.number, nowMs, 1);
      stream.settle();
    }
  return entries;
}

/** Whether entries from an id on may have been deleted. */
export function hasTombstonesFrom(stream: StreamValue, id: StreamId): boolean {
  return stream.size > 0 && stream.maxDeletedId !== STREAM_ID_MIN && id <= stream.maxDeletedId;
}

/** Gives a consumer again what is pending for it, behind an id. */
function deliverAgain(
  stream: StreamValue,
  group: GroupRecord,
  consumer: ConsumerRecord,
  after: StreamId,
  count: number,
  nowMs: number,
): ReadEntry[] {
  const { groups } = stream;
  return groups.ownedBetween(consumer, `${after}\0`, STREAM_ID_MAX, count).map((id) => {
    const fields = stream.get(id);
    // What has been deleted stays pending as it was: nobody can be given it.
    if (fields !== undefined) {
      const { deliveries } = groups.pending(group, id)!;
      groups.setPending(group, id, consumer.number, nowMs, deliveries + 1);
    }
    return { id, fields };
  });
}
