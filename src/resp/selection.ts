import type { Buffer } from 'node:buffer';
import { CommandError, NOT_AN_INTEGER } from '../base/command-errors.js';
import { parseInt64 } from '../base/numbers.js';
import type { Command } from '../commands/table.js';
import type { Keyspace } from '../node/keyspaces.js';
import type { Store } from '../node/store.js';
import type { ShardRoute } from '../workers/pool.js';
import type { Session } from './session.js';

/** What SELECT chooses: a database by its number, whatever keyspace has it at the time, or a keyspace without one. */
export type Selection = number | Keyspace;

const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const NOT_AN_INT32 = new CommandError(
  `ERR value is out of range, value must between ${INT32_MIN} and ${INT32_MAX}`,
);
const DB_OUT_OF_RANGE = new CommandError('ERR DB index is out of range');
/** What a keyspace can be called: not digits alone. Anything else is a mistyped number, of which Redis's error is told. */
const NAME = /^(?!-?\d+$)[A-Za-z0-9_.-]{1,64}$/;

/** What the argument of SELECT means. */
export function parseSelection(store: Store, text: string): Selection | CommandError {
  const db = parseDatabase(store, text);
  if (db !== undefined) return db;
  const keyspace = store.keyspaces.named(text);
  if (keyspace !== undefined) return keyspace.db ?? keyspace;
  if (!NAME.test(text)) return NOT_AN_INTEGER;
  return new CommandError(`ERR no keyspace is named '${text}': VASTO KEYSPACE LIST tells which there are`);
}

/** What the argument of SELECT means at a cluster door, which shows one keyspace, as database 0. */
export function selectionAtDoor(store: Store, text: string): 0 | CommandError {
  const db = parseInt32(text);
  if (db === undefined && store.keyspaces.named(text) === undefined) return NOT_AN_INTEGER;
  if (db instanceof CommandError) return db;
  return db === 0 ? db : notAtDoor('SELECT');
}

/** The database that a number names; undefined for what is no number. */
function parseDatabase(store: Store, text: string): number | CommandError | undefined {
  const db = parseInt32(text);
  return typeof db !== 'number' || isDatabase(store, db) ? db : DB_OUT_OF_RANGE;
}

function parseInt32(text: string): number | CommandError | undefined {
  const number = parseInt64(text);
  if (number === undefined) return undefined;
  return typeof number === 'bigint' || number < INT32_MIN || number > INT32_MAX ? NOT_AN_INT32 : number;
}

/** Whether a number is a database's: one of `databases`, or one that an operator has given to a keyspace. */
export function isDatabase(store: Store, db: number): boolean {
  return db >= 0 && (db < store.config.values.databases || store.keyspaces.numbered(db) !== undefined);
}

/** The keyspace that a session has selected; undefined if it is a database that does not exist yet. */
export function selectedKeyspace(store: Store, session: Session): Keyspace | undefined {
  if (session.keyspace !== undefined) return session.keyspace;
  return session.db === undefined ? undefined : store.keyspaces.numbered(session.db);
}

export function deletedKeyspace({ name }: Keyspace): CommandError {
  return new CommandError(`ERR keyspace '${name}' has been deleted: SELECT another one`);
}

/** Said of what works only where all of a keyspace is one shard, on the store that is to do it. */
export function notOneShard({ label }: Keyspace, what: string): CommandError {
  return new CommandError(
    `ERR ${what}: keyspace ${label} is not one shard on the same store, which it would have to be`,
  );
}

/** The one shard that a keyspace is, here. */
export function onlyShardOf(keyspace: Keyspace, what: string): ShardRoute | CommandError {
  if (keyspace.deleted) return deletedKeyspace(keyspace);
  return keyspace.onlyShard ?? notOneShard(keyspace, what);
}

/** Bytes beyond which a word cannot be an option's, and need not be turned into text. */
const WORD_BYTES_MAX = 64;

/**
 * The database number that MOVE and COPY … DB name; undefined for other commands, and where the arguments
 * before it are malformed, of which the command will complain.
 */
export function targetDatabase(
  store: Store,
  session: Session,
  command: Command,
  args: readonly Buffer[],
): number | CommandError | undefined {
  if (command.name !== 'move' && command.name !== 'copy') return undefined;
  let target: number | CommandError | undefined;
  // Of several options DB the last one counts, and each of them has to be right.
  for (const written of command.name === 'move' ? [args[2]!] : copyTargets(args)) {
    const text = written.latin1Slice();
    target =
      session.door === '' ? (parseDatabase(store, text) ?? NOT_AN_INTEGER) : targetAtDoor(command, text);
    if (target instanceof CommandError) return target;
  }
  return target;
}

/** At a cluster door there is one database, which is called 0. */
function targetAtDoor({ name }: Command, written: string): CommandError | undefined {
  if (name === 'move') return notAtDoor('MOVE');
  const db = parseInt32(written);
  if (db === 0) return undefined;
  return typeof db === 'number' ? COPY_AT_DOOR : (db ?? NOT_AN_INTEGER);
}

/** What Redis says in cluster mode, where there is one database. */
export function notAtDoor(command: string): CommandError {
  return new CommandError(`ERR ${command} is not allowed in cluster mode`);
}

const COPY_AT_DOOR = new CommandError('ERR Copying to another database is not allowed in cluster mode');

/** The arguments of a COPY without what they say of the database. */
export function withoutTarget(args: readonly Buffer[]): Buffer[] {
  const kept = args.slice(0, 3);
  for (let index = 3; index < args.length; index++)
    if (wordOf(args[index]!) === 'DB' && index + 1 < args.length) index++;
    else kept.push(args[index]!);
  return kept;
}

function wordOf(argument: Buffer): string {
  return argument.subarray(0, WORD_BYTES_MAX).latin1Slice().toUpperCase();
}

/** What stands behind the options DB, as far as the options are well-formed. */
function copyTargets(args: readonly Buffer[]): Buffer[] {
  const targets: Buffer[] = [];
  for (let index = 3; index < args.length; index++) {
    const option = wordOf(args[index]!);
    if (option === 'DB' && index + 1 < args.length) targets.push(args[++index]!);
    else if (option !== 'REPLACE') break;
  }
  return targets;
}
