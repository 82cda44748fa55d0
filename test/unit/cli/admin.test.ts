import { PassThrough } from 'node:stream';
import { Command, CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { addAdmin } from '../../../src/cli/admin.js';
import { placementNotes, topologyChanges } from '../../../src/cli/cluster-views.js';
import { type MasterClient, MasterCluster } from '../../../src/cli/master-cluster.js';
import { progressText } from '../../../src/cli/progress.js';
import type { Target } from '../../../src/cli/target.js';
import {
  type ChangeBegun,
  type ChangeRequest,
  type ChangeStatus,
  type KeyspaceRequest,
  ManagerError,
  type StoreStatus,
} from '../../../src/cluster/manager.js';
import {
  EMPTY_TOPOLOGY,
  type KeyspaceEntry,
  type StoreEntry,
  type Topology,
  withKeyspace,
  withStore,
} from '../../../src/cluster/topology.js';
import { programEnvironment } from '../../support/program-environment.js';

function store(id: string, facts: Partial<StoreEntry> = {}): StoreEntry {
  const entry = { id, epoch: 1, host: '10.0.0.1', port: 7000 + id.charCodeAt(0), tlsPort: 0, peerPort: 0 };
  return { ...entry, zone: '', tags: [], doors: [], ...facts };
}

/** A master that knows two stores, of which b may be down. */
class FakeMaster implements MasterClient {
  topologyNow: Topology = withStore(
    withStore({ ...EMPTY_TOPOLOGY, clusterId: 'c1' }, store('a', { zone: 'z1' })),
    store('b', { zone: 'z2' }),
  );
  isDown = false;
  bIsUp = true;
  closed = 0;
  calls: string[] = [];
  begun: ChangeBegun = { id: '', explanation: [] };
  /** What is answered to each question in turn. */
  statuses: ChangeStatus[][] = [];

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
    return Promise.resolve(this.statuses.shift() ?? []);
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

async function admin(line: string, master = new FakeMaster(), typed?: string) {
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

async function withOrders(shards = 3): Promise<FakeMaster> {
  const master = new FakeMaster();
  await master.createKeyspace({ name: 'orders', shards, replicas: 1, tags: [], db: 7 });
  return master;
}

describe('vasto admin', () => {
  it('makes a keyspace', async () => {
    const { code, out, err } = await admin('keyspace create orders --shards 4 --db 9');
    expect([code, out, err]).toEqual([0, 'created keyspace orders with 4 shards and the number 9\n', '']);
  });

  it('prints JSON wherever --json stands', async () => {
    const keyspace = { id: 'id-k', name: 'k', db: null, shards: 1, replicas: 1, tags: ['x', 'y'] };
    for (const line of ['--json keyspace create k --tags x,y', 'keyspace create k --tags x,y --json']) {
      const { code, out } = await admin(line);
      expect([code, JSON.parse(out)]).toEqual([0, { keyspace }]);
    }
  });

  it('lists and describes', async () => {
    const master = await withOrders();
    expect((await admin('keyspace list', master)).out).toMatch(
      /^NAME +DB +SHARDS +COPIES +TAGS +ID\norders +7 +3 +1 +- +id-orders\n$/,
    );
    const text = (await admin('keyspace describe orders', master)).out;
    expect(text).toContain('number 7, 3 shards in 1 copy, 30 keys, 6.0 kB');
    expect(text).toMatch(/ 1 +\d+ +owner +10\.0\.0\.1:7098 +z2 +open +10 +2\.0 kB\n/);
    expect(text).toContain('- 3 shards on 2 stores (2, 1), as even as can be');
    const { keyspace } = JSON.parse((await admin('keyspace describe orders --json', master)).out);
    expect(keyspace).toMatchObject({ name: 'orders', keys: 30, bytes: 6144 });
    expect(
      keyspace.placement.map((each: { slots: number }) => each.slots).reduce((a: number, b: number) => a + b),
    ).toBe(16384);
    expect(keyspace.placement[1].copies).toEqual([
      { id: 'b', address: '10.0.0.1:7098', zone: 'z2', state: 'up', data: null },
    ]);
  });

  it('tells which shards a dead store takes along', async () => {
    const master = await withOrders();
    master.bIsUp = false;
    const { keyspace } = JSON.parse((await admin('keyspace describe orders --json', master)).out);
    expect(keyspace.placement[1].state).toBe('store is down');
    expect(keyspace.notes.join('\n')).toContain(
      'shard 1: the store is down, commands for its keys fail until it is back',
    );
    expect((await admin('stores', master)).out).toMatch(/7098 +down/);
  });

  it('shows the topology', async () => {
    const { out } = await admin('topology', await withOrders());
    expect(out).toMatch(/^cluster c1, epoch 2/);
    expect(out).toMatch(/orders +7 +10\.0\.0\.1:7097: 0,2; 10\.0\.0\.1:7098: 1\n/);
  });

  it('deletes with --yes only, where nobody can be asked', async () => {
    const master = await withOrders();
    expect(await admin('keyspace delete orders', master)).toMatchObject({ code: 1, out: '' });
    expect(master.calls).toEqual([]);
    expect(await admin('keyspace delete orders --yes --json', master)).toMatchObject({
      code: 0,
      out: '{"deleted":"orders"}\n',
    });
    expect(master.calls).toEqual(['delete orders']);
  });

  it('asks a person for the name', async () => {
    const master = await withOrders();
    expect(await admin('keyspace delete orders', master, 'yes')).toMatchObject({ code: 1 });
    expect(master.calls).toEqual([]);
    expect(await admin('keyspace delete orders', master, 'orders')).toMatchObject({ code: 0 });
    expect(master.calls).toEqual(['delete orders']);
    expect((await admin('keyspace delete nope', master, 'nope')).err).toContain(
      "no keyspace is named 'nope': there is orders",
    );
  });

  it('shows progress to people', async () => {
    const master = await withOrders();
    expect((await admin('keyspace compact orders', master)).err).toBe('');
    expect((await admin('keyspace compact orders', master, '')).err).toContain('50 %  shard 1 of 2');
    expect(progressText(3, 3, 'x')).toBe(`[${'#'.repeat(30)}] 100 %  x`);
    expect(progressText(0, 0, 'x')).toContain('  0 %');
  });

  it.each([
    ['keyspace create taken', 1, 'EXISTS'],
    ['keyspace describe nope', 1, 'NOT_FOUND'],
    ['keyspace create a --shards 0', 2, 'USAGE'],
    ['keyspace create a --shards 9999', 2, 'USAGE'],
    ['stores --master a --server b', 2, 'USAGE'],
    ['stores --master a:b', 2, 'USAGE'],
    ['wait-ready --for x', 2, 'USAGE'],
    ['wait-ready --stores 3 --for 0', 1, 'REFUSED'],
  ])('%s: exit code %d', async (line, code, name) => {
    const seen = await admin(`${line} --json`);
    expect([seen.code, seen.out, JSON.parse(seen.err).error.code]).toEqual([code, '', name]);
    expect((await admin(line)).err).toMatch(/^vasto admin: /);
  });

  it.each([
    '',
    'keyspace',
    'keyspace nope',
    'keyspace create',
    'keyspace create a b',
    'stores --nope',
    'stores --timeout x',
  ])('%j is wrong usage', async (line) => {
    expect((await admin(line)).code).toBe(2);
  });

  it('names both ways when nobody can be reached, and closes the client', async () => {
    const master = new FakeMaster();
    master.isDown = true;
    const { code, err, out } = await admin('stores', master);
    expect([code, out, master.closed]).toEqual([3, '', 1]);
    expect(err).toContain('the master is away');
    expect(err).toContain('--master');
    expect(err).toContain('--server');
    expect((await admin('wait-ready --for 0', master)).code).toBe(3);
  });

  it('is ready when the stores are up and a keyspace is served', async () => {
    const master = await withOrders();
    expect(await admin('wait-ready --stores 2 --keyspace orders', master)).toMatchObject({
      code: 0,
      out: 'ready\n',
    });
    master.bIsUp = false;
    const { code, err } = await admin('wait-ready --keyspace orders --for 0', master);
    expect([code, err]).toEqual([
      1,
      "vasto admin: not ready: 1 of 3 shards of keyspace 'orders' not served\n",
    ]);
  });

  it('passes on whom to talk to', async () => {
    const { targets } = await admin('stores --server 10.0.0.9:7000 --user u --password p --timeout 2');
    expect(targets).toMatchObject([
      {
        kind: 'server',
        name: '10.0.0.9:7000',
        server: { user: 'u', password: 'p', timeoutMs: 2000, protocol: 3 },
      },
    ]);
  });
});

describe('what is told of a cluster', () => {
  const base = { clusterId: 'c', epoch: 1, stores: [], keyspaces: [] };
  const keyspace = { id: '1', name: 'k', db: null, shards: 1, replicas: 1, tags: [], placement: [['a']] };
  const address = { id: 'a', address: 'h:1', zone: '', tags: [] };

  it('names what changed', () => {
    expect(topologyChanges(base, { ...base, keyspaces: [keyspace], stores: [address] })).toEqual([
      'keyspace k is there, in 1 shard',
      'store h:1 has joined',
    ]);
    const before = { ...base, keyspaces: [keyspace], stores: [address] };
    expect(topologyChanges(before, { ...base, stores: [{ ...address, address: 'h:2' }] })).toEqual([
      'keyspace k is deleted',
      'store h:1 is at h:2 now',
    ]);
    expect(topologyChanges(before, { ...before, keyspaces: [{ ...keyspace, db: 3 }] })).toEqual([
      'keyspace k has the number 3 now',
    ]);
    expect(topologyChanges(before, { ...before, keyspaces: [{ ...keyspace, placement: [['b']] }] })).toEqual([
      'shards of keyspace k have moved',
    ]);
    expect(topologyChanges(before, before)).toEqual([]);
  });

  it('says whether copies are apart', () => {
    const copy = (id: string, zone: string) => ({ id, address: id, zone, state: 'up' as const, data: null });
    const shard = { shard: 0, slots: 1, state: 'open', keys: 1, bytes: 1 };
    const notes = (zone: string) =>
      placementNotes(
        { ...keyspace, replicas: 2 },
        [{ ...shard, copies: [copy('a', 'z1'), copy('b', zone)] }],
        [],
      ).join('\n');
    expect(notes('z2')).toContain('in different zones');
    expect(notes('z1')).toContain('1 of 1 shard have copies in the same zone');
  });
});
