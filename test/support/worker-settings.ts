import type { WorkerSettings } from '../../src/workers/protocol.js';
import { REDIS_LIMITS } from './memory-elements.js';

/** What workers in tests are told, where a test does not say otherwise. */
export const WORKER_SETTINGS: WorkerSettings = {
  appendfsync: 'no',
  protoMaxBulkBytes: 512 << 20,
  eventTimeDriftMaxMs: 60_000,
  tombstoneRetentionMs: 60_000,
  feedLogBytesMax: 1 << 20,
  feedClockDriftMaxMs: 60_000,
  scanIdleMaxMs: 60_000,
  collections: REDIS_LIMITS,
  maxmemoryPolicy: 'noeviction',
  heldBytesMax: 1 << 28,
  rowCacheBytes: 1 << 20,
  activeExpire: true,
  slowMicroseconds: -1,
};
