import type { CommandDefinition } from './definition.js';

type Rest = Partial<Pick<CommandDefinition, 'arity' | 'tips' | 'complexity' | 'syntax'>>;

const ANY_ORDER = ['nondeterministic_output_order'];

function command(name: string, since: string, summary: string, rest: Rest = {}): CommandDefinition {
  return {
    name: `command|${name}`,
    arity: -2,
    flags: ['loading', 'stale'],
    keys: [],
    group: 'server',
    since,
    summary,
    complexity: 'O(N) for N commands to tell of',
    syntax: '',
    categories: ['connection'],
    ...rest,
    runs: 'front',
  };
}

/** COMMAND: what the server says of its commands, all of it derived from their definitions. */
export const commandCommand: CommandDefinition = {
  name: 'command',
  arity: -1,
  flags: ['loading', 'stale'],
  keys: [],
  group: 'server',
  since: '2.8.13',
  summary: 'Tells of every command its arity, flags, keys and categories.',
  complexity: 'O(N) for N commands',
  syntax: '[subcommand [argument ...]]',
  categories: ['connection'],
  tips: ANY_ORDER,
  runs: 'front',
  subcommands: [
    command('count', '2.8.13', 'Tells how many commands there are, subcommands aside.', {
      arity: 2,
      complexity: 'O(1)',
    }),
    command('docs', '7.0.0', 'Tells what commands are for, and which arguments they take.', {
      syntax: '[command-name [command-name ...]]',
      tips: ANY_ORDER,
    }),
    command('getkeys', '2.8.13', 'Picks the keys out of a whole command.', {
      arity: -4,
      complexity: 'O(N) for N arguments',
      syntax: 'command [arg ...]',
    }),
    command('getkeysandflags', '7.0.0', 'Picks the keys out of a whole command, with what it does to each.', {
      arity: -4,
      complexity: 'O(N) for N arguments',
      syntax: 'command [arg ...]',
    }),
    command('help', '5.0.0', 'Lists the subcommands of COMMAND.', { arity: 2, complexity: 'O(1)' }),
    command('info', '2.8.13', 'Tells of the named commands what COMMAND tells of all.', {
      syntax: '[command-name [command-name ...]]',
      tips: ANY_ORDER,
    }),
    command('list', '7.0.0', 'Names the commands, or those of a category or a pattern.', {
      syntax: '[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]',
      tips: ANY_ORDER,
    }),
  ],
};
