import type { CommandDefinition, CommandFlag } from './definition.js';

type Rest = Partial<Pick<CommandDefinition, 'arity' | 'tips' | 'complexity' | 'syntax' | 'since' | 'flags'>>;

const TELLS: readonly CommandFlag[] = ['stale'];
const OPERATES: readonly CommandFlag[] = ['admin', 'stale'];
const CHANGES: readonly CommandFlag[] = ['admin', 'stale', 'no_async_loading'];
const UNSTEADY = ['nondeterministic_output'];

function sub(
  name: string,
  arity: number,
  flags: readonly CommandFlag[],
  summary: string,
  rest: Rest = {},
): CommandDefinition {
  return {
    name: `cluster|${name}`,
    arity,
    flags,
    keys: [],
    group: 'cluster',
    since: '3.0.0',
    summary,
    complexity: 'O(1)',
    syntax: '',
    ...rest,
    runs: 'front',
  };
}

/** Subcommands that tell what a cluster door shows. */
const TELLING: readonly CommandDefinition[] = [
  sub('count-failure-reports', 3, OPERATES, 'Counts nodes that report a node as failed.', {
    complexity: 'O(N) for N nodes',
    syntax: 'node-id',
    tips: UNSTEADY,
  }),
  sub('countkeysinslot', 3, TELLS, 'Counts the keys of a slot.', {
    complexity: 'O(N) for N keys of the shard that the slot is part of',
    syntax: 'slot',
  }),
  sub('getkeysinslot', 4, TELLS, 'Lists keys of a slot.', {
    complexity: 'O(N) for N keys of the shard that the slot is part of',
    syntax: 'slot count',
    tips: UNSTEADY,
  }),
  sub('help', 2, ['loading', 'stale'], 'Lists the subcommands of CLUSTER.', { since: '5.0.0' }),
  sub('info', 2, TELLS, 'Tells whether all slots are served, and by how many nodes.', { tips: UNSTEADY }),
  sub('keyslot', 3, TELLS, 'Tells the slot of a key.', {
    complexity: 'O(N) for N bytes of the key',
    syntax: 'key',
  }),
  sub('links', 2, TELLS, 'Lists the connections between this node and others.', {
    since: '7.0.0',
    complexity: 'O(N) for N connections',
    tips: UNSTEADY,
  }),
  sub('myid', 2, TELLS, 'Tells the id of the node.'),
  sub('nodes', 2, TELLS, 'Lists the nodes and their slots, as text.', {
    complexity: 'O(N) for N ranges of slots',
    tips: UNSTEADY,
  }),
  sub('replicas', 3, OPERATES, 'Lists the replicas of a node.', {
    since: '5.0.0',
    syntax: 'node-id',
    tips: UNSTEADY,
  }),
  sub('shards', 2, TELLS, 'Lists the nodes by the slots that they hold together.', {
    since: '7.0.0',
    complexity: 'O(N) for N ranges of slots',
    tips: UNSTEADY,
  }),
  sub('slaves', 3, OPERATES, 'Lists the replicas of a node, under the older name.', {
    syntax: 'node-id',
    tips: UNSTEADY,
  }),
  sub('slots', 2, TELLS, 'Lists ranges of slots, and the nodes that hold each.', {
    complexity: 'O(N) for N ranges of slots',
    tips: UNSTEADY,
  }),
];

/** Subcommands that make a Redis cluster what it is; keyspaces are made otherwise. */
const CHANGING: readonly CommandDefinition[] = [
  sub('addslots', -3, CHANGES, 'Gives slots to a node.', { syntax: 'slot [slot ...]' }),
  sub('addslotsrange', -4, CHANGES, 'Gives ranges of slots to a node.', {
    since: '7.0.0',
    syntax: 'start-slot end-slot [start-slot end-slot ...]',
  }),
  sub('bumpepoch', 2, CHANGES, 'Makes the epoch later.', { tips: UNSTEADY }),
  sub('delslots', -3, CHANGES, 'Takes slots from a node.', { syntax: 'slot [slot ...]' }),
  sub('delslotsrange', -4, CHANGES, 'Takes ranges of slots from a node.', {
    since: '7.0.0',
    syntax: 'start-slot end-slot [start-slot end-slot ...]',
  }),
  sub('failover', -2, CHANGES, 'Makes a replica the master.', { syntax: '[FORCE | TAKEOVER]' }),
  sub('flushslots', 2, CHANGES, 'Takes all slots from a node.'),
  sub('forget', 3, CHANGES, 'Removes a node.', { syntax: 'node-id' }),
  sub('meet', -4, CHANGES, 'Adds a node.', { syntax: 'ip port [cluster-bus-port]' }),
  sub('replicate', 3, CHANGES, 'Makes a node the replica of another.', { syntax: 'node-id' }),
  sub('reset', -2, ['admin', 'noscript', 'stale'], 'Takes a node out of its cluster.', {
    syntax: '[HARD | SOFT]',
  }),
  sub('saveconfig', 2, CHANGES, 'Has the node write what it knows of the cluster to disk.'),
  sub('set-config-epoch', 3, CHANGES, 'Sets the epoch of a new node.', { syntax: 'config-epoch' }),
  sub('setslot', -4, CHANGES, 'Begins or ends the move of a slot.', {
    syntax: 'slot (IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE)',
  }),
];

function ofConnection(name: string, flags: readonly CommandFlag[], summary: string): CommandDefinition {
  return {
    name,
    arity: 1,
    flags,
    keys: [],
    group: 'cluster',
    since: '3.0.0',
    summary,
    complexity: 'O(1)',
    syntax: '',
    categories: ['connection'],
    runs: 'front',
  };
}

/** The Redis Cluster protocol, which cluster doors speak. */
export const clusterCommands: readonly CommandDefinition[] = [
  {
    name: 'cluster',
    arity: -2,
    flags: [],
    keys: [],
    group: 'cluster',
    since: '3.0.0',
    summary: 'Tells cluster clients which node has which slots of the keyspace; see its subcommands.',
    complexity: 'That of the subcommand',
    syntax: 'subcommand [argument ...]',
    runs: 'front',
    subcommands: [...TELLING, ...CHANGING],
  },
  ofConnection('asking', ['fast'], 'Lets the next command at a slot that is on its way to this node.'),
  ofConnection(
    'readonly',
    ['loading', 'stale', 'fast'],
    'Lets commands that only read at copies that this node has.',
  ),
  ofConnection('readwrite', ['loading', 'stale', 'fast'], 'Ends READONLY.'),
];
