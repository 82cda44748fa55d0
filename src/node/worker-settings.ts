import { totalmem } from 'node:os';
import { type Config, memoryBudgetBytes } from '../base/config.js';
import type { WorkerSettings } from '../workers/protocol.js';
import { heldBytesMax, memoryBudget, rowCacheBytesMax } from './budget.js';

/**
 * What a worker needs of the configuration.
 * @param workers among whom memory is divided
 * @param heapBytesMax the most that the heap of one may take
 */
export function workerSettings(config: Config, workers: number, heapBytesMax: number): WorkerSettings {
  const { values } = config;
  const thresholds = [values['slowlog-log-slower-than'], values['latency-monitor-threshold'] * 1000 || -1];
  const active = thresholds.filter((threshold) => threshold >= 0);
  const budget = memoryBudget(memoryBudgetBytes(values, totalmem()), Math.max(1, workers));
  return {
    appendfsync: values.appendfsync,
    protoMaxBulkBytes: values['proto-max-bulk-len'],
    eventTimeDriftMaxMs: values['event-time-drift-max-ms'],
    tombstoneRetentionMs: values['tombstone-retention-seconds'] * 1000,
    feedLogBytesMax: values['feed-log-bytes-max'],
    feedClockDriftMaxMs: values['feed-clock-drift-max-ms'],
    scanIdleMaxMs: values['scan-cursor-timeout-seconds'] * 1000,
    collections: {
      hashEntriesMax: values['hash-max-listpack-entries'],
      hashValueBytesMax: values['hash-max-listpack-value'],
      setIntegersMax: values['set-max-intset-entries'],
      setEntriesMax: values['set-max-listpack-entries'],
      sortedSetEntriesMax: values['zset-max-listpack-entries'],
      sortedSetValueBytesMax: values['zset-max-listpack-value'],
      listNodeSize: values['list-max-listpack-size'],
      streamNodeEntries: values['stream-node-max-entries'],
      streamNodeBytes: values['stream-node-max-bytes'],
    },
    maxmemoryPolicy: values['maxmemory-policy'],
    heldBytesMax: heldBytesMax(heapBytesMax),
    rowCacheBytes: Math.min(budget.rowCacheBytes, rowCacheBytesMax(heapBytesMax)),
    activeExpire: true,
    slowMicroseconds: active.length === 0 ? -1 : Math.min(...active),
  };
}
