import { SHARDS_MAX } from '../cluster/jump-hash.js';
import { type KeyspaceRequest, ManagerError } from '../cluster/manager.js';
import { databaseName } from '../cluster/topology.js';

/** Characters of a name. */
export const NAME_LENGTH_MAX = 64;

/** Tags that a keyspace may ask for. */
const TAGS_MAX = 16;

/** Numbers that SELECT can take. */
const DATABASE_NUMBER_MAX = 2 ** 31 - 1;

/** Keyspaces that a topology may hold, the markers of deleted ones included: every node keeps all of it. */
export const KEYSPACES_MAX = 100_000;

const NAME = /^[A-Za-z0-9_.-]+$/;
const DATABASE_NAME = /^db(0|[1-9][0-9]*)$/;

/** The number that a name belongs to: those of databases that come into being by being used. */
export function numberOfName(name: string): number | undefined {
  const digits = DATABASE_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** @throws ManagerError INVALID for what can never be a keyspace */
export function checkRequest(request: KeyspaceRequest): void {
  const { shards, replicas, tags, db } = request;
  checkName(request.name);
  if (db !== undefined && !(Number.isInteger(db) && db >= 0 && db <= DATABASE_NUMBER_MAX))
    throw invalid(`a database number is 0 to ${DATABASE_NUMBER_MAX}, not ${db}`);
  const owned = numberOfName(request.name);
  if (owned !== undefined && owned !== db)
    throw invalid(`the name ${request.name} belongs to database ${owned}: choose another name`);
  if (!(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX))
    throw invalid(`a keyspace has 1 to ${SHARDS_MAX} shards, not ${shards}`);
  if (!(Number.isInteger(replicas) && replicas >= 1))
    throw invalid(`a keyspace has at least 1 copy of each shard, not ${replicas}`);
  if (tags.length > TAGS_MAX) throw invalid(`a keyspace may ask for ${TAGS_MAX} tags, not ${tags.length}`);
  const bad = tags.find((tag) => !NAME.test(tag) || tag.length > NAME_LENGTH_MAX);
  if (bad !== undefined)
    throw invalid(`a tag is 1 to ${NAME_LENGTH_MAX} letters, digits, _, - or ., not ${quoted(bad)}`);
}

function checkName(name: string): void {
  if (!NAME.test(name) || name.length > NAME_LENGTH_MAX)
    throw invalid(`a name is 1 to ${NAME_LENGTH_MAX} letters, digits, _, - or ., not ${quoted(name)}`);
  if (/^[0-9]+$/.test(name))
    throw invalid(`the name ${name} has only digits: SELECT would take it for a number`);
}

/** The name of a keyspace once it has another number: names of databases follow their numbers. */
export function renumberedName(name: string, db: number): string {
  return numberOfName(name) === undefined ? name : databaseName(db);
}

function invalid(message: string): ManagerError {
  return new ManagerError('INVALID', message);
}

/** What somebody sent, as it may stand in a message: no control characters, of bounded length. */
export function quoted(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(shown);
}
