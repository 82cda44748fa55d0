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
        'Makes, deletes, lists, describes, compacts or changes keyspaces. A keyspace that is made has 1 shard in 1 copy unless ' +
        'told otherwise, on stores with all of the tags; DB gives it a number by which SELECT reaches it, too. RESIZE, REPLICAS and MOVE begin a change that goes on by itself, see VASTO TASKS, and ' +
        'tell what goes where; ABORT gives it up',
      complexity: 'O(N) with N shards',
      syntax:
        'CREATE name [SHARDS count] [REPLICAS count] [TAGS tag [tag ...]] [DB number] | DELETE name | LIST | DESCRIBE name | COMPACT name | RESIZE name shards | REPLICAS name copies | MOVE name shard from-store to-store | ABORT name',
    }),
    own({
      name: 'vasto|store',
      arity: -4,
      flags: CHANGES,
      summary:
        'Begins to give all that a store has to another one, or to whoever is best; the store may be dead where there ' +
        'are other copies. Stores are named by id, by the beginning of it, or as host:port',
      complexity: 'O(N) with N shards',
      syntax: 'REPLACE store [by-store] | DRAIN store | UNDRAIN store',
    }),
    own({
      name: 'vasto|rebalance',
      arity: 2,
      flags: CHANGES,
      summary:
        'Begins to spread the shards of all keyspaces evenly over the stores, with as few moves as that takes',
      complexity: 'O(N) with N shards',
      syntax: '',
    }),
    own({
      name: 'vasto|tasks',
      arity: 2,
      flags: ASKS,
      summary:
        'Tells which changes of keyspaces are going on, how far they have come, and what they wait for',
      complexity: 'O(N) with N shards',
      syntax: '',
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
