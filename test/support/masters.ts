import { afterEach, beforeEach } from 'vitest';
import type { KeyspaceRequest } from '../../src/cluster/manager.js';
import type { MasterMessage, StoreMessage } from '../../src/cluster/messages.js';
import { streamPair } from '../../src/cluster/stream-pair.js';
import { liveKeyspaces, type Topology } from '../../src/cluster/topology.js';
import { Master, type MasterOptions } from '../../src/master/master.js';
import { FakeStore, ManualTimers, quiet, storeEntry } from './fake-cluster.js';

/* Masters for unit tests, on time that moves when told to; those of a test end with it. */

export let timers: ManualTimers;
export let log: string[];
let masters: Master[];

beforeEach(() => {
  timers = new ManualTimers();
  log = [];
  masters = [];
});

afterEach(() => {
  for (const master of masters) master.close();
});

export function makeMaster(options: Partial<MasterOptions> = {}): Master {
  let ids = 0;
  const note = (text: string) => {
    log.push(text);
  };
  const master = new Master({
    clusterId: '',
    settleMs: 0,
    failoverAfterMs: () => 3000,
    logger: { verbose: () => undefined, notice: note, warning: (text) => note(`WARNING ${text}`) },
    timers,
    makeId: (bytes) => (++ids).toString(16).padStart(bytes * 2, '0'),
    ...options,
  });
  masters.push(master);
  return master;
}

/** A conversation as one from another process: silence counts. */
export function join(master: Master, store: FakeStore): void {
  const [storeEnd, masterEnd] = streamPair<MasterMessage, StoreMessage>();
  master.accept(masterEnd);
  store.connect(storeEnd);
}

export async function cluster(
  count: number,
  options: Partial<MasterOptions> = {},
): Promise<[Master, FakeStore[]]> {
  const master = makeMaster(options);
  const stores = Array.from({ length: count }, (_, index) => new FakeStore(storeEntry(index + 1)));
  for (const store of stores) join(master, store);
  await quiet();
  return [master, stores];
}

export function request(name: string, facts: Partial<KeyspaceRequest> = {}): KeyspaceRequest {
  return { name, shards: 1, replicas: 1, tags: [], ...facts };
}

/** `CODE text` of what a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: Error & { code?: string }) => `${error.code} ${error.message}`,
  );
}

export const keyspaces = (topology: Topology) =>
  liveKeyspaces(topology).map(({ name, db }) => (db === undefined ? name : `${name}=${db}`));
