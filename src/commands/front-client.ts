import type { CommandDefinition, CommandFlag } from './definition.js';

type Rest = Partial<Pick<CommandDefinition, 'arity' | 'flags' | 'tips' | 'complexity' | 'syntax'>>;

const FLAGS: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];
const ADMIN_FLAGS: readonly CommandFlag[] = ['admin', ...FLAGS];

/** A subcommand with what most of them have: no arguments, and nothing that concerns other connections. */
function client(name: string, since: string, summary: string, rest: Rest = {}): CommandDefinition {
  return {
    name: `client|${name}`,
    arity: 2,
    flags: FLAGS,
    keys: [],
    group: 'connection',
    since,
    summary,
    complexity: 'O(1)',
    syntax: '',
    ...rest,
    runs: 'front',
  };
}

/** CLIENT: what a connection says of itself, and what an operator does with the others. */
export const clientCommand: CommandDefinition = {
  name: 'client',
  arity: -2,
  flags: [],
  keys: [],
  group: 'connection',
  since: '2.4.0',
  summary: 'Tells of connections, and changes them; see its subcommands.',
  complexity: 'That of the subcommand',
  syntax: 'subcommand [argument ...]',
  runs: 'front',
  subcommands: [
    client('caching', '6.0.0', 'Of client-side caching, which is not available: always an error.', {
      arity: 3,
      syntax: 'YES | NO',
    }),
    client('getname', '2.6.9', 'Tells the name of this connection.'),
    client('getredir', '6.0.0', 'Tells where invalidations go: always -1, none are sent.'),
    client('help', '5.0.0', 'Lists the subcommands of CLIENT.', { flags: ['loading', 'stale'] }),
    client('id', '5.0.0', 'Tells the number of this connection; later ones have higher numbers.'),
    client('info', '6.2.0', 'Tells of this connection what CLIENT LIST tells of all.', {
      tips: ['nondeterministic_output'],
    }),
    client('kill', '2.4.0', 'Ends the connections that match all filters.', {
      arity: -3,
      flags: ADMIN_FLAGS,
      complexity: 'O(N) for N connections',
      syntax:
        'ip:port | ([ID client-id] [TYPE (NORMAL | MASTER | SLAVE | REPLICA | PUBSUB)] [USER username] ' +
        '[ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]) ...',
    }),
    client('list', '2.4.0', 'Tells of the connections, one a line.', {
      arity: -2,
      flags: ADMIN_FLAGS,
      complexity: 'O(N) for N connections',
      syntax: '[TYPE (NORMAL | MASTER | REPLICA | PUBSUB)] [ID client-id [client-id ...]]',
      tips: ['nondeterministic_output'],
    }),
    client('no-evict', '7.0.0', 'Marks this connection; there is nothing it would be evicted for.', {
      arity: 3,
      flags: ADMIN_FLAGS,
      syntax: 'ON | OFF',
    }),
    client('no-touch', '7.2.0', 'Has reads of this connection leave the access times of keys alone.', {
      arity: 3,
      syntax: 'ON | OFF',
    }),
    client('pause', '2.9.50', 'Holds back all commands, or those that write, for so many milliseconds.', {
      arity: -3,
      flags: ADMIN_FLAGS,
      syntax: 'timeout [WRITE | ALL]',
    }),
    client('reply', '3.2.0', 'Says whether this connection wants replies; SKIP drops the next one.', {
      arity: 3,
      syntax: 'ON | OFF | SKIP',
    }),
    client('setinfo', '7.2.0', 'Names the library that made this connection, or its version.', {
      arity: 4,
      syntax: 'LIB-NAME libname | LIB-VER libver',
      tips: ['request_policy:all_nodes', 'response_policy:all_succeeded'],
    }),
    client('setname', '2.6.9', 'Gives this connection a name, or takes it away when it is empty.', {
      arity: 3,
      syntax: 'connection-name',
    }),
    client('tracking', '6.0.0', 'Switches client-side caching off; on is not available.', {
      arity: -3,
      syntax:
        '(ON | OFF) [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
    }),
    client('trackinginfo', '6.2.0', 'Tells that client-side caching is off.'),
    client(
      'unblock',
      '5.0.0',
      'Ends the wait of a blocked connection, as if its time were up or with an error.',
      {
        arity: -3,
        flags: ADMIN_FLAGS,
        complexity: 'O(log N) for N connections',
        syntax: 'client-id [TIMEOUT | ERROR]',
      },
    ),
    client('unpause', '6.2.0', 'Ends CLIENT PAUSE.', {
      flags: ADMIN_FLAGS,
      complexity: 'O(N) for N connections that wait',
    }),
  ],
};
