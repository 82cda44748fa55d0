import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { CollectionLimits } from '../types/collections/collection.js';
import type { StreamValue } from '../types/collections/stream.js';
import { parseStreamId, type StreamId } from '../types/stream-id.js';
import { INVALID_STREAM_ID } from './stream-access.js';

/** The trimming that XADD and XTRIM are asked for. */

const SEVERAL_STRATEGIES = new CommandError(
  'ERR syntax error, MAXLEN and MINID options at the same time are not compatible',
);
const NEGATIVE_LENGTH = new CommandError('ERR The MAXLEN argument must be >= 0.');
const NEGATIVE_LIMIT = new CommandError('ERR The LIMIT argument must be >= 0.');
const LIMIT_WITHOUT_STRATEGY = new CommandError(
  'ERR syntax error, LIMIT cannot be used without specifying a trimming strategy',
);
const LIMIT_OF_EXACT = new CommandError(
  'ERR syntax error, LIMIT cannot be used without the special ~ option',
);

/** Entries of a stream's node where no bound is set. */
const NODE_ENTRIES_DEFAULT = 100;
/** Nodes that a trimming removes at most, unless it is told a limit. */
const NODES_TRIMMED_MAX = 100;
const ENTRIES_TRIMMED_MAX = 1_000_000;

export interface Trimming {
  /** Entries to keep, or the first id to keep. */
  readonly keep: number | StreamId;
  /** Whether `~` was said: entries go in whole nodes. */
  readonly approximate: boolean;
}

/** What was asked for, and where the options end. */
export interface TrimmingOptions {
  trimming: Trimming | undefined;
  /** Entries to remove at most; 0 = no bound; undefined = not said. */
  limit: number | undefined;
  noMakeStream: boolean;
  /** Place of the first argument that is no option: of XADD the id. */
  end: number;
}

/**
 * Reads the options of XADD and XTRIM.
 * @param isAdding whether it is XADD: its options end where a word is none, and it has NOMKSTREAM
 */
export function parseTrimming(args: Arguments, isAdding: boolean): TrimmingOptions | CommandError {
  const options: TrimmingOptions = { trimming: undefined, limit: undefined, noMakeStream: false, end: 2 };
  while (options.end < args.count) {
    const token = args.token(options.end);
    const hasValue = options.end + 1 < args.count;
    let error: CommandError | undefined;
    if ((token === 'MAXLEN' || token === 'MINID') && hasValue) error = parseStrategy(args, options, token);
    else if (token === 'LIMIT' && hasValue) error = parseLimit(args, options);
    else if (isAdding && token === 'NOMKSTREAM') {
      options.noMakeStream = true;
      options.end++;
    } else if (isAdding) break;
    else error = SYNTAX_ERROR;
    if (error !== undefined) return error;
  }
  return options;
}

function parseStrategy(
  args: Arguments,
  options: TrimmingOptions,
  strategy: 'MAXLEN' | 'MINID',
): CommandError | undefined {
  if (options.trimming !== undefined) return SEVERAL_STRATEGIES;
  let at = options.end + 1;
  const sign = args.text(at);
  if ((sign === '~' || sign === '=') && at + 1 < args.count) at++;
  const approximate = sign === '~' && at > options.end + 1;
  const text = args.text(at);
  options.end = at + 1;
  if (strategy === 'MINID') {
    const keep = parseStreamId(text, 'first');
    if (keep === undefined) return INVALID_STREAM_ID;
    options.trimming = { keep, approximate };
    return undefined;
  }
  const keep = parseInteger(text);
  if (keep === undefined) return NOT_AN_INTEGER;
  if (keep < 0) return NEGATIVE_LENGTH;
  options.trimming = { keep, approximate };
  return undefined;
}

function parseLimit(args: Arguments, options: TrimmingOptions): CommandError | undefined {
  const limit = parseInteger(args.text(options.end + 1));
  if (limit === undefined) return NOT_AN_INTEGER;
  if (limit < 0) return NEGATIVE_LIMIT;
  options.limit = limit;
  options.end += 2;
  return undefined;
}

/** What is wrong with options that are well-formed each. */
export function trimmingError({ trimming, limit }: TrimmingOptions): CommandError | undefined {
  if (trimming === undefined)
    return limit ? LIMIT_WITHOUT_STRATEGY : limit === 0 ? LIMIT_OF_EXACT : undefined;
  return limit !== undefined && !trimming.approximate ? LIMIT_OF_EXACT : undefined;
}

/**
 * Trims a stream.
 * @returns how many entries were removed
 */
export function trim(
  stream: StreamValue,
  { trimming, limit }: TrimmingOptions,
  { streamNodeEntries }: CollectionLimits,
): number {
  if (trimming === undefined) return 0;
  const { keep, approximate } = trimming;
  let count = typeof keep === 'number' ? Math.max(0, stream.size - keep) : stream.rank(keep);
  if (approximate) {
    const node = streamNodeEntries || NODE_ENTRIES_DEFAULT;
    const most =
      (limit ?? Math.min(NODES_TRIMMED_MAX * node, ENTRIES_TRIMMED_MAX)) || Number.POSITIVE_INFINITY;
    if (count < stream.size || count > most) count = Math.floor(Math.min(count, most) / node) * node;
  }
  if (count > 0) stream.trim(count);
  return count;
}
