import type { Arguments } from '../../base/arguments.js';
import { CommandError, SYNTAX_ERROR } from '../../base/command-errors.js';
import { parseInt64 } from '../../base/numbers.js';

/** Which connections CLIENT KILL means: those for which all holds that is given. */
export interface ClientFilter {
  readonly id?: number;
  readonly type?: ClientType;
  readonly address?: string;
  readonly localAddress?: string;
  readonly skipMe: boolean;
}

/** Kinds of clients in Redis; all of ours are normal, those that monitor included. */
const CLIENT_TYPES = ['normal', 'slave', 'replica', 'pubsub', 'master'] as const;
export type ClientType = (typeof CLIENT_TYPES)[number];

export function isClientType(name: string): name is ClientType {
  return CLIENT_TYPES.some((type) => type === name);
}

const INVALID_ID = new CommandError('ERR client-id should be greater than 0');

/** Reads CLIENT KILL's options and their values. */
export function parseKillFilter(args: Arguments): ClientFilter | CommandError {
  let filter: ClientFilter = { skipMe: true };
  for (let index = 2; index < args.count; index += 2) {
    if (index + 1 >= args.count) return SYNTAX_ERROR;
    const part = parseOption(args.token(index), args.text(index + 1));
    if (part instanceof CommandError) return part;
    filter = { ...filter, ...part };
  }
  return filter;
}

function parseOption(option: string, value: string): Partial<ClientFilter> | CommandError {
  switch (option) {
    case 'ID': {
      const id = parseInt64(value);
      return id === undefined || id < 1 ? INVALID_ID : { id: Number(id) };
    }
    case 'TYPE': {
      const type = value.toLowerCase();
      return isClientType(type) ? { type } : new CommandError(`ERR Unknown client type '${value}'`);
    }
    case 'ADDR':
      return { address: value };
    case 'LADDR':
      return { localAddress: value };
    case 'USER':
      return value === 'default' ? {} : new CommandError(`ERR No such user '${value}'`);
    case 'SKIPME': {
      const answer = value.toLowerCase();
      if (answer !== 'yes' && answer !== 'no') return SYNTAX_ERROR;
      return { skipMe: answer === 'yes' };
    }
    default:
      return SYNTAX_ERROR;
  }
}

/** What a filter looks at. */
interface Candidate {
  readonly address: string;
  readonly localAddress: string;
  readonly session: { readonly id: number };
}

/** @param ownId the connection that asks */
export function matchesFilter(filter: ClientFilter, candidate: Candidate, ownId: number): boolean {
  const { id } = candidate.session;
  if (filter.id !== undefined && filter.id !== id) return false;
  if (filter.type !== undefined && filter.type !== 'normal') return false;
  if (filter.address !== undefined && filter.address !== candidate.address) return false;
  if (filter.localAddress !== undefined && filter.localAddress !== candidate.localAddress) return false;
  return !(filter.skipMe && id === ownId);
}
