import type { CommandDefinition, CommandFlag } from './definition.js';

/** What the definitions of this file have in common; each says what differs. */
function server(
  definition: Omit<CommandDefinition, 'keys' | 'group' | 'runs'> & Partial<Pick<CommandDefinition, 'group'>>,
): CommandDefinition {
  return { keys: [], group: 'server', runs: 'front', ...definition };
}

const ADMIN: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];
const HARMLESS: readonly CommandFlag[] = ['loading', 'stale'];
const ON_EVERY_NODE = ['request_policy:all_nodes', 'response_policy:all_succeeded'];
const ON_EVERY_SHARD = ['request_policy:all_shards', 'response_policy:all_succeeded'];
/** A report of each node or shard, to be put together by whoever asks them all. */
const REPORT_OF_NODES = ['nondeterministic_output', 'request_policy:all_nodes', 'response_policy:special'];
const REPORT_OF_SHARDS = ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special'];

function container(name: string, since: string, summary: string, subcommands: CommandDefinition[]) {
  return server({
    name,
    arity: -2,
    flags: [],
    since,
    summary,
    complexity: 'That of the subcommand',
    syntax: 'subcommand [argument ...]',
    subcommands,
  });
}

function help(command: string, since: string): CommandDefinition {
  return server({
    name: `${command}|help`,
    arity: 2,
    flags: HARMLESS,
    since,
    summary: `Lists the subcommands of ${command.toUpperCase()}`,
    complexity: 'O(1)',
    syntax: '',
  });
}

const config = container('config', '2.0.0', 'Reads and changes the configuration; see its subcommands', [
  server({
    name: 'config|get',
    arity: -3,
    flags: ADMIN,
    since: '2.0.0',
    summary: 'Tells the directives whose names match a pattern, with their values',
    complexity: 'O(N) with N directives that match',
    syntax: 'pattern [pattern ...]',
  }),
  server({
    name: 'config|set',
    arity: -4,
    flags: ADMIN,
    since: '2.0.0',
    summary: 'Gives directives other values: all of them, or none if one cannot be had',
    complexity: 'O(N) with N directives',
    syntax: 'directive value [directive value ...]',
    tips: ON_EVERY_NODE,
  }),
  server({
    name: 'config|resetstat',
    arity: 2,
    flags: ADMIN,
    since: '2.0.0',
    summary: 'Sets the counters that INFO shows to zero',
    complexity: 'O(1)',
    syntax: '',
  }),
  server({
    name: 'config|rewrite',
    arity: 2,
    flags: ADMIN,
    since: '2.8.0',
    summary: 'Brings the configuration file up to date with what is in force',
    complexity: 'O(N) with N lines of the file',
    syntax: '',
  }),
  help('config', '5.0.0'),
]);

const slowlog = container('slowlog', '2.2.12', 'Shows the commands that took long; see its subcommands', [
  server({
    name: 'slowlog|get',
    arity: -2,
    flags: ['admin', 'loading', 'stale'],
    since: '2.2.12',
    summary: 'Lists slow commands, newest first: 10, or COUNT of them, or with -1 all',
    complexity: 'O(N) with N entries listed',
    syntax: '[count]',
    tips: ['request_policy:all_nodes', 'nondeterministic_output'],
  }),
  server({
    name: 'slowlog|len',
    arity: 2,
    flags: ['admin', 'loading', 'stale'],
    since: '2.2.12',
    summary: 'Counts the entries of the slow log',
    complexity: 'O(1)',
    syntax: '',
    tips: ['request_policy:all_nodes', 'response_policy:agg_sum', 'nondeterministic_output'],
  }),
  server({
    name: 'slowlog|reset',
    arity: 2,
    flags: ['admin', 'loading', 'stale'],
    since: '2.2.12',
    summary: 'Empties the slow log',
    complexity: 'O(1)',
    syntax: '',
    tips: ON_EVERY_NODE,
  }),
  help('slowlog', '6.2.0'),
]);

