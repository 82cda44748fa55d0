import { machine, release, totalmem, type } from 'node:os';
import { memoryBudgetBytes } from '../../base/config.js';
import { INFO_FEEDS_MAX } from '../../base/limits.js';
import { REDIS_VERSION, VERSION } from '../../base/version.js';
import { addressOf, epochOf, liveKeyspaces } from '../../cluster/topology.js';
import type { FeedStatus } from '../../node/feeds/follower.js';
import type { FollowerStatus } from '../../node/feeds/sources.js';
import type { ShardReport, WorkerReport } from '../../workers/protocol.js';
import type { Blocking } from '../blocking.js';
import type { ShardCounts } from '../counts-elsewhere.js';
import type { MemoryFigures } from '../memory-gauge.js';
import type { RespServer } from '../server.js';
import type { Session } from '../session.js';
import { commandsUsed, percentile } from '../statistics.js';

/** What the sections of INFO are made from. Without a section that asks the workers, their figures are missing. */
export interface InfoSource {
  readonly server: RespServer;
  /** Of whom asks. */
  readonly session: Session;
  readonly reports: readonly WorkerReport[];
  readonly shards: ReadonlyMap<number, ShardReport>;
  /** What is known of shards on other stores, by the id of their keyspace. */
  readonly elsewhere: ReadonlyMap<string, readonly ShardCounts[]>;
  readonly memory: MemoryFigures;
  readonly nowMs: number;
}

type Field = readonly [name: string, value: string | number];

export interface Section {
  readonly title: string;
  /** Whether INFO without arguments shows it. */
  readonly isDefault: boolean;
  readonly asksWorkers: boolean;
  fields(source: InfoSource): readonly Field[];
}

const SECONDS_PER_DAY = 86_400;
const LRU_CLOCK_MASK = 0xffffff;
const NO_REPLICATION_ID = '0'.repeat(40);

/** Bytes as people read them: `1.50M`. */
export function humanBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes}B`;
  let value = bytes;
  let unit = -1;
  do {
    value /= 1024;
    unit++;
  } while (value >= 1024 && unit < 4);
  return `${value.toFixed(2)}${'KMGTP'[unit]}`;
}

function percent(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : (part / whole) * 100).toFixed(2)}%`;
}

function kilobytes(bytes: number): string {
  return (bytes / 1024).toFixed(2);
}

function serverFields({ server, session, nowMs }: InfoSource): Field[] {
  const { values, file } = server.config;
  const uptimeSeconds = Math.floor((nowMs - server.startedAtMs) / 1000);
  return [
    ['redis_version', REDIS_VERSION],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_mode', session.door === '' ? 'standalone' : 'cluster'],
    ['vasto_version', VERSION],
    ['node_version', process.version],
    ['os', `${type()} ${release()} ${machine()}`],
    ['arch_bits', 64],
    ['process_id', process.pid],
    ['process_supervised', 'no'],
    ['run_id', server.runId],
    ['tcp_port', values.port || values['tls-port']],
    ['server_time_usec', nowMs * 1000],
    ['uptime_in_seconds', uptimeSeconds],
    ['uptime_in_days', Math.floor(uptimeSeconds / SECONDS_PER_DAY)],
    ['hz', values.hz],
    ['configured_hz', values.hz],
    ['lru_clock', Math.floor(nowMs / 1000) & LRU_CLOCK_MASK],
    ['executable', process.execPath],
    ['config_file', file ?? ''],
    ['io_threads_active', 0],
  ];
}

/** What clients wait for in blocking commands. */
function blockings({ connections }: RespServer): Blocking[] {
  return [...connections.values()].flatMap(({ blocking }) => (blocking?.isBlocked ? [blocking] : []));
}

/** Clients that wait for keys or for replicas. */
export function blockedClients(server: RespServer): number {
  return server.blockedClients + blockings(server).length;
}

function clientFields({ server }: InfoSource): Field[] {
  const connections = [...server.connections.values()];
  const most = (bytes: readonly number[]) => bytes.reduce((max, each) => Math.max(max, each), 0);
  return [
    ['connected_clients', connections.length],
    ['cluster_connections', 0],
    ['maxclients', server.config.values.maxclients],
    ['client_recent_max_input_buffer', most(connections.map((each) => each.pendingInputBytes))],
    ['client_recent_max_output_buffer', most(connections.map((each) => each.queuedOutputBytes))],
    ['blocked_clients', blockedClients(server)],
    ['tracking_clients', 0],
    ['clients_in_timeout_table', blockings(server).filter(({ hasTimeout }) => hasTimeout).length],
  ];
}

