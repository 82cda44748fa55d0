// Compares the table, and CONFIG's replies, with a real redis-server where there is one.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { DIRECTIVE_BY_NAME, directiveOf } from '../../../src/base/directives.js';

const present = spawnSync('redis-server', ['--version']).status === 0;

/** Names that only Vasto, or only a later Redis, has. */
const NOT_IN_REDIS = [
  'tls-check-host-names',
  'log-format',
  'cluster-secret',
  'cluster-secret-file',
  'set-max-listpack-entries',
  'set-max-listpack-value',
  'master',
  'master-port',
  'peer-port',
  'migration-rate',
  'cluster-id',
  'zone',
  'tags',
  'failover-after-ms',
  'cluster-announce-host',
  'metrics-port',
  'workers',
  'batch-bytes-max',
  'scan-cursor-timeout-seconds',
  'event-time-drift-max-ms',
  'tombstone-retention-seconds',
  'feed-log-bytes-max',
  'feed-clock-drift-max-ms',
];

/** Defaults that differ on purpose, or that the test itself gives to redis-server. */
const OTHER_DEFAULT = ['bind', 'dir', 'appendonly', 'port', 'unixsocket', 'save'];

/** Redis gives the port of its cluster bus that name, which there is none of here. */
const OTHER_MEANING = ['cluster-port'];

/** Fixed in Vasto because sockets are opened once. */
const FIXED_HERE_ONLY = ['bind', 'port', 'tls-port', 'tls-cluster', 'tls-replication'];

type Pairs = [string, string][];

/** Sets of pairs of which the reply, and the values afterwards, are Redis's. */
const SETTINGS: Pairs[] = [
  [['foo', 'bar']],
  [
    ['foo', 'bar'],
    ['baz', 'qux'],
  ],
  [
    ['hz', 'x'],
    ['foo', '1'],
  ],
  [
    ['databases', '3'],
    ['foo', '1'],
  ],
  [
    ['foo', '1'],
    ['databases', '3'],
  ],
  [
    ['databases', '3'],
    ['hz', '3'],
    ['hz', '3'],
  ],
  [
    ['hz', '3'],
    ['HZ', '4'],
    ['foo', '3'],
  ],
  [['', 'x']],
  [['hz', 'abc']],
  [['hz', '50']],
  [['hz', '0']],
  [['Hz', '501']],
  [['hz', '010']],
  [['maxmemory', '1x']],
  [['maxmemory', '-1']],
  [['maxmemory', '1tb']],
  [['maxmemory', '1.5gb']],
  [['maxmemory', '1KB']],
  [['maxmemory', '']],
  [['maxmemory', '18446744073709551615']],
  [['maxmemory', '18446744073709551616']],
  [
    ['maxmemory', '1mb'],
    ['hz', '3x'],
  ],
  [
    ['maxmemory', '1mb'],
    ['maxmemory', '2mb'],
  ],
  [
    ['hash-max-ziplist-entries', '1'],
    ['hash-max-listpack-entries', '2'],
  ],
  [['hash-max-listpack-value', '1kb']],
  [['hash-max-listpack-value', '-3']],
  [['hash-max-listpack-entries', '1kb']],
  [['list-max-listpack-size', '99999999999']],
  [['list-max-ziplist-size', '-5']],
  [['stream-node-max-entries', '-1']],
  [['databases', '3']],
  [['tcp-backlog', '3']],
  [['appendonly', 'maybe']],
  [['appendfsync', 'x']],
  [['appendfsync', 'ALWAYS']],
  [['maxmemory-policy', 'x']],
  [['save', '1 2 3']],
  [['save', 'abc']],
  [['save', '60 1000']],
  [['save', '900 1 60 1000']],
  [['save', '0 0']],
  [['save', '60 0']],
  [['save', '60 -1']],
  [['save', ' 60   1 ']],
  [['save', '']],
  [['client-output-buffer-limit', 'normal 1 2']],
  [['client-output-buffer-limit', 'normal 1mb 2mb 60']],
  [['client-output-buffer-limit', 'foo 1mb 2mb 60']],
  [['client-output-buffer-limit', 'normal 1mb 2mb x']],
  [['client-output-buffer-limit', 'normal x 2mb 3']],
  [['client-output-buffer-limit', 'normal -1 2 3']],
  [['client-output-buffer-limit', 'NORMAL 1 2 3 replica 1 2 3 pubsub 0 0 0']],
  [['client-output-buffer-limit', 'slave 4 5 6']],
  [['client-output-buffer-limit', '']],
  [['client-output-buffer-limit', 'normal 0 0 0']],
  [['latency-tracking-info-percentiles', '50 99.9 100']],
  [['latency-tracking-info-percentiles', '50 99.123456789 1e1']],
  [['latency-tracking-info-percentiles', '50 101']],
  [['latency-tracking-info-percentiles', '50 abc']],
  [['latency-tracking-info-percentiles', '']],
  [['proto-max-bulk-len', '1']],
  [['client-query-buffer-limit', '1']],
  [['maxclients', '0']],
  [['slowlog-max-len', '-1']],
  [['slowlog-max-len', '99999999999999']],
  [['slowlog-max-len', '9223372036854775807']],
  [['slowlog-log-slower-than', '-2']],
  [['timeout', '-1']],
  [['timeout', '']],
  [['tcp-keepalive', '2147483648']],
  [['enable-debug-command', 'yes']],
  [['logfile', 'foo']],
  [['protected-mode', 'zzz']],
  [['oom-score-adj', 'zzz']],
  [['auto-aof-rewrite-min-size', '-1']],
  [['active-expire-effort', '11']],
];

