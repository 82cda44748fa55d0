import { type CommandDefinition, type KeyFlag, type KeySpecification, oneKey } from './definition.js';
import {
  acknowledge,
  createConsumer,
  createGroup,
  deleteConsumer,
  destroyGroup,
  groupHelp,
  setGroupId,
} from './stream-groups.js';
import { infoHelp, showConsumers, showGroups, showStream } from './stream-info.js';
import { autoclaim, claim, pending } from './stream-pending.js';

/** What the definitions of commands of consumer groups have in common is added below. */
type GroupDefinition = Omit<CommandDefinition, 'group' | 'runs' | 'subcommands'> & {
  readonly subcommands?: readonly Omit<CommandDefinition, 'group' | 'runs'>[];
};

function keyOfSubcommand(...flags: KeyFlag[]): readonly KeySpecification[] {
  return [{ first: 2, last: 2, step: 1, flags }];
}

const XGROUP: GroupDefinition = {
  name: 'xgroup',
  arity: -2,
  flags: [],
  keys: [],
  since: '5.0.0',
  summary: 'Makes and changes consumer groups; see its subcommands',
  complexity: 'That of the subcommand',
  syntax: 'subcommand [argument ...]',
  subcommands: [
    {
      name: 'xgroup|create',
      arity: -5,
      flags: ['write', 'denyoom'],
      keys: keyOfSubcommand('RW', 'insert'),
      since: '5.0.0',
      summary: 'Makes a consumer group',
      complexity: 'O(1)',
      syntax: 'key group (id | $) [MKSTREAM] [ENTRIESREAD entries-read]',
      run: createGroup,
    },
    {
      name: 'xgroup|createconsumer',
      arity: 5,
      flags: ['write', 'denyoom'],
      keys: keyOfSubcommand('RW', 'insert'),
      since: '6.2.0',
      summary: 'Makes a consumer of a group; replies whether it is new',
      complexity: 'O(1)',
      syntax: 'key group consumer',
      run: createConsumer,
    },
    {
      name: 'xgroup|delconsumer',
      arity: 5,
      flags: ['write'],
      keys: keyOfSubcommand('RW', 'delete'),
      since: '5.0.0',
      summary: 'Removes a consumer; replies how many entries were pending for it',
      complexity: 'O(M log N) for M entries pending for it',
      syntax: 'key group consumer',
      run: deleteConsumer,
    },
    {
      name: 'xgroup|destroy',
      arity: 4,
      flags: ['write'],
      keys: keyOfSubcommand('RW', 'delete'),
      since: '5.0.0',
      summary: 'Removes a consumer group; replies whether it was there',
      complexity: 'O(M) for M entries pending for it',
      syntax: 'key group',
      run: destroyGroup,
    },
    {
      name: 'xgroup|help',
      arity: 2,
      flags: ['loading', 'stale'],
      keys: [],
      since: '5.0.0',
      summary: 'Lists the subcommands of XGROUP',
      complexity: 'O(1)',
      syntax: '',
      run: groupHelp,
    },
    {
      name: 'xgroup|setid',
      arity: -5,
      flags: ['write'],
      keys: keyOfSubcommand('RW', 'update'),
      since: '5.0.0',
      summary: 'Sets the id behind which a group gets entries',
      complexity: 'O(1)',
      syntax: 'key group (id | $) [ENTRIESREAD entries-read]',
      run: setGroupId,
    },
  ],
};

const XINFO: GroupDefinition = {
  name: 'xinfo',
  arity: -2,
  flags: [],
  keys: [],
  since: '5.0.0',
  summary: 'Tells of streams and consumer groups; see its subcommands',
  complexity: 'That of the subcommand',
  syntax: 'subcommand [argument ...]',
  subcommands: [
    {
      name: 'xinfo|consumers',
      arity: 4,
      flags: ['readonly'],
      keys: keyOfSubcommand('RO', 'access'),
      since: '5.0.0',
      summary: 'Lists the consumers of a group',
      complexity: 'O(M log N) for M consumers',
      syntax: 'key group',
      tips: ['nondeterministic_output'],
      run: showConsumers,
    },
    {
      name: 'xinfo|help',
      arity: 2,
      flags: ['loading', 'stale'],
      keys: [],
      since: '5.0.0',
      summary: 'Lists the subcommands of XINFO',
      complexity: 'O(1)',
      syntax: '',
      run: infoHelp,
    },
    {
      name: 'xinfo|stream',
      arity: -3,
      flags: ['readonly'],
      keys: keyOfSubcommand('RO', 'access'),
      since: '5.0.0',
      summary: 'Tells what a stream is like',
      complexity: 'O(log N); with FULL, O(M) for what it shows',
      syntax: 'key [FULL [COUNT count]]',
      run: showStream,
    },
    {
      name: 'xinfo|groups',
      arity: 3,
      flags: ['readonly'],
      keys: keyOfSubcommand('RO', 'access'),
      since: '5.0.0',
      summary: 'Lists the consumer groups of a stream',
      complexity: 'O(M log N) for M groups',
      syntax: 'key',
      run: showGroups,
    },
  ],
};

const PENDING_COMMANDS: readonly GroupDefinition[] = [
  {
    name: 'xack',
    arity: -4,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'update'),
    since: '5.0.0',
    summary: 'Has entries be pending no more; replies how many were',
    complexity: 'O(M log N) for M ids',
    syntax: 'key group id [id ...]',
    run: acknowledge,
  },
  {
    name: 'xclaim',
    arity: -6,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'update'),
    since: '5.0.0',
    summary: 'Has entries that are pending be so for another consumer',
    complexity: 'O(M log N) for M ids',
    syntax:
      'key group consumer min-idle-time id [id ...] [IDLE milliseconds] [TIME unix-time-milliseconds] ' +
      '[RETRYCOUNT count] [FORCE] [JUSTID] [LASTID last-id]',
    tips: ['nondeterministic_output'],
    run: claim,
  },
  {
    name: 'xautoclaim',
    arity: -6,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'delete'),
    since: '6.2.0',
    summary: 'Claims what has been pending for long',
    complexity: 'O(M log N) for M entries that are looked at',
    syntax: 'key group consumer min-idle-time start [COUNT count] [JUSTID]',
    tips: ['nondeterministic_output'],
    run: autoclaim,
  },
  {
    name: 'xpending',
    arity: -3,
    flags: ['readonly'],
    keys: oneKey('RO', 'access'),
    since: '5.0.0',
    summary: 'Tells what is pending for a group or a consumer',
    complexity: 'O(log N + M) for M entries that are looked at',
    syntax: 'key group [[IDLE min-idle-time] start end count [consumer]]',
    tips: ['nondeterministic_output'],
    run: pending,
  },
];

export const streamGroupCommands: readonly CommandDefinition[] = [XGROUP, XINFO, ...PENDING_COMMANDS].map(
  ({ subcommands, ...command }): CommandDefinition => {
    const common = { group: 'stream', runs: 'shard' } as const;
    if (subcommands === undefined) return { ...command, ...common };
    return {
      ...command,
      ...common,
      subcommands: subcommands.map((subcommand) => ({ ...subcommand, ...common })),
    };
  },
);