/** Bytes that connections hold: of requests that are not complete, and of replies that were not taken yet. */
export function clientBytes({ connections }: RespServer): number {
  let bytes = 0;
  for (const { pendingInputBytes, queuedOutputBytes } of connections.values())
    bytes += pendingInputBytes + queuedOutputBytes;
  return bytes;
}

function memoryFields({ server, memory }: InfoSource): Field[] {
  const { values } = server.config;
  const { used, peak, resident, startup, dataset } = memory;
  return [
    ['used_memory', used],
    ['used_memory_human', humanBytes(used)],
    ['used_memory_rss', resident],
    ['used_memory_rss_human', humanBytes(resident)],
    ['used_memory_peak', peak],
    ['used_memory_peak_human', humanBytes(peak)],
    ['used_memory_peak_perc', percent(used, peak)],
    ['used_memory_overhead', Math.max(0, used - dataset)],
    ['used_memory_startup', startup],
    ['used_memory_dataset', dataset],
    ['used_memory_dataset_perc', percent(dataset, used)],
    ['total_system_memory', totalmem()],
    ['total_system_memory_human', humanBytes(totalmem())],
    ['maxmemory', values.maxmemory],
    ['maxmemory_human', humanBytes(values.maxmemory)],
    ['maxmemory_policy', values['maxmemory-policy']],
    ['mem_fragmentation_ratio', (resident / used).toFixed(2)],
    ['mem_fragmentation_bytes', resident - used],
    ['mem_clients_slaves', 0],
    ['mem_clients_normal', clientBytes(server)],
    ['mem_allocator', 'libc'],
    ['active_defrag_running', 0],
    ['lazyfree_pending_objects', 0],
  ];
}

function persistenceFields({ server, shards }: InfoSource): Field[] {
  const { saver } = server;
  const refusing = [...shards.values()].some((shard) => shard.failure !== '');
  return [
    ['loading', 0],
    ['async_loading', 0],
    ['rdb_changes_since_last_save', saver.writesSinceSave],
    ['rdb_bgsave_in_progress', saver.inProgress ? 1 : 0],
    ['rdb_last_save_time', saver.lastSaveSeconds],
    ['rdb_last_bgsave_status', saver.lastFailed ? 'err' : 'ok'],
    ['rdb_last_bgsave_time_sec', saver.lastSeconds ?? -1],
    ['rdb_current_bgsave_time_sec', saver.currentSeconds ?? -1],
    ['rdb_saves', saver.saves],
    ['aof_enabled', 1],
    ['aof_rewrite_in_progress', 0],
    ['aof_rewrite_scheduled', 0],
    ['aof_last_rewrite_time_sec', -1],
    ['aof_current_rewrite_time_sec', -1],
    ['aof_last_bgrewrite_status', 'ok'],
    ['aof_last_write_status', refusing ? 'err' : 'ok'],
  ];
}

function statsFields({ server, reports, shards }: InfoSource): Field[] {
  const { counters } = server;
  const sum = (of: (shard: ShardReport) => number) =>
    [...shards.values()].reduce((total, shard) => total + of(shard), 0);
  const errors = [...errorCounts(server, reports).values()].reduce((total, count) => total + count, 0);
  return [
    ['total_connections_received', counters.connectionsReceived],
    ['total_commands_processed', server.commandsProcessed()],
    ['instantaneous_ops_per_sec', Math.round(server.commandRate.perSecond)],
    ['total_net_input_bytes', counters.inputBytes],
    ['total_net_output_bytes', counters.outputBytes],
    ['total_net_repl_input_bytes', 0],
    ['total_net_repl_output_bytes', 0],
    ['instantaneous_input_kbps', kilobytes(server.inputRate.perSecond)],
    ['instantaneous_output_kbps', kilobytes(server.outputRate.perSecond)],
    ['rejected_connections', counters.connectionsRejected],
    ['sync_full', 0],
    ['sync_partial_ok', 0],
    ['sync_partial_err', 0],
    ['expired_keys', sum((shard) => shard.expired)],
    ['evicted_keys', 0],
    ['evicted_clients', 0],
    ['keyspace_hits', sum((shard) => shard.keyspaceHits)],
    ['keyspace_misses', sum((shard) => shard.keyspaceMisses)],
    ['pubsub_channels', 0],
    ['pubsub_patterns', 0],
    ['pubsubshard_channels', 0],
    ['total_error_replies', errors],
    ['client_query_buffer_limit_disconnections', counters.queryLimitDisconnections],
    ['client_output_buffer_limit_disconnections', counters.outputLimitDisconnections],
  ];
}

