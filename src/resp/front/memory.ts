import { totalmem } from 'node:os';
import { getHeapSpaceStatistics } from 'node:v8';
import { memoryBudgetBytes } from '../../base/config.js';
import type { ReplyWriter } from '../../base/reply-writer.js';
import type { MemoryFigures } from '../memory-gauge.js';
import { type FrontContext, type FrontHandlers, inTurn, now } from './handlers.js';
import { help } from './help.js';
import { clientBytes, humanBytes } from './info-sections.js';

/** MEMORY STATS, DOCTOR, MALLOC-STATS, PURGE, HELP. MEMORY USAGE concerns a key: see commands/key-inspection.ts. */
export const memoryHandlers: FrontHandlers = {
  'memory|stats': inTurn(stats),
  'memory|doctor': inTurn(doctor),
  'memory|malloc-stats': inTurn(async ({ server, reply }) => {
    const reports = await server.store.report();
    const workers = reports.map(
      ({ heapUsedBytes, externalBytes }, index) =>
        `worker ${index}: heap ${humanBytes(heapUsedBytes)} used, ${humanBytes(externalBytes)} held outside`,
    );
    reply.verbatim(`${[...heapSummary(), ...workers].join('\n')}\n`);
  }),
  // The collector runs when it sees fit: programs cannot ask for it.
  'memory|purge': now(({ reply }) => reply.ok()),
  'memory|help': help('MEMORY', [
    ['DOCTOR', 'Whether memory is used well, in words.'],
    ['MALLOC-STATS', 'How the JavaScript heap is divided.'],
    ['PURGE', 'Accepted; the runtime gives memory back by itself.'],
    ['STATS', 'What memory is used for, in figures.'],
    ['USAGE <key> [SAMPLES <count>]', 'Bytes that <key> and its value take in memory.'],
  ]),
};

/** The JavaScript heap of this thread, by space. */
export function heapSummary(): string[] {
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  return [
    `front: heap ${humanBytes(heapUsed)} used of ${humanBytes(heapTotal)}, ${humanBytes(external)} held outside`,
    ...getHeapSpaceStatistics().map(
      ({ space_name, space_used_size, space_size }) =>
        `  ${space_name}: ${humanBytes(space_used_size)} used of ${humanBytes(space_size)}`,
    ),
  ];
}

type Stat = readonly [name: string, write: (reply: ReplyWriter) => void];

const integer = (value: number) => (reply: ReplyWriter) => reply.integer(Math.round(value));
const double = (value: number) => (reply: ReplyWriter) => reply.double(value);

/** Names and order are those of Redis, as far as they mean something here; ours begin with `vasto.`. */
async function stats({ server, reply }: FrontContext): Promise<void> {
  const reports = await server.store.report();
  const memory = server.memory.figures(reports);
  const shards = reports.flatMap((report) => report.shards);
  const keys = shards.reduce((sum, shard) => sum + shard.keys, 0);
  const entries: Stat[] = [
    ...totals(memory, clientBytes(server)),
    ['keys.count', integer(keys)],
    ['keys.bytes-per-key', integer(keys === 0 ? 0 : memory.dataset / keys)],
    ['dataset.bytes', integer(memory.dataset)],
    ['dataset.percentage', double((memory.dataset / memory.used) * 100)],
    ['peak.percentage', double((memory.used / memory.peak) * 100)],
    ['fragmentation', double(memory.resident / memory.used)],
    ['fragmentation.bytes', integer(memory.resident - memory.used)],
    ['vasto.budget', integer(memoryBudgetBytes(server.config.values, totalmem()))],
    ['vasto.row-cache', integer(memory.rowCache)],
    ['vasto.row-cache-limit', integer(memory.rowCacheLimit)],
    ['vasto.block-cache', integer(memory.blockCache)],
    ['vasto.memtables', integer(memory.memtables)],
    ['vasto.table-readers', integer(memory.tableReaders)],
  ];
  reply.map(entries.length);
  for (const [name, write] of entries) {
    reply.bulk(name);
    write(reply);
  }
}

function totals({ peak, used, startup, dataset }: MemoryFigures, clients: number): Stat[] {
  return [
    ['peak.allocated', integer(peak)],
    ['total.allocated', integer(used)],
    ['startup.allocated', integer(startup)],
    ['replication.backlog', integer(0)],
    ['clients.slaves', integer(0)],
    ['clients.normal', integer(clients)],
    ['cluster.links', integer(0)],
    ['aof.buffer', integer(0)],
    ['overhead.total', integer(Math.max(0, used - dataset))],
  ];
}

/** Resident memory beyond what is accounted for, from which on it is worth a word. */
const FRAGMENTATION_NOTABLE = 3;
/** Memory below which ratios say nothing. */
const SMALL_BYTES = 256 << 20;
/** Share of the row cache's budget from which on it counts as full. */
const CACHE_FULL_SHARE = 0.95;

async function doctor({ server, reply }: FrontContext): Promise<void> {
  const reports = await server.store.report();
  const { used, peak, resident, rowCache, rowCacheLimit } = server.memory.figures(reports);
  const evictions = reports.reduce((sum, report) => sum + report.evictions, 0);
  const findings: string[] = [];
  if (rowCache > rowCacheLimit * CACHE_FULL_SHARE && evictions > 0)
    findings.push(
      `The row cache is full (${humanBytes(rowCache)}) and has let ${evictions} rows go: reads of those go to disk. If reads are slow, raise maxmemory.`,
    );
  if (resident > SMALL_BYTES && resident > used * FRAGMENTATION_NOTABLE)
    findings.push(
      `${humanBytes(resident)} are resident but only ${humanBytes(used)} in use: memory that was needed once and has not been given back.`,
    );
  if (peak > SMALL_BYTES && peak > used * 1.5)
    findings.push(`The peak was ${humanBytes(peak)}; ${humanBytes(used)} are in use now.`);
  reply.verbatim(
    findings.length === 0
      ? `No problem found: ${humanBytes(used)} in use, ${humanBytes(rowCache)} of the row cache's ${humanBytes(rowCacheLimit)} filled.\n`
      : `${findings.map((finding) => `- ${finding}`).join('\n')}\n`,
  );
}
