import type { CommandDefinition, CommandFlag } from './definition.js';

type Own = Omit<CommandDefinition, 'keys' | 'group' | 'runs' | 'since'>;

function own(definition: Own): CommandDefinition {
  return { keys: [], group: 'vasto', since: '0.1.0', runs: 'front', ...definition };
}

const ASKS: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];
/** Changes of the cluster are no part of a transaction. */
const CHANGES: readonly CommandFlag[] = ['admin', 'noscript', 'no_multi'];

/** VASTO: the keyspaces of the cluster, and the stores that hold them. */
export const vastoContainer: CommandDefinition = own({
  name: 'vasto',
  arity: -2,
  flags: [],
  summary: 'Manages the keyspaces of the cluster; see its subcommands',
  complexity: 'That of the subcommand',
  syntax: 'subcommand [argument ...]',
  subcommands: [
    own({
      name: 'vasto|keyspace',
      arity: -3,
      flags: CHANGES,
      summary:
        'Makes, deletes, lists, describes or compacts keyspaces. A keyspace that is made has 1 shard in 1 copy unless ' +
        'told otherwise, on stores with all of the tags; DB gives it a number by which SELECT reaches it, too',
      complexity: 'O(N) with N shards',
      syntax:
        'CREATE name [SHARDS count] [REPLICAS count] [TAGS tag [tag ...]] [DB number] | DELETE name | LIST | DESCRIBE name | COMPACT name',
    }),
    own({
      name: 'vasto|topology',
      arity: 2,
      flags: ASKS,
      summary: 'Tells which stores and keyspaces the cluster has, as this node knows it',
      complexity: 'O(N) with N shards',
      syntax: '',
    }),
    own({
      name: 'vasto|stores',
      arity: 2,
      flags: ASKS,
      summary: 'Tells what the master knows of each store: whether it lives, its space, its shards',
      complexity: 'O(N) with N stores',
      syntax: '',
    }),
    own({
      name: 'vasto|help',
      arity: 2,
      flags: ['loading', 'stale'],
      summary: 'Lists the subcommands of VASTO',
      complexity: 'O(1)',
      syntax: '',
    }),
  ],
});
