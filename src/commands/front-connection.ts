import type { CommandDefinition } from './definition.js';

export const connectionCommands: readonly CommandDefinition[] = [
  {
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    keys: [],
    group: 'connection',
    since: '1.0.0',
    summary: 'Replies PONG, or the message.',
    complexity: 'O(1)',
    syntax: '[message]',
    tips: ['request_policy:all_shards', 'response_policy:all_succeeded'],
    runs: 'front',
  },
];
