import { totalmem } from 'node:os';
import { memoryBudgetBytes } from '../base/config.js';
import type { DiskSpace } from '../node/agent.js';
import { blockedClients, clientBytes, errorCounts } from '../resp/front/info-sections.js';
import type { MemoryFigures } from '../resp/memory-gauge.js';
import type { RespServer } from '../resp/server.js';
import type { CommandUsed } from '../resp/statistics.js';
import type { ShardReport, WorkerReport } from '../workers/protocol.js';
import { counter, counters, type Distribution, type Family, gauge, gauges, type Row } from './family.js';

/** What a node's families are told from. */
export interface NodeFigures {
  readonly server: RespServer;
  readonly commands: readonly CommandUsed[];
  /** What needs the workers to answer; undefined when they did not in time. */
  readonly held: HeldFigures | undefined;
  /** undefined where no data is held, or the disk does not say. */
  readonly disk: DiskSpace | undefined;
}

export interface HeldFigures {
  readonly reports: readonly WorkerReport[];
  readonly shards: ReadonlyMap<number, ShardReport>;
  readonly memory: MemoryFigures;
}

/** Exponents of the powers of two, in microseconds, at which times of commands are told: 16 µs to 16.8 s. */
const TIME_EXPONENTS = [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24];

const nodeFamilies: readonly Family<NodeFigures>[] = [
  gauges('vasto_node_info', 'What the node is; always 1.', ['cluster', 'store'], ({ server: { store } }) => [
    [1, store.keyspaces.topology.clusterId, store.id],
  ]),
  gauge('vasto_master_link_up', 'Whether the node hears the master.', ({ server }) =>
    Number(server.store.membership.connected),
  ),
  gauge('vasto_workers', 'Threads that own shards.', ({ server }) => server.store.pool.owners.length),
  gauge('vasto_workers_answering', 'Whether the workers have answered this scrape in time.', ({ held }) =>
    Number(held !== undefined),
  ),
  counter(
    'vasto_worker_deaths_total',
    'Threads that died and were started anew.',
    ({ server }) => server.store.workerDeaths,
  ),
  gauge('vasto_disk_free_bytes', 'Free on the disk that has the data.', ({ disk }) => disk?.freeBytes),
  gauge('vasto_disk_size_bytes', 'Size of the disk that has the data.', ({ disk }) => disk?.totalBytes),
];

const clientFamilies: readonly Family<NodeFigures>[] = [
  gauge(
    'vasto_connected_clients',
    'Connections, those of other nodes included.',
    ({ server }) => server.connections.size,
  ),
  gauge('vasto_blocked_clients', 'Clients that wait for keys, or for replicas (WAIT).', ({ server }) =>
    blockedClients(server),
  ),
  gauge('vasto_max_clients', 'The directive maxclients.', ({ server }) => server.config.values.maxclients),
  gauge(
    'vasto_client_buffer_bytes',
    'Requests that are not complete, and replies that were not taken yet.',
    ({ server }) => clientBytes(server),
  ),
  counter(
    'vasto_connections_received_total',
    'Connections that came.',
    ({ server }) => server.counters.connectionsReceived,
  ),
  counter(
    'vasto_connections_rejected_total',
    'Connections that were turned away.',
    ({ server }) => server.counters.connectionsRejected,
  ),
  counters(
    'vasto_client_disconnections_total',
    'Clients that were closed because of a limit.',
    ['limit'],
    ({ server: { counters: counted } }) => [
      [counted.outputLimitDisconnections, 'client-output-buffer-limit'],
      [counted.queryLimitDisconnections, 'client-query-buffer-limit'],
    ],
  ),
  counter(
    'vasto_net_input_bytes_total',
    'Bytes that clients sent.',
    ({ server }) => server.counters.inputBytes,
  ),
  counter(
    'vasto_net_output_bytes_total',
    'Bytes that clients were sent.',
    ({ server }) => server.counters.outputBytes,
  ),
  gauge(
    'vasto_links_to_stores',
    'Connections to other stores, for what is theirs.',
    ({ server }) => [...server.links.all()].length,
  ),
  gauge(
    'vasto_links_from_nodes',
    'Connections of other nodes, for what is here.',
    ({ server }) => server.peerConnections,
  ),
];

