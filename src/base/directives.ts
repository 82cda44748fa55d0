import { resolve } from 'node:path';
import {
  clampedInteger,
  clusterPorts,
  flag,
  folder,
  integer,
  list,
  memory,
  octalPermission,
  oneOf,
  outputBufferLimits,
  percentiles,
  savePoints,
  text,
  unboundedMemory,
} from './config-values.js';
import {
  type Directive,
  directive,
  FIXED,
  firstRefusal,
  INT_MAX,
  only,
  REREAD,
  refuseAddress,
  refuseWord,
} from './directive.js';
import { TLS_DIRECTIVES } from './tls-directives.js';

const UINT_MAX = 4294967295;
const MB = 1024 * 1024;
const GB = 1024 * MB;
const NO_SNAPSHOTS = 'accepted for Redis tools; Vasto has no RDB snapshots';
const NO_AOF_REWRITE = 'accepted for Redis tools; Vasto has no append-only file to rewrite';
const NO_EVICTION = 'accepted for Redis tools; Vasto evicts nothing';

/**
 * THE table of directives, in the order of conf/vasto.conf. Directives that Redis has keep Redis's name,
 * meaning and default, unless the description says otherwise.
 */
export const DIRECTIVES = {
  // Network
  bind: directive(
    list('addresses or host names; a leading "-" allows one to be absent, "*" is all', 16),
    ['127.0.0.1', '-::1'],
    'addresses to listen on',
    FIXED,
  ),
  port: directive(integer(0, 65535), 6379, 'TCP port for clients; 0 listens on none', FIXED),
  'protected-mode': directive(flag(), true, 'without a password, answer only clients of this machine'),
  unixsocket: directive(text(), '', 'path of a Unix socket for clients; empty is none', FIXED),
  unixsocketperm: directive(
    octalPermission(),
    0,
    'permission of the Unix socket, octal; 0 leaves it to the umask',
    FIXED,
  ),
  'tcp-backlog': directive(
    integer(0, INT_MAX),
    511,
    'connections that may wait to be accepted, within what the kernel allows',
    FIXED,
  ),
  timeout: directive(integer(0, INT_MAX), 0, 'seconds after which an idle client is closed; 0 is never'),
  'tcp-keepalive': directive(
    integer(0, INT_MAX),
    300,
    'seconds of silence after which the kernel probes a client; 0 is never',
  ),

  ...TLS_DIRECTIVES,

  // Process
  daemonize: directive(flag(), false, 'run in the background; not offered', {
    ...FIXED,
    ...only(false, 'Vasto runs in the foreground; use your service manager to run it in the background'),
  }),
  supervised: directive(
    oneOf('upstart', 'systemd', 'auto', 'no'),
    'no',
    'tell a service manager; not offered',
    {
      ...FIXED,
      ...only('no', "Vasto does not signal its service manager; only 'no' is accepted"),
    },
  ),
  pidfile: directive(text(), '', 'file to write the process id to; empty is none', FIXED),
  loglevel: directive(
    oneOf('debug', 'verbose', 'notice', 'warning', 'nothing'),
    'notice',
    'least important messages to log',
  ),
  logfile: directive(text(), '', 'file to log to; empty is standard output', FIXED),
  'log-format': directive(
    oneOf('text', 'json'),
    'text',
    "Vasto's own: log lines for people, or one JSON object a line",
    FIXED,
  ),
  'always-show-logo': directive(flag(), false, 'accepted for Redis tools; Vasto has no logo to show', FIXED),
  databases: directive(integer(1, INT_MAX), 16, 'databases that SELECT can choose by number', FIXED),

  // Data on disk
  dir: directive(
    folder((path) => resolve(path)),
    './data',
    'folder of all data; created when missing',
    FIXED,
  ),
  appendonly: directive(
    flag(),
    true,
    'always yes: every write is in the log on disk before its reply leaves',
    only(true, "Vasto logs every write before it replies; only 'yes' is accepted"),
  ),
  appendfsync: directive(
    oneOf('everysec', 'always', 'no'),
    'everysec',
    'when the log of writes is forced to the disk',
  ),
  save: directive(savePoints(), [], NO_SNAPSHOTS),
  'stop-writes-on-bgsave-error': directive(flag(), true, NO_SNAPSHOTS),
  rdbcompression: directive(flag(), true, NO_SNAPSHOTS),
  'no-appendfsync-on-rewrite': directive(flag(), false, NO_AOF_REWRITE),
  'auto-aof-rewrite-percentage': directive(integer(0, INT_MAX), 100, NO_AOF_REWRITE),
  'auto-aof-rewrite-min-size': directive(memory(), 64 * MB, NO_AOF_REWRITE),

  // Security
  requirepass: directive(text(), '', 'password that clients must give with AUTH; empty is none', {
    secret: true,
  }),
  'cluster-secret': directive(
    text(),
    '',
    'secret that nodes show each other; empty is that of cluster-secret-file, or else requirepass',
    { secret: true, concealed: true },
  ),
  'cluster-secret-file': directive(
    text(),
    '',
    'file with the secret in its first line, and in further ones others that are accepted',
    REREAD,
  ),
  'enable-debug-command': directive(
    oneOf('no', 'yes', 'local'),
    'no',
    'who may call DEBUG; local is clients of this machine',
    FIXED,
  ),

  // Clients
  maxclients: directive(integer(1, UINT_MAX), 10000, 'clients that may be connected at once'),
  'proto-max-bulk-len': directive(memory(MB), 512 * MB, 'longest argument and longest string, in bytes'),
  'client-query-buffer-limit': directive(
    memory(MB),
    GB,
    'bytes of unfinished requests beyond which a client is closed',
  ),
  'client-output-buffer-limit': directive(
    outputBufferLimits(),
    {
      normal: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
      replica: { hardBytes: 256 * MB, softBytes: 64 * MB, softSeconds: 60 },
      pubsub: { hardBytes: 32 * MB, softBytes: 8 * MB, softSeconds: 60 },
    },
    'bytes of unread replies beyond which a client is closed, by class of client',
  ),

  // Memory
  maxmemory: directive(
    unboundedMemory(),
    0,
    'bytes for row cache, block cache and memtables together; 0 is a quarter of the machine, at most 2gb',
  ),
  'maxmemory-policy': directive(
    oneOf(
      'volatile-lru',
      'volatile-lfu',
      'volatile-random',
      'volatile-ttl',
      'allkeys-lru',
      'allkeys-lfu',
      'allkeys-random',
      'noeviction',
    ),
    'noeviction',
    'always noeviction: data is on disk, so memory never forces a key out',
    only('noeviction', "Vasto keeps data on disk and evicts nothing; only 'noeviction' is accepted"),
  ),
  'maxmemory-samples': directive(integer(1, INT_MAX), 5, NO_EVICTION),
  'lfu-log-factor': directive(integer(0, INT_MAX), 10, NO_EVICTION),
  'lfu-decay-time': directive(integer(0, INT_MAX), 1, NO_EVICTION),
  'lazyfree-lazy-eviction': directive(flag(), false, NO_EVICTION),
  'lazyfree-lazy-expire': directive(
    flag(),
    false,
    'accepted for Redis tools; expiry never waits for rows to be removed',
  ),
  'lazyfree-lazy-server-del': directive(
    flag(),
    false,
    'accepted for Redis tools; overwriting never waits for rows to be removed',
  ),
  'lazyfree-lazy-user-del': directive(
    flag(),
    false,
    'accepted for Redis tools; DEL never waits for rows to be removed',
  ),
  'lazyfree-lazy-user-flush': directive(
    flag(),
    false,
    'accepted for Redis tools; FLUSHDB never waits for rows to be removed',
  ),
  activedefrag: directive(
    flag(),
    false,
    'always no: there is no heap of values to defragment',
    only(false, "Vasto keeps data on disk and has no heap to defragment; only 'no' is accepted"),
  ),

  // Slow log and latency
  'slowlog-log-slower-than': directive(
    integer(-1),
    10000,
    'microseconds beyond which a command enters the slow log; 0 is every command, -1 none',
  ),
  'slowlog-max-len': directive(integer(0), 128, 'entries the slow log keeps'),
  'latency-monitor-threshold': directive(
    integer(0),
    0,
    'milliseconds beyond which an event enters the latency history; 0 is off',
  ),
  'latency-tracking': directive(flag(), true, 'keep latency histograms of each command'),
  'latency-tracking-info-percentiles': directive(
    percentiles('latency-tracking-info-percentiles'),
    [50, 99, 99.9],
    'percentiles that INFO latencystats shows',
  ),

  // Events
  'notify-keyspace-events': directive(
    text(),
    '',
    'classes of events that are published; not available yet',
    only('', 'keyspace notifications are not available yet; only "" is accepted'),
  ),

  // Limits of data structures
  'hll-sparse-max-bytes': directive(
    memory(),
    3000,
    'accepted for Redis tools; a HyperLogLog changes to its dense form at 3000 bytes',
  ),
  'hash-max-listpack-entries': directive(integer(0), 512, 'fields up to which a hash is one row', {
    aliases: ['hash-max-ziplist-entries'],
  }),
  'hash-max-listpack-value': directive(
    memory(),
    64,
    'longest field or value, in bytes, of a hash that OBJECT ENCODING calls listpack',
    { aliases: ['hash-max-ziplist-value'] },
  ),
  'list-max-listpack-size': directive(
    integer(-INT_MAX - 1, INT_MAX),
    -2,
    'size up to which a list is one row: elements, or -1 to -5 for 4kb to 64kb',
    { aliases: ['list-max-ziplist-size'] },
  ),
  'list-compress-depth': directive(
    integer(0, INT_MAX),
    0,
    'accepted for Redis tools; what is on disk is compressed by the storage engine',
  ),
  'set-max-intset-entries': directive(
    integer(0),
    512,
    'members up to which a set of integers is one row, and OBJECT ENCODING calls it intset',
  ),
  'set-max-listpack-entries': directive(integer(0), 128, 'members up to which another set is one row'),
  'set-max-listpack-value': directive(
    memory(),
    64,
    'accepted for Redis tools: the length of members does not matter to how a set is stored',
  ),
  'zset-max-listpack-entries': directive(integer(0), 128, 'members up to which a sorted set is one row', {
    aliases: ['zset-max-ziplist-entries'],
  }),
  'zset-max-listpack-value': directive(
    memory(),
    64,
    'longest member, in bytes, of a sorted set that OBJECT ENCODING calls listpack',
    { aliases: ['zset-max-ziplist-value'] },
  ),
  'stream-node-max-bytes': directive(
    memory(),
    4096,
    'bytes up to which a stream is one row, 0 is no bound of its own',
  ),
  'stream-node-max-entries': directive(
    integer(0),
    100,
    'entries up to which a stream is one row, 0 is no bound of its own; XTRIM ~ removes so many at once',
  ),

  // Background work
  hz: directive(clampedInteger(1, 500), 10, 'rounds of background work a second'),
  'dynamic-hz': directive(flag(), true, 'accepted for Redis tools; has no effect'),
  activerehashing: directive(flag(), true, 'accepted for Redis tools; has no effect'),
  'active-expire-effort': directive(
    integer(1, 10),
    1,
    'accepted for Redis tools; expired keys are found by their time, without sampling',
  ),
  'oom-score-adj': directive(
    oneOf('no', 'yes', 'relative', 'absolute'),
    'no',
    'change how the kernel chooses what to kill when memory is short; not offered',
    only('no', "Vasto leaves the kernel's score alone; only 'no' is accepted"),
  ),

  // Cluster
  'cluster-port': directive(
    clusterPorts(),
    [],
    'TCP port that speaks the Redis Cluster protocol for a keyspace; may be repeated',
    FIXED,
  ),
  'cluster-enabled': directive(
    flag(),
    false,
    'accepted for Redis tools; cluster-port is what opens a door for cluster clients',
    FIXED,
  ),
  master: directive(
    list('addresses of masters as host:port', 16),
    [],
    'masters that a store or gateway joins',
    {
      ...FIXED,
      refuse: (addresses) => firstRefusal(addresses, refuseAddress),
    },
  ),
  'master-port': directive(
    integer(0, 65535),
    0,
    'TCP port on which the master listens; 0 is 8278 for vasto master, none for vasto server',
    FIXED,
  ),
  'peer-port': directive(
    integer(-1, 65535),
    -1,
    'TCP port by which other stores copy from this one; -1 is port + 10000, 0 none',
    FIXED,
  ),
  'migration-rate': directive(
    memory(),
    0,
    'bytes a second that copies for other stores may read here; 0 is no limit',
  ),
  'cluster-id': directive(text(), '', 'the cluster that a master serves; empty is that of the first stores', {
    ...FIXED,
    refuse: (id) => (id === '' ? undefined : refuseWord(id)),
  }),
  zone: directive(text(), '', 'where this store is; copies are put into different zones', {
    ...FIXED,
    refuse: (zone) => (zone === '' ? undefined : refuseWord(zone)),
  }),
  tags: directive(list('words', 16), [], 'what this store offers; keyspaces may ask for it', {
    ...FIXED,
    refuse: (tags) => firstRefusal(tags, refuseWord),
  }),
  'cluster-node-timeout': directive(
    integer(1, INT_MAX),
    15000,
    'milliseconds for which commands wait for a store that is away or silent',
  ),
  'failover-after-ms': directive(
    integer(1000, INT_MAX),
    3000,
    'milliseconds of silence after which a store gives way to one that has a copy; for the master',
  ),
  'cluster-announce-host': directive(
    text(),
    '',
    'address by which other nodes and clients reach this one; empty is the first of bind',
    FIXED,
  ),

  // Vasto's own
  'metrics-port': directive(
    integer(0, 65535),
    0,
    'TCP port that tells Prometheus metrics, GET /metrics over HTTP; 0 is none',
    FIXED,
  ),
  workers: directive(
    integer(0, 1024),
    0,
    'threads that own shards; 0 is one fewer than the cores, at least 1',
    FIXED,
  ),
  'batch-bytes-max': directive(
    memory(4096, BigInt(GB)),
    MB,
    'bytes of requests that cross to a worker at once',
  ),
  'scan-cursor-timeout-seconds': directive(
    integer(1, INT_MAX),
    600,
    'seconds for which an unused SCAN cursor stays valid',
  ),
  'event-time-drift-max-ms': directive(
    integer(0, INT_MAX),
    60000,
    'milliseconds that the event time of a write may lie ahead of the clock',
  ),
  'tombstone-retention-seconds': directive(
    integer(0, INT_MAX),
    86400,
    'seconds for which deletions are remembered, so that late writes do not undo them',
  ),
  'feed-log-bytes-max': directive(
    memory(MB),
    256 * MB,
    'bytes of writes that a shard keeps for those who follow it',
  ),
  'feed-clock-drift-max-ms': directive(
    integer(0, INT_MAX),
    60000,
    'milliseconds that the clock of another store may be ahead of this one',
  ),
} satisfies Record<string, Directive<unknown>>;

export type DirectiveName = keyof typeof DIRECTIVES;

/** The configuration's values by name, each of the type its kind has. */
export type Values = {
  readonly [Name in DirectiveName]: (typeof DIRECTIVES)[Name] extends Directive<infer T> ? T : never;
};

export const DIRECTIVE_NAMES = Object.keys(DIRECTIVES) as readonly DirectiveName[];

/** The directive without the type of its value, for code that treats all alike. */
export function directiveOf(name: DirectiveName): Directive<unknown> {
  return DIRECTIVES[name];
}

/** Every name that is understood, older ones included, and the directive it means. */
export const DIRECTIVE_BY_NAME: ReadonlyMap<string, DirectiveName> = new Map(
  DIRECTIVE_NAMES.flatMap((name) =>
    [name, ...(directiveOf(name).aliases ?? [])].map((known) => [known, name] as const),
  ),
);

/** A fresh set of default values. */
export function defaultValues(): Values {
  return Object.fromEntries(DIRECTIVE_NAMES.map((name) => [name, DIRECTIVES[name].default])) as Values;
}
