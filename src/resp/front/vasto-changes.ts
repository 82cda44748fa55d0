import type { Arguments } from '../../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR, wrongArity } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import type { ChangeRequest } from '../../cluster/manager.js';
import type { FrontContext } from './handlers.js';
import { writeFields, writeTexts } from './vasto-fields.js';

/* The subcommands of VASTO that begin changes of where keyspaces are, and tell of them. */

/** @returns undefined for a word that is none of these actions of VASTO KEYSPACE */
export function keyspaceChange(args: Arguments): ChangeRequest | CommandError | undefined {
  const action = args.token(2);
  const keyspace = args.text(3);
  switch (action) {
    case 'ABORT':
      return args.count === 4 ? { kind: 'abort', keyspace } : arityOf(action);
    case 'RESIZE':
    case 'REPLICAS': {
      if (args.count !== 5) return arityOf(action);
      const number = parseInteger(args.text(4));
      if (number === undefined || number < 0 || number > COUNT_MAX) return NOT_AN_INTEGER;
      return action === 'RESIZE'
        ? { kind: 'resize', keyspace, shards: number }
        : { kind: 'replicas', keyspace, replicas: number };
    }
    case 'MOVE': {
      if (args.count !== 7) return arityOf(action);
      const shard = parseInteger(args.text(4));
      if (shard === undefined || shard < 0 || shard > COUNT_MAX) return NOT_AN_INTEGER;
      return { kind: 'move', keyspace, shard, from: args.text(5), to: args.text(6) };
    }
    default:
      return undefined;
  }
}

/** More than there can be of anything, and no more than messages carry. */
const COUNT_MAX = 2 ** 31;

function arityOf(action: string): CommandError {
  return wrongArity(`vasto|keyspace ${action.toLowerCase()}`);
}

export function storeChange(args: Arguments): ChangeRequest | CommandError {
  const action = args.token(2);
  if (action === 'DRAIN' && args.count === 4) return { kind: 'drain', store: args.text(3) };
  if (action === 'UNDRAIN' && args.count === 4) return { kind: 'undrain', store: args.text(3) };
  if (action === 'REPLACE' && args.count <= 5)
    return { kind: 'replace', store: args.text(3), by: args.count === 5 ? args.text(4) : '' };
  return SYNTAX_ERROR;
}

/** Has a change begun, and tells what goes where; nothing where there was nothing to do. */
export async function beginChange(
  { server, reply }: FrontContext,
  request: ChangeRequest | CommandError,
): Promise<void> {
  if (request instanceof CommandError) {
    reply.error(request);
    return;
  }
  const { id, explanation } = await server.store.manager.beginChange(request);
  writeFields(reply, [
    ['id', (out) => out.bulk(id)],
    ['explanation', (out) => writeTexts(out, explanation)],
  ]);
}

/** The changes that are going on. */
export async function tasks({ server, reply }: FrontContext): Promise<void> {
  const statuses = await server.store.manager.changeStatuses();
  reply.array(statuses.length);
  for (const status of statuses)
    writeFields(reply, [
      ['id', (out) => out.bulk(status.id)],
      ['keyspace', (out) => out.bulk(status.keyspace)],
      ['kind', (out) => out.bulk(status.kind)],
      ['phase', (out) => out.bulk(status.phase)],
      ['started-at-ms', (out) => out.integer(status.startedAtMs)],
      ['attempts', (out) => out.integer(status.attempts)],
      ['rows', (out) => out.integer(status.rows)],
      ['rows-total', (out) => out.integer(status.rowsTotal)],
      ['bytes', (out) => out.integer(status.bytes)],
      ['bytes-total', (out) => out.integer(status.bytesTotal)],
      ['resting', (out) => out.integer(status.isResting ? 1 : 0)],
      ['waits-for', (out) => writeTexts(out, status.waitsFor)],
    ]);
}
