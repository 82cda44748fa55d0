import { SHARDS_MAX } from '../cluster/jump-hash.js';
import type { KeyspaceRequest } from '../cluster/manager.js';

/** Why a keyspace cannot be asked for so, in words for people; what else is wrong with it the master says. */
export class RequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RequestError';
  }
}

const DATABASES_MAX = 2147483647;
const REPLICAS_MAX = 1024;

/** @param what for the message @throws {@link RequestError} */
export function wholeNumber(text: string, what: string, least: number, most: number): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most))
    throw new RequestError(`${what} must be a whole number from ${least} to ${most}, not '${text}'`);
  return number;
}

export interface RequestTexts {
  readonly name: string;
  readonly shards?: string | undefined;
  readonly replicas?: string | undefined;
  /** Separated by commas. */
  readonly tags?: string | undefined;
  readonly db?: string | undefined;
}

/** @throws {@link RequestError} */
export function keyspaceRequest({ name, shards, replicas, tags, db }: RequestTexts): KeyspaceRequest {
  return {
    name,
    shards: wholeNumber(shards ?? '1', 'shards', 1, SHARDS_MAX),
    replicas: wholeNumber(replicas ?? '1', 'replicas', 1, REPLICAS_MAX),
    tags: (tags ?? '').split(',').filter((tag) => tag !== ''),
    ...(db === undefined ? {} : { db: wholeNumber(db, 'db', 0, DATABASES_MAX) }),
  };
}