const latency = container('latency', '2.8.13', 'Shows what took long, and when; see its subcommands', [
  server({
    name: 'latency|latest',
    arity: 2,
    flags: ADMIN,
    since: '2.8.13',
    summary: 'Tells the last and the worst sample of each kind of event',
    complexity: 'O(1)',
    syntax: '',
    tips: REPORT_OF_NODES,
  }),
  server({
    name: 'latency|history',
    arity: 3,
    flags: ADMIN,
    since: '2.8.13',
    summary: 'Lists the samples of one kind of event, oldest first',
    complexity: 'O(1)',
    syntax: 'event',
    tips: REPORT_OF_NODES,
  }),
  server({
    name: 'latency|graph',
    arity: 3,
    flags: ADMIN,
    since: '2.8.13',
    summary: 'Draws the samples of one kind of event',
    complexity: 'O(1)',
    syntax: 'event',
    tips: REPORT_OF_NODES,
  }),
  server({
    name: 'latency|reset',
    arity: -2,
    flags: ADMIN,
    since: '2.8.13',
    summary: 'Forgets the samples of all kinds of events, or of those named; replies how many kinds had any',
    complexity: 'O(1)',
    syntax: '[event [event ...]]',
    tips: ON_EVERY_NODE,
  }),
  server({
    name: 'latency|doctor',
    arity: 2,
    flags: ADMIN,
    since: '2.8.13',
    summary: 'Tells in words what took long and what to do about it',
    complexity: 'O(1)',
    syntax: '',
    tips: REPORT_OF_NODES,
  }),
  server({
    name: 'latency|histogram',
    arity: -2,
    flags: ADMIN,
    since: '7.0.0',
    summary: 'Tells for each command how many calls took at most how many microseconds',
    complexity: 'O(N) with N commands',
    syntax: '[command [command ...]]',
    tips: REPORT_OF_NODES,
  }),
  help('latency', '2.8.13'),
]);

/** MEMORY USAGE concerns a key, and so is with the commands of the shards: see key-inspection.ts. */
export function memoryCommand(usage: CommandDefinition): CommandDefinition {
  return container('memory', '4.0.0', 'Tells what memory is used for; see its subcommands', [
    usage,
    server({
      name: 'memory|stats',
      arity: 2,
      flags: [],
      since: '4.0.0',
      summary: 'Tells what memory is used for, in figures',
      complexity: 'O(N) with N shards',
      syntax: '',
      tips: REPORT_OF_SHARDS,
    }),
    server({
      name: 'memory|doctor',
      arity: 2,
      flags: [],
      since: '4.0.0',
      summary: 'Tells in words whether memory is used well',
      complexity: 'O(N) with N shards',
      syntax: '',
      tips: REPORT_OF_SHARDS,
    }),
    server({
      name: 'memory|malloc-stats',
      arity: 2,
      flags: [],
      since: '4.0.0',
      summary: 'Tells how the JavaScript heap is divided',
      complexity: 'O(1)',
      syntax: '',
      tips: REPORT_OF_SHARDS,
    }),
    server({
      name: 'memory|purge',
      arity: 2,
      flags: [],
      since: '4.0.0',
      summary: 'Has memory that is not needed given back, as far as the runtime allows',
      complexity: 'O(1)',
      syntax: '',
      tips: ON_EVERY_SHARD,
    }),
    help('memory', '4.0.0'),
  ]);
}

const modules = container('module', '4.0.0', 'Tells of modules, of which there are none', [
  server({
    name: 'module|list',
    arity: 2,
    flags: ['admin', 'noscript'],
    since: '4.0.0',
    summary: 'Lists the modules: none',
    complexity: 'O(1)',
    syntax: '',
    tips: ['nondeterministic_output_order'],
  }),
  help('module', '5.0.0'),
]);

