/** A field of a command that deliberately differs from redis-server 7.0's. `*` stands for every field. */
export interface Difference {
  readonly command: string;
  readonly field: 'name' | 'arity' | 'flags' | 'keys' | 'categories' | 'tips' | 'keySpecifications';
  readonly reason: string;
}

/** Every deliberate difference in the command table. One that is no difference any more fails the test, too. */
export const DIFFERENCES: readonly Difference[] = [
  { command: 'client|setinfo', field: 'name', reason: 'Redis 7.2: clients send it at connect' },
  { command: 'client|no-touch', field: 'name', reason: 'Redis 7.2' },
  ...[
    'hexpire',
    'hpexpire',
    'hexpireat',
    'hpexpireat',
    'httl',
    'hpttl',
    'hexpiretime',
    'hpexpiretime',
    'hpersist',
  ].map((command) => ({ command, field: 'name' as const, reason: 'Redis 7.4: hash fields that expire' })),
  { command: 'zrank', field: 'arity', reason: 'Redis 7.2: WITHSCORE' },
  { command: 'zrevrank', field: 'arity', reason: 'Redis 7.2: WITHSCORE' },
];

/** Commands of our own, which Redis does not have. */
export const OWN_PREFIX = 'vasto';