const PATTERNS = [
  ['hash-max*'],
  ['Hash-Max-*', 'hz'],
  ['HZ'],
  ['h[yz]z', 'h[yz]'],
  ['list-max-z*'],
  ['nothing*'],
];

describe.runIf(present)('beside redis-server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vasto-redis-'));
  const config = Config.load();
  let server: ChildProcess;
  let redis: Redis;

  beforeAll(async () => {
    const socket = join(folder, 'redis.sock');
    const words = ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder];
    server = spawn('redis-server', words, { stdio: 'ignore' });
    redis = new Redis(socket, { retryStrategy: () => 50, maxRetriesPerRequest: null });
    // Until the server listens, attempts to connect fail; the client tries again.
    redis.on('error', () => undefined);
    await redis.ping();
  });

  afterAll(() => {
    redis.disconnect();
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  /** CONFIG GET's pairs, sorted, since Redis's order is that of its hash table. */
  async function redisGet(...patterns: string[]): Promise<[string, string][]> {
    const flat = (await redis.call('CONFIG', 'GET', ...patterns)) as string[];
    return flat
      .flatMap((name, at): [string, string][] => (at % 2 === 0 ? [[name, flat[at + 1]!]] : []))
      .sort();
  }

  async function redisSet(pairs: Pairs): Promise<string | undefined> {
    try {
      await redis.call('CONFIG', 'SET', ...pairs.flat());
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  it('has its names and defaults', async () => {
    const theirs = new Map(await redisGet('*'));
    const known = [...DIRECTIVE_BY_NAME.keys()];
    expect(known.filter((name) => !theirs.has(name))).toEqual(NOT_IN_REDIS);
    const shared = known.filter(
      (name) => theirs.has(name) && !OTHER_MEANING.includes(name) && !OTHER_DEFAULT.includes(name),
    );
    expect(config.get(shared)).toEqual(shared.map((name) => [name, theirs.get(name)]));
  });

  it('fixes the same directives at start', async () => {
    const theirs = new Map(await redisGet('*'));
    for (const [name, directive] of DIRECTIVE_BY_NAME) {
      if (!theirs.has(name) || FIXED_HERE_ONLY.includes(name)) continue;
      const reply = (await redisSet([[name, 'no such value']])) ?? '';
      expect([name, /can't set (immutable|protected)/.test(reply)]).toEqual([
        name,
        directiveOf(directive).immutable === true,
      ]);
      await redisSet([[name, theirs.get(name)!]]);
    }
    await redis.call('CONFIG', 'SET', 'requirepass', '');
  });

  it.each(SETTINGS.map((pairs) => [pairs]))('sets %j alike', async (pairs) => {
    expect(config.set(pairs)).toBe(await redisSet(pairs));
    const names = pairs.map(([name]) => name.toLowerCase()).filter((name) => DIRECTIVE_BY_NAME.has(name));
    const shared = names.filter((name) => !OTHER_DEFAULT.includes(name) || name === 'save');
    if (shared.length > 0) expect(config.get(shared).sort()).toEqual(await redisGet(...shared));
  });

  it.each(PATTERNS.map((patterns) => [patterns]))('gets %j alike', async (patterns) => {
    expect(config.get(patterns).sort()).toEqual(await redisGet(...patterns));
  });
});