/** A store that follows this one, as Redis shows a replica. Offsets count records of the logs, over all shards. */
function followerLine({ store }: RespServer, follower: FollowerStatus): string {
  const { open, feeds, isCopying, acknowledged, behind, silentMs } = follower;
  const entry = store.keyspaces.topology.stores.get(follower.store);
  const state = open < feeds ? 'wait_bgsave' : isCopying ? 'send_bulk' : 'online';
  const lagSeconds = silentMs === undefined ? -1 : Math.floor(silentMs / 1000);
  return `ip=${entry?.host ?? ''},port=${entry?.port || entry?.tlsPort || 0},state=${state},offset=${acknowledged},lag=${lagSeconds},lag_records=${behind}`;
}

/** A feed that this node follows. */
function feedLine({ store }: RespServer, { duty, state, lagRecords, lagMs }: FeedStatus): string {
  const { stores, keyspaces } = store.keyspaces.topology;
  const source = stores.get(duty.sourceStore);
  const keyspace = keyspaces.get(duty.keyspace)?.name ?? duty.keyspace;
  const from = source === undefined ? duty.sourceStore : addressOf(source);
  return `keyspace=${keyspace},shard=${duty.targetShard},source=${from},source_shard=${duty.sourceShard},state=${state},lag_records=${lagRecords},lag_ms=${lagMs}`;
}

function replicationFields({ server }: InfoSource): Field[] {
  const { sources, followers: following } = server.store.feeds;
  const followers = sources.followers();
  const feeds = following.all().sort((one, other) => other.lagMs - one.lagMs);
  const pauses = server.store.pauses.summary;
  return [
    ['role', 'master'],
    ['connected_slaves', followers.length],
    ...followers.map((follower, index): Field => [`slave${index}`, followerLine(server, follower)]),
    ['master_failover_state', 'no-failover'],
    ['master_replid', server.replicationId],
    ['master_replid2', NO_REPLICATION_ID],
    ['master_repl_offset', sources.loggedRecords],
    ['second_repl_offset', -1],
    ['repl_backlog_active', 0],
    ['repl_backlog_size', 0],
    ['repl_backlog_first_byte_offset', 0],
    ['repl_backlog_histlen', 0],
    ['vasto_feeds', feeds.length],
    ['vasto_feeds_level', feeds.filter(({ isLevel }) => isLevel).length],
    ['vasto_feeds_copying', feeds.filter(({ state }) => state === 'copying').length],
    ['vasto_feeds_lag_records', feeds.reduce((sum, { lagRecords }) => sum + lagRecords, 0)],
    ['vasto_feeds_lag_ms', feeds.reduce((most, { lagMs }) => Math.max(most, lagMs), 0)],
    ...feeds
      .slice(0, INFO_FEEDS_MAX)
      .map((feed, index): Field => [`vasto_feed${index}`, feedLine(server, feed)]),
    ['vasto_handover_pauses', pauses.count],
    ['vasto_handover_pause_p50_ms', pauses.p50Ms],
    ['vasto_handover_pause_p99_ms', pauses.p99Ms],
    ['vasto_handover_pause_max_ms', pauses.maxMs],
  ];
}

function cpuFields(): Field[] {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const seconds = (microseconds: number) => (microseconds / 1e6).toFixed(6);
  return [
    ['used_cpu_sys', seconds(systemCPUTime)],
    ['used_cpu_user', seconds(userCPUTime)],
    ['used_cpu_sys_children', seconds(0)],
    ['used_cpu_user_children', seconds(0)],
  ];
}

function commandFields({ server }: InfoSource): Field[] {
  return commandsUsed(server.store).map(({ command, totals }) => {
    const { calls, microseconds, rejected, failed } = totals;
    const perCall = (calls === 0 ? 0 : microseconds / calls).toFixed(2);
    return [
      `cmdstat_${command.name}`,
      `calls=${calls},usec=${microseconds},usec_per_call=${perCall},rejected_calls=${rejected},failed_calls=${failed}`,
    ];
  });
}

/** Error replies of all threads, by code. */
export function errorCounts(server: RespServer, reports: readonly WorkerReport[]): Map<string, number> {
  const counts = new Map(server.errors.counts);
  for (const { errors } of reports)
    for (const [code, count] of errors) counts.set(code, (counts.get(code) ?? 0) + count);
  return counts;
}

function errorFields({ server, reports }: InfoSource): Field[] {
  return [...errorCounts(server, reports)]
    .sort()
    .map(([code, count]) => [`errorstat_${code}`, `count=${count}`]);
}

/** Times are known to a power of two: each percentile is the least that is not below the true one. */
function latencyFields({ server }: InfoSource): Field[] {
  const { values } = server.config;
  if (!values['latency-tracking']) return [];
  const wanted = values['latency-tracking-info-percentiles'];
  return commandsUsed(server.store)
    .filter(({ totals }) => totals.calls > 0)
    .map(({ command, totals }) => [
      `latency_percentiles_usec_${command.name}`,
      wanted.map((each) => `p${each}=${percentile(totals, each).toFixed(3)}`).join(','),
    ]);
}

