import type { CommandDefinition } from './definition.js';
import { backupCommands } from './front-backup.js';
import { clusterCommands } from './front-cluster.js';
import { connectionCommands } from './front-connection.js';
import { peerCommands } from './front-peer.js';
import { serverCommands } from './front-server.js';
import { vastoContainer } from './front-vasto.js';

const transactionCommands: readonly CommandDefinition[] = [
  {
    name: 'multi',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: [],
    group: 'transactions',
    since: '1.2.0',
    summary: 'Begins a transaction: commands are queued until EXEC.',
    complexity: 'O(1)',
    syntax: '',
    runs: 'front',
  },
  {
    name: 'exec',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'skip_slowlog'],
    keys: [],
    group: 'transactions',
    since: '1.2.0',
    summary: 'Runs the queued commands, all or nothing, with none of another client between them.',
    complexity: 'That of the commands',
    syntax: '',
    runs: 'front',
  },
  {
    name: 'discard',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: [],
    group: 'transactions',
    since: '2.0.0',
    summary: 'Forgets the queued commands and the watched keys.',
    complexity: 'O(N) with N queued commands',
    syntax: '',
    runs: 'front',
  },
  {
    name: 'unwatch',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: [],
    group: 'transactions',
    since: '2.2.0',
    summary: 'Forgets the watched keys.',
    complexity: 'O(1)',
    syntax: '',
    runs: 'front',
  },
];

/** Every command that runs on the thread of the connections. */
export const frontCommands: readonly CommandDefinition[] = [
  ...connectionCommands,
  ...transactionCommands,
  ...serverCommands,
  ...clusterCommands,
  vastoContainer,
  ...peerCommands,
  ...backupCommands,
];
