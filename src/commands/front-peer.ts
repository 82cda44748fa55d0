import type { CommandDefinition } from './definition.js';

/** What nodes of a cluster say to each other on the plain door. Clients have no use for it. */
export const peerCommands: readonly CommandDefinition[] = [
  {
    name: 'vasto.peer',
    arity: -3,
    flags: ['admin', 'noscript', 'loading', 'stale', 'fast', 'no_auth', 'no_multi'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Makes the connection that of another node, which forwards commands of its clients to a keyspace; for nodes only',
    complexity: 'O(1)',
    syntax: 'cluster-id keyspace-id [SECRET secret] [STORE store-id]',
    runs: 'front',
  },
  {
    name: 'vasto.on',
    arity: -3,
    flags: ['admin', 'noscript', 'no_multi'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary: 'Runs a command on one shard of the keyspace, whichever slots its keys have; for nodes only',
    complexity: 'That of the command',
    syntax: 'shard command [argument ...]',
    runs: 'front',
  },
  {
    name: 'vasto.counts',
    arity: 1,
    flags: ['admin', 'noscript', 'no_multi'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Tells of each shard of the keyspace that is here its number, keys, keys that expire, and their average time to live; for nodes only',
    complexity: 'O(N) with N shards',
    syntax: '',
    runs: 'front',
  },
];