const saving: readonly CommandDefinition[] = [
  server({
    name: 'lastsave',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    since: '1.0.0',
    summary: 'Tells the Unix time, in seconds, of the last flush to disk that succeeded',
    complexity: 'O(1)',
    syntax: '',
    categories: ['admin', 'dangerous'],
    tips: ['nondeterministic_output'],
  }),
  server({
    name: 'save',
    arity: 1,
    flags: ['admin', 'noscript', 'no_async_loading', 'no_multi'],
    since: '1.0.0',
    summary: 'Has everything written so far survive the death of the machine, and replies when it does',
    complexity: 'O(N) with N bytes written since the last flush to disk',
    syntax: '',
  }),
  server({
    name: 'bgsave',
    arity: -1,
    flags: ['admin', 'noscript', 'no_async_loading'],
    since: '1.0.0',
    summary: 'As SAVE, but replies at once',
    complexity: 'O(1)',
    syntax: '[SCHEDULE]',
  }),
  server({
    name: 'bgrewriteaof',
    arity: 1,
    flags: ['admin', 'noscript', 'no_async_loading'],
    since: '1.0.0',
    summary: 'As BGSAVE: the log of writes is kept short by itself',
    complexity: 'O(1)',
    syntax: '',
  }),
];

const databases: readonly CommandDefinition[] = [
  server({
    name: 'flushall',
    arity: -1,
    flags: ['write'],
    since: '1.0.0',
    summary: 'Removes every key of every database, in time that does not depend on their number',
    complexity: 'O(N) with N databases',
    syntax: '[ASYNC | SYNC]',
    categories: ['keyspace', 'dangerous'],
    tips: ON_EVERY_SHARD,
  }),
  server({
    name: 'swapdb',
    arity: 3,
    flags: ['write', 'fast'],
    since: '4.0.0',
    summary: 'Exchanges two databases: each number then means what the other meant, for every client',
    complexity: 'O(N) with N connected clients',
    syntax: 'index1 index2',
    categories: ['keyspace', 'dangerous'],
  }),
];

const node: readonly CommandDefinition[] = [
  server({
    name: 'info',
    arity: -1,
    flags: HARMLESS,
    since: '1.0.0',
    summary: 'Tells about the server and its figures, by section',
    complexity: 'O(N) with N shards',
    syntax: '[section [section ...]]',
    categories: ['dangerous'],
    tips: ['nondeterministic_output', 'request_policy:all_shards', 'response_policy:special'],
  }),
  server({
    name: 'time',
    arity: 1,
    flags: ['loading', 'stale', 'fast'],
    since: '2.6.0',
    summary: 'Tells the time: Unix seconds, and microseconds of the second',
    complexity: 'O(1)',
    syntax: '',
    tips: ['nondeterministic_output'],
  }),
  server({
    name: 'role',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast'],
    since: '2.8.12',
    summary: 'Tells the part this node plays in replication, and who follows it',
    complexity: 'O(1)',
    syntax: '',
    categories: ['admin', 'dangerous'],
  }),
  server({
    name: 'wait',
    arity: 3,
    flags: ['noscript'],
    group: 'generic',
    since: '3.0.0',
    summary: 'Waits until so many replicas have the writes of this connection, or the time is over',
    complexity: 'O(1)',
    syntax: 'numreplicas timeout',
    tips: ['request_policy:all_shards', 'response_policy:agg_min'],
  }),
  server({
    name: 'shutdown',
    arity: -1,
    flags: ['admin', 'noscript', 'loading', 'stale', 'no_multi', 'allow_busy'],
    since: '1.0.0',
    summary: 'Ends the server, with all data on disk',
    complexity: 'O(N) with N bytes written since the last flush to disk',
    syntax: '[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]',
  }),
  server({
    name: 'lolwut',
    arity: -1,
    flags: ['readonly', 'fast'],
    since: '5.0.0',
    summary: 'Draws a picture, and tells the version',
    complexity: 'O(N) with N characters of the picture',
    syntax: '[VERSION version]',
  }),
  server({
    name: 'debug',
    arity: -2,
    flags: ADMIN,
    since: '1.0.0',
    summary: 'For tests of the server; to be enabled with the directive enable-debug-command',
    complexity: 'That of the subcommand',
    syntax: 'subcommand [argument ...]',
  }),
];

/** Commands about the server itself, which the front runs. MEMORY is among the commands of key-inspection.ts. */
export const serverCommands: readonly CommandDefinition[] = [
  ...node,
  config,
  ...saving,
  ...databases,
  slowlog,
  latency,
  modules,
];
