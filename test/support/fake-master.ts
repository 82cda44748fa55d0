import { PassThrough } from 'node:stream';
import { Command, CommanderError } from 'commander';
import { addAdmin } from '../../src/cli/admin.js';
import { type MasterClient, MasterCluster } from '../../src/cli/master-cluster.js';
import type { Target } from '../../src/cli/target.js';
import {
  type ChangeBegun,
  type ChangeRequest,
  type ChangeStatus,
  type KeyspaceRequest,
  ManagerError,
  type StoreStatus,
} from '../../src/cluster/manager.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceEntry,
  type StoreEntry,
  type Topology,
  withKeyspace,
  withStore,
} from '../../src/cluster/topology.js';
import { programEnvironment } from './program-environment.js';

function store(id: string, facts: Partial<StoreEntry> = {}): StoreEntry {
  const entry = { id, epoch: 1, host: '10.0.0.1', port: 7000 + id.charCodeAt(0), tlsPort: 0, peerPort: 0 };
  return { ...entry, zone: '', tags: [], doors: [], ...facts };
}

/** A master that knows two stores, of which b may be down. */
export class FakeMaster implements MasterClient {
  topologyNow: Topology = withStore(
    withStore({ ...EMPTY_TOPOLOGY, clusterId: 'c1' }, store('a', { zone: 'z1' })),
    store('b', { zone: 'z2' }),
  );
  isDown = false;
  bIsUp = true;
  closed = 0;
  calls: string[] = [];
  begun: ChangeBegun = { id: '', explanation: [] };
  /** What is answered to each question for changes in turn; then there are none. */
  statuses: (ChangeStatus[] | Error)[] = [];

  fetchTopology = () => this.answer(this.topologyNow);
  follow = () => () => undefined;
  close = () => {
    this.closed++;
  };

  async createKeyspace({ name, shards, replicas, tags, db }: KeyspaceRequest): Promise<KeyspaceEntry> {
    await this.answer(undefined);
    if (name === 'taken') throw new ManagerError('EXISTS', 'there is a keyspace taken already');
    const places = Array.from({ length: shards }, (_, shard) => ({ stores: [shard % 2 === 0 ? 'a' : 'b'] }));
    const entry = { id: `id-${name}`, epoch: 2, name, db, replicas, tags, shards: places, deleted: false };
    this.topologyNow = withKeyspace(this.topologyNow, entry);
    return entry;
  }

  async deleteKeyspace(name: string): Promise<void> {
    this.calls.push(`delete ${name}`);
    await this.answer(undefined);
  }

  async compactKeyspace(
    name: string,
    onProgress: (progress: { done: number; total: number; phase: string }) => void,
  ) {
    this.calls.push(`compact ${name}`);
    onProgress({ done: 1, total: 2, phase: 'shard 1 of 2' });
  }

  swapDatabases = () => Promise.resolve();

  async beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    this.calls.push(JSON.stringify(request));
    await this.answer(undefined);
    return this.begun;
  }

  changeStatuses(): Promise<ChangeStatus[]> {
    const next = this.statuses.shift() ?? [];
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
  }

  stores(): Promise<StoreStatus[]> {
    const shards = [...this.topologyNow.keyspaces.values()].flatMap((entry) =>
      entry.shards.map(({ stores: [owner] }, shard) => ({
        owner,
        status: { keyspace: entry.id, shard, keys: 10, bytes: 2048, state: 'open', follows: [] },
      })),
    );
    return this.answer(
      [...this.topologyNow.stores.values()].map((entry) => ({
        entry,
        alive: entry.id !== 'b' || this.bIsUp,
        seenAtMs: 1,
        freeBytes: 1 << 30,
        totalBytes: 1 << 31,
        shards: shards.filter(({ owner }) => owner === entry.id).map(({ status }) => status),
      })),
    );
  }

  private answer<T>(value: T): Promise<T> {
    return this.isDown
      ? Promise.reject(new ManagerError('UNAVAILABLE', 'the master is away'))
      : Promise.resolve(value);
  }
}

/**
 * Runs `vasto admin` against a master.
 * @param typed what a person at a terminal answers; undefined = nobody is there
 */
export async function admin(line: string, master = new FakeMaster(), typed?: string) {
  const seen = { code: -1, out: '', err: '', targets: [] as Target[] };
  const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined });
  const stdout = Object.assign(new PassThrough(), { isTTY: typed !== undefined });
  const environment = programEnvironment({
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
    stdin,
    stdout,
    errIsTerminal: typed !== undefined,
  });
  const program = new Command('vasto').exitOverride().enablePositionalOptions();
  program.configureOutput({ writeOut: environment.out, writeErr: environment.err });
  const open = (target: Target) => {
    seen.targets.push(target);
    return Promise.resolve(new MasterCluster(master, () => 5001));
  };
  addAdmin(program, environment, open, (code) => {
    seen.code = code;
  });
  if (typed !== undefined) stdin.end(`${typed}\n`);
  try {
    await program.parseAsync(['admin', ...line.split(' ')], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    seen.code = error.exitCode;
  }
  return seen;
}

export async function withOrders(shards = 3): Promise<FakeMaster> {
  const master = new FakeMaster();
  await master.createKeyspace({ name: 'orders', shards, replicas: 1, tags: [], db: 7 });
  return master;
}
