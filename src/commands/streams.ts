import type { Arguments } from '../base/arguments.js';
import {
  CommandError,
  NO_SUCH_KEY,
  NOT_AN_INTEGER,
  SYNTAX_ERROR,
  wrongArity,
} from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { RowType, type StringValue } from '../types/row.js';
import {
  parseNewStreamId,
  parseStreamId,
  resolveNewStreamId,
  STREAM_ID_MAX,
  STREAM_ID_MIN,
  type StreamId,
} from '../types/stream-id.js';
import { findRow, save, streamOf, streamToWrite } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import { INVALID_STREAM_ID, parseIds, readStream, saveStream, writeId } from './stream-access.js';
import { parseTrimming, trim, trimmingError } from './stream-trimming.js';
import { argumentValue } from './string-access.js';

/** The commands that write the entries of streams. Reads, groups, and what is pending are in files beside this one. */

const ID_OF_NONE = new CommandError('ERR The ID specified in XADD must be greater than 0-0');
const NO_IDS_LEFT = new CommandError(
  'ERR The stream has exhausted the last possible ID, unable to add more items',
);
const ID_TOO_SMALL = new CommandError(
  'ERR The ID specified in XADD is equal or smaller than the target stream top item',
);
const NO_STRATEGY = new CommandError('ERR syntax error, XTRIM must be called with a trimming strategy');

/** XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] id field value [field value ...] */
export const addEntry: ShardHandler = ({ view, reply }, args) => {
  const options = parseTrimming(args, true);
  if (options instanceof CommandError) return reply.error(options);
  const wanted = options.end < args.count ? parseNewStreamId(args.text(options.end)) : undefined;
  if (wanted === undefined && options.end < args.count) return reply.error(INVALID_STREAM_ID);
  const error = trimmingError(options);
  if (error !== undefined) return reply.error(error);
  const first = options.end + 1;
  if (wanted === undefined || args.count - first < 2 || (args.count - first) % 2 !== 0)
    return reply.error(wrongArity('xadd'));
  if (wanted.kind === 'explicit' && wanted.id === STREAM_ID_MIN) return reply.error(ID_OF_NONE);
  const key = args.text(1);
  const row = findRow(view, key, RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined && options.noMakeStream) return reply.nil();
  const stream = streamToWrite(view, row);
  if (stream.lastId === STREAM_ID_MAX) return reply.error(NO_IDS_LEFT);
  const id = resolveNewStreamId(wanted, stream.lastId, view.nowMs);
  if (id === undefined) return reply.error(ID_TOO_SMALL);
  stream.append(id, valuesFrom(args, first));
  trim(stream, options, view.collections.limits);
  save(view, key, row, stream);
  writeId(reply, id);
};

function valuesFrom(args: Arguments, first: number): StringValue[] {
  const values: StringValue[] = [];
  for (let index = first; index < args.count; index++) values.push(argumentValue(args, index));
  return values;
}

export const countEntries: ShardHandler = (context, args) => {
  const stream = readStream(context, args.text(1));
  if (stream !== 'replied') context.reply.integer(stream?.size ?? 0);
};

export const deleteEntries: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.integer(0);
  const ids = parseIds(args, 2);
  if (ids instanceof CommandError) return reply.error(ids);
  const stream = streamOf(row);
  let deleted = 0;
  for (const id of ids) if (stream.delete(id)) deleted++;
  if (deleted > 0) saveStream(view, row);
  reply.integer(deleted);
};

/** XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] */
export const trimEntries: ShardHandler = ({ view, reply }, args) => {
  const options = parseTrimming(args, false);
  if (options instanceof CommandError) return reply.error(options);
  const error = options.trimming === undefined && !options.limit ? NO_STRATEGY : trimmingError(options);
  if (error !== undefined) return reply.error(error);
  const row = findRow(view, args.text(1), RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.integer(0);
  const removed = trim(streamOf(row), options, view.collections.limits);
  if (removed > 0) saveStream(view, row);
  reply.integer(removed);
};

const NEGATIVE_ADDED = new CommandError('ERR entries_added must be positive');
const BELOW_GIVEN_DELETED = new CommandError(
  'ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id',
);
const BELOW_TOP = new CommandError(
  'ERR The ID specified in XSETID is smaller than the target stream top item',
);
const FEWER_ADDED = new CommandError(
  'ERR The entries_added specified in XSETID is smaller than the target stream length',
);

interface SetIdOptions {
  lastId: StreamId;
  added: number | undefined;
  maxDeletedId: StreamId;
}

function parseSetId(args: Arguments): SetIdOptions | CommandError {
  const lastId = parseStreamId(args.text(2), 'first');
  if (lastId === undefined) return INVALID_STREAM_ID;
  const options: SetIdOptions = { lastId, added: undefined, maxDeletedId: STREAM_ID_MIN };
  for (let index = 3; index < args.count; index += 2) {
    const token = args.token(index);
    if (index + 1 >= args.count) return SYNTAX_ERROR;
    const text = args.text(index + 1);
    if (token === 'ENTRIESADDED') {
      options.added = parseInteger(text);
      if (options.added === undefined) return NOT_AN_INTEGER;
      if (options.added < 0) return NEGATIVE_ADDED;
    } else if (token === 'MAXDELETEDID') {
      const id = parseStreamId(text, 'first');
      if (id === undefined) return INVALID_STREAM_ID;
      if (lastId < id) return BELOW_GIVEN_DELETED;
      options.maxDeletedId = id;
    } else return SYNTAX_ERROR;
  }
  return options;
}

/** XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id] */
export const setLastId: ShardHandler = ({ view, reply }, args) => {
  const options = parseSetId(args);
  if (options instanceof CommandError) return reply.error(options);
  const row = findRow(view, args.text(1), RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.error(NO_SUCH_KEY);
  const stream = streamOf(row);
  const { lastId, added, maxDeletedId } = options;
  if (stream.size > 0) {
    if (lastId < stream.idAt(stream.size - 1)) return reply.error(BELOW_TOP);
    if (added !== undefined && stream.size > added) return reply.error(FEWER_ADDED);
  }
  stream.lastId = lastId;
  if (added !== undefined) stream.entriesAdded = added;
  if (maxDeletedId !== STREAM_ID_MIN) stream.maxDeletedId = maxDeletedId;
  saveStream(view, row);
  reply.ok();
};