/**
 * Keys of the databases, as far as the stores that hold them have answered; at a cluster door, those of its keyspace
 * that are here, as the one database that there is.
 */
function keyspaceFields({ server, session, shards, elsewhere }: InfoSource): Field[] {
  const held = server.store.localShards();
  const { door } = session;
  return server.store.keyspaces.all().flatMap(({ id, name, db: number }): Field[] => {
    const db = door === '' ? number : name === door ? 0 : undefined;
    if (db === undefined) return [];
    const here = held
      .filter(({ keyspace }) => keyspace === id)
      .map(({ route }) => shards.get(route.shard))
      .filter((report) => report !== undefined);
    const reports = [...here, ...(elsewhere.get(id) ?? [])];
    const sum = (of: (report: ShardCounts) => number) => reports.reduce((total, each) => total + of(each), 0);
    const keys = sum((report) => report.keys);
    if (keys === 0) return [];
    const expires = sum((report) => report.expiring);
    const ttl = sum((report) => report.averageTtlMs * report.expiring);
    const averageTtlMs = expires === 0 ? 0 : Math.round(ttl / expires);
    return [[`db${db}`, `keys=${keys},expires=${expires},avg_ttl=${averageTtlMs}`]];
  });
}

/** What this node is to its cluster. */
function clusterFacts({ store }: RespServer): Field[] {
  const { membership, keyspaces } = store;
  const { topology } = keyspaces;
  return [
    ['vasto_role', membership.role],
    ['cluster_id', topology.clusterId],
    ['store_id', store.id],
    ['master_link', membership.masterLink],
    ...(membership.refusal === '' ? [] : [['master_refusal', membership.refusal] as const]),
    ['topology_epoch', epochOf(topology)],
    ['cluster_stores', topology.stores.size],
    ['cluster_keyspaces', liveKeyspaces(topology).length],
  ];
}

function vastoFields({ server, reports, shards, memory }: InfoSource): Field[] {
  const { config, store } = server;
  const sum = (of: (report: WorkerReport) => number) => reports.reduce((total, each) => total + of(each), 0);
  const batches = sum((report) => report.batches);
  const failures = [...shards.values()].map((shard) => shard.failure).filter((failure) => failure !== '');
  return [
    ['vasto_version', VERSION],
    ...clusterFacts(server),
    ['workers', store.pool.owners.length],
    ['worker_deaths', store.workerDeaths],
    ['shards', shards.size],
    ['memory_budget', memoryBudgetBytes(config.values, totalmem())],
    ['row_cache_bytes', memory.rowCache],
    ['row_cache_limit_bytes', memory.rowCacheLimit],
    ['row_cache_evictions', sum((report) => report.evictions)],
    ['block_cache_bytes', memory.blockCache],
    ['memtable_bytes', memory.memtables],
    ['table_reader_bytes', memory.tableReaders],
    ['live_data_bytes', [...shards.values()].reduce((total, shard) => total + shard.liveBytes, 0)],
    ['batches', batches],
    ['commands_per_batch', (batches === 0 ? 0 : sum((report) => report.commands) / batches).toFixed(2)],
    ['forwarded_commands', server.forwardedCommands],
    ['links_to_stores', [...server.links.all()].length],
    ['links_from_nodes', server.peerConnections],
    ['write_refusing_shards', failures.length],
    ...(failures.length === 0 ? [] : [['write_refusal', failures[0]!] as const]),
  ];
}

function section(
  title: string,
  fields: Section['fields'],
  { isDefault = true, asksWorkers = false }: Partial<Pick<Section, 'isDefault' | 'asksWorkers'>> = {},
): Section {
  return { title, isDefault, asksWorkers, fields };
}

/** The sections of INFO, in Redis's order; ours is last. */
export const SECTIONS: readonly Section[] = [
  section('Server', serverFields),
  section('Clients', clientFields),
  section('Memory', memoryFields, { asksWorkers: true }),
  section('Persistence', persistenceFields, { asksWorkers: true }),
  section('Stats', statsFields, { asksWorkers: true }),
  section('Replication', replicationFields),
  section('CPU', cpuFields),
  section('Modules', () => []),
  section('Commandstats', commandFields, { isDefault: false }),
  section('Errorstats', errorFields, { asksWorkers: true }),
  section('Latencystats', latencyFields, { isDefault: false }),
  section('Cluster', ({ session }) => [['cluster_enabled', session.door === '' ? 0 : 1]]),
  section('Keyspace', keyspaceFields, { asksWorkers: true }),
  section('Vasto', vastoFields, { asksWorkers: true }),
];
