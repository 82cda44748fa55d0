import { parseInt64 } from '../base/numbers.js';
import { type Row, RowFlag, valueText } from '../types/row.js';
import type { CommandDefinition, KeySpecification, ShardHandler } from './definition.js';

/** Redis's texts; they name policies that Vasto knows by name only. */
const POLICY_NOTE =
  'Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.';
const NOT_LFU = `ERR An LFU maxmemory policy is not selected, access frequency not tracked. ${POLICY_NOTE}`;
const IS_LFU = `ERR An LFU maxmemory policy is selected, idle time not tracked. ${POLICY_NOTE}`;

/** Longest text of a 64-bit integer. */
const INTEGER_BYTES_MAX = 20;
/** Longest string that Redis allocates together with its header. */
const EMBEDDED_BYTES_MAX = 44;
/** Redis keeps one shared object for each integer below this, and reports them with a constant reference count. */
const SHARED_INTEGERS = 10_000;
const SHARED_REFERENCE_COUNT = 2_147_483_647;
/** The counter Redis gives to a new key under an LFU policy. */
const FREQUENCY_INITIAL = 5;

/**
 * What OBJECT ENCODING says: Redis's own name for how it would keep the value. Here it tells nothing about the disk,
 * but clients and tests ask for it.
 */
export function encodingOf(row: Row): string {
  if (row.collection !== undefined) return row.collection.encoding;
  if ((row.flags & RowFlag.Raw) !== 0) return 'raw';
  const { length } = row.value;
  const isText = (row.flags & RowFlag.Text) !== 0;
  if (!isText && length <= INTEGER_BYTES_MAX && parseInt64(valueText(row.value)) !== undefined) return 'int';
  return length <= EMBEDDED_BYTES_MAX ? 'embstr' : 'raw';
}

const encoding: ShardHandler = ({ view, reply }, args) => {
  const row = view.peek(args.text(2));
  reply.bulkOrNil(row && encodingOf(row));
};

const idleTime: ShardHandler = ({ view, reply, settings }, args) => {
  const row = view.peek(args.text(2));
  if (row === undefined) return reply.nil();
  if (isLfu(settings.maxmemoryPolicy)) return reply.error(IS_LFU);
  reply.integer(Math.max(0, Math.floor((view.nowMs - row.accessedMs) / 1000)));
};

/** Frequencies are not kept: under an LFU policy every key reports the counter Redis gives to a new one. */
const frequency: ShardHandler = ({ view, reply, settings }, args) => {
  if (view.peek(args.text(2)) === undefined) return reply.nil();
  if (!isLfu(settings.maxmemoryPolicy)) return reply.error(NOT_LFU);
  reply.integer(FREQUENCY_INITIAL);
};

const referenceCount: ShardHandler = ({ view, reply }, args) => {
  const row = view.peek(args.text(2));
  if (row === undefined) return reply.nil();
  reply.integer(referenceCountOf(row));
};

/** The reference count that Redis would have. */
export function referenceCountOf(row: Row): number {
  const value = encodingOf(row) === 'int' ? Number(valueText(row.value)) : -1;
  return value >= 0 && value < SHARED_INTEGERS ? SHARED_REFERENCE_COUNT : 1;
}

function isLfu(policy: string): boolean {
  return policy.endsWith('-lfu');
}

const HELP_LINES = [
  'OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
  'ENCODING <key>',
  '    The name Redis has for the form in which it would keep the value of <key>.',
  'FREQ <key>',
  '    How often <key> is accessed, on the logarithmic scale of LFU policies.',
  'IDLETIME <key>',
  '    Seconds since <key> was last read or written.',
  'REFCOUNT <key>',
  '    How many references Redis would hold to the value of <key>.',
  'HELP',
  '    These lines.',
];

const help: ShardHandler = ({ reply }) => {
  reply.array(HELP_LINES.length);
  for (const line of HELP_LINES) reply.simple(line);
};

const SUBCOMMAND_KEY: readonly KeySpecification[] = [{ first: 2, last: 2, step: 1, flags: ['RO'] }];

function aboutKey(name: string, since: string, summary: string, run: ShardHandler): CommandDefinition {
  return {
    name: `object|${name}`,
    arity: 3,
    flags: ['readonly'],
    keys: SUBCOMMAND_KEY,
    group: 'generic',
    since,
    summary,
    complexity: 'O(1)',
    syntax: 'key',
    tips: ['nondeterministic_output'],
    runs: 'shard',
    run,
  };
}

export const objectCommands: readonly CommandDefinition[] = [
  {
    name: 'object',
    arity: -2,
    flags: [],
    keys: [],
    group: 'generic',
    since: '2.2.3',
    summary: 'Tells how a value is kept; see its subcommands',
    complexity: 'That of the subcommand',
    syntax: 'subcommand [argument ...]',
    runs: 'shard',
    subcommands: [
      aboutKey('encoding', '2.2.3', 'Names the form in which Redis would keep a value', encoding),
      aboutKey('freq', '4.0.0', 'Tells how often a key is accessed, under an LFU policy', frequency),
      aboutKey('idletime', '2.2.3', 'Tells how many seconds ago a key was last accessed', idleTime),
      aboutKey(
        'refcount',
        '2.2.3',
        'Tells the reference count Redis would report for a value',
        referenceCount,
      ),
      {
        name: 'object|help',
        arity: 2,
        flags: ['loading', 'stale'],
        keys: [],
        group: 'generic',
        since: '6.2.0',
        summary: 'Lists the subcommands of OBJECT',
        complexity: 'O(1)',
        syntax: '',
        runs: 'shard',
        run: help,
      },
    ],
  },
];
