import { type CommandDefinition, type KeySpecification, oneKey } from './definition.js';
import { range, read, readGroup, reverseRange } from './stream-reads.js';
import { addEntry, countEntries, deleteEntries, setLastId, trimEntries } from './streams.js';

/** What the definitions of stream commands have in common is added below. */
type StreamDefinition = Omit<CommandDefinition, 'group' | 'runs'>;

/** The keys of XREAD and XREADGROUP, whose options begin at argument `first`. */
function keysBehindStreams(first: number): readonly KeySpecification[] {
  return [{ first, last: -1, step: 1, flags: ['RO', 'access'], keyword: 'STREAMS', halved: true }];
}

const ENTRY_COMMANDS: readonly StreamDefinition[] = [
  {
    name: 'xadd',
    arity: -5,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'update'),
    since: '5.0.0',
    summary: 'Adds an entry to a stream; replies its id',
    complexity: 'O(log N) for a stream of N entries, and O(M) for M entries that are trimmed',
    syntax:
      'key [NOMKSTREAM] [(MAXLEN | MINID) [= | ~] threshold [LIMIT count]] (* | id) field value [field value ...]',
    tips: ['nondeterministic_output'],
    run: addEntry,
  },
  {
    name: 'xlen',
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO'),
    since: '5.0.0',
    summary: 'Counts the entries of a stream',
    complexity: 'O(1)',
    syntax: 'key',
    run: countEntries,
  },
  {
    name: 'xdel',
    arity: -3,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'delete'),
    since: '5.0.0',
    summary: 'Deletes entries; replies how many were there',
    complexity: 'O(M log N) for M ids and a stream of N entries',
    syntax: 'key id [id ...]',
    run: deleteEntries,
  },
  {
    name: 'xtrim',
    arity: -4,
    flags: ['write'],
    keys: oneKey('RW', 'delete'),
    since: '5.0.0',
    summary: 'Removes the oldest entries; replies how many',
    complexity: 'O(M) for M entries that are removed',
    syntax: 'key (MAXLEN | MINID) [= | ~] threshold [LIMIT count]',
    tips: ['nondeterministic_output'],
    run: trimEntries,
  },
  {
    name: 'xsetid',
    arity: -3,
    flags: ['write', 'denyoom', 'fast'],
    keys: oneKey('RW', 'update'),
    since: '5.0.0',
    summary: 'Sets what a stream takes for its last id',
    complexity: 'O(1)',
    syntax: 'key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]',
    run: setLastId,
  },
];

const READ_COMMANDS: readonly StreamDefinition[] = [
  {
    name: 'xrange',
    arity: -4,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    since: '5.0.0',
    summary: 'Gets the entries from one id to another',
    complexity: 'O(log N + M) for M entries of a stream of N',
    syntax: 'key start end [COUNT count]',
    run: range,
  },
  {
    name: 'xrevrange',
    arity: -4,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    since: '5.0.0',
    summary: 'Gets the entries from one id to another, the last one first',
    complexity: 'O(log N + M) for M entries of a stream of N',
    syntax: 'key end start [COUNT count]',
    run: reverseRange,
  },
  {
    name: 'xread',
    arity: -4,
    flags: ['readonly', 'blocking'],
    keys: keysBehindStreams(1),
    since: '5.0.0',
    summary: 'Gets the entries of streams behind an id of each',
    complexity: 'O(log N + M) for each stream, of N entries of which M are read',
    syntax: '[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]',
    waits: { timeout: 'BLOCK', instead: 'nilArray' },
    run: read,
  },
  {
    name: 'xreadgroup',
    arity: -7,
    flags: ['write', 'blocking'],
    keys: keysBehindStreams(4),
    since: '5.0.0',
    summary: 'Gives a consumer entries that its group has not had, or those pending for it',
    complexity: 'O(M log N) for each stream, of N entries of which M are read',
    syntax:
      'GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]',
    waits: { timeout: 'BLOCK', instead: 'nilArray' },
    run: readGroup,
  },
];

export const streamCommands: readonly CommandDefinition[] = [...ENTRY_COMMANDS, ...READ_COMMANDS].map(
  (command) => ({ ...command, group: 'stream', runs: 'shard' }),
);
