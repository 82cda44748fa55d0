import type { Arguments } from '../../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../../base/command-errors.js';
import { parseInt64 } from '../../base/numbers.js';
import { helpLines } from '../../commands/documentation.js';
import type { Connection } from '../connection.js';
import { Attention } from '../session.js';
import { setInfo, setName } from './client-attributes.js';
import { type ClientFilter, isClientType, matchesFilter, parseKillFilter } from './client-filter.js';
import { clientLine } from './client-list.js';
import { type FrontContext, type FrontHandler, type FrontHandlers, inTurn, now } from './handlers.js';

const NO_SUCH_CLIENT = new CommandError('ERR No such client');
const INVALID_ID = new CommandError('ERR Invalid client ID');
const PAUSE_MODE = new CommandError('ERR CLIENT PAUSE mode must be WRITE or ALL');
const TIMEOUT_NOT_INTEGER = new CommandError('ERR timeout is not an integer or out of range');
const TIMEOUT_NEGATIVE = new CommandError('ERR timeout is negative');
const TIMEOUT_OUT_OF_RANGE = new CommandError('ERR timeout is out of range');
const UNBLOCK_REASON = new CommandError('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
const NOT_TRACKING = new CommandError(
  'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
);
const TRACKING_UNAVAILABLE = new CommandError(
  'ERR client-side caching is not available: CLIENT TRACKING can only be OFF',
);

/** What a container says to a subcommand with more arguments than any of its forms has. */
function tooMany({ command }: FrontContext, args: Arguments): CommandError {
  const container = command.container!.name.toUpperCase();
  return new CommandError(
    `ERR unknown subcommand or wrong number of arguments for '${args.text(1).slice(0, 128)}'. Try ${container} HELP.`,
  );
}

/** A subcommand whose argument is ON or OFF. */
function onOff(change: (context: FrontContext, on: boolean) => void): FrontHandler {
  return now((context, args) => {
    const token = args.token(2);
    if (token !== 'ON' && token !== 'OFF') return context.reply.error(SYNTAX_ERROR);
    change(context, token === 'ON');
    context.reply.ok();
  });
}

// ------------------------------------------------------------------ LIST, INFO

function argumentBytes(args: Arguments): number {
  let bytes = 0;
  for (let index = 0; index < args.count; index++) bytes += args.byteLength(index);
  return bytes;
}

/** Lines about connections, each with its end. */
function lines({ connection }: FrontContext, args: Arguments, listed: Iterable<Connection>): string {
  const nowMs = Date.now();
  const running = { connection, argumentBytes: argumentBytes(args) };
  let text = '';
  for (const each of listed) if (!each.socket.destroyed) text += `${clientLine(each, running, nowMs)}\n`;
  return text;
}

function chooseForList({ server }: FrontContext, args: Arguments): Iterable<Connection> | CommandError {
  const { connections } = server;
  if (args.count === 2) return connections.values();
  const option = args.token(2);
  if (option === 'TYPE' && args.count === 4) {
    const type = args.text(3).toLowerCase();
    if (!isClientType(type)) return new CommandError(`ERR Unknown client type '${args.text(3)}'`);
    return type === 'normal' ? connections.values() : [];
  }
  if (option !== 'ID' || args.count < 4) return SYNTAX_ERROR;
  const chosen: Connection[] = [];
  for (let index = 3; index < args.count; index++) {
    const id = parseInt64(args.text(index));
    if (id === undefined) return INVALID_ID;
    const connection = connections.get(Number(id));
    if (connection !== undefined) chosen.push(connection);
  }
  return chosen;
}

const list = now((context, args) => {
  const chosen = chooseForList(context, args);
  if (chosen instanceof CommandError) context.reply.error(chosen);
  else context.reply.verbatim(lines(context, args, chosen));
});

// ------------------------------------------------------------------ KILL

const kill = now((context, args) => {
  const { server, connection, session, reply } = context;
  const isOldForm = args.count === 3;
  const filter: ClientFilter | CommandError = isOldForm
    ? { address: args.text(2), skipMe: false }
    : parseKillFilter(args);
  if (filter instanceof CommandError) return reply.error(filter);
  let killed = 0;
  let killsItself = false;
  for (const each of [...server.connections.values()]) {
    if (each.socket.destroyed || !matchesFilter(filter, each, session.id)) continue;
    killed++;
    if (each === connection) killsItself = true;
    else each.destroy(`killed by client ${session.id}`);
  }
  if (!isOldForm) reply.integer(killed);
  else if (killed > 0) reply.ok();
  else reply.error(NO_SUCH_CLIENT);
  if (!killsItself) return;
  connection.flushWriter();
  connection.closeAfterReplies();
});

// ------------------------------------------------------------------ REPLY, PAUSE, UNBLOCK

const reply = now(({ session, reply: writer }, args) => {
  const mode = args.token(2);
  if (mode === 'ON') {
    session.replies = 'on';
    session.set(Attention.Silent, false);
    writer.ok();
  } else if (mode === 'OFF') {
    session.replies = 'off';
    session.set(Attention.Silent, true);
  } else if (mode === 'SKIP') {
    if (session.replies === 'off') return;
    session.replies = 'skip';
    session.set(Attention.Silent, true);
  } else writer.error(SYNTAX_ERROR);
});

const INT64_MAX = 2n ** 63n - 1n;

/** @returns Unix milliseconds, or what is wrong with the time */
function parseDeadline(text: string, nowMs: number): number | CommandError {
  const timeoutMs = parseInt64(text);
  if (timeoutMs === undefined) return TIMEOUT_NOT_INTEGER;
  if (timeoutMs < 0) return TIMEOUT_NEGATIVE;
  if (BigInt(timeoutMs) > INT64_MAX - BigInt(nowMs)) return TIMEOUT_OUT_OF_RANGE;
  return nowMs + Number(timeoutMs);
}

const pause = now((context, args) => {
  const { server, reply: writer } = context;
  if (args.count > 4) return writer.error(tooMany(context, args));
  const mode = args.count === 4 ? args.token(3) : 'ALL';
  if (mode !== 'WRITE' && mode !== 'ALL') return writer.error(PAUSE_MODE);
  const untilMs = parseDeadline(args.text(2), Date.now());
  if (untilMs instanceof CommandError) return writer.error(untilMs);
  server.pauseClients(untilMs, mode === 'WRITE');
  writer.ok();
});

const unblock = inTurn(async (context, args) => {
  const { reply: writer, server } = context;
  if (args.count > 4) return writer.error(tooMany(context, args));
  const reason = args.count === 4 ? args.token(3) : 'TIMEOUT';
  if (reason !== 'TIMEOUT' && reason !== 'ERROR') return writer.error(UNBLOCK_REASON);
  const id = parseInt64(args.text(2));
  if (id === undefined) return writer.error(NOT_AN_INTEGER);
  const { blocking } = server.connections.get(Number(id)) ?? {};
  writer.integer((await blocking?.unblock(reason === 'ERROR')) ? 1 : 0);
});

// ------------------------------------------------------------------ client-side caching, which there is none of

const tracking = now(({ reply: writer }, args) => {
  const mode = args.token(2);
  if (mode === 'ON') writer.error(TRACKING_UNAVAILABLE);
  else if (mode === 'OFF' && args.count === 3) writer.ok();
  else writer.error(SYNTAX_ERROR);
});

const trackingInfo = now(({ reply: writer }) => {
  writer.map(3);
  writer.bulk('flags');
  writer.set(1);
  writer.bulk('off');
  writer.bulk('redirect');
  writer.integer(-1);
  writer.bulk('prefixes');
  writer.array(0);
});

/** CLIENT and its subcommands. */
export const clientHandlers: FrontHandlers = {
  'client|caching': now(({ reply: writer }) => writer.error(NOT_TRACKING)),
  'client|getname': now(({ session, reply: writer }) =>
    session.name === '' ? writer.nil() : writer.bulk(session.name),
  ),
  'client|getredir': now(({ reply: writer }) => writer.integer(-1)),
  'client|help': now(({ command, reply: writer }) => {
    const help = helpLines(command.container!);
    writer.array(help.length);
    for (const line of help) writer.simple(line);
  }),
  'client|id': now(({ session, reply: writer }) => writer.integer(session.id)),
  'client|info': now((context, args) => context.reply.verbatim(lines(context, args, [context.connection]))),
  'client|kill': kill,
  'client|list': list,
  'client|no-evict': onOff(({ session }, on) => {
    session.noEvict = on;
  }),
  'client|no-touch': onOff(({ session }, on) => {
    session.noTouch = on;
  }),
  'client|pause': pause,
  'client|reply': reply,
  'client|setinfo': now(({ session, reply: writer }, args) => {
    const refusal = setInfo(session, args.text(2), args.text(3));
    if (refusal === undefined) writer.ok();
    else writer.error(refusal);
  }),
  'client|setname': now(({ session, reply: writer }, args) => {
    const refusal = setName(session, args.text(2));
    if (refusal === undefined) writer.ok();
    else writer.error(refusal);
  }),
  'client|tracking': tracking,
  'client|trackinginfo': trackingInfo,
  'client|unblock': unblock,
  'client|unpause': now(({ server, reply: writer }) => {
    server.unpauseClients();
    writer.ok();
  }),
};