type CommandField = 'calls' | 'failed' | 'rejected';

function commandCounts(field: CommandField): (figures: NodeFigures) => Row[] {
  return ({ commands }) => commands.map(({ command, totals }) => [totals[field], command.name]);
}

const commandFamilies: readonly Family<NodeFigures>[] = [
  counter(
    'vasto_commands_processed_total',
    'Commands that ran here, or went on to another store.',
    ({ server }) => server.commandsProcessed(),
  ),
  counter(
    'vasto_forwarded_commands_total',
    'Commands of clients that went on to another store.',
    ({ server }) => server.forwardedCommands,
  ),
  counters('vasto_commands_total', 'Commands that ran here.', ['command'], commandCounts('calls')),
  counters('vasto_command_seconds_total', 'Time that commands took here.', ['command'], ({ commands }) =>
    commands.map(({ command, totals }) => [totals.microseconds / 1e6, command.name]),
  ),
  counters(
    'vasto_commands_failed_total',
    'Commands that ran and replied with an error.',
    ['command'],
    commandCounts('failed'),
  ),
  counters(
    'vasto_commands_rejected_total',
    'Commands that were refused before they ran.',
    ['command'],
    commandCounts('rejected'),
  ),
  {
    kind: 'histogram',
    name: 'vasto_command_duration_seconds',
    help: 'How long commands took, with the directive latency-tracking.',
    labels: ['command'],
    bounds: TIME_EXPONENTS.map((exponent) => 2 ** exponent / 1e6),
    distributions: ({ server, commands }) =>
      server.config.values['latency-tracking'] ? commandTimes(commands) : [],
  },
  counters(
    'vasto_error_replies_total',
    'Error replies, by their first word.',
    ['code'],
    ({ server, held }) =>
      held === undefined ? [] : [...errorCounts(server, held.reports)].map(([code, count]) => [count, code]),
  ),
];

/** Element n of the buckets counts calls that took less than 2^n microseconds, and no less than half of that. */
function commandTimes(commands: readonly CommandUsed[]): Distribution[] {
  return commands
    .filter(({ totals }) => totals.calls > 0)
    .map(({ command, totals: { buckets, calls, microseconds } }) => ({
      labels: [command.name],
      counts: TIME_EXPONENTS.map((exponent) =>
        buckets.slice(0, exponent + 1).reduce((sum, count) => sum + count, 0),
      ),
      count: calls,
      sumSeconds: microseconds / 1e6,
    }));
}

function ofWorkers(of: (report: WorkerReport) => number): (figures: NodeFigures) => number | undefined {
  return ({ held }) => held?.reports.reduce((sum, report) => sum + of(report), 0);
}

function ofShards(of: (shard: ShardReport) => number): (figures: NodeFigures) => number | undefined {
  return ({ held }) => held && [...held.shards.values()].reduce((sum, shard) => sum + of(shard), 0);
}

