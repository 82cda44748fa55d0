import type { CommandDefinition } from './definition.js';

/** What `vasto admin backup` and `restore` say to stores. Clients have no use for it. */
export const backupCommands: readonly CommandDefinition[] = [
  {
    name: 'vasto.snapshot',
    arity: -4,
    flags: ['admin', 'noscript', 'no_multi'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Reads a shard of this store as it was at one moment, part by part; for vasto admin backup. The snapshot ends with ' +
      'its last part, or when no part was asked for in a minute',
    complexity: 'O(N) with N rows read',
    syntax: 'OPEN keyspace-id shard | READ keyspace-id shard snapshot | CLOSE keyspace-id shard snapshot',
    runs: 'front',
  },
  {
    name: 'vasto.restore',
    arity: -4,
    flags: ['write', 'admin', 'noscript', 'no_multi'],
    keys: [],
    group: 'vasto',
    since: '0.1.0',
    summary:
      'Merges rows of a backup into a shard of this store, or tells how that is; for vasto admin restore. Of two states ' +
      'of a key the later one counts; other copies of the shard are not told',
    complexity: 'O(N log M) with N rows, M that there are',
    syntax: 'STATE keyspace-id shard | ROWS keyspace-id shard shards restore rows [rows ...]',
    runs: 'front',
  },
];
