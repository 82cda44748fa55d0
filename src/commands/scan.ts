import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { compileGlob, type Glob } from '../base/glob.js';
import { parseInteger } from '../base/numbers.js';
import { typeName } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import type { CommandDefinition, ShardHandler } from './definition.js';

const INVALID_CURSOR = new CommandError('ERR invalid cursor');
export const UNKNOWN_CURSOR = new CommandError(
  'ERR invalid cursor: its scan is over or was never begun here, begin again with cursor 0',
);
const SCAN_COUNT_DEFAULT = 10;
const CURSOR_MAX = 2n ** 64n - 1n;

/** The keys that match, in byte order. A literal prefix of the pattern is sought, not filtered. */
function matchingKeys(view: ShardView, glob: Glob): string[] {
  if (glob.isLiteral) return view.peek(glob.prefix) === undefined ? [] : [glob.prefix];
  const keys: string[] = [];
  view.visit({ prefix: glob.prefix }, false, (key) => {
    if (glob.matches(key)) keys.push(key);
    return true;
  });
  return keys;
}

const keys: ShardHandler = ({ view, reply }, args) => {
  const found = matchingKeys(view, compileGlob(args.text(1)));
  reply.array(found.length);
  for (const key of found) reply.bulk(key);
};

/**
 * The canonical text of a cursor, as C's strtoul reads it (which Redis uses): a sign and leading zeros are
 * allowed, no digits at all mean 0.
 */
export function parseCursor(text: string): string | CommandError {
  if (text === '0' || text === '') return '0';
  if (!/^[+-]?\d+$/.test(text) || text.length > 1000) return INVALID_CURSOR;
  const magnitude = BigInt(text.replace(/^[+-]/, ''));
  if (magnitude > CURSOR_MAX) return INVALID_CURSOR;
  return String(BigInt.asUintN(64, text.startsWith('-') ? -magnitude : magnitude));
}

interface ScanOptions {
  readonly glob: Glob | undefined;
  /** How many keys to visit, matching or not. */
  readonly count: number;
  /** Lower case; undefined = every type. */
  readonly type: string | undefined;
}

function parseScanOptions(args: Arguments): ScanOptions | CommandError {
  let glob: Glob | undefined;
  let count = SCAN_COUNT_DEFAULT;
  let type: string | undefined;
  for (let index = 2; index < args.count; index += 2) {
    const token = args.token(index);
    if (index + 1 >= args.count) return SYNTAX_ERROR;
    if (token === 'COUNT') {
      const parsed = parseInteger(args.text(index + 1));
      if (parsed === undefined) return NOT_AN_INTEGER;
      if (parsed < 1) return SYNTAX_ERROR;
      count = parsed;
    } else if (token === 'MATCH') glob = compileGlob(args.text(index + 1));
    else if (token === 'TYPE') type = args.text(index + 1).toLowerCase();
    else return SYNTAX_ERROR;
  }
  return { glob, count, type };
}

interface ScanStep {
  readonly keys: readonly string[];
  /** The last key visited, if the range has more behind it. */
  readonly resumeAfter: string | undefined;
}

/** Visits `count` keys behind `after`, and looks at one more to tell whether the range goes on. */
function scanStep(view: ShardView, options: ScanOptions, after: string | undefined): ScanStep {
  const { glob, count, type } = options;
  if (glob?.isLiteral) return scanLiteral(view, glob.prefix, type, after);
  const found: string[] = [];
  let visited = 0;
  let last = '';
  let resumeAfter: string | undefined;
  const range = after === undefined ? { prefix: glob?.prefix ?? '' } : { prefix: glob?.prefix ?? '', after };
  view.visit(range, type !== undefined, (key, row) => {
    if (visited === count) {
      resumeAfter = last;
      return false;
    }
    visited++;
    last = key;
    if (type !== undefined && typeName(row!.type) !== type) return true;
    if (glob === undefined || glob.matches(key)) found.push(key);
    return true;
  });
  return { keys: found, resumeAfter };
}

/** A pattern without wildcards has one possible match: look it up, visit nothing. */
function scanLiteral(
  view: ShardView,
  key: string,
  type: string | undefined,
  after: string | undefined,
): ScanStep {
  const row = view.peek(key);
  const matches =
    row !== undefined &&
    (after === undefined || key > after) &&
    (type === undefined || typeName(row.type) === type);
  return { keys: matches ? [key] : [], resumeAfter: undefined };
}

const scan: ShardHandler = ({ view, reply }, args) => {
  const cursor = parseCursor(args.text(1));
  if (cursor instanceof CommandError) return reply.error(cursor);
  const options = parseScanOptions(args);
  if (options instanceof CommandError) return reply.error(options);
  const opened = view.openCursor(cursor);
  if (opened === undefined) return reply.error(UNKNOWN_CURSOR);
  const step = scanStep(view, options, opened.after);
  reply.array(2);
  if (step.resumeAfter === undefined) {
    view.closeCursor(opened.session);
    reply.bulk('0');
  } else reply.bulk(view.saveCursor(opened.session, step.resumeAfter));
  reply.array(step.keys.length);
  for (const key of step.keys) reply.bulk(key);
};

export const scanCommands: readonly CommandDefinition[] = [
  {
    name: 'keys',
    arity: 2,
    flags: ['readonly'],
    keys: [],
    group: 'generic',
    since: '1.0.0',
    summary: 'Lists the keys that match a glob pattern, all at once',
    complexity: 'O(N) for N keys that begin with the literal bytes before the first wildcard of the pattern',
    syntax: 'pattern',
    categories: ['dangerous'],
    tips: ['request_policy:all_shards', 'nondeterministic_output_order'],
    runs: 'split',
    run: keys,
  },
  {
    name: 'scan',
    arity: -2,
    flags: ['readonly'],
    keys: [],
    group: 'generic',
    since: '2.8.0',
    summary: 'Lists keys step by step; each reply begins with the cursor of the next step, 0 at the end',
    complexity:
      'O(COUNT) a step; with MATCH only keys that begin with the literal bytes before the first wildcard',
    syntax: 'cursor [MATCH pattern] [COUNT count] [TYPE type]',
    tips: ['nondeterministic_output', 'request_policy:special'],
    runs: 'split',
    run: scan,
  },
];
