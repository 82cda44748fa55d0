import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { RowType } from '../types/row.js';
import { parseStreamId, type StreamId } from '../types/stream-id.js';
import { findRow, save, streamOf, streamToWrite } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import {
  type FoundGroup,
  findGroup,
  INVALID_STREAM_ID,
  noSuchGroup,
  parseIds,
  parseLooseId,
  saveStream,
  subcommandSyntax,
} from './stream-access.js';

/** XGROUP and XACK. */

const NO_KEY = new CommandError(
  'ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option ' +
    'to create an empty stream automatically.',
);
const GROUP_EXISTS = new CommandError('BUSYGROUP Consumer Group name already exists');
const BAD_ENTRIES_READ = new CommandError('ERR value for ENTRIESREAD must be positive or -1');
/** The ENTRIESREAD that stands for a number that is not known. */
const NOT_KNOWN = -1;

interface GroupOptions {
  makeStream: boolean;
  entriesRead: number | undefined;
}

function parseGroupOptions(args: Arguments, isCreation: boolean): GroupOptions | CommandError {
  const options: GroupOptions = { makeStream: false, entriesRead: undefined };
  for (let index = 5; index < args.count; index++) {
    const token = args.token(index);
    if (isCreation && token === 'MKSTREAM') options.makeStream = true;
    else if (token === 'ENTRIESREAD' && index + 1 < args.count) {
      const read = parseInteger(args.text(++index));
      if (read === undefined) return NOT_AN_INTEGER;
      if (read < 0 && read !== NOT_KNOWN) return BAD_ENTRIES_READ;
      options.entriesRead = read === NOT_KNOWN ? undefined : read;
    } else return subcommandSyntax('XGROUP', args.text(1));
  }
  return options;
}

/** The most arguments of XGROUP CREATE and of SETID. */
const CREATE_ARGUMENTS_MAX = 8;
const SETID_ARGUMENTS = [5, 7];

/** XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD entries-read] */
export const createGroup: ShardHandler = ({ view, reply }, args) => {
  const options = parseGroupOptions(args, true);
  if (options instanceof CommandError) return reply.error(options);
  const key = args.text(2);
  const row = findRow(view, key, RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined && !options.makeStream) return reply.error(NO_KEY);
  if (args.count > CREATE_ARGUMENTS_MAX) return reply.error(subcommandSyntax('XGROUP', args.text(1)));
  const stream = streamToWrite(view, row);
  const text = args.text(4);
  const id = text === '$' ? stream.lastId : parseStreamId(text, 'first');
  if (id === undefined) return reply.error(INVALID_STREAM_ID);
  const name = args.text(3);
  if (stream.groups.get(name) !== undefined) return reply.error(GROUP_EXISTS);
  stream.groups.create(name, id, options.entriesRead);
  stream.settle();
  save(view, key, row, stream);
  reply.ok();
};

/** The group that a subcommand of XGROUP is about, which must be there. */
function groupOf(view: Parameters<typeof findGroup>[0], args: Arguments): FoundGroup | CommandError {
  const key = args.text(2);
  const row = findRow(view, key, RowType.Stream);
  if (row instanceof CommandError) return row;
  if (row === undefined) return NO_KEY;
  const stream = streamOf(row);
  const group = stream.groups.get(args.text(3));
  if (group !== undefined) return { row, stream, group };
  return noSuchGroup(key, args.text(3));
}

/** XGROUP SETID key group id | $ [ENTRIESREAD entries-read] */
export const setGroupId: ShardHandler = ({ view, reply }, args) => {
  const options = parseGroupOptions(args, false);
  if (options instanceof CommandError) return reply.error(options);
  const found = groupOf(view, args);
  if (found instanceof CommandError) return reply.error(found);
  if (!SETID_ARGUMENTS.includes(args.count)) return reply.error(subcommandSyntax('XGROUP', args.text(1)));
  const { row, stream, group } = found;
  const text = args.text(4);
  const id: StreamId | undefined = text === '$' ? stream.lastId : parseLooseId(text);
  if (id === undefined) return reply.error(INVALID_STREAM_ID);
  stream.groups.advance(group, id, options.entriesRead);
  saveStream(view, row);
  reply.ok();
};

export const destroyGroup: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(2), RowType.Stream);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.error(NO_KEY);
  const { groups } = streamOf(row);
  const group = groups.get(args.text(3));
  if (group === undefined) return reply.integer(0);
  groups.destroy(group);
  saveStream(view, row);
  reply.integer(1);
};

export const createConsumer: ShardHandler = ({ view, reply }, args) => {
  const found = groupOf(view, args);
  if (found instanceof CommandError) return reply.error(found);
  const { row, stream, group } = found;
  const name = args.text(4);
  if (stream.groups.consumer(group, name) !== undefined) return reply.integer(0);
  stream.groups.addConsumer(group, name, view.nowMs);
  saveStream(view, row);
  reply.integer(1);
};

/** Replies how many entries were pending for the consumer. */
export const deleteConsumer: ShardHandler = ({ view, reply }, args) => {
  const found = groupOf(view, args);
  if (found instanceof CommandError) return reply.error(found);
  const { row, stream, group } = found;
  const consumer = stream.groups.consumer(group, args.text(4));
  if (consumer === undefined) return reply.integer(0);
  const pending = stream.groups.countOwned(consumer);
  stream.groups.removeConsumer(group, consumer);
  saveStream(view, row);
  reply.integer(pending);
};

const HELP_LINES = [
  'XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <entries-read>]',
  '    Makes a consumer group that gets what comes behind <id>; with MKSTREAM the stream, too.',
  'CREATECONSUMER <key> <group> <consumer>',
  '    Makes a consumer.',
  'DELCONSUMER <key> <group> <consumer>',
  '    Removes a consumer, with all that is pending for it.',
  'DESTROY <key> <group>',
  '    Removes a group.',
  'SETID <key> <group> <id|$> [ENTRIESREAD <entries-read>]',
  '    Has a group get what comes behind <id>.',
  'HELP',
  '    These lines.',
];

export const groupHelp: ShardHandler = ({ reply }) => {
  reply.array(HELP_LINES.length);
  for (const line of HELP_LINES) reply.simple(line);
};

/** XACK key group id [id ...]. Replies how many were pending. */
export const acknowledge: ShardHandler = ({ view, reply }, args) => {
  const found = findGroup(view, args.text(1), args.text(2));
  if (found instanceof CommandError) return reply.error(found);
  if (found === undefined) return reply.integer(0);
  const ids = parseIds(args, 3);
  if (ids instanceof CommandError) return reply.error(ids);
  const { row, stream, group } = found;
  let acknowledged = 0;
  for (const id of ids) if (stream.groups.removePending(group, id)) acknowledged++;
  if (acknowledged > 0) saveStream(view, row);
  reply.integer(acknowledged);
};