const memoryFamilies: readonly Family<NodeFigures>[] = [
  gauge(
    'vasto_memory_used_bytes',
    'JavaScript heaps of all threads, caches and memtables.',
    ({ held }) => held?.memory.used,
  ),
  gauge('vasto_memory_peak_bytes', 'The most that was ever used.', ({ held }) => held?.memory.peak),
  gauge(
    'vasto_memory_budget_bytes',
    'For row cache, block cache and memtables together: maxmemory.',
    ({ server }) => memoryBudgetBytes(server.config.values, totalmem()),
  ),
  gauge('vasto_row_cache_bytes', 'Rows in memory.', ({ held }) => held?.memory.rowCache),
  gauge(
    'vasto_row_cache_limit_bytes',
    'What rows in memory may take.',
    ({ held }) => held?.memory.rowCacheLimit,
  ),
  counter(
    'vasto_row_cache_evictions_total',
    'Rows that left memory for others.',
    ofWorkers(({ evictions }) => evictions),
  ),
  gauge(
    'vasto_rocksdb_block_cache_bytes',
    'Blocks that RocksDB has in memory.',
    ({ held }) => held?.memory.blockCache,
  ),
  gauge(
    'vasto_rocksdb_memtable_bytes',
    'Writes that RocksDB has in memory.',
    ({ held }) => held?.memory.memtables,
  ),
  gauge(
    'vasto_rocksdb_table_reader_bytes',
    'Indexes and filters of files that RocksDB has in memory.',
    ({ held }) => held?.memory.tableReaders,
  ),
  gauge(
    'vasto_rocksdb_live_data_bytes',
    'What is on disk and alive, by an estimate.',
    ofShards(({ liveBytes }) => liveBytes),
  ),
];

const dataFamilies: readonly Family<NodeFigures>[] = [
  counter(
    'vasto_batches_total',
    'Batches of commands that workers ran.',
    ofWorkers(({ batches }) => batches),
  ),
  counter(
    'vasto_batched_commands_total',
    'Commands in the batches that workers ran.',
    ofWorkers(({ commands }) => commands),
  ),
  counter(
    'vasto_keyspace_hits_total',
    'Keys that were looked up and found.',
    ofShards(({ keyspaceHits }) => keyspaceHits),
  ),
  counter(
    'vasto_keyspace_misses_total',
    'Keys that were looked up and not found.',
    ofShards(({ keyspaceMisses }) => keyspaceMisses),
  ),
  counter(
    'vasto_expired_keys_total',
    'Keys that expired.',
    ofShards(({ expired }) => expired),
  ),
  gauge('vasto_shards', 'Shards that are here.', ({ server }) => server.store.localShards().length),
  gauge(
    'vasto_write_refusing_shards',
    'Shards that refuse writes, because the disk is full or fails.',
    ofShards(({ failure }) => (failure === '' ? 0 : 1)),
  ),
  gauges(
    'vasto_keyspace_keys',
    'Keys in the shards that are here.',
    ['keyspace', 'db', 'role'],
    byKeyspace(({ keys }) => keys),
  ),
  gauges(
    'vasto_keyspace_expiring_keys',
    'Keys in the shards that are here, and that will expire.',
    ['keyspace', 'db', 'role'],
    byKeyspace(({ expiring }) => expiring),
  ),
  gauges(
    'vasto_keyspace_bytes',
    'What the shards that are here take, on disk and in memtables.',
    ['keyspace', 'db', 'role'],
    byKeyspace(({ tableBytes, memtableBytes }) => tableBytes + memtableBytes),
  ),
];

/** Sums over shards of the same keyspace; those that the node owns apart from copies of others' shards. */
function byKeyspace(of: (shard: ShardReport) => number): (figures: NodeFigures) => Row[] {
  return ({ server: { store }, held }) => {
    const { topology } = store.keyspaces;
    const sums = new Map<string, [value: number, ...labels: string[]]>();
    for (const { keyspace: id, shard, route } of store.localShards()) {
      const report = held?.shards.get(route.shard);
      const entry = topology.keyspaces.get(id);
      if (report === undefined || entry === undefined) continue;
      const role = entry.shards[shard]?.stores[0] === store.id ? 'owner' : 'copy';
      const sum = sums.get(`${id} ${role}`);
      if (sum !== undefined) sum[0] += of(report);
      else sums.set(`${id} ${role}`, [of(report), entry.name, String(entry.db ?? ''), role]);
    }
    return [...sums.values()];
  };
}

export const NODE_FAMILIES: readonly Family<NodeFigures>[] = [
  ...nodeFamilies,
  ...clientFamilies,
  ...commandFamilies,
  ...memoryFamilies,
  ...dataFamilies,
];
