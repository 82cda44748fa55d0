import type { Arguments } from '../base/arguments.js';
import { CommandError, quotable } from '../base/command-errors.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { StreamValue } from '../types/collections/stream.js';
import type { GroupRecord } from '../types/collections/stream-groups.js';
import { type Row, RowType, type StringValue } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import {
  formatStreamId,
  parseStreamId,
  parseStreamRangeEnd,
  STREAM_ID_MAX,
  STREAM_ID_MIN,
  type StreamId,
} from '../types/stream-id.js';
import { findRow, streamOf } from './collection-access.js';
import type { ShardContext } from './definition.js';

/** What the commands of streams have in common. */

export const INVALID_STREAM_ID = new CommandError(
  'ERR Invalid stream ID specified as stream command argument',
);
const INVALID_START = new CommandError('ERR invalid start ID for the interval');
const INVALID_END = new CommandError('ERR invalid end ID for the interval');

/** An id where Redis takes `-` and `+` for the least and the greatest, too. */
export function parseLooseId(text: string): StreamId | undefined {
  if (text === '-') return STREAM_ID_MIN;
  return text === '+' ? STREAM_ID_MAX : parseStreamId(text, 'first');
}

/** The first or the last id of a range. */
export function parseRangeEnd(text: string, end: 'start' | 'stop'): StreamId | CommandError {
  const id = parseStreamRangeEnd(text, end);
  if (id === 'malformed') return INVALID_STREAM_ID;
  if (id === 'empty') return end === 'start' ? INVALID_START : INVALID_END;
  return id;
}

/** Arguments `from` to before `to` as ids; an error if one is none. */
export function parseIds(args: Arguments, from: number, to = args.count): StreamId[] | CommandError {
  const ids: StreamId[] = [];
  for (let index = from; index < to; index++) {
    const id = parseStreamId(args.text(index), 'first');
    if (id === undefined) return INVALID_STREAM_ID;
    ids.push(id);
  }
  return ids;
}

/** The stream of the first argument; undefined where there is no key, and after an error, which is then replied. */
export function readStream({ view, reply }: ShardContext, key: string): StreamValue | undefined | 'replied' {
  const row = findRow(view, key, RowType.Stream);
  if (row instanceof CommandError) {
    reply.error(row);
    return 'replied';
  }
  return row && streamOf(row);
}

/** A consumer group with the stream it is of. */
export interface FoundGroup {
  readonly row: Row;
  readonly stream: StreamValue;
  readonly group: GroupRecord;
}

/** The group of a key; undefined where there is no such key or group. */
export function findGroup(view: ShardView, key: string, name: string): FoundGroup | undefined | CommandError {
  const row = findRow(view, key, RowType.Stream);
  if (row === undefined || row instanceof CommandError) return row;
  const stream = streamOf(row);
  const group = stream.groups.get(name);
  return group && { row, stream, group };
}

/** As {@link findGroup}, where it must be there. */
export function requireGroup(view: ShardView, key: string, name: string): FoundGroup | CommandError {
  return (
    findGroup(view, key, name) ??
    new CommandError(`NOGROUP No such key '${quotable(key)}' or consumer group '${quotable(name)}'`)
  );
}

/** What is said of a key that has no such group, where there is a key. */
export function noSuchGroup(key: string, name: string): CommandError {
  return new CommandError(
    `NOGROUP No such consumer group '${quotable(name)}' for key name '${quotable(key)}'`,
  );
}

/** What subcommands say of arguments that are too many, or not known. */
export function subcommandSyntax(container: string, subcommand: string): CommandError {
  return new CommandError(
    `ERR unknown subcommand or wrong number of arguments for '${quotable(subcommand).slice(0, 128)}'. Try ${container} HELP.`,
  );
}

/** Stages a stream whose entries or groups have changed. */
export function saveStream(view: ShardView, row: Row): void {
  streamOf(row).settle();
  view.changed(row);
}

export function writeId(reply: ReplyWriter, id: StreamId): void {
  reply.bulk(formatStreamId(id));
}

/** @param fields undefined for an entry that has been deleted while it was pending */
export function writeEntry(
  reply: ReplyWriter,
  id: StreamId,
  fields: readonly StringValue[] | undefined,
): void {
  reply.array(2);
  writeId(reply, id);
  if (fields === undefined) {
    reply.nilArray();
    return;
  }
  reply.array(fields.length);
  for (const field of fields) reply.bulk(field);
}

/** Writes the entries from one id to another, at most `count`. */
export function writeRange(
  reply: ReplyWriter,
  stream: StreamValue,
  from: StreamId,
  to: StreamId,
  count: number,
  reverse: boolean,
): void {
  let first = stream.rank(from);
  let end = Math.max(first, stream.rankBehind(to));
  if (end - first > count) {
    if (reverse) first = end - count;
    else end = first + count;
  }
  reply.array(end - first);
  stream.each(first, end, reverse, (id, fields) => {
    writeEntry(reply, id, fields);
    return true;
  });
}
