import { randomBytes } from 'node:crypto';
import { divide, type PlannedPhase } from './coordinator.js';
import { ZIPF_EXPONENT } from './distribution.js';
import type { ThreadPlan } from './messages.js';
import { type BenchOptions, limits, loads, passwordOf } from './options.js';
import { does } from './workload.js';

const READ_BUFFER_BYTES_MAX = 64 * 1024;
const READ_BUFFERS_BYTES = 256 * 1024 * 1024;

/** What each thread is to be, from the options. */
export function threadPlans(options: BenchOptions): ThreadPlan[] {
  const { threads, clients, keys, workload, shared = false, check } = options;
  const run = randomBytes(4).readUInt32LE();
  const cluster = options.cluster !== undefined;
  const name = workload.distribution ?? 'uniform';
  return Array.from({ length: threads }, (_, thread) => ({
    thread,
    threads,
    run,
    prefix: options.prefix,
    pipeline: options.pipeline,
    engine: {
      address: options.cluster ?? options.server,
      cluster,
      clients: divide(clients, thread, threads),
      timeoutMs: options.timeout,
      choice: {
        tls: tlsOf(options),
        user: options.user,
        password: passwordOf(options),
        keyspace: options.db,
        resp: options.resp,
        readBufferBytes: Math.min(READ_BUFFER_BYTES_MAX, Math.floor(READ_BUFFERS_BYTES / clients)),
      },
    },
    source: {
      workload,
      distribution: options.distribution ?? { name, exponent: ZIPF_EXPONENT },
      keys: divide(keys, thread, threads),
      valueSize: options.valueSize,
      batch: options.batch,
      seed: options.seed,
      thread,
      grouped: cluster && does(workload, 'mget', 'mset', 'range'),
      loads: loads(options),
    },
    check: { values: check, exclusive: !shared },
  }));
}

function tlsOf(options: BenchOptions): ThreadPlan['engine']['choice']['tls'] {
  if (options.tls !== true) return undefined;
  return {
    caFile: options.cacert,
    certFile: options.cert,
    keyFile: options.key,
    serverName: options.sni,
    insecure: options.insecure === true,
  };
}

/** The phases of a run, in order. */
export function phases(options: BenchOptions): PlannedPhase[] {
  const { workload, check, verify, shared, warmup, clean, rate } = options;
  const whole = { operationsMax: Number.POSITIVE_INFINITY, durationMs: Number.POSITIVE_INFINITY };
  const counts = does(workload, 'incr');
  const writes = counts || loads(options) || does(workload, 'set', 'insert', 'mset', 'rmw');
  const planned: PlannedPhase[] = [{ name: 'connect', ...whole }];
  if (loads(options) || (check && counts)) planned.push({ name: 'load', ...whole });
  if (warmup > 0) planned.push({ name: 'warmup', ...whole, durationMs: warmup, rate });
  planned.push({ name: 'measure', ...limits(options), rate });
  if (check && verify && writes && shared !== true) planned.push({ name: 'verify', ...whole });
  if (clean === true) planned.push({ name: 'clean', ...whole });
  return planned;
}
