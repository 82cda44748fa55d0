import { allKeys, type CommandDefinition } from './definition.js';

/** The part of transactions that shards do: they remember who watches which key. MULTI, EXEC, … are the front's. */
export const transactionShardCommands: readonly CommandDefinition[] = [
  {
    name: 'watch',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: allKeys(1, 'RO'),
    group: 'transactions',
    since: '2.2.0',
    summary: 'Has the next EXEC fail if one of the keys changes before it.',
    complexity: 'O(1) for each key',
    syntax: 'key [key ...]',
    runs: 'shard',
    run(context, args) {
      for (let index = 1; index < args.count; index++) context.watch?.(args.text(index));
      context.reply.ok();
    },
  },
];
